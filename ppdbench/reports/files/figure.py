"""Figures as files beside a page: each drawing as SVG and PNG, and the data behind it as CSV.

How to add a figure, to this page or another:

1. Build a `Figure` by a pure function of the summary: a name (its files are `figures/<name>.svg`,
   `.png` and `.csv`), a title, a kind, two axes and rows; None where there is nothing to draw.
2. The rows are the CSV. Every row has the same columns; a value is text, a whole or a decimal
   number, true or false, or None where it is not known. Numbers are as in summary.json (rates 0 to
   1): an `Axis` says how they read on paper. Columns that the kind does not draw are welcome: n,
   p-values, `reason`, which of several sources.
3. The kind is the function that draws: `draw_points.draw`, `draw_lines.draw`, `draw_heat.draw`, or
   one of your own, `draw(figure, canvas)`, which finds an empty matplotlib figure and gives it its
   size and its plots; title, key and note are added around them. Matplotlib is imported in it, not
   above it, and never pyplot. The modules say which columns they read; `panel` splits a figure into
   plots beside each other, `series` gives a colour and a mark (`style.hands`), and a key where
   there are several; series of one `method` share a colour.
4. Put your builder into the list that your page hands to `write_figures(run_dir, figures)`
   (`figure_list` for a run), and print `{{ files(figures, 'name') }}` (macros.html.j2) below the
   page's own drawing.

Nothing of a day, a machine or a user's matplotlibrc is in a file: the same figures give the same
bytes. Elsewhere: how drawings look (`files.style`), the page's own drawings (`plots`, `curves`).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ppdbench.errors import PpdbenchError, from_os_error
from ppdbench.runs.atomic import write_atomic, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

FOLDER = "figures"
INDEX = "index.json"
SCHEMA_VERSION = 1
DRAWING_VERSION = 2
"""Raise it whenever a drawing changes: files of other drawings are then drawn again."""
ENDINGS = ("svg", "png", "csv")

Value = str | int | float | bool | None
Row = Mapping[str, Value]
Drawing = Callable[["Figure", "Canvas"], None]
"""Draws the plots of a figure on an empty matplotlib figure, and sets its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """How the numbers of one direction read; the data stay as they are."""

    label: str = ""
    unit: Literal["", "%", "points"] = ""
    """"%" prints 0.5 as 50%, "points" prints 0.05 as +5."""
    low: float | None = None
    high: float | None = None
    """The ends; None takes them from the data."""
    line: float | None = None
    """Where a dashed line of reference lies, such as 0.5."""
    log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One drawing and its data."""

    name: str
    """Lower-case letters, digits and hyphens: the files' name."""
    title: str
    kind: Drawing
    rows: Sequence[Row]
    x: Axis = field(default_factory=Axis)
    y: Axis = field(default_factory=Axis)
    note: str = ""
    """A line below the drawing: the sample, the intervals, how ties count."""


def write_figures(run_dir: Path, figures: Iterable[Figure]) -> tuple[str, ...]:
    """Write the files of all figures under `run_dir`/figures; returns the figures' names.

    What is there already of the same figure, by its data and by who drew it, is left alone; files
    of a figure that is no more are removed.

    Raises:
        PpdbenchError: a file cannot be written, or two figures have one name.
        ValueError: a name or a row is not in the form that `Figure` asks for.
    """
    folder = run_dir / FOLDER
    found = list(figures)
    names = tuple(figure.name for figure in found)
    if len(set(names)) < len(names):
        raise PpdbenchError(f"two figures of {names} have one name", fix="report this as a defect")
    digests = {figure.name: _digest(figure) for figure in found}
    earlier = _earlier(folder)
    for figure in found:
        whole = all((folder / f"{figure.name}.{ending}").is_file() for ending in ENDINGS)
        if not whole or earlier.get(figure.name) != digests[figure.name]:
            _write(folder, figure)
    try:
        for gone in earlier.keys() - digests.keys():
            for ending in ENDINGS:
                (folder / f"{gone}.{ending}").unlink(missing_ok=True)
    except OSError as error:
        raise from_os_error(error, folder) from error
    if digests != earlier:
        write_json(folder / INDEX, {"schema_version": SCHEMA_VERSION, "figures": digests})
    return names


def csv_text(rows: Sequence[Row]) -> str:
    """Rows as CSV with a header; what is not known is empty, decimals are exact.

    Text that a spreadsheet would run as a formula begins with an apostrophe.

    Raises:
        ValueError: the rows have different columns, or a number is not finite.
    """
    columns = list(rows[0]) if rows else []
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        if list(row) != columns:
            raise ValueError(f"columns {list(row)} are not {columns}")
        writer.writerow([_cell(value) for value in row.values()])
    return buffer.getvalue()


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"{value} is no figure: what is not known is None")
        return repr(value)
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _write(folder: Path, figure: Figure) -> None:
    if not re.fullmatch(r"[a-z0-9-]+", figure.name):
        raise ValueError(f"{figure.name!r} is no name of files")
    from ppdbench.reports.files.style import drawn

    write_atomic(folder / f"{figure.name}.csv", csv_text(figure.rows), sync=False)
    for ending, data in drawn(figure).items():
        write_atomic(folder / f"{figure.name}.{ending}", data, sync=False)


def _digest(figure: Figure) -> str:
    """12 hex digits over all that a figure's files depend on."""
    made_of = {
        **asdict(figure),
        "kind": f"{figure.kind.__module__}.{figure.kind.__qualname__}",
        "rows": [dict(row) for row in figure.rows],
        "drawing": DRAWING_VERSION,
        "matplotlib": version("matplotlib"),
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]


def _earlier(folder: Path) -> dict[str, str]:
    """Figure -> digest of the files that are there; nothing where that is not known."""
    try:
        found = json.loads((folder / INDEX).read_bytes())
        known = found["figures"] if found["schema_version"] == SCHEMA_VERSION else {}
        return {name: digest for name, digest in known.items() if re.fullmatch(r"[a-z0-9-]+", name)}
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return {}
