"""Recorded entries: per-item results of a generator, comparable without drawing it again.

An entry is a folder `leaderboards/<suite>/<name>/` with entry.json (who, on which suite, by which
scorers, beside which baseline) and scores.jsonl (one line an item). It counts only where suite,
scorers, baseline and noise are the ones of the run that reads it; else it is left out, and a note
says why. Elsewhere: what the numbers of a run are (`runs.results`), how entries are compared
(`benchmarks.rewards`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench.errors import PpdbenchError, unknown_name
from ppdbench.runs.atomic import write_atomic, write_json
from ppdbench.runs.directory import read_spec
from ppdbench.runs.results import Result, identities_of, read_results, read_scorers
from ppdbench.runs.seeds import noise_seed

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The weights that a run's baseline drew with, by which its other figures are known too."""

    name: str
    revision: str


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
    sha256: str
    """Over both files of the entry."""


def recorded(
    suite_name: str,
    suite_digest: str,
    baseline: Baseline,
    scorers: Mapping[str, str] | None = None,
    *,
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
            another, is left out. None asks for no scorer in particular.
        note: told of each entry that is left out, and why.
        root: where the suites' folders lie; the installed package `leaderboards` by default.
    """
    folder = (root or installed()).joinpath(suite_name)
    if not folder.is_dir():
        return {}
    entries = {}
    for place in sorted(folder.iterdir(), key=lambda place: place.name):
        if not place.joinpath("entry.json").is_file():
            continue
        try:
            entry = _read(place, suite_digest, baseline, scorers or {})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = str(error) if isinstance(error, _LeftOut) else f"it is damaged: {error!r}"
            note(f"recorded {place.name} is left out: {reason}")
        else:
            entries[entry.name] = entry
    return entries


def record_entry(run_dir: Path, generator_name: str, out_dir: Path) -> Path:
    """Write an entry from a finished run; returns its folder, `out_dir/<generator_name>`.

    Raises:
        UsageError: the run did not compute that generator.
        PpdbenchError: the run is not finished, not complete, or covers a part of the captions.
    """
    spec = read_spec(run_dir)
    if generator_name not in spec["generators"]:
        raise unknown_name("freshly computed generator", generator_name, spec["generators"])
    try:
        summary = json.loads((run_dir / "summary.json").read_bytes())
    except (OSError, ValueError) as error:
        raise PpdbenchError(
            f"{run_dir} is not finished: its summary.json cannot be read",
            fix="run its `ppdbench eval` command again, then record",
        ) from error
    if not summary["complete"] or spec["limit"] is not None:
        raise PpdbenchError(
            f"{run_dir} does not cover all items of the suite",
            fix="record a run without --limit and without failed items",
        )
    results = [r for r in read_results(run_dir).values() if r.generator == generator_name]
    row = summary["generators"][generator_name]
    out = out_dir / generator_name
    # entry.json last: without it the folder is no entry.
    write_atomic(out / "scores.jsonl", "".join(json.dumps(_line(r)) + "\n" for r in results))
    write_json(
        out / "entry.json",
        {
            "schema_version": SCHEMA_VERSION,
            "name": generator_name,
            "suite": spec["suite"],
            "suite_version": spec["suite_version"],
            "suite_digest": spec["suite_digest"],
            "generator": {key: row[key] for key in ("version", "revision", "licence", "settings")},
            "baseline": {
                "name": spec["baseline"],
                "revision": spec["generators"][spec["baseline"]]["revision"],
            },
            "scorers": identities_of(read_scorers(run_dir)),
            "n": len(results),
            "recorded": datetime.now(UTC).date().isoformat(),
        },
    )
    return out


def installed() -> Traversable:
    """The entries that came with ppdbench, a folder a suite."""
    return resources.files("leaderboards")


class _LeftOut(ValueError):
    """An entry is sound, but not comparable."""


def _read(
    place: Traversable, suite_digest: str, baseline: Baseline, scorers: Mapping[str, str]
) -> RecordedEntry:
    about, scores = (place.joinpath(n).read_bytes() for n in ("entry.json", "scores.jsonl"))
    entry = json.loads(about)
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
    others = [key for key, sha in scorers.items() if entry["scorers"].get(key) != sha]
    if others:
        raise _LeftOut(f"it was scored by another {', '.join(others)}")
    results = tuple(_result(entry["name"], json.loads(line)) for line in scores.splitlines())
    if len(results) != entry["n"]:
        raise ValueError(f"{len(results)} of {entry['n']} items")
    if any(r.seed != noise_seed(entry["suite_version"], r.caption_id, r.sample) for r in results):
        raise _LeftOut("its images started from other noise")
    return RecordedEntry(
        name=entry["name"],
        **entry["generator"],
        recorded=entry["recorded"],
        scorers=entry["scorers"],
        results=results,
        sha256=hashlib.sha256(about + scores).hexdigest(),
    )


def _line(result: Result) -> dict[str, Any]:
    return {
        "caption_id": result.caption_id,
        "user": result.user,
        "sample": result.sample,
        "seed": result.seed,
        "image": result.image,
        "scores": dict(result.scores),
        "facts": result.facts,
    }


def _result(generator: str, line: Mapping[str, Any]) -> Result:
    return Result(
        item=f"{generator}/{line['user'] or '-'}/{line['caption_id']}/{line['sample']}",
        generator=generator,
        caption_id=line["caption_id"],
        user=line["user"],
        sample=line["sample"],
        seed=line["seed"],
        image=line["image"],
        scores=line["scores"],
        facts=line["facts"],
    )
