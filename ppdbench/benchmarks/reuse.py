"""Pictures that a sibling run has drawn already: taken over, not drawn again.

A picture follows from suite version, sampling, the generator's and its encoder's revisions, the
users and the item; where all of these are the same, so is the picture. Judging by a second judge
then draws nothing. Elsewhere: drawing (`generate`), what a run's spec holds (`job`, `judge.job`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ppdbench.benchmarks.generate import undrawn
from ppdbench.benchmarks.plan import Item
from ppdbench.errors import PpdbenchError
from ppdbench.protocols import Events, Generator
from ppdbench.runs.directory import GENERATIONS, IMAGES, RunDirectory, read_spec
from ppdbench.runs.fingerprint import differences
from ppdbench.runs.images import ImageStore
from ppdbench.runs.records import RecordWriter, read_records

SAME = ("suite", "suite_version", "people", "sampling")
"""What must be equal in both specs, beside the revisions of who drew."""


def reuse(
    run: RunDirectory,
    items: Sequence[Item],
    spec: Mapping[str, Any],
    generators: Mapping[str, Generator],
    events: Events,
) -> int:
    """Take over what runs beside this one have drawn of its items; returns how many.

    Args:
        run: this run.
        items: all of its items.
        spec: its spec, with `people`, `generators` and `encoders`.
        generators: by their names in records.
        events: told how many came from where.

    Raises:
        PpdbenchError: an image or a record cannot be written.
    """
    missing = {item.id: item for item in undrawn(run.path, items)}
    taken = 0
    for folder, theirs in _siblings(run.path, spec):
        if not missing:
            break
        alike = _alike(spec, theirs, generators)
        try:
            records = read_records(folder / GENERATIONS)
        except PpdbenchError:
            continue  # that run's trouble
        known = {record.get("item"): record for record in records}
        found = [
            (item, record)
            for identity, item in missing.items()
            if item.generator in alike
            and (record := known.get(identity)) is not None
            and record.get("status") == "ok"
            and record.get("seed") == item.seed
        ]
        count = _copy(run, folder, found, missing)
        taken += count
        if count:
            events.note(f"{count} pictures taken over from {folder.name}")
    return taken


def _siblings(own: Path, spec: Mapping[str, Any]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Runs beside a run that were drawn in the same setting, and their specs, by name."""
    for path in sorted(own.parent.glob("*/spec.json")):
        if path.parent == own:
            continue
        try:
            theirs = read_spec(path.parent)
        except PpdbenchError:
            continue
        ours = {name: spec.get(name) for name in SAME}
        if not differences(ours, {name: theirs.get(name) for name in SAME}):
            yield path.parent, theirs


def _alike(
    spec: Mapping[str, Any], theirs: Mapping[str, Any], generators: Mapping[str, Generator]
) -> set[str]:
    """The generators that are the same in both runs, with the same encoder behind them."""
    found = set()
    for name, generator in generators.items():
        wanted: list[tuple[str, str | None]] = [("generators", name)]
        wanted.append(("encoders", generator.info.encoder))
        if all(
            each is None
            or (spec.get(kind) or {}).get(each) == (theirs.get(kind) or {}).get(each) is not None
            for kind, each in wanted
        ):
            found.add(name)
    return found


def _copy(
    run: RunDirectory,
    folder: Path,
    found: Sequence[tuple[Item, Mapping[str, Any]]],
    missing: dict[str, Item],
) -> int:
    """Copy images, then their records; what is damaged over there stays missing here.

    Raises:
        PpdbenchError: an image or a record cannot be written.
    """
    images = ImageStore(folder / IMAGES)
    taken = 0
    with RecordWriter(run.generations) as writer:
        for item, record in found:
            try:
                data = images.read(str(record.get("image")))
            except PpdbenchError:
                continue
            run.images.put_file(data)
            why = {"benchmark": item.benchmark, "arm": item.arm}
            writer.write([{**record, **why, "from": folder.name}])
            del missing[item.id]
            taken += 1
    return taken
