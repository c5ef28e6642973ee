"""Pairs and captions encoded: shard by shard, shared by processes, each shard written once.

A shard appears whole or not at all, so whoever comes next, after a kill or beside others, makes the
shards that are not there; who makes one now has a claim on it (`claims.py`). What lies in a folder
of encoded pairs is said in `latents.py`, which reads it. Elsewhere: who reads and decodes
(`pair_shards.py`, `decoding.py`), what is made of a shard (`encoded_shards.py`), what is known of
pairs besides (`listing.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save

from ppdbench.protocols import Events, PreferencePair
from ppdbench.runs.atomic import remove_leftovers, write_atomic, write_json
from ppdbench.suites.made_once import made_once
from trainers.encoded import pair_shards
from trainers.encoded.at_rest import AtRest
from trainers.encoded.captions_file import Captions
from trainers.encoded.claims import claims, takes
from trainers.encoded.encoded_shards import ENCODE_ROWS, encoded_images, encoded_texts
from trainers.encoded.listing import CAPTIONS, LISTED, PAIRS, left_out, write_kept, write_listed
from trainers.encoded.pair_shards import batches, file_sha256
from trainers.encoded.sharded_tensor import read_tensor

if TYPE_CHECKING:
    from trainers.stable_cascade.stage_c import Base

SCHEMA_VERSION = 2
SHARD_CAPTIONS = 4096
SHARD_BYTES = 2**27
"""Of text conditioning in a shard, about at most: captions of full size take 195 KB each."""
INDEX = "index.json"


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """What is encoded by what, and the folder that it goes to."""

    pairs: Path
    at_rest: AtRest
    """The pairs' files as they were before `pairs_sha256` was made of them."""
    pairs_sha256: str
    base: Base
    folder: Path
    size: tuple[int, int]
    """Width and height the compressor is fed with."""
    limit: int | None

    @property
    def dtypes(self) -> tuple[torch.dtype, torch.dtype]:
        """In what latents and text are kept.

        Text in what the text encoder works in, without loss. Latents, which the compressor makes in
        float32, in float16 where the text encoder works in half precision: they are of the order of
        1, and float16 is the finer of the halves.
        """
        text = next(self.base.text_encoder.parameters()).dtype
        return (torch.float32 if text == torch.float32 else torch.float16), text

    @property
    def identity(self) -> dict[str, Any]:
        """What the numbers in the folder depend on."""
        latents, text = self.dtypes
        return {
            "pairs_sha256": self.pairs_sha256,
            "base_sha256": self.base.sha256,
            "limit": self.limit,
            "size": list(self.size),
            "latents": _named(latents),
            "text": _named(text),
        }

    @property
    def shards(self) -> list[Path]:
        """Every shard's file, once the pairs are listed."""
        return [
            *(self.file("images", n) for n in range(-(-self.n_pairs // pair_shards.SHARD_PAIRS))),
            *(self.file("captions", n) for n in range(-(-self.n_texts // self.text_rows))),
        ]

    @property
    def n_pairs(self) -> int:
        """Of the file, once they are listed."""
        return len(read_tensor(self.folder / LISTED, "caption"))

    @property
    def n_texts(self) -> int:
        """Distinct captions and the empty one, once they are listed."""
        return len(Captions(self.folder / CAPTIONS)) + 1

    @property
    def bytes_in_all(self) -> dict[str, int]:
        """What all shards take, by kind, once the pairs are listed; but for their headers."""
        latents, _ = self.dtypes
        pair = 2 * int(np.prod(self.base.latent_shape)) * latents.itemsize
        return {"images": self.n_pairs * pair, "captions": self.n_texts * self._text_bytes}

    @property
    def bytes_left(self) -> int:
        """What is left of `bytes_in_all` to write."""
        made = sum(file.stat().st_size for file in self.shards if file.is_file())
        return max(0, sum(self.bytes_in_all.values()) - made)

    @property
    def missing(self) -> list[Path]:
        """The shards that are not there yet."""
        return [file for file in self.shards if not file.is_file()]

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        told = all((self.folder / name).is_file() for name in (INDEX, LISTED, PAIRS, CAPTIONS))
        return told and not self.missing

    @cached_property
    def _text_bytes(self) -> int:
        """Of one caption's conditioning."""
        one = self.base.encode_text([""])
        _, dtype = self.dtypes
        return int(one.hidden.numel() + one.pooled.numel()) * dtype.itemsize

    @property
    def text_rows(self) -> int:
        """Captions of a shard."""
        rows = SHARD_BYTES // self._text_bytes // ENCODE_ROWS * ENCODE_ROWS
        return min(SHARD_CAPTIONS, max(ENCODE_ROWS, rows))

    def file(self, kind: str, number: int) -> Path:
        """A shard of "images" or "captions"."""
        return self.folder / f"{kind}-{number:05}.safetensors"


def encoding_of(
    pairs: Path, base: Base, *, cache: Path, size: tuple[int, int], limit: int | None
) -> Encoding:
    """What there is to encode of a file of pairs, in a folder of its own in `cache`."""
    at_rest = AtRest(pairs)
    digest = file_sha256(pairs)
    text = next(base.text_encoder.parameters()).dtype
    words = [f"v{SCHEMA_VERSION}", digest[:16], base.sha256[:16], f"{size[0]}x{size[1]}"]
    words += [] if text == torch.float32 else [_named(text)]
    words += [str(limit)] if limit else []
    folder = cache / "-".join(words)
    return Encoding(
        pairs=pairs,
        at_rest=at_rest,
        pairs_sha256=digest,
        base=base,
        folder=folder,
        size=size,
        limit=limit,
    )


def list_pairs(work: Encoding) -> None:
    """List the pairs, where nobody has: how many there are is known from then on.

    Raises:
        PpdbenchError: they were changed since they were hashed.
    """
    listed = work.folder / LISTED
    if listed.exists() and not (work.folder / CAPTIONS).exists():  # written first, and was lost
        listed.unlink(missing_ok=True)
    made_once(
        listed, lambda: write_listed(work.pairs, work.limit, work.folder, work.at_rest.require)
    )


def encode_share(work: Encoding, events: Events, share: tuple[int, int]) -> None:
    """List the pairs, where nobody has, and encode each world-th shard, from the rank-th on.

    Other processes may do the same at the same time, by shares or not: none makes a shard that
    another is at, but each waits for those of its own share, and makes them where the other ended.

    Args:
        work: what.
        events: told of the progress.
        share: (rank, world).

    Raises:
        PpdbenchError: what the base makes of the pairs is not finite, or they were changed since
            they were hashed.
        MissingPrerequisite: no space is left; the shards before this one stay.
    """
    list_pairs(work)
    _encode_images(work, events, share)
    _encode_captions(work, events, share)


def finish(work: Encoding, facts: dict[str, Any]) -> None:
    """Write what is told of all shards together, and the index; every shard is there.

    What is there already stays: others who ended at the same time may be reading it.

    Args:
        work: what.
        facts: further ones for the index.
    """
    folder = work.folder
    images = [file for file in work.shards if file.name.startswith("images")]
    made_once(folder / PAIRS, lambda: write_kept(folder, images))

    def write() -> None:
        for kind in ("images", "captions"):  # of killed processes: nobody writes these any more
            remove_leftovers(folder, f"{kind}*")
        index = {"schema_version": SCHEMA_VERSION, **work.identity, **facts}
        if counts := {why: len(numbers) for why, numbers in left_out(folder).items() if numbers}:
            index["left_out"] = counts
        write_json(folder / INDEX, index)

    made_once(folder / INDEX, write)


def _encode_images(work: Encoding, events: Events, share: tuple[int, int]) -> None:
    rows = pair_shards.SHARD_PAIRS
    numbers = _own(-(-work.n_pairs // rows), share)
    size = {number: min(rows, work.n_pairs - number * rows) for number in numbers}
    events.stage("encode pairs", sum(size.values()))

    def told(number: int, shard: Iterable[PreferencePair]) -> Iterator[PreferencePair]:
        """A shard takes minutes where no GPU is: its pairs are told one by one."""
        for pair in shard:
            yield pair
            size[number] -= 1
            events.advance(1)

    def rest(number: int) -> None:
        """What was there, or others made."""
        if size[number]:
            events.advance(size[number])

    def encode(wanted: Callable[[int], bool], made: Callable[[int], None]) -> None:
        for number, shard in batches(work.pairs, work.limit, wanted=wanted):
            if shard is not None:
                encoded = encoded_images(told(number, shard), work.base, work.size, work.dtypes[0])
                work.at_rest.require()
                write_atomic(work.file("images", number), save(encoded))
            made(number)

    _in_turns(work, "images", numbers, encode, rest)


def _encode_captions(work: Encoding, events: Events, share: tuple[int, int]) -> None:
    """Text conditioning of the distinct captions, and of the empty one as the last."""
    captions, rows = Captions(work.folder / CAPTIONS), work.text_rows
    numbers = _own(-(-work.n_texts // rows), share)
    events.stage("encode captions", len(numbers))

    def encode(wanted: Callable[[int], bool], made: Callable[[int], None]) -> None:
        for number in numbers:
            if wanted(number):
                start = number * rows
                texts = captions[start : start + rows]
                texts += [""] if start + rows > len(captions) else []
                write_atomic(
                    work.file("captions", number),
                    save(encoded_texts(texts, work.base, work.dtypes[1])),
                )
            made(number)

    _in_turns(work, "captions", numbers, encode, lambda _: events.advance(1))


def _own(shards: int, share: tuple[int, int]) -> range:
    rank, world = share
    return range(rank, shards, world)


def _in_turns(
    work: Encoding,
    kind: str,
    numbers: range,
    encode: Callable[[Callable[[int], bool], Callable[[int], None]], None],
    tell: Callable[[int], None],
) -> None:
    """Encode what nobody is at; then what others were at, where they did not make it.

    `tell` is called once for each shard that is there.
    """
    left = set(numbers)

    def is_made(number: int) -> bool:
        return work.file(kind, number).is_file()

    with claims(work.folder / f".{kind}.lock") as held:

        def made(number: int) -> None:
            held.leave(number)
            if number in left and is_made(number):
                left.remove(number)
                tell(number)

        for wait in (False, True):
            if left:
                encode(takes(held, is_made, left.__contains__, wait=wait), made)


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
