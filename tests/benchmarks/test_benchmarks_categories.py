"""Win rates by caption category, the captions kept with a run, and the notes printed with it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fake_world
import pytest
from toy_runs import run, summary_of, use_toy_world

from ppdbench import plugins
from ppdbench.benchmarks.evaluate import TooManyFailures
from ppdbench.benchmarks.rewards.figures import by_category, cell
from ppdbench.benchmarks.rows import Row
from ppdbench.protocols import Caption, GenerationRequest
from ppdbench.reports.html import write_report
from ppdbench.runs.captions import read_captions, write_captions
from ppdbench.runs.results import Result

world = pytest.fixture(autouse=True)(use_toy_world)

KINDS = ("zoo", "arts", "<i>lone</i>")
"""Of the toy captions: four, seven and one."""
PLACES = {
    **dict.fromkeys(("z1", "z2", "z3", "z4"), "zoo"),
    **dict.fromkeys(("a1", "a2"), "arts"),
    "l1": "lone",
}


def result(caption: str, scores: Mapping[str, float], user: str | None, sample: int) -> Result:
    return Result(
        item=f"g/{user or '-'}/{caption}/{sample}",
        generator="g",
        caption_id=caption,
        user=user,
        sample=sample,
        seed=0,
        image="i" if scores else None,
        scores=scores,
        facts=None,
    )


def row(**users: Mapping[str, float | None]) -> Row:
    """A row whose images of each user have these scores; keys are captions, or caption_sample."""
    results = []
    for name, found in users.items():
        user = None if name == "nobody" else f"reward:{name}"
        for key, score in found.items():
            caption, _, sample = key.partition("_")
            scores = {} if score is None else {"r": score, "s": -score}
            results.append(result(caption, scores, user, int(sample or 0)))
    return Row(
        name="g",
        version="1",
        revision="1",
        licence="MIT",
        settings={},
        source="fresh",
        results=tuple(results),
        n_ok=len(results),
        n_expected=len(results),
    )


ZEROS = row(nobody=dict.fromkeys(PLACES, 0.0))


def keys_of(found: Row) -> list[str]:
    return [f"{r.caption_id}_{r.sample}" for r in found.results]


def rates(found: Mapping[str, Mapping[str, Any]], reward: str) -> dict[str, Any]:
    return {category: cells[reward]["win_rate"] for category, cells in found.items()}


def counts(found: Mapping[str, Mapping[str, Any]], reward: str) -> dict[str, int]:
    return {category: cells[reward]["n"] for category, cells in found.items()}


def test_each_category_has_the_win_rate_of_its_own_captions() -> None:
    model = row(nobody={"l1": -1, "z1": 1, "z2": 2, "z3": 0, "z4": -1, "a1": 3, "a2": 4})
    found = by_category(model, ZEROS, ["r", "s"], PLACES, None)
    assert list(found) == ["zoo", "arts", "lone"]  # as the captions come, not as the images do
    assert rates(found, "r") == {"zoo": 2.5 / 4, "arts": 1.0, "lone": 0.0}
    assert rates(found, "s") == {"zoo": 1.5 / 4, "arts": 0.0, "lone": 1.0}
    assert counts(found, "r") == {"zoo": 4, "arts": 2, "lone": 1}


def test_categories_that_are_mixed_in_order_are_kept_together() -> None:
    places = {"z1": "zoo", "a1": "arts", "z2": "zoo", "a2": "arts"}
    model = row(nobody={"z1": 1, "a1": -1, "z2": 1, "a2": -1})
    assert rates(by_category(model, ZEROS, ["r"], places, None), "r") == {"zoo": 1.0, "arts": 0.0}


def test_each_reward_counts_on_its_own_users_images() -> None:
    wins, loses = dict.fromkeys(PLACES, 1.0), dict.fromkeys(PLACES, -1.0)
    found = by_category(row(r=wins, s=wins), ZEROS, ["r", "s"], PLACES, None)
    assert (set(rates(found, "r").values()), set(rates(found, "s").values())) == ({1.0}, {0.0})
    found = by_category(row(r=wins, s=loses), ZEROS, ["r", "s"], PLACES, None)
    assert (set(rates(found, "r").values()), set(rates(found, "s").values())) == ({1.0}, {1.0})
    assert counts(found, "s") == {"zoo": 4, "arts": 2, "lone": 1}


def test_only_pairs_with_both_scores_count() -> None:
    model = row(nobody={"z1": 1, "z2": None, "z3": -1, "a1": None, "a2": None, "l1": 1})
    base = row(nobody={**dict.fromkeys(PLACES, 0.0), "l1": None, "z3": None})
    found = by_category(model, base, ["r"], PLACES, None)
    assert counts(found, "r") == {"zoo": 1, "arts": 0, "lone": 0}
    assert rates(found, "r") == {"zoo": 1.0, "arts": None, "lone": None}
    assert found["arts"]["r"]["reason"] == "no pairs to compare"


def test_samples_of_a_caption_are_pairs_of_their_own() -> None:
    model = row(nobody={"z1_0": 1, "z1_1": 1, "z1_2": -1, "a1_0": 1})
    base = row(nobody={"z1_0": 0, "z1_1": 2, "z1_2": 0, "a1_1": 0})
    found = by_category(model, base, ["r"], {"z1": "zoo", "a1": "arts"}, None)
    assert (counts(found, "r"), rates(found, "r")["zoo"]) == ({"zoo": 3, "arts": 0}, 1 / 3)


def test_samples_of_one_caption_tell_less_than_as_many_captions() -> None:
    alike = row(nobody={f"{caption}_{n}": 1 for caption in ("z1", "z2") for n in range(5)})
    apart = row(nobody={f"c{n}": 1 for n in range(10)})
    zeros = row(nobody={key: 0 for r in (alike, apart) for key in keys_of(r)})
    few, many = (cell(r.for_reward("r"), zeros, "r", None) for r in (alike, apart))
    assert (few["n"], many["n"]) == (10, 10)
    assert few["ci_low"] < many["ci_low"] - 0.2


def test_a_withheld_cell_is_null_with_its_reason_and_n() -> None:
    found = by_category(row(nobody=dict.fromkeys(PLACES, 1.0)), ZEROS, ["r"], PLACES, "3 failed")
    assert found["zoo"]["r"] == {
        "win_rate": None,
        "ci_low": None,
        "ci_high": None,
        "n": 4,
        "reason": "3 failed",
    }
    assert counts(found, "r") == {"zoo": 4, "arts": 2, "lone": 1}


@pytest.mark.parametrize("score", [1.0, 0.0, -1.0])
def test_few_captions_give_bounds_that_are_numbers(score: float) -> None:
    found = by_category(row(nobody=dict.fromkeys(PLACES, score)), ZEROS, ["r"], PLACES, None)
    for cells in found.values():
        figures = cells["r"]
        assert "reason" not in figures
        assert 0 <= figures["ci_low"] <= figures["win_rate"] <= figures["ci_high"] <= 1
        assert figures["ci_high"] - figures["ci_low"] > 0.3  # one caption tells little
    json.dumps(found, allow_nan=False)


def test_a_cell_says_why_it_is_empty_and_nothing_else() -> None:
    assert cell({}, ZEROS, "r", None) == {
        "win_rate": None,
        "ci_low": None,
        "ci_high": None,
        "n": 0,
        "reason": "no pairs to compare",
    }
    ours = row(nobody={"z1": 1, "z2": 1}).for_reward("r")
    assert set(cell(ours, ZEROS, "r", None)) == {"win_rate", "ci_low", "ci_high", "n"}
    assert cell(ours, ZEROS, "t", None)["n"] == 0  # nobody scored by t


@pytest.fixture
def categorised(monkeypatch: pytest.MonkeyPatch) -> list[Caption]:
    """The toy suite's captions, in three categories of four, seven and one."""
    kinds = 4 * KINDS[:1] + 7 * KINDS[1:2] + KINDS[2:]
    captions = [
        Caption(id=f"test-{n:03}", text=f"caption <b>{n}</b>", category=kind)
        for n, kind in enumerate(kinds)
    ]
    assert len(captions) == fake_world.CAPTIONS
    monkeypatch.setattr(fake_world.ToySuite, "captions", lambda *_: list(captions))
    return captions


