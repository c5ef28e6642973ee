"""A full disk stops a command with its folder and what is free; with room it ends as ever.

By a real file system that is full, where one can be mounted, and by a limit on the size of files,
which every machine has. Elsewhere: `data prepare` (`test_trainers_prepare`).
"""

from __future__ import annotations

import errno
import re
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drive import Command, check_clean
from mounts import mounts
from small import EVAL, JUDGE, SCORE, TRAIN, the_error, undisturbed

from ppdbench.cli.errors import explain
from ppdbench.errors import MissingPrerequisite, from_os_error
from trainers.training.progress import Silence
from trainers.training.reference_cache import ReferenceCache, Visits

FAULTED = str(Path(__file__).with_name("faulted.py"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "folder", "sizes"),
    [
        # In the first pictures; in the figures of the page.
        (EVAL, "runs", ("44k", "900k")),
        # In the encoded pairs.
        (TRAIN, "trained", ("300k",)),
    ],
    ids=["eval", "train-reference"],
)
def test_a_full_disk(command: Command, folder: str, sizes: tuple[str, ...], tmp_path: Path) -> None:
    whole = undisturbed(command, tmp_path)
    place = tmp_path / "full"
    command.prepare(place)
    with mounts(place) as mounted:
        within = mounted.within(command)
        for size in sizes:
            mounted.small(folder, size)
            done = within.run(place)
            assert done.code == 3, done.err
            cause, fix = the_error(done)
            assert cause.startswith(f"error: no space left while writing {folder}/"), cause
            assert re.search(rf": \d+\.\d MB are free in .*/{folder}", cause), cause
            assert "free some space and run the same command again" in fix
            assert not list((mounted.inside / folder).rglob("*.part"))  # what was half is gone
        mounted.small(folder, "500m")
        within.finish(place)
        assert command.outcome(mounted.inside) == whole
        check_clean(mounted.inside)


@pytest.mark.slow
def test_files_that_may_not_grow(tmp_path: Path) -> None:
    whole = undisturbed(JUDGE, tmp_path)
    place = tmp_path / "limited"
    JUDGE.prepare(place)
    limited = replace(JUDGE, launcher=("-P", FAULTED, "small-files:6000"))
    done = limited.run(place)
    assert done.code == 3, done.err
    cause, _ = the_error(done)
    assert "no space left while writing" in cause and "ulimit -f" in cause
    JUDGE.finish(place)
    assert JUDGE.outcome(place) == whole
    check_clean(place)


@pytest.mark.slow
def test_a_full_cache_stops_no_scoring(tmp_path: Path) -> None:
    """What cannot be kept is computed: scores are the same, and that they are not kept is said."""
    whole = undisturbed(SCORE, tmp_path)
    place = tmp_path / "full"
    SCORE.prepare(place)
    with mounts(place) as mounted:
        mounted.small("cache", "28k")
        done = mounted.within(SCORE).finish(place)
        assert "score cache" in done.err and "is not used" in done.err
        assert SCORE.outcome(mounted.inside)["table"] == whole["table"]
        mounted.small("cache", "100m")
        done = mounted.within(SCORE).finish(place)
        assert "is not used" not in done.err
        assert SCORE.outcome(mounted.inside) == whole
        check_clean(mounted.inside)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, r"no space left while writing .*x\.json: \d+\.\d MB are free in "),
        (errno.EDQUOT, "your quota there is used up"),
        (errno.EFBIG, "ulimit -f"),
    ],
)
def test_no_room_is_told_by_its_kind(number: int, says: str, tmp_path: Path) -> None:
    found = from_os_error(OSError(number, "no"), tmp_path / "not yet" / "x.json")
    assert isinstance(found, MissingPrerequisite) and found.exit_code == 3
    assert re.search(says, found.cause) and "\n" not in found.cause
    unnamed = explain(OSError(number, "no"))  # as pyarrow and numpy raise it
    assert "no space left" in unnamed.cause and unnamed.exit_code == 3


def test_losses_that_find_no_room(tmp_path: Path) -> None:
    """numpy says of a full disk how many numbers it wrote, and not that it is full."""
    cache = ReferenceCache(tmp_path, {"of": "a test"}, 100_000, main=True, events=Silence())
    none = np.zeros(1, np.int64)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    try:
        with pytest.raises(MissingPrerequisite, match=r"no space left .*visit-00000.*ulimit"):
            cache.known(Visits(pair=none, visit=none, winner=none))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in cache.folder.iterdir()] == ["key.json"]
