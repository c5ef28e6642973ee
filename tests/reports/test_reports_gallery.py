"""The gallery: which captions, which images, and what stands where one is missing."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ppdbench.errors import PpdbenchError
from ppdbench.protocols import Caption
from ppdbench.reports.gallery import Gallery, data_uri, gallery
from ppdbench.reports.html import Sources, render
from ppdbench.runs.images import ImageStore
from ppdbench.runs.records import RecordWriter, read_records
from ppdbench.runs.results import read_results

Figures = dict[str, Any]
MakeRun = Callable[[Figures], Path]
CATEGORIES = {"test-small-0": "small", "test-small-1": "small", "test-large-0": "large"}


def shown(run: Path, figures: Figures, captions: list[Caption], **more: int) -> Gallery:
    return gallery(ImageStore(run / "images"), read_results(run), figures, captions, **more)


def some(*ids: str) -> list[Caption]:
    return [Caption(id=i, text=f"text of {i}", category=CATEGORIES[i]) for i in ids]


def test_categories_take_turns_in_the_suites_order(figures: Figures, make_run: MakeRun) -> None:
    run = make_run(figures)
    found = shown(run, figures, some("test-small-0", "test-small-1", "test-large-0"), rows=3)
    assert [row.caption for row in found.rows] == [
        "text of test-small-0",
        "text of test-large-0",
        "test-hostile",  # not among the captions: shown by its id, in a category of its own
    ]


def test_columns_are_the_base_and_each_user_of_the_model(
    figures: Figures, make_run: MakeRun
) -> None:
    found = shown(make_run(figures), figures, [])
    assert found.columns == (
        ("stable-cascade", ""),
        ("ppd", "CLIP user"),
        ("ppd", "Aesthetic user"),
        ("ppd", "HPS user"),
    )
    assert all(len(row.pictures) == 4 and "/" not in row.seed for row in found.rows)


def test_scores_are_of_the_users_reward_and_compared_with_the_base(
    figures: Figures, make_run: MakeRun
) -> None:
    run = make_run(figures)
    # The base's image of the first caption is given a higher CLIP score than the user's.
    scores = read_records(run / "scores.jsonl")
    item = "stable-cascade/-/test-hostile/0"
    base = next(s for s in scores if s["item"] == item and s["scorer"] == "reward:clip")
    with RecordWriter(run / "scores.jsonl") as file:
        file.write([{**base, "score": 0.9}])
    row = next(r for r in shown(run, figures, []).rows if r.caption == "test-hostile")
    assert [p.change for p in row.pictures] == ["undefined", "below", "above", "above"]
    assert [p.score for p in row.pictures] == ["", "0.2700", "0.2700", "0.2700"]


@pytest.mark.parametrize("damage", ["missing", "corrupt"])
def test_one_bad_image_costs_one_cell(figures: Figures, make_run: MakeRun, damage: str) -> None:
    run = make_run(figures)
    first = read_records(run / "generations.jsonl")[0]
    path = run / "images" / f"{first['image']}.png"
    path.unlink() if damage == "missing" else path.write_bytes(path.read_bytes()[:50])
    pictures = [p for row in shown(run, figures, [], rows=99).rows for p in row.pictures]
    bad = [p for p in pictures if not p.uri]
    assert len(bad) == 1 and "missing or damaged" in bad[0].note
    assert str(run) not in render(Sources.of(run))


def test_what_failed_to_be_drawn_says_so(figures: Figures, make_run: MakeRun) -> None:
    run = make_run(figures)
    first = read_records(run / "generations.jsonl")[1]
    with RecordWriter(run / "generations.jsonl") as file:
        file.write([{**first, "image": None, "status": "failed", "error": "<b>NaN latents</b>"}])
    rows = shown(run, figures, []).rows
    notes = [p.note for row in rows for p in row.pictures if not p.uri]
    assert notes == ["drawing failed: <b>NaN latents</b>"]
    assert "<b>NaN latents" not in render(Sources.of(run))


def test_a_damaged_record_file_is_not_passed_over(figures: Figures, make_run: MakeRun) -> None:
    run = make_run(figures)
    path = run / "generations.jsonl"
    path.write_text("broken\n" + path.read_text())
    with pytest.raises(PpdbenchError, match="line 1"):
        Sources.of(run)


def test_large_images_are_scaled_down_and_small_ones_are_kept() -> None:
    def png(side: int) -> bytes:
        buffer = io.BytesIO()
        Image.effect_noise((side, side), 80).convert("RGB").save(buffer, format="PNG")
        return buffer.getvalue()

    small, size = data_uri(png(64))
    assert small.startswith("data:image/png;base64,") and size == (64, 64)
    large, size = data_uri(png(1024))
    assert large.startswith("data:image/webp;base64,") and size == (1024, 1024)
    with Image.open(io.BytesIO(base64.b64decode(large.partition(",")[2]))) as image:
        assert image.size == (512, 512)
