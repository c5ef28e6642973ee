"""`compare`: finished runs held against each other, item by item, in a folder of their own.

Reads the runs' records and writes nothing into their folders. The same call again computes nothing
anew unless a run changed. Elsewhere: which runs can be compared (`compare.runs`), what is computed
(`compare.summary`), the page (`reports.compare.page`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ppdbench.benchmarks.compare.runs import COMPARISON, MeasuredRun, read_runs
from ppdbench.benchmarks.compare.summary import digests, inputs_of, summarise_comparison
from ppdbench.benchmarks.guard import final_state, interruptible
from ppdbench.benchmarks.summary_file import write_if_changed
from ppdbench.errors import FingerprintMismatch, PpdbenchError, UsageError, from_os_error
from ppdbench.protocols import Events
from ppdbench.runs.directory import RunDirectory
from ppdbench.runs.file_names import file_name
from ppdbench.runs.fingerprint import fingerprint

FOLDER = Path("comparisons")
OTHER_FOLDER = "choose another folder with --out DIR"
LONGEST = 80
"""Characters of the models' names in a folder's name."""


def compare(folders: Sequence[Path], *, out: Path | None = None, events: Events) -> Path:
    """Compare runs; returns the comparison's folder, with summary.json in it.

    Args:
        folders: of two finished runs or more, in the order of the figures' signs.
        out: the folder to write; by default one named by the runs, under `comparisons/`.
        events: is told of progress.

    Raises:
        UsageError: fewer than two runs, one twice, one that is not finished or is none, nothing in
            common, or `out` holds other files.
        FingerprintMismatch: the runs were measured on different suites, or nothing of them is
            comparable, or `out` holds another comparison or a run.
        PpdbenchError: a run is damaged or withholds its figures, or another process works in the
            comparison's folder.
        Interrupted: on SIGINT or SIGTERM.
    """
    with interruptible():
        before = [digests(folder) for folder in folders]
        runs = read_runs(folders)
        spec = _spec(runs)
        path = out or FOLDER / _name(runs, spec)
        # Before the folder is made: runs that have nothing in common leave none behind.
        new = None if (path / "summary.json").is_file() else _summary(runs, before, events)
        with _opened(path, spec) as run, final_state(run):
            inputs = inputs_of([run.label for run in runs], before)
            write_if_changed(run, inputs, lambda: new or _summary(runs, before, events), events)
        return path


def _summary(
    runs: Sequence[MeasuredRun], before: Sequence[Mapping[str, str | None]], events: Events
) -> dict[str, Any]:
    """The summary of files that were the same from before the runs were read until it was made.

    Raises:
        PpdbenchError: a run was worked on meanwhile: of its files, some may be older than others.
    """
    found = summarise_comparison(runs, events)
    for run, then in zip(runs, before, strict=True):
        if digests(run.path) != then:
            raise PpdbenchError(
                f"{run.path} was changed while it was compared",
                fix="wait until nothing works on that run, and run the same command again",
            )
    return found


def _spec(runs: Sequence[MeasuredRun]) -> dict[str, Any]:
    """What makes it this comparison: the runs' settings, in order."""
    return {
        "kind": COMPARISON,
        "runs": [{"folder": run.path.name, "fingerprint": fingerprint(run.spec)} for run in runs],
    }


def _name(runs: Sequence[MeasuredRun], spec: dict[str, Any]) -> str:
    models = "-vs-".join(file_name(run.model) for run in runs)[:LONGEST]
    return f"{models}-{fingerprint(spec)}"


def _opened(path: Path, spec: dict[str, Any]) -> RunDirectory:
    """The comparison's folder, locked.

    Raises:
        UsageError: it holds other files, or is none.
        FingerprintMismatch: it holds another comparison, or a run.
        PpdbenchError: as `RunDirectory.at`.
    """
    try:
        files = [file.name for file in path.iterdir() if not file.name.startswith(".")]
    except FileNotFoundError:
        files = []
    except NotADirectoryError as error:
        raise UsageError(f"{path} is no folder", fix=OTHER_FOLDER) from error
    except OSError as error:
        raise from_os_error(error, path) from error
    if files and "spec.json" not in files:
        raise UsageError(f"{path} holds other files", fix=f"empty it, or {OTHER_FOLDER}")
    try:
        return RunDirectory.at(path, spec)
    except FingerprintMismatch as error:
        raise FingerprintMismatch(error.cause, fix=OTHER_FOLDER) from error
