"""What the tests of whole trainings share: outcomes read back, a kill, a process of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import tiny_cascade

import trainers
from trainers.training.metrics import read_metrics


class Killed(BaseException):
    """Stands for a kill at a place of our choice."""


@contextmanager
def killed_at(module: Any, name: str, call: int = 1) -> Iterator[None]:
    """Within: that call of `module.name`, counted from 1, is a kill in its place; it must come."""
    calls, real = 0, getattr(module, name)

    def die(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Killed
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module, name, die)
        yield


def place(value: object) -> str:
    """Id of a parameter of `killed_at`: a module by its name."""
    return str(getattr(value, "__name__", value))


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
    return subprocess.run(
        [script if word == "{script}" else word for word in command],
        env=environment(),
        capture_output=True,
        timeout=120,
        check=False,
    )


def environment() -> dict[str, str]:
    """That of a process of its own which imports what these tests import."""
    path = [str(Path(trainers.__file__).parent.parent), str(Path(tiny_cascade.__file__).parent)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
