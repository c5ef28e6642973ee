"""The judges that run a model here: `vlm`, by the shipped model and a tiny one, and `scalar`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from noise import pictures, questions, shots, swapped, verdicts
from tiny_vlm import write_vlm

from ppdbench.errors import MissingPrerequisite, UsageError
from ppdbench.judges import prompt, vlm_judge
from ppdbench.judges.load import make_judge
from ppdbench.judges.vlm_judge import VlmJudge
from ppdbench.protocols import Judge, JudgeContext
from ppdbench.rewards.load import load_reward
from ppdbench.suites.shapes.suite import ShapesSuite
from ppdbench.users.vlm_files import find_vlm
from ppdbench.users.vlm_load import load_vlm


def make(name: str, suite: Any = None) -> Any:
    return make_judge(name, JudgeContext(suite=suite or ShapesSuite(), device="cpu"))


@pytest.fixture(scope="module")
def vlm() -> Iterator[VlmJudge]:
    judge = make("vlm")
    assert isinstance(judge, VlmJudge)
    yield judge


# --- vlm ----------------------------------------------------------------------------------------


def test_verdicts_are_the_models_next_token(vlm: VlmJudge) -> None:
    asked = questions(6, shots(4))
    model = load_vlm(find_vlm(ShapesSuite().vlm), "cpu")
    ready = model.prepare(
        [prompt.question_text(each) for each in asked],
        [prompt.question_images(each) for each in asked],
    )
    expected = model.choice_log_odds(ready).tolist()
    found = verdicts(vlm, asked)
    assert [verdict.log_odds for verdict in found] == pytest.approx(expected, abs=1e-4)
    assert [verdict.choice for verdict in found] == [
        "first" if odds > 0 else "second" for odds in expected
    ]
    assert max(expected) - min(expected) > 0.01
    for verdict, row in zip(found, ready.rows, strict=True):
        assert verdict.details["tokens_in"] == len(row)
        assert verdict.details["slots"] == prompt.slots(asked[0].shots)
        assert verdict.details["seconds"] > 0
        assert verdict.details["model"] == "vlm"
        assert verdict.cost == 0.0


def test_verdicts_do_not_depend_on_the_batch(
    vlm: VlmJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [
        *questions(20, shots(4)),
        *questions(10, (), seed=1),
        *questions(10, shots(8, seed=4), seed=2),
    ]
    asked = [asked[at] for at in np.random.default_rng(0).permutation(len(asked))]
    together = verdicts(vlm, asked)
    alone = [verdicts(vlm, [each])[0] for each in asked[::5]]
    monkeypatch.setattr(vlm_judge, "BATCH_TOKENS", 700)
    bounded = verdicts(vlm, asked)
    for several in (together[::5], bounded[::5]):
        assert [v.choice for v in several] == [v.choice for v in alone]
        odds = [v.log_odds for v in several]
        assert odds == pytest.approx([v.log_odds for v in alone], abs=1e-4)


def test_the_order_is_seen_and_the_shots_are(vlm: VlmJudge) -> None:
    asked = questions(8, shots(4))
    own = np.array([v.log_odds for v in verdicts(vlm, asked)])
    other = np.array([v.log_odds for v in verdicts(vlm, swapped(asked))])
    assert np.abs(own + other).max() > 1e-3  # not symmetric by construction
    shown = [replace(each, shots=shots(4, seed=9)) for each in asked]
    assert np.abs(own - [v.log_odds for v in verdicts(vlm, shown)]).max() > 1e-3


def test_an_estimate_is_a_bound_and_nothing_is_loaded_for_it(
    vlm: VlmJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [questions(1, shots(count))[0] for count in (0, 1, 4, 8)]
    asked.append(replace(asked[2], caption="ein großer Kreis " * 20))
    taken = [verdict.details["tokens_in"] for verdict in verdicts(vlm, asked)]
    monkeypatch.setattr(vlm_judge, "load_vlm", None)
    fresh = make("vlm")
    for each, tokens in zip(asked, taken, strict=True):
        estimate = fresh.estimate(each)
        assert tokens <= estimate.tokens_in < 3 * tokens + 100
        assert (estimate.tokens_out, estimate.cost) == (0, 0.0)


def test_a_question_that_fails_costs_the_others_nothing(vlm: VlmJudge) -> None:
    fine = questions(3, shots(4))
    asked = [
        fine[0],
        replace(fine[0], shots=shots(9)),
        fine[1],
        replace(fine[0], caption="x" * 100_000),
        fine[2],
    ]
    found = verdicts(vlm, asked)
    assert [verdict.status for verdict in found] == ["ok", "api_error", "ok", "api_error", "ok"]
    assert "9 shots: the model takes 8 at most" in (found[1].error or "")
    assert "a prompt has" in (found[3].error or "")
    assert [found[at].choice for at in (1, 3)] == [None, None]
    expected = [verdict.log_odds for verdict in verdicts(vlm, fine)]
    assert [found[at].log_odds for at in (0, 2, 4)] == pytest.approx(expected, abs=1e-4)


def test_another_model_by_its_folder(vlm: VlmJudge, tmp_path: Path) -> None:
    folder = write_vlm(tmp_path / "other-model")
    judge = make(f"vlm:{folder}")
    assert judge.info.name == "vlm:other-model"
    assert judge.info.settings["model"] == "other-model"
    assert judge.info.revision != vlm.info.revision
    assert judge.info.personal
    (nine,) = questions(1, shots(9))  # nobody said how many it takes
    assert verdicts(judge, [nine])[0].status == "ok"
    moved = shutil.copytree(folder, tmp_path / "moved")
    assert make(f"vlm:{moved}").info.revision == judge.info.revision
    suite = SimpleNamespace(vlm=str(moved), name="toy")  # that knows no `vlm_max_shots`
    assert verdicts(make("vlm", suite), [nine])[0].status == "ok"


def test_a_revision_covers_all_that_changes_a_verdict(
    vlm: VlmJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = find_vlm(ShapesSuite().vlm)
    revisions = [VlmJudge(files).info.revision]
    assert revisions[0] == vlm.info.revision == VlmJudge(files, max_shots=2).info.revision
    revisions.append(VlmJudge(files, precision="bf16").info.revision)
    for constant, value in (("VERSION", "another"), ("MAX_SIDE", 32)):
        with monkeypatch.context() as patch:
            patch.setattr(prompt, constant, value)
            revisions.append(VlmJudge(files).info.revision)
    with monkeypatch.context() as patch:
        patch.setattr(vlm_judge, "libraries", lambda: {"torch": "0.1"})
        revisions.append(VlmJudge(files).info.revision)
    assert len(set(revisions)) == len(revisions) == 5


def test_what_is_missing_is_told_at_once(tmp_path: Path) -> None:
    suite = SimpleNamespace(vlm=str(tmp_path / "nowhere"), name="toy")
    for name in ("vlm", f"vlm:{tmp_path / 'nowhere'}"):
        with pytest.raises(MissingPrerequisite, match="no such folder"):
            make(name, suite)
    folder = write_vlm(tmp_path / "damaged")
    (folder / "model.safetensors").write_bytes(b"no weights")
    judge = make(f"vlm:{folder}")  # its files are there
    with pytest.raises(MissingPrerequisite, match="cannot be loaded"):
        verdicts(judge, questions(2, ()))


# --- scalar -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scalar() -> Judge:
    judge: Judge = make("scalar:hps")
    return judge


def test_the_higher_score_is_chosen_in_either_order(scalar: Judge) -> None:
    asked = questions(40, shots(1))
    spec = next(spec for spec in ShapesSuite().rewards() if spec.name == "hps")
    reward = load_reward(spec, "cpu")
    captions = [each.caption for each in asked]
    firsts = reward.score([each.first for each in asked], captions)
    seconds = reward.score([each.second for each in asked], captions)
    one, other = verdicts(scalar, asked), verdicts(scalar, swapped(asked))
    assert [v.log_odds for v in one] == pytest.approx(list(firsts - seconds), abs=1e-3)
    assert [v.log_odds for v in one] == [-(v.log_odds or 0) for v in other]
    turned = {"first": "second", "second": "first"}
    assert [v.choice for v in other] == [turned[v.choice or ""] for v in one]
    assert {v.choice for v in one} == {"first", "second"}


def test_it_is_not_personal_and_reads_the_caption(scalar: Judge) -> None:
    asked = questions(12, shots(2))
    own = [v.log_odds for v in verdicts(scalar, asked)]
    others = [replace(each, shots=shots(3, seed=8), repeat=1) for each in asked]
    assert [v.log_odds for v in verdicts(scalar, others)] == own
    captioned = [replace(each, caption="a blue square") for each in asked]
    assert [v.log_odds for v in verdicts(scalar, captioned)] != own
    assert not scalar.info.personal
    assert scalar.info.name == "scalar:hps"


def test_equal_scores_abstain(scalar: Judge) -> None:
    (asked,) = questions(1, ())
    same = replace(asked, first=pictures(1)[0], second=pictures(1)[0])
    (verdict,) = verdicts(scalar, [same])
    assert (verdict.choice, verdict.log_odds) == ("abstain", 0.0)


def test_a_name_that_is_none_is_told_with_those_that_are(scalar: Judge) -> None:
    with pytest.raises(UsageError, match=r"(?s)'hsp'.*did you mean hps.*aesthetic-gold"):
        make("scalar:hsp")
    with pytest.raises(UsageError, match="needs a reward"):
        make("scalar")
    assert make("scalar:hps-gold").info.revision != scalar.info.revision
