from __future__ import annotations

import errno
import io
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_world
import pytest
from PIL import Image

from ppdbench import plugins
from ppdbench.benchmarks import summary
from ppdbench.benchmarks.evaluate import TooManyFailures, evaluate
from ppdbench.errors import (
    FingerprintMismatch,
    Interrupted,
    MissingPrerequisite,
    PpdbenchError,
    UsageError,
)
from ppdbench.leaderboard import recorded as leaderboard
from ppdbench.protocols import GenerationRequest
from ppdbench.runs.records import read_records

USERS = len(fake_world.CHANNELS)
ITEMS = fake_world.CAPTIONS * (USERS + 1)


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plugins, "entry_points", fake_world.entry_points)
    monkeypatch.setattr(leaderboard, "installed", lambda: tmp_path / "leaderboards")
    fake_world.calls.clear()


def run(tmp_path: Path, *models: str, **options: Any) -> Path:
    options.setdefault("events", fake_world.Quiet())
    return evaluate(
        models or ["tuned"],
        suite="toy",
        runs=tmp_path / "runs",
        device="cpu",
        **{"batch_size": 7, **options},
    )


def summary_of(folder: Path) -> Any:
    return json.loads((folder / "summary.json").read_bytes())


def figures(folder: Path) -> Any:
    """The summary without what may differ between two equal runs: when and how long."""
    found = summary_of(folder)
    return {k: v for k, v in found.items() if k not in ("created", "seconds", "inputs")}


def only_folder(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "runs" / "toy").iterdir()
    return folder


def items_of(folder: Path) -> list[str]:
    return [record["item"] for record in read_records(folder / "generations.jsonl")]


def test_every_user_draws_every_caption_and_the_baseline_draws_it_once(tmp_path: Path) -> None:
    events = fake_world.Quiet()
    folder = run(tmp_path, events=events)
    assert folder.parent == tmp_path / "runs" / "toy"
    assert folder.name.startswith("tuned-")
    items = items_of(folder)
    assert len(items) == len(set(items)) == ITEMS
    assert "tuned/reward:red/test-003/0" in items
    assert "plain/-/test-003/0" in items
    seeds = {
        record["item"]: record["seed"] for record in read_records(folder / "generations.jsonl")
    }
    assert seeds["tuned/reward:red/test-003/0"] == seeds["plain/-/test-003/0"]
    assert events.stages["generate"] == [ITEMS, ITEMS]
    assert events.stages["measure"] == [ITEMS, ITEMS]
    assert json.loads((folder / "status.json").read_bytes())["state"] == "done"
    found = summary_of(folder)
    assert found["complete"] is True
    assert (found["n_ok"], found["n_expected"]) == (ITEMS, ITEMS)
    assert set(found["seconds"]) == {"generate", "load scorers", "measure", "summarise"}


