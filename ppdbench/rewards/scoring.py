"""`score`: many images by many rewards, through one engine and one cache.

Loading, decoding, embedding and scoring are each done once and kept, so the same call again, or
after a kill, goes on from what the cache holds. Elsewhere: one process's share (`work`), preparing
files (`loader`), what comes out (`score_table`), several processes (`sharding`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench.data.captioned import printable
from ppdbench.errors import PpdbenchError, UsageError, all_at_once
from ppdbench.protocols import Events, Reward, RewardSpec
from ppdbench.rewards.catalogue import spec_of
from ppdbench.rewards.embedding_reward import BATCH_SIZE, EmbeddingReward
from ppdbench.rewards.identity import score_identity
from ppdbench.rewards.load import load_reward
from ppdbench.rewards.loader import Source
from ppdbench.rewards.open_clip_tower import PRECISIONS, Precision
from ppdbench.rewards.score_table import ScoreTable
from ppdbench.rewards.sharding import Shards, shards
from ppdbench.rewards.store import Store, default_path
from ppdbench.rewards.work import Share, Work
from ppdbench.runs.device import resolve

if TYPE_CHECKING:
    from PIL.Image import Image

DRIFT_IMAGES = 16
"""Images scored in fp32 too when reduced precision is asked for."""
MOST_WORKERS = 16
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
    work = Work(
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
    table: ScoreTable, work: Work, sources: Sequence[Source], rewards: Mapping[str, Reward]
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


def _merged(
    shares: Sequence[Share],
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


def _drift(table: ScoreTable, exact: Share) -> dict[str, Any]:
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
