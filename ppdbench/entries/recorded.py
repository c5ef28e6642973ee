"""Recorded entries: per-item results of a generator, comparable without drawing it again.

An entry is a folder `leaderboards/<suite>/<name>/` with entry.yaml (who, on which suite, by which
scorers, beside which baseline) and scores.jsonl (one line an item). It counts only where suite,
scorers, baseline and noise are the ones of the run that reads it; else it is left out, and a note
says why. Its pictures for people count where people and truth are the run's too; of them those are
recorded that win rates rest on. What is said is believed here, so that a run starts at once;
`ppdbench leaderboard check` is who does not. Elsewhere: the whole of an entry (`entries.entry`),
writing one (`leaderboard.add`), what the numbers of a run are (`runs.results`), how entries are
compared (`benchmarks.rewards.figures`, `benchmarks.personal.figures`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

from ppdbench.data.plain_yaml import parse_yaml
from ppdbench.entries.files import ENTRY, SCORES
from ppdbench.entries.result_lines import PERSONAL, result_of
from ppdbench.runs.results import FIDELITY, TRUTH, Result
from ppdbench.runs.seeds import noise_seed

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The weights that a run's baseline drew with, by which its other figures are known too."""

    name: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """A suite's people and what they like, by which pictures for them can be compared."""

    digest: str
    """`People.digest`."""
    truth: str
    """`Truth.identity`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEntry:
    """A generator as it was when recorded, and its result on every item."""

    name: str
    version: str
    revision: str
    licence: str
    settings: Mapping[str, Any]
    recorded: str
    """Date, ISO 8601."""
    scorers: Mapping[str, str]
    """Scorer key -> identity."""
    results: tuple[Result, ...]
    """Of benchmark `rewards`."""
    personal: tuple[Result, ...] = ()
    """Of benchmark `personal`."""
    unserved: Mapping[str, int] = field(default_factory=dict)
    """Split -> users whom it cannot serve, where there are any."""
    sha256: str
    """Over both files."""


def recorded(
    suite_name: str,
    suite_digest: str,
    baseline: Baseline,
    scorers: Mapping[str, str] | None = None,
    *,
    crowd: Crowd | None = None,
    note: Callable[[str], None] = lambda _: None,
    root: Traversable | None = None,
) -> dict[str, RecordedEntry]:
    """Entries that are comparable with a run on this suite, by name.

    Args:
        suite_name: the suite's name, the entries' folder.
        suite_digest: entries of another digest are left out.
        baseline: the run's own; entries recorded beside another are left out. The reference models
            are adapters of it: trained anew, it leaves no recorded row what it was.
        scorers: scorer key -> identity in the run; an entry that lacks one of them, or has
            another, is left out. None asks for no scorer in particular. By which rewards an entry
            was scored matters only where it has items of benchmark `rewards`.
        crowd: the run's people; where it has none, or an entry's are others, the entry's pictures
            for people are left out.
        note: told of each entry that is left out, and why.
        root: where the suites' folders lie; the installed package `leaderboards` by default.
    """
    folder = (root or installed()).joinpath(suite_name)
    if not folder.is_dir():
        return {}
    entries = {}
    for place in sorted(folder.iterdir(), key=lambda place: place.name):
        if not place.joinpath(ENTRY).is_file():
            continue
        try:
            entry = _read(place, suite_digest, baseline, scorers or {}, crowd, note)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            reason = str(error) if isinstance(error, _LeftOut) else f"it is damaged: {error!r}"
            note(f"recorded {place.name} is left out: {reason}")
        else:
            entries[entry.name] = entry
    return entries


def installed() -> Traversable:
    """The entries that came with ppdbench, a folder a suite."""
    return resources.files("leaderboards")


class _LeftOut(ValueError):
    """An entry is sound, but not comparable."""


def _read(
    place: Traversable,
    suite_digest: str,
    baseline: Baseline,
    scorers: Mapping[str, str],
    crowd: Crowd | None,
    note: Callable[[str], None],
) -> RecordedEntry:
    about, scores = (place.joinpath(name).read_bytes() for name in (ENTRY, SCORES))
    entry = parse_yaml(about)
    if entry["schema_version"] != SCHEMA_VERSION:
        raise _LeftOut(f"it has schema_version {entry['schema_version']}")
    if entry["suite_digest"] != suite_digest:
        raise _LeftOut("it was recorded on another version of the suite")
    if "baseline" not in entry:
        raise _LeftOut("it does not say beside which baseline it was recorded")
    beside = Baseline(**entry["baseline"])
    if beside != baseline:
        raise _LeftOut(
            f"it was recorded beside another baseline, {beside.name} of revision "
            f"{beside.revision[:12]}; here it is {baseline.name} of {baseline.revision[:12]}"
        )
    results = tuple(result_of(entry["name"], json.loads(line)) for line in scores.splitlines())
    if len(results) != entry["n"]:
        raise ValueError(f"{len(results)} of {entry['n']} items")
    personal = tuple(r for r in results if r.benchmark == PERSONAL)
    rewards = tuple(r for r in results if r.benchmark != PERSONAL)
    others = [
        key
        for key, sha in scorers.items()
        if entry["scorers"].get(key) != sha and (rewards or key == FIDELITY) and key != TRUTH
    ]
    if others:
        raise _LeftOut(f"it was scored by another {', '.join(others)}")
    if any(r.seed != noise_seed(entry["suite_version"], r.caption_id, r.sample) for r in results):
        raise _LeftOut("its images started from other noise")
    why = _strangers(entry, crowd) if personal and crowd else None
    if why:
        note(f"recorded {place.name}: its pictures for people are left out: {why}")
    return RecordedEntry(
        name=entry["name"],
        **{key: entry["generator"][key] for key in ("version", "revision", "licence", "settings")},
        recorded=entry["recorded"],
        scorers=entry["scorers"],
        results=rewards,
        personal=personal if crowd and not why else (),
        unserved=entry["unserved"] if personal else {},
        sha256=hashlib.sha256(about + scores).hexdigest(),
    )


def _strangers(entry: Mapping[str, Any], crowd: Crowd) -> str | None:
    """Why an entry's people are not the run's; None where they are."""
    if entry["people"] != crowd.digest:
        return "they are for other people"
    if entry["scorers"].get(TRUTH) != crowd.truth:
        return "they were measured in another way"
    return None
