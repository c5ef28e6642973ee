"""What is known of pairs without their images, listed once: the columns of a latent cache.

`listed.safetensors` has every pair of the file, `pairs.safetensors` those that could be encoded,
and `captions.arrow` the distinct captions. Elsewhere: the images' and captions' shards
(`encoding.py`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from ppdbench.data.selection import is_selection, read_selection
from ppdbench.protocols import PreferencePair
from ppdbench.runs.atomic import write_atomic
from trainers.encoded.captions_file import captions_file
from trainers.encoded.pair_shards import every_pair
from trainers.encoded.sharded_tensor import read_optional, read_tensor

LISTED, PAIRS, CAPTIONS = "listed.safetensors", "pairs.safetensors", "captions.arrow"
LEFT_OUT = {"unreadable": "unreadable image", "not_finite": "latents not finite"}
"""Why pairs are left out of a cache: the tensor that tells which, and the reason in words."""


def write_listed(
    pairs: Path, limit: int | None, folder: Path, require_at_rest: Callable[[], None]
) -> None:
    """List the pairs of a file, or the first `limit`: what is known of them, and the captions.

    Args:
        pairs: file, folder or selection.
        limit: None is all.
        folder: of the cache.
        require_at_rest: raises where the pairs were changed since they were hashed.
    """
    row_of: dict[str, int] = {}
    margins, captions, different = array("d"), array("q"), array("b")
    ids, users = array("q"), array("q")
    for pair in _facts(pairs, limit):
        margins.append(pair.label_1 - pair.label_0)
        captions.append(row_of.setdefault(pair.caption, len(row_of)))
        different.append(pair.are_different)
        ids.append(int(pair.id))
        users.append(pair.user_id)
    require_at_rest()
    write_atomic(folder / CAPTIONS, captions_file(row_of))
    columns: dict[str, NDArray[Any]] = {
        "label_margin": np.array(margins, np.float64),
        "caption": np.array(captions, np.int64),
        "different": np.array(different, np.bool_),
        "id": np.array(ids, np.int64),
        "user": np.array(users, np.int64),
    }
    tensors = {name: torch.from_numpy(values) for name, values in columns.items()}
    write_atomic(folder / LISTED, save(tensors))


def write_kept(folder: Path, images: Sequence[Path]) -> None:
    """Write the columns of the pairs that were encoded, and which were not.

    Args:
        folder: of the cache; its pairs are listed.
        images: every shard of images, in order.
    """
    pictures = [read_tensor(file, "pictures") for file in images]
    left_out = np.zeros(sum(len(part) for part in pictures), np.bool_)
    tensors: dict[str, Tensor] = {}
    for name in LEFT_OUT:
        marks = [read_optional(file, name) for file in images]
        rows = [
            np.zeros(len(shown), np.bool_) if mark is None else mark.numpy()
            for mark, shown in zip(marks, pictures, strict=True)
        ]
        found = np.concatenate([np.zeros(0, np.bool_), *rows])
        left_out |= found
        if found.any():
            tensors[name] = torch.from_numpy(np.flatnonzero(found))
    kept = np.flatnonzero(~left_out)
    for name in ("label_margin", "caption", "different", "id", "user"):
        tensors[name] = read_tensor(folder / LISTED, name)[torch.from_numpy(kept)]
    shown = torch.cat([torch.zeros((0, 2), dtype=torch.int64), *pictures])
    tensors["pictures"] = shown[torch.from_numpy(kept)]
    if left_out.any():
        tensors["stored"] = torch.from_numpy(kept)
    write_atomic(folder / PAIRS, save(tensors))


def left_out(folder: Path) -> dict[str, list[int]]:
    """By reason, the numbers of the pairs that could not be encoded; reasons without one too."""
    marks = {reason: read_optional(folder / PAIRS, name) for name, reason in LEFT_OUT.items()}
    return {why: [] if mark is None else mark.tolist() for why, mark in marks.items()}


def _facts(pairs: Path, limit: int | None) -> Iterator[PreferencePair]:
    """The pairs without their images, of a selection; else as they are read."""
    if not is_selection(pairs):
        yield from every_pair(pairs, limit)
        return
    selection = read_selection(pairs)
    end = len(selection) if limit is None else min(limit, len(selection))
    columns = ("caption", "label_0", "label_1", "are_different")
    known = zip(selection.ids.tolist(), selection.users.tolist(), strict=True)
    rows = zip(selection.facts(columns), known, range(end), strict=False)
    for row, (identity, user), _ in rows:
        yield PreferencePair(
            id=str(identity),
            caption=row["caption"],
            image_0=b"",
            image_1=b"",
            label_0=float(row["label_0"]),
            label_1=float(row["label_1"]),
            user_id=user,
            are_different=row.get("are_different") is not False,
        )
