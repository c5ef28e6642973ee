"""`read_image`: pixels as they are stored, and one kind of error for all that is no image."""

from __future__ import annotations

import io
import random
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ppdbench.data import images
from ppdbench.data.images import READABLE, encode_png, read_image
from ppdbench.errors import PpdbenchError

NOISE = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)


def picture(mode: str = "RGB") -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257)
    if mode in ("RGBA", "LA"):
        image = Image.fromarray(NOISE).convert(mode)
        image.putalpha(Image.fromarray(NOISE[..., 1]))
        return image
    return Image.fromarray(NOISE).convert(mode)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A whole PNG of black pixels, one bit each, some kilobytes on disk."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + (width + 7) // 8) * height))
    return images.PNG_MAGIC + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *[("PNG", mode) for mode in ("RGB", "RGBA", "P", "L", "LA", "1", "I;16")],
        *[("TIFF", mode) for mode in ("RGB", "CMYK", "P", "L", "1", "I;16", "F")],
        ("BMP", "RGB"),
        ("GIF", "P"),
    ],
)
def test_pixels_and_mode_are_as_they_are_stored(kind: str, mode: str) -> None:
    image = picture(mode)
    found = read_image(encoded(image, kind))
    assert (found.mode, found.size) == (mode, image.size)
    if mode == "P":  # a palette may be written in another order
        found, image = found.convert("RGB"), image.convert("RGB")
    assert found.tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "RGB", {"quality": 95}),
        ("JPEG", "L", {}),
        ("JPEG", "CMYK", {}),
        ("WEBP", "RGB", {}),
        ("WEBP", "RGBA", {}),
    ],
)
def test_lossy_formats_keep_their_mode_too(kind: str, mode: str, options: dict[str, Any]) -> None:
    found = read_image(encoded(picture(mode), kind, **options))
    assert (found.mode, found.size) == (mode, (16, 12))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_exif_turns_nothing(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer turns it by 90 degrees
    data = encoded(picture(), kind, exif=exif)
    assert Image.open(io.BytesIO(data)).getexif()[0x0112] == 6
    found = read_image(data)
    assert found.size == (16, 12)
    assert found.tobytes() == read_image(encoded(picture(), kind)).tobytes()


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_of_several_frames_the_first_is_read(kind: str) -> None:
    red, blue = (Image.new("RGB", (9, 9), colour) for colour in ("red", "blue"))
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(red, kind, save_all=True, append_images=[blue, blue], **options)
    assert read_image(data).convert("RGB").getpixel((4, 4)) == (255, 0, 0)


def refused(data: bytes) -> str:
    """The cause that a file is refused with; no warning of a bomb comes beside it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with pytest.raises(PpdbenchError, match=r"^in/a\.png ") as caught:
            read_image(data, name="in/a.png")
    assert "\n" not in caught.value.cause and caught.value.fix
    assert caught.value.exit_code == 1
    return caught.value.cause


def test_an_empty_file_is_called_empty() -> None:
    assert refused(b"") == "in/a.png is empty"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # of a TIFF's directory
@pytest.mark.parametrize("kind", READABLE)
def test_a_truncated_file_is_refused_wherever_it_ends(kind: str) -> None:
    data = encoded(picture(), kind)
    for end in (1, 8, len(data) // 4, len(data) // 2, len(data) - 40):
        assert refused(data[:end]).startswith("in/a.png cannot be decoded: ")


@pytest.mark.parametrize("data", [b"<html>404</html>", b"GIF89a", b"\0" * 100, b"\xff\xd8\xff"])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    assert refused(data).startswith("in/a.png cannot be decoded: ")


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "PCX", "JPEG2000", "EPS", "DDS"])
def test_other_decoders_are_kept_away(kind: str) -> None:
    data = encoded(picture().resize((32, 32)), kind)  # older ones write no ICO below 16 pixels
    Image.open(io.BytesIO(data))  # Pillow itself would
    assert refused(data) == (
        "in/a.png cannot be decoded: it is none of PNG, JPEG, WEBP, TIFF, BMP, GIF"
    )


@pytest.mark.parametrize(
    ("width", "height", "said"), [(10_000, 10_000, "100 megapixels"), (20_000, 10_000, "")]
)
def test_a_bomb_is_refused_before_it_is_decoded(
    width: int, height: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bomb(width, height)
    assert len(data) < 100_000
    monkeypatch.setattr(Image.Image, "load", None)  # decoding would fail in another way
    assert said in refused(data)


def test_the_limit_itself_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_PIXELS", 16 * 12)
    assert read_image(bomb(16, 12)).size == (16, 12)
    assert "it would decode to" in refused(bomb(193, 1))


def test_pillows_own_limit_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(warnings.filters)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(encoded(picture(), "PNG")).size == (16, 12)  # 192 pixels: Pillow warns
    assert warnings.filters == before
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(encoded(picture(), "PNG")))


@pytest.mark.filterwarnings("ignore")  # of damaged EXIF and TIFF tags
@pytest.mark.parametrize("kind", READABLE)
def test_damaged_bytes_raise_nothing_else(kind: str) -> None:
    data = encoded(picture(), kind)
    rng = random.Random(f"damage {kind}")
    seen = 0
    for _ in range(150):
        broken = bytearray(data)
        for _ in range(rng.choice((1, 2, 8))):
            broken[rng.randrange(min(len(data), rng.choice((60, len(data)))))] = rng.randrange(256)
        try:
            read_image(bytes(broken))
        except PpdbenchError:
            seen += 1
    assert seen > 10


@pytest.mark.parametrize("kind", [2, 5, 7, 11])
def test_a_tiff_whose_offsets_are_no_integers_is_refused(kind: int) -> None:
    data = bytearray(encoded(picture("L"), "TIFF"))
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, entry) == (273,):  # StripOffsets
            struct.pack_into("<H", data, entry + 2, kind)
    refused(bytes(data))


def test_encoding_is_lossless_and_repeatable() -> None:
    data = encode_png(picture())
    assert data == encode_png(read_image(data))
    assert read_image(data).tobytes() == picture().tobytes()