def test_the_figures_are_those_of_the_images(tmp_path: Path) -> None:
    folder = run(tmp_path, "tuned", "other", "only-red")
    scores: dict[tuple[str, str], Any] = {
        (record["item"], record["scorer"]): record.get("score")
        for record in read_records(folder / "scores.jsonl")
    }
    captions = [f"test-{n:03}" for n in range(fake_world.CAPTIONS)]
    ours = [scores[f"tuned/reward:red/{c}/0", "reward:red"] for c in captions]
    base = [scores[f"plain/-/{c}/0", "reward:red"] for c in captions]
    best = [scores[f"only-red/-/{c}/0", "reward:red"] for c in captions]
    wins = sum((a > b) + 0.5 * (a == b) for a, b in zip(ours, base, strict=True))
    found = summary_of(folder)["benchmarks"]
    cell = found["rewards"]["plain"]["red"]
    assert cell["mean"] == pytest.approx(sum(ours) / 12)
    assert cell["opponent_mean"] == pytest.approx(sum(base) / 12)
    for key, scores_ in (("mean", ours), ("opponent_mean", base)):
        half = 1.96 * statistics.stdev(scores_) / 12**0.5
        assert cell[f"{key}_ci_low"] == pytest.approx(cell[key] - half, abs=half / 2)
        assert cell[f"{key}_ci_high"] == pytest.approx(cell[key] + half, abs=half / 2)
    assert cell["win_rate"] == pytest.approx(wins / 12)
    assert cell["ci_low"] <= cell["win_rate"] <= cell["ci_high"]
    assert cell["p_value"] <= cell["p_holm"] <= 2 * cell["p_value"]
    assert (cell["n"], cell["n_expected"], cell["source"]) == (12, 12, "fresh")
    assert list(found["rewards"]) == ["plain", "other", "only-red"]
    # The toy's gold scorers measure the same channel, so nothing of a gain is lost.
    assert found["rewards_gold"]["plain"]["red"]["win_rate"] == cell["win_rate"]
    assert found["gold_gain"]["red"]["kept"] == pytest.approx(1.0)
    gain = found["gain"]["red"]
    assert gain["gain"] == pytest.approx(sum(ours) / 12 - sum(base) / 12)
    assert gain["upper_bound_gain"] == pytest.approx(sum(best) / 12 - sum(base) / 12)
    assert gain["ratio"] == pytest.approx(gain["gain"] / gain["upper_bound_gain"])
    assert gain["ci_low"] < gain["ratio"] < gain["ci_high"]
    assert found["gain"]["green"]["ratio"] is None
    assert "upper bound" in found["gain"]["green"]["reason"]
    # The user who cares for red wins on red, and not on green.
    assert found["matrix"]["red"]["red"]["win_rate"] == cell["win_rate"]
    assert found["matrix"]["red"]["red"]["win_rate"] > found["matrix"]["green"]["red"]["win_rate"]


def test_fidelity_is_paired_with_the_baseline(tmp_path: Path) -> None:
    found = summary_of(run(tmp_path))["benchmarks"]
    ours, base = (found["caption_fidelity"][name]["all"] for name in ("tuned", "plain"))
    assert (ours["n"], base["n"]) == (24, 12)
    difference = found["caption_fidelity_difference"]["all"]
    assert difference["difference"] == pytest.approx(ours["rate"] - base["rate"])
    assert difference["n"] == 24


def test_a_suite_without_a_classifier_has_no_fidelity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_world, "classifies", False)
    folder = run(tmp_path)
    assert summary_of(folder)["complete"] is True
    assert "caption_fidelity" not in summary_of(folder)["benchmarks"]
    fake_world.calls.clear()
    run(tmp_path)
    assert fake_world.calls == []


def test_the_same_command_again_loads_and_changes_nothing(tmp_path: Path) -> None:
    folder = run(tmp_path)
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    fake_world.calls.clear()
    assert run(tmp_path, batch_size=3) == folder  # the batch size changes no result
    assert fake_world.calls == []
    after = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    before.pop("status.json"), after.pop("status.json")
    assert after == before


def test_the_batch_size_changes_no_figure(tmp_path: Path) -> None:
    assert figures(run(tmp_path / "a", batch_size=64)) == figures(run(tmp_path / "b", batch_size=1))


@pytest.mark.parametrize("file", ["generations.jsonl", "scores.jsonl"])
def test_a_torn_tail_costs_its_items_only(tmp_path: Path, file: str) -> None:
    folder = run(tmp_path)
    before = figures(folder)
    path = folder / file
    path.write_bytes(path.read_bytes()[:-150])  # the last record is gone, half the one before too
    fake_world.calls.clear()
    run(tmp_path)
    assert figures(folder) == before
    items = items_of(folder)
    assert len(items) == len(set(items)) == ITEMS
    drawn = [call for call in fake_world.calls if "draws" in call]
    assert drawn == ([] if file == "scores.jsonl" else ["plain draws 1"])


