"""Images by content: `images/<sha256 of the file>.png`, lossless, verified whenever read.

The name is the content, so writing an image twice is harmless (a kill between an image and its
record costs one more drawing), and a damaged file is noticed instead of measured. For the same
reason files are not synced one by one: what a power cut damages is found by its name.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from ppdbench.errors import PpdbenchError
from ppdbench.runs.atomic import remove_leftovers, write_atomic

if TYPE_CHECKING:
    from PIL.Image import Image


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
            PpdbenchError: the file is missing or is not what its name says.
        """
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
            PpdbenchError: as `read`.
        """
        from PIL import Image as PilImage

        with PilImage.open(io.BytesIO(self.read(sha256)), formats=("PNG",)) as image:
            return image.convert("RGB")

    def remove_leftovers(self) -> None:
        """Delete half-written files of killed processes; only while holding the run's lock."""
        remove_leftovers(self.folder)
