"""PartiPrompts as published: a tab-separated file of captions with category and challenge.

The file is google-research/parti's PartiPrompts.tsv (1,632 captions, 12 categories). It has no
quoting: 28 fields hold quotes that mean themselves, one caption begins with one, and ten begin or
end with a space; all are kept as they are. Elsewhere: who measures on them (`suites.pickapic`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.protocols import Caption

PUBLISHED_SHA256 = "fab29e41bb512a169b56acab4cf2a41dcb675e285df2efcde6640c7dd3c440eb"
PUBLISHED_CAPTIONS = 1632
SOURCE = "google-research/parti, PartiPrompts.tsv"


@dataclass(frozen=True, slots=True)
class PartiPrompts:
    """A caption file in PartiPrompts' form."""

    captions: tuple[Caption, ...]
    sha256: str

    @property
    def published(self) -> bool:
        """Whether it is the file that was published, byte for byte."""
        return self.sha256 == PUBLISHED_SHA256


def read_parti_prompts(path: Path) -> PartiPrompts:
    """Read the file; ids are "parti-" and the number of the caption's line, from 1.

    Raises:
        MissingPrerequisite: it is not there.
        PpdbenchError: it is not UTF-8, lacks a column, or a line has another number of fields or
            no caption or category; the line is named.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise MissingPrerequisite(
            f"the caption file {path} is not there", fix=f"name the file of {SOURCE}"
        ) from error
    except OSError as error:
        raise PpdbenchError(
            f"{path} cannot be read: {error.strerror}", fix="name a file, and mend its permissions"
        ) from error
    try:
        lines = data.decode("utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        broken = data[: error.start].count(b"\n") + 1
        raise _unusable(path, broken, "it is not UTF-8") from error
    header = lines[0].removesuffix("\r").split("\t")
    if not {"Prompt", "Category"} <= set(header):
        raise _unusable(path, 1, f"the columns are {', '.join(header)[:200]}")
    captions = []
    for number, line in enumerate(lines[1:], start=2):
        fields = line.removesuffix("\r").split("\t")
        if len(fields) != len(header):
            raise _unusable(path, number, f"{len(fields)} fields, {len(header)} are expected")
        row = dict(zip(header, fields, strict=True))
        text, category = row["Prompt"], row["Category"]
        if not text.strip() or not category.strip():
            raise _unusable(path, number, "its caption or category is empty")
        captions.append(Caption(id=f"parti-{number - 1:04d}", text=text, category=category))
    if not captions:
        raise _unusable(path, 1, "no caption follows")
    return PartiPrompts(tuple(captions), hashlib.sha256(data).hexdigest())


def _unusable(path: Path, line: int, why: str) -> PpdbenchError:
    return PpdbenchError(
        f"{path}, line {line}: {why}",
        fix=f"use the file of {SOURCE}, or one with tab-separated columns Prompt and Category",
    )