def test_damage_inside_the_records_is_named(tmp_path: Path) -> None:
    folder = run(tmp_path)
    path = folder / "scores.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], b"{oops\n", *lines[5:]]))
    with pytest.raises(PpdbenchError, match=r"scores\.jsonl, line 5") as caught:
        run(tmp_path)
    assert caught.value.exit_code == 1
    before = figures(folder)
    path.rename(folder / "damaged")  # the fix that the error names
    run(tmp_path)
    assert figures(folder) == before


def test_a_corrupt_image_is_named_and_only_it_is_drawn_anew(tmp_path: Path) -> None:
    folder = run(tmp_path)
    before = figures(folder)
    image = sorted((folder / "images").iterdir())[3]
    image.write_bytes(image.read_bytes()[:-20])
    with pytest.raises(PpdbenchError, match=image.name) as caught:
        run(tmp_path)
    assert caught.value.exit_code == 1
    assert "delete that file" in caught.value.fix
    image.unlink()
    fake_world.calls.clear()
    run(tmp_path)
    assert len(fake_world.calls) == 1  # one drawing, no scorer
    assert fake_world.calls[0].endswith("draws 1")
    assert figures(folder) == before
    assert len(items_of(folder)) == ITEMS


def test_an_image_without_a_record_is_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill between the image's write and its record leaves."""
    from ppdbench.runs.records import RecordWriter

    write = RecordWriter.write

    def killed(self: RecordWriter, records: Sequence[Any]) -> None:
        if any(record["item"].endswith("test-004/0") for record in records):
            raise KeyboardInterrupt
        write(self, records)

    monkeypatch.setattr(RecordWriter, "write", killed)
    with pytest.raises(Interrupted):
        run(tmp_path)
    folder = only_folder(tmp_path)
    assert len(list((folder / "images").iterdir())) == len(items_of(folder)) + 1
    assert json.loads((folder / "status.json").read_bytes())["state"] == "interrupted"
    monkeypatch.undo()
    monkeypatch.setattr(plugins, "entry_points", fake_world.entry_points)
    run(tmp_path)
    assert len(items_of(folder)) == ITEMS
    assert len(list((folder / "images").iterdir())) == ITEMS


def test_another_revision_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(tmp_path)
    monkeypatch.setattr(fake_world, "revision", "2")
    assert run(tmp_path) != first
    assert run(tmp_path, limit=5) != run(tmp_path)
    assert run(tmp_path, limit=100) == run(tmp_path)


def test_a_changed_spec_is_refused_by_field(tmp_path: Path) -> None:
    folder = run(tmp_path)
    spec = json.loads((folder / "spec.json").read_bytes())
    spec["sampling"]["steps"] = 99
    (folder / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(FingerprintMismatch, match=r"sampling\.steps") as caught:
        run(tmp_path)
    assert caught.value.exit_code == 4


def test_no_space_left_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = figures(run(tmp_path / "whole"))
    real = os.replace
    count = 0

    def full(self: Path, target: Path) -> Path:
        nonlocal count
        count += target.suffix == ".png"
        if count > 9:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, target)
        return target

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(MissingPrerequisite, match="no space left") as caught:
            run(tmp_path)
    assert caught.value.exit_code == 3
    folder = only_folder(tmp_path)
    assert len(items_of(folder)) == 9
    assert not list(folder.glob("images/.*"))
    run(tmp_path)
    assert figures(folder) == before
    assert len(items_of(folder)) == ITEMS


def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:  # root may write anywhere: let the system say what it says to others

        def denied(self: Path, *_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

        monkeypatch.setattr(Path, "mkdir", denied)
    else:
        tmp_path.chmod(0o500)
    with pytest.raises(MissingPrerequisite, match="cannot be written") as caught:
        run(tmp_path)
    assert "--runs" in caught.value.fix
    tmp_path.chmod(0o700)


def test_a_failed_batch_is_asked_again_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = figures(run(tmp_path / "whole"))

    def crowded(requests: Sequence[GenerationRequest]) -> None:
        if len(requests) > 1:
            raise MemoryError("too many at once")

    monkeypatch.setattr(fake_world, "generate_error", crowded)
    events = fake_world.Quiet()
    assert figures(run(tmp_path, events=events)) == before
    assert "one by one" in events.notes[0]


def test_a_failed_item_is_no_zero_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = figures(run(tmp_path / "whole"))

    def broken(requests: Sequence[GenerationRequest]) -> None:
        if any(request.id == "tuned/reward:red/test-002/0" for request in requests):
            raise RuntimeError("no such colour")

    with monkeypatch.context() as patch:
        patch.setattr(fake_world, "generate_error", broken)
        with pytest.raises(TooManyFailures, match="no such colour") as caught:
            run(tmp_path)
        assert caught.value.exit_code == 1
        folder = caught.value.run
        found = summary_of(folder)
        assert (found["n_ok"], found["n_expected"]) == (ITEMS - 1, ITEMS)
        assert [f["item"] for f in found["failures"]] == ["tuned/reward:red/test-002/0"]
        cell = found["benchmarks"]["rewards"]["plain"]["green"]
        assert cell["win_rate"] is None
        assert "1 of 36" in cell["reason"]
        assert json.loads((folder / "status.json").read_bytes())["state"] == "failed"
        run(tmp_path, fail_on_error=0.1)
        cell = summary_of(folder)["benchmarks"]["rewards"]["plain"]["red"]
        assert cell["win_rate"] is not None
        assert (cell["n"], cell["n_expected"]) == (11, 12)
    run(tmp_path)
    assert figures(folder) == before


def test_a_generator_that_stops_early_is_asked_for_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = figures(run(tmp_path / "whole"))
    draw = fake_world.ToyGenerator.generate
    monkeypatch.setattr(
        fake_world.ToyGenerator, "generate", lambda self, requests: draw(self, requests[:3])
    )
    assert figures(run(tmp_path)) == before


def test_more_images_than_requests_cannot_be_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = fake_world.ToyGenerator.generate
    monkeypatch.setattr(
        fake_world.ToyGenerator,
        "generate",
        lambda self, requests: draw(self, [*requests, requests[0]]),
    )
    with pytest.raises(PpdbenchError, match="'tuned' yields more images"):
        run(tmp_path)


def test_what_is_no_image_is_a_failed_item(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        fake_world.ToyGenerator, "generate", lambda _, requests: iter([None] * len(requests))
    )
    with pytest.raises(TooManyFailures, match="NoneType, not a PIL image") as caught:
        run(tmp_path, fail_on_error=0.99)
    found = summary_of(caught.value.run)
    assert found["n_ok"] == 0
    cell = found["benchmarks"]["rewards"]["plain"]["red"]
    assert (cell["win_rate"], cell["mean"], cell["n"]) == (None, None, 0)
    assert (cell["mean_ci_low"], cell["opponent_mean_ci_high"]) == (None, None)


def test_an_image_that_breaks_when_it_is_read_is_a_failed_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow opens a file lazily: a truncated one raises at `convert`, not at `open`."""
    draw = fake_world.ToyGenerator.generate
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).convert("RGB").save(buffer, "PNG")

    def truncated(self: Any, requests: Sequence[GenerationRequest]) -> Iterator[Any]:
        for request, image in zip(requests, draw(self, requests), strict=True):
            broken = request.id == "tuned/reward:red/test-002/0"
            yield Image.open(io.BytesIO(buffer.getvalue()[:-3000])) if broken else image

    with monkeypatch.context() as patch:
        patch.setattr(fake_world.ToyGenerator, "generate", truncated)
        with pytest.raises(TooManyFailures, match="truncated") as caught:
            run(tmp_path)
    found = summary_of(caught.value.run)
    assert [f["item"] for f in found["failures"]] == ["tuned/reward:red/test-002/0"]
    run(tmp_path)
    assert summary_of(caught.value.run)["complete"] is True


def test_a_generator_that_cannot_be_written_down_is_refused_before_it_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init = fake_world.ToyGenerator.__init__

    def described(self: Any, *args: Any, **options: Any) -> None:
        init(self, *args, **options)
        self.info = replace(self.info, settings={"weights": Path("here")})

    monkeypatch.setattr(fake_world.ToyGenerator, "__init__", described)
    with pytest.raises(PpdbenchError, match=r"'tuned' .* not JSON"):
        run(tmp_path)
    assert fake_world.calls == []
    assert not (tmp_path / "runs").exists()


def test_another_list_of_opponents_is_another_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list(summary_of(run(tmp_path))["benchmarks"]["rewards"]) == ["plain", "other"]
    monkeypatch.setattr(fake_world.ToySuite, "opponents", ("plain",))
    monkeypatch.setattr(fake_world.ToySuite, "upper_bounds", {"green": "other"})
    found = summary_of(run(tmp_path))["benchmarks"]
    assert list(found["rewards"]) == ["plain"]


def test_importing_the_job_brings_neither_torch_nor_scipy() -> None:
    code = (
        "import sys; import ppdbench.benchmarks.evaluate;"
        "print({'torch', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    found = os.pathsep.join(path or "." for path in sys.path)
    output = subprocess.check_output(
        [sys.executable, "-c", code], text=True, env={**os.environ, "PYTHONPATH": found}
    )
    assert output.strip() == "set()"


@pytest.mark.parametrize("how", ["raises", "nan"])
def test_a_score_that_fails_is_no_zero(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    score = fake_world.ToyReward.score

    def failing(self: Any, images: Sequence[Any], captions: Sequence[str]) -> Any:
        found = score(self, images, captions)
        for row, caption in enumerate(captions):
            if caption == "caption 5" and self.info.name == "green":
                if how == "raises":
                    raise RuntimeError("cannot see")
                found[row] = float("nan")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(fake_world.ToyReward, "score", failing)
        folder = run(tmp_path, fail_on_error=0.5)
    found = summary_of(folder)
    assert found["n_ok"] == ITEMS - 3
    assert "reward:green failed" in found["failures"][0]["error"]
    assert found["benchmarks"]["rewards"]["plain"]["green"]["n"] == 11
    assert found["benchmarks"]["rewards"]["plain"]["red"]["n"] == 12
    run(tmp_path)
    assert summary_of(folder)["complete"] is True


def test_another_scorer_never_meets_old_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(tmp_path)
    init = fake_world.ToyReward.__init__

    def changed(self: Any, spec: Any) -> None:
        init(self, spec)
        if spec.name == "green":
            self.info = type(self.info)(
                name="green", kind="green", checkpoint_sha256="b" * 64, preprocess="mean"
            )

    monkeypatch.setattr(fake_world.ToyReward, "__init__", changed)
    (folder / "scorers.json").unlink()  # as a new version of ppdbench would disregard it
    fake_world.calls.clear()
    run(tmp_path)
    assert not [call for call in fake_world.calls if "draws" in call]
    records = read_records(folder / "scores.jsonl")
    assert sum(record["scorer"] == "reward:green" for record in records) == 2 * ITEMS
    assert sum(record["scorer"] == "reward:red" for record in records) == ITEMS
    assert summary_of(folder)["rewards"]["green"]["checkpoint_sha256"] == "b" * 64


def test_recorded_rows_stand_in_for_what_is_not_drawn(tmp_path: Path) -> None:
    fresh = run(tmp_path, "tuned", "other", "only-red")
    alone = run(tmp_path)
    cell = summary_of(alone)["benchmarks"]["rewards"]["other"]["red"]
    assert cell["win_rate"] is None
    assert "--model other" in cell["reason"]
    for name in ("other", "only-red"):
        leaderboard.record_entry(fresh, name, tmp_path / "leaderboards" / "toy")
    fake_world.calls.clear()
    run(tmp_path)
    assert fake_world.calls == []
    found, expected = summary_of(alone), summary_of(fresh)
    for name in ("rewards", "rewards_gold"):
        cell = found["benchmarks"][name]["other"]["red"]
        assert cell.pop("source") == "recorded"
        assert expected["benchmarks"][name]["other"]["red"] == {**cell, "source": "fresh"}
    assert found["benchmarks"]["gain"] == expected["benchmarks"]["gain"]
    assert found["generators"]["other"]["source"] == "recorded"
    assert found["benchmarks"]["caption_fidelity"]["other"]["all"]["n"] == 12
    part = summary_of(run(tmp_path, limit=5))
    assert part["benchmarks"]["rewards"]["other"]["red"]["n"] == 5
    assert part["generators"]["other"]["n_expected"] == 5


def test_recorded_rows_of_another_baseline_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = run(tmp_path, "tuned", "other")
    leaderboard.record_entry(fresh, "other", tmp_path / "leaderboards" / "toy")
    events = fake_world.Quiet()
    assert "other" in summary_of(run(tmp_path, events=events))["generators"]
    assert events.notes == []
    monkeypatch.setattr(fake_world, "revision", "2")  # the base was trained anew
    found = summary_of(run(tmp_path, events=events))
    assert "other" not in found["generators"]
    assert found["benchmarks"]["rewards"]["other"]["red"]["mean_ci_low"] is None
    assert "other is left out" in events.notes[0] and "another baseline" in events.notes[0]


def test_other_formulas_are_another_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(tmp_path)
    before = summary_of(folder)["inputs"]
    monkeypatch.setattr(summary, "SUMMARY_VERSION", summary.SUMMARY_VERSION + 1)
    run(tmp_path)
    assert summary_of(folder)["inputs"] != before


@pytest.mark.parametrize("what", ["other", "load_reward"])
def test_a_plugin_that_needs_a_module_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def needy(*_: Any) -> None:
        raise ModuleNotFoundError("No module named 'painting'", name="painting")

    monkeypatch.setattr(fake_world, what, needy)
    with pytest.raises(MissingPrerequisite, match="needs the module 'painting'") as caught:
        run(tmp_path, "other")
    assert caught.value.fix.startswith("install painting")


def test_the_baseline_can_be_measured_itself(tmp_path: Path) -> None:
    found = summary_of(run(tmp_path, "plain", "other"))
    assert found["n_expected"] == 2 * fake_world.CAPTIONS
    assert list(found["benchmarks"]["rewards"]) == ["other"]
    assert "matrix" not in found["benchmarks"]


def test_a_generator_by_module_runs_under_its_own_name(tmp_path: Path) -> None:
    folder = run(tmp_path, "fake_world:tuned")
    assert folder.name.startswith("tuned-")
    assert folder == run(tmp_path)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"models": ["tunned"]}, UsageError),
        ({"models": []}, UsageError),
        ({"models": ["without-weights"]}, MissingPrerequisite),
        ({"suite": "shape"}, UsageError),
        ({"benchmark": "reward"}, UsageError),
        ({"limit": 0}, UsageError),
        ({"fail_on_error": 1.5}, UsageError),
        ({"device": "gpu"}, UsageError),
    ],
    ids=str,
)
def test_a_wrong_call_makes_no_run(
    tmp_path: Path, options: dict[str, Any], error: type[PpdbenchError]
) -> None:
    options = {"models": ["tuned"], "suite": "toy", "device": "cpu", **options}
    with pytest.raises(error):
        evaluate(options.pop("models"), runs=tmp_path, events=fake_world.Quiet(), **options)
    assert list(tmp_path.iterdir()) == []
