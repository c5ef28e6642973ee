"""What the tests of whole trainings share: their outcome read back, and a process of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import tiny_cascade

import trainers
from trainers.metrics import read_metrics


def metrics_of(folder: Path) -> list[dict[str, Any]]:
    """Every line without the time it took."""
    return [
        {key: value for key, value in row.items() if key != "seconds"}
        for row in read_metrics(folder / "metrics.jsonl")
    ]


def same_outcome(one: Path, other: Path) -> bool:
    """Adapter and metrics equal to the last bit."""
    adapters = [(folder / "adapter.safetensors").read_bytes() for folder in (one, other)]
    return adapters[0] == adapters[1] and metrics_of(one) == metrics_of(other)


def run_script(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
    """Run a command that has the tiny world's script in place of "{script}"."""
    script = Path(tiny_cascade.__file__)
    path = [str(Path(trainers.__file__).parent.parent), str(script.parent)]
    return subprocess.run(
        [script if word == "{script}" else word for word in command],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=120,
        check=False,
    )
