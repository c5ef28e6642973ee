"""Scatter plots of a trade-off: what is gained against the divergence that it costs.

Divergence lies along a root axis, as in Gao, Schulman and Hilton, "Scaling laws for reward model
overoptimization" (arXiv 2210.10760): a KL divergence grows like the square of a step, so its root
is a distance, and the reference itself lies at 0. Elsewhere: the section (`tradeoff.section`), axes
(`scales`), the same on paper (`files.draw_roots`), the layout (`templates/tradeoff.html.j2`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ppdbench.reports.scales import MARGIN, Scale, around, corners, labels, root_ticks, ticks

WIDTH, HEIGHT = 340, 270
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 12, 42
"""Room around the plot for its labels."""
COLOURS = 6
SIGNS = ("circle", "square", "triangle", "diamond", "down")
"""How points are drawn: the curves of one colour are told apart by these and by their dashes."""
DASHES = 4
SIZE = 4.0
OWN = 6.5
"""Half the width of a point, and of one of the run's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a curve is drawn: a class of colour, one of dashes, and a sign."""

    colour: str
    dash: str
    sign: str

    @property
    def path(self) -> str:
        """The sign as it stands in the key, in a box of 12 by 12."""
        return sign_path(self.sign, 6.0, 6.0, 4.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One point: x is a divergence, y what is shown against it, each with its interval."""

    x: float
    x_low: float | None
    x_high: float | None
    y: float
    low: float | None
    high: float | None
    own: bool
    """Whether it is the row that the run is of."""
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A point as drawn: its sign, its interval's lines, and what it says when asked."""

    path: str
    across: tuple[float, float, float] | None
    """x, x and y of the interval of the divergence."""
    up: tuple[float, float, float] | None
    """x, y and y of the other interval."""
    own: bool
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One curve as drawn."""

    look: Look
    line: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scatter:
    """One plot."""

    title: str
    curves: tuple[Curve, ...]
    base: Mark | None
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    zero: float | None
    """Where a gain of 0 lies; None where 0 is not on the axis."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def looks(methods: Mapping[str, str], first: str | None) -> dict[str, Look]:
    """Curve -> how it is drawn: a colour a method, the model's own first, a sign a curve of it.

    No two look alike, up to 20 of one colour: methods that share one, where there are more methods
    than colours, share its signs and dashes, too.

    Args:
        methods: curve -> its method, and what labels taught it.
        first: the method that has the first colour.
    """
    order = list(dict.fromkeys([*([first] if first else []), *methods.values()]))
    drawn: Counter[int] = Counter()
    found = {}
    for curve, method in methods.items():
        colour = order.index(method) % COLOURS
        lap, number = divmod(drawn[colour], len(SIGNS))
        drawn[colour] += 1
        found[curve] = Look(
            colour=f"k{colour}", dash=f"d{(number + lap) % DASHES}", sign=SIGNS[number]
        )
    return found


def across_of(places: Iterable[Place]) -> Scale:
    """The axis of divergence of what these places show."""
    ends = [v for place in places for v in (place.x, place.x_high) if v is not None]
    high = max(ends, default=0.0) or 1.0
    return Scale(low=0.0, high=high * (1 + MARGIN) ** 2, start=LEFT, end=WIDTH - RIGHT, root=True)


def up_of(places: Iterable[Place], *, zero: bool) -> Scale:
    """The upward axis of what these places show; with `zero` it shows 0, too."""
    low, high = around((v for p in places for v in (p.y, p.low, p.high)), zero=zero)
    return Scale(low=low, high=high, start=HEIGHT - BOTTOM, end=TOP)


def scatter(
    title: str,
    curves: Mapping[str, Sequence[Place]],
    base: Place | None,
    drawn: Mapping[str, Look],
    across: Scale,
    up: Scale,
    *,
    plus: bool,
) -> Scatter | None:
    """Lay out a plot; None where there is no point.

    Args:
        title: what is shown.
        curves: curve -> its points in the order of training; "" holds points of no curve.
        base: the reference.
        drawn: curve -> how it is drawn.
        across: the axis of divergence.
        up: the other axis.
        plus: whether ticks of what is above 0 carry a sign.
    """
    plain = Look(colour="k-none", dash="d0", sign="diamond")
    made = tuple(
        Curve(
            look=drawn.get(name, plain),
            line=corners((across(p.x), up(p.y)) for p in places) if name else "",
            marks=tuple(_mark(p, drawn.get(name, plain).sign, across, up) for p in places),
        )
        for name, places in curves.items()
        if places
    )
    if not made:
        return None
    x_marks, y_marks = root_ticks(across.high), ticks(up.low, up.high, 5)
    return Scatter(
        title=title,
        curves=made,
        base=_mark(base, "diamond", across, up) if base else None,
        x_ticks=tuple((across(value), f"{value:g}") for value in x_marks),
        y_ticks=tuple(
            (up(value), text)
            for value, text in zip(y_marks, labels(y_marks, plus=plus), strict=True)
        ),
        zero=up(0.0) if up.low < 0 < up.high else None,
    )


def _mark(place: Place, sign: str, across: Scale, up: Scale) -> Mark:
    x, y = across(place.x), up(place.y)
    return Mark(
        path=sign_path(sign, x, y, OWN if place.own else SIZE),
        across=None
        if place.x_low is None or place.x_high is None
        else (across(place.x_low), across(place.x_high), y),
        up=None if place.low is None or place.high is None else (x, up(place.low), up(place.high)),
        own=place.own,
        said=place.said,
    )


def sign_path(sign: str, x: float, y: float, size: float) -> str:
    """A sign around a place, as the path of an SVG; all signs are of about one area."""
    if sign == "circle":
        r = round(size, 2)
        return f"M{x - r:g} {y:g}a{r:g} {r:g} 0 1 0 {2 * r:g} 0a{r:g} {r:g} 0 1 0 {-2 * r:g} 0z"
    edges, turn, far = {
        "square": (4, 45.0, 1.25),
        "triangle": (3, 30.0, 1.45),
        "down": (3, 90.0, 1.45),
    }.get(sign, (4, 0.0, 1.35))
    around_ = (math.radians(turn + 360 * number / edges) for number in range(edges))
    points = ((x + far * size * math.cos(a), y + far * size * math.sin(a)) for a in around_)
    return "M" + "L".join(f"{round(a, 1):g} {round(b, 1):g}" for a, b in points) + "z"
