"""Images that were damaged, and images that lie about their size, through every reader of them.

Elsewhere: how many and within which bounds (`cases`), pictures within manifests and shots
(`test_hostile_manifests`), galleries of entries (`test_hostile_entries`).
"""

from __future__ import annotations

import hashlib
import io
import random
import struct
import zlib
from pathlib import Path

import pytest
from cases import SLOW, TEXTS, Draw, Tally, damage_text, damages, hold, profiles, takes
from PIL import Image as PilImage
from PIL.Image import Image

from ppdbench.data.images import MOST_PIXELS, READABLE, can_decode, decode_image, read_image
from ppdbench.errors import PpdbenchError
from ppdbench.generators.not_drawn import NotDrawn
from ppdbench.generators.pictures import read_picture
from ppdbench.leaderboard.read import require_small_jpeg
from ppdbench.rewards.preprocess import to_rgb
from ppdbench.runs.images import ImageStore

SIZE = (16, 12)


def picture(kind: str, mode: str = "RGB", size: tuple[int, int] = SIZE) -> bytes:
    """A whole file of noise."""
    channels = len(PilImage.new(mode, (1, 1)).tobytes()) if mode != "1" else 1
    pixels = random.Random(0).randbytes(size[0] * size[1] * channels)
    image = PilImage.frombytes("L" if mode in ("1", "P") else mode, size, pixels).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, format=kind)
    return buffer.getvalue()


def liar(width: int, height: int, *, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG whose header says a size that its few bytes do not have; its checksum is right."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def bomb(side: int, mode: str = "1") -> bytes:
    """A whole PNG of few bytes and many pixels."""
    buffer = io.BytesIO()
    PilImage.new(mode, (side, side)).save(buffer, format="PNG")
    return buffer.getvalue()


PNG_AND_JPEG = (picture("PNG"), picture("PNG", "RGBA"), picture("PNG", "P"), picture("JPEG"))
EVERY = (
    *PNG_AND_JPEG,
    *(picture(kind) for kind in READABLE if kind not in ("PNG", "JPEG")),
    *(picture("TIFF", mode) for mode in ("1", "F", "CMYK", "I", "LAB")),
    *(picture("PNG", mode) for mode in ("1", "L", "LA", "I;16")),
)
BOMBS = [
    *(liar(width, height) for width, height in ((2**31 - 1, 2**31 - 1), (0, 0), (60_000, 60_000))),
    liar(MOST_PIXELS, 1, depth=16, colour=6),
    *(bomb(15_000), bomb(13_000)),
    b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + bytes(40),
    b"",
]


def rgb(image: Image) -> None:
    """What everything after a reader counts on."""
    assert image.mode == "RGB"
    assert image.width * image.height <= MOST_PIXELS
    assert isinstance(image.getpixel((image.width - 1, image.height - 1)), tuple)


@profiles
def test_pictures_of_pairs(number: int) -> None:
    def body(data: bytes) -> bool:
        taken = takes(lambda: decode_image(data), rgb)
        assert can_decode(data) is taken
        return taken

    hold(body, damages(*PNG_AND_JPEG), number=number, examples=BOMBS)


@profiles
def test_pictures_that_are_scored(number: int) -> None:
    def body(data: bytes) -> bool:
        return takes(lambda: to_rgb(read_image(data)), rgb)

    largest = bomb(9_400, "LA")  # taken: the most memory that a picture may need
    examples = [*BOMBS, largest] if number == SLOW else BOMBS
    hold(body, damages(*EVERY), number=number, examples=examples)


@profiles
def test_pictures_that_were_drawn_elsewhere(number: int) -> None:
    def body(data: bytes) -> bool:
        try:
            image = read_picture(data, name="a.png", size=SIZE)
        except NotDrawn as error:
            assert len(str(error)) < 1000
            return False
        rgb(image)
        return image.size == SIZE

    hold(body, damages(*EVERY), number=number, examples=BOMBS)


@profiles
def test_galleries_of_entries(number: int) -> None:
    def body(data: bytes) -> bool:
        try:
            require_small_jpeg(data)
        except ValueError as error:
            assert str(error) and len(str(error)) < 1000
            return False
        return True

    whole = [picture("JPEG"), picture("JPEG", "L"), picture("JPEG", size=(64, 64))]
    hold(body, damages(*whole), number=number, examples=BOMBS)


@profiles
def test_pictures_of_a_run(tmp_path: Path, number: int) -> None:
    """A file is what its name says, or is named as damages; what its name says may be hostile."""
    store = ImageStore(tmp_path)

    def body(data: bytes) -> bool:
        named = hashlib.sha256(data).hexdigest()
        store.path(named).parent.mkdir(exist_ok=True)
        store.path(named).write_bytes(data)
        try:
            return takes(lambda: store.get(named), rgb)
        finally:
            store.path(named).unlink()

    hold(body, damages(*EVERY[:3]), number=number, folder=tmp_path, examples=BOMBS)


@profiles
def test_names_of_pictures_of_a_run(tmp_path: Path, number: int) -> None:
    """They come from records: none leads out of the folder of images."""
    (tmp_path / "secret.png").write_bytes(EVERY[0])
    store = ImageStore(tmp_path / "images")
    held = store.put_file(EVERY[0])
    names = [*TEXTS, held, "../secret", str(tmp_path / "secret"), held.upper(), f"{held}\n"]

    def body(name: str) -> bool:
        return takes(lambda: store.get(name), rgb)

    hold(
        body,
        lambda draw: damage_text(draw.choice(names), draw),
        number=number,
        forbidden=tmp_path / "secret.png",
        examples=names,
    )


def test_a_picture_of_a_run_that_is_another_is_named(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    named = store.put_file(EVERY[0])
    store.path(named).write_bytes(EVERY[1])
    with pytest.raises(PpdbenchError, match="is corrupt"):
        store.get(named)


@profiles
def test_a_picture_is_read_back_as_it_was_written(tmp_path: Path, number: int) -> None:
    store = ImageStore(tmp_path)

    def body(image: Image) -> bool:
        pixels = image.tobytes()
        named = store.put(image)
        assert store.get(named).tobytes() == decode_image(store.read(named)).tobytes() == pixels
        store.path(named).unlink()
        return True

    def drawn(draw: Draw) -> Image:
        size = (draw.randint(1, 9), draw.randint(1, 9))
        return PilImage.frombytes("RGB", size, draw.randbytes(3 * size[0] * size[1]))

    tally = hold(body, drawn, number=number // 10, folder=tmp_path, one_sided=True)
    assert tally == Tally(taken=tally.cases, refused=0)
