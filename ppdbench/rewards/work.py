"""One process's images scored: what the store knows, what is computed, what cannot be.

Elsewhere: what a user asks for and is given (`scoring`), files (`loader`), a batch (`engine`).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ppdbench
from ppdbench.errors import one_line
from ppdbench.protocols import Events, Reward
from ppdbench.rewards.embedding_reward import EmbeddingReward
from ppdbench.rewards.engine import Batch, score_each
from ppdbench.rewards.identity import score_identity
from ppdbench.rewards.loader import (
    Prepared,
    Source,
    Wanted,
    deaths_named,
    image_key,
    prepare,
    score_key,
)
from ppdbench.rewards.store import Store, from_vector, to_vector

NO_CAPTION = "it has no caption"


@dataclass(slots=True)
class Share:
    """What one process found: row -> reward -> score or reason."""

    scores: dict[int, dict[str, float]]
    errors: dict[int, dict[str, str]]
    hashes: dict[int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How images are scored, whichever they are."""

    store: Store | None
    device: str
    batch_size: int
    workers: int
    problems: Mapping[int, str]
    events: Events | None

    def run(
        self, sources: Sequence[Source], rewards: Mapping[str, Reward], stage: str = "score"
    ) -> Share:
        """Score these sources with these rewards.

        Raises:
            PpdbenchError: a reward cannot work at all, or a process that reads images was killed.
        """
        share = Share({}, {}, {})
        wanted = _wanted(rewards, self.device)
        if self.events:
            self.events.stage(stage, len(sources))
        with deaths_named():
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
        share: Share,
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
        """Reward -> row -> score, or why there is none."""
        self._recall_texts(batch, rewards, rows)
        found: dict[str, dict[int, float | str]] = {}
        for name, values in score_each(rewards, batch, rows):
            found[name] = {
                row: f"{type(value).__name__}: {one_line(value)}"
                if isinstance(value, Exception)
                else value
                for row, value in zip(rows[name], values, strict=True)
            }
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
    share: Share,
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


def _fail(share: Share, source: Source, reward: str, reason: str) -> None:
    share.errors.setdefault(source.index, {})[reward] = reason
