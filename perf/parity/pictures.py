"""The pictures and captions that every side scores: drawn from seeds, written once, all kinds.

Each picture has smooth gradients, hard edges, gratings up to the finest that its pixels hold, and
noise, so that resizing with or without antialiasing gives different pictures. Sizes run from 64 to
2048; modes, encodings and EXIF orientations are those that users bring. The first n lines of the
manifest are varied for every n.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from captions import CAPTIONS
from numpy.typing import NDArray
from PIL import Image
from source import fingerprint, with_imports

MANIFEST = "manifest.jsonl"

RGB_SIZES = (
    *((512, 512), (640, 480), (480, 640), (1024, 1024), (224, 224), (768, 1344), (1344, 768)),
    *((64, 64), (225, 224), (2048, 1365), (96, 64), (333, 517), (1080, 1920), (256, 256)),
    *((2048, 2048), (64, 96), (517, 333), (1000, 999), (2048, 128), (223, 224), (1365, 2048)),
    *((450, 300), (128, 2048), (224, 112), (100, 224), (448, 448), (719, 1279), (112, 80)),
)
SPECIAL_KINDS = (
    *("grey", "palette", "cmyk-jpeg", "exif-rotated-6", "palette-transparent", "rgba"),
    *("progressive-jpeg", "grey-alpha", "one-bit", "exif-rotated-8", "sixteen-bit"),
    *("grey-jpeg", "rgb-colour-key"),
)
SPECIAL_SIZES = (
    *((640, 427), (1024, 1024), (300, 450), (96, 128), (768, 768), (1600, 900), (500, 375)),
    *((224, 224), (427, 640), (160, 160), (1200, 1600), (333, 250), (512, 768)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One line of the manifest."""

    file_name: str
    caption: str
    kind: str
    width: int
    height: int
    sha256: str


def draw_pictures(folder: Path) -> list[Picture]:
    """Write all pictures and their manifest into a folder, unless this code already did."""
    manifest, marker = folder / MANIFEST, folder / "drawn_by"
    code = fingerprint(with_imports(Path(__file__)))
    if not (marker.is_file() and marker.read_text("utf-8") == code):
        folder.mkdir(parents=True, exist_ok=True)
        lines = []
        for index, (kind, (width, height)) in enumerate(_plan()):
            file = _write(folder, index, kind, draw(index, width, height))
            picture = Picture(
                file_name=file.name,
                caption=CAPTIONS[index % len(CAPTIONS)],
                kind=kind,
                width=width,
                height=height,
                sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            )
            lines.append(json.dumps(asdict(picture), ensure_ascii=False))
        manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
        marker.write_text(code, encoding="utf-8")  # last: all are there
    return read_pictures(folder)


def read_pictures(folder: Path) -> list[Picture]:
    """Read the manifest of a folder."""
    lines = (folder / MANIFEST).read_text(encoding="utf-8").splitlines()
    return [Picture(**json.loads(line)) for line in lines]


def draw(seed: int, width: int, height: int) -> NDArray[np.uint8]:
    """One picture, (height, width, 3)."""
    rng = np.random.default_rng([20, seed])
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    across, down = x / width, y / height
    ends = rng.uniform(0.1, 0.9, (4, 3)).astype(np.float32)
    top = ends[0] + (ends[1] - ends[0]) * across[..., None]
    bottom = ends[2] + (ends[3] - ends[2]) * across[..., None]
    canvas = top + (bottom - top) * down[..., None]
    for _ in range(rng.integers(4, 9)):
        centre, radii = rng.uniform(0, 1, 2), rng.uniform(0.06, 0.35, 2)
        far = np.stack([(across - centre[0]) / radii[0], (down - centre[1]) / radii[1]])
        inside = np.hypot(*far) < 1 if rng.random() < 0.5 else np.abs(far).max(axis=0) < 1
        canvas[inside] = rng.uniform(0, 1, 3)
    for _ in range(3):
        # Cycles a pixel, up to the Nyquist frequency: what antialiasing must remove.
        frequency, angle = rng.uniform(0.02, 0.5), rng.uniform(0, np.pi)
        wave = np.sin(2 * np.pi * frequency * (x * np.cos(angle) + y * np.sin(angle)))
        where = np.abs(across - rng.uniform(0, 1)) < rng.uniform(0.1, 0.4)
        canvas += (0.2 * wave * where)[..., None] * rng.uniform(-1, 1, 3)
    canvas += rng.normal(0, 0.06, canvas.shape)
    pixels: NDArray[np.uint8] = (canvas.clip(0, 1) * 255).round().astype(np.uint8)
    return pixels


def _plan() -> list[tuple[str, tuple[int, int]]]:
    plain = [("rgb-jpeg" if index % 2 else "rgb-png", size) for index, size in enumerate(RGB_SIZES)]
    special = [
        # Each kind meets four sizes, and no two kinds the same four in the same order.
        (kind, SPECIAL_SIZES[(row + step * 3) % len(SPECIAL_SIZES)])
        for step in range(4)
        for row, kind in enumerate(SPECIAL_KINDS)
    ]
    mixed = []
    while plain or special:
        mixed += plain[:1] + special[:2]
        plain, special = plain[1:], special[2:]
    return mixed


def _write(folder: Path, index: int, kind: str, pixels: NDArray[np.uint8]) -> Path:
    image = Image.fromarray(pixels)
    options: dict[str, Any] = {}
    alpha = Image.fromarray(np.roll(pixels[..., 1], 31, axis=1))
    match kind:
        case "grey" | "grey-jpeg":
            image = image.convert("L")
        case "grey-alpha":
            image = Image.merge("LA", [image.convert("L"), alpha])
        case "rgba":
            image.putalpha(alpha)
        case "palette":
            image = image.quantize(64)
        case "palette-transparent":
            image = image.quantize(64)
            options["transparency"] = 3
        case "rgb-colour-key":
            options["transparency"] = tuple(int(value) for value in pixels[0, 0])
        case "one-bit":
            image = image.convert("1")
        case "sixteen-bit":
            image = Image.fromarray(pixels[..., 1].astype(np.uint16) * 257)
        case "cmyk-jpeg":
            image = image.convert("CMYK")
        case "progressive-jpeg":
            options["progressive"] = True
        case "exif-rotated-6" | "exif-rotated-8":
            exif = Image.Exif()
            exif[0x0112] = int(kind[-1])
            options["exif"] = exif
    jpeg = "jpeg" in kind or "exif" in kind
    if jpeg:
        options["quality"] = 92
    file = folder / f"{index:02d}-{kind}.{'jpg' if jpeg else 'png'}"
    image.save(file, **options)
    return file
