"""Images with captions as people keep them: a folder, or a manifest beside its files.

A manifest is .jsonl, .csv or .tsv with a column for the file (`file_name`, `image`, `path` or
`file`, relative to the manifest) and one for the text (`caption`, `text` or `prompt`). A folder is
read by its `metadata.jsonl|csv` or `manifest.jsonl|csv|tsv` if it has one, else every image in it
or below has its caption in a .txt file of the same name. Elsewhere: decoding (`images`).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppdbench.errors import PpdbenchError, UsageError

FILE_COLUMNS = ("file_name", "image", "path", "file")
CAPTION_COLUMNS = ("caption", "text", "prompt")
MANIFESTS = (
    "metadata.jsonl",
    "metadata.csv",
    "manifest.jsonl",
    "manifest.csv",
    "manifest.tsv",
)
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")
LONGEST_CAPTION = 100_000
"""Bytes a .txt file may have to be taken for a caption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionedImage:
    """One image file, which may not be there, and its caption."""

    path: Path
    name: str
    """As the manifest calls it, or relative to the folder; bytes that are no text are escaped."""
    caption: str | None
    problem: str | None = None
    """What is wrong with the caption; None also where there simply is none."""


def read_captioned(source: Path) -> list[CaptionedImage]:
    """The images of a folder, of a manifest, or the single image file that `source` is.

    Raises:
        UsageError: nothing is there, there is no image in it, or the manifest lacks its columns.
        PpdbenchError: the manifest cannot be read.
    """
    if source.is_dir():
        found = next((source / name for name in MANIFESTS if (source / name).is_file()), None)
        images = list(_manifest(found) if found else _folder(source))
    elif source.suffix.lower() in (".jsonl", ".csv", ".tsv") and source.is_file():
        images = list(_manifest(source))
    elif source.suffix.lower() in SUFFIXES and source.is_file():
        images = [_beside(source, source.name)]
    elif source.exists():
        raise UsageError(
            f"{source} is neither an image, a folder of images nor a manifest",
            fix=f"give a folder, a .jsonl, .csv or .tsv file, or one of {', '.join(SUFFIXES)}",
        )
    else:
        raise UsageError(f"{source}: no such file or folder", fix="mend the path")
    if not images:
        raise UsageError(
            f"{source} holds no images", fix=f"known endings are {', '.join(SUFFIXES)}"
        )
    return images


def _folder(folder: Path) -> Iterator[CaptionedImage]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not hidden:
            yield _beside(path, path.relative_to(folder).as_posix())


def _beside(image: Path, name: str) -> CaptionedImage:
    """An image with the caption of its .txt file."""
    text = image.with_suffix(".txt")
    caption, problem = None, None
    try:
        if text.is_file():
            with text.open("rb") as file:
                data = file.read(LONGEST_CAPTION + 1)
            caption, problem = _text(data, str(text))
            if len(data) > LONGEST_CAPTION:
                caption, problem = None, f"{text} is too long for a caption"
            if caption is not None and not caption.strip():
                caption = None
    except OSError as error:
        problem = f"{text} cannot be read: {error.strerror}"
    return CaptionedImage(path=image, name=printable(name), caption=caption, problem=problem)


def printable(text: str) -> str:
    """The text with what is no Unicode, as in file names of other encodings, written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _text(data: bytes, where: str) -> tuple[str | None, str | None]:
    try:
        return data.decode("utf-8-sig").strip("\r\n"), None
    except UnicodeDecodeError as error:
        return None, f"the caption in {where} is not UTF-8 (byte {error.start})"


def _manifest(file: Path) -> Iterator[CaptionedImage]:
    try:
        # Bytes that are no text are kept apart, so that they spoil their own line only.
        text = file.read_bytes().decode("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise PpdbenchError(
            f"{file} cannot be read: {error.strerror}", fix="mend its permissions"
        ) from error
    rows = _json_lines(text, file) if file.suffix.lower() == ".jsonl" else _table(text, file)
    for number, row in rows:
        file_column = next((name for name in FILE_COLUMNS if name in row), None)
        caption_column = next((name for name in CAPTION_COLUMNS if name in row), None)
        name = row.get(file_column) if file_column else None
        if not isinstance(name, str) or not name or "\0" in name:
            raise UsageError(
                f"{file}, line {number}: no image file is named in {', '.join(row)[:200]!r}",
                fix=f"name it in a column called {' or '.join(FILE_COLUMNS)}",
            )
        caption = row.get(caption_column) if caption_column else None
        problem = None
        if caption is not None and not isinstance(caption, str):
            caption, problem = None, f"the caption in {file.name}, line {number}, is no text"
        elif caption is not None and any("\ud800" <= sign <= "\udfff" for sign in caption):
            caption, problem = None, f"the caption in {file.name}, line {number}, is not UTF-8"
        if caption is not None and not caption.strip():
            caption = None  # an empty field is how a table says that there is none
        path = file.parent / name
        yield CaptionedImage(path=path, name=printable(name), caption=caption, problem=problem)


def _json_lines(text: str, file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(
                f"{file}, line {number}, is no JSON: {error}", fix="write one object a line"
            ) from error
        if not isinstance(row, dict):
            raise UsageError(f"{file}, line {number}, is no object", fix="write one object a line")
        yield number, {key.strip().lower(): value for key, value in row.items()}


def _table(text: str, file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    lines = io.StringIO(text, newline="")
    if file.suffix.lower() == ".tsv":
        # Tab-separated captions hold quotes that mean nothing but themselves.
        reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.DictReader(lines, strict=True)
    try:
        for row in reader:
            if None in row:
                raise UsageError(
                    f"{file}, line {reader.line_num}: more fields than the header has",
                    fix="put a caption that holds the separator in double quotes",
                )
            yield (
                reader.line_num,
                {key.strip().lower(): row[key] for key in row if isinstance(key, str)},
            )
    except csv.Error as error:
        raise UsageError(
            f"{file}, line {reader.reader.line_num}: {error}", fix="mend that line"
        ) from error
