"""How drawings in files look: sizes, letters, colours and marks; from a `Figure` to SVG and PNG.

Colours are Okabe and Ito's, which colour-blind readers tell apart, and each has a mark and a dash
of its own, so that a grey print says the same. Text stays text in the SVG. Elsewhere: the files
(`files.figure`), the kinds of drawings (`files.draw_points`, `files.draw_lines`,
`files.draw_heat`).
"""

from __future__ import annotations

import io
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ppdbench.reports.figures import MINUS, is_number
from ppdbench.reports.files.figure import Axis, Figure, Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.lines import Line2D

DPI = 200
WIDTH = 7.0
"""Inches: the text width of a page of paper."""
INK, SOFT, LINE = "#1d1f26", "#5d606b", "#d9d6cd"
STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "text.color": INK,
    "text.parse_math": False,  # a name with two dollars in it is a name
    "xtick.color": SOFT,
    "ytick.color": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8.5,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "ppdbench",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """How one series is drawn."""

    colour: str
    mark: str
    dash: tuple[float, tuple[float, ...]]
    """Offset and lengths of strokes and gaps; none is a whole line."""


HANDS = (
    Hand(colour="#0072b2", mark="o", dash=(0, ())),
    Hand(colour="#d55e00", mark="s", dash=(0, (5, 2))),
    Hand(colour="#009e73", mark="^", dash=(0, (1.5, 1.5))),
    Hand(colour="#cc79a7", mark="D", dash=(0, (5, 1.5, 1.5, 1.5))),
    Hand(colour="#8a6d00", mark="v", dash=(0, (3, 1.5))),
    Hand(colour="#56b4e9", mark="P", dash=(0, (7, 2, 1, 2, 1, 2))),
    Hand(colour="#000000", mark="X", dash=(0, (1, 2.5))),
)


def drawn(figure: Figure) -> dict[str, bytes]:
    """A figure as files: {"png": ..., "svg": ...}, the same bytes for the same figure."""
    import matplotlib
    from matplotlib.figure import Figure as Canvas
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # Nothing of a user's matplotlibrc: a report looks the same everywhere. A letter that the font
    # lacks is a box in the PNG, and whole in the SVG and the CSV: no reason to warn of it.
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        engine = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.05, wspace=0.04, hspace=0.05)
        canvas = Canvas(layout=engine)
        figure.kind(figure, canvas)
        engine.set(rect=_frame(figure, canvas))
        png = _saved(canvas, "png", dpi=DPI, metadata={"Software": None})
        # Laid out once: the second file has the same places.
        canvas.set_layout_engine("none")
        told = {"Date": None, "Creator": "ppdbench", "Title": clean(figure.title)}
        return {"png": png, "svg": _saved(canvas, "svg", metadata=told)}


