"""One side's seconds, in a process of its own; prints one JSON object on its last line.

    timed.py SIDE --work DIR --images N

Sides of the originals (in their environment): `hpsv2-once` calls `hpsv2.score` once an image,
`hpsv2-list` once with all of them, `imscore` its HPSv2 in batches. Ours (in our environment):
`ours` is `ppdbench.rewards.score` from nothing to a table, `warm` the same with its model loaded,
in turn with the tower's bare encoder on batches of ready pixels. All score the same PNG files with
one caption and the same full-size weights in fp32. Of the originals only the scoring is timed, not
the models that they build before; hpsv2 reads its checkpoint again in every call, which is.
Elsewhere: who starts the sides and compares (`speed`).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from checkpoints import HPS_FILE

CAPTION = "a red fox in fresh snow, soft morning light"
BATCH = 8
REPEATS = 3
"""Turns of ours and the bare encoder; the originals' sides are long enough for one."""

Seconds = dict[str, list[float]]


def hpsv2(files: list[str], work: Path, *, once: bool) -> tuple[Seconds, list[float]]:
    """The package's own function, as its README calls it."""
    os.environ["HF_HUB_CACHE"] = str(work / "checkpoints" / "hub")
    os.environ["HPS_ROOT"] = str(work / "hps_root")
    from hpsv2 import img_score  # type: ignore[import-not-found]

    img_score.initialize_model()

    def run() -> list[float]:
        calls = [[file] for file in files] if once else [files]
        found = [img_score.score(call, CAPTION, hps_version="v2.1") for call in calls]
        return [float(score) for scores in found for score in scores]

    seconds, scores = _timed(run)
    return {"hpsv2-once" if once else "hpsv2-list": [seconds]}, scores


def imscore(files: list[str], work: Path) -> tuple[Seconds, list[float]]:
    """Its README's way: pixels in [0, 1] of one size, a prompt for each; gradients off."""
    os.environ["HF_HUB_CACHE"] = str(work / "checkpoints" / "hub")
    import torch
    from imscore.hps.model import HPSv2  # type: ignore[import-not-found]
    from PIL import Image
    from torchvision.transforms.functional import to_tensor

    model = HPSv2().eval()
    checkpoint = torch.load(work / "checkpoints" / "hps" / HPS_FILE, weights_only=True, mmap=True)
    model.model.load_state_dict(checkpoint["state_dict"])

    def run() -> list[float]:
        scores: list[float] = []
        for start in range(0, len(files), BATCH):
            images = [Image.open(file).convert("RGB") for file in files[start : start + BATCH]]
            pixels = torch.stack([to_tensor(image) for image in images])
            with torch.no_grad():
                scores += model.score(pixels, [CAPTION] * len(images)).tolist()
        return scores

    seconds, scores = _timed(run)
    return {"imscore": [seconds]}, scores


def ours(files: list[str], work: Path, *, warm: bool) -> tuple[Seconds, list[float]]:
    """Ours, without a cache; where it is warm, in turn with the encoder alone."""
    import accelerate  # noqa: F401 - on no side is the import of libraries timed
    import open_clip  # noqa: F401
    from PIL import Image

    from ppdbench.protocols import RewardSpec
    from ppdbench.rewards import score

    spec = RewardSpec(name="hps", kind="hps", checkpoint=work / "checkpoints" / "hps")

    def run(reward: Any) -> list[float]:
        captions = [CAPTION] * len(files)
        table = score(files, captions, [reward], device="cpu", cache=None, batch_size=BATCH)
        return [value / 100 for value in table.scores["hps"]]

    if not warm:
        seconds, scores = _timed(lambda: run(spec))
        return {"ours": [seconds]}, scores

    from ppdbench.rewards.load import load_reward

    reward: Any = load_reward(spec, "cpu")
    pixels = reward.recipe([Image.open(file) for file in files])
    tower = reward.tower  # holds on to the model between calls

    def bare() -> list[float]:
        for start in range(0, len(files), BATCH):
            tower.encode_images(pixels[start : start + BATCH])
        return []

    run(reward)
    scores, found = [], Seconds(warm=[], bare=[])
    for _ in range(REPEATS):
        seconds, scores = _timed(lambda: run(reward))
        found["warm"].append(seconds)
        found["bare"].append(_timed(bare)[0])
    return found, scores


SIDES: dict[str, Callable[[list[str], Path], tuple[Seconds, list[float]]]] = {
    "hpsv2-once": lambda files, work: hpsv2(files, work, once=True),
    "hpsv2-list": lambda files, work: hpsv2(files, work, once=False),
    "imscore": imscore,
    "ours": lambda files, work: ours(files, work, warm=False),
    "warm": lambda files, work: ours(files, work, warm=True),
}


def _timed(run: Callable[[], list[float]]) -> tuple[float, list[float]]:
    begin = time.perf_counter()
    scores = run()
    return time.perf_counter() - begin, scores


def main() -> None:
    """Time one side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=SIDES)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--images", type=int, required=True)
    given = parser.parse_args()
    import torch

    files = sorted(map(str, (given.work / "speed").glob("*.png")))[: given.images]
    seconds, scores = SIDES[given.side](files, given.work)
    said = {"n": len(files), "seconds": seconds, "scores": scores}
    print(json.dumps({**said, "torch_threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
