"""From files to what a reward needs: read, decode and preprocess, once, in worker processes.

What the store knows already is looked up by the worker, so a picture that was scored before is
read and hashed but not decoded. Elsewhere: the recipes (`preprocess`), the store's file (`store`),
who asks (`scoring`).
"""

from __future__ import annotations

import hashlib
import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ppdbench import __version__
from ppdbench.data.captioned import printable
from ppdbench.data.images import pixel_sha256, read_image
from ppdbench.errors import PpdbenchError, one_line
from ppdbench.rewards.preprocess import Recipe, to_rgb
from ppdbench.rewards.store import Store, Vector, key_of

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

MOST_BYTES = 2**30
"""No image that is scored needs a file larger than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One reward's share in a picture's preparation."""

    reward: str
    identity: str
    """`ScoreIdentity.id`."""
    needs_caption: bool
    kept: bool
    """Whether its scores may be kept: a stranger's code may change without a trace in its key."""
    view: str | None = None
    """Names its embeddings; None for a reward that takes pictures as they are."""
    recipe: Recipe | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One picture to score: a file or a picture, and its caption if there is one."""

    index: int
    image: Path | Image
    caption: str | None


@dataclass(slots=True)
class Prepared:
    """A batch of sources as a worker hands it over; all lists are in the sources' order."""

    sources: list[Source]
    file_keys: list[bytes | None]
    """Where the store is to keep a file's pixel hash; None where it does."""
    pixel_hashes: list[str | None]
    errors: list[str | None]
    """Why a picture cannot be scored at all."""
    scores: list[dict[str, float]]
    """Reward -> score that the store knew."""
    embeddings: dict[str, dict[int, Vector]] = field(default_factory=dict)
    """View -> row -> embedding that the store knew."""
    pixels: dict[str, tuple[list[int], Tensor]] = field(default_factory=dict)
    """Recipe identity -> rows and their pixels."""
    images: list[Image | None] = field(default_factory=list)

    def pin_memory(self) -> Prepared:
        """Move pixels to memory that a GPU copies from quickly; called by torch's loader."""
        self.pixels = {name: (rows, px.pin_memory()) for name, (rows, px) in self.pixels.items()}
        return self


def prepare(
    sources: Sequence[Source],
    wanted: Sequence[Wanted],
    store: Store | None,
    *,
    batch_size: int,
    workers: int,
    pin: bool = False,
) -> Iterator[Prepared]:
    """Yield the sources batch by batch, in order, each prepared for what is wanted of it.

    Args:
        sources: what to score.
        wanted: the rewards' shares.
        store: what is known from before; None knows nothing.
        batch_size: sources a batch.
        workers: processes that prepare ahead; 0 prepares here.
        pin: prepare for copying to a GPU.

    Raises:
        RuntimeError: a worker died; `deaths_named` tells what of.
    """
    from torch.utils.data import DataLoader

    jobs = _Jobs(sources, wanted, Store(store.path) if store else None, batch_size)
    workers = min(workers, len(jobs))
    # One batch is one job: what crosses to this process is a few large tensors, not many small.
    batches: DataLoader[Prepared] = DataLoader(
        jobs,  # type: ignore[arg-type]  # anything with a length and items will do
        batch_size=None,
        num_workers=workers,
        pin_memory=pin,
        prefetch_factor=2 if workers else None,
    )
    yield from batches


