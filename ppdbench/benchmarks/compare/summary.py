"""summary.json of a comparison: which runs, their differences, and what was left out and why.

It is computed from the runs' records alone, and again only when one of them changed. Elsewhere: the
differences (`compare.rewards` and its neighbours), the order of several runs (`compare.ranking`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ppdbench import __version__
from ppdbench.benchmarks.compare.cells import Compared
from ppdbench.benchmarks.compare.interpolation import compare_interpolation
from ppdbench.benchmarks.compare.judge import compare_judge
from ppdbench.benchmarks.compare.personal import compare_personal
from ppdbench.benchmarks.compare.ranking import rankings
from ppdbench.benchmarks.compare.rewards import compare_rewards
from ppdbench.benchmarks.compare.runs import COMPARISON, MeasuredRun, RunPair, pairs_of
from ppdbench.benchmarks.compare.tradeoff import compare_tradeoff
from ppdbench.benchmarks.compare.users import compare_users
from ppdbench.benchmarks.summary_file import SCHEMA_VERSION, sha256_of
from ppdbench.benchmarks.tradeoff.divergence import FILE as DIVERGENCE_FILE
from ppdbench.benchmarks.tradeoff.diversity import FILE as DIVERSITY_FILE
from ppdbench.benchmarks.training_seeds import known_seed
from ppdbench.benchmarks.users.records import FILE as USERS_FILE
from ppdbench.errors import FingerprintMismatch, UsageError
from ppdbench.judges.on_record import FILE as JUDGMENTS_FILE
from ppdbench.protocols import Events
from ppdbench.runs.directory import GENERATIONS
from ppdbench.runs.fingerprint import fingerprint
from ppdbench.runs.results import SCORERS_FILE

COMPARISON_VERSION = 2
"""Raise it whenever a figure's definition changes, here or in what is called from here."""
RECORDS = (
    GENERATIONS,
    "scores.jsonl",
    SCORERS_FILE,
    DIVERGENCE_FILE,
    DIVERSITY_FILE,
    JUDGMENTS_FILE,
    USERS_FILE,
    "summary.json",
)
"""Files of a run that a comparison reads."""

Comparer = Callable[[Sequence[MeasuredRun], Sequence[RunPair]], Compared]

COMPARERS: Mapping[str, Comparer] = {
    "rewards": compare_rewards,
    "interpolation": compare_interpolation,
    "tradeoff": compare_tradeoff,
    "personal": compare_personal,
    "judge": compare_judge,
    "users": compare_users,
}
"""By the benchmark's key in a run's summary.json, in the order of reports. Another benchmark is
compared by adding its function here."""


def digests(run: Path) -> dict[str, str | None]:
    """File of a run's folder -> sha256, of all that a comparison reads; None where it is not."""
    return {name: sha256_of(run / name) for name in RECORDS}


def inputs_of(labels: Sequence[str], files: Sequence[Mapping[str, str | None]]) -> dict[str, Any]:
    """All that a comparison is computed from: what the runs are called, and their `digests`."""
    return {
        "formulas": COMPARISON_VERSION,
        "runs": [{"label": label, **own} for label, own in zip(labels, files, strict=True)],
    }


def summarise_comparison(runs: Sequence[MeasuredRun], events: Events) -> dict[str, Any]:
    """The content of summary.json, but for what its writer adds.

    Raises:
        UsageError: the runs have no benchmark in common.
        FingerprintMismatch: they have some, and none of them can be compared.
        PpdbenchError: a record file is damaged.
    """
    pairs = pairs_of(runs)
    whole = Compared()
    events.stage("compare", len(COMPARERS) + 1)  # who writes the summary counts the last one
    for name, compare in COMPARERS.items():
        shared = [pair for pair in pairs if pair.a.benchmark(name) and pair.b.benchmark(name)]
        if shared:
            found = compare(_among(runs, shared), shared)
            whole.figures |= found.figures
            whole.contests |= found.contests
            whole.left_out += found.left_out
        for pair in pairs:
            lacking = [run.label for run in (pair.a, pair.b) if not run.benchmark(name)]
            if len(lacking) == 1:
                whole.leave_out(name, pair, f"{lacking[0]} did not measure it")
        events.advance(1)
    if not whole.figures:
        raise nothing_in_common(runs, whole)
    first = runs[0].summary
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": COMPARISON,
        "suite": first["suite"],
        "suite_version": first["suite_version"],
        "suite_digest": first["suite_digest"],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "ppdbench": __version__,
        "runs": [about_run(run) for run in runs],
        "rewards": _rewards(runs),
        "benchmarks": whole.figures,
        "ranking": rankings(runs, whole),
        "left_out": whole.left_out,
        "notes": notes(runs),
    }


