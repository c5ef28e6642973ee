"""Encoded images: PNG or JPEG bytes to RGB and back, without guessing.

Elsewhere: where the bytes lie (`pickapic`), what a scorer does with pixels (`rewards.preprocess`).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ppdbench.errors import PpdbenchError

if TYPE_CHECKING:
    from PIL.Image import Image

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC = b"\xff\xd8\xff"


def is_png_or_jpeg(data: bytes) -> bool:
    """Whether the bytes start as a PNG or a JPEG does; cheap, nothing is decoded."""
    return data.startswith((PNG_MAGIC, JPEG_MAGIC))


def decode_image(data: bytes, *, name: str = "the image") -> Image:
    """Decode PNG or JPEG bytes into an RGB image; alpha is dropped, as the scorers do.

    Raises:
        PpdbenchError: the bytes are truncated or are neither PNG nor JPEG; `name` is in its cause.
    """
    from PIL import Image as PilImage

    try:
        # Naming the formats keeps Pillow's many other decoders away from foreign bytes.
        with PilImage.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, PilImage.DecompressionBombError) as error:
        raise PpdbenchError(
            f"{name} cannot be decoded: {error}", fix="replace it by a whole PNG or JPEG file"
        ) from error


def encode_png(image: Image) -> bytes:
    """PNG bytes of an image, in RGB; equal pixels give equal bytes for one Pillow and zlib."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, format="PNG")
    return buffer.getvalue()
