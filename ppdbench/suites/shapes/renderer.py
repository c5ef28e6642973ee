"""The seeded renderer: scenes and continuous styles to 64 x 64 anti-aliased pictures.

Shapes are signed distance fields, so an edge pixel's coverage is exact to a fraction of a
pixel. Style is what users may like or dislike; it is never read back from here, only measured
from pixels (`attributes.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ppdbench.suites.shapes.scenes import Scene

SIDE = 64
RADII = {"small": 7.0, "medium": 11.2, "large": 16.5, None: 8.6}
"""Circumradius-like size in pixels; None is an object of a two-object caption."""
COLOUR_RGB = {
    "red": (222, 38, 38),
    "orange": (242, 138, 28),
    "yellow": (244, 226, 50),
    "green": (52, 178, 60),
    "blue": (54, 96, 238),
    "purple": (142, 52, 198),
    "pink": (250, 142, 200),
    "white": (246, 246, 246),
}
BACKGROUND_RGB = {
    "teal": (12, 120, 124),
    "grey": (126, 126, 126),
    "black": (24, 24, 24),
    "navy": (24, 34, 100),
    "maroon": (104, 22, 40),
    "olive": (108, 112, 34),
}


@dataclass(frozen=True, slots=True)
class Styles:
    """The style of N pictures; every field is a float32 array of shape (N,)."""

    x: NDArray[np.float32]
    """Offset of the object or group from the centre, pixels."""
    y: NDArray[np.float32]
    size: NDArray[np.float32]
    """Factor on the caption's radius."""
    spread: NDArray[np.float32]
    """Half distance between two objects, pixels."""
    brightness: NDArray[np.float32]
    """Added to all channels, in [0, 1] units."""
    contrast: NDArray[np.float32]
    """Factor about mid-grey."""
    saturation: NDArray[np.float32]
    """Factor about each pixel's luma."""
    warmth: NDArray[np.float32]
    """Added to red and taken from blue."""
    gradient: NDArray[np.float32]
    """Light from above (positive) or below, amplitude on the background."""
    texture: NDArray[np.float32]
    """Amplitude of diagonal stripes on the background."""
    tint: NDArray[np.float32]
    """Jitter of the object's and the background's colour, shape (N, 3, 3): two objects, ground."""

    def __len__(self) -> int:
        return len(self.x)


def sample_styles(count: int, rng: np.random.Generator, *, widen: float = 1.0) -> Styles:
    """Draw styles independently and uniformly; `widen` > 1 stretches the look beyond the world's.

    Widened styles train what must still read a picture that a tuned model pushed to an extreme.
    """

    def uniform(low: float, high: float) -> NDArray[np.float32]:
        return rng.uniform(low, high, count).astype(np.float32)

    w = widen
    return Styles(
        x=uniform(-11, 11),
        y=uniform(-11, 11),
        size=uniform(0.9, 1.1),
        spread=uniform(12, 15),
        brightness=uniform(-0.09 * w, 0.09 * w),
        contrast=uniform(1 - 0.2 * w, 1 + 0.2 * w),
        saturation=uniform(1 - 0.4 * w, 1 + 0.4 * w),
        warmth=uniform(-0.07 * w, 0.07 * w),
        gradient=uniform(-0.14 * w, 0.14 * w),
        texture=np.maximum(uniform(-0.03, 0.12 * w), 0),
        tint=rng.normal(0, 0.025, (count, 3, 3)).astype(np.float32),
    )


def render(scenes: Sequence[Scene], styles: Styles, *, block: int = 512) -> NDArray[np.uint8]:
    """Draw N scenes in N styles: uint8 RGB of shape (N, 64, 64, 3).

    Args:
        scenes: what to draw, N of them.
        styles: how, one a scene.
        block: scenes drawn at once; changes memory, no pixel.

    Raises:
        ValueError: there are not as many styles as scenes.
    """
    if len(scenes) != len(styles):
        raise ValueError(f"{len(scenes)} scenes but {len(styles)} styles")
    out = np.empty((len(scenes), SIDE, SIDE, 3), np.uint8)
    for start in range(0, len(scenes), block):
        rows = slice(start, min(start + block, len(scenes)))
        out[rows] = _render_block(scenes[rows], styles, np.arange(rows.start, rows.stop))
    return out


