"""Pairs and captions encoded once: a cache of latents and text conditioning beside the outputs.

A folder a pair file and base, both by hash, of memory-mapped safetensors shards, each written
whole or not at all; a killed encoding goes on at its next shard::

    <cache>/v2-<pairs sha256[:16]>-<base sha256[:16]>-<size>[-<dtype>][-<limit>]/
      index.json                     hashes, size, dtypes; how many pairs are left out, where any
                                     are; written last: with it the cache is complete
      captions.arrow                 the distinct captions, in order of first use
      listed.safetensors             all pairs of the file, without their images
      pairs.safetensors              the pairs that could be encoded: labels, row of the caption,
                                     user, id, hashes of the images; where pairs are left out, which
                                     and why, and the row of the others' latents
      images-00000.safetensors ...   latents of image 0 and image 1; which pairs are left out
      captions-00000.safetensors ... text conditioning; the last row is the empty caption
      reward-<name>-<identity>-00000.safetensors ...   scores (`relabel.py`)
      users-<encoder>-<groups>.safetensors             embeddings (`embeddings.py`)

At full size 18 KB a latent and 195 KB a caption. A cache that `ppdbench data prepare` made lies in
`latents/` beside the file of pairs (`prepare.py`), is used instead of encoding again, and serves
those as well who want the first pairs only. Elsewhere: making it (`encoding.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppdbench.errors import MissingPrerequisite, PpdbenchError, one_line
from ppdbench.protocols import Events
from trainers.encoded.at_rest import AtRest
from trainers.encoded.captions_file import Captions
from trainers.encoded.decoding import as_tensor
from trainers.encoded.encoding import (
    INDEX,
    Encoding,
    encode_share,
    encoding_of,
    finish,
)
from trainers.encoded.listing import CAPTIONS, PAIRS, left_out
from trainers.encoded.pair_shards import batches, file_sha256
from trainers.encoded.sharded_tensor import AGAIN, ShardedTensor, read_optional, read_tensor
from trainers.stable_cascade.stage_c import Base, TextConditioning

__all__ = [
    "PREPARED", "LatentCache", "as_tensor", "batches", "encode_pairs", "file_sha256", "open_cache",
]  # fmt: skip

PREPARED = "latents"
"""Folder beside a file of pairs that holds caches of it."""
INDEXED = ("pairs_sha256", "base_sha256", "limit", "latents", "text")
"""What is read of an index."""


@dataclass(frozen=True, slots=True)
class LatentCache:
    """The encoded pairs of one file for one base; arrays are mapped, and read where they are asked.

    Latents and text are floats of 32 bits wherever they are given, however they are kept.
    """

    folder: Path
    pairs_sha256: str
    limit: int | None
    captions: Sequence[str]
    """The distinct captions, in order of first use."""
    label_margin: NDArray[np.float64]
    """(N,) label of image 1 less label of image 0, as the file has them."""
    caption: NDArray[np.int64]
    """(N,) row of the pair's caption."""
    image_0: ShardedTensor
    """(N, C, H, W) latents."""
    image_1: ShardedTensor
    hidden: ShardedTensor
    """(captions + 1, L, c) text conditioning."""
    pooled: ShardedTensor
    """(captions + 1, 1, c)."""
    stored: NDArray[np.int64] | None = None
    """(N,) row of the pair's latents; None where it is the pair's own."""
    left_out: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """By reason, the pairs of the file, by number, that are none of the N."""
    empty: int | None = None
    """Row of the empty caption's conditioning; None is the one after the captions'."""
    id: NDArray[np.int64] | None = None
    """(N,) the pairs' ids in the file; None, as what follows, where nobody asks for it."""
    user: NDArray[np.int64] | None = None
    """(N,) user ids."""
    different: NDArray[np.bool_] | None = None
    """(N,) the file says that the two images differ."""
    pictures: NDArray[np.int64] | None = None
    """(N, 2) equal for equal images."""
    base_sha256: str = ""
    dtypes: tuple[str, str] = ("float32", "float32")
    """In what latents and text are kept."""
    at_rest: AtRest | None = None
    """The pairs' files as they were before they were hashed; None where nobody reads them."""

    def __len__(self) -> int:
        return len(self.caption)

    @property
    def skipped(self) -> frozenset[int]:
        """Numbers of the pairs of the file that are none of the N."""
        return frozenset().union(*self.left_out.values())

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Channels, height and width of one latent."""
        return tuple(self.image_0.rows(np.zeros(1, np.int64)).shape[1:])

    def require_pairs_at_rest(self) -> None:
        """See that the pairs are still those of this cache; before what was made of them is kept.

        Raises:
            PpdbenchError: they were changed meanwhile.
        """
        if self.at_rest is not None:
            self.at_rest.require()

    def latents(self, pairs: NDArray[np.int64], winner: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Latents (B, C, H, W) of the preferred and of the other image of each pair."""
        rows = pairs if self.stored is None else self.stored[pairs]
        first, second = self.image_0.rows(rows).float(), self.image_1.rows(rows).float()
        preferred = torch.from_numpy(winner == 1)[:, None, None, None]
        return torch.where(preferred, second, first), torch.where(preferred, first, second)

    def text(self, pairs: NDArray[np.int64], drop: NDArray[np.bool_]) -> TextConditioning:
        """Conditioning on each pair's caption, or on the empty one where `drop`."""
        empty = len(self.captions) if self.empty is None else self.empty
        rows = np.where(drop, empty, self.caption[pairs])
        return TextConditioning(self.hidden.rows(rows).float(), self.pooled.rows(rows).float())


