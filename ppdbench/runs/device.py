"""Which device a run computes on; it changes speed, not results, so no fingerprint covers it."""

from __future__ import annotations

import sys
from pathlib import Path

from ppdbench.errors import MissingPrerequisite, UsageError

_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""What an accelerator's driver leaves on Linux: NVIDIA, NVIDIA under WSL, AMD."""


def resolve(device: str) -> str:
    """A device torch understands: "auto" is cuda where there is one, else cpu.

    Raises:
        UsageError: no such kind of device.
        MissingPrerequisite: the device that was asked for is not here.
    """
    if device == "cpu" or (device == "auto" and _surely_none()):
        return "cpu"  # without torch: a finished run is recognised in a second
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise UsageError(
            f"no device is called {device!r}", fix="use auto, cpu, cuda or mps"
        ) from error
    here: dict[str, bool] = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if kind not in here:
        raise UsageError(f"device {device!r} is not supported", fix="use auto, cpu, cuda or mps")
    if not here[kind]:
        raise MissingPrerequisite(
            f"torch finds no {kind} device here", fix="use --device auto, or install its driver"
        )
    return device


def _surely_none() -> bool:
    return sys.platform == "linux" and not any(Path(driver).exists() for driver in _DRIVERS)