def _render_block(
    scenes: Sequence[Scene], styles: Styles, rows: NDArray[np.int_]
) -> NDArray[np.uint8]:
    centre = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    ys, xs = np.meshgrid(centre, centre, indexing="ij")

    def column(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return values[rows][:, None, None]

    ground = np.array([BACKGROUND_RGB[s.background] for s in scenes], np.float32) / 255
    ground = ground + styles.tint[rows, 2]
    light = column(styles.gradient) * (-ys / SIDE * 2)[None]
    stripes = column(styles.texture) * np.sin((xs + ys) * (2 * np.pi / 8))[None]
    image = ground[:, None, None, :] + (light + stripes)[..., None]

    for slot in range(2):
        here = np.array([slot < len(s.things) for s in scenes])
        if not here.any():
            continue
        things = [s.things[slot] if slot < len(s.things) else s.things[0] for s in scenes]
        offset_x, offset_y = _offsets(scenes, styles, rows, slot)
        dx, dy = xs[None] - offset_x[:, None, None], ys[None] - offset_y[:, None, None]
        radius = np.array([RADII[t.size] for t in things], np.float32) * styles.size[rows]
        distance = np.empty(dx.shape, np.float32)
        kinds = np.array([t.shape for t in things])
        for kind in np.unique(kinds):
            of_kind = kinds == kind
            distance[of_kind] = _distance(
                str(kind), dx[of_kind], dy[of_kind], radius[of_kind][:, None, None]
            )
        cover = np.clip(0.5 - distance, 0, 1) * here[:, None, None]
        colour = np.array([COLOUR_RGB[t.colour] for t in things], np.float32) / 255
        colour = colour + styles.tint[rows, slot]
        image += cover[..., None] * (colour[:, None, None, :] - image)

    luma = image @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    image = luma[..., None] + styles.saturation[rows][:, None, None, None] * (
        image - luma[..., None]
    )
    image = (image - 0.5) * styles.contrast[rows][:, None, None, None] + 0.5
    image += styles.brightness[rows][:, None, None, None]
    image[..., 0] += column(styles.warmth)
    image[..., 2] -= column(styles.warmth)
    return np.asarray(np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _offsets(
    scenes: Sequence[Scene], styles: Styles, rows: NDArray[np.int_], slot: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Centre of the slot's object: x and y of shape (N,), pixels from the picture's centre."""
    side = 2.0 * slot - 1
    x, y = styles.x[rows].copy(), styles.y[rows].copy()
    beside = np.array([s.axis == "side by side" for s in scenes])
    stacked = np.array([s.axis == "stacked" for s in scenes])
    # Two objects leave less room along their axis than one.
    x[beside], y[stacked] = x[beside] * 0.5, y[stacked] * 0.5
    x = x + np.where(beside, side * styles.spread[rows], 0)
    y = y + np.where(stacked, side * styles.spread[rows], 0)
    return x.astype(np.float32), y.astype(np.float32)


def _distance(
    shape: str, x: NDArray[np.float32], y: NDArray[np.float32], r: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Signed distance to the shape's edge in pixels, negative inside (exact or a tight bound)."""
    if shape == "circle":
        return np.asarray(np.hypot(x, y) - r * 0.95)
    if shape == "ring":
        return np.asarray(np.abs(np.hypot(x, y) - r * 0.76) - r * 0.22)
    if shape == "square":
        half = r * 0.84
        return np.asarray(np.maximum(np.abs(x), np.abs(y)) - half)
    if shape == "diamond":
        return np.asarray((np.abs(x) + np.abs(y) - r * 1.15) / np.float32(np.sqrt(2)))
    if shape == "cross":
        arm, length = r * 0.32, r * 1.02
        upright = np.maximum(np.abs(x) - arm, np.abs(y) - length)
        level = np.maximum(np.abs(x) - length, np.abs(y) - arm)
        return np.asarray(np.minimum(upright, level))
    if shape == "triangle":
        slope = np.float32(np.sqrt(3))
        y = y - r * 0.2
        base = y - r * 0.65
        sides = (slope * np.abs(x) - (y + r * 1.25)) / 2
        return np.asarray(np.maximum(base, sides))
    raise ValueError(f"unknown shape {shape!r}")
