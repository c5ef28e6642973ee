"""Finished runs as they are read to be compared, and which runs cannot be.

A run is read from its folder alone: its summary says what it is, its records what each item came
to. Elsewhere: the comparison (`compare.run`), what is compared (`compare.rewards` and its
neighbours).
"""

from __future__ import annotations

import itertools
import json
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppdbench.benchmarks.plan import Drawn
from ppdbench.benchmarks.rows import Row
from ppdbench.benchmarks.summary_file import SCHEMA_VERSION
from ppdbench.errors import FingerprintMismatch, PpdbenchError, UsageError
from ppdbench.runs.directory import read_spec
from ppdbench.runs.fingerprint import flat
from ppdbench.runs.results import Result, read_results, read_scorers

COMPARISON = "comparison"
"""The `kind` of a comparison's summary.json; a run's has none."""
MOST = len(string.ascii_uppercase)
MEASURE_BOTH = "measure them by one command in one ppdbench, and compare those runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRun:
    """One finished run."""

    path: Path
    letter: str
    """A, B, ...: what tables and verdicts call it."""
    label: str
    """What sentences call it: its model, or its folder where two have one model."""
    spec: Mapping[str, Any]
    summary: Mapping[str, Any]
    scorers: Mapping[str, Mapping[str, Any]]
    """Scorer key -> its entry in scorers.json."""
    results: tuple[Result, ...]

    @property
    def model(self) -> str:
        """The measured generator; of a run of encoders alone their names."""
        return str(self.summary["model"])

    @property
    def baseline(self) -> str:
        """The generator that its win rates are over."""
        return str(self.summary["baseline"])

    @property
    def people(self) -> str | None:
        """Digest of the users that it is about; None where it is about none."""
        found = self.spec.get("people")
        return None if found is None else str(found)

    def benchmark(self, name: str) -> Mapping[str, Any]:
        """What its summary has under that name; empty where it has nothing."""
        found: Mapping[str, Any] = self.summary["benchmarks"].get(name) or {}
        return found

    def revision(self, generator: str) -> str:
        """Which weights and settings drew, or "unknown"."""
        return str((self.summary["generators"].get(generator) or {}).get("revision") or "unknown")

    def identity(self, scorer: str) -> str | None:
        """The identity of a scorer, by its key; None where it did not measure."""
        found = (self.scorers.get(scorer) or {}).get("identity")
        return str(found) if found else None

    def row(self, generator: str, benchmark: Drawn) -> Row:
        """What a generator drew in a benchmark; empty where it drew nothing."""
        about = self.summary["generators"].get(generator) or {}
        found = tuple(
            r for r in self.results if r.generator == generator and r.benchmark == benchmark
        )
        return Row(
            name=generator,
            version=str(about.get("version")),
            revision=self.revision(generator),
            licence=str(about.get("licence")),
            settings=about.get("settings") or {},
            source="fresh",
            results=found,
            n_ok=sum(result.image is not None for result in found),
            n_expected=len(found),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPair:
    """Two runs; figures say what `a` has more of."""

    a: MeasuredRun
    b: MeasuredRun

    @property
    def key(self) -> str:
        """What files call it: "A-B"."""
        return f"{self.a.letter}-{self.b.letter}"


def pairs_of(runs: Sequence[MeasuredRun]) -> list[RunPair]:
    """Every two runs once, in the order given."""
    return [RunPair(a=a, b=b) for a, b in itertools.combinations(runs, 2)]


def read_runs(folders: Sequence[Path]) -> list[MeasuredRun]:
    """The runs of these folders, which can be compared.

    Raises:
        UsageError: fewer than two, one twice, one that is not finished, a calibration.
        FingerprintMismatch: they were measured on different suites; names the fields.
        PpdbenchError: one is damaged, of another schema, or withholds its figures.
    """
    if len(folders) < 2:
        raise UsageError(
            "a comparison needs two runs or more", fix="ppdbench compare RUN_A RUN_B [RUN...]"
        )
    if len(folders) > MOST:
        raise UsageError(f"{len(folders)} runs at once", fix=f"compare {MOST} or fewer")
    places = [folder.resolve() for folder in folders]
    for place, count in Counter(places).items():
        if count > 1:
            raise UsageError(
                f"{place.name} is given {count} times: a run differs in nothing from itself",
                fix="name each run once",
            )
    told = [(read_spec(place), _summary(place)) for place in places]
    _require_one_world(places, told)
    labels = _labels(places, [str(summary["model"]) for _, summary in told])
    return [
        _read(place, letter, label, spec, summary)
        for place, letter, label, (spec, summary) in zip(
            places, string.ascii_uppercase, labels, told, strict=False
        )
    ]


def _read(
    place: Path, letter: str, label: str, spec: Mapping[str, Any], summary: Mapping[str, Any]
) -> MeasuredRun:
    results = tuple(read_results(place).values())
    for name, about in summary["generators"].items():
        there = sum(r.generator == name and r.image is not None for r in results)
        if about["source"] == "fresh" and there < about["n_ok"]:
            raise PpdbenchError(
                f"{place} is damaged: its records hold {there} pictures of {name}, its "
                f"summary.json counts {about['n_ok']}",
                fix="run its command again; only what is missing is drawn",
            )
    return MeasuredRun(
        path=place,
        letter=letter,
        label=label,
        spec=spec,
        summary=summary,
        scorers=read_scorers(place),
        results=results,
    )


def _summary(place: Path) -> dict[str, Any]:
    """The summary of a run that is finished and gives its figures."""
    path = place / "summary.json"
    again = "run its command again; nothing is drawn or asked anew"
    try:
        found = json.loads(path.read_bytes())
        version = found["schema_version"]
    except FileNotFoundError:
        raise UsageError(
            f"{place} holds a run that is not finished: it has no summary.json",
            fix="run its command again; what was done is kept",
        ) from None
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise PpdbenchError(f"{path} is damaged: {error}", fix=f"delete it and {again}") from error
    if version != SCHEMA_VERSION:
        raise PpdbenchError(
            f"{path} has schema_version {version!r}, this ppdbench knows {SCHEMA_VERSION}",
            fix=f"use the ppdbench that wrote it, or delete it and {again}",
        )
    if found.get("kind") == COMPARISON:
        raise UsageError(f"{place} is a comparison, not a run", fix="name the runs it compares")
    needed = {"suite", "suite_version", "suite_digest", "model", "baseline", "benchmarks"}
    if lacking := sorted((needed | {"generators", "withheld"}) - found.keys()):
        raise PpdbenchError(
            f"{path} is damaged: it lacks {', '.join(lacking)}", fix=f"delete it and {again}"
        )
    if not all(isinstance(found[name], dict) for name in ("benchmarks", "generators")):
        raise PpdbenchError(
            f"{path} is damaged: its figures are none", fix=f"delete it and {again}"
        )
    if "calibration" in found["benchmarks"]:
        raise UsageError(
            f"{place} is a calibration: it measures a judge, no model",
            fix="compare runs of `ppdbench eval` or `ppdbench judge`",
        )
    if found["withheld"]:
        raise PpdbenchError(
            f"{place} withholds its figures: {found['withheld']}",
            fix="run its command again, which tries only what failed; or allow a share of "
            "failures with --fail-on-error",
        )
    _require_ended(place)
    return dict(found)


def _require_ended(place: Path) -> None:
    """Refuse a run that something works on, or stopped working on.

    Raises:
        UsageError: its status says so. A folder without a status, as a copy may be, passes.
    """
    try:
        state = json.loads((place / "status.json").read_bytes())["state"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return
    if state != "done":
        raise UsageError(
            f"{place} holds a run that is not finished: its last command is {state}"
            if state == "running"
            else f"{place} holds a run that is not finished: its last command was {state}",
            fix="wait for it, or run its command again; what was done is kept",
        )


def _require_one_world(
    places: Sequence[Path], told: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
) -> None:
    """Refuse runs whose suites differ: their items are other items.

    Raises:
        FingerprintMismatch: they do; every field is named with both values.
    """
    (first_spec, first), first_name = told[0], places[0].name
    for place, (spec, summary) in zip(places[1:], told[1:], strict=True):
        ours, theirs = _world(first_spec, first), _world(spec, summary)
        unlike = [
            f"{field} is {ours[field]} in {first_name} and {theirs[field]} in {place.name}"
            for field in ours
            if field in theirs and ours[field] != theirs[field]
        ]
        if unlike:
            raise FingerprintMismatch(
                f"the runs were measured on different suites: {'; '.join(unlike)}",
                fix=MEASURE_BOTH,
            )


def _world(spec: Mapping[str, Any], summary: Mapping[str, Any]) -> dict[str, Any]:
    """What runs must agree in, where they have it: the suite and how it samples.

    The digest of a judged run, or of encoders alone, is that of the suite's people, and is held
    against other such.
    """
    of_people = spec.get("benchmark") == "judge" or not spec.get("sampling")
    digest = "suite_digest (people)" if of_people else "suite_digest"
    return {
        "suite": summary["suite"],
        "suite_version": summary["suite_version"],
        digest: summary["suite_digest"],
        **dict(flat({"sampling": spec.get("sampling") or {}})),
    }


def _labels(places: Sequence[Path], models: Sequence[str]) -> list[str]:
    """A name a run: its model where no other has it, else its folder, else a letter too."""
    folders = [place.name for place in places]
    found = [
        folder if models.count(model) > 1 else model
        for model, folder in zip(models, folders, strict=True)
    ]
    return [
        f"{label} ({letter})" if found.count(label) > 1 else label
        for label, letter in zip(found, string.ascii_uppercase, strict=False)
    ]