@pytest.mark.usefixtures("categorised")
def test_a_run_has_its_categories_and_they_add_up(tmp_path: Path) -> None:
    found = summary_of(run(tmp_path, "tuned", samples=2))["benchmarks"]
    assert list(found["categories"]) == list(KINDS)
    for reward in fake_world.CHANNELS:
        whole = found["rewards"]["plain"][reward]
        parts = [cells[reward] for cells in found["categories"].values()]
        assert [part["n"] for part in parts] == [8, 14, 2]
        assert sum(part["n"] for part in parts) == whole["n"] == 24
        mean = sum(part["n"] * part["win_rate"] for part in parts) / whole["n"]
        assert math.isclose(mean, whole["win_rate"])


@pytest.mark.usefixtures("categorised")
def test_a_run_of_the_first_captions_has_their_categories_only(tmp_path: Path) -> None:
    found = summary_of(run(tmp_path, limit=6))["benchmarks"]["categories"]
    assert counts(found, "red") == {"zoo": 4, "arts": 2}
    assert "categories" not in summary_of(run(tmp_path, limit=4))["benchmarks"]


@pytest.mark.usefixtures("categorised")
def test_too_many_failures_withhold_the_categories_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(requests: Sequence[GenerationRequest]) -> None:
        if any("/test-002/" in request.id for request in requests):
            raise RuntimeError("no such colour")

    monkeypatch.setattr(fake_world, "generate_error", broken)
    with pytest.raises(TooManyFailures) as caught:
        run(tmp_path)
    found = summary_of(caught.value.run)
    assert counts(found["benchmarks"]["categories"], "red") == {"zoo": 3, "arts": 7, KINDS[2]: 1}
    for cells in found["benchmarks"]["categories"].values():
        assert cells["red"]["win_rate"] is cells["red"]["ci_low"] is cells["red"]["ci_high"] is None
        assert cells["red"]["reason"] == found["withheld"]
    write_report(caught.value.run)


