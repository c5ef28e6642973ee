"""A folder that may not be written: named at once where it is needed, done without where it is not.

Read-only by a mount, which root cannot pass either.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drive import Command, check_clean, files
from mounts import mounts
from small import EVAL, JUDGE, PREPARE, TRAIN, the_error, undisturbed

from ppdbench.protocols import EncoderInfo
from ppdbench.users.known_users import KnownUsersEncoder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "folder", "option"),
    [(EVAL, "runs", "--runs"), (TRAIN, "trained", "--output"), (PREPARE, "prepared", "--out")],
    ids=["eval", "train-reference", "data prepare"],
)
def test_a_folder_that_results_go_to(
    command: Command, folder: str, option: str, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    command.prepare(place)
    (place / folder).mkdir()
    with mounts(place) as mounted:
        mounted.read_only(folder)
        done = mounted.within(command).run(place)
        assert done.code == 3, done.err
        cause, fix = the_error(done)
        assert f"/{folder}" in cause or f" {folder}/" in cause
        assert "cannot be written: Read-only file system" in cause
        assert option in fix
        assert files(mounted.inside / folder) == []


@pytest.mark.slow
def test_a_cache_that_can_be_done_without(tmp_path: Path) -> None:
    """Judged beside a cache that is there and may not be written: said once, figures the same."""
    whole = undisturbed(JUDGE, tmp_path)
    place = tmp_path / "place"
    JUDGE.prepare(place)
    before = files(place / "cache")
    with mounts(place) as mounted:
        mounted.read_only("cache")
        done = mounted.within(JUDGE).finish(place)
        for cache in ("verdict cache", "embedding cache"):
            assert done.err.count(f"the {cache}") == 1, done.err
        assert JUDGE.outcome(mounted.inside) == whole
        assert files(mounted.inside / "cache") == before
        mounted.writable("cache")
        mounted.within(JUDGE).finish(place)
        assert JUDGE.outcome(mounted.inside) == whole
        check_clean(mounted.inside)


@pytest.mark.slow
def test_a_cache_that_is_needed(tmp_path: Path) -> None:
    """Pairs are rendered into the cache once: where they cannot be, the fix names the cache."""
    command = replace(TRAIN, name="train-reference without pairs")
    place = tmp_path / "place"
    for name in ("tmp", "said", "cache"):
        (place / name).mkdir(parents=True)
    with mounts(place) as mounted:
        mounted.read_only("cache")
        done = mounted.within(command).run(place)
        assert done.code == 3, done.err
        cause, fix = the_error(done)
        assert "cannot be written" in cause and "PPDBENCH_CACHE" in fix


def test_learnt_tastes_need_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tastes of known users are fitted again where they cannot be kept."""
    nowhere = tmp_path / "a file"
    nowhere.write_text("no folder can be made here")
    monkeypatch.setenv("PPDBENCH_CACHE", str(nowhere))
    fitted = np.ones((2, 3))
    monkeypatch.setattr(KnownUsersEncoder, "_fitted", lambda _: fitted)
    encoder = KnownUsersEncoder.__new__(KnownUsersEncoder)  # of no suite: only what is kept
    encoder.info = EncoderInfo(name="known-users", revision="r", dim=3, uses="shots")
    encoder._pairs = tmp_path / "pairs.parquet"
    assert encoder.tastes is fitted
