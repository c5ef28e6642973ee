"""The generate stage: draw what is missing, batch by batch, each image recorded as it comes.

The image is stored before its record, so a kill in between costs one more drawing and leaves the
same file. A batch that fails is asked again one by one, and an item that fails alone is recorded
as failed: it is tried again by the next run of the same command and is never a zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench.benchmarks.contexts import Contexts, NotEmbedded
from ppdbench.benchmarks.plan import Item, in_batches
from ppdbench.errors import PpdbenchError
from ppdbench.protocols import Events, GenerationRequest, Generator, SamplingSpec
from ppdbench.runs.directory import GENERATIONS, IMAGES, RunDirectory
from ppdbench.runs.images import ImageStore
from ppdbench.runs.records import RecordWriter, read_records

if TYPE_CHECKING:
    from PIL.Image import Image


def generate(
    run: RunDirectory,
    items: Sequence[Item],
    generators: Mapping[str, Generator],
    contexts: Contexts,
    sampling: SamplingSpec,
    *,
    batch_size: int,
    events: Events,
) -> int:
    """Draw the items that have no image yet; returns how many were asked for.

    Raises:
        PpdbenchError: an image there is corrupt, a record cannot be written, or a generator or a
            user encoder says that it cannot work at all.
    """
    before = last_records(run.path)
    missing = undrawn(run.path, items)
    if any(item.context and item.context.sources for item in missing):
        with run.status.timed("embed users"):
            contexts.prepare(missing, events)
    events.stage("generate", len(items))
    events.advance(len(items) - len(missing))
    if not missing:
        return 0
    with run.status.timed("generate"), RecordWriter(run.generations) as writer:
        for name, group in groupby(missing, key=lambda item: item.generator):
            for batch in in_batches(list(group), batch_size):
                for item, outcome in _outcomes(generators[name], batch, contexts, sampling, events):
                    record = _record(run, item, outcome)
                    if not _repeats(record, before.get(item.id)):
                        writer.write([record])
                    events.advance(1)
                run.status.tick()
    return len(missing)


def last_records(folder: Path) -> dict[str, dict[str, Any]]:
    """Item id -> its last record, of a run's folder."""
    return {record["item"]: record for record in read_records(folder / GENERATIONS)}


def undrawn(folder: Path, items: Sequence[Item]) -> list[Item]:
    """The items that have no image in a run's folder.

    Raises:
        PpdbenchError: an image there is corrupt.
    """
    before, images = last_records(folder), ImageStore(folder / IMAGES)
    return [item for item in items if not _is_there(images, before.get(item.id))]


def _is_there(images: ImageStore, record: Mapping[str, Any] | None) -> bool:
    """Whether the item was drawn and its file is there and sound."""
    if record is None or record["status"] != "ok" or not images.has(record["image"]):
        return False
    images.read(record["image"])
    return True


def _repeats(record: Mapping[str, Any], before: Mapping[str, Any] | None) -> bool:
    """Whether an image that had been lost came back the same: its old record still holds."""
    return before is not None and before["status"] == "ok" and before["image"] == record["image"]


def _outcomes(
    generator: Generator,
    batch: Sequence[Item],
    contexts: Contexts,
    sampling: SamplingSpec,
    events: Events,
) -> Iterator[tuple[Item, Image | Exception]]:
    """Each item with its image or what went wrong; what has no context is not asked for."""
    asked: list[tuple[Item, GenerationRequest]] = []
    for item in batch:
        try:
            asked.append((item, item.request(sampling, contexts.of(item))))
        except NotEmbedded as error:
            yield item, error
    if asked:
        yield from _draw(generator, asked, events)


def _draw(
    generator: Generator, batch: Sequence[tuple[Item, GenerationRequest]], events: Events
) -> Iterator[tuple[Item, Image | Exception]]:
    """Each item with its image, or with what went wrong when it was asked for alone."""
    done = 0
    try:
        for image in generator.generate([request for _, request in batch]):
            if done == len(batch):
                raise PpdbenchError(
                    f"generator {batch[0][0].generator!r} yields more images than it was asked for",
                    fix="let `generate` yield one image a request, in order",
                )
            yield batch[done][0], image
            done += 1
        if done == len(batch):
            return
        raise ValueError(f"{done} images for {len(batch)} requests")
    except PpdbenchError:
        raise
    except Exception as error:  # whatever a plug-in raises is that item's failure, not the run's
        if len(batch) == 1:
            yield batch[0][0], error
            return
        events.note(
            f"{batch[0][0].generator}: a batch of {len(batch)} failed ({_line(error)}); "
            "its items are asked for one by one"
        )
    for pair in batch[done:]:
        yield from _draw(generator, [pair], events)


def _record(run: RunDirectory, item: Item, outcome: Image | Exception) -> dict[str, Any]:
    image, error = None, None
    if isinstance(outcome, Exception):
        error = _line(outcome)
    elif not hasattr(outcome, "convert"):
        error = f"yielded {type(outcome).__name__}, not a PIL image"
    else:
        try:
            pixels = outcome.convert("RGB")
        except Exception as broken:  # opened lazily, a truncated file shows itself only here
            error = _line(broken)
        else:
            image = run.images.put(pixels)
    why = {} if item.benchmark == "rewards" else {"benchmark": item.benchmark, "arm": item.arm}
    return {
        "item": item.id,
        **why,
        "generator": item.generator,
        "caption_id": item.caption.id,
        "user": item.user,
        "sample": item.sample,
        "seed": item.seed,
        "image": image,
        "status": "ok" if image else "failed",
        "error": error,
    }


def _line(error: Exception) -> str:
    """An exception as one line for a record."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]
