"""The held-out caption classifier: which facts of its caption a picture shows.

A small convolutional network with one head a fact, trained on renders alone (with styles
stretched beyond the world's), apart from the base, the rewards and every adapter it judges. A
two-object picture is read in the canonical order: left before right, upper before lower.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from ppdbench.errors import MissingPrerequisite, one_line
from ppdbench.suites.shapes.scenes import (
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    SIZES,
    Scene,
    parse,
)

if TYPE_CHECKING:
    from PIL.Image import Image

LAYOUTS = (None, "side by side", "stacked")
HEADS: dict[str, int] = {
    "layout": len(LAYOUTS),
    "background": len(BACKGROUNDS),
    "size": len(SIZES),
    "colour_0": len(COLOURS),
    "shape_0": len(SHAPES),
    "colour_1": len(COLOURS),
    "shape_1": len(SHAPES),
}
NOT_SAID = -1
"""Target of a head that the caption says nothing about."""


def targets(scene: Scene) -> dict[str, int]:
    """Class index a head for a scene; `NOT_SAID` where the caption is silent."""
    first, second = scene.things[0], scene.things[1] if len(scene.things) > 1 else None
    return {
        "layout": LAYOUTS.index(scene.axis),
        "background": BACKGROUNDS.index(scene.background),
        "size": SIZES.index(first.size) if first.size else NOT_SAID,
        "colour_0": COLOURS.index(first.colour),
        "shape_0": SHAPES.index(first.shape),
        "colour_1": COLOURS.index(second.colour) if second else NOT_SAID,
        "shape_1": SHAPES.index(second.shape) if second else NOT_SAID,
    }


class ClassifierNet(nn.Module):
    """Pictures (B, 3, 64, 64) in [0, 1] to logits a head."""

    def __init__(self, width: int = 20) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for wide in (width, 2 * width, 3 * width, 5 * width):
            layers += [
                nn.Conv2d(channels, wide, 3, padding=1, stride=1 if channels == 3 else 2),
                nn.BatchNorm2d(wide),
                nn.ReLU(),
            ]
            if channels != 3:
                layers += [nn.Conv2d(wide, wide, 3, padding=1), nn.BatchNorm2d(wide), nn.ReLU()]
            else:
                layers += [nn.MaxPool2d(2)]
            channels = wide
        self.features = nn.Sequential(*layers)
        # Position matters for relations, so the 4 x 4 map is kept, narrowed, not pooled away.
        self.narrow = nn.Sequential(nn.Conv2d(channels, 48, 1), nn.ReLU(), nn.Flatten())
        self.mix = nn.Sequential(nn.Linear(48 * 16, 160), nn.ReLU())
        self.heads = nn.ModuleDict({name: nn.Linear(160, n) for name, n in HEADS.items()})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits (B, classes) a head."""
        mixed = self.mix(self.narrow(self.features(images * 2 - 1)))
        return {name: cast(Tensor, head(mixed)) for name, head in self.heads.items()}


class ShapesClassifier:
    """Implements `ppdbench.protocols.CaptionClassifier`."""

    def __init__(self, net: ClassifierNet, sha256: str, device: str) -> None:
        self.net = net.eval().to(device)
        self.sha256 = sha256
        self.device = device

    @torch.no_grad()
    def check(self, images: Sequence[Image], captions: Sequence[str]) -> list[dict[str, bool]]:
        """Facts a picture gets right: size (one object), colour, shape, background, layout, all.

        Raises:
            ValueError: a picture is not 64 x 64, a caption is not of this language, or there
                are not as many of both.
        """
        if len(images) != len(captions):
            raise ValueError(f"{len(images)} pictures but {len(captions)} captions")
        pixels = np.stack([np.asarray(image.convert("RGB")) for image in images])
        if pixels.shape[1:] != (64, 64, 3):
            raise ValueError(f"the classifier reads 64 x 64 pictures, got {pixels.shape[1:3]}")
        batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().to(self.device) / 255
        said = {name: logits.argmax(1).tolist() for name, logits in self.net(batch).items()}
        return [
            _facts(targets(parse(caption)), {name: said[name][row] for name in said})
            for row, caption in enumerate(captions)
        ]


def load_classifier(folder: Path, device: str) -> ShapesClassifier:
    """Load the shipped classifier.

    Raises:
        MissingPrerequisite: a file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    net = ClassifierNet()
    try:
        sha256 = json.loads((folder / "manifest.json").read_text())["sha256"]["model.safetensors"]
        data = (folder / "model.safetensors").read_bytes()  # once: what is hashed is what looks
        net.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in load(data).items()}
        )
        if (found := hashlib.sha256(data).hexdigest()) != sha256:
            raise ValueError(f"its sha256 is {found[:12]}, its manifest says {sha256[:12]}")
    except (
        OSError,
        ValueError,
        RecursionError,
        KeyError,
        TypeError,
        RuntimeError,
        SafetensorError,
    ) as error:
        raise MissingPrerequisite(
            f"the caption classifier in {folder} cannot be loaded: {one_line(error)}",
            fix="reinstall ppdbench",
        ) from error
    return ShapesClassifier(net, sha256, device)


def _facts(wanted: dict[str, int], said: dict[str, int]) -> dict[str, bool]:
    right = {name: said[name] == want for name, want in wanted.items() if want != NOT_SAID}
    facts = {
        "colour": right["colour_0"] and right.get("colour_1", True),
        "shape": right["shape_0"] and right.get("shape_1", True),
        "background": right["background"],
        "layout": right["layout"],
    }
    if "size" in right:
        facts["size"] = right["size"]
    facts["all"] = all(facts.values())
    return facts
