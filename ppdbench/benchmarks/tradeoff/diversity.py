"""How unlike each other the pictures of one caption and user are, in diversity.jsonl.

For each generator, user and caption: the mean of 1 - cosine over all pairs of its noises, between
image embeddings of the suite's gold reward of kind `clip`, which nobody trained on; of its other
one where it has no gold one. A caption counts whole: all its noises, or not at all. Elsewhere: what
is made of it (`tradeoff.figures`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ppdbench.benchmarks.plan import in_batches
from ppdbench.benchmarks.scorers import Scorers
from ppdbench.errors import PpdbenchError, one_line
from ppdbench.protocols import Events
from ppdbench.runs.directory import RunDirectory
from ppdbench.runs.images import ImageStore
from ppdbench.runs.records import RecordWriter, read_records
from ppdbench.runs.results import reward_key

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE = "diversity.jsonl"
KIND = "clip"
Key = tuple[str, str | None, str]
"""(generator, user id, caption id)."""
Group = tuple[Key, tuple[str, ...]]
"""What its pictures are of, and the sha256 of each, in the order of the noises."""


def embedder(rewards: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The reward whose image embeddings diversity is by; None where a suite has no such reward.

    Args:
        rewards: reward name -> mapping with `kind` and `gold`, in the suite's order.
    """
    of_kind = [name for name, reward in rewards.items() if reward["kind"] == KIND]
    return next((name for name in of_kind if rewards[name]["gold"]), next(iter(of_kind), None))


def measure_diversity(
    run: RunDirectory,
    groups: Sequence[Group],
    reward: str,
    scorers: Scorers,
    *,
    batch_size: int,
    events: Events,
) -> int:
    """Embed and compare what is not on record; returns how many pictures that was.

    Args:
        run: the run.
        groups: captions whose pictures are all there.
        reward: by whose embeddings.
        scorers: the run's, which load it.
        batch_size: pictures embedded at once.
        events: told of progress.

    Raises:
        MissingPrerequisite: the reward's checkpoint is not at hand.
        PpdbenchError: a picture is corrupt, or a record cannot be written.
    """
    key = reward_key(reward)
    identity = scorers.identities[key]
    known, refused = _on_record(run.path, key, identity)
    todo = [] if refused else [group for group in groups if group not in known]
    events.stage("diversity", len(groups))
    events.advance(len(groups) - len(todo))
    if not todo:
        return 0
    scorers.load(key)
    about = {"scorer": key, "identity": identity}
    with run.status.timed("diversity"), RecordWriter(run.path / FILE) as writer:
        embed = embedding_of(scorers.loaded[key])
        if embed is None:
            left_out = f"the reward {reward} gives no embeddings of images"
            writer.write([{**about, "left_out": left_out}])
            return 0
        at_once = max(1, batch_size // max(len(images) for _, images in todo))
        for batch in in_batches(todo, at_once):
            writer.write(
                {**about, **_named(group), **found}
                for group, found in zip(batch, _distances(embed, run.images, batch), strict=True)
            )
            events.advance(len(batch))
            run.status.tick()
    return sum(len(images) for _, images in todo)


def read_diversity(folder: Path, key: str, identity: str) -> dict[Group, float]:
    """Caption and pictures -> mean distance, of those that are known by this scorer.

    Raises:
        PpdbenchError: the file is damaged.
    """
    return _on_record(folder, key, identity)[0]


def why_no_diversity(folder: Path, key: str, identity: str) -> str | None:
    """Why a scorer gives none, where it was asked; or what went wrong last."""
    return _on_record(folder, key, identity)[1] or next(
        (
            record["error"]
            for record in reversed(read_records(folder / FILE))
            if record["identity"] == identity and record.get("error")
        ),
        None,
    )


def mean_distance(embeddings: NDArray[np.float64]) -> float:
    """Mean of 1 - cosine over all pairs of rows of (n, D), n >= 2: 0 of equal ones, at most 2.

    Raises:
        ValueError: fewer than two rows, or one that is zero or not finite has no direction.
    """
    if len(embeddings) < 2:
        raise ValueError("one picture has no diversity")
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise ValueError("an embedding is zero or not finite")
    unit = embeddings / lengths
    first, second = np.triu_indices(len(unit), k=1)
    return float(np.clip(1 - (unit[first] * unit[second]).sum(axis=1), 0, 2).mean())


class _Embed:
    """Image embeddings (N, D) by a reward's tower, through its own preprocessing."""

    def __init__(self, reward: Any) -> None:
        self._reward = reward

    def __call__(self, store: ImageStore, names: Sequence[str]) -> NDArray[np.float64]:
        from ppdbench.rewards.preprocess import to_rgb

        pixels = self._reward.recipe([to_rgb(store.get(name)) for name in names])
        found = self._reward.tower.encode_images(pixels)
        embeddings: NDArray[np.float64] = found.cpu().double().numpy()
        return embeddings


def embedding_of(reward: object) -> _Embed | None:
    """How a reward's image embeddings are had; None of one that has none."""
    from ppdbench.rewards.embedding_reward import EmbeddingReward

    return _Embed(reward) if isinstance(reward, EmbeddingReward) else None


def _distances(
    embed: _Embed, store: ImageStore, groups: Sequence[Group]
) -> Iterator[dict[str, Any]]:
    """The `distance` of each group, or the `error`; groups that fail together are tried alone."""
    try:
        rows = embed(store, [name for _, images in groups for name in images])
        start = 0
        found = []
        for _, images in groups:
            found.append(mean_distance(rows[start : start + len(images)]))
            start += len(images)
    except PpdbenchError:
        raise
    except Exception as error:  # whatever a plug-in raises is that caption's failure
        if len(groups) == 1:
            yield {"distance": None, "error": f"{type(error).__name__}: {one_line(error)}"}
            return
        for group in groups:
            yield from _distances(embed, store, [group])
        return
    yield from ({"distance": distance, "error": None} for distance in found)


def _named(group: Group) -> dict[str, Any]:
    (generator, user, caption), images = group
    return {"generator": generator, "user": user, "caption_id": caption, "images": list(images)}


def _on_record(folder: Path, key: str, identity: str) -> tuple[dict[Group, float], str | None]:
    """What is known by a scorer, and why it gives nothing, if so."""
    known: dict[Group, float] = {}
    refused = None
    for record in read_records(folder / FILE):
        if (record["scorer"], record["identity"]) != (key, identity):
            continue
        if "left_out" in record:
            refused = record["left_out"]
        elif record["distance"] is not None:
            group = (record["generator"], record["user"], record["caption_id"])
            known[group, tuple(record["images"])] = record["distance"]
    return known, refused
