"""captions.json: the captions of a run, so that its folder needs no other file to be read.

Also the order in which a part of them is taken, wherever not all of them are drawn or shown.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path

from ppdbench.protocols import Caption
from ppdbench.runs.atomic import write_json

SCHEMA_VERSION = 1
FILE = "captions.json"


def write_captions(folder: Path, captions: Sequence[Caption]) -> None:
    """Write the captions that a run draws, in order, unless they are there."""
    if list(captions) != read_captions(folder):
        listed = [asdict(caption) for caption in captions]
        write_json(folder / FILE, {"schema_version": SCHEMA_VERSION, "captions": listed})


def read_captions(folder: Path) -> list[Caption] | None:
    """The captions of a run; None where the file is missing or damaged."""
    try:
        found = json.loads((folder / FILE).read_bytes())
        return [Caption(**caption) for caption in found["captions"]]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None


def in_turn(captions: Sequence[Caption]) -> list[Caption]:
    """The first of each category, then the second of each, and so on; in their own order within."""
    groups: dict[str, list[Caption]] = {}
    for caption in captions:
        groups.setdefault(caption.category, []).append(caption)
    return [c for turn in zip_longest(*groups.values()) for c in turn if c is not None]
