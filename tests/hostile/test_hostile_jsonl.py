"""Records and lists as JSON lines that a stranger, a kill or a bad disk wrote.

Each is damaged twice: in its bytes, and as JSON that is whole but says what nobody asked for.
Elsewhere: how many and within which bounds (`cases`), an entry's scores.jsonl
(`test_hostile_entries`), manifests of pictures (`test_hostile_manifests`), replies of judges
(`test_hostile_replies`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from cases import (
    TEXTS,
    Draw,
    as_json,
    as_lines,
    damage,
    edit,
    every_number,
    hold,
    profiles,
    takes,
)

from ppdbench.benchmarks.tradeoff.divergence import divergence_errors, read_divergence
from ppdbench.benchmarks.tradeoff.diversity import read_diversity, why_no_diversity
from ppdbench.benchmarks.users.records import read_users
from ppdbench.entries.curves import recorded_curves
from ppdbench.judges.batch_files import read_replies
from ppdbench.judges.call import Call
from ppdbench.judges.on_record import done, spent
from ppdbench.judges.replay import ReplayJudge
from ppdbench.judges.verdict_records import verdict_of, verdict_record
from ppdbench.runs.records import RecordWriter, read_records
from ppdbench.runs.results import read_results
from ppdbench.runs.store import KeyStore

SHA = "ab" * 32
GENERATION = {
    "schema_version": 1,
    "item": "ppd/reward:clip/c1/0",
    "generator": "ppd",
    "caption_id": "c1",
    "user": "reward:clip",
    "sample": 0,
    "seed": 2**62,
    "image": SHA,
    "status": "ok",
    "error": None,
}
SCORE = {
    "schema_version": 1,
    "item": "ppd/reward:clip/c1/0",
    "image": SHA,
    "scorer": "reward:clip",
    "identity": "0123456789ab",
    "score": 0.25,
}
FACTS = {**SCORE, "scorer": "fidelity", "facts": {"colour": True, "all": False}}
TRUTH = {**SCORE, "scorer": "truth", "attributes": [0.5, -1.0]}
SCORERS = {
    "schema_version": 1,
    "scorers": {
        "reward:clip": {"identity": "0123456789ab", "name": "clip"},
        "fidelity": {"identity": "0123456789ab"},
        "truth": {"identity": "0123456789ab", "attributes": ["red", "round"]},
    },
}
CALL = Call(id="own/u1/c1/0/0", shots=("p1", "p2"), images=(SHA, SHA), caption="a red cube")
JUDGMENT = {
    "schema_version": 1,
    "call": CALL.id,
    "arm": "own",
    "stamp": CALL.stamp,
    "repeat": 0,
    "shots": ["p1", "p2"],
    "images": [SHA, SHA],
    "question": "q",
    "key": "00" * 16,
    "judge": "openai",
    "status": "ok",
    "choice": "first",
    "log_odds": 0.5,
    "confidence": None,
    "reason": "redder",
    "raw": '{"choice": "A"}',
    "error": None,
    "cost": 0.01,
    "details": {"tokens": 12},
    "cached": False,
}
FAILED = {**JUDGMENT, "status": "api_error", "choice": None, "error": "HTTP 500", "log_odds": None}


def lines(*valid: dict[str, Any]) -> Callable[[Draw], bytes]:
    """Files of such records: damaged in their bytes, or record by record in what they say."""
    whole = as_lines(valid)

    def drawn(draw: Draw) -> bytes:
        if draw.random() < 0.4:
            return damage(whole, draw, draw.randrange(5))
        return as_lines([edit(each, draw, draw.choice((0, 0, 1, 2))) for each in valid])

    return drawn


def finite(value: Any) -> None:
    """No number in it is NaN or infinite."""
    assert all(math.isfinite(number) for number in every_number(value))


EXAMPLES = [
    b'{"schema_version": 1, "item": ' + b"[" * 100_000 + b"\n{}\n",
    b'{"schema_version": 1, "score": NaN}\n{"schema_version": 1}\n',
    b'{"schema_version": 1, "score": 1e999}\n{"schema_version": 1}\n',
    b'{"schema_version": 1}\n',
    b"\xff\xfe\n\n",
    b"",
]


@profiles
def test_records(tmp_path: Path, number: int) -> None:
    """Read, and appended to: what is there stays, a torn tail goes, and the rest reads back."""
    path = tmp_path / "scores.jsonl"
    more = {**SCORE, "item": "more"}

    def body(data: bytes) -> bool:
        path.write_bytes(data)

        def check(records: list[dict[str, Any]]) -> None:
            finite(records)
            with RecordWriter(path) as writer:
                writer.write([more])
            assert read_records(path) == [*records, more]

        return takes(lambda: read_records(path), check)

    hold(body, lines(SCORE, FACTS, TRUTH), number=number, folder=tmp_path, examples=EXAMPLES)


def of_file(
    folder: Path, name: str, read: Callable[[], object], *valid: dict[str, Any], number: int
) -> None:
    """Hold that `read` takes a file of the folder or refuses it."""

    def body(data: bytes) -> bool:
        (folder / name).write_bytes(data)
        return takes(read, finite)

    hold(body, lines(*valid), number=number, folder=folder, examples=EXAMPLES)


@profiles
def test_results_of_a_run(tmp_path: Path, number: int) -> None:
    failed = {**GENERATION, "item": "x", "image": None, "status": "failed", "error": "it burnt"}
    valid = ((GENERATION, failed), (SCORE, FACTS, TRUTH))

    def drawn(draw: Draw) -> tuple[bytes, bytes, bytes]:
        scorers = as_json(edit(SCORERS, draw, draw.choice((0, 0, 1))))
        generations, scores = (lines(*each)(draw) for each in valid)
        return generations, scores, damage(scorers, draw, draw.choice((0, 0, 0, 1)))

    def body(case: tuple[bytes, bytes, bytes]) -> bool:
        names = ("generations.jsonl", "scores.jsonl", "scorers.json")
        for name, data in zip(names, case, strict=True):
            (tmp_path / name).write_bytes(data)

        def check(results: Mapping[str, Any]) -> None:
            for item, result in results.items():
                assert result.item == item
                assert all(math.isfinite(score) for score in result.scores.values())
                assert all(map(math.isfinite, result.attributes or ()))
                assert all(isinstance(right, bool) for right in (result.facts or {}).values())

        return takes(lambda: read_results(tmp_path), check)

    deep = b'{"schema_version": 1, "scorers": ' + b"[" * 100_000
    examples = [(each, each, deep) for each in EXAMPLES]
    hold(body, drawn, number=number, folder=tmp_path, examples=examples)


@profiles
def test_verdicts_of_a_run(tmp_path: Path, number: int) -> None:
    """What was paid is never below nothing, whatever the records say."""

    def read() -> object:
        known, paid = done(tmp_path / "judgments.jsonl", [CALL]), spent(tmp_path)
        assert paid >= 0
        assert all(record["status"] == "ok" for record in known.values())
        return [*known.values(), paid]

    (tmp_path / "begun.jsonl").write_bytes(
        as_lines([{"schema_version": 1, "call": CALL.id, "bound": 0.5}])
    )
    of_file(tmp_path, "judgments.jsonl", read, FAILED, JUDGMENT, number=number)


@profiles
def test_calls_that_were_begun(tmp_path: Path, number: int) -> None:
    def read() -> float:
        paid = spent(tmp_path)
        assert paid >= 0
        return paid

    begun = {"schema_version": 1, "call": CALL.id, "bound": 0.5}
    of_file(tmp_path, "begun.jsonl", read, begun, {**begun, "call": "x"}, number=number)


@profiles
def test_verdicts_that_are_said_again(tmp_path: Path, number: int) -> None:
    def read() -> object:
        judge = ReplayJudge(tmp_path / "judgments.jsonl")
        assert json.dumps(dict(judge.info.settings), allow_nan=False)
        return list(judge.info.settings.values())

    of_file(tmp_path, "judgments.jsonl", read, JUDGMENT, FAILED, number=number)


@profiles
def test_verdicts_that_are_kept(number: int) -> None:
    """A record holds a verdict that is written back as it was read, or none."""
    plain = {key: value for key, value in JUDGMENT.items() if key != "schema_version"}

    def body(record: Any) -> bool:
        if not isinstance(record, dict):
            return False
        try:
            verdict = verdict_of(record)
        except ValueError:
            return False
        finite([verdict.log_odds, verdict.confidence, verdict.cost])
        assert verdict.cost >= 0
        assert verdict_of(verdict_record(verdict)) == verdict
        return True

    hold(body, lambda draw: edit(plain, draw, draw.randrange(4)), number=number)


@profiles
def test_files_of_batches(tmp_path: Path, number: int) -> None:
    path = tmp_path / "replies.jsonl"
    message = {"role": "assistant", "content": '{"choice": "A", "reason": "redder"}'}
    body_of = {
        "model": "gpt-x",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 2},
    }
    reply = {
        "id": "1",
        "custom_id": "00" * 16,
        "response": {"status_code": 200, "request_id": "r", "body": body_of},
        "error": None,
    }
    error = {"code": "rate_limit_exceeded", "message": "slow down"}
    wrong = {
        **reply,
        "custom_id": "11" * 16,
        "response": {"status_code": 429, "body": {"error": error}},
    }

    def read() -> object:
        found = read_replies(path, model="gpt-x", format_asked=True, price=(1.0, 2.0))
        for verdict in found.values():
            assert verdict_of(verdict_record(verdict)) == verdict
        return [verdict.cost for verdict in found.values()]

    of_file(tmp_path, path.name, read, reply, wrong, number=number)


@profiles
def test_where_users_stand(tmp_path: Path, number: int) -> None:
    about = {"schema_version": 1, "encoder": "onehot", "kind": "topics", "variant": "own"}
    item = {**about, "identity": "i", "user": "u1", "group": 0, "better": 0, "tied": 1}
    item |= {"rank": 1.0, "of": 9}
    closing = {**about, "identity": "i", "items": 1, "n_users": 9, "n_train": 12, "seed": 0}
    left = {**about, "variant": None, "left_out": "no pairs"}
    of_file(
        tmp_path,
        "users.jsonl",
        lambda: [str(read_users(tmp_path))][:0],
        *(item, closing, left, item, closing),
        number=number,
    )


@profiles
def test_divergence_and_diversity(tmp_path: Path, number: int) -> None:
    nats = {
        "schema_version": 1,
        "item": "i",
        "reference": "r",
        "nats": [0.5, 0.25],
        "error": None,
    }
    distance = {
        "schema_version": 1,
        "scorer": "s",
        "identity": "i",
        "generator": "ppd",
        "user": None,
        "caption_id": "c",
        "images": [SHA, SHA],
        "distance": 0.5,
        "error": None,
    }
    left = {"schema_version": 1, "scorer": "s", "identity": "i", "left_out": "no embeddings"}

    def body(case: tuple[bytes, bytes]) -> bool:
        for name, data in zip(("divergence.jsonl", "diversity.jsonl"), case, strict=True):
            (tmp_path / name).write_bytes(data)
        known = takes(
            lambda: (read_divergence(tmp_path, "r"), divergence_errors(tmp_path)),
            lambda both: finite(list(both[0].values())),
        )
        other = takes(
            lambda: (read_diversity(tmp_path, "s", "i"), why_no_diversity(tmp_path, "s", "i")),
            lambda both: finite(list(both[0].values())),
        )
        return known and other

    made = (lines(nats, {**nats, "nats": None, "error": "x"}), lines(distance, left))
    hold(
        body,
        lambda draw: (made[0](draw), made[1](draw)),
        number=number,
        folder=tmp_path,
        examples=[(each, each) for each in EXAMPLES],
    )


def test_a_verdict_store_of_hostile_values_holds_none(tmp_path: Path) -> None:
    """The store of all runs: what cannot be a verdict is as none."""
    from ppdbench.judges.store import VerdictStore

    store = VerdictStore(tmp_path / "verdicts.sqlite", lambda _: None)
    values = [as_json(text) for text in TEXTS] + EXAMPLES + [b"[" * 100_000, as_json([1])]
    keys = {bytes([number]) * 16: value for number, value in enumerate(values)}
    KeyStore.replace(store, "verdict", keys)
    assert store.known(keys) == {}


@profiles
def test_curves_on_record(tmp_path: Path, number: int, curves: tuple[Any, bytes]) -> None:
    """A damaged file of curves is left out, with a note, and stops nothing."""
    setting, valid = curves
    (tmp_path / setting.suite).mkdir()
    path = tmp_path / setting.suite / "tradeoff.jsonl"
    parsed = [json.loads(line) for line in valid.splitlines()]

    def drawn(draw: Draw) -> bytes:
        if draw.random() < 0.4:
            return damage(valid, draw, draw.randrange(4))
        at = draw.randrange(len(parsed))
        changed = [edit(each, draw, int(at == n)) for n, each in enumerate(parsed)]
        return as_lines(changed)

    def body(data: bytes) -> bool:
        path.write_bytes(data)
        notes: list[str] = []
        found = recorded_curves(setting, note=notes.append, root=tmp_path)
        for row in found.rows:
            for by_caption in row.means.values():
                for means in by_caption.values():
                    finite([*means.scores.values(), means.divergence or 0, means.diversity or 0])
        assert found.rows or len(notes) == 1
        return bool(found.rows)

    hold(body, drawn, number=number, folder=tmp_path, examples=EXAMPLES)


@pytest.fixture
def curves(tmp_path: Path) -> tuple[Any, bytes]:
    """A setting, and a file of curves of it."""
    from ppdbench.entries.curves import CurveRow, Means, Setting, write_curves
    from ppdbench.entries.recorded import Baseline
    from ppdbench.protocols import Checkpoint

    setting = Setting(
        suite="town",
        suite_version="1",
        suite_digest="d",
        baseline=Baseline(name="base", revision="r" * 12),
        scorers={"reward:clip": "i", "reward:red": "j"},
        embedder="reward:clip",
        samples=2,
    )
    means = Means(scores={"clip": 0.5, "red": 1.0}, divergence=2.0, before_last=1.0, diversity=0.1)
    row = CurveRow(
        name="ppd",
        version="1",
        revision="r",
        licence="MIT",
        source="fresh",
        means={"reward:clip": {"c1": means, "c2": means}, None: {"c1": means}},
        checkpoint=Checkpoint(method="ppd", step=3, steps=9),
        by_step={None: (1.0, 2.0)},
    )
    made = write_curves(tmp_path / "made", setting, ["c1", "c2"], [row], "2026-01-01")
    return setting, made.read_bytes()
