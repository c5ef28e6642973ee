"""Where files live that outlive a run: pairs rendered once, scores, published weights."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$PPDBENCH_CACHE`, else `ppdbench` in the platform's user cache."""
    if given := os.environ.get("PPDBENCH_CACHE"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ppdbench"
