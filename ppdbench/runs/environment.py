"""Where a run was computed: versions and cores; no user, no host, no path."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from typing import Any

LIBRARIES = (
    "accelerate",
    "diffusers",
    "numpy",
    "open_clip_torch",
    "openai",
    "pillow",
    "safetensors",
    "scipy",
    "torch",
    "torchvision",
    "transformers",
)


def environment() -> dict[str, Any]:
    """What env.json holds; imports nothing, so torch's threads are None until it is in use."""
    torch = sys.modules.get("torch")
    return {
        "schema_version": 1,
        "ppdbench": _version("ppdbench"),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libraries": {name: _version(name) for name in LIBRARIES},
        "cpu_count": os.cpu_count(),
        "torch_threads": torch.get_num_threads() if torch is not None else None,
        "accelerator": _accelerator(torch),
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        if distribution == "ppdbench":  # run from a source tree
            from ppdbench import __version__

            return __version__
        return None


def _accelerator(torch: Any) -> str | None:
    if torch is not None and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return None
