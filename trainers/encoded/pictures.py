"""Embeddings of single pictures by an encoder of users, who is shown each as the one liked picture.

Both pictures of every pair, whatever was preferred, made once and kept beside the pairs' latents.
Elsewhere: embeddings of people (`embeddings.py`), what is learnt from these (`ip_adapter.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from safetensors.torch import save

from ppdbench.data.images import decode_image
from ppdbench.protocols import Events, Shot, UserContext, UserEncoder
from ppdbench.runs.atomic import write_atomic
from ppdbench.runs.file_names import file_name
from trainers.encoded.latents import LatentCache
from trainers.encoded.pair_shards import every_pair
from trainers.encoded.sharded_tensor import read_tensor

BATCH_SIZE = 128


def embed_pictures(
    pairs: Path,
    cache: LatentCache,
    encoder: UserEncoder,
    *,
    events: Events,
    main: bool = True,
    wait: Callable[[], None] = lambda: None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Raw embeddings (N, 2, dim) of the pictures of N pairs, and which of them have one, (N, 2).

    Args:
        pairs: the file that `cache` is of.
        cache: in whose folder the embeddings are kept.
        encoder: one that reads shots; it is shown one, whose pictures are both the one embedded.
        events: told of the progress, in pairs.
        main: whether this process makes them.
        wait: for the process that does.
    """
    # How many is in the name: a prepared cache serves those, too, who want its first pairs only.
    name = f"{file_name(encoder.info.name)}-{encoder.info.revision[:16]}-{len(cache)}"
    file = cache.folder / f"pictures-{name}.safetensors"
    if main and not file.is_file():
        events.stage(f"embed pictures: {encoder.info.name}", len(cache))
        embeddings = np.zeros((2 * len(cache), encoder.info.dim), np.float32)
        known = np.zeros(2 * len(cache), bool)
        at, pictures = 0, _pictures(pairs, cache)
        while some := list(islice(pictures, BATCH_SIZE)):
            for code in encoder.encode(some):
                if code is not None:
                    embeddings[at], known[at] = code.embedding, True
                at += 1
            events.advance(len(some) // 2)
        cache.require_pairs_at_rest()
        tensors = {
            "embedding": torch.from_numpy(embeddings.reshape(len(cache), 2, -1)),
            "known": torch.from_numpy(known.reshape(-1, 2)),
        }
        write_atomic(file, save(tensors))
    wait()
    return read_tensor(file, "embedding").numpy(), read_tensor(file, "known").numpy()


def _pictures(pairs: Path, cache: LatentCache) -> Iterator[UserContext]:
    """Each pair's two pictures, one after the other, as someone's only shot."""
    for pair in every_pair(pairs, cache.limit, cache.skipped):
        for number, data in enumerate((pair.image_0, pair.image_1)):
            picture: Image = decode_image(data, name=f"image {number} of the pair {pair.id}")
            shot = Shot(caption=pair.caption, preferred=picture, dispreferred=picture)
            yield UserContext(id="", shots=(shot,))
