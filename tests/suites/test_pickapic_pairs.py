"""The users of `pickapic`: any pairs in its schema, split and copied on first use."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ppdbench.cli import app
from ppdbench.data.people import SplitPeople
from ppdbench.data.pickapic import read_pairs
from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import People, SuiteFiles
from ppdbench.suites import pickapic_pairs
from ppdbench.suites.pickapic import PickapicSuite, suite

MADE = runpy.run_path(str(Path(__file__).parents[1] / "data" / "made_pairs.py"))
crowd, write = MADE["crowd"], MADE["write"]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pickapic"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "pairs" / "p.parquet", crowd(30)).parent  # type: ignore[no-any-return]


def of(pairs: Path | None) -> PickapicSuite:
    return suite(SuiteFiles(pairs=pairs))


def people_of(pairs: Path) -> SplitPeople:
    people = of(pairs).people
    assert people is not None
    return people


def test_without_pairs_there_are_no_people() -> None:
    assert of(None).people is None
    with pytest.raises(MissingPrerequisite, match="train pairs of pickapic are not here") as caught:
        of(None).pairs("train")
    assert "--pairs PATH" in caught.value.fix


def test_nothing_is_read_before_it_is_needed(tmp_path: Path, cache: Path) -> None:
    found = of(tmp_path / "nowhere")
    people = found.people
    assert people is not None and found.people is people
    with pytest.raises(MissingPrerequisite, match="no pair data at"):
        people.users("seen")
    assert not cache.exists()


@pytest.mark.usefixtures("cache")
def test_who_waits_for_splits_and_copies_is_told_of_progress(source: Path) -> None:
    stages: dict[str, list[int]] = {}

    class Log:
        def stage(self, name: str, total: int) -> None:
            stages[name] = [total, 0]

        def advance(self, n: int) -> None:
            stages[next(reversed(stages))][1] += n

        def note(self, text: str) -> None:
            pass

    found = suite(SuiteFiles(pairs=source, events=Log()))
    assert not stages
    people = found.people
    assert people is not None
    people.pairs(people.users("unseen")[0].choices)
    copied = len(people.shown_rows)
    assert stages["hash files"] == [1, 1]
    assert stages["read pairs"][0] == stages["read pairs"][1] > copied
    assert stages["copy pairs: people"] == [copied, copied]
    assert SuiteFiles(pairs=source) == found.files  # who is told is none of a suite's facts


def test_splits_and_copies_are_made_once(
    source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = of(source)
    people = first.people
    assert isinstance(people, People)
    users = people.users("unseen")
    assert 0 < len(users) < 192
    assert any("unseen has" in note for note in first.notes)
    (folder,) = cache.iterdir()
    assert sorted(path.name for path in folder.glob("[!.]*")) == ["splits.json", "splits.parquet"]
    (folder / ".people.parquet.1.tmp").write_bytes(b"of a killed process")
    chosen = people.pairs(users[0].choices)
    assert [str(pair.user_id) for pair in chosen] == [users[0].id] * len(chosen)
    assert not [*folder.glob("*.tmp")]
    assert (folder / "people.parquet").is_file() and not [*folder.glob("train*")]
    train, validation = first.pairs("train"), first.pairs("validation")
    ids = {split: {p.id for p in read_pairs(path)} for split, path in
           (("train", train), ("validation", validation))}  # fmt: skip
    assert len(ids["train"]) == people.splits().sizes["train"]["pairs"]
    assert ids["validation"] == {
        pair
        for user in people.users("validation-seen")
        for own in (*user.shots, user.choices)
        for pair in own
    }
    assert not ids["train"] & ids["validation"]

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("made again")

    monkeypatch.setattr(pickapic_pairs, "make_splits", refuse)
    monkeypatch.setattr(pickapic_pairs, "extract_pairs", refuse)
    again = of(source)
    assert again.people is not None and again.people.digest == people.digest
    assert again.people.pairs(users[0].choices) == chosen
    assert again.pairs("train") == train


def test_a_training_pair_comes_from_the_source(source: Path, cache: Path) -> None:
    people = people_of(source)
    used = people.splits().assignment
    shown = set(used.pair[people.shown_rows].tolist())
    trained = next(n for n in used.pair.tolist() if n not in shown)
    assert people.pairs([str(trained)])[0].id == str(trained)
    (selection,) = cache.glob("*/train*")
    assert selection.stat().st_size < 20_000  # where the pairs lie, not the pairs


def test_another_source_has_splits_of_its_own(source: Path, cache: Path) -> None:
    digest = people_of(source).digest
    write(source / "p.parquet", crowd(31))
    assert people_of(source).digest != digest
    assert len(list(cache.iterdir())) == 2


def test_splits_that_a_user_made_are_used_and_held_against_their_source(
    source: Path, cache: Path, tmp_path: Path
) -> None:
    command = ["data", "splits", str(source), "--out", str(tmp_path / "mine"), "--unseen", "2"]
    assert CliRunner().invoke(app, command).exit_code == 0
    found = of(tmp_path / "mine")
    assert found.people is not None
    users = found.people.users("unseen")
    assert len(users) == 2
    assert len(found.people.pairs(users[0].shots[0])) == 4
    assert not list(cache.glob("*/splits.json"))
    write(source / "p.parquet", crowd(31))
    with pytest.raises(MissingPrerequisite, match=r"is not the p\.parquet that the splits"):
        people_of(tmp_path / "mine").users("seen")


def test_a_held_out_image_that_cannot_be_decoded_says_how_to_go_on(
    source: Path, cache: Path, tmp_path: Path
) -> None:
    command = ["data", "splits", str(source), "--out", str(tmp_path / "mine"), "--trust-images"]
    rows = [{**row, "jpg_0": row["jpg_0"][:50]} for row in crowd(30)]
    write(source / "p.parquet", rows)
    assert CliRunner().invoke(app, command).exit_code == 0
    people = of(tmp_path / "mine").people
    assert people is not None
    with pytest.raises(MissingPrerequisite, match="used: image cannot be decoded") as caught:
        people.pairs(people.users("unseen")[0].choices)
    assert "--check-images" in caught.value.fix
    assert not list(cache.glob("*/people.parquet"))


def test_splits_whose_pairs_were_moved_say_how_to_go_on(source: Path, tmp_path: Path) -> None:
    command = ["data", "splits", str(source), "--out", str(tmp_path / "mine")]
    assert CliRunner().invoke(app, command).exit_code == 0
    source.rename(tmp_path / "moved")
    with pytest.raises(MissingPrerequisite, match=f"are not at {source}\n") as caught:
        people_of(tmp_path / "mine").users("seen")
    assert f"ppdbench data splits SOURCE --out {tmp_path / 'mine'}" in caught.value.fix
    command[2] = str(tmp_path / "moved")
    assert CliRunner().invoke(app, command).exit_code == 0
    assert people_of(tmp_path / "mine").users("seen")


@pytest.mark.usefixtures("cache")
def test_a_split_without_pairs_says_so(tmp_path: Path) -> None:
    small = of(write(tmp_path / "p.parquet", [MADE["row"](n, 1, f"c{n}") for n in range(6)]))
    assert len(list(read_pairs(small.pairs("train")))) == 6
    with pytest.raises(MissingPrerequisite, match="leaves no validation pairs"):
        small.pairs("validation")
    with pytest.raises(MissingPrerequisite, match="test pairs of pickapic are its people's"):
        small.pairs("test")
    assert small.people is not None and small.people.users("seen") == []


def test_a_cache_that_cannot_be_written_is_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(MissingPrerequisite, match="cannot be made") as caught:
        people_of(source).users("seen")
    assert "PPDBENCH_CACHE" in caught.value.fix
