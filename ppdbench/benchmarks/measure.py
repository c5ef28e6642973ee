"""The measure stage: every image by every scorer of its benchmark, once.

A batch of images is read once and scored by each scorer that has not seen it; rewards share their
preprocessing and embeddings (`ppdbench.rewards.engine`), and each one's scores are recorded as they
come. What a scorer cannot score (it raised, or said NaN) is recorded as an error and tried again by
the next run of the same command; it is never a zero and costs no other scorer anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ppdbench.benchmarks.plan import Item, in_batches
from ppdbench.benchmarks.scorers import Scorer, Scorers
from ppdbench.errors import PpdbenchError
from ppdbench.protocols import CaptionClassifier, Events, Reward, Truth
from ppdbench.rewards.engine import Batch, score_each
from ppdbench.runs.directory import RunDirectory
from ppdbench.runs.records import RecordWriter, read_records
from ppdbench.runs.results import FIDELITY, TRUTH

if TYPE_CHECKING:
    from PIL.Image import Image

Values = list[Any]
"""One float, one dict of facts or one row of attributes an image; an exception where there is
none."""
DIGITS = 6
"""Significant digits of an attribute: what records keep, recorded entries included."""


def measure(
    run: RunDirectory,
    items: Sequence[Item],
    scorers: Scorers,
    *,
    batch_size: int,
    events: Events,
) -> int:
    """Score the drawn items that lack a score; returns how many items were looked at.

    Raises:
        MissingPrerequisite: a scorer's checkpoint is not at hand.
        PpdbenchError: an image is corrupt or a record cannot be written.
    """
    # By the last record: one whose image was lost and could not be drawn again has none.
    drawn = {record["item"]: record["image"] for record in read_records(run.generations)}
    todo = [(item, sha256) for item in items if (sha256 := drawn.get(item.id))]
    missing = _settle(run, todo, scorers, events)
    events.stage("measure", len(todo))
    events.advance(len(todo) - len(missing))
    if not missing:
        return 0
    with run.status.timed("measure"), RecordWriter(run.scores) as writer:
        for batch in in_batches([pair for pair in todo if pair[0].id in missing], batch_size):
            images = [run.images.get(sha256) for _, sha256 in batch]
            for keys, rows in _alike([missing[item.id] for item, _ in batch]):
                for key, values in _score(
                    {key: scorers.loaded[key] for key in scorers.identities if key in keys},
                    [images[row] for row in rows],
                    [batch[row][0].caption.text for row in rows],
                ):
                    writer.write(
                        _record(batch[row], key, scorers.identities[key], value)
                        for row, value in zip(rows, values, strict=True)
                    )
            events.advance(len(batch))
            run.status.tick()
    return len(missing)


def _settle(
    run: RunDirectory, todo: Sequence[tuple[Item, str]], scorers: Scorers, events: Events
) -> dict[str, set[str]]:
    """Item id -> scorer keys it lacks; loads the scorers that are needed, and no other."""
    while True:
        missing = _missing(run, todo, scorers) if not scorers.unknown else {}
        needed = {key for keys in missing.values() for key in keys} | set(scorers.unknown)
        wanted = sorted(needed - scorers.loaded.keys())
        if not wanted:
            return missing
        with run.status.timed("load scorers"):
            events.stage("load scorers", len(wanted))
            for key in wanted:
                # Loading may show that a scorer is not the one on record: then look again.
                scorers.load(key)
                events.advance(1)


def _missing(
    run: RunDirectory, todo: Sequence[tuple[Item, str]], scorers: Scorers
) -> dict[str, set[str]]:
    done = {
        (record["item"], record["image"], record["scorer"], record["identity"])
        for record in read_records(run.scores)
        if not record.get("error")
    }
    identities = scorers.identities
    keys = {benchmark: scorers.keys(benchmark) for benchmark in {i.benchmark for i, _ in todo}}
    lacks = {
        item.id: {
            key
            for key in keys[item.benchmark] & identities.keys()
            if (item.id, sha256, key, identities[key]) not in done
        }
        for item, sha256 in todo
    }
    return {item: keys for item, keys in lacks.items() if keys}


def _alike(lacks: Sequence[set[str]]) -> list[tuple[frozenset[str], list[int]]]:
    """Rows that lack the same scorers, so that these can share their work on them."""
    groups: dict[frozenset[str], list[int]] = {}
    for row, keys in enumerate(lacks):
        groups.setdefault(frozenset(keys), []).append(row)
    return list(groups.items())


def _score(
    scorers: Mapping[str, Scorer], images: Sequence[Image], captions: Sequence[str]
) -> Iterator[tuple[str, Values]]:
    """Each scorer's values, one an image; those that fail on a batch are asked one by one."""
    rewards = {key: scorer for key, scorer in scorers.items() if isinstance(scorer, Reward)}
    yield from score_each(rewards, Batch(captions, images))
    for key, scorer in scorers.items():
        if isinstance(scorer, Reward):
            continue
        yield key, _each(_asking(scorer), images, captions)


def _asking(
    scorer: CaptionClassifier | Truth,
) -> Callable[[Sequence[Image], Sequence[str]], Values]:
    """How a scorer is asked for one value an image."""
    if isinstance(scorer, CaptionClassifier):
        return lambda images, captions: list(scorer.check(images, captions))
    return lambda images, _captions: [tuple(map(float, row)) for row in scorer.measure(images)]


def _each(
    ask: Callable[[Sequence[Image], Sequence[str]], Values],
    images: Sequence[Image],
    captions: Sequence[str],
) -> Values:
    """One value an image; where a batch fails, its images are asked for one by one."""
    try:
        found = ask(images, captions)
        if len(found) != len(images):
            raise ValueError(f"values of {len(found)} images for {len(images)}")
    except PpdbenchError:
        raise
    except Exception as error:  # whatever a plug-in raises is that item's failure
        if len(images) == 1:
            return [error]
        return [
            value
            for image, caption in zip(images, captions, strict=True)
            for value in _each(ask, [image], [caption])
        ]
    return found


def _record(pair: tuple[Item, str], key: str, identity: str, value: Any) -> dict[str, Any]:
    item, sha256 = pair
    record = {"item": item.id, "image": sha256, "scorer": key, "identity": identity}
    if isinstance(value, Exception):
        line = " ".join(f"{type(value).__name__}: {value}".split())[:500]
        return {**record, "score": None, "error": line}
    if key == FIDELITY:
        return {**record, "facts": {fact: bool(right) for fact, right in value.items()}}
    if key == TRUTH:
        if not all(map(math.isfinite, value)):
            return {**record, "score": None, "error": f"the attributes are {value}"}
        return {**record, "attributes": [float(f"{number:.{DIGITS}g}") for number in value]}
    if not math.isfinite(value):
        return {**record, "score": None, "error": f"the score is {value}"}
    return {**record, "score": value}
