"""What users like or dislike, measured from pixels by the field's definitions.

Never read from the renderer's parameters, so that generated pictures are measured the same way.
Elsewhere: who likes what (`people.py`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
"""Pictures measured at once: few enough for a processor's cache."""
ATTRIBUTES = ("brightness", "contrast", "colourfulness", "warmth", "centredness", "detail")

_LUMA = np.array([0.2126, 0.7152, 0.0722])
_RGB_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])


def measure(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Attributes of pictures (N, H, W, 3) uint8 sRGB: (N, 6), columns as in `ATTRIBUTES`.

    brightness: mean luma Y' (Rec. 709), 0 to 1.
    contrast: RMS contrast, the standard deviation of luma (Peli 1990).
    colourfulness: Hasler and Suesstrunk (2003), M^(3), on 0 to 1 channels.
    warmth: mean CIELAB b* (D65), blue negative, yellow positive.
    centredness: minus the distance of the saliency centroid from the centre, in half picture
        widths; saliency is frequency-tuned (Achanta et al. 2009), CIELAB.
    detail: log10 of the mean squared Laplacian of luma (the energy of Laplacian focus measure,
        Subbarao 1993), floored at 1e-6.

    Raises:
        ValueError: not uint8 of shape (N, H, W, 3).
    """
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise ValueError(f"need uint8 (N, H, W, 3), got {images.dtype} {images.shape}")
    blocks = [_measure_block(images[i : i + BLOCK]) for i in range(0, len(images), BLOCK)]
    return np.concatenate(blocks) if blocks else np.empty((0, len(ATTRIBUTES)))


def _measure_block(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    rgb = images.astype(np.float32) / np.float32(255)
    luma = rgb @ _LUMA.astype(np.float32)
    lab = _lab(rgb)
    columns = (
        luma.mean((1, 2)),
        luma.std((1, 2)),
        _colourfulness(rgb),
        lab[..., 2].mean((1, 2)),
        -_centroid_distance(lab),
        np.log10(np.maximum(_laplacian_energy(luma), 1e-6)),
    )
    return np.stack(columns, axis=1).astype(np.float64)


def _colourfulness(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    rg, yb = red - green, 0.5 * (red + green) - blue
    spread = np.hypot(rg.std((1, 2)), yb.std((1, 2)))
    offset = np.hypot(rg.mean((1, 2)), yb.mean((1, 2)))
    return np.asarray(spread + 0.3 * offset)


def _lab(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _RGB_TO_XYZ.T.astype(np.float32) / _WHITE.astype(np.float32)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def _centroid_distance(lab: NDArray[np.float32]) -> NDArray[np.float32]:
    smooth = _blur(lab)
    saliency = np.square(smooth - lab.mean((1, 2), keepdims=True)).sum(-1)
    # Squared and thresholded at its mean, so that a texture does not drag the centroid home.
    saliency = np.maximum(saliency - 1.5 * saliency.mean((1, 2), keepdims=True), 0) + 1e-6
    height, width = saliency.shape[1:]
    ys = (np.arange(height, dtype=np.float32) - (height - 1) / 2) / (height / 2)
    xs = (np.arange(width, dtype=np.float32) - (width - 1) / 2) / (width / 2)
    total = saliency.sum((1, 2))
    y = (saliency * ys[None, :, None]).sum((1, 2)) / total
    x = (saliency * xs[None, None, :]).sum((1, 2)) / total
    return np.asarray(np.hypot(x, y))


def _blur(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Separable binomial blur, 5 taps, edges repeated."""
    kernel = np.array([1, 4, 6, 4, 1], np.float32) / 16
    for axis in (1, 2):
        pad = [(0, 0)] * values.ndim
        pad[axis] = (2, 2)
        padded = np.pad(values, pad, mode="edge")
        size = values.shape[axis]
        values = sum(
            (w * np.take(padded, range(k, k + size), axis=axis) for k, w in enumerate(kernel)),
            start=np.zeros_like(values),
        )
    return values


def _laplacian_energy(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    inner = luma[:, 1:-1, 1:-1]
    laplacian = (
        luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:] - 4 * inner
    )
    return np.asarray(np.square(laplacian).mean((1, 2)))
