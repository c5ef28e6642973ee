"""The folder of `ppdbench generate`: pictures, a contact sheet and pictures.json.

The list says what was asked for, so a folder of another request is refused, and it grows with
the pictures, so the same request again goes on where the last one stopped. Elsewhere: what is
drawn (`side_by_side`), run directories (`runs.directory`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench.errors import FingerprintMismatch, PpdbenchError, UsageError, from_os_error
from ppdbench.runs.atomic import remove_leftovers, write_atomic, write_json
from ppdbench.runs.fingerprint import differences
from ppdbench.runs.lock import RunLock

if TYPE_CHECKING:
    from PIL.Image import Image

SCHEMA_VERSION = 1
LIST = "pictures.json"
SHEET = "sheet.png"
OTHER_FOLDER = "choose another folder with --out DIR"

Picture = dict[str, Any]
"""A picture's entry in the list: `file`, `sha256`, and whose it is."""


class PicturesFolder:
    """An open, locked folder of pictures; `close` unlocks it."""

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        """Open the folder of this request, or make it.

        Args:
            path: the folder.
            about: all that the pictures follow from, as JSON.

        Raises:
            FingerprintMismatch: it holds pictures of another request; the fields are named.
            UsageError: it holds other files, or is none.
            PpdbenchError: another process works there, or it cannot be written.
        """
        self.path = path
        self._about: dict[str, Any] = json.loads(json.dumps(about))  # as it comes back from a file
        try:
            path.mkdir(parents=True, exist_ok=True)
            files = {file.name for file in path.iterdir() if not file.name.startswith(".")}
        except FileExistsError as error:
            raise UsageError(f"{path} is no folder", fix=OTHER_FOLDER) from error
        except OSError as error:
            raise from_os_error(error, path) from error
        if files and LIST not in files:
            raise UsageError(
                f"{path} holds other files and no {LIST}", fix=f"empty it, or {OTHER_FOLDER}"
            )
        self._lock = RunLock(path)
        try:
            self._listed = self._settle()
            remove_leftovers(path)
        except BaseException:
            self._lock.release()
            raise

    @property
    def complete(self) -> bool:
        """Whether the sheet was made, the last thing to be."""
        return self._listed["sheet"] is not None and (self.path / SHEET).is_file()

    def kept(self, files: Sequence[str]) -> list[Picture] | None:
        """The entries of these pictures, where all of them are there and whole."""
        entries = {entry["file"]: entry for entry in self._listed["pictures"]}
        found = [entries[file] for file in files if file in entries and self._whole(entries[file])]
        return found if len(found) == len(files) else None

    def image(self, file: str) -> Image:
        """One picture that is there."""
        from ppdbench.data.images import decode_image

        path = self.path / file
        return decode_image(path.read_bytes(), name=str(path))

    def keep(self, pictures: Sequence[tuple[Picture, Image]]) -> list[Picture]:
        """Write pictures, then list them; returns their entries, sha256 added."""
        made = [{**entry, "sha256": self._save(entry["file"], image)} for entry, image in pictures]
        files = {entry["file"] for entry in made}
        before = [entry for entry in self._listed["pictures"] if entry["file"] not in files]
        self._write([*before, *made], sheet=None)
        return made

    def finish(self, sheet: Image, order: Sequence[str]) -> None:
        """Write the contact sheet and the whole list, pictures in this order of files."""
        self._save(SHEET, sheet)
        entries = {entry["file"]: entry for entry in self._listed["pictures"]}
        self._write([entries[file] for file in order], sheet=SHEET)

    def close(self) -> None:
        """Unlock the folder."""
        self._lock.release()

    def _settle(self) -> dict[str, Any]:
        """The list, written empty where there is none; one of another request is refused."""
        path = self.path / LIST
        if not path.is_file():
            return self._write([], sheet=None)
        try:
            found = json.loads(path.read_bytes())
            theirs = {k: found[k] for k in found if k not in ("sheet", "pictures")}
            whole = isinstance(found["pictures"], list) and "sheet" in found
            whole = whole and all(isinstance(e["file"], str) for e in found["pictures"])
        except (OSError, ValueError, RecursionError, TypeError, LookupError) as error:
            raise PpdbenchError(f"{path} cannot be read: {error}", fix=OTHER_FOLDER) from error
        if not whole:
            raise PpdbenchError(f"{path} is no list of pictures", fix=OTHER_FOLDER)
        fields = differences({"schema_version": SCHEMA_VERSION, **self._about}, theirs)
        if fields:
            raise FingerprintMismatch(
                f"{self.path} holds pictures of other settings: {', '.join(fields)} differ",
                fix=OTHER_FOLDER,
            )
        return dict(found)

    def _whole(self, entry: Picture) -> bool:
        try:
            data = (self.path / entry["file"]).read_bytes()
        except OSError:
            return False
        return hashlib.sha256(data).hexdigest() == entry.get("sha256")

    def _save(self, file: str, image: Image) -> str:
        """Write a PNG and return the sha256 of the file."""
        from ppdbench.data.images import encode_png

        data = encode_png(image)
        write_atomic(self.path / file, data)
        return hashlib.sha256(data).hexdigest()

    def _write(self, pictures: list[Picture], *, sheet: str | None) -> dict[str, Any]:
        self._listed = {
            "schema_version": SCHEMA_VERSION,
            **self._about,
            "sheet": sheet,
            "pictures": pictures,
        }
        write_json(self.path / LIST, self._listed)
        return self._listed