def about_run(run: MeasuredRun) -> dict[str, Any]:
    """Who a run is: enough to find it again and to know what its figures are about."""
    drawn = run.summary["generators"].get(run.model) or {}
    seeds = run.benchmark("training_seeds").get(run.model)
    return {
        "run": run.letter,
        "label": run.label,
        "folder": run.path.name,
        "fingerprint": fingerprint(run.spec),
        "model": run.model,
        "version": drawn.get("version"),
        "revision": drawn.get("revision"),
        "licence": drawn.get("licence"),
        "baseline": run.baseline,
        "judge": (run.spec.get("judge") or {}).get("name"),
        "encoders": list(run.spec.get("encoders") or {}),
        "benchmarks": [name for name in COMPARERS if run.benchmark(name)],
        "limit": run.spec.get("limit"),
        "full": bool(run.spec.get("full")),
        "samples": run.spec.get("samples"),
        "n_ok": run.summary.get("n_ok"),
        "n_expected": run.summary.get("n_expected"),
        "created": run.summary.get("created"),
        "training_seed": known_seed(drawn.get("settings") or {}),
        "training_seeds": seeds["seeds"] if seeds else None,
    }


def notes(runs: Sequence[MeasuredRun]) -> list[str]:
    """What a reader must know of the runs, a line each: theirs, and how they were trained."""
    told = dict.fromkeys(str(note) for run in runs for note in run.summary.get("notes") or [])
    found = list(told)
    for about in map(about_run, runs):
        seeds, measured, label = about["training_seeds"], about["training_seed"], about["label"]
        if seeds and len(seeds) > 1:
            others = ", ".join(str(seed) for seed in seeds if seed != measured)
            found.append(
                f"{label} was trained {len(seeds)} times and is measured here with seed "
                f"{measured}: the comparison is about these weights, not about how it is trained "
                f"(seeds {others} are in its own report)"
            )
        elif seeds:
            found.append(
                f"{label} was trained once, with seed {seeds[0]}: the comparison is about these "
                "weights, and how far another training would move it is not known"
            )
        elif measured is not None:
            found.append(
                f"{label} is measured by the weights of training seed {measured}: the comparison "
                "is about these, and says nothing of other trainings"
            )
    return found


def nothing_in_common(
    runs: Sequence[MeasuredRun], found: Compared
) -> UsageError | FingerprintMismatch:
    """Why there is nothing to compare: no benchmark in common, or none that is comparable."""
    own = "; ".join(
        f"{run.label} has {', '.join(n for n in COMPARERS if run.benchmark(n)) or 'none of them'}"
        for run in runs
    )
    common = [name for name in COMPARERS if sum(bool(run.benchmark(name)) for run in runs) > 1]
    if not common:
        return UsageError(
            f"the runs have no benchmark in common: {own}",
            fix="compare runs of the same command, `ppdbench eval` or `ppdbench judge`",
        )
    told = dict.fromkeys(
        f"{each['benchmark']}: {each['reason']}"
        for each in found.left_out
        if each["benchmark"] in common
    )
    return FingerprintMismatch(
        f"nothing of the runs can be compared: {'; '.join(told)}",
        fix="measure them by the same suite, scorers, judge and users, and compare those runs",
    )


def _among(runs: Sequence[MeasuredRun], pairs: Sequence[RunPair]) -> list[MeasuredRun]:
    met = {run.letter for pair in pairs for run in (pair.a, pair.b)}
    return [run for run in runs if run.letter in met]


def _rewards(runs: Sequence[MeasuredRun]) -> dict[str, Any]:
    """How the runs' rewards are called in print, and which are gold."""
    found: dict[str, Any] = {}
    for run in runs:
        for name, entry in (run.summary.get("rewards") or {}).items():
            kept = {key: entry.get(key) for key in ("title", "kind", "gold")}
            found.setdefault(name, kept)
    return found
