"""Tiny pictures, captions and weights that need no file: the golden scores are about these.

Imported by the golden tests and by `perf/parity/goldens.py`, which has the originals score them;
so nothing here may import ppdbench. Weights follow from a name and NumPy's seeded generator,
pictures from formulas.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import torch
from PIL import Image

SIZE = 56
CAPTIONS = (
    "a red circle on teal",
    "salt &amp; pepper shakers, caf\u00e9 table",
    "  TWO   words ",
    " ".join(["a very long caption"] * 40),
    "",
    "\u6c34\u5f69 \U0001f98a, \u201cquoted\u201d",
)
VISION = {"image_size": SIZE, "patch_size": 14, "width": 32, "layers": 2, "head_width": 16}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
CLIP_CONFIG: dict[str, Any] = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}
HEAD_WIDTHS = (24, 16, 8, 4, 2, 1)
HEAD_PLACES = (0, 2, 4, 6, 7)
"""As in the published head's file: dropout has the places between."""


def pictures() -> dict[str, Image.Image]:
    """Sizes and modes that each recipe treats differently; edges finer than a model's pixel."""
    found = {}
    for name, width, height in (
        ("exact", SIZE, SIZE),
        ("square", 129, 129),
        ("landscape", 301, 200),
        ("portrait", 97, 143),
        ("wide", 400, 40),
        ("small", 31, 23),
    ):
        y, x = np.mgrid[0:height, 0:width]
        waves = [127.5 + 80 * np.sin(0.11 * (k + 1) * x + 0.07 * y * y / height) for k in range(3)]
        edges = 47 * ((x // 2 + y // 3) % 2 * 2 - 1)
        pixels = np.stack(waves, axis=-1) + edges[..., None]
        found[name] = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    found["grey"] = found["landscape"].convert("L")
    found["rgba"] = found["landscape"].copy()
    found["rgba"].putalpha(found["grey"])
    return found


def draw(name: str, shape: torch.Size, seed: int) -> torch.Tensor:
    """One weight: wide enough that a wrong recipe shows in the score."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "little"))
    noise = torch.from_numpy(rng.standard_normal(tuple(shape)).astype(np.float32))
    if name == "logit_scale":
        return torch.full(shape, 3.0)
    if "ln_" in name or "norm" in name or "layrnorm" in name:  # transformers spells it so
        return noise * 0.1 + (1.0 if name.endswith("weight") else 0.0)
    if name.endswith("bias") or ("embedding" in name and len(shape) < 4):
        return noise * 0.3
    if name in ("visual.proj", "text_projection"):
        return noise.mul(shape[0] ** -0.5)
    return noise.mul(2 * math.prod(shape[1:]) ** -0.5)


def state(shapes: dict[str, torch.Size], seed: int) -> dict[str, torch.Tensor]:
    """A model's weights by name."""
    return {name: draw(name, shape, seed) for name, shape in shapes.items()}


def head(seed: int) -> dict[str, torch.Tensor]:
    """An aesthetic head under the published file's names."""
    found = {}
    for place, wide, narrow in zip(HEAD_PLACES, HEAD_WIDTHS, HEAD_WIDTHS[1:], strict=False):
        for kind, shape in (("weight", (narrow, wide)), ("bias", (narrow,))):
            found[f"layers.{place}.{kind}"] = draw(f"head.{place}.{kind}", torch.Size(shape), seed)
    return found


def hf_config() -> Any:
    """The same tiny CLIP as a transformers config."""
    from transformers import CLIPConfig

    shared = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    shared |= {"intermediate_size": 128, "projection_dim": 24}
    text = {**shared, "hidden_act": "gelu", "vocab_size": 49408, "eos_token_id": 2}
    vision = {**shared, "hidden_act": "gelu", "image_size": SIZE, "patch_size": 14}
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)


def hf_shapes() -> dict[str, torch.Size]:
    """Names and shapes of a transformers CLIPModel."""
    from transformers import CLIPModel

    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in CLIPModel(hf_config()).state_dict().items()}
