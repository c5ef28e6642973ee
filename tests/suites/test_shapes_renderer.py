"""The renderer: the same picture in any batch, shapes where the caption says, styles that act."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from shapes_hands import picture, plain

from ppdbench.suites.shapes import renderer
from ppdbench.suites.shapes.renderer import (
    BACKGROUND_RGB,
    COLOUR_RGB,
    RADII,
    Styles,
    render,
    sample_styles,
)
from ppdbench.suites.shapes.scenes import (
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    SIZES,
    Scene,
    double_scenes,
    parse,
    single_scenes,
)

GOLDEN = {
    "a small red circle on a teal background": (
        "edae21cf75968a305f2ea29a222bddf213f840eba24472bd86a64c7a846c1337"
    ),
    "a medium green square on a grey background": (
        "1f4d585b59037cddf4b729ca1cbad08e569d8d85090de18b9d9141f3674beb28"
    ),
    "a small purple diamond on a black background": (
        "fb06b185d13714b1fdb5e6c99ee494c91ca7e323bb54d626df160082563177d9"
    ),
    "a medium white cross on a maroon background": (
        "382a70d905445c5c5f37998a6ae0ca7c40f04d21c80dee40dcd7172f36ee0b57"
    ),
    "a blue circle left of an orange ring on a black background": (
        "f7638906684f006abd98bd9655b6883f63a34f24ed22a2b2b0fc6da713038abd"
    ),
    "a green cross above a white triangle on a teal background": (
        "cc535070f1090d1fc3a89bdb8ad27cbbf4dae9a313b52ea770f30b9f277c4dde"
    ),
}
"""sha256 of plain pictures' bytes. Chosen so that no pixel lies near a rounding boundary: another
value is another world, hence another suite version, and not another machine."""


def row(styles: Styles, index: int) -> Styles:
    return Styles(**{name: getattr(styles, name)[index : index + 1] for name in Styles.__slots__})


def mixed(count: int) -> list[Scene]:
    singles, doubles = list(single_scenes()), list(double_scenes())
    return [(singles if i % 3 else doubles)[i * 13] for i in range(count)]


@pytest.mark.parametrize("caption", GOLDEN)
def test_pictures_are_frozen(caption: str) -> None:
    assert hashlib.sha256(picture(caption).tobytes()).hexdigest() == GOLDEN[caption]


def test_the_same_picture_twice() -> None:
    scenes, styles = mixed(20), sample_styles(20, np.random.default_rng(3))
    assert np.array_equal(render(scenes, styles), render(scenes, styles))


def test_styles_come_from_the_generator_alone() -> None:
    first, second, other = (sample_styles(9, np.random.default_rng(seed)) for seed in (3, 3, 4))
    for name in Styles.__slots__:
        assert np.array_equal(getattr(first, name), getattr(second, name))
        assert getattr(first, name).dtype == np.float32
    assert not np.array_equal(first.x, other.x)


@pytest.mark.parametrize("block", [1, 7, 512])
def test_a_picture_does_not_depend_on_its_batch(block: int) -> None:
    scenes, styles = mixed(24), sample_styles(24, np.random.default_rng(5))
    together = render(scenes, styles, block=block)
    for index in range(len(scenes)):
        alone = render([scenes[index]], row(styles, index))[0]
        assert np.array_equal(alone, together[index])


def test_no_scenes_are_no_pictures() -> None:
    assert render([], plain(0)).shape == (0, 64, 64, 3)


def test_scenes_and_styles_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="2 scenes but 3 styles"):
        render(mixed(2), plain(3))


@pytest.mark.parametrize("colour", COLOURS)
def test_the_object_has_its_colour_and_the_ground_its_own(colour: str) -> None:
    drawn = picture(f"a large {colour} circle on a navy background")
    assert np.abs(drawn[31, 31].astype(int) - COLOUR_RGB[colour]).max() <= 1
    assert np.abs(drawn[0, 0].astype(int) - BACKGROUND_RGB["navy"]).max() <= 1


def test_colours_are_told_apart() -> None:
    palette = np.array([*COLOUR_RGB.values(), *BACKGROUND_RGB.values()], float)
    assert [*COLOUR_RGB] == [*COLOURS] and [*BACKGROUND_RGB] == [*BACKGROUNDS]
    apart = np.abs(palette[:, None] - palette[None]).max(-1) + 999 * np.eye(len(palette))
    assert apart.min() > 30


@pytest.mark.parametrize("shape", SHAPES)
def test_edges_are_anti_aliased(shape: str) -> None:
    """Off the pixel grid an edge takes shades between the two colours, and only between them."""
    drawn = picture(f"a large white {shape} on a black background", x=0.37, y=0.21)[..., 0]
    low, high = BACKGROUND_RGB["black"][0], COLOUR_RGB["white"][0]
    assert drawn.min() == low and drawn.max() == high
    between = (drawn > low + 8) & (drawn < high - 8)
    assert between.sum() >= 12
    assert len(np.unique(drawn[between])) >= 3


@pytest.mark.parametrize("shape", SHAPES)
def test_half_a_pixel_is_seen(shape: str) -> None:
    """Coverage moves with the object by less than a pixel, and keeps its area."""
    caption = f"a medium white {shape} on a black background"
    here, there = (picture(caption, x=x).astype(float) for x in (0.0, 0.5))
    assert np.abs(here - there).max() > 20
    assert there.sum() == pytest.approx(here.sum(), rel=0.02)


@pytest.mark.parametrize("shape", SHAPES)
def test_area_is_that_of_the_shape(shape: str) -> None:
    """Coverage summed over pixels against the area by geometry, in pixels."""
    r = RADII["large"]
    assert r is not None
    arm, length = 0.32 * r, 1.02 * r
    # Sides at slope sqrt(3) from the apex at -1.05 r to the base at 0.85 r (y grows downwards).
    height = 1.9 * r
    area = {
        "circle": np.pi * (0.95 * r) ** 2,
        "ring": np.pi * ((0.98 * r) ** 2 - (0.54 * r) ** 2),
        "square": (2 * 0.84 * r) ** 2,
        "diamond": 2 * (1.15 * r) ** 2,
        "cross": 2 * (2 * arm * 2 * length) - (2 * arm) ** 2,
        "triangle": height**2 / np.sqrt(3),
    }[shape]
    drawn = picture(f"a large white {shape} on a black background")[..., 0].astype(float)
    low, high = BACKGROUND_RGB["black"][0], COLOUR_RGB["white"][0]
    assert ((drawn - low) / (high - low)).sum() == pytest.approx(area, rel=0.05)


def centre_of(colour: str, caption: str, **style: float) -> tuple[float, float]:
    """Mean x and y of the pixels that look like a colour."""
    drawn = picture(caption, **style).astype(int)
    near = np.abs(drawn - np.array(COLOUR_RGB[colour])).max(-1) < 30
    ys, xs = np.nonzero(near)
    return float(xs.mean()), float(ys.mean())


@pytest.mark.parametrize(
    ("relation", "axis", "sign"),
    [("left of", 0, -1), ("right of", 0, 1), ("above", 1, -1), ("below", 1, 1)],
)
def test_relations_hold_in_pixels(relation: str, axis: int, sign: int) -> None:
    caption = f"a red circle {relation} a blue square on a black background"
    for style in ({}, {"x": 11.0, "y": -11.0}, {"x": -11.0, "y": 11.0, "spread": 12.0}):
        red, blue = (centre_of(colour, caption, **style) for colour in ("red", "blue"))
        assert sign * (red[axis] - blue[axis]) > 20
        assert abs(red[1 - axis] - blue[1 - axis]) < 1


def test_sizes_are_ordered_even_at_their_extremes() -> None:
    areas = []
    for size, factor in zip(SIZES, (1.1, 0.9, 0.9), strict=True):
        for f in (factor, 1.1 if size == "medium" else factor):
            drawn = picture(f"a {size} white circle on a black background", size=f)
            areas.append(int((drawn[..., 0] > 128).sum()))
    small, _, medium_least, medium_most, large, _ = areas
    assert small < medium_least < medium_most < large


def test_objects_stay_in_the_picture() -> None:
    """Any sampled style: the ground's colour rules the border's middle, so nothing is cut away."""
    rng = np.random.default_rng(0)
    for caption in (
        "a large white square on a black background",
        "a white square left of a red circle on a black background",
    ):
        styles = sample_styles(64, rng)
        flat = Styles(
            **{
                name: getattr(plain(64), name)
                if name not in ("x", "y", "size", "spread")
                else getattr(styles, name)
                for name in Styles.__slots__
            }
        )
        drawn = render([parse(caption)] * 64, flat)
        border = np.concatenate([drawn[:, 0], drawn[:, -1], drawn[:, :, 0], drawn[:, :, -1]], 1)
        assert (border.max(-1) < 128).mean() > 0.97


def test_styles_act_as_named() -> None:
    caption = "a medium green circle on a teal background"
    drawn = picture(caption).astype(float)
    assert picture(caption, brightness=0.1).mean() - drawn.mean() == pytest.approx(25.5, abs=1)
    assert picture(caption, contrast=1.2).std() > drawn.std()
    grey = picture(caption, saturation=0.0).astype(float)
    assert np.ptp(grey, axis=-1).max() <= 1
    warm = picture(caption, warmth=0.05).astype(float) - drawn
    assert warm[..., 0].mean() == pytest.approx(12.75, abs=1)
    assert warm[..., 1].mean() == pytest.approx(0, abs=0.1)
    assert warm[..., 2].mean() == pytest.approx(-12.75, abs=1)
    lit = picture(caption, gradient=0.1).astype(float) - drawn
    assert lit[0].mean() > 15 > -15 > lit[-1].mean()
    striped = picture(caption, texture=0.1)
    assert striped[0, :, 1].std() > 10 and drawn[0, :, 1].std() == 0
    assert np.array_equal(striped[31, 31], drawn[31, 31])  # the texture is on the ground


def test_widened_styles_reach_further_in_look_only() -> None:
    plainly, wide = (sample_styles(4000, np.random.default_rng(1), widen=w) for w in (1.0, 1.5))
    for name in ("brightness", "saturation", "warmth", "gradient", "contrast"):
        assert np.ptp(getattr(wide, name)) / np.ptp(getattr(plainly, name)) == pytest.approx(1.5)
    for name in ("x", "y", "size", "spread"):
        assert np.array_equal(getattr(wide, name), getattr(plainly, name))


def test_an_unknown_shape_is_refused() -> None:
    zero = np.zeros((1, 1, 1), np.float32)
    with pytest.raises(ValueError, match="unknown shape 'star'"):
        renderer._distance("star", zero, zero, zero)
