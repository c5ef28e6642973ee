"""Draws the map of docs/architecture.md: `python docs/images/architecture.py`, writes the SVG.

Rooms and their order come from the import contracts in pyproject.toml, what a room is for from the
first line of its docstring, stages from the modules that do them: a room that is new, gone or moved
changes the drawing, and a test holds the committed one against this script.
"""

from __future__ import annotations

import ast
import textwrap
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(__file__).with_suffix(".svg")

WIDTH, EDGE, GAP = 1000, 20, 8
HARNESS = 660
"""Width of the harness' column; the trainers' takes the rest."""
ROW, HEAD, LINE = 46, 20, 13
LETTER = 6.0
"""Width of a small letter, about: what text is wrapped by."""
INK, SOFT, PAPER, EDGES = "#1d1f26", "#5d606b", "#f7f5f0", "#b9b5aa"
FILLS = ("#dce8ef", "#ffffff")
"""Of rooms that the trainers may import, and of those that they may not."""

STAGES = (
    ("plan", "ppdbench/benchmarks/job.py", "spec.json"),
    ("generate", "ppdbench/benchmarks/generate.py", "images/, generations.jsonl"),
    ("measure", "ppdbench/benchmarks/measure.py", "scores.jsonl"),
    ("summarise", "ppdbench/benchmarks/summary.py", "summary.json"),
    ("report", "ppdbench/reports/html.py", "report.html"),
    ("entry", "ppdbench/leaderboard/add.py", "entry.yaml, scores.jsonl"),
)
"""The one way through: a stage, the module that does it, and what it leaves."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """A folder or module at the top of a package."""

    name: str
    says: str
    """The first line of its docstring."""


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def contracts() -> list[dict[str, Any]]:
    """The import contracts of pyproject.toml."""
    found: list[dict[str, Any]] = _project()["tool"]["importlinter"]["contracts"]
    return found


def entry_points() -> dict[str, dict[str, str]]:
    """Group of plug-ins -> name -> what it names, of our own."""
    found: dict[str, dict[str, str]] = _project()["project"]["entry-points"]
    return {group.removeprefix("ppdbench."): own for group, own in found.items()}


def layers(package: str) -> list[list[str]]:
    """Rows of rooms, from what imports to what is imported."""
    (found,) = (
        each["layers"]
        for each in contracts()
        if each["type"] == "layers" and each["containers"] == [package]
    )
    return [row.split(" | ") for row in found]


def closed_to_trainers() -> set[str]:
    """Rooms of the harness that the trainers may not import."""
    (found,) = (
        each["forbidden_modules"]
        for each in contracts()
        if each["type"] == "forbidden" and each["source_modules"] == ["trainers"]
    )
    return {name.removeprefix("ppdbench.") for name in found}


def rooms(package: str) -> dict[str, Room]:
    """The folders of a package and, of the harness, the modules beside them, by name."""
    found = {}
    for path in sorted((ROOT / package).iterdir()):
        inside = path / "__init__.py"
        if inside.is_file():
            found[path.name] = Room(name=path.name, says=_first_line(inside))
        elif package == "ppdbench" and path.suffix == ".py" and not path.stem.startswith("_"):
            found[path.stem] = Room(name=path.stem, says=_first_line(path))
    return found


def _first_line(path: Path) -> str:
    told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return told.partition("\n")[0].replace("`", "")


def drawing() -> str:
    """The SVG's text."""
    top = EDGE + 150
    harness, below = _harness(top)
    trainers = _trainers(top, below)
    height = below + 62
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" font-family="DejaVu Sans, Verdana, sans-serif">',
        "<title>The rooms of ppdbench, who imports whom, and the one way through</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="{SOFT}"/></marker></defs>',
        *_way_through(),
        *harness,
        *trainers,
        *_key(below + 26),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _way_through() -> Iterator[str]:
    """The stages in a line, each with its module and what it leaves."""
    yield _text(EDGE, EDGE + 10, "One way through: suite + model", size=13, bold=True)
    wide = (WIDTH - 2 * EDGE - (len(STAGES) - 1) * 20) / len(STAGES)
    for number, (name, module, left) in enumerate(STAGES):
        if not (ROOT / module).is_file():
            raise FileNotFoundError(f"{module}, which does the stage {name}")
        x, y = EDGE + number * (wide + 20), EDGE + 24
        yield _box(x, y, wide, 72, "#ffffff")
        yield _text(x + 8, y + 18, name, bold=True)
        yield from _lines(x + 8, y + 34, module.removeprefix("ppdbench/"), wide - 12)
        yield from _lines(x + 8, y + 50, left, wide - 12)
        if number:
            yield _arrow(x - 18, y + 36, x - 3, y + 36)


