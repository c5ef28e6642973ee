"""manifest.json beside shipped weights: what they are, what made them, how good they are.

Written last, so a folder with a manifest is finished. Imported by the world's training only; the
readers are `ppdbench.rewards.folder`, the shapes classifier and `trainers.stable_cascade.stage_c`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ppdbench.suites.shapes.suite import ShapesSuite

MANIFEST = "manifest.json"
COMMAND = "python -m trainers.shapes"
LIBRARIES = ("torch", "diffusers", "transformers", "open_clip_torch", "numpy")


def write_manifest(
    folder: Path, *, seed: int, steps: int, rows: int, figures: Mapping[str, float]
) -> None:
    """Hash every file in the folder and write down where it came from.

    Args:
        folder: with everything that belongs to the model in place.
        seed: of weights, batches and noise.
        steps: of the optimizer.
        rows: examples it learnt from.
        figures: seconds, loss and what was measured on held-out data; NaN is left out.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    suite = ShapesSuite()
    write_json(
        folder / MANIFEST,
        {
            "schema_version": 1,
            "sha256": {
                path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in files
            },
            "parameters": {
                path.relative_to(folder).as_posix(): _parameters(path)
                for path in files
                if path.suffix == ".safetensors"
            },
            "command": COMMAND,
            "seed": seed,
            "steps": steps,
            "rows": rows,
            "data": {"suite": suite.name, "version": suite.version, "world_sha256": suite.world},
            "libraries": {name: metadata.version(name) for name in LIBRARIES},
            "figures": {name: x for name, x in figures.items() if math.isfinite(x)},
        },
    )


def write_json(file: Path, value: object) -> None:
    """Write JSON as all of these folders have it."""
    file.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def save_half(tensors: Mapping[str, Tensor], file: Path) -> None:
    """Write floats as fp16 safetensors, the rest as it is; readers widen to fp32."""
    save_file(
        {
            name: (t.half() if t.is_floating_point() else t).detach().cpu().contiguous()
            for name, t in tensors.items()
        },
        file,
    )


def _parameters(file: Path) -> int:
    with safe_open(file, "pt") as weights:
        return sum(
            math.prod(weights.get_slice(name).get_shape())
            for name in weights.keys()  # noqa: SIM118 - not a mapping
        )
