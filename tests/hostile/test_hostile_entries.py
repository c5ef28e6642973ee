"""Whole folders of entries as strangers send them: their files, their names, links and sizes.

Elsewhere: how many and within which bounds (`cases`), galleries by themselves
(`test_hostile_images`), each field of entry.yaml and every figure by name (`tests/leaderboard`).
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cases import NUMBERS, TEXTS, Draw, as_json, damage, damage_text, edit, hold, profiles, takes

import leaderboards
from ppdbench.data.plain_yaml import parse_yaml, write_yaml
from ppdbench.entries.entry import Entry, entries_of, read_entry
from ppdbench.entries.files import ENTRY, GALLERY, NAMES, REPRODUCED, SCORES, SUMMARY
from ppdbench.entries.lines import LARGEST_NUMBER, read_lines, write_lines
from ppdbench.entries.problems import Problem
from ppdbench.leaderboard.read import read_with_records
from ppdbench.runs.results import Result

SHIPPED = Path(leaderboards.__file__).parent / "shapes" / "null"
LINES = b"".join((SHIPPED / SCORES).read_bytes().splitlines(keepends=True)[-3:])
FILES = {
    ENTRY: (SHIPPED / ENTRY).read_bytes(),
    SUMMARY: (SHIPPED / SUMMARY).read_bytes(),
    SCORES: LINES,
    GALLERY: (SHIPPED / GALLERY).read_bytes()[:4096],
    REPRODUCED: b'{"schema_version": 1}',
}


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """A copy of a shipped entry with few records, and a secret beside the board."""
    folder = tmp_path / "board" / "shapes" / "null"
    folder.mkdir(parents=True)
    for name in (ENTRY, SUMMARY, SCORES):
        (folder / name).write_bytes(FILES[name])
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_bytes(FILES[ENTRY])
    return folder


def contents(name: str) -> Callable[[Draw], bytes]:
    """What a file of an entry may hold: damaged bytes, or other values in the right form."""
    data = FILES[name]
    said = parse_yaml(data) if name == ENTRY else None
    said = json.loads(data) if name in (SUMMARY, REPRODUCED) else said

    def drawn(draw: Draw) -> bytes:
        if said is None or draw.random() < 0.4:
            return damage(data, draw, draw.randrange(5))
        changed = edit(said, draw, draw.randrange(3))
        if name != ENTRY:
            return as_json(changed)
        try:
            return write_yaml(changed).encode()
        except ValueError:  # a lone surrogate, or a number that cannot be printed
            return as_json(changed)

    return drawn


Case = tuple[str, str, bytes]
"""What is done, the name of the file it is done to, and its content."""


def folders(draw: Draw) -> Case:
    """One file of an entry replaced, linked, added, made a folder, a pipe or endless."""
    kind = draw.choice(("write",) * 8 + ("link", "add", "folder", "pipe", "large", "remove"))
    name = draw.choice((ENTRY, ENTRY, SUMMARY, SUMMARY, *NAMES))
    if kind == "add":
        name = damage_text(draw.choice((*TEXTS, *NAMES)), draw)
        return kind, name.replace("/", "_").replace("\0", "_")[:60] or "x", b"x"
    return kind, name, contents(name)(draw) if kind == "write" else b""


def changed(folder: Path, case: Case, secret: Path) -> None:
    """Do it."""
    kind, name, data = case
    path = folder / os.fsdecode(name.encode("utf-8", "backslashreplace"))
    if name in (".", ".."):
        return
    if kind != "write":
        path.unlink(missing_ok=True)
    if kind in ("write", "add"):
        path.write_bytes(data)
    elif kind == "link":
        path.symlink_to(secret)
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(1 << 40)  # sparse


def restored(folder: Path, case: Case) -> None:
    """The folder as it was."""
    path = folder / os.fsdecode(case[1].encode("utf-8", "backslashreplace"))
    if case[1] in (".", ".."):
        return
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.unlink(missing_ok=True)
    if path.name in (ENTRY, SUMMARY, SCORES):
        path.write_bytes(FILES[path.name])


def sound(entry: Entry) -> None:
    """What the site and the figures count on."""
    assert (entry.name, entry.suite) == ("null", "shapes")
    assert 0 <= entry.about.n < 2**31
    assert all(link.url.startswith("https://") for link in entry.about.links)
    json.dumps(entry.about.model_dump(mode="json"), allow_nan=False)
    json.dumps(entry.summary.model_dump(mode="json"), allow_nan=False)


@profiles
def test_folders_of_entries(entry: Path, number: int) -> None:
    secret = entry.parents[2] / "secret" / "file"

    def body(case: Case) -> bool:
        problems: list[Problem] = []
        watched = entry.parents[1]
        changed(entry, case, secret)
        try:
            taken = takes(
                lambda: read_with_records(entry, problems.append).entry,
                sound,
            )
            names = [each.name for each in entries_of(watched)]
            assert names == ["null"][: len(names)]
        finally:
            restored(entry, case)
        for problem in problems:
            said = str(problem)
            assert len(said) < 600 and "\n" not in said and "\x1b" not in said, said
            said.encode()
        return taken

    # The secret is linked to by the test itself; no reader opens it.
    hold(
        body,
        folders,
        number=number,
        folder=entry.parents[2],
        examples=[("link", ENTRY, b""), ("pipe", SCORES, b""), ("large", SUMMARY, b"")],
    )


@profiles
def test_records_of_entries(number: int) -> None:
    def body(data: bytes) -> bool:
        problems: list[Problem] = []
        found = read_lines("null", data, wrong=problems.append)
        assert len({(each.benchmark, each.item) for each in found}) == len(found)
        for result in found:
            values = [*result.scores.values(), *(result.attributes or ())]
            assert all(math.isfinite(value) and abs(value) <= LARGEST_NUMBER for value in values)
        assert all(len(str(problem)) < 600 for problem in problems)
        return not problems

    hold(
        body,
        lambda draw: damage(LINES, draw, draw.randrange(5)),
        number=number,
        examples=[b"[" * 16_000 + b"\n", b'{"a":' * 3000 + b"\n", b"\n" * 200_000, b"", b"\0"],
    )


@profiles
def test_records_are_read_back_as_they_were_written(number: int) -> None:
    numbers = [each for each in NUMBERS if abs(each) <= LARGEST_NUMBER]

    def drawn(draw: Draw) -> Result:
        return Result(
            item=f"null/-/c{draw.randrange(99)}/0",
            generator="null",
            caption_id=f"c{draw.randrange(99)}",
            user=None,
            sample=draw.randrange(1000),
            seed=draw.randrange(2**63),
            image=f"{draw.randrange(2**256):064x}",
            scores={"clip": float(draw.choice(numbers)), "red": draw.uniform(-9, 9)},
            facts={"all": draw.random() < 0.5},
        )

    def body(result: Result) -> bool:
        problems: list[Problem] = []
        (found,) = read_lines("null", write_lines([result]), wrong=problems.append)
        assert not problems
        assert (found.scores, found.facts, found.seed) == (
            result.scores,
            result.facts,
            result.seed,
        )
        return True

    hold(body, drawn, number=number, one_sided=True)


def test_no_reader_opens_what_a_link_leads_to(entry: Path) -> None:
    """Each file in turn is a link to a secret, which must not be opened."""
    secret = entry.parents[2] / "secret"

    def body(name: str) -> bool:
        return takes(lambda: read_entry(entry.parent / name))

    for name in NAMES:
        shutil.copytree(entry, entry.parent / f"link-{name}")
        path = entry.parent / f"link-{name}" / name
        path.unlink(missing_ok=True)
        path.symlink_to(secret / "file")
    names = [f"link-{name}" for name in NAMES]
    hold(
        body,
        lambda draw: draw.choice(names),
        number=len(names),
        forbidden=secret,
        examples=names,
        one_sided=True,
    )