def _harness(top: int) -> tuple[list[str], int]:
    """The harness, a row a layer; and where it ends."""
    known, closed = rooms("ppdbench"), closed_to_trainers()
    rows = layers("ppdbench")
    placed = [name for row in rows for name in row]
    if sorted(placed) != sorted(known):
        unplaced = set(placed) ^ set(known)
        raise ValueError(f"in no layer, or no room: {', '.join(sorted(unplaced))}")
    parts = [
        _text(EDGE, top, "ppdbench/, the harness: a room imports from rows below it", bold=True)
    ]
    y = top + 12
    for row in rows:
        wide = (HARNESS - (len(row) - 1) * GAP) / len(row)
        told = [_wrapped(known[name].says, wide - 16) for name in row]
        tall = max(ROW, HEAD + LINE * max(map(len, told)) + 10)
        for place, (name, lines) in enumerate(zip(row, told, strict=True)):
            x = EDGE + place * (wide + GAP)
            parts.append(_box(x, y, wide, tall, FILLS[name in closed]))
            parts.append(_text(x + 8, y + 17, name, bold=True))
            parts += [
                _text(x + 8, y + HEAD + LINE * (number + 1), line, size=10, colour=SOFT)
                for number, line in enumerate(lines)
            ]
        y += tall + GAP
    return parts, y


def _trainers(top: int, below: int) -> list[str]:
    """The reference entries, beside the harness: rooms in layers first, then the others."""
    known = {"recipes": _recipes(), **rooms("trainers")}
    rows = [["recipes"], *layers("trainers")]
    others = [name for name in known if not any(name in row for row in rows)]
    x = EDGE + HARNESS + 40
    wide = WIDTH - EDGE - x
    parts = [_text(x, top, "trainers/, the reference entries", bold=True)]
    y = top + 12
    for name in [name for row in rows for name in row] + others:
        lines = _wrapped(known[name].says, wide - 16)
        tall = HEAD + LINE * len(lines) + 10
        parts.append(_box(x, y, wide, tall, "#ffffff"))
        parts.append(_text(x + 8, y + 17, name, bold=True))
        parts += [
            _text(x + 8, y + HEAD + LINE * (number + 1), line, size=10, colour=SOFT)
            for number, line in enumerate(lines)
        ]
        y += tall + GAP
    told = (
        "They import the tinted rooms. The harness never imports them: it finds them, as it finds "
        f"anybody's plug-in, by entry points: {', '.join(entry_points())}."
    )
    parts += [
        _text(x, y + 14 + LINE * number, line, size=10, colour=SOFT)
        for number, line in enumerate(_wrapped(told, wide))
    ]
    middle = min(y - 60, below - 60)
    parts.append(_arrow(x - 6, middle, EDGE + HARNESS + 6, middle))
    parts.append(_arrow(EDGE + 6 + HARNESS, middle - 24, x - 6, middle - 24, dashed=True))
    return parts


def _recipes() -> Room:
    """The methods, a module each, as the entry points name them."""
    modules = {target.partition(":")[0] for target in entry_points()["trainers"].values()}
    files = sorted(f"{module.rpartition('.')[2]}.py" for module in modules)
    return Room(name="recipes", says=f"One a method: {', '.join(files)}.")


def _key(y: int) -> Iterator[str]:
    yield _box(EDGE, y - 11, 16, 14, FILLS[0])
    yield _text(EDGE + 24, y, "may be imported by the trainers", size=11, colour=SOFT)
    yield _arrow(EDGE + 270, y - 4, EDGE + 300, y - 4)
    yield _text(EDGE + 308, y, "imports", size=11, colour=SOFT)
    yield _arrow(EDGE + 390, y - 4, EDGE + 420, y - 4, dashed=True)
    yield _text(EDGE + 428, y, "finds by entry point", size=11, colour=SOFT)


def _wrapped(text: str, wide: float) -> list[str]:
    return textwrap.wrap(text, int(wide / LETTER)) or [""]


def _lines(x: float, y: float, text: str, wide: float) -> Iterator[str]:
    lines = textwrap.wrap(text, int(wide / 5.6), break_long_words=False)
    for number, line in enumerate(lines):
        yield _text(x, y + 12 * number, line, size=9, colour=SOFT)


def _box(x: float, y: float, wide: float, tall: float, fill: str) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}" rx="3" '
        f'fill="{fill}" stroke="{EDGES}"/>'
    )


def _text(
    x: float, y: float, text: str, *, size: int = 12, bold: bool = False, colour: str = INK
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}"{weight} fill="{colour}">'
        f"{escape(text)}</text>"
    )


def _arrow(x: float, y: float, to_x: float, to_y: float, *, dashed: bool = False) -> str:
    dash = ' stroke-dasharray="4 3"' if dashed else ""
    return (
        f'<path d="M{x:.1f} {y:.1f} {to_x:.1f} {to_y:.1f}" stroke="{SOFT}" fill="none"{dash} '
        'marker-end="url(#tip)"/>'
    )


if __name__ == "__main__":
    OUT.write_text(drawing(), encoding="utf-8")
