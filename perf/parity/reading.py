"""How fast images are read: ours to a model's pixels and a pixel hash, Pillow to a small picture.

Both sides use one process a core over the same files, in turn. Pillow's side opens, converts to
RGB, resizes and crops; ours also hashes the pixels, makes them floats and normalises them. HPSv2's
recipe resizes floats, which Pillow has no counterpart to: its rate is recorded beside.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ppdbench.rewards.loader import Source, Wanted, prepare
from ppdbench.rewards.preprocess import ClipRecipe, HpsRecipe, Recipe

SIDE = 1024
REPEATS = 3
COPIES = 4
"""How often each file is read in a turn, so that starting processes does not count."""


def draw_images(folder: Path, n: int) -> None:
    """N pictures of SIDE pixels, each as PNG and as JPEG, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    for number in range(n):
        png = folder / f"{number:03d}.png"
        if png.with_suffix(".jpg").is_file():
            continue
        rng = np.random.default_rng(number)
        waves = [np.sin(6 * x * (number + 1) + k) + np.cos(5 * y * (k + 1)) for k in range(3)]
        noise = rng.normal(0, 4, (SIDE, SIDE, 3))
        pixels = (128 + 60 * np.stack(waves, axis=-1) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(png)
        Image.fromarray(pixels).save(png.with_suffix(".jpg"), quality=92)


def reading_rates(folder: Path) -> dict[str, dict[str, float]]:
    """By kind of file: images a second of each side, medians, and their ratio."""
    kinds = {
        "png": sorted(folder.glob("*.png")),
        "jpeg": sorted(folder.glob("*.jpg")),
    }
    kinds["all"] = [file for both in zip(*kinds.values(), strict=True) for file in both]
    found = {}
    for kind, once in kinds.items():
        files = once * COPIES
        pillow: list[float] = []
        clip: list[float] = []
        hps: list[float] = []
        for _ in range(REPEATS):
            pillow.append(_rate(_pillow, files))
            clip.append(_rate(lambda given: _ours(given, ClipRecipe(224)), files))
            hps.append(_rate(lambda given: _ours(given, HpsRecipe(224, antialias=True)), files))
        middle = {
            "pillow": statistics.median(pillow),
            "ours": statistics.median(clip),
            "ours_hps_recipe": statistics.median(hps),
        }
        ratio = statistics.median(a / b for a, b in zip(clip, pillow, strict=True))
        found[kind] = {name: round(rate, 2) for name, rate in middle.items()}
        found[kind]["ours_over_pillow"] = round(ratio, 3)
    return found


def _rate(side: Callable[[Sequence[Path]], None], files: Sequence[Path]) -> float:
    begin = time.perf_counter()
    side(files)
    return len(files) / (time.perf_counter() - begin)


def _pillow(files: Sequence[Path]) -> None:
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for _ in pool.imap(_small, files, chunksize=8):
            pass


def _small(file: Path) -> Any:
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    short = min(image.size)
    width, height = (224 * side // short for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - 224) // 2, (height - 224) // 2
    return np.asarray(image.crop((left, top, left + 224, top + 224)))


def _ours(files: Sequence[Path], recipe: Recipe) -> None:
    sources = [Source(index=n, image=file, caption="a") for n, file in enumerate(files)]
    wanted = [
        Wanted(reward="r", identity="i", needs_caption=True, kept=True, view="v", recipe=recipe)
    ]
    for _ in prepare(sources, wanted, None, batch_size=8, workers=os.cpu_count() or 1):
        pass
