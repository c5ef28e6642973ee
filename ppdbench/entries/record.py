"""What finished runs hold of one generator, gathered for an entry: records, and entry.yaml.

Several runs of one generator are united item by item: a run that drew everything for captions'
owners, say, and one that drew the controls too. An item that two of them have must be the same
picture, but for float noise: a picture depends on its batch by that much. Elsewhere: the whole
entry, with figures and gallery (`ppdbench.leaderboard.add`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ppdbench import __version__
from ppdbench.entries.result_lines import PERSONAL, RECORDED_ARMS, measured
from ppdbench.entries.schema import VERSION, is_name
from ppdbench.errors import PpdbenchError, UsageError, unknown_name
from ppdbench.runs.directory import read_spec
from ppdbench.runs.results import Result, identities_of, read_results, read_scorers

SHARED = ("suite", "suite_version", "suite_digest", "baseline", "sampling")
"""Of a run's settings: what runs of one entry have in common."""
SAME = 0.01
"""Standard deviations of a score over the generator's pictures by which two drawings of one item
may differ: measured differences between batches on one machine are of 1e-5."""
GENERATOR = ("version", "revision", "licence", "settings", "conditions_on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """One generator in one or several runs."""

    name: str
    facts: Mapping[str, Any]
    """What of entry.yaml follows from the runs."""
    results: tuple[Result, ...]
    training_users_digest: str | None
    runs: tuple[Path, ...]
    """Where its pictures lie."""


def gather(runs: Sequence[Path], name: str) -> Gathered:
    """What whole runs hold of a generator.

    Args:
        runs: folders of finished runs of one suite.
        name: a generator that each of them computed, or some of them.

    Raises:
        UsageError: none of the runs computed it, or its name cannot be an entry's.
        PpdbenchError: a run is not finished or not whole, they are of different settings, or two
            of them hold different pictures of one item: a score of them differs by more than
            `SAME` standard deviations.
    """
    if not is_name(name):
        raise UsageError(
            f"{name!r} cannot be an entry's name",
            fix="let the generator's `info.name` be of letters, digits, '.', '_' and '-', end in "
            "no dot and be no device's",
        )
    found = [_of_run(run, name) for run in runs if name in read_spec(run).get("generators", {})]
    if not found:
        known = [each for run in runs for each in read_spec(run).get("generators", {})]
        raise unknown_name("freshly computed generator", name, known)
    for other in found[1:]:
        _require_alike(found[0], other)
    results = _united_results(found)
    return Gathered(
        name=name,
        facts=_united([gathered.facts for gathered in found]),
        results=tuple(results.values()),
        training_users_digest=found[0].training_users_digest,
        runs=tuple(run for gathered in found for run in gathered.runs),
    )


def entry_yaml(
    gathered: Gathered, words: Mapping[str, Any], more: Mapping[str, Any]
) -> dict[str, Any]:
    """entry.yaml's content, its fields in their order.

    Args:
        gathered: of the runs.
        words: title, group, description, who, links, licence, as far as they are known.
        more: `model`, `of`, `training_users`, `gallery` and `recorded`, as far as they are known.
    """
    plain = {
        "title": gathered.name,
        "group": "baseline" if gathered.name == gathered.facts["baseline"]["name"] else "method",
        "description": "",
        "who": [],
        "links": [],
        "licence": gathered.facts["generator"]["licence"],
        "model": None,
        "of": None,
    }
    rest = {
        "training_users": None,
        "recorded": datetime.now(UTC).date().isoformat(),
        "ppdbench": __version__,
        "n": len(gathered.results),
        "gallery": None,
    }
    head = {"schema_version": VERSION, "name": gathered.name}
    found = {**head, **plain, **gathered.facts, **rest}
    said = {key: value for key, value in {**words, **more}.items() if key in found}
    return {**found, **said}


def _of_run(run: Path, name: str) -> Gathered:
    """A generator in one run."""
    spec, summary = read_spec(run), _summary(run)
    if not summary["complete"] or spec["limit"] is not None:
        raise PpdbenchError(
            f"{run} does not cover all items of the suite",
            fix="record a run without --limit and without failed items",
        )
    results = tuple(
        result
        for result in read_results(run).values()
        if result.generator == name
        and result.benchmark in ("rewards", PERSONAL)
        and result.arm in (None, *RECORDED_ARMS)
    )
    if not results:
        raise PpdbenchError(
            f"{name} drew nothing in {run} that is recorded",
            fix="record a run of benchmark rewards or personal",
        )
    row = summary["generators"][name]
    if "conditions_on" not in row:
        raise PpdbenchError(
            f"{run} was summed up by an earlier ppdbench",
            fix="run its command again, which draws nothing anew, then record",
        )
    people = any(result.benchmark == PERSONAL for result in results)
    baseline = spec["baseline"]
    return Gathered(
        name=name,
        facts={
            **{key: spec[key] for key in ("suite", "suite_version", "suite_digest")},
            "sampling": spec["sampling"],
            "generator": {
                **{key: row[key] for key in GENERATOR},
                "seeded": row.get("seeded", True),
            },
            "baseline": {"name": baseline, "revision": spec["generators"][baseline]["revision"]},
            "scorers": identities_of(read_scorers(run)),
            "people": spec["people"] if people else None,
            "unserved": row.get("unserved", {}) if people else {},
        },
        results=results,
        training_users_digest=row.get("training_users_digest"),
        runs=(run,),
    )


def _summary(run: Path) -> dict[str, Any]:
    try:
        summary: dict[str, Any] = json.loads((run / "summary.json").read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise PpdbenchError(
            f"{run} is not finished: its summary.json cannot be read",
            fix="run its command again, then record",
        ) from error
    return summary


def _require_alike(first: Gathered, other: Gathered) -> None:
    """Refuse runs that are not of one entry."""
    differing = [key for key in SHARED if first.facts[key] != other.facts[key]]
    ours, theirs = first.facts["scorers"], other.facts["scorers"]
    differing += [key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]]
    differing += [
        f"{first.name}'s {key}"
        for key in (*GENERATOR, "seeded")
        if first.facts["generator"][key] != other.facts["generator"][key]
    ]
    people = {each.facts["people"] for each in (first, other)} - {None}
    if len(people) > 1:
        differing.append("people")
    if differing:
        raise PpdbenchError(
            f"{first.runs[0]} and {other.runs[0]} are not of one entry: {', '.join(differing)} "
            "differ",
            fix="add runs of the same suite, baseline, scorers and weights, or one run",
        )


def _united_results(found: Sequence[Gathered]) -> dict[tuple[str, str], Result]:
    """Every item's result, the first run's that drew it.

    Raises:
        PpdbenchError: another run's picture of an item is another; names the item.
    """
    known: dict[tuple[str, str], Result] = {}
    spread: dict[str, float | None] | None = None
    for gathered in found:
        for result in gathered.results:
            key = (result.benchmark, result.item)
            there = known.get(key)
            if there is None or there.image is None:
                known[key] = result
            elif result.image not in (None, there.image):
                spread = spread or _spread(found)
                if not _alike(there, result, spread):
                    raise PpdbenchError(
                        f"the runs hold different pictures of {result.item}: "
                        f"{str(there.image)[:12]}, and in {gathered.runs[0]} {result.image[:12]}",
                        fix="add runs of the same weights on one kind of machine, or one run",
                    )
    return known


def _spread(found: Sequence[Gathered]) -> dict[str, float | None]:
    """Score -> its standard deviation over all pictures."""
    from ppdbench.statistics.deviation import standard_deviation

    values: dict[str, list[float]] = {}
    for gathered in found:
        for result in gathered.results:
            for name, value in measured(result).items():
                values.setdefault(name, []).append(value)
    return {name: standard_deviation(own) for name, own in values.items()}


def _alike(one: Result, other: Result, spread: Mapping[str, float | None]) -> bool:
    """Whether two pictures of an item differ by no more than float noise."""
    ours, theirs = measured(one), measured(other)
    return (
        bool(ours)
        and ours.keys() == theirs.keys()
        and one.facts == other.facts
        and all(abs(value - theirs[n]) <= SAME * (spread[n] or 0.0) for n, value in ours.items())
    )


def _united(facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The facts of runs that are alike."""
    found = {key: value for key, value in facts[0].items() if key != "sampling"}
    found["scorers"] = {key: value for each in facts for key, value in each["scorers"].items()}
    found["people"] = next((each["people"] for each in facts if each["people"]), None)
    found["unserved"] = {
        split: count for each in facts for split, count in each["unserved"].items()
    }
    return found
