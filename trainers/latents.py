"""Pairs and captions encoded once: a cache of latents and text conditioning beside the outputs.

A folder a pair file and base, both by hash, of memory-mapped safetensors shards, each written
whole or not at all; a killed encoding goes on at its next shard::

    <cache>/<pairs sha256[:16]>-<base sha256[:16]>-<size>[-<limit>]/
      index.json                     hashes, size; how many pairs are left out, as unreadable, where
                                     any are; written last: with it the cache is complete
      captions.json                  the distinct captions
      pairs.safetensors              per pair: labels, row of its caption, row of its latents where
                                     these are not all in use
      images-00000.safetensors ...   latents of image 0 and image 1; which pairs cannot be read
      captions-00000.safetensors ... text conditioning; the last row is the empty caption
      reward-<name>-<identity>-00000.safetensors ...   scores (`relabel.py`)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from ppdbench.data.images import decode_image
from ppdbench.data.pickapic import count_rows, read_pairs
from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.protocols import Events, PreferencePair
from ppdbench.runs.atomic import write_atomic, write_json
from trainers.stable_cascade.stage_c import Base, TextConditioning

if TYPE_CHECKING:
    from PIL.Image import Image

SCHEMA_VERSION = 1
SHARD_PAIRS = 1024
SHARD_CAPTIONS = 4096
ENCODE_ROWS = 128
"""Images, or captions, a forward of the compressor or the text encoder, at most."""
ENCODE_PIXELS = 8 * 1024**2
"""Pixels a forward of the compressor, at most: a GB for each layer of 32 channels."""
UNREADABLE = "unreadable image"
"""Why a pair is left out of a cache."""


class ShardedTensor:
    """One tensor in equal shards on disk, memory-mapped; rows are gathered by index."""

    def __init__(self, files: Sequence[Path], name: str, shard_rows: int) -> None:
        self._shards = []
        for file in files:
            with safe_open(file, framework="pt") as opened:
                self._shards.append(opened.get_tensor(name))
        self._shard_rows = shard_rows

    def __len__(self) -> int:
        return sum(len(shard) for shard in self._shards)

    def rows(self, indices: NDArray[np.int64]) -> Tensor:
        """The rows at `indices` (B,), a tensor (B, ...) of its own."""
        where = [divmod(int(index), self._shard_rows) for index in indices]
        return torch.stack([self._shards[shard][row] for shard, row in where])


@dataclass(frozen=True, slots=True)
class LatentCache:
    """The encoded pairs of one file for one base."""

    folder: Path
    pairs_sha256: str
    limit: int | None
    captions: tuple[str, ...]
    """The distinct captions, in order of first use."""
    label_margin: NDArray[np.float64]
    """(N,) label of image 1 less label of image 0, as the file has them."""
    caption: NDArray[np.int64]
    """(N,) row of the pair's caption."""
    image_0: ShardedTensor
    """(N, C, H, W) latents."""
    image_1: ShardedTensor
    hidden: ShardedTensor
    """(captions + 1, L, c) text conditioning; the last row is the empty caption's."""
    pooled: ShardedTensor
    """(captions + 1, 1, c)."""
    stored: NDArray[np.int64] | None = None
    """(N,) row of the pair's latents; None where it is the pair's own."""
    unreadable: frozenset[int] = frozenset()
    """Pairs of the file, by number, that are none of the N: an image of theirs does not decode."""

    def __len__(self) -> int:
        return len(self.caption)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Channels, height and width of one latent."""
        return tuple(self.image_0.rows(np.zeros(1, np.int64)).shape[1:])

    def latents(self, pairs: NDArray[np.int64], winner: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Latents (B, C, H, W) of the preferred and of the other image of each pair."""
        rows = pairs if self.stored is None else self.stored[pairs]
        first, second = self.image_0.rows(rows), self.image_1.rows(rows)
        preferred = torch.from_numpy(winner == 1)[:, None, None, None]
        return torch.where(preferred, second, first), torch.where(preferred, first, second)

    def text(self, pairs: NDArray[np.int64], drop: NDArray[np.bool_]) -> TextConditioning:
        """Conditioning on each pair's caption, or on the empty one where `drop`."""
        rows = np.where(drop, len(self.captions), self.caption[pairs])
        return TextConditioning(self.hidden.rows(rows), self.pooled.rows(rows))


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
    """The encoded pairs of a Parquet file, from the cache or made now.

    Pairs with an image that does not decode are left out, and counted in the index and in a note.

    Args:
        pairs: Parquet file or folder in the Pick-a-Pic v2 schema.
        base: its compressor and text encoder.
        cache: folder that holds caches.
        size: width and height the compressor is fed with; other images are cropped and resized.
        limit: the first so many pairs only; None is all.
        events: told of the progress.
        share: (rank, world): encode each world-th shard only.
        wait: called where all processes must have come before one goes on.

    Raises:
        MissingPrerequisite: the file holds no usable pair.
    """
    rank, world = share
    digest = file_sha256(pairs)
    name = f"{digest[:16]}-{base.sha256[:16]}-{size[0]}x{size[1]}" + (f"-{limit}" if limit else "")
    folder = cache / name
    if not (folder / "index.json").is_file():
        _encode_images(pairs, base, folder, size, limit, events, share)
        wait()
        if rank == 0:
            _write_pairs(pairs, folder, limit)
        wait()
        captions = tuple(json.loads((folder / "captions.json").read_text()))
        _encode_captions(captions, base, folder, events, share)
        wait()
        if rank == 0:
            index: dict[str, object] = {
                "schema_version": SCHEMA_VERSION,
                "pairs_sha256": digest,
                "base_sha256": base.sha256,
                "limit": limit,
                "size": list(size),
                "world": world,
            }
            if left_out := len(_unreadable(folder)):
                index["left_out"] = {UNREADABLE: left_out}
            write_json(folder / "index.json", index)
        wait()
    opened = _open(folder, digest, limit)
    if opened.unreadable and rank == 0:
        events.note(f"{len(opened.unreadable)} pairs of {pairs.name} left out: {UNREADABLE}")
    if not len(opened):
        raise MissingPrerequisite(
            f"{pairs} holds no usable pair",
            fix="give pair data with labels and readable images; ppdbench data "
            "splits SOURCE --out DIR --check-images leaves the others out",
        )
    return opened


