"""`compare` on the trade-off: gains, divergence and diversity of the runs' own models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_world
import pytest
from compared_runs import cells, check_mirrored, compared, copied, measured
from toy_runs import summary_of, use_toy_world

from ppdbench.errors import FingerprintMismatch

ALIKE = "not distinguishable"
AXES = ("divergence", "divergence_before_last")


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_toy_world(monkeypatch, tmp_path)
    monkeypatch.setattr(fake_world, "embeds", True)


def traded(tmp_path: Path, model: str, **options: Any) -> Path:
    return measured(tmp_path, model, benchmarks=["tradeoff"], **options)


def figures(found: Any) -> Any:
    return found["benchmarks"]["tradeoff"]["A-B"]


def point(run: Path, user: str | None) -> Any:
    """The model's point, as the run's own report has it."""
    found = summary_of(run)
    points = found["benchmarks"]["tradeoff"]["points"]
    return next(p for p in points if (p["row"], p["user"]) == (found["model"], user))


def change(run: Path, edit: Callable[[Any], Any]) -> None:
    path = run / "summary.json"
    found = json.loads(path.read_bytes())
    edit(found["benchmarks"]["tradeoff"])
    path.write_text(json.dumps(found))


def test_figures_are_the_differences_of_the_runs_own(tmp_path: Path) -> None:
    """Both on the same captions over one baseline: a mean of differences is theirs of means."""
    far, near = traded(tmp_path, "diverging"), traded(tmp_path, "at:10")
    found = compared(tmp_path, far, near)
    assert list(found["benchmarks"]) == ["tradeoff"] and found["left_out"] == []
    for reward, own in figures(found).items():
        ours, theirs = point(far, reward), point(near, reward)
        assert (own["a_user"], own["b_user"]) == (reward, reward)
        for view in (*AXES, "diversity"):
            cell = own[view]
            assert cell["difference"] == pytest.approx(ours[view] - theirs[view])
            assert (cell["a"], cell["b"]) == (
                pytest.approx(ours[view]),
                pytest.approx(theirs[view]),
            )
        for view in ("gain", "gold_gain"):
            a, b = (each["rewards"][reward][view] for each in (ours, theirs))
            assert own[view]["difference"] == pytest.approx(a - b)
            assert own[view]["a"] == pytest.approx(a)
            assert own[view]["verdict"] == "A higher"
        for axis in AXES:
            assert own[axis]["verdict"] == "A higher"
        assert {own[view]["n"] for view in (*AXES, "diversity", "gain", "gold_gain")} == {12}
    # Gains and gold ones are one family; a divergence is one of its own.
    red, green = figures(found).values()
    gains = [own[view]["p_value"] for own in (red, green) for view in ("gain", "gold_gain")]
    assert red["gain"]["p_holm"] == pytest.approx(4 * min(gains))
    assert red["divergence"]["p_holm"] == pytest.approx(2 * red["divergence"]["p_value"])


def test_two_equal_runs_are_not_distinguishable(tmp_path: Path) -> None:
    run = traded(tmp_path, "diverging")
    told = list(cells(compared(tmp_path, run, copied(run, tmp_path / "copy"))["benchmarks"]))
    assert len(told) == 2 * 5
    for path, cell in told:
        assert cell["verdict"] == ALIKE, path
        assert cell["difference"] == 0 and cell["p_value"] == cell["p_holm"] == 1.0


def test_swapping_the_runs_mirrors_every_figure_to_the_last_bit(tmp_path: Path) -> None:
    one, other = traded(tmp_path, "diverging"), traded(tmp_path, "other")
    there = compared(tmp_path, one, other, out="there")
    back = compared(tmp_path, other, one, out="back")
    assert check_mirrored(there, back) == 2 * 5
    assert figures(there)["red"]["a_user"] == figures(back)["red"]["b_user"] == "red"


def test_who_tells_no_divergence_is_compared_by_the_rest(tmp_path: Path) -> None:
    far, other = traded(tmp_path, "diverging"), traded(tmp_path, "other")
    for own in figures(compared(tmp_path, far, other)).values():
        assert own["b_user"] is None
        for axis in AXES:
            assert own[axis]["difference"] is own[axis]["verdict"] is None
            assert own[axis]["reason"] == "other: other does not tell its divergence"
        assert own["gain"]["verdict"] == "A higher" and own["diversity"]["n"] == 12


def test_pictures_for_nobody_are_tested_once_for_all_rewards(tmp_path: Path) -> None:
    other, only_red = traded(tmp_path, "other"), traded(tmp_path, "only-red")
    red, green = figures(compared(tmp_path, other, only_red)).values()
    assert red["diversity"] == green["diversity"]
    assert red["diversity"]["p_holm"] == red["diversity"]["p_value"] < 1
    assert red["gain"]["difference"] < 0 < green["gain"]["difference"]


def test_the_baseline_itself_diverges_by_nothing_and_gains_nothing(tmp_path: Path) -> None:
    far, plain = traded(tmp_path, "diverging"), traded(tmp_path, "plain")
    for reward, own in figures(compared(tmp_path, far, plain)).items():
        assert own["divergence"]["b"] == own["gain"]["b"] == 0
        assert own["divergence"]["a"] == pytest.approx(point(far, reward)["divergence"])


def test_another_number_of_noises_is_refused_with_both(tmp_path: Path) -> None:
    far, near = traded(tmp_path, "diverging"), traded(tmp_path, "at:10")
    change(near, lambda found: found.update(samples=4))
    with pytest.raises(FingerprintMismatch, match="of noises: 8 in diverging and 4 in at-10"):
        compared(tmp_path, far, near)


def test_what_is_measured_otherwise_is_left_out_alone(tmp_path: Path) -> None:
    far, near = traded(tmp_path, "diverging"), traded(tmp_path, "at:10")
    change(near, lambda found: found.update(divergence_samples=3))
    change(near, lambda found: found["embedder"].update(identity="f" * 12))
    for own in figures(compared(tmp_path, far, near)).values():
        for axis in AXES:
            assert "divergence is from: 2 in diverging and 3 in at-10" in own[axis]["reason"]
        reason = own["diversity"]["reason"]
        assert reason.startswith("other embedders: clip-gold") and "f" * 12 in reason
        assert own["gain"]["verdict"] == "A higher"


def test_another_baseline_leaves_diversity_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = traded(tmp_path, "diverging")
    monkeypatch.setattr(fake_world, "revision", "2")
    monkeypatch.setattr(fake_world, "reference", "2")
    near = traded(tmp_path, "at:10")
    for own in figures(compared(tmp_path, far, near)).values():
        for view in (*AXES, "gain", "gold_gain"):
            assert own[view]["difference"] is None
            assert "plain is 1 in diverging and 2 in at-10" in own[view]["reason"]
        assert own["diversity"]["n"] == 12


def test_another_scorer_leaves_its_gain_out(tmp_path: Path) -> None:
    far, near = traded(tmp_path, "diverging"), traded(tmp_path, "at:10")
    path = near / "scorers.json"
    known = json.loads(path.read_bytes())
    known["scorers"]["reward:red"] |= {"identity": "f" * 12}
    path.write_text(json.dumps(known))
    found = figures(compared(tmp_path, far, near))
    assert "red is" in found["red"]["gain"]["reason"]
    assert found["red"]["gain"]["difference"] is None
    assert found["red"]["gold_gain"]["verdict"] == "A higher"
    assert found["red"]["divergence"]["verdict"] == "A higher"


def test_captions_of_one_run_alone_are_left_out_and_counted(tmp_path: Path) -> None:
    far, few = traded(tmp_path, "diverging"), traded(tmp_path, "at:10", limit=10)
    for own in figures(compared(tmp_path, far, few)).values():
        for view in (*AXES, "diversity", "gain", "gold_gain"):
            assert (own[view]["n"], own[view]["n_expected"]) == (10, 12)
