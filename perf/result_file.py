"""What a result carries beside its numbers, and where it goes; no path, host or user of a machine.

Elsewhere: the scripts that measure, beside this file; `parity/` has two sides' versions to tell.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from ppdbench.runs.environment import environment

RESULTS = Path(__file__).parent / "results"


def header(*, device: str = "cpu", also: Sequence[str] = ()) -> dict[str, Any]:
    """Command, time, machine class and versions; call it when the measuring is done.

    Args:
        device: where models ran.
        also: distributions whose versions matter beside those of every run's env.json.
    """
    about = environment()
    return {
        "schema_version": 1,
        "command": " ".join(["python", f"perf/{Path(sys.argv[0]).name}", *_without_folders()]),
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "architecture": platform.machine(),
            "cores": os.cpu_count(),
            "device": device,
            "accelerator": about["accelerator"],
            "torch_threads": about["torch_threads"],
        },
        "versions": {
            "ppdbench": about["ppdbench"],
            "python": about["python"],
            **about["libraries"],
            **{name: metadata.version(name) for name in also},
        },
    }


def write_result(record: Mapping[str, Any], path: Path) -> None:
    """A result as indented JSON; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _without_folders() -> list[str]:
    """This process's arguments; of a file or folder outside this one its name alone."""
    return [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
