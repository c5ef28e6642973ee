"""The best and the worst of a run: really the ends, on the same noise, each with its record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from ppdbench.protocols import Caption, EvaluatedUser, People
from ppdbench.reports.extremes import SHOWN, Extremes, people_extremes, reward_extremes
from ppdbench.reports.html import Sources, render
from ppdbench.runs.images import ImageStore
from ppdbench.runs.records import RecordWriter, read_records
from ppdbench.runs.results import Result, read_results

Figures = dict[str, Any]
MakeRun = Callable[[Figures], Path]
TRUTH = {"truth": {"identity": "t" * 12}}


@pytest.fixture
def run(figures: Figures, make_run: MakeRun) -> Path:
    """Scores that move up and down from caption to caption."""
    folder = make_run(figures)
    noise = np.random.default_rng(3)
    scores = read_records(folder / "scores.jsonl")
    with RecordWriter(folder / "scores.jsonl") as file:
        file.write([{**score, "score": float(noise.normal())} for score in scores])
    return folder


def found(run: Path, figures: Figures) -> list[Extremes]:
    return reward_extremes(ImageStore(run / "images"), read_results(run), figures, [])


def test_they_are_the_ends_of_all_pairs(run: Path, figures: Figures) -> None:
    results = read_results(run)
    for ends, name in zip(found(run, figures), ("clip", "aesthetic", "hps"), strict=True):
        # A slow twin: every caption looked up by its item's name.
        gains = {}
        for caption in {result.caption_id for result in results.values()}:
            after = results[f"ppd/reward:{name}/{caption}/0"]
            before = results[f"stable-cascade/-/{caption}/0"]
            assert after.seed == before.seed
            gains[after.item] = after.scores[name] - before.scores[name]
        order = sorted(gains, key=lambda item: gains[item])
        assert ends.of == len(gains) == 13
        assert [pair.after.item for pair in ends.best] == order[: -SHOWN - 1 : -1]
        assert [pair.after.item for pair in ends.worst] == order[:SHOWN]
        assert ends.losses and all(pair.kind == "below" for pair in ends.worst)
        for pair in (*ends.best, *ends.worst):
            assert abs(float(pair.gain.replace("\N{MINUS SIGN}", "-")) - gains[pair.after.item]) < (
                0.01
            )
            assert results[pair.before.item].caption_id == results[pair.after.item].caption_id


def test_without_a_loss_the_smallest_gains_are_called_so(
    figures: Figures, make_run: MakeRun
) -> None:
    run = make_run(figures)  # every user's own picture scores higher here
    (first, *_) = found(run, figures)
    assert not first.losses and {pair.kind for pair in first.worst} == {"above"}
    shown = [pair.after.item for pair in (*first.best, *first.worst)]
    assert len(shown) == len(set(shown)) == 2 * SHOWN
    page = render(Sources.of(run))
    assert "Smallest gains" in page and "Largest losses" not in page


def test_few_pairs_are_shown_once(run: Path, figures: Figures) -> None:
    results = {
        item: result
        for item, result in read_results(run).items()
        if result.caption_id in ("test-hostile", "test-small-0")
    }
    for ends in reward_extremes(ImageStore(run / "images"), results, figures, []):
        assert ends.of == 2 and len(ends.best) == 2 and not ends.worst


def test_what_failed_is_no_extreme(run: Path, figures: Figures) -> None:
    results = read_results(run)
    worst = found(run, figures)[0].worst[0].after.item
    without = {**results, worst: replace(results[worst], image=None)}
    ends = reward_extremes(ImageStore(run / "images"), without, figures, [])[0]
    assert ends.of == 12 and worst not in [pair.after.item for pair in ends.worst]


def test_a_run_of_the_baseline_alone_has_none(run: Path, figures: Figures) -> None:
    assert found(run, {**figures, "model": "stable-cascade"}) == []


def test_each_is_linked_to_its_record(run: Path, figures: Figures) -> None:
    page = render(Sources.of(run))
    (ends, *_) = found(run, figures)
    for pair in (*ends.best, *ends.worst):
        assert f'data-item="{pair.after.item}"' in page
        assert f'data-file="{pair.after.file}"' in page and (run / pair.after.file).is_file()


def person(user: str, *, seen: bool) -> EvaluatedUser:
    captions = tuple(
        Caption(id=f"{user}-{n}", text=f"caption {n} of {user}", category="") for n in range(4)
    )
    return EvaluatedUser(id=user, seen=seen, shots=((),), choices=(), captions=captions)


def crowd(identity: str = "t" * 12) -> People:
    """Two users of each split; the first likes more of the attribute, the second less."""
    users = {
        "seen": [person("10", seen=True), person("11", seen=True)],
        "unseen": [person("20", seen=False), person("21", seen=False)],
    }
    truth = SimpleNamespace(
        identity=identity,
        dominant=lambda user: "+warmth" if user.endswith("0") else "-warmth",
        utility=lambda user, attributes: (1 if user.endswith("0") else -1) * attributes[:, 0],
    )
    return cast(People, SimpleNamespace(users=lambda split: users[split], truth=truth))


def drawn(people: People, *, heard: bool) -> dict[str, Result]:
    """For every caption the baseline at 0, and the model at a place that falls along captions."""
    found: dict[str, Result] = {}

    def add(generator: str, user: str | None, caption: str, warmth: float, arm: str) -> None:
        item = f"{generator}/{user or '-'}/{caption}/0"
        found[item] = Result(
            item=item,
            generator=generator,
            caption_id=caption,
            user=user,
            sample=0,
            seed=5,
            image="0" * 64,
            scores={},
            facts=None,
            attributes=(warmth, 9.0),
            benchmark="personal",
            arm=arm,
        )

    for split in ("seen", "unseen"):
        for user in people.users(cast(Any, split)):
            for place, caption in enumerate(user.captions):
                add("stable-cascade", None, caption.id, 0.0, "nobody")
                add("ppd", None, caption.id, 50.0 - place, "nobody")
                if heard:
                    add("ppd", f"user:{user.id}", caption.id, 3.0 - place, "own")
                    add("ppd", "user:99", caption.id, 99.0, "shuffled")
    return found


def test_people_gain_by_their_own_taste(figures: Figures, tmp_path: Path) -> None:
    figures["benchmarks"]["personal"] = {"stable-cascade": {"seen": {}}}
    people = crowd()
    store = ImageStore(tmp_path)
    results = drawn(people, heard=True)
    seen, unseen = people_extremes(store, results, figures, [], people, TRUTH)
    assert (seen.title, unseen.title, seen.of) == ("seen users", "unseen users", 8)
    assert [pair.after.item for pair in seen.best] == [f"ppd/user:10/10-{n}/0" for n in range(3)]
    assert [pair.gain for pair in seen.best] == ["+3.000", "+2.000", "+1.000"]
    # The other likes the contrary: what is warmest is the largest loss.
    assert [pair.after.item for pair in seen.worst] == [f"ppd/user:11/11-{n}/0" for n in range(3)]
    assert seen.worst[0].user == "user 11, who cares most for -warmth"
    assert {pair.after.item.split("/")[1] for pair in unseen.best} == {"user:20"}


def test_a_model_that_hears_nobody_is_held_against_owners(figures: Figures, tmp_path: Path) -> None:
    figures["benchmarks"]["personal"] = {"stable-cascade": {"seen": {}}}
    people = crowd()
    results = drawn(people, heard=False)
    seen, _ = people_extremes(ImageStore(tmp_path), results, figures, [], people, TRUTH)
    assert seen.best[0].gain == "+50.00" and seen.best[0].after.item == "ppd/-/10-0/0"
    assert seen.worst[0].gain == "\N{MINUS SIGN}50.00"


def test_nothing_is_said_without_the_truth_that_measured(figures: Figures, tmp_path: Path) -> None:
    results, store = drawn(crowd(), heard=True), ImageStore(tmp_path)
    assert people_extremes(store, results, figures, [], crowd(), TRUTH) == []  # no benchmark
    figures["benchmarks"]["personal"] = {"stable-cascade": {"seen": {}}}
    assert people_extremes(store, results, figures, [], None, TRUTH) == []
    assert people_extremes(store, results, figures, [], crowd("u" * 12), TRUTH) == []
    assert people_extremes(store, results, figures, [], crowd(), {}) == []
