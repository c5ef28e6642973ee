"""summary.json: the run's figures with everything a reader needs to judge them.

It is computed from records alone, and computed again only when one of its inputs changed; which,
its field `inputs` tells. Elsewhere: the figures (`rewards`), the records (`runs.results`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ppdbench import __version__
from ppdbench.benchmarks.plan import Item
from ppdbench.benchmarks.rows import Row, count_ok
from ppdbench.leaderboard.recorded import Baseline, RecordedEntry, recorded
from ppdbench.protocols import Events, Generator, Suite
from ppdbench.runs.atomic import write_json
from ppdbench.runs.directory import RunDirectory
from ppdbench.runs.fingerprint import fingerprint
from ppdbench.runs.results import (
    FIDELITY,
    Result,
    identities_of,
    read_results,
    read_scorers,
)

SCHEMA_VERSION = 1
SUMMARY_VERSION = 3
"""Raise it whenever a figure's definition changes, here or in what is called from here: a
summary.json of other formulas is then computed again, though its records are the same."""
REWARD_FIELDS = (
    "title",
    "kind",
    "gold",
    "checkpoint_sha256",
    "preprocess",
    "architecture",
    "precision",
)


def write_summary(
    run: RunDirectory,
    suite: Suite,
    generators: Mapping[str, Generator],
    items: Sequence[Item],
    model: str,
    fail_on_error: float,
    events: Events,
) -> dict[str, Any]:
    """Write summary.json unless it stands for these very inputs; returns its content.

    Raises:
        PpdbenchError: a file of the run is damaged or cannot be written.
    """
    scorers = read_scorers(run.path)
    base = Baseline(name=suite.baseline, revision=generators[suite.baseline].info.revision)
    entries = recorded(suite.name, suite.digest, base, identities_of(scorers), note=events.note)
    inputs = fingerprint(
        {
            "ppdbench": __version__,
            "formulas": SUMMARY_VERSION,
            "generations": _sha256(run.generations),
            "scores": _sha256(run.scores),
            "scorers": scorers,
            "recorded": {name: entry.sha256 for name, entry in entries.items()},
            "opponents": list(suite.opponents),
            "upper_bounds": dict(suite.upper_bounds),
            "fail_on_error": fail_on_error,
            "notes": list(suite.notes),
        }
    )
    earlier = _earlier(run.summary)
    if earlier is not None and earlier.get("inputs") == inputs:
        return earlier
    events.stage("summarise", 1)
    with run.status.timed("summarise"):
        summary = _summary(
            read_results(run.path), scorers, entries, suite, generators, items, model, fail_on_error
        )
    summary |= {"seconds": {stage: round(s, 3) for stage, s in run.status.seconds.items()}}
    write_json(run.summary, {**summary, "inputs": inputs})
    events.advance(1)
    return summary


def _summary(
    results: Mapping[str, Result],
    scorers: Mapping[str, Mapping[str, Any]],
    entries: Mapping[str, RecordedEntry],
    suite: Suite,
    generators: Mapping[str, Generator],
    items: Sequence[Item],
    model: str,
    fail_on_error: float,
) -> dict[str, Any]:
    # Late, for scipy is behind them.
    from ppdbench.benchmarks.rewards import Comparison, summarise
    from ppdbench.benchmarks.training_seeds import training_seeds

    rewards = {entry["name"]: entry for key, entry in scorers.items() if key != FIDELITY}
    classified = FIDELITY in identities_of(scorers)
    keys = {(item.caption.id, item.sample) for item in items}
    opponents = list(
        dict.fromkeys(n for n in (suite.baseline, *suite.opponents, *generators) if n != model)
    )
    rows = {}
    for name, generator in generators.items():
        own = [item for item in items if item.generator == name]
        rows[name] = _fresh(name, generator, own, results, rewards, classified)
    for name in dict.fromkeys([*opponents, *suite.upper_bounds.values()]):
        if name not in rows and name in entries:
            rows[name] = _recorded(entries[name], keys, rewards, classified)
    others = [
        _recorded(entry, keys, rewards, classified)
        for name, entry in entries.items()
        if name not in rows
    ]
    fresh = [row for row in rows.values() if row.source == "fresh"]
    n_ok, n_expected = sum(row.n_ok for row in fresh), len(items)
    failures = [
        {"item": item.id, "error": error}
        for item in items
        if (error := _failure(results.get(item.id), rewards, classified))
    ]
    withheld = None
    if len(failures) > fail_on_error * n_expected:
        withheld = f"{len(failures)} of {n_expected} items failed, {fail_on_error:.1%} are allowed"
    return {
        "schema_version": SCHEMA_VERSION,
        "suite": suite.name,
        "suite_version": suite.version,
        "suite_digest": suite.digest,
        "model": model,
        "baseline": suite.baseline,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "ppdbench": __version__,
        "n_ok": n_ok,
        "n_expected": n_expected,
        "complete": n_ok == n_expected,
        "withheld": withheld,
        "notes": list(suite.notes),
        "generators": {row.name: _about(row) for row in rows.values()},
        "rewards": {
            name: {field: entry.get(field) for field in REWARD_FIELDS}
            for name, entry in rewards.items()
        },
        "benchmarks": summarise(
            Comparison(
                rows=rows,
                model=model,
                baseline=suite.baseline,
                opponents=opponents,
                upper_bounds=suite.upper_bounds,
                rewards=rewards,
                categories={item.caption.id: item.caption.category for item in items},
                n_expected=len(keys),
                withheld=withheld,
            )
        )
        | {
            "training_seeds": training_seeds(
                list(rows.values()),
                others,
                rows[suite.baseline],
                [name for name, reward in rewards.items() if not reward["gold"]],
                withheld=withheld is not None,
            )
        },
        "failures": failures,
    }


def _fresh(
    name: str,
    generator: Generator,
    items: Sequence[Item],
    results: Mapping[str, Result],
    rewards: Mapping[str, Any],
    classified: bool,
) -> Row:
    found = tuple(results[item.id] for item in items if item.id in results)
    info = generator.info
    return Row(
        name=name,
        version=info.version,
        revision=info.revision,
        licence=info.licence,
        settings=json.loads(json.dumps(dict(info.settings))),  # as recorded ones are read
        source="fresh",
        results=found,
        n_ok=count_ok(found, rewards, classified),
        n_expected=len(items),
    )


def _recorded(
    entry: RecordedEntry, keys: set[tuple[str, int]], rewards: Mapping[str, Any], classified: bool
) -> Row:
    """An entry's results on the items of this run."""
    found = tuple(r for r in entry.results if (r.caption_id, r.sample) in keys)
    return Row(
        name=entry.name,
        version=entry.version,
        revision=entry.revision,
        licence=entry.licence,
        settings=entry.settings,
        source="recorded",
        results=found,
        n_ok=count_ok(found, rewards, classified),
        n_expected=len(keys) * len({r.user for r in entry.results}),
    )


def _about(row: Row) -> dict[str, Any]:
    """Who a row is and how much of it there is."""
    return {
        "version": row.version,
        "revision": row.revision,
        "licence": row.licence,
        "settings": dict(row.settings),
        "source": row.source,
        "n_ok": row.n_ok,
        "n_expected": row.n_expected,
    }


def _failure(result: Result | None, rewards: Mapping[str, Any], classified: bool) -> str | None:
    """Why an item counts as failed, on one line; None where it does not."""
    if result is None:
        return "not drawn"
    if count_ok([result], rewards, classified):
        return None
    return "; ".join(result.errors) or "not measured"


def _earlier(path: Path) -> dict[str, Any] | None:
    """The summary that is there; a damaged one is made anew."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