@pytest.mark.usefixtures("categorised")
def test_the_baseline_against_itself_has_no_categories(tmp_path: Path) -> None:
    assert "categories" not in summary_of(run(tmp_path, "plain"))["benchmarks"]


def test_one_category_is_no_table(tmp_path: Path) -> None:
    folder = run(tmp_path)
    assert "categories" not in summary_of(folder)["benchmarks"]
    assert "By caption category" not in write_report(folder).read_text()


@pytest.mark.usefixtures("categorised")
def test_the_page_has_a_line_for_each_category(tmp_path: Path) -> None:
    folder = run(tmp_path)
    text = write_report(folder).read_text()
    table = text.partition("By caption category")[2].partition("</table>")[0]
    lines = re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', table, flags=re.DOTALL)
    assert [name for name, _ in lines] == ["zoo", "arts", "&lt;i&gt;lone&lt;/i&gt;"]
    for (_, cells), found in zip(
        lines, summary_of(folder)["benchmarks"]["categories"].values(), strict=True
    ):
        for reward in fake_world.CHANNELS:
            assert f"{found[reward]['win_rate']:.1%}" in cells
        assert f"{found['red']['n']}</td>" in cells


@pytest.mark.usefixtures("categorised")
def test_every_table_of_the_page_has_a_caption(tmp_path: Path) -> None:
    text = write_report(run(tmp_path)).read_text()
    assert text.count("<table") == text.count("<caption")


def uninstall_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "entry_points", lambda _: [])


def test_a_run_keeps_its_captions_for_a_page_without_its_suite(
    tmp_path: Path, categorised: list[Caption], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(tmp_path)
    assert read_captions(folder) == categorised
    uninstall_the_suite(monkeypatch)
    text = write_report(folder).read_text()
    assert "The suite could not be loaded." in text
    for caption in categorised:
        assert f"<h3>caption &lt;b&gt;{caption.id[-3:].lstrip('0') or 0}&lt;/b&gt;</h3>" in text
        assert f"<h3>{caption.id}</h3>" not in text
    assert "<b>1</b>" not in text


def test_a_page_that_shows_captions_does_not_say_it_lacks_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run(tmp_path)
    uninstall_the_suite(monkeypatch)
    assert "shown by their ids" not in " ".join(write_report(folder).read_text().split())


@pytest.mark.usefixtures("categorised")
def test_a_run_keeps_the_captions_that_it_draws_and_no_more(tmp_path: Path) -> None:
    found = read_captions(run(tmp_path, limit=3))
    assert found is not None and [caption.id for caption in found] == [
        "test-000",
        "test-001",
        "test-002",
    ]


@pytest.mark.parametrize("content", [None, "{", "[]", '{"captions": null}', '{"captions": [{}]}'])
def test_lost_captions_come_from_the_suite_and_the_same_command_mends_them(
    tmp_path: Path, content: str | None
) -> None:
    folder = run(tmp_path)
    before = (folder / "captions.json").read_bytes()
    (folder / "captions.json").unlink()
    if content is not None:
        (folder / "captions.json").write_text(content)
    assert read_captions(folder) is None
    assert "<h3>caption 1</h3>" in write_report(folder).read_text()
    fake_world.calls.clear()
    run(tmp_path)
    assert (folder / "captions.json").read_bytes() == before
    assert fake_world.calls == []


def test_captions_that_are_there_are_not_written_again(tmp_path: Path) -> None:
    captions = [Caption(id="1", text='"\u2028é', category="c")]
    write_captions(tmp_path, captions)
    stamp = (tmp_path / "captions.json").stat()
    write_captions(tmp_path, captions)
    assert (tmp_path / "captions.json").stat() == stamp
    assert read_captions(tmp_path) == captions
    write_captions(tmp_path, [])
    assert read_captions(tmp_path) == []


def test_notes_are_told_and_printed_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = ("<script>alert(1)</script> & more", "{{ 7 * 7 }} of its own")
    monkeypatch.setattr(fake_world.ToySuite, "notes", notes)
    events = fake_world.Quiet()
    folder = run(tmp_path, events=events)
    assert events.notes == list(notes)
    assert summary_of(folder)["notes"] == list(notes)
    text = write_report(folder).read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in text
    assert "<script>alert" not in text
    assert "{{ 7 * 7 }} of its own" in text


def test_a_summary_without_notes_has_its_page(tmp_path: Path) -> None:
    folder = run(tmp_path)
    assert summary_of(folder)["notes"] == []
    older = {key: value for key, value in summary_of(folder).items() if key != "notes"}
    (folder / "summary.json").write_text(json.dumps(older))
    assert "<b>Note.</b>" not in write_report(folder).read_text()
