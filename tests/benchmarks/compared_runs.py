"""Comparisons of toy runs, and what swapping their runs must do; for the tests of `benchmarks/`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fake_world
import toy_runs
from summary_schema import problems
from toy_runs import summary_of

from ppdbench.benchmarks.compare.run import compare

SIGNED = ("difference", "ci_low", "ci_high")
RATES = ("win_rate", "ci_low", "ci_high")
SAME = ("p_value", "p_holm", "n", "n_expected", "n_clusters", "standard_error", "test", "interval")


def measured(tmp_path: Path, model: str, **options: Any) -> Path:
    """A run of the toy world's rewards."""
    return toy_runs.run(tmp_path, model, **{"benchmarks": ["rewards"], **options})


def compared(tmp_path: Path, *runs: Path, out: str = "compared", **options: Any) -> Any:
    """The summary of a comparison of runs, which is as its schema says."""
    options.setdefault("events", fake_world.Quiet())
    found = summary_of(compare(runs, out=tmp_path / out, **options))
    assert problems(found) == []
    return found


def copied(run: Path, to: Path) -> Path:
    """A run as somebody else's machine might hold it: the same files elsewhere."""
    shutil.copytree(run, to / run.name)
    return to / run.name


def cells(found: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every cell below some figures, with its place."""
    if not isinstance(found, dict):
        return
    if {"difference", "win_rate"} & found.keys() and "ci_low" in found:
        yield path, found
    for key, value in found.items():
        yield from cells(value, f"{path}/{key}")


def check_mirrored(there: Any, back: Any) -> int:
    """Hold A against B and B against A to the last bit; how many cells were held."""
    left, right = dict(cells(there["benchmarks"])), dict(cells(back["benchmarks"]))
    assert left.keys() == right.keys()
    for path, cell in left.items():
        other = right[path]
        if "win_rate" in cell:
            assert other["win_rate"] == 1 - cell["win_rate"], path
            assert (other["ci_low"], other["ci_high"]) == (1 - cell["ci_high"], 1 - cell["ci_low"])
        elif cell["difference"] is not None:
            assert other["difference"] == -cell["difference"], path
            if cell["ci_low"] is not None:
                assert (other["ci_low"], other["ci_high"]) == (-cell["ci_high"], -cell["ci_low"])
        assert all(other.get(name) == cell.get(name) for name in SAME), path
        assert other.get("minimum_detectable") == cell.get("minimum_detectable"), path
        if "a" in cell:
            assert (other["a"], other["b"]) == (cell["b"], cell["a"]), path
        swapped = {"A higher": "B higher", "B higher": "A higher"}
        verdict = cell.get("verdict")
        assert other.get("verdict") == swapped.get(verdict or "", verdict), path
    return len(left)
