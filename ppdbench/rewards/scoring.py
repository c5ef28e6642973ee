"""`score`: many images by many rewards, through one engine and one cache.

Loading, decoding, embedding and scoring are each done once and kept, so the same call again, or
after a kill, goes on from what the cache holds. Elsewhere: preparing files (`loader`), one batch
(`engine`), what comes out (`score_table`), several processes (`sharding`).
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ppdbench
from ppdbench.data.captioned import printable
from ppdbench.errors import PpdbenchError, UsageError, all_at_once, one_line
from ppdbench.protocols import Events, Reward, RewardSpec
from ppdbench.rewards.catalogue import spec_of
from ppdbench.rewards.embedding_reward import BATCH_SIZE, EmbeddingReward
from ppdbench.rewards.engine import Batch, score_each
from ppdbench.rewards.identity import score_identity
from ppdbench.rewards.load import load_reward
from ppdbench.rewards.loader import (
    Prepared,
    Source,
    Wanted,
    from_vector,
    image_key,
    prepare,
    score_key,
    to_vector,
)
from ppdbench.rewards.open_clip_tower import PRECISIONS, Precision
from ppdbench.rewards.score_table import ScoreTable
from ppdbench.rewards.sharding import Shards, shards
from ppdbench.rewards.store import Store, default_path
from ppdbench.runs.device import resolve

if TYPE_CHECKING:
    from PIL.Image import Image

DRIFT_IMAGES = 16
"""Images scored in fp32 too when reduced precision is asked for."""
MOST_WORKERS = 16
NO_CAPTION = "it has no caption"
NO_TEXT = "its caption is not Unicode"


def score(
    images: Sequence[Path | str | Image],
    captions: Sequence[str | None] | None,
    rewards: Sequence[str | RewardSpec | Reward],
    *,
    device: str = "auto",
    precision: Precision = "fp32",
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    cache: Path | bool | None = True,
    names: Sequence[str] | None = None,
    problems: Mapping[int, str] | None = None,
    events: Events | None = None,
) -> ScoreTable:
    """Score images by rewards; row i of the result belongs to image i.

    What cannot be scored has NaN and its reason in `ScoreTable.errors`, and stops nothing else.
    Under `accelerate launch` each process scores its share, and all return the whole table.

    Args:
        images: N files or pictures, of any size and mode.
        captions: N captions; None where there is none, or in their place where no image has one.
        rewards: "clip", "hpsv2.1", "NAME=PATH" (`catalogue`), a suite's `RewardSpec`s, or rewards.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        precision: "fp32" (without TF32), or "bf16": then `ScoreTable.drift` says how far that
            moves scores, measured on the first images.
        batch_size: images embedded at once; moves scores by float noise only.
        workers: processes that read and preprocess; by default none on a CPU, whose cores the
            model needs, else one a core, 16 at most.
        cache: True for the user's cache, a file for another, False for none.
        names: what the table calls the images; by default their paths.
        problems: row -> why it has no caption, where there is more to say than that.
        events: is told of progress.

    Raises:
        ValueError: not as many captions as images.
        UsageError: an unknown reward, device or precision, or two rewards of one name.
        MissingPrerequisite: weights are missing; all of them are named.
        PpdbenchError: weights cannot be used.
    """
    if captions is not None and len(images) != len(captions):
        raise ValueError(f"{len(images)} images but {len(captions)} captions")
    if precision not in PRECISIONS:
        raise UsageError(
            f"no precision is called {precision!r}", fix=f"use {' or '.join(PRECISIONS)}"
        )
    if names is not None and len(names) != len(images):
        raise ValueError(f"{len(images)} images but {len(names)} names")
    process = shards(device)
    device = process.device or resolve(device)
    loaded = _load(rewards, device, precision)
    texts = list(captions) if captions is not None else [None] * len(images)
    if odd := [text for text in texts if not isinstance(text, str | None)]:
        raise ValueError(f"a caption is {odd[0]!r}, neither text nor None")
    sources = [
        Source(
            index=row,
            image=Path(image) if isinstance(image, str | Path) else image,
            caption=text if text is None or printable(text) == text else None,
        )
        for row, (image, text) in enumerate(zip(images, texts, strict=True))
    ]
    no_text = {row: NO_TEXT for row, text in enumerate(texts) if text != sources[row].caption}
    work = _Work(
        store=_store(cache, events),
        device=device,
        batch_size=batch_size,
        workers=_workers(workers, device, process),
        problems={**no_text, **(problems or {})},
        events=events,
    )
    own = [sources[row] for row in process.own(len(sources))]
    called = names or [
        printable(str(source.image)) if isinstance(source.image, Path) else str(source.index)
        for source in sources
    ]
    shares = process.gather(work.run(own, loaded))
    table = _merged(shares, called, [source.caption for source in sources], loaded, device)
    table.processes = process.count
    if precision != "fp32" and process.first:
        _measure_drift(table, work, sources, loaded)
    return table


def _measure_drift(
    table: ScoreTable, work: _Work, sources: Sequence[Source], rewards: Mapping[str, Reward]
) -> None:
    """Score the first images in fp32 too; the scores that there are stay, whatever happens."""
    exact = {}
    for name, reward in rewards.items():
        if isinstance(reward, EmbeddingReward):
            exact[name] = reward.at("fp32")
            reward.forget_tower()  # two models at once may be more than a device holds
    some = set(table.scores)
    sample = [s for s in sources if table.errors.get(s.index, {}).keys() < some][:DRIFT_IMAGES]
    try:
        table.drift.update(_drift(table, work.run(sample, exact, "drift")))
    except PpdbenchError as error:
        table.drift.update({name: {"n": 0, "reason": error.cause} for name in exact})


@dataclass(slots=True)
class _Share:
    """What one process found: row -> reward -> score or reason."""

    scores: dict[int, dict[str, float]]
    errors: dict[int, dict[str, str]]
    hashes: dict[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """How images are scored, whichever they are."""

    store: Store | None
    device: str
    batch_size: int
    workers: int
    problems: Mapping[int, str]
    events: Events | None

    def run(
        self, sources: Sequence[Source], rewards: Mapping[str, Reward], stage: str = "score"
    ) -> _Share:
        """Score these sources with these rewards."""
        share = _Share({}, {}, {})
        wanted = _wanted(rewards, self.device)
        if self.events:
            self.events.stage(stage, len(sources))
        for batch in prepare(
            sources,
            wanted,
            self.store,
            batch_size=self.batch_size,
            workers=self.workers,
            pin=self.device.startswith("cuda"),
        ):
            self._score(batch, rewards, wanted, share)
            if self.events:
                self.events.advance(len(batch.sources))
        return share

    def _score(
        self,
        batch: Prepared,
        rewards: Mapping[str, Reward],
        wanted: Sequence[Wanted],
        share: _Share,
    ) -> None:
        """One batch: what the store knew, what is computed now, what cannot be."""
        todo: dict[str, list[int]] = {}
        for row, source in enumerate(batch.sources):
            pixel_hash, error = batch.pixel_hashes[row], batch.errors[row]
            if pixel_hash is not None:
                share.hashes[source.index] = pixel_hash
            if batch.scores[row]:
                share.scores[source.index] = dict(batch.scores[row])
            for one in wanted:
                if one.reward in batch.scores[row]:
                    continue
                if error is not None:
                    _fail(share, source, one.reward, error)
                elif one.needs_caption and source.caption is None:
                    _fail(share, source, one.reward, self.problems.get(source.index, NO_CAPTION))
                else:
                    todo.setdefault(one.reward, []).append(row)
        ready = _batch(batch)
        for reward, values in self._found(ready, {r: rewards[r] for r in todo}, todo).items():
            for row, value in values.items():
                source = batch.sources[row]
                if isinstance(value, str):
                    _fail(share, source, reward, value)
                elif not math.isfinite(value):
                    _fail(share, source, reward, f"the score is {value}")
                else:
                    share.scores.setdefault(source.index, {})[reward] = value
        if self.store is not None:
            _keep(self.store, batch, ready, wanted, todo, share)

    def _found(
        self, batch: Batch, rewards: Mapping[str, Reward], rows: Mapping[str, list[int]]
    ) -> dict[str, dict[int, float | str]]:
        """Reward -> row -> score, or why there is none; a failed batch is asked one by one."""
        self._recall_texts(batch, rewards, rows)
        found: dict[str, dict[int, float | str]] = {}
        for name, values in score_each(rewards, batch, rows):
            if not isinstance(values, Exception):
                found[name] = dict(zip(rows[name], values.tolist(), strict=True))
            elif len(rows[name]) == 1:
                text = f"{type(values).__name__}: {one_line(values)}"
                found[name] = dict.fromkeys(rows[name], text)
            else:
                found[name] = {}
                for row in rows[name]:
                    found[name] |= self._found(batch, {name: rewards[name]}, {name: [row]})[name]
        return found

    def _recall_texts(
        self, batch: Batch, rewards: Mapping[str, Reward], rows: Mapping[str, list[int]]
    ) -> None:
        if self.store is None:
            return
        for name, reward in rewards.items():
            if isinstance(reward, EmbeddingReward) and reward.needs_caption:
                captions = [batch.captions[row] for row in rows[name]]
                reward.tower.recall_texts(captions, self.store, reward.tower_key)


def _load(
    rewards: Sequence[str | RewardSpec | Reward], device: str, precision: Precision
) -> dict[str, Reward]:
    """Name -> reward; weights are looked for, none is read.

    Raises:
        UsageError: none is named, two share a name, or a name is unknown.
        MissingPrerequisite: files are missing; those of all rewards are named.
    """
    if not rewards:
        raise UsageError("no reward is named", fix="name one with --reward NAME")
    specs = [spec_of(asked) if isinstance(asked, str) else asked for asked in rewards]
    loaded: dict[str, Reward] = {}
    for reward in all_at_once(*(partial(_make, spec, device) for spec in specs)):
        if reward.info.name in loaded:
            raise UsageError(
                f"two rewards are called {reward.info.name!r}", fix="name each reward once"
            )
        if isinstance(reward, EmbeddingReward):
            reward = reward.at(precision)
        loaded[reward.info.name] = reward
    return loaded


def _make(asked: RewardSpec | Reward, device: str) -> Reward:
    return load_reward(asked, device) if isinstance(asked, RewardSpec) else asked


def _wanted(rewards: Mapping[str, Reward], device: str) -> list[Wanted]:
    return [
        Wanted(
            reward=name,
            identity=score_identity(reward.info, device).id,
            needs_caption=reward.needs_caption,
            view=reward.view,
            recipe=reward.recipe,
            kept=type(reward).__module__.startswith(f"{ppdbench.__name__}."),
        )
        if isinstance(reward, EmbeddingReward)
        else Wanted(
            reward=name,
            identity=score_identity(reward.info, device).id,
            needs_caption=getattr(reward, "needs_caption", True),
            kept=False,
        )
        for name, reward in rewards.items()
    ]


def _workers(asked: int | None, device: str, process: Shards) -> int:
    if asked is not None:
        return asked
    if device == "cpu":
        return 0
    return min(MOST_WORKERS, max(1, _cores() // process.count))


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _store(cache: Path | bool | None, events: Events | None) -> Store | None:
    if cache is None or cache is False:
        return None
    path = default_path() if cache is True else cache
    return Store(path, events.note) if events else Store(path)


def _batch(batch: Prepared) -> Batch:
    return Batch(
        [source.caption or "" for source in batch.sources],
        batch.images,
        pixels=batch.pixels,
        embeddings={
            view: {row: from_vector(vector) for row, vector in rows.items()}
            for view, rows in batch.embeddings.items()
        },
    )


def _keep(
    store: Store,
    batch: Prepared,
    ready: Batch,
    wanted: Sequence[Wanted],
    todo: Mapping[str, Sequence[int]],
    share: _Share,
) -> None:
    """Put what is new into the store; a failure is not kept, so that it is tried again."""
    hashes = batch.pixel_hashes
    store.put(
        "image",
        {
            image_key(view, known): to_vector(vector)
            for view, rows in ready.fresh.items()
            for row, vector in rows.items()
            if (known := hashes[row]) is not None
        },
    )
    scores = {}
    for one in wanted:
        for row in todo.get(one.reward, ()) if one.kept else ():
            source, known = batch.sources[row], hashes[row]
            value = share.scores.get(source.index, {}).get(one.reward)
            if value is not None and known is not None:
                caption = source.caption if one.needs_caption else None
                scores[score_key(one.identity, known, caption)] = struct.pack("<d", value)
    store.put("score", scores)
    # Last: a file whose hash is known is not decoded again.
    store.put(
        "pixels",
        {
            key: known.encode()
            for key, known in zip(batch.file_keys, hashes, strict=True)
            if key is not None and known is not None
        },
    )


def _fail(share: _Share, source: Source, reward: str, reason: str) -> None:
    share.errors.setdefault(source.index, {})[reward] = reason


def _merged(
    shares: Sequence[_Share],
    names: Sequence[str],
    captions: Sequence[str | None],
    rewards: Mapping[str, Reward],
    device: str,
) -> ScoreTable:
    import numpy as np

    scores = {name: np.full(len(names), np.nan) for name in rewards}
    hashes: list[str | None] = [None] * len(names)
    errors: dict[int, dict[str, str]] = {}
    for share in shares:
        for row, found in share.scores.items():
            for name, value in found.items():
                scores[name][row] = value
        for row, known in share.hashes.items():
            hashes[row] = known
        errors |= share.errors
    return ScoreTable(
        images=names,
        captions=captions,
        identities={name: score_identity(r.info, device) for name, r in rewards.items()},
        scores=scores,
        errors=dict(sorted(errors.items())),
        pixel_sha256=hashes,
    )


def _drift(table: ScoreTable, exact: _Share) -> dict[str, Any]:
    """Reward -> how far its scores are from fp32's, on the images that have both."""
    found: dict[str, dict[str, Any]] = {}
    for name, scores in table.scores.items():
        moved = [
            abs(float(scores[row]) - values[name])
            for row, values in exact.scores.items()
            if name in values
        ]
        if moved:
            found[name] = {
                "n": len(moved),
                "max_abs": max(moved),
                "mean_abs": sum(moved) / len(moved),
            }
        elif table.identities[name].precision != "fp32":
            found[name] = {"n": 0, "reason": "no image has its score in both"}
    return found
