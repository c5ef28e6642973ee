"""Items that fail: named, tried again, left out of every figure, never a zero."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_world
import pytest
from PIL import Image
from toy_runs import ITEMS, figures, run, summary_of, use_toy_world

from ppdbench.benchmarks.evaluate import TooManyFailures
from ppdbench.errors import PpdbenchError
from ppdbench.protocols import GenerationRequest
from ppdbench.runs.records import read_records

world = pytest.fixture(autouse=True)(use_toy_world)


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


def test_a_lost_image_that_cannot_be_drawn_again_is_a_failed_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(tmp_path)
    before = figures(folder)
    lost = read_records(folder / "generations.jsonl")[0]
    (folder / "images" / f"{lost['image']}.png").unlink()
    (folder / "scores.jsonl").unlink()

    def broken(_: Sequence[GenerationRequest]) -> None:
        raise RuntimeError("no such colour")

    with monkeypatch.context() as patch:
        patch.setattr(fake_world, "generate_error", broken)
        with pytest.raises(TooManyFailures, match="no such colour"):
            run(tmp_path)
        assert [f["item"] for f in summary_of(folder)["failures"]] == [lost["item"]]
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
