"""profiles.json: what user encoders wrote of the users that a run drew for, in words.

Kept when a user is embedded, so that a page can print it without the encoder. A run without a
writing encoder has no such file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ppdbench.runs.atomic import write_json

SCHEMA_VERSION = 1
FILE = "profiles.json"

Profiles = Mapping[str, Mapping[str, str]]
"""Encoder -> context id -> text."""


def add_profiles(folder: Path, found: Profiles) -> None:
    """Add profiles to a run's, in place of earlier ones of the same users."""
    known = read_profiles(folder)
    merged = {
        encoder: {**known.get(encoder, {}), **found.get(encoder, {})}
        for encoder in {**known, **found}
    }
    if merged != known:
        write_json(folder / FILE, {"schema_version": SCHEMA_VERSION, "profiles": merged})


def read_profiles(folder: Path) -> dict[str, dict[str, str]]:
    """The profiles of a run; none where the file is missing or damaged."""
    try:
        found = json.loads((folder / FILE).read_bytes())["profiles"]
        return {
            str(encoder): {str(user): str(text) for user, text in texts.items()}
            for encoder, texts in found.items()
        }
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return {}