@contextmanager
def deaths_named() -> Iterator[None]:
    """Around what is done with batches of `prepare`: say what it means that its process died.

    torch raises it by a signal handler, wherever this process is just then.

    Raises:
        PpdbenchError: one did.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise PpdbenchError(
            "a process that reads images was killed, perhaps for memory or shared memory",
            fix="run again with --workers 0, or with a smaller --batch-size",
        ) from error


@dataclass(frozen=True, slots=True)
class _Jobs:
    """The batches as torch's loader asks for them, by number."""

    sources: Sequence[Source]
    wanted: Sequence[Wanted]
    store: Store | None
    batch_size: int

    def __len__(self) -> int:
        return -(-len(self.sources) // self.batch_size)

    def __getitem__(self, number: int) -> Prepared:
        start = number * self.batch_size
        return prepare_batch(self.sources[start : start + self.batch_size], self.wanted, self.store)


def prepare_batch(
    sources: Sequence[Source], wanted: Sequence[Wanted], store: Store | None
) -> Prepared:
    """Prepare a batch; a picture that cannot be read has its error and costs no other anything."""
    import torch

    batch = Prepared(list(sources), [], [], [], [])
    found: list[_One] = []
    pixels: defaultdict[str, list[tuple[int, Tensor]]] = defaultdict(list)
    for row, source in enumerate(sources):
        one = _One(source, store)
        found.append(one)
        try:
            one.look_up(wanted)
            needs = one.needs(wanted)
            for recipe in {w.recipe.identity: w.recipe for w in needs if w.recipe}.values():
                pixels[recipe.identity].append((row, recipe([one.rgb()])[0]))
            image = one.rgb() if any(w.recipe is None for w in needs) else None
            error = None
        except PpdbenchError as cause:
            image, error = None, printable(cause.cause)
        except Exception as cause:  # a decoder may raise anything at foreign bytes
            image, error = None, printable(f"{type(cause).__name__}: {one_line(cause)}")
        batch.file_keys.append(one.file_key)
        batch.pixel_hashes.append(one.pixel_hash)
        batch.errors.append(error)
        batch.images.append(image)
        one.let_go()
    if store is not None and any(one.scores or one.embeddings for one in found):
        # Another process may keep this very batch just now. Some of it found and some not, the rest
        # would be embedded as another batch, and its scores differ by float noise.
        _ask(store, [one for one in found if one.pixel_hash is not None], wanted)
    for row, one in enumerate(found):
        batch.scores.append(one.scores)
        for view, vector in one.embeddings.items():
            batch.embeddings.setdefault(view, {})[row] = vector
    batch.pixels = {
        name: ([row for row, _ in rows], torch.stack([one for _, one in rows]))
        for name, rows in pixels.items()
    }
    return batch


def score_key(identity: str, pixel_hash: str, caption: str | None) -> bytes:
    """Where the store keeps a score; None as caption is no caption, not an empty one."""
    return key_of(identity, pixel_hash, "without" if caption is None else f"caption {caption}")


def image_key(view: str, pixel_hash: str) -> bytes:
    """Where the store keeps an image's embedding."""
    return key_of(view, pixel_hash)


class _One:
    """One source on its way: what is known of it, and its pixels when they are needed."""

    def __init__(self, source: Source, store: Store | None) -> None:
        self.source = source
        self.store = store
        self.file_key: bytes | None = None
        self.pixel_hash: str | None = None
        self.scores: dict[str, float] = {}
        self.embeddings: dict[str, Vector] = {}
        self._data: bytes | None = None
        self._rgb: Image | None = None

    def look_up(self, wanted: Sequence[Wanted]) -> None:
        """Hash the picture, decoding it unless its file is known, and ask the store."""
        if isinstance(self.source.image, Path):
            self._data = _read_bytes(self.source.image)
            if self.store is not None:
                # The decoder is part of what a file's pixels depend on.
                key = key_of(__version__, _pillow(), hashlib.sha256(self._data).hexdigest())
                if known := self.store.get("pixels", [key]).get(key):
                    self.pixel_hash = known.decode()
                else:
                    self.file_key = key
        if self.pixel_hash is None:
            self.pixel_hash = pixel_sha256(self.rgb())
        if self.store is not None:
            _ask(self.store, [self], wanted)

    def let_go(self) -> None:
        """Keep what is known of the picture, and not the picture."""
        self._data = self._rgb = None

    def needs(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """Those that need pixels: neither score nor embedding is known, and a caption is there."""
        return [
            w
            for w in wanted
            if w.reward not in self.scores
            and w.view not in self.embeddings
            and not (w.needs_caption and self.source.caption is None)
        ]

    def rgb(self) -> Image:
        """The decoded picture, in RGB."""
        if self._rgb is None:
            image = self.source.image
            if isinstance(image, Path):
                data = self._data if self._data is not None else _read_bytes(image)
                image = read_image(data, name=str(self.source.image))
                self._data = None
            self._rgb = to_rgb(image)
        return self._rgb


def _ask(store: Store, batch: Sequence[_One], wanted: Sequence[Wanted]) -> None:
    """Look up hashed pictures' scores, and then the embeddings of those that lack one.

    Each is one query, and is kept as one: what another process keeps of a batch is found whole.
    """
    scores = {
        (row, w.reward): score_key(
            w.identity, str(one.pixel_hash), one.source.caption if w.needs_caption else None
        )
        for row, one in enumerate(batch)
        for w in wanted
        if w.kept
    }
    found = store.get("score", scores.values())
    for (row, reward), key in scores.items():
        if key in found:
            batch[row].scores[reward] = struct.unpack("<d", found[key])[0]
    places = {
        (row, w.view): image_key(w.view, str(one.pixel_hash))
        for row, one in enumerate(batch)
        for w in wanted
        if w.view and w.reward not in one.scores
    }
    vectors = store.get("image", places.values())
    for (row, view), key in places.items():
        if key in vectors:
            batch[row].embeddings[view] = vectors[key]


def _read_bytes(path: Path) -> bytes:
    if not path.exists():
        raise PpdbenchError(
            f"{path}: no such file", fix="mend the manifest, or put the image there"
        )
    if not path.is_file():
        raise PpdbenchError(f"{path} is no regular file", fix="name an image file")
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise PpdbenchError(
                f"{path} has {size / 2**30:.1f} GiB, too much for an image", fix="name an image"
            )
        return path.read_bytes()
    except OSError as error:
        raise PpdbenchError(
            f"{path} cannot be read: {error.strerror}", fix="mend its permissions"
        ) from error


def _pillow() -> str:
    import PIL

    return PIL.__version__
