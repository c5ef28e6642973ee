"""Stable Cascade's own modules, from a checkout of Stability-AI/StableCascade that nobody edits.

Three things stand in for what they import and this check does not need: `modules/__init__.py` is
not run, and `modules.controlnet` is an empty class, because ControlNet wants kornia, OpenCV and
insightface; `torchtools.nn.VectorQuantize` (of pabloppp/pytorch-tools; the registry's
torchtools is another package) is its codebook
alone, since decoding looks nothing up; and EfficientNetV2-S is made without downloading weights.
Elsewhere: what they are asked (`stable_cascade.py`).
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torchvision
from torch import nn

PARTS = ("stage_c", "stage_b", "stage_a", "effnet_encoder", "previewer")
"""By the names of their published files."""
FILES = ("common", "stage_c", "stage_b", "stage_a", "effnet", "previewer")
STUBS = (
    "modules/__init__.py is not run",
    "modules.controlnet.ControlNetDeliverer: an empty class",
    "torchtools.nn.VectorQuantize: its codebook alone",
    "torchvision.models.efficientnet_v2_s: without weights",
)
LITE = {"c_cond": 1536, "c_hidden": [1536, 1536], "nhead": [24, 24], "blocks": [[4, 12], [12, 4]]}
"""`train/train_c.py`, model version 1B; 3.6B is the class's defaults."""
LITE_B = {
    "c_hidden": [320, 576, 1152, 1152],
    "nhead": [-1, 9, 18, 18],
    "blocks": [[2, 4, 14, 4], [4, 14, 4, 2]],
    "block_repeat": [[1, 1, 1, 1], [2, 2, 2, 2]],
}
"""`train/train_b.py`, model version 700M; 3B is the class's defaults."""
FULL: dict[str, tuple[str, dict[str, Any]]] = {
    "stage_c 3.6b": ("stage_c", {}),
    "stage_c 1b": ("stage_c", LITE),
    "stage_b 3b": ("stage_b", {}),
    "stage_b 700m": ("stage_b", LITE_B),
    "stage_a": ("stage_a", {}),
    "effnet_encoder": ("effnet_encoder", {}),
    "previewer": ("previewer", {}),
}
"""Every published size: its part, and the arguments of the original's class."""
TINY: dict[str, dict[str, Any]] = {
    "stage_c": {
        "c_in": 4,
        "c_out": 4,
        "c_r": 16,
        "c_cond": 128,
        "c_hidden": [128, 128],
        "nhead": [2, 2],
        "blocks": [[1, 2], [2, 1]],
        "c_clip_text": 24,
        "c_clip_text_pooled": 16,
        "c_clip_img": 8,
        "c_clip_seq": 2,
    },
    "stage_b": {
        "c_r": 16,
        "c_cond": 64,
        "c_hidden": [16, 32, 64, 128],
        "nhead": [-1, -1, 1, 2],
        "blocks": [[1, 2, 2, 1], [1, 2, 2, 1]],
        "c_clip": 16,
        "c_clip_seq": 2,
        "c_effnet": 4,
    },
    "stage_a": {"bottleneck_blocks": 2, "c_hidden": 32, "codebook_size": 64},
    "effnet_encoder": {"c_latent": 4},
    "previewer": {"c_in": 4, "c_hidden": 32},
}
"""Narrow ones of every part; EfficientNetV2-S has one size."""


class Original:
    """The original's classes by part."""

    def __init__(self, checkout: Path) -> None:
        """Import them.

        Raises:
            FileNotFoundError: no `modules/stage_c.py` in the checkout.
        """
        if not (checkout / "modules" / "stage_c.py").is_file():
            raise FileNotFoundError(f"{checkout} is no checkout of Stability-AI/StableCascade")
        with _standing_in(checkout):
            found = {name: importlib.import_module(f"modules.{name}") for name in FILES}
            self.gdf: Any = importlib.import_module("gdf")
        texts = [(checkout / "modules" / f"{name}.py").read_bytes() for name in FILES]
        self.sha256 = hashlib.sha256(b"\0".join(texts)).hexdigest()
        """Over the modules' files, which says what was compared with."""
        self._classes: dict[str, Callable[..., nn.Module]] = {
            "stage_c": found["stage_c"].StageC,
            "stage_b": found["stage_b"].StageB,
            "stage_a": found["stage_a"].StageA,
            "effnet_encoder": found["effnet"].EfficientNetEncoder,
            "previewer": found["previewer"].Previewer,
        }

    def make(self, part: str, arguments: dict[str, Any]) -> nn.Module:
        """One of its models in eval mode, on torch's default device."""
        with _without_download():
            return self._classes[part](**arguments).eval()


class _Codebook(nn.Module):
    """In place of torchtools' quantiser: its one tensor, by its name."""

    def __init__(self, embedding_size: int, k: int) -> None:
        super().__init__()
        self.codebook = nn.Embedding(k, embedding_size)


@contextmanager
def _standing_in(checkout: Path) -> Iterator[None]:
    """Within: `modules` is the checkout's folder, and what it cannot import is stood in for."""
    package, control = ModuleType("modules"), ModuleType("modules.controlnet")
    package.__path__ = [str(checkout / "modules")]
    vars(control).update(ControlNetDeliverer=type("ControlNetDeliverer", (), {}))
    tools, layers = ModuleType("torchtools"), ModuleType("torchtools.nn")
    vars(layers).update(VectorQuantize=_Codebook)
    stubs = {each.__name__: each for each in (package, control, tools, layers)}
    if taken := sorted(set(stubs) & set(sys.modules)):
        raise RuntimeError(f"already imported: {', '.join(taken)}")
    sys.modules |= stubs
    sys.path.insert(0, str(checkout))  # for gdf, which needs nothing stood in for
    try:
        yield
    finally:
        sys.path.remove(str(checkout))
        for name in stubs:
            sys.modules.pop(name, None)


@contextmanager
def _without_download() -> Iterator[None]:
    """Within: `efficientnet_v2_s(weights="DEFAULT")` makes the model and downloads nothing."""
    models: Any = torchvision.models
    real = models.efficientnet_v2_s
    models.efficientnet_v2_s = lambda weights: real(weights=None)  # noqa: ARG005
    try:
        yield
    finally:
        models.efficientnet_v2_s = real