def encode_pairs(
    pairs: Path,
    base: Base,
    *,
    cache: Path,
    size: tuple[int, int],
    limit: int | None,
    events: Events,
    share: tuple[int, int] = (0, 1),
    wait: Callable[[], None] = lambda: None,
) -> LatentCache:
    """The encoded pairs of a Parquet file: prepared, from the cache, or made now.

    Pairs with an image that does not decode, or whose latents are not finite, are left out, and
    counted in the index and in a note.

    Args:
        pairs: Parquet file, folder or selection in the Pick-a-Pic v2 schema.
        base: its compressor and text encoder.
        cache: folder that holds caches.
        size: width and height the compressor is fed with; other images are cropped and resized.
        limit: the first so many pairs only; None is all.
        events: told of the progress.
        share: (rank, world): encode each world-th shard only.
        wait: called where all processes must have come before one goes on.

    Raises:
        MissingPrerequisite: the file holds no usable pair, or no space is left.
        PpdbenchError: what the base makes of a pair is not finite, or the cache is damaged.
    """
    rank, world = share
    beside = pairs.parent / PREPARED
    work = encoding_of(pairs, base, cache=beside, size=size, limit=None)
    if work.complete:
        if rank == 0:
            events.note(f"{pairs.name} is encoded already: {work.folder}")
    else:
        if rank == 0 and work.folder.is_dir():
            events.note(
                f"{work.folder} is not complete, and the same data prepare again would end it: "
                f"{pairs.name} is encoded in {cache}"
            )
        elif rank == 0 and beside.is_dir():
            events.note(f"{beside} is of another base, size or precision: {pairs.name} is encoded")
        work = encoding_of(pairs, base, cache=cache, size=size, limit=limit)
        if not work.complete:
            encode_share(work, events, share)
            wait()
            finish(work, {"world": world})
            wait()
    opened = open_cache(work, limit)
    for reason, numbers in opened.left_out.items():
        if rank == 0:
            events.note(f"{len(numbers)} pairs of {pairs.name} left out: {reason}")
    if not len(opened):
        raise MissingPrerequisite(
            f"{pairs} holds no usable pair",
            fix="give pair data with labels and readable images; ppdbench data "
            "splits SOURCE --out DIR --check-images leaves the others out",
        )
    return opened


def open_cache(work: Encoding, limit: int | None) -> LatentCache:
    """Map a complete cache, or the first `limit` pairs of one that has all.

    Raises:
        PpdbenchError: a file of it is damaged.
    """
    folder = work.folder
    index = _index(folder / INDEX)
    columns = {
        name: read_tensor(folder / PAIRS, name).numpy()
        for name in ("label_margin", "caption", "id", "user", "different", "pictures")
    }
    if (stored := read_optional(folder / PAIRS, "stored")) is not None:
        columns["stored"] = stored.numpy()
    gone = left_out(folder)
    captions: Any = Captions(folder / CAPTIONS)
    empty = len(captions)
    if limit is not None and index["limit"] is None:
        gone = {why: [n for n in numbers if n < limit] for why, numbers in gone.items()}
        end = min(limit - sum(map(len, gone.values())), len(columns["caption"]))
        columns = {name: values[:end] for name, values in columns.items()}
        used = int(columns["caption"].max(initial=-1)) + 1
        captions = Captions(folder / CAPTIONS, used)
    images = [file for file in work.shards if file.name.startswith("images")]
    texts = [file for file in work.shards if file.name.startswith("captions")]
    return LatentCache(
        folder=folder,
        pairs_sha256=index["pairs_sha256"],
        limit=limit,
        captions=captions,
        image_0=ShardedTensor(images, "image_0"),
        image_1=ShardedTensor(images, "image_1"),
        hidden=ShardedTensor(texts, "hidden"),
        pooled=ShardedTensor(texts, "pooled"),
        left_out={why: frozenset(numbers) for why, numbers in gone.items() if numbers},
        empty=empty,
        base_sha256=index["base_sha256"],
        dtypes=(index["latents"], index["text"]),
        at_rest=work.at_rest,
        **columns,
    )


def _index(file: Path) -> Mapping[str, Any]:
    try:
        read = json.loads(file.read_text())
        missing = [key for key in INDEXED if key not in read]
    except (ValueError, RecursionError, TypeError) as error:
        raise PpdbenchError(f"{file} is damaged: {one_line(error)}", fix=AGAIN) from error
    if missing:
        raise PpdbenchError(f"{file} is damaged: it lacks {', '.join(missing)}", fix=AGAIN)
    found: Mapping[str, Any] = read
    return found
