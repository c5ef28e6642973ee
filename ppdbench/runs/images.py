"""Images by content: `images/<sha256 of the file>.png`, lossless, verified whenever read.

The name is the content, so writing an image twice is harmless (a kill between an image and its
record costs one more drawing), and a damaged file is noticed instead of measured. For the same
reason files are not synced one by one: what a power cut damages is found by its name.
"""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ppdbench.errors import PpdbenchError, one_line
from ppdbench.runs.atomic import write_atomic

if TYPE_CHECKING:
    from PIL.Image import Image


_NAME = re.compile("[0-9a-f]{64}")
_MOST_PIXELS, _LONGEST_SIDE = 89_478_485, 65_535
"""Of a picture that is opened again, and of a side of it: those of `data.images`, so that whatever
could be read to be put here can be read again."""


class ImageStore:
    """The PNG files of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Where the image of that hash lies, or would lie."""
        return self.folder / f"{sha256}.png"

    def has(self, sha256: str) -> bool:
        """Whether the file is there; `read` says whether it is sound."""
        return self.path(sha256).is_file()

    def put(self, image: Image) -> str:
        """Store an image in RGB and return the sha256 of its file, 64 hex digits.

        Raises:
            PpdbenchError: the file cannot be written.
        """
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, format="PNG")
        return self.put_file(buffer.getvalue())

    def put_file(self, data: bytes) -> str:
        """Store a PNG file as it is, which is far quicker than coding it anew; as `put`."""
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.path(sha256)
        if not path.is_file() or path.read_bytes() != data:
            write_atomic(path, data, sync=False)
        return sha256

    def read(self, sha256: str) -> bytes:
        """The file's bytes, verified.

        Raises:
            PpdbenchError: the file is missing or is not what its name says, or that is no name.
        """
        if not _NAME.fullmatch(sha256):
            raise PpdbenchError(
                f"{self.folder} has no image called {sha256[:80]!r}: names are 64 hex digits",
                fix="restore the records beside it, or measure anew with another --runs DIR",
            )
        path = self.path(sha256)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise PpdbenchError(
                f"{path} cannot be read: {error.strerror or error}",
                fix="run the same command again; a missing image is drawn anew",
            ) from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise PpdbenchError(
                f"{path} is corrupt: its content is not what its name says",
                fix="delete that file and run the same command again; only it is drawn anew",
            )
        return data

    def get(self, sha256: str) -> Image:
        """The image in RGB.

        Raises:
            PpdbenchError: as `read`; or the file is no PNG, or is far larger than what is drawn.
        """
        from PIL import Image as PilImage

        data = self.read(sha256)
        try:
            with PilImage.open(io.BytesIO(data), formats=("PNG",)) as image:
                if image.width * image.height > _MOST_PIXELS or max(image.size) > _LONGEST_SIDE:
                    raise ValueError(f"it would decode to {image.width} x {image.height} pixels")
                return image.convert("RGB")
        except Exception as error:  # what decoders raise on damaged bytes is no closed list
            raise PpdbenchError(
                f"{self.path(sha256)} cannot be decoded: {one_line(error)}",
                fix="delete that file and run the same command again; only it is drawn anew",
            ) from error
