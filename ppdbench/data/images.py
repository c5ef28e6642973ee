"""Encoded images: bytes to pixels and back, without guessing.

Elsewhere: where the bytes lie (`pickapic`), what a scorer does with pixels (`rewards.preprocess`).
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

from ppdbench.errors import PpdbenchError, one_line

if TYPE_CHECKING:
    from PIL.Image import Image

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"
PNG_END = b"IEND\xaeB`\x82"
JPEG_END = b"\xff\xd9"


def is_png_or_jpeg(data: bytes) -> bool:
    """Whether the bytes start as a PNG or a JPEG does; cheap, nothing is decoded."""
    return data.startswith((PNG_MAGIC, JPEG_MAGIC))


def decode_image(data: bytes, *, name: str = "the image") -> Image:
    """Decode PNG or JPEG bytes into an RGB image; alpha is dropped, as the scorers do.

    Raises:
        PpdbenchError: the bytes are truncated, are neither PNG nor JPEG, or would decode to more
            than `MOST_PIXELS`; `name` is in its cause.
    """
    from PIL import Image as PilImage

    try:
        # Naming the formats keeps Pillow's many other decoders away from foreign bytes.
        with PilImage.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            _require_bounded(image)
            return image.convert("RGB")
    except Exception as error:  # what decoders raise on damaged bytes is no closed list
        raise PpdbenchError(
            f"{name} cannot be decoded: {one_line(error)}",
            fix="replace it by a whole PNG or JPEG file",
        ) from error


def can_decode(data: bytes) -> bool:
    """Whether `decode_image` would succeed."""
    try:
        decode_image(data)
    except PpdbenchError:
        return False
    return True


READABLE = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
"""Formats of images that people score; Pillow's other decoders stay away from foreign bytes."""
MOST_PIXELS = 89_478_485
"""Pixels an image may decode to: Pillow's own limit, above which it warns of a bomb."""
LONGEST_SIDE = 65_535
"""Pixels of a side: JPEG's own limit. Decoders hold whole rows beside the picture."""


def read_image(data: bytes, *, name: str = "the image") -> Image:
    """Decode an image as Pillow opens it: its own mode, its first frame, not turned by EXIF.

    The reward models' own code reads pictures this way, and scores are compared with theirs. (A
    TIFF is turned: Pillow itself does that.)

    Raises:
        PpdbenchError: the bytes are empty, truncated, no image, or would decode to more than
            `MOST_PIXELS`; `name` is in its cause.
    """
    import warnings

    from PIL import Image as PilImage
    from PIL import UnidentifiedImageError

    if not data:
        raise PpdbenchError(f"{name} is empty", fix="copy or download it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs and odd tags: the file is named below
            image = PilImage.open(io.BytesIO(data), formats=READABLE)
            _require_bounded(image)
            image.load()
    except Exception as error:  # what decoders raise on damaged bytes is no closed list
        unknown = isinstance(error, UnidentifiedImageError)
        why = f"it is none of {', '.join(READABLE)}" if unknown else one_line(error)
        raise PpdbenchError(
            f"{name} cannot be decoded: {why}", fix="replace it by a whole image file"
        ) from error
    return image


def _require_bounded(image: Image) -> None:
    """Look at the size that a header says, before memory is taken for it."""
    from PIL import Image as PilImage

    pixels = image.width * image.height
    if pixels > MOST_PIXELS or max(image.size) > LONGEST_SIDE:
        raise PilImage.DecompressionBombError(
            f"it would decode to {pixels / 1e6:.0f} megapixels, and {MOST_PIXELS / 1e6:.0f} are "
            f"allowed, {LONGEST_SIDE:,} pixels a side"
        )


def pixel_sha256(image: Image) -> str:
    """sha256 over size and pixels of an RGB image, 64 hex digits; caches know an image by it."""
    digest = hashlib.sha256(f"RGB {image.width} {image.height} ".encode())
    digest.update(image.tobytes())
    return digest.hexdigest()


def encode_png(image: Image) -> bytes:
    """PNG bytes of an image, in RGB; equal pixels give equal bytes for one Pillow and zlib."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format="PNG")
    return buffer.getvalue()