def _frame(figure: Figure, canvas: Canvas) -> tuple[float, float, float, float]:
    """Title and key above the plots, the note below, each in room that is added for it.

    Returns:
        left, bottom, width and height of what is the plots', as shares of the canvas.
    """
    looks = hands(figure.rows)
    width, plots = canvas.get_size_inches()
    title = wrapped(figure.title, int(11 * width))
    note = wrapped(figure.note, int(17.5 * width)) if figure.note else ""
    across = _keys_across(looks, width)
    keys = -(-len(looks) // across) if len(looks) > 1 else 0
    head = 0.14 + 0.2 * len(title.splitlines()) + 0.21 * keys
    foot = 0.06 + 0.15 * len(note.splitlines())
    height = plots + head + foot
    canvas.set_size_inches(width, height)
    left = 0.08 / width
    canvas.text(left, 1 - 0.08 / height, title, va="top", fontsize=11, fontweight="bold")
    canvas.text(left, 0.06 / height, note, va="bottom", fontsize=7.5, color=SOFT)
    if keys:
        legend = canvas.legend(
            [_key(look, dashed="x" in figure.rows[0]) for look in looks.values()],
            [clean(name) for name in looks],
            loc="upper left",
            bbox_to_anchor=(0.0, 1 - (head - 0.21 * keys - 0.05) / height),
            ncols=across,
            handlelength=3.2,
            borderaxespad=0.3,
        )
        legend.set_in_layout(False)
    return 0.0, foot / height, 1.0, plots / height


def _keys_across(looks: Iterable[str], width: float) -> int:
    """How many entries of a key fit beside each other."""
    longest = max((len(name) for name in looks), default=0)
    return max(1, int(width / (0.75 + 0.072 * longest)))


def _key(look: Hand, *, dashed: bool) -> Line2D:
    """An entry of the key; lines have their dash, points with intervals have none."""
    from matplotlib.lines import Line2D

    return Line2D(
        [],
        [],
        color=look.colour,
        linestyle=look.dash if dashed else "-",
        marker=look.mark,
        markersize=5,
        markerfacecolor="white",
        markeredgewidth=1.5,
        linewidth=1.8,
    )


def _saved(canvas: Canvas, ending: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    canvas.savefig(buffer, format=ending, **settings)
    return buffer.getvalue()


def hands(rows: Iterable[Row]) -> dict[str, Hand]:
    """Series -> how it is drawn, in the order of the rows; the same throughout a figure.

    Series of one `method` share a colour, any other has one of its own; where colours run out they
    come again with other marks and dashes, so that no two look alike up to seven of a colour.
    """
    families: dict[str, str] = {}
    for row in rows:
        name = str(row.get("series") or "")
        families.setdefault(name, str(row.get("method") or name))
    places = {family: place for place, family in enumerate(dict.fromkeys(families.values()))}
    drawn: Counter[int] = Counter()
    found = {}
    for name, family in families.items():
        place = places[family]
        colour = place % len(HANDS)
        number = (place + drawn[colour]) % len(HANDS)
        drawn[colour] += 1
        found[name] = replace(HANDS[number], colour=HANDS[colour].colour)
    return found


def panels(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Panel -> its rows, in their order; one without a name where there are no panels."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row.get("panel") or ""), []).append(row)
    return found


def clean(text: str) -> str:
    """Text without what no drawing can hold: control characters and line breaks."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def wrapped(text: str, letters: int) -> str:
    """Text in lines of so many letters, control characters left out."""
    return "\n".join(textwrap.wrap(clean(text), letters)) or clean(text)


def scale(axes: Axes, axis: Axis, which: str) -> None:
    """Give one direction of a plot its label, ends, unit and line of reference.

    Args:
        axes: the plot.
        axis: how its numbers read.
        which: "x" or "y".
    """
    from matplotlib.ticker import FuncFormatter

    own = axes.xaxis if which == "x" else axes.yaxis
    own.set_label_text(wrapped(axis.label, 60))
    if axis.log:
        (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    elif axis.unit:
        own.set_major_formatter(FuncFormatter(lambda value, _: in_unit(value, axis)))
    if which == "x":
        axes.set_xlim(left=axis.low, right=axis.high)
    else:
        axes.set_ylim(bottom=axis.low, top=axis.high)
    if axis.line is not None:
        draw = axes.axvline if which == "x" else axes.axhline
        draw(axis.line, color=SOFT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)


def in_unit(value: float, axis: Axis, decimals: int | None = None) -> str:
    """A number as an axis prints it: three digits, or so many decimals, and its unit."""
    by = 100 if axis.unit else 1
    form = ".3g" if decimals is None else f".{decimals}f"
    text = f"{by * value:{form}}".replace("-", MINUS)
    if axis.unit == "%":
        return f"{text}%"
    return f"+{text}" if axis.unit == "points" and value > 0 else text


def value_of(row: Row, key: str) -> float | None:
    """A number of a row; None where there is none."""
    value = row.get(key)
    return float(value) if is_number(value) else None