def batches(
    pairs: Path, limit: int | None, skip: frozenset[int] = frozenset()
) -> Iterator[tuple[int, list[PreferencePair]]]:
    """The pairs of a file in shards of `SHARD_PAIRS`, each with its number.

    Args:
        pairs: file or folder.
        limit: the first so many only; None is all.
        skip: numbers of pairs that are left out, `LatentCache.unreadable`.
    """
    kept = (
        pair for number, pair in enumerate(islice(read_pairs(pairs), limit)) if number not in skip
    )
    return enumerate(iter(lambda: list(islice(kept, SHARD_PAIRS)), []))


def shard_count(pairs: Path, limit: int | None) -> int:
    """How many shards there are at most (rows that cannot be used are not known yet)."""
    rows = count_rows(pairs)
    return -(-(rows if limit is None else min(rows, limit)) // SHARD_PAIRS)


def file_sha256(path: Path) -> str:
    """Hash of a file's bytes, or of the hashes of a folder's Parquet files in order of names."""
    if path.is_dir():
        files = sorted(path.glob("*.parquet"))
        return hashlib.sha256("".join(map(file_sha256, files)).encode()).hexdigest()
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def as_tensor(image: Image, size: tuple[int, int]) -> Tensor:
    """An RGB image as (3, H, W) in [0, 1]; another size is resized to cover, then cropped."""
    width, height = size
    if image.size != size:
        from PIL import ImageOps
        from PIL.Image import Resampling

        image = ImageOps.fit(image, (width, height), Resampling.BICUBIC)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def _encode_images(
    pairs: Path,
    base: Base,
    folder: Path,
    size: tuple[int, int],
    limit: int | None,
    events: Events,
    share: tuple[int, int],
) -> None:
    rank, world = share
    events.stage("encode pairs", shard_count(pairs, limit))
    for number, batch in batches(pairs, limit):
        file = folder / f"images-{number:05}.safetensors"
        if number % world == rank and not file.is_file():
            bad = torch.zeros(len(batch), dtype=torch.bool)
            sides = {
                "image_0": [pair.image_0 for pair in batch],
                "image_1": [pair.image_1 for pair in batch],
            }
            encoded = {name: _encode(images, base, size, bad) for name, images in sides.items()}
            if bad.any():
                encoded["unreadable"] = bad
            write_atomic(file, save(encoded))
        events.advance(1)


def _encode(images: Sequence[bytes], base: Base, size: tuple[int, int], bad: Tensor) -> Tensor:
    """Latents (N, C, H, W); of black for images that do not decode, marked in `bad` (N,)."""
    parts, rows = [], max(1, min(ENCODE_ROWS, ENCODE_PIXELS // (size[0] * size[1])))
    for start in range(0, len(images), rows):
        block = []
        for row, data in enumerate(images[start : start + rows], start=start):
            try:
                block.append(as_tensor(decode_image(data), size))
            except PpdbenchError:
                bad[row] = True
                block.append(torch.zeros(3, size[1], size[0]))
        parts.append(base.compressor.encode(torch.stack(block).to(base.device)).cpu())
    return torch.cat(parts).contiguous()


def _unreadable(folder: Path) -> frozenset[int]:
    """Numbers of the pairs that the shards of images mark so."""
    found: list[int] = []
    for number, file in enumerate(sorted(folder.glob("images-*.safetensors"))):
        with safe_open(file, framework="pt") as opened:
            names = opened.keys()
            if "unreadable" in names:
                rows = opened.get_tensor("unreadable").nonzero().flatten().tolist()
                found += [number * SHARD_PAIRS + row for row in rows]
    return frozenset(found)


def _write_pairs(pairs: Path, folder: Path, limit: int | None) -> None:
    row_of: dict[str, int] = {}
    margins: list[float] = []
    rows: list[int] = []
    skip = _unreadable(folder)
    for _, batch in batches(pairs, limit, skip):
        for pair in batch:
            margins.append(pair.label_1 - pair.label_0)
            rows.append(row_of.setdefault(pair.caption, len(row_of)))
    write_json(folder / "captions.json", list(row_of))
    tensors = {
        "label_margin": torch.tensor(margins, dtype=torch.float64),
        "caption": torch.tensor(rows, dtype=torch.int64),
    }
    if skip:
        every = torch.arange(len(rows) + len(skip))
        tensors["stored"] = every[~torch.isin(every, torch.tensor(sorted(skip)))]
    write_atomic(folder / "pairs.safetensors", save(tensors))


def _encode_captions(
    captions: Sequence[str], base: Base, folder: Path, events: Events, share: tuple[int, int]
) -> None:
    rank, world = share
    texts = [*captions, ""]
    starts = range(0, len(texts), SHARD_CAPTIONS)
    events.stage("encode captions", len(starts))
    for number, start in enumerate(starts):
        file = folder / f"captions-{number:05}.safetensors"
        if number % world == rank and not file.is_file():
            block = texts[start : start + SHARD_CAPTIONS]
            parts = [
                base.encode_text(block[at : at + ENCODE_ROWS])
                for at in range(0, len(block), ENCODE_ROWS)
            ]
            encoded = {
                "hidden": torch.cat([part.hidden.cpu() for part in parts]).contiguous(),
                "pooled": torch.cat([part.pooled.cpu() for part in parts]).contiguous(),
            }
            write_atomic(file, save(encoded))
        events.advance(1)


def _open(folder: Path, digest: str, limit: int | None) -> LatentCache:
    with safe_open(folder / "pairs.safetensors", framework="pt") as opened:
        margin, caption = opened.get_tensor("label_margin"), opened.get_tensor("caption")
        names = opened.keys()
        stored = opened.get_tensor("stored").numpy() if "stored" in names else None
    images = sorted(folder.glob("images-*.safetensors"))
    texts = sorted(folder.glob("captions-*.safetensors"))
    return LatentCache(
        folder=folder,
        pairs_sha256=digest,
        limit=limit,
        captions=tuple(json.loads((folder / "captions.json").read_text())),
        label_margin=margin.numpy(),
        caption=caption.numpy(),
        image_0=ShardedTensor(images, "image_0", SHARD_PAIRS),
        image_1=ShardedTensor(images, "image_1", SHARD_PAIRS),
        hidden=ShardedTensor(texts, "hidden", SHARD_CAPTIONS),
        pooled=ShardedTensor(texts, "pooled", SHARD_CAPTIONS),
        stored=stored,
        unreadable=frozenset() if stored is None else _unreadable(folder),
    )
