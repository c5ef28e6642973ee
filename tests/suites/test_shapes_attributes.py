"""Attributes against their definitions, on arrays made by hand and on pictures of the world."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from shapes_hands import picture

from ppdbench.suites.shapes.attributes import ATTRIBUTES, measure
from ppdbench.suites.shapes.captions import captions
from ppdbench.suites.shapes.people import ATTRIBUTE_SCALE
from ppdbench.suites.shapes.renderer import render, sample_styles
from ppdbench.suites.shapes.scenes import parse

RGB = tuple[float, float, float]


def flat(*rgb: int) -> NDArray[np.uint8]:
    return np.full((64, 64, 3), rgb, np.uint8)


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> NDArray[np.uint8]:
    image = flat(*left)
    image[:, 32:] = right
    return image


def of(image: NDArray[np.uint8], attribute: str) -> float:
    return float(measure(image[None])[0, ATTRIBUTES.index(attribute)])


@pytest.mark.parametrize("level", [0, 51, 128, 255])
def test_brightness_of_grey_is_its_level(level: int) -> None:
    assert of(flat(level, level, level), "brightness") == pytest.approx(level / 255, abs=1e-6)


@pytest.mark.parametrize(
    ("rgb", "weight"),
    [((255, 0, 0), 0.2126), ((0, 255, 0), 0.7152), ((0, 0, 255), 0.0722)],
)
def test_brightness_weighs_channels_as_rec_709(rgb: tuple[int, int, int], weight: float) -> None:
    assert of(flat(*rgb), "brightness") == pytest.approx(weight, abs=1e-6)


def test_contrast_is_the_standard_deviation_of_luma() -> None:
    assert of(flat(90, 12, 200), "contrast") == pytest.approx(0, abs=1e-6)
    assert of(halves((0, 0, 0), (255, 255, 255)), "contrast") == pytest.approx(0.5, abs=1e-5)
    # Two colours of equal luma have none: 0.2126 r = 0.7152 g.
    assert of(halves((252, 0, 0), (0, 75, 0)), "contrast") < 1e-3


def test_colourfulness_is_hasler_and_suesstrunks() -> None:
    """M3 = sqrt(var rg + var yb) + 0.3 sqrt(mean rg^2 + mean yb^2); rg = R-G, yb = (R+G)/2 - B."""
    assert of(flat(77, 77, 77), "colourfulness") == pytest.approx(0, abs=1e-6)
    # Flat red: rg = 1, yb = 1/2, no spread.
    assert of(flat(255, 0, 0), "colourfulness") == pytest.approx(0.3 * np.sqrt(1.25), abs=1e-5)
    # Half red, half blue: rg is 1 and 0, yb is 1/2 and -1: means 1/2, -1/4; spreads 1/2, 3/4.
    expected = np.sqrt(0.25 + 0.5625) + 0.3 * np.sqrt(0.25 + 0.0625)
    image = halves((255, 0, 0), (0, 0, 255))
    assert of(image, "colourfulness") == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("rgb", "b_star"),
    # CIELAB of sRGB primaries under D65, as published.
    [((255, 0, 0), 67.20), ((0, 255, 0), 83.18), ((0, 0, 255), -107.86), ((255, 255, 0), 94.48)],
)
def test_warmth_is_lab_b(rgb: tuple[int, int, int], b_star: float) -> None:
    assert of(flat(*rgb), "warmth") == pytest.approx(b_star, abs=0.05)


def test_greys_are_neither_warm_nor_cold() -> None:
    for level in (3, 60, 255):
        assert abs(of(flat(level, level, level), "warmth")) < 0.05
    assert of(halves((255, 0, 0), (0, 0, 255)), "warmth") == pytest.approx(-20.33, abs=0.1)


def blob(y: int, x: int) -> NDArray[np.uint8]:
    image = flat(30, 30, 30)
    image[y - 4 : y + 4, x - 4 : x + 4] = (240, 60, 60)
    return image


def test_centredness_falls_with_the_distance_from_the_centre() -> None:
    places = [of(blob(32, x), "centredness") for x in (32, 40, 48, 56)]
    assert places[0] == pytest.approx(0, abs=0.01)
    # In half picture widths: the blob's centre lies (x - 32) / 32 away.
    assert places == pytest.approx([0, -0.25, -0.5, -0.75], abs=0.03)
    assert of(blob(48, 48), "centredness") == pytest.approx(-0.5 * np.sqrt(2), abs=0.03)


def test_centredness_knows_no_direction() -> None:
    first = of(blob(32, 44), "centredness")
    for y, x in ((32, 20), (44, 32), (20, 32)):
        assert of(blob(y, x), "centredness") == pytest.approx(first, abs=1e-3)


def test_a_flat_picture_is_centred() -> None:
    assert of(flat(9, 80, 200), "centredness") == pytest.approx(0, abs=1e-3)


def test_detail_is_the_energy_of_the_laplacian() -> None:
    assert of(flat(120, 120, 120), "detail") == pytest.approx(-6)  # the floor
    ramp = np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    assert of(ramp, "detail") == pytest.approx(-6)  # a linear ramp has no second derivative
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    # Every neighbour is the opposite: the Laplacian is +-4 everywhere, its square 16.
    assert of(board, "detail") == pytest.approx(np.log10(16), abs=1e-4)
    stripes = np.tile(np.array([0, 255], np.uint8), 32)[None, :, None].repeat(64, 0).repeat(3, 2)
    assert of(stripes, "detail") == pytest.approx(np.log10(4), abs=1e-4)


def test_pixels_are_all_that_counts() -> None:
    """A copy of the pixels, from wherever, measures the same; any batch too."""
    rng = np.random.default_rng(2)
    scenes = [parse(caption.text) for caption in captions("test")[:30]]
    pictures = render(scenes, sample_styles(30, rng))
    together = measure(pictures)
    assert together.shape == (30, len(ATTRIBUTES)) and together.dtype == np.float64
    for index in (0, 13, 29):
        copied = np.frombuffer(pictures[index].tobytes(), np.uint8).reshape(1, 64, 64, 3)
        np.testing.assert_allclose(measure(copied)[0], together[index], rtol=0, atol=1e-5)


def test_many_pictures_are_measured_in_blocks() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (515, 8, 8, 3), np.uint8)
    np.testing.assert_allclose(measure(pictures)[510:], measure(pictures[510:]), atol=1e-5)
    assert measure(pictures[:0]).shape == (0, len(ATTRIBUTES))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((64, 64, 3), np.uint8),
        np.zeros((1, 3, 64, 64), np.uint8),
        np.zeros((1, 64, 64, 3), np.float32),
    ],
)
def test_other_arrays_are_refused(images: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="need uint8"):
        measure(images)


def test_each_style_moves_its_attribute() -> None:
    caption = "a medium red circle on a teal background"
    plainly = dict(zip(ATTRIBUTES, measure(picture(caption)[None])[0], strict=True))
    for attribute, style in (
        ("brightness", {"brightness": 0.06}),
        ("contrast", {"contrast": 1.2}),
        ("colourfulness", {"saturation": 1.3}),
        ("warmth", {"warmth": 0.06}),
        ("detail", {"texture": 0.1}),
    ):
        assert of(picture(caption, **style), attribute) > plainly[attribute]
    assert of(picture(caption, x=10.0), "centredness") < plainly["centredness"]


def test_the_scale_is_the_spread_within_a_caption() -> None:
    """The frozen scale makes a utility's weights comparable: it must fit the renderer."""
    rng = np.random.default_rng(0)
    scenes = [parse(caption.text) for caption in captions("test")[::20] for _ in range(48)]
    values = measure(render(scenes, sample_styles(len(scenes), rng)))
    spread = np.sqrt(values.reshape(-1, 48, len(ATTRIBUTES)).var(1).mean(0))
    np.testing.assert_allclose(spread, ATTRIBUTE_SCALE, rtol=0.15)


def test_attributes_of_pictures_are_frozen() -> None:
    """Golden; another value is another world, hence another suite version."""
    scenes = [parse(caption.text) for caption in captions("test")[::52]]
    values = measure(render(scenes, sample_styles(5, np.random.default_rng(11))))
    golden = [
        [0.4673, 0.0923, 0.3370, -8.5869, -0.4253, -2.3938],
        [0.1988, 0.1743, 0.1227, 11.7503, -0.2932, -1.6766],
        [0.1918, 0.0575, 0.2362, -6.8237, -0.2635, -3.2328],
        [0.1683, 0.0988, 0.3151, 36.5582, -0.5140, -2.2360],
        [0.2444, 0.1918, 0.1837, -3.9968, -0.3510, -1.6354],
    ]
    np.testing.assert_allclose(values, golden, rtol=0, atol=2e-3)
