"""A run's or comparison's summary.json, read and checked before anything is made of it.

Elsewhere: its fields (`docs/summary.md`), who writes it (`benchmarks.summary_file`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ppdbench.errors import PpdbenchError

SCHEMA_VERSION = 1
COMPARISON = "comparison"
NEEDED = frozenset({"suite", "suite_version", "benchmarks"})
OF_A_RUN = NEEDED | {"model", "generators"}
OF_A_COMPARISON = NEEDED | {"runs", "rewards"}
"""What nothing can be made without."""


def read_summary(path: Path) -> dict[str, Any]:
    """The content of a summary.json.

    Raises:
        PpdbenchError: it is missing, damaged or of another version.
    """
    again = "run its command again; nothing is drawn or asked anew"
    try:
        summary = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise PpdbenchError(f"{path} is not there: the run is not finished", fix=again) from None
    except (OSError, ValueError, RecursionError) as error:
        raise PpdbenchError(f"{path} is damaged: {error}", fix=f"delete it and {again}") from None
    version = summary.get("schema_version") if isinstance(summary, dict) else None
    if version != SCHEMA_VERSION:
        raise PpdbenchError(
            f"{path} has schema_version {version!r}, this ppdbench knows {SCHEMA_VERSION}",
            fix=f"use the ppdbench that wrote it, or delete it and {again}",
        )
    needed = OF_A_COMPARISON if is_comparison(summary) else OF_A_RUN
    if lacking := sorted(needed - summary.keys()):
        raise PpdbenchError(
            f"{path} is damaged: it lacks {', '.join(lacking)}", fix=f"delete it and {again}"
        )
    if not all(isinstance(summary.get(name, {}), dict) for name in ("benchmarks", "generators")):
        raise PpdbenchError(
            f"{path} is damaged: its figures are none", fix=f"delete it and {again}"
        )
    return dict(summary)


def is_comparison(summary: Any) -> bool:
    """Whether a summary is of several runs."""
    return isinstance(summary, dict) and summary.get("kind") == COMPARISON
