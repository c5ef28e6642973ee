"""The rows of a run: each generator's results in one benchmark, drawn in it or recorded before."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ppdbench.benchmarks.plan import Drawn, Item
from ppdbench.benchmarks.rows import Key, Row, count_ok
from ppdbench.leaderboard.recorded import RecordedEntry
from ppdbench.protocols import Generator
from ppdbench.runs.results import Result


def fresh_row(
    name: str,
    generator: Generator,
    items: Sequence[Item],
    results: Mapping[str, Result],
    rewards: Collection[str],
    classified: bool,
) -> Row:
    """What a generator drew in this run.

    Args:
        name: the generator's name in records.
        generator: the generator.
        items: its items of one benchmark.
        results: item id -> result.
        rewards: names of the rewards.
        classified: whether there is a caption classifier.
    """
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


def recorded_row(
    entry: RecordedEntry,
    benchmark: Drawn,
    keys: Collection[Key],
    rewards: Collection[str],
    classified: bool,
) -> Row:
    """An entry's results on the items of this run.

    Args:
        entry: the entry.
        benchmark: which of its results.
        keys: caption id and sample of this run's items in that benchmark.
        rewards: as for `fresh_row`.
        classified: as for `fresh_row`.
    """
    results = entry.results
    expected = len(keys) * len({r.user for r in results})
    if benchmark == "personal":
        # As an opponent it has one picture a caption: its owner's, or nobody's.
        own = any(r.arm == "own" for r in entry.personal)
        results = tuple(r for r in entry.personal if r.arm == ("own" if own else "nobody"))
        expected = len(keys)
    found = tuple(r for r in results if (r.caption_id, r.sample) in keys)
    return Row(
        name=entry.name,
        version=entry.version,
        revision=entry.revision,
        licence=entry.licence,
        settings=entry.settings,
        source="recorded",
        results=found,
        n_ok=count_ok(found, rewards, classified),
        n_expected=expected,
    )


def about(rows: Sequence[Row]) -> dict[str, Any]:
    """Who a generator is, by its rows of all benchmarks, and how much of it there is."""
    first = rows[0]
    return {
        "version": first.version,
        "revision": first.revision,
        "licence": first.licence,
        "settings": dict(first.settings),
        "source": first.source,
        "n_ok": sum(row.n_ok for row in rows),
        "n_expected": sum(row.n_expected for row in rows),
    }
