"""Have the originals score the golden world: writes tests/rewards/golden/goldens.json.

    python perf/parity/goldens.py [--work DIR]

The normal tests hold ours against that file, so a silent change of a recipe breaks one. Runs
itself again in the oracle environment (`environment`), where hpsv2's own transform, tokenizer and
CLIP, open_clip's own preprocessing and transformers' CLIP processor and model each score the tiny
pictures of `tests/rewards/golden/golden_world.py`. What an original cannot read is null.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GOLDEN = HERE.parents[1] / "tests" / "rewards" / "golden"
INSIDE = "--inside"

sys.path.insert(0, str(GOLDEN))


def main() -> None:
    """Outside: start the inside. Inside: score and print."""
    if INSIDE in sys.argv:
        print(json.dumps(goldens(), indent=2, ensure_ascii=False))
        return
    import environment
    from run import default_work

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=default_work())
    work: Path = parser.parse_args().work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    oracle = environment.build(work)
    command: list[str | Path] = [oracle.python, Path(__file__).resolve(), INSIDE]
    done = subprocess.run(
        command, check=True, env=oracle.variables(), stdout=subprocess.PIPE, cwd=HERE
    )
    (GOLDEN / "goldens.json").write_bytes(done.stdout)


def goldens() -> dict[str, Any]:
    """Recipe -> picture -> score with each caption in turn, and the versions that scored."""
    libraries = ("hpsv2", "open_clip_torch", "torch", "torchvision", "transformers", "pillow")
    return {
        "versions": {name: version(name) for name in libraries},
        "scores": {
            "hps": _hps(),
            "hps-no-antialias": _hps(antialias=False),
            "clip": _open_clip(quick=False, seed=1, head=False),
            "aesthetic": _open_clip(quick=True, seed=3, head=True),
            "pickscore": _pickscore(),
        },
    }


def _each(pixels_of: Callable[[Any], Any], score: Callable[[Any, str], float]) -> dict[str, Any]:
    from golden_world import CAPTIONS, pictures

    found: dict[str, Any] = {}
    for number, (name, picture) in enumerate(pictures().items()):
        try:
            pixels = pixels_of(picture)
            found[name] = score(pixels, CAPTIONS[number % len(CAPTIONS)])
        except (RuntimeError, ValueError):
            found[name] = None
    return found


def _hps(*, antialias: bool = True) -> dict[str, Any]:
    import deliberate_errors as errors
    import torch
    from golden_world import CLIP_CONFIG, SIZE, state
    from hpsv2.src.open_clip import get_tokenizer  # type: ignore[import-not-found]
    from hpsv2.src.open_clip.model import CLIP  # type: ignore[import-not-found]
    from hpsv2.src.open_clip.transform import (  # type: ignore[import-not-found]
        image_transform,
    )
    from torchvision.transforms import functional

    model = CLIP(**CLIP_CONFIG, output_dict=True).eval()
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    model.load_state_dict(state(shapes, 2))
    transform = image_transform(SIZE, is_train=False, resize_longest_max=True)
    tokenizer = get_tokenizer("ViT-H-14")
    original = functional.resize
    if not antialias:
        functional.resize = errors.resize_without_antialias

    def score(pixels: Any, caption: str) -> float:
        with torch.no_grad():
            found = model(pixels[None], tokenizer([caption]))
        return 100 * float((found["image_features"] * found["text_features"]).sum())

    try:
        return _each(transform, score)
    finally:
        functional.resize = original


def _open_clip(*, quick: bool, seed: int, head: bool) -> dict[str, Any]:
    import golden_world as world
    import open_clip
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2

    model = open_clip.CLIP(**world.CLIP_CONFIG, quick_gelu=quick).eval()
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    model.load_state_dict(world.state(shapes, seed))
    transform = image_transform_v2(PreprocessCfg(size=world.SIZE), is_train=False)
    tokenizer = open_clip.get_tokenizer("ViT-H-14")
    layers = [
        torch.nn.Linear(wide, narrow)
        for wide, narrow in zip(world.HEAD_WIDTHS, world.HEAD_WIDTHS[1:], strict=False)
    ]
    for layer, place in zip(layers, world.HEAD_PLACES, strict=True):
        own = f"layers.{place}."
        drawn = world.head(4)
        layer.load_state_dict({kind: drawn[f"{own}{kind}"] for kind in ("weight", "bias")})

    def score(pixels: Any, caption: str) -> float:
        with torch.no_grad():
            image = model.encode_image(pixels[None], normalize=True)
            if head:
                return float(torch.nn.Sequential(*layers)(image))
            text = model.encode_text(tokenizer([caption]), normalize=True)
        return 100 * float((image * text).sum())

    # Its own transform converts to RGB after resizing; ours before, which is what is meant.
    return _each(lambda picture: transform(picture.convert("RGB")), score)


def _pickscore() -> dict[str, Any]:
    import golden_world as world
    import torch
    from original_pickscore import make_processor
    from transformers import CLIPModel

    model: Any = CLIPModel(world.hf_config()).eval()  # type: ignore[no-untyped-call]
    model.load_state_dict(world.state(world.hf_shapes(), 5))
    processor = make_processor("pil")
    size = {"size": {"shortest_edge": world.SIZE}}
    size["crop_size"] = {"height": world.SIZE, "width": world.SIZE}

    def pixels_of(picture: Any) -> Any:
        return processor.image_processor(picture, return_tensors="pt", **size)["pixel_values"]

    def score(pixels: Any, caption: str) -> float:
        cut = {"padding": True, "truncation": True, "max_length": 77, "return_tensors": "pt"}
        text = processor.tokenizer(caption, **cut)
        with torch.no_grad():
            image = model.get_image_features(pixel_values=pixels).pooler_output
            words = model.get_text_features(**text).pooler_output
            image, words = (x / x.norm(dim=-1, keepdim=True) for x in (image, words))
            return float(model.logit_scale.exp() * (image * words).sum())

    # Today's transformers lays transparency on white; when PickScore was published it dropped it.
    return _each(lambda picture: pixels_of(picture.convert("RGB")), score)


if __name__ == "__main__":
    main()
