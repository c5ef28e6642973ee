"""`compare` on people: true wins, a judge's picks, users told apart, and when these cannot be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import people_world
import pytest
import toy_judges
from compared_runs import check_mirrored, compared
from judged_town import FEW, judge, use_judges
from people_world import ToyTruth
from town_runs import run
from toy_runs import summary_of

from ppdbench.errors import FingerprintMismatch, UsageError
from ppdbench.protocols import EncoderInfo, LoadContext, UserCode, UserContext
from ppdbench.runs.records import RecordWriter, read_records

world = pytest.fixture(autouse=True)(use_judges)
ALIKE = "not distinguishable"


def personal(tmp_path: Path, model: str, **options: Any) -> Path:
    return run(tmp_path, model, **{"limit": 6, **options})


def truly(folder: Path, model: str, own: bool) -> dict[str, float]:
    """Caption -> its owner's utility of the model's picture, from the records."""
    drawn = {
        r["item"]: r["caption_id"]
        for r in read_records(folder / "generations.jsonl")
        if r["generator"] == model and r["arm"] == ("own" if own else "nobody")
    }
    truth, found = ToyTruth(), {}
    for record in read_records(folder / "scores.jsonl"):
        if record["scorer"] == "truth" and record["item"] in drawn:
            caption = drawn[record["item"]]
            user = caption.split("-")[1]
            (found[caption],) = truth.utility(user, np.array([record["attributes"]])).tolist()
    return found


def test_true_wins_are_those_of_the_captions_owners(tmp_path: Path) -> None:
    """Who hears users against who draws one picture for all; figures by hand."""
    oracle, plain = personal(tmp_path, "oracle"), personal(tmp_path, "brighter")
    found = compared(tmp_path, oracle, plain)["benchmarks"]["personal"]["A-B"]
    ours, theirs = truly(oracle, "oracle", own=True), truly(plain, "brighter", own=False)
    base = truly(oracle, "plain", own=False)
    assert len(ours) == len(theirs) == len(base) == 12
    for split in ("seen", "unseen", "all"):
        keys = [key for key in ours if split == "all" or key.startswith(f"{split}-")]
        wins = fmean((ours[key] > theirs[key]) + 0.5 * (ours[key] == theirs[key]) for key in keys)
        cell = found[split]["head_to_head"]
        assert cell["win_rate"] == pytest.approx(wins)
        assert (cell["n"], cell["n_clusters"], cell["n_expected"]) == (len(keys),) * 3
        over = [
            fmean((own[key] > base[key]) + 0.5 * (own[key] == base[key]) for key in keys)
            for own in (ours, theirs)
        ]
        assert found[split]["over_baseline"]["difference"] == pytest.approx(over[0] - over[1])
    assert found["all"]["head_to_head"]["verdict"] == "A higher"


def test_swapping_mirrors_true_wins_a_judges_picks_and_users_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_noisy_encoder(monkeypatch)
    runs = [
        (personal(tmp_path, "oracle"), personal(tmp_path, "bright-for-all")),
        (judge(tmp_path, model="oracle"), judge(tmp_path, model="bright-for-all")),
        (told_apart(tmp_path, "pairs"), told_apart(tmp_path, "noisy")),
    ]
    for number, (one, other) in enumerate(runs):
        there = compared(tmp_path, one, other, out=f"there-{number}")
        back = compared(tmp_path, other, one, out=f"back-{number}")
        assert check_mirrored(there, back) >= 3


def test_who_cannot_serve_a_split_is_not_compared_there(tmp_path: Path) -> None:
    ider, oracle = personal(tmp_path, "ider"), personal(tmp_path, "oracle")
    found = compared(tmp_path, ider, oracle)["benchmarks"]["personal"]["A-B"]
    for split in ("unseen", "all"):
        assert found[split]["reason"] == "ider cannot serve unseen users"
        assert found[split]["head_to_head"]["win_rate"] is None
    assert found["seen"]["head_to_head"]["n"] == 6


def test_other_users_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle = personal(tmp_path, "oracle")
    monkeypatch.setattr(people_world, "rename", lambda user: f"u{user}")
    other = personal(tmp_path, "bright-for-all")
    with pytest.raises(FingerprintMismatch, match=r"other users: their digest is \w+ in oracle"):
        compared(tmp_path, oracle, other)


def test_what_one_benchmark_lacks_costs_the_other_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ["rewards", "personal"]
    oracle = personal(tmp_path, "oracle", benchmarks=both)
    monkeypatch.setattr(people_world, "rename", lambda user: f"u{user}")
    other = personal(tmp_path, "bright-for-all", benchmarks=both)
    found = compared(tmp_path, oracle, other)
    assert "rewards" in found["benchmarks"] and "personal" not in found["benchmarks"]
    (told,) = (each for each in found["left_out"] if each["benchmark"] == "personal")
    assert told["runs"] == "A-B" and "other users" in told["reason"]


def test_a_suite_that_is_gone_costs_true_wins_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = ["rewards", "personal"]
    runs = [personal(tmp_path, name, benchmarks=both) for name in ("oracle", "bright-for-all")]
    monkeypatch.setattr("ppdbench.plugins.entry_points", lambda _group: [])
    found = compared(tmp_path, *runs)
    assert list(found["benchmarks"]) == ["rewards", "rewards_gold", "caption_fidelity"]
    assert any("no suite is called 'town'" in each["reason"] for each in found["left_out"])


# --- a judge --------------------------------------------------------------------------------------


def test_a_judges_rates_are_those_of_the_runs(tmp_path: Path) -> None:
    oracle, bright = judge(tmp_path, model="oracle"), judge(tmp_path, model="bright-for-all")
    found = compared(tmp_path, oracle, bright)["benchmarks"]["judge"]["A-B"]
    assert set(found) == {"seen", "unseen", "all"}
    for split, arms in found.items():
        for arm in ("shared", "disjoint"):
            ours, theirs = (
                summary_of(folder)["benchmarks"]["judge"][split][arm]["win_rate"]
                for folder in (oracle, bright)
            )
            assert (arms[arm]["a"], arms[arm]["b"]) == (pytest.approx(ours), pytest.approx(theirs))
            assert arms[arm]["difference"] == pytest.approx(ours - theirs)
            assert arms[arm]["n"] == arms[arm]["n_expected"] == FEW * (2 if split == "all" else 1)
    assert "consistent" not in json.dumps(found)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"judge": "blind"}, "another judge: judge.name is taste in oracle and blind"),
        ({"shots": 3}, "another number of shots: shots is 4 in oracle and 3"),
        ({"baseline": "brighter"}, "other baselines: plain and brighter"),
        ({"judge_shots": "shared"}, None),
    ],
    ids=str,
)
def test_another_judge_shots_or_baseline_is_not_comparable(
    tmp_path: Path, change: dict[str, Any], reason: str | None
) -> None:
    oracle = judge(tmp_path, model="oracle")
    other = judge(tmp_path, model="bright-for-all", **change)
    if reason is not None:
        with pytest.raises(FingerprintMismatch, match=reason):
            compared(tmp_path, oracle, other)
        return
    found = compared(tmp_path, oracle, other)["benchmarks"]["judge"]["A-B"]["seen"]
    assert found["shared"]["n"] == FEW
    assert found["disjoint"]["reason"] == "bright-for-all asked nothing with disjoint shots"


def test_another_prompt_of_the_judge_is_another_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oracle = judge(tmp_path, model="oracle")
    monkeypatch.setattr(toy_judges, "revision", "2")
    other = judge(tmp_path, model="bright-for-all")
    with pytest.raises(FingerprintMismatch, match=r"judge\.revision is 1 in oracle and 2"):
        compared(tmp_path, oracle, other)


def test_a_call_without_a_verdict_is_no_tie(tmp_path: Path) -> None:
    runs = [
        judge(tmp_path, model=model, judge="refuser", fail_on_error=0.9)
        for model in ("oracle", "bright-for-all")
    ]
    found = compared(tmp_path, *runs)["benchmarks"]["judge"]["A-B"]["all"]["disjoint"]
    judged = []
    for folder in runs:
        orders: dict[Any, list[str]] = {}
        for record in read_records(folder / "judgments.jsonl"):
            if record["arm"] == "disjoint" and record["status"] == "ok":
                orders.setdefault(record["caption_id"], []).append(record["choice"])
        judged.append({caption for caption, said in orders.items() if len(said) == 2})
    assert 0 < found["n"] == len(judged[0] & judged[1]) < found["n_expected"] == 2 * FEW


def test_a_verdict_about_an_older_picture_does_not_count(tmp_path: Path) -> None:
    oracle, bright = judge(tmp_path, model="oracle"), judge(tmp_path, model="bright-for-all")
    last = next(
        r
        for r in read_records(oracle / "generations.jsonl")
        if r["generator"] == "oracle" and r["arm"] == "own" and r["caption_id"].startswith("seen-")
    )
    with RecordWriter(oracle / "generations.jsonl") as file:
        file.write([{**last, "image": "0" * 64}])
    found = compared(tmp_path, oracle, bright)["benchmarks"]["judge"]["A-B"]["seen"]["shared"]
    assert (found["n"], found["n_expected"]) == (FEW - 1, FEW)


# --- encoders -------------------------------------------------------------------------------------


class NoisyEncoder(people_world.PairEncoder):
    """Hardly hears the shots."""

    info = EncoderInfo(name="noisy", revision="1", dim=3, uses="shots")

    def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
        found: list[UserCode | None] = []
        for user in users:
            seed = sum(shot.caption.encode()[-1] for shot in user.shots) + len(found)
            luck = np.random.default_rng(seed).normal(0, 3, 3)
            found.append(UserCode(embedding=luck.astype(np.float32)))
        return found


def noisy_encoder(_: LoadContext) -> NoisyEncoder:
    return NoisyEncoder()


def use_noisy_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    encoders = {**people_world.OWN["encoders"], "noisy": f"{__name__}:noisy_encoder"}
    monkeypatch.setitem(people_world.OWN, "encoders", encoders)


def told_apart(tmp_path: Path, encoder: str, **options: Any) -> Path:
    chosen: dict[str, Any] = {"models": [], "encoders": [encoder], "limit": None, **options}
    found: Path = run(tmp_path, benchmarks=["users"], **{"models": None, **chosen})
    return found


def test_a_better_encoder_is_found_by_its_test_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_noisy_encoder(monkeypatch)
    pairs, noisy = told_apart(tmp_path, "pairs"), told_apart(tmp_path, "noisy")
    found = compared(tmp_path, pairs, noisy)["benchmarks"]["users"]["A-B"]
    assert (found["a_encoder"], found["b_encoder"]) == ("pairs", "noisy")
    for name, cell in found["topics"].items():
        ours, theirs = (
            summary_of(folder)["benchmarks"]["users"][encoder][name]
            for folder, encoder in ((pairs, "pairs"), (noisy, "noisy"))
        )
        assert (cell["a"], cell["b"]) == (pytest.approx(ours), pytest.approx(theirs))
    assert found["topics"]["top1"]["difference"] > 0
    assert found["topics"]["top1"]["n"] == 12
    assert "did not measure it" in found["common"]["reason"]


def test_one_encoder_in_both_runs_or_other_users_is_nothing_to_compare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_noisy_encoder(monkeypatch)
    pairs = told_apart(tmp_path, "pairs")
    with pytest.raises(FingerprintMismatch, match="both tell users apart by pairs"):
        compared(tmp_path, pairs, told_apart(tmp_path / "again", "pairs"))
    with pytest.raises(FingerprintMismatch, match="other users to tell apart: 12 in pairs and 8"):
        compared(tmp_path, pairs, told_apart(tmp_path, "noisy", limit=8))
    assert not (tmp_path / "compared").exists()


def test_runs_without_a_benchmark_in_common_are_refused(tmp_path: Path) -> None:
    judged, drawn = judge(tmp_path, model="oracle"), personal(tmp_path, "bright-for-all")
    with pytest.raises(UsageError, match="oracle has judge; bright-for-all has personal"):
        compared(tmp_path, judged, drawn)
