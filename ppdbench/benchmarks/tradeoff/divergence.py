"""How far each generator's sampling is from the run's baseline, item by item, in divergence.jsonl.

Asked of generators that can tell (`protocols.Diverging`) and whose reference is the very baseline
of the run; of any other it is said why not. A batch that fails is asked for one by one, and what
fails alone is recorded with its error and asked for again by the next run: never a zero.
Elsewhere: how the reference entries find theirs (`trainers/stable_cascade/divergence.py`), what is
made of them (`tradeoff.figures`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from ppdbench.benchmarks.contexts import Contexts
from ppdbench.benchmarks.plan import Item, in_batches
from ppdbench.errors import PpdbenchError, one_line
from ppdbench.protocols import Diverging, Events, GenerationRequest, Generator, SamplingSpec
from ppdbench.runs.directory import RunDirectory
from ppdbench.runs.records import RecordWriter, read_records

FILE = "divergence.jsonl"
Steps = list[float]
"""Nats of each step, first step first."""


def why_unmeasured(generator: Generator, baseline: str) -> str | None:
    """Why a generator's divergence is not known; None where it can be asked.

    Args:
        generator: any but the baseline itself, which diverges from nobody.
        baseline: revision of the baseline as the run draws it.
    """
    name = generator.info.name
    if not isinstance(generator, Diverging):
        return f"{name} does not tell its divergence"
    if generator.reference != baseline:
        return f"not measured: the reference of {name} is another model than the baseline"
    return None


def measure_divergence(
    run: RunDirectory,
    items: Sequence[Item],
    generators: Mapping[str, Generator],
    baseline: str,
    contexts: Contexts,
    sampling: SamplingSpec,
    *,
    batch_size: int,
    events: Events,
) -> int:
    """Ask for what is not on record; returns for how many items that was.

    Args:
        run: the run.
        items: drawn items of benchmark `tradeoff`.
        generators: by name.
        baseline: the name of the one that is the reference.
        contexts: of the items' users.
        sampling: the size of what is drawn.
        batch_size: items asked for at once.
        events: told of progress, and of generators whose reference is another.

    Raises:
        PpdbenchError: a record cannot be written, or a generator says that it cannot work at all.
    """
    reference = generators[baseline].info.revision
    telling: dict[str, Diverging] = {}
    for name, generator in generators.items():
        if name == baseline:
            continue
        reason = why_unmeasured(generator, reference)
        if isinstance(generator, Diverging):
            if reason:
                events.note(reason)
            else:
                telling[name] = generator
    wanted = [item for item in items if item.generator in telling]
    known = read_divergence(run.path, reference)
    todo = [item for item in wanted if item.id not in known]
    events.stage("divergence", len(wanted))
    events.advance(len(wanted) - len(todo))
    if not todo:
        return 0
    with run.status.timed("divergence"), RecordWriter(run.path / FILE) as writer:
        for name, group in groupby(todo, key=lambda item: item.generator):
            for batch in in_batches(list(group), batch_size):
                requests = [item.request(sampling, contexts.of(item)) for item in batch]
                writer.write(
                    _record(item, reference, found)
                    for item, found in zip(batch, _ask(telling[name], requests), strict=True)
                )
                events.advance(len(batch))
                run.status.tick()
    return len(todo)


def read_divergence(folder: Path, reference: str) -> dict[str, Steps]:
    """Item id -> nats of each step, of those that are known against this reference.

    Raises:
        PpdbenchError: the file is damaged.
    """
    return {
        record["item"]: record["nats"]
        for record in read_records(folder / FILE)
        if record["nats"] is not None and record["reference"] == reference
    }


def divergence_errors(folder: Path) -> dict[str, str]:
    """Item id -> what went wrong when it was asked for last, where something did."""
    last = {record["item"]: record["error"] for record in read_records(folder / FILE)}
    return {item: error for item, error in last.items() if error}


def _ask(generator: Diverging, requests: Sequence[GenerationRequest]) -> list[Steps | Exception]:
    """Each request's nats; where a batch fails, its requests are asked for one by one."""
    try:
        found = [_steps(nats) for nats in generator.divergence(requests)]
        if len(found) != len(requests):
            raise ValueError(f"divergences of {len(found)} images for {len(requests)}")
    except PpdbenchError:
        raise
    except Exception as error:  # whatever a plug-in raises is that item's failure
        if len(requests) == 1:
            return [error]
        return [found for request in requests for found in _ask(generator, [request])]
    return list(found)


def _steps(nats: Any) -> Steps:
    """The numbers as they go on record.

    Raises:
        ValueError: there are none, or one of them is no divergence.
    """
    steps = [float(step) for step in nats]
    if not steps:
        raise ValueError("the divergence has no steps")
    for step in steps:
        if not math.isfinite(step) or step < 0:
            raise ValueError(f"a divergence is finite and not negative, this one is {step}")
    return steps


def _record(item: Item, reference: str, found: Steps | Exception) -> dict[str, Any]:
    record = {"item": item.id, "reference": reference}
    if isinstance(found, Exception):
        error = f"{type(found).__name__}: {one_line(found)}"
        return {**record, "nats": None, "error": error}
    return {**record, "nats": found, "error": None}
