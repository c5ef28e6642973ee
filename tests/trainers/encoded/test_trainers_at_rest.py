"""Pairs that are read for long: changed meanwhile is an error, seen otherwise is none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ppdbench.errors import PpdbenchError
from trainers.encoded.at_rest import AtRest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "train.parquet"
    path.write_bytes(b"pairs")
    return path


def test_another_inode_of_the_same_file_is_none(file: Path) -> None:
    """File systems in user space and over a network number files anew while nobody looks."""
    at_rest = AtRest(file.parent)
    before = file.stat().st_ino
    copy = Path(shutil.copy2(file, file.with_name("copy")))
    copy.replace(file)
    assert file.stat().st_ino != before
    at_rest.require()


@pytest.mark.parametrize("change", ["longer", "later", "gone", "one more"])
def test_a_change_is_named(file: Path, change: str) -> None:
    at_rest = AtRest(file.parent)
    at_rest.require()
    if change == "longer":
        stat = file.stat()
        file.write_bytes(b"other pairs")
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif change == "later":
        os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000_000))
    elif change == "gone":
        file.unlink()
    else:
        file.with_name("val.parquet").write_bytes(b"pairs")
    with pytest.raises(PpdbenchError, match="were changed while they were read"):
        at_rest.require()
