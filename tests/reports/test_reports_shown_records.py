"""Records of the pictures shown: the very lines of the files, and the files of the images."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from html_page import Page

from ppdbench.reports.html import Sources, render
from ppdbench.reports.shown_records import original, shown_records
from ppdbench.runs.records import RecordWriter, read_records
from ppdbench.runs.results import read_results

Figures = dict[str, Any]
MakeRun = Callable[[Figures], Path]


def numbers(text: str) -> list[int]:
    found = []
    for part in text.split(", "):
        low, _, high = part.partition("\N{EN DASH}")
        found += list(range(int(low), int(high or low) + 1))
    return found


@pytest.mark.parametrize("again", [False, True])
def test_a_record_names_the_lines_that_hold_it(
    figures: Figures, make_run: MakeRun, again: bool
) -> None:
    run = make_run(figures)
    item = "ppd/reward:hps/test-hostile/0"
    if again:  # a score that was measured anew: its last line counts
        old = [r for r in read_records(run / "scores.jsonl") if r["item"] == item]
        with RecordWriter(run / "scores.jsonl") as file:
            file.write([{**old[1], "score": 9.5}])
    record = shown_records(read_results(run), [item], figures)[item]
    lines = {
        name: (run / name).read_text().splitlines()
        for name in ("generations.jsonl", "scores.jsonl")
    }
    places = dict(record.places)
    (line,) = numbers(places["generations.jsonl"])
    drawn = json.loads(lines["generations.jsonl"][line - 1])
    assert (drawn["item"], str(drawn["seed"]), drawn["image"]) == (
        item,
        record.seed,
        record.sha256,
    )
    scored = [json.loads(lines["scores.jsonl"][n - 1]) for n in numbers(places["scores.jsonl"])]
    assert {score["item"] for score in scored} == {item}
    assert {score["scorer"] for score in scored} == {
        "reward:clip",
        "reward:aesthetic",
        "reward:hps",
    }
    assert any(score["score"] == 9.5 for score in scored) == again
    assert ("Aesthetic", "9.500") in record.scores or not again


def test_the_file_beside_the_page_is_the_image(figures: Figures, make_run: MakeRun) -> None:
    run = make_run(figures)
    page = Page(render(Sources.of(run)))
    files = {a["href"] for a in page.all("a") if (a.get("href") or "").startswith("images/")}
    assert len(files) > 40
    for file in files:
        name = hashlib.sha256((run / str(file)).read_bytes()).hexdigest()
        assert file == f"images/{name}.png"


def test_every_picture_has_a_record_and_every_link_a_place(
    figures: Figures, make_run: MakeRun
) -> None:
    page = Page(render(Sources.of(make_run(figures))))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    shots = [b for b in page.all("button") if b.get("class") == "shot"]
    assert len(shots) > 48 and all(b.get("data-record") for b in shots)
    links = [a.get("href") for a in page.all("a")] + [b["data-record"] for b in shots]
    assert {str(link)[1:] for link in links if str(link).startswith("#")} <= set(ids)
    records = [name for name in ids if re.fullmatch(r"record-\d+", str(name))]
    assert len(records) == len({b["data-record"] for b in shots})


def test_items_without_results_have_no_record(figures: Figures, make_run: MakeRun) -> None:
    results = read_results(make_run(figures))
    item = "ppd/reward:hps/test-hostile/0"
    found = shown_records(results, ["", "gone", item, item], figures)
    assert list(found) == [item] and found[item].anchor == "record-1"


@pytest.mark.parametrize("name", [None, "", "javascript:alert(1)", "../" + "0" * 61, "G" * 64])
def test_only_a_hash_is_linked(name: str | None) -> None:
    assert original(name) == ""
    assert original("0f" * 32) == f"images/{'0f' * 32}.png"
