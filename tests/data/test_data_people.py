"""Real users as the harness meets them: who, by which pairs, drawing which captions."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ppdbench.data import assignment
from ppdbench.data.extract import extract_pairs
from ppdbench.data.people import SplitPeople
from ppdbench.data.splits import Splits, SplitSettings, make_splits
from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import People, UserSplit

MADE = runpy.run_path(str(Path(__file__).with_name("made_pairs.py")))
FEW = SplitSettings(seen=8, unseen=6, validation_seen=4, validation_unseen=3, calibration=2)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = MADE["write"](
        tmp_path_factory.mktemp("p") / "p.parquet", MADE["crowd"](captions=30)
    )
    return path


@pytest.fixture(scope="module")
def splits(original: Path) -> Splits:
    return make_splits(original, FEW)


@pytest.fixture(scope="module")
def source(original: Path, splits: Splits) -> Path:
    """A copy of all pairs in use, under the splits' ids."""
    used, path = splits.assignment, original.parent / "copy" / "used.parquet"
    extract_pairs(original, used.row, used.pair, path)
    return path


def refuse() -> Any:
    raise AssertionError("not needed")


@pytest.fixture
def people(splits: Splits, source: Path) -> SplitPeople:
    return SplitPeople(splits=lambda: splits, shown=lambda: source, trained=lambda: source)


SPLITS: dict[UserSplit, bool] = {
    "seen": True,
    "unseen": False,
    "validation-seen": True,
    "validation-unseen": False,
    "calibration": False,
}
"""Split -> whether its users gave training pairs."""


@pytest.mark.parametrize("split", SPLITS)
def test_users_are_those_of_the_splits(split: UserSplit, people: SplitPeople) -> None:
    found = people.users(split)
    assert isinstance(people, People)
    assert len(found) == FEW.wanted(split)
    most = max(len(user.choices) for user in found)
    assert 8 < most <= 20 if split == "calibration" else 6 <= most <= 8
    for user in found:
        assert user.seen is SPLITS[split]
        assert [len(shots) for shots in user.shots] == [4, 4]
        ids = [*(pair for shots in user.shots for pair in shots), *user.choices]
        pairs = people.pairs(ids)
        assert [pair.id for pair in pairs] == ids and len(set(ids)) == len(ids)
        assert {str(pair.user_id) for pair in pairs} == {user.id}
        chosen = pairs[8:]
        assert [c.text for c in user.captions] == [pair.caption for pair in chosen[:4]]
        assert not {p.caption for p in chosen} & {p.caption for p in pairs[:8]}


def test_captions_have_names_of_their_own(people: SplitPeople) -> None:
    captions = [c.id for split in SPLITS for user in people.users(split) for c in user.captions]
    assert len(captions) == len(set(captions)) > 40
    assert people.truth is None


def test_users_are_identified_by_training_pairs_in_disjoint_groups(people: SplitPeople) -> None:
    found = people.identified(topics=True)
    held_out = {user.id for split in SPLITS if not SPLITS[split] for user in people.users(split)}
    assert found and not {user.id for user in found} & held_out
    for user in found[:5]:
        assert (len(user.train), len(user.test)) == (4, 1)
        ids = [pair for group in (*user.train, *user.test) for pair in group]
        assert len(set(ids)) == 20
        train, test = people.pairs(ids[:16]), people.pairs(ids[16:])
        assert not {p.caption for p in train} & {p.caption for p in test}
        images = [{image for p in pairs for image in (p.image_0, p.image_1)} for pairs in
                  (train, test)]  # fmt: skip
        assert not images[0] & images[1]
    with pytest.raises(MissingPrerequisite, match="no captions in common"):
        people.identified(topics=False)


def test_no_more_users_are_identified_than_in_the_paper(
    people: SplitPeople, monkeypatch: pytest.MonkeyPatch
) -> None:
    everyone, made = people.identified(topics=True), people.splits()
    monkeypatch.setattr(assignment, "IDENTIFIED", 3)
    anew = replace(made, assignment=replace(made.assignment))
    fewer = SplitPeople(splits=lambda: anew, shown=refuse, trained=refuse)
    assert list(fewer.identified(topics=True)) == list(everyone)[:3]


def test_pairs_that_people_are_shown_by_need_no_training_file(splits: Splits, source: Path) -> None:
    people = SplitPeople(splits=lambda: splits, shown=lambda: source, trained=refuse)
    identified = people.identified(topics=True)[0]
    ids = [people.users("unseen")[0].choices[0], identified.test[0][0]]
    assert [pair.id for pair in people.pairs(ids)] == ids
    shown = set(splits.assignment.pair[people.shown_rows].tolist())
    other = next(str(n) for n in splits.assignment.pair.tolist() if n not in shown)
    with pytest.raises(AssertionError, match="not needed"):
        people.pairs([other])
    both = SplitPeople(splits=lambda: splits, shown=refuse, trained=lambda: source)
    assert both.pairs([other])[0].id == other
    with pytest.raises(MissingPrerequisite, match="pair 999999 is not among"):
        both.pairs(["999999"])


def test_the_digest_is_of_splits_and_source(people: SplitPeople, splits: Splits) -> None:
    other = replace(splits, source=(replace(splits.source[0], sha256="0"),))
    found = SplitPeople(splits=lambda: other, shown=refuse, trained=refuse)
    assert people.digest != found.digest and len(people.digest) == 64
    assert people.digest == SplitPeople(lambda: splits, refuse, refuse).digest


def test_few_users_are_noted_and_none_is_no_error(original: Path) -> None:
    made = make_splits(original, replace(FEW, unseen=999, calibration=0))
    people = SplitPeople(lambda: made, refuse, refuse)
    assert people.users("calibration") == []
    (note,) = people.notes
    assert "unseen has" in note and "of 999" in note
