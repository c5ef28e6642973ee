"""Ternary plots: corners where they are named, cells that tile and do not overlap."""

from __future__ import annotations

import itertools
import math

import pytest

from ppdbench.benchmarks.interpolation.simplex import Simplex
from ppdbench.reports.interpolation.ternary import HEAD, WIDTH, Point, Ternary, position, ternary

NAMES = ("top", "left", "right")


def points(divisions: int, value: float | None = 0.3) -> list[Point]:
    simplex = Simplex.of(NAMES, 1 / divisions)
    found = []
    for context in simplex.points:
        top, left, right = (dict(context.reward_weights or {})[name] for name in NAMES)
        found.append(Point(weights=(top, left, right), value=value, text="+0.30", said=context.id))
    return found


def plot(divisions: int) -> Ternary:
    made = ternary("a", NAMES, points(divisions), divisions, most=0.6, outlined=1)
    assert made is not None
    return made


def test_corners_of_the_triangle_are_a_side_apart() -> None:
    corners = [position(w) for w in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))]
    for one, other in itertools.combinations(corners, 2):
        assert math.dist(one, other) == pytest.approx(1.0)
    top, left, right = corners
    assert top[1] < left[1] == right[1] and left[0] < top[0] < right[0]
    assert position((1 / 3, 1 / 3, 1 / 3)) == pytest.approx(
        (sum(x for x, _ in corners) / 3, sum(y for _, y in corners) / 3)
    )


@pytest.mark.parametrize("divisions", [2, 4, 10])
def test_cells_lie_in_the_drawing_and_none_on_another(divisions: int) -> None:
    made = plot(divisions)
    assert len(made.cells) == (divisions + 1) * (divisions + 2) // 2
    width = WIDTH / (divisions + 1)
    for cell in made.cells:
        xs, ys = zip(
            *(map(float, corner.split(",")) for corner in cell.corners.split()), strict=True
        )
        assert min(xs) >= -0.1 and max(xs) <= WIDTH + 0.1
        assert min(ys) >= HEAD and max(ys) <= made.height - 20
    for one, other in itertools.combinations(made.cells, 2):
        # Rounded to a tenth of a pixel; cells are as wide as their centres are apart.
        assert math.dist((one.x, one.y), (other.x, other.y)) >= width - 0.25


def test_the_own_corner_is_framed_and_names_stand_at_their_corners() -> None:
    made = plot(4)
    (own,) = [cell for cell in made.cells if cell.said == "weights:left=1"]
    assert made.frame == own.corners
    assert own.x == min(cell.x for cell in made.cells)
    assert [name for *_, name in made.names] == list(NAMES)
    assert made.names[0][1] < HEAD < made.names[1][1] == made.names[2][1] <= made.height


@pytest.mark.parametrize(("value", "tint"), [(0.3, 50), (-0.6, -100), (9.0, 100), (None, None)])
def test_colours_go_from_loss_to_gain_and_no_further(value: float | None, tint: float) -> None:
    own = [*points(2, 0.1)[:-1], points(2, value)[-1]]
    made = ternary("a", NAMES, own, 2, most=0.6)
    assert made is not None and made.cells[-1].tint == tint and made.frame == ""


def test_numbers_are_written_only_where_they_have_room() -> None:
    assert plot(4).size > 10 and plot(20).size == 0


def test_without_a_triangle_or_a_figure_there_is_no_plot() -> None:
    assert ternary("a", NAMES[:2], points(2), 2, most=1.0) is None
    assert ternary("a", NAMES, points(2, None), 2, most=1.0) is None
