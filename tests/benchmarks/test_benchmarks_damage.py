"""Torn, damaged, foreign or unwritable run folders: named, and nothing finished is lost."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fake_world
import pytest
from toy_runs import ITEMS, figures, items_of, only_folder, run, use_toy_world

from ppdbench import plugins
from ppdbench.errors import (
    FingerprintMismatch,
    Interrupted,
    MissingPrerequisite,
    PpdbenchError,
)

world = pytest.fixture(autouse=True)(use_toy_world)


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
