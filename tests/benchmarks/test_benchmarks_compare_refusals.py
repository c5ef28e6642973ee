"""Runs that cannot be compared: refused with a cause that names what, a fix, and its exit code."""

from __future__ import annotations

import json
import operator
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_world
import pytest
from compared_runs import compared, copied, measured
from judged_town import calibrated, use_judges
from toy_runs import use_toy_world

from ppdbench.benchmarks.compare.run import compare
from ppdbench.benchmarks.evaluate import TooManyFailures
from ppdbench.errors import FingerprintMismatch, PpdbenchError, UsageError
from ppdbench.protocols import SamplingSpec
from ppdbench.runs.lock import RunLock

world = pytest.fixture(autouse=True)(use_toy_world)


def pair(tmp_path: Path) -> tuple[Path, Path]:
    return measured(tmp_path, "tuned"), measured(tmp_path, "other")


def change(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    found = json.loads(path.read_bytes())
    edit(found)
    path.write_text(json.dumps(found))


@pytest.mark.parametrize(
    ("attribute", "value", "cause"),
    [
        ("name", "other-toy", "suite is toy in .* and other-toy in "),
        ("version", "2", "suite_version is 1 in .* and 2 in "),
        ("digest", "e" * 64, f"suite_digest is {'d' * 64} in .* and {'e' * 64} in "),
        (
            "sampling",
            SamplingSpec(
                width=8, height=8, steps=2, guidance_scale=1.0, shift=1.0, rescale=0.0, clip_x0=None
            ),
            r"sampling\.steps is 1 in .* and 2 in ",
        ),
    ],
)
def test_runs_of_other_suites_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attribute: str, value: Any, cause: str
) -> None:
    tuned = measured(tmp_path, "tuned")
    monkeypatch.setattr(fake_world.ToySuite, attribute, value)
    other = measured(tmp_path, "other")
    with pytest.raises(FingerprintMismatch, match=cause) as error:
        compared(tmp_path, tuned, other)
    assert error.value.exit_code == 4 and error.value.fix
    assert tuned.name in error.value.cause and other.name in error.value.cause
    assert not (tmp_path / "compared").exists()


def test_one_run_or_the_same_twice_is_refused(tmp_path: Path) -> None:
    tuned = measured(tmp_path, "tuned")
    with pytest.raises(UsageError, match="two runs or more"):
        compared(tmp_path, tuned)
    link = tmp_path / "link"
    link.symlink_to(tuned)
    for again in (tuned, tuned.parent / "." / tuned.name, link):
        with pytest.raises(UsageError, match="given 2 times"):
            compared(tmp_path, tuned, again)


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    tuned, other = pair(tmp_path)
    for state in ("running", "interrupted", "failed"):
        change(other / "status.json", operator.methodcaller("update", state=state))
        with pytest.raises(UsageError, match=f"not finished: its last command .* {state}"):
            compared(tmp_path, tuned, other)
    (other / "status.json").unlink()  # as a copy may come
    compared(tmp_path, tuned, other)
    (other / "summary.json").unlink()
    with pytest.raises(UsageError, match=r"not finished: it has no summary\.json"):
        compared(tmp_path, tuned, other)


def test_a_run_that_withholds_its_figures_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = measured(tmp_path, "tuned")

    def fail(_: Any) -> None:
        raise ValueError("cannot draw")

    monkeypatch.setattr(fake_world, "generate_error", fail)
    with pytest.raises(TooManyFailures) as error:
        measured(tmp_path, "other")
    change(error.value.run / "status.json", lambda found: found.update(state="done"))
    with pytest.raises(PpdbenchError, match="withholds its figures: 24 of 24 items failed") as no:
        compared(tmp_path, tuned, error.value.run)
    assert no.value.exit_code == 1


def test_damage_is_named(tmp_path: Path) -> None:
    tuned, other = pair(tmp_path)

    def refused(edit: Callable[[Path], Any], cause: str) -> None:
        broken = copied(other, tmp_path / "broken")
        edit(broken)
        with pytest.raises(PpdbenchError, match=cause) as error:
            compared(tmp_path, tuned, broken)
        assert error.value.exit_code == 1 and error.value.fix
        shutil.rmtree(tmp_path / "broken")

    refused(lambda run: (run / "summary.json").write_text('{"schema'), "summary.json is damaged")
    refused(lambda run: (run / "summary.json").write_text("[]"), "summary.json is damaged")
    refused(
        lambda run: change(run / "summary.json", lambda found: found.pop("generators")),
        "it lacks generators",
    )
    refused(
        lambda run: change(run / "summary.json", lambda found: found.update(schema_version=2)),
        "schema_version 2, this ppdbench knows 1",
    )
    refused(lambda run: (run / "spec.json").unlink(), "it has no spec.json")
    refused(lambda run: (run / "scores.jsonl").write_text("no\n{}\n"), "scores.jsonl")
    refused(
        lambda run: (run / "generations.jsonl").write_bytes(b""),
        "its records hold 0 pictures of other, its summary.json counts 12",
    )
    refused(lambda run: (run / "scorers.json").write_text("{"), "scorers.json cannot be read")


def test_records_of_scores_that_are_gone_leave_nothing_to_compare(tmp_path: Path) -> None:
    tuned, other = pair(tmp_path)
    (other / "scores.jsonl").unlink()
    with pytest.raises(FingerprintMismatch, match="no item of both runs was measured"):
        compared(tmp_path, tuned, other)


def test_a_comparison_is_no_run(tmp_path: Path) -> None:
    tuned, other = pair(tmp_path)
    compared(tmp_path, tuned, other)
    with pytest.raises(UsageError, match="is a comparison, not a run"):
        compared(tmp_path, tuned, tmp_path / "compared", out="again")


def test_a_calibration_is_no_run_of_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_judges(monkeypatch, tmp_path)
    one, other = calibrated(tmp_path), calibrated(tmp_path, shots=3)
    with pytest.raises(UsageError, match="is a calibration: it measures a judge"):
        compared(tmp_path, one, other)


def test_the_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    tuned, other = pair(tmp_path)
    third = measured(tmp_path, "plain")
    compared(tmp_path, tuned, other)
    before = (tmp_path / "compared/summary.json").read_bytes()
    with pytest.raises(FingerprintMismatch, match="runs differ") as error:
        compared(tmp_path, tuned, third)
    assert error.value.fix == "choose another folder with --out DIR"
    assert (tmp_path / "compared/summary.json").read_bytes() == before
    mine = (third / "summary.json").read_bytes()
    with pytest.raises(FingerprintMismatch):
        compare([tuned, other], out=third, events=fake_world.Quiet())
    assert (third / "summary.json").read_bytes() == mine
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        compared(tmp_path, tuned, other, out="full")
    with pytest.raises(UsageError, match="is no folder"):
        compared(tmp_path, tuned, other, out="full/thesis.tex")


def test_a_second_process_in_one_folder_is_refused(tmp_path: Path) -> None:
    tuned, other = pair(tmp_path)
    (tmp_path / "compared").mkdir()
    lock = RunLock(tmp_path / "compared")
    try:
        with pytest.raises(PpdbenchError, match="another process works on this run"):
            compared(tmp_path, tuned, other)
    finally:
        lock.release()
    assert compared(tmp_path, tuned, other)["kind"] == "comparison"
