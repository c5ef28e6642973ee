from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from recording import record_entry

from ppdbench.data.plain_yaml import parse_yaml, write_yaml
from ppdbench.entries.recorded import Baseline, recorded
from ppdbench.errors import PpdbenchError, UsageError
from ppdbench.runs.records import RecordWriter
from ppdbench.runs.results import write_scorers
from ppdbench.runs.seeds import noise_seed

SCORERS = {"reward:r": "aaa", "fidelity": "fff"}
BASE = Baseline(name="plain", revision="b1" * 32)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of one generator on three captions, as files."""
    folder = tmp_path / "run"
    spec = {
        "schema_version": 1,
        "suite": "toy",
        "suite_version": "1",
        "suite_digest": "d1",
        "limit": None,
        "baseline": "plain",
        "sampling": {"steps": 4},
        "generators": {"sft": {"revision": "r1"}, "plain": {"revision": BASE.revision}},
    }
    about = {"version": "1", "revision": "r1", "licence": "MIT", "settings": {"steps": 4}}
    about |= {"conditions_on": []}
    summary = {"complete": True, "generators": {"sft": about}}
    folder.mkdir()
    (folder / "spec.json").write_text(json.dumps(spec))
    (folder / "summary.json").write_text(json.dumps(summary))
    write_scorers(folder, {key: {"identity": sha} for key, sha in SCORERS.items()})
    with (
        RecordWriter(folder / "generations.jsonl") as drawn,
        RecordWriter(folder / "scores.jsonl") as scored,
    ):
        for caption in ("a", "b", "c"):
            item: dict[str, Any] = {"item": f"sft/-/{caption}/0", "image": caption * 64}
            drawn.write(
                [
                    {
                        **item,
                        "generator": "sft",
                        "caption_id": caption,
                        "user": None,
                        "sample": 0,
                        "seed": noise_seed("1", caption, 0),
                        "status": "ok",
                        "error": None,
                    }
                ]
            )
            scored.write(
                [
                    {**item, "scorer": "reward:r", "identity": "aaa", "score": 0.1 + 0.2},
                    {**item, "scorer": "fidelity", "identity": "fff", "facts": {"all": True}},
                ]
            )
    return folder


def change(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def edit(path: Path, **fields: Any) -> None:
    """Change fields of an entry.yaml; None takes one away."""
    found = {**parse_yaml(path.read_bytes()), **fields}
    path.write_text(write_yaml({key: value for key, value in found.items() if value is not None}))


def test_what_is_recorded_comes_back(run: Path, tmp_path: Path) -> None:
    assert record_entry(run, "sft", tmp_path / "out" / "toy") == tmp_path / "out" / "toy" / "sft"
    found = recorded("toy", "d1", BASE, SCORERS, root=tmp_path / "out")
    assert list(found) == ["sft"]
    entry = found["sft"]
    assert (entry.revision, entry.licence, entry.settings) == ("r1", "MIT", {"steps": 4})
    assert [result.caption_id for result in entry.results] == ["a", "b", "c"]
    assert entry.results[0].scores == {"r": 0.1 + 0.2}  # to the last bit
    assert entry.results[0].facts == {"all": True}
    assert entry.results[0].item == "sft/-/a/0"
    assert len(entry.sha256) == 64


@pytest.mark.parametrize(
    ("digest", "base", "scorers", "reason"),
    [
        ("d2", BASE, SCORERS, "another version of the suite"),
        ("d1", BASE, {**SCORERS, "reward:r": "bbb"}, "another reward:r"),
        ("d1", BASE, {**SCORERS, "reward:new": "nnn"}, "another reward:new"),
        ("d1", replace(BASE, revision="b2"), SCORERS, "plain of revision b1b1b1b1b1b1; here it"),
        ("d1", replace(BASE, name="flat"), SCORERS, "here it is flat"),
    ],
)
def test_what_is_not_comparable_is_left_out_with_a_note(
    run: Path,
    tmp_path: Path,
    digest: str,
    base: Baseline,
    scorers: dict[str, str],
    reason: str,
) -> None:
    record_entry(run, "sft", tmp_path / "out" / "toy")
    notes: list[str] = []
    found = recorded("toy", digest, base, scorers, note=notes.append, root=tmp_path / "out")
    assert found == {}
    assert len(notes) == 1
    assert reason in notes[0]
    assert "sft" in notes[0]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda entry: (entry / "scores.jsonl").write_text("{}\n"), "damaged"),
        (lambda entry: (entry / "scores.jsonl").unlink(), "damaged"),
        (lambda entry: (entry / "entry.yaml").write_text("{"), "damaged"),
        (lambda entry: edit(entry / "entry.yaml", n=4), "3 of 4 items"),
        (lambda entry: edit(entry / "entry.yaml", suite_version="2"), "other noise"),
        (lambda entry: edit(entry / "entry.yaml", schema_version=1), "schema_version 1"),
        (lambda entry: edit(entry / "entry.yaml", baseline=None), "which baseline"),
    ],
)
def test_a_bad_entry_does_not_take_the_others_along(
    run: Path, tmp_path: Path, damage: Any, reason: str
) -> None:
    out = tmp_path / "out"
    damage(record_entry(run, "sft", out / "toy"))
    change(run / "spec.json", generators={"sft2": {}, "plain": {"revision": BASE.revision}})
    about = json.loads((run / "summary.json").read_text())["generators"]["sft"]
    change(run / "summary.json", generators={"sft2": about})
    text = (run / "generations.jsonl").read_text()
    (run / "generations.jsonl").write_text(text.replace('"sft"', '"sft2"'))
    record_entry(run, "sft2", out / "toy")
    notes: list[str] = []
    assert list(recorded("toy", "d1", BASE, SCORERS, note=notes.append, root=out)) == ["sft2"]
    assert len(notes) == 1
    assert reason in notes[0]


def test_a_suite_without_entries_has_none(tmp_path: Path) -> None:
    assert recorded("toy", "d1", BASE, root=tmp_path) == {}


def test_only_whole_runs_are_recorded(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sfft"):
        record_entry(run, "sfft", tmp_path)
    change(run / "spec.json", limit=2)
    with pytest.raises(PpdbenchError, match="does not cover"):
        record_entry(run, "sft", tmp_path)
    change(run / "spec.json", limit=None)
    change(run / "summary.json", complete=False)
    with pytest.raises(PpdbenchError, match="does not cover"):
        record_entry(run, "sft", tmp_path)
    (run / "summary.json").unlink()
    with pytest.raises(PpdbenchError, match="not finished"):
        record_entry(run, "sft", tmp_path)
    assert not (tmp_path / "sft").exists()
