"""Figures as files: the data exact, the bytes the same, nothing drawn twice, names never markup."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as Xml
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest
from PIL import Image

from ppdbench.errors import PpdbenchError
from ppdbench.reports.files import draw_heat, draw_lines, draw_points
from ppdbench.reports.files.figure import Axis, Drawing, Figure, Row, csv_text, write_figures
from ppdbench.reports.files.style import HANDS, hands

HOSTILE = '<script>alert("$x^2$")</script> &amp;\x07 $\\frac$ \u4e2d\u6587'


def rows_of(kind: Drawing) -> list[Row]:
    values = (("a", 0.1 + 0.2, 0.1, 0.5), (HOSTILE, 0.7, None, None), ("c", None, None, None))
    if kind is draw_lines.draw:
        return [
            {"series": HOSTILE, "x": x, "value": v, "ci_low": low, "ci_high": high, "label": name}
            for x, (name, v, low, high) in enumerate(values)
        ]
    return [
        {
            "panel": HOSTILE,
            "row": name,
            "column": "one",
            "series": series,
            "value": v,
            "ci_low": low,
            "ci_high": high,
            "reason": None if v is not None else HOSTILE,
        }
        for series in ("own", "gold")
        for name, v, low, high in values
    ]


def made(kind: Drawing = draw_points.draw, name: str = "made") -> Figure:
    return Figure(
        name=name,
        title=f"A figure of {HOSTILE}",
        kind=kind,
        rows=rows_of(kind),
        x=Axis(label="win rate", unit="%", low=0.0, high=1.0, line=0.5),
        note=f"note {HOSTILE}",
    )


def test_no_two_series_look_alike_and_a_method_has_one_colour() -> None:
    alone = hands([{"series": str(number)} for number in range(21)])
    assert len(set(alone.values())) == 21
    assert [alone[str(number)] for number in range(7)] == list(HANDS)
    names = [(f"method {m}", f"method {m}, beta {b}") for m in range(8) for b in range(3)]
    found = hands([{"series": series, "method": method} for method, series in names])
    assert len(set(found.values())) == 24
    for method in dict.fromkeys(method for method, _ in names):
        assert len({found[series].colour for of, series in names if of == method}) == 1


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "figures").iterdir())}


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (folder / "figures").iterdir()}


@pytest.fixture
def foreign_style() -> Iterator[None]:
    with matplotlib.rc_context({"font.size": 30, "svg.hashsalt": "mine", "text.usetex": True}):
        yield


@pytest.mark.parametrize("kind", [draw_points.draw, draw_lines.draw, draw_heat.draw])
@pytest.mark.filterwarnings("error")
def test_every_kind_is_drawn_with_its_text_as_text(kind: Drawing, tmp_path: Path) -> None:
    assert write_figures(tmp_path, [made(kind)]) == ("made",)
    svg = (tmp_path / "figures" / "made.svg").read_text(encoding="utf-8")
    root = Xml.fromstring(svg)  # noqa: S314 - our own file
    said = " ".join(root.itertext())
    assert '<script>alert("$x^2$")</script>' in said and "\u4e2d\u6587" in said
    assert not [tag for tag in root.iter() if tag.tag.endswith("}script")]
    assert "<dc:date>" not in svg
    with Image.open(tmp_path / "figures" / "made.png") as image:
        assert image.width >= 1000 and "Software" not in image.info


@pytest.mark.usefixtures("foreign_style")
def test_the_same_figure_is_the_same_bytes_whatever_the_users_style(tmp_path: Path) -> None:
    write_figures(tmp_path / "one", [made()])
    with matplotlib.rc_context({"font.size": 5, "text.usetex": False}):
        write_figures(tmp_path / "other", [made()])
    assert content(tmp_path / "one") == content(tmp_path / "other")
    assert matplotlib.rcParams["font.size"] == 30, "the user's own style is left as it was"


def test_the_csv_is_the_data(tmp_path: Path) -> None:
    write_figures(tmp_path, [made()])
    text = (tmp_path / "figures" / "made.csv").read_text(encoding="utf-8")
    read = list(csv.DictReader(io.StringIO(text)))
    assert [row["row"] for row in read] == [row["row"] for row in made().rows]
    assert float(read[0]["value"]) == 0.1 + 0.2, "not rounded"
    assert read[2]["value"] == read[1]["ci_low"] == "", "what is not known is empty, never 0"


def test_nothing_is_written_again_where_nothing_changed(tmp_path: Path) -> None:
    write_figures(tmp_path, [made(), made(draw_heat.draw, "heat")])
    before = times(tmp_path)
    write_figures(tmp_path, [made(), made(draw_heat.draw, "heat")])
    assert times(tmp_path) == before
    changed = replace(made(), rows=[{**row, "value": 0.9} for row in made().rows])
    write_figures(tmp_path, [changed, made(draw_heat.draw, "heat")])
    moved = {name for name, time in times(tmp_path).items() if time != before[name]}
    assert moved == {"made.csv", "made.png", "made.svg", "index.json"}


def test_a_lost_file_is_made_again_and_a_figure_that_is_no_more_goes(tmp_path: Path) -> None:
    write_figures(tmp_path, [made(), made(name="other")])
    whole = content(tmp_path)
    (tmp_path / "figures" / "made.png").unlink()
    (tmp_path / "figures" / "mine.txt").write_text("not ours")
    write_figures(tmp_path, [made()])
    assert content(tmp_path)["made.png"] == whole["made.png"]
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {"made.csv", "made.png", "made.svg", "index.json", "mine.txt"}


@pytest.mark.parametrize("index", [b"{", b"[]", b'{"schema_version": 2, "figures": {"made": "0"}}'])
def test_a_damaged_index_costs_one_drawing(tmp_path: Path, index: bytes) -> None:
    write_figures(tmp_path, [made()])
    whole = content(tmp_path)
    (tmp_path / "figures" / "index.json").write_bytes(index)
    write_figures(tmp_path, [made()])
    assert content(tmp_path) == whole


def test_an_index_removes_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "mine.csv").write_text("a")
    index = '{"schema_version": 1, "figures": {"../mine": "0"}}'
    (tmp_path / "figures" / "index.json").write_text(index)
    write_figures(tmp_path, [made()])
    assert (tmp_path / "mine.csv").read_text() == "a"


def test_a_spreadsheet_runs_no_name() -> None:
    rows: list[Row] = [{"row": '=HYPERLINK("x")', "value": -1.5}, {"row": "+a", "value": True}]
    assert csv_text(rows) == 'row,value\n"\'=HYPERLINK(""x"")",-1.5\n\'+a,true\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="no figure"):
        csv_text([{"value": value}])


def test_rows_of_other_columns_names_of_paths_and_twins_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="columns"):
        csv_text([{"a": 1}, {"b": 1}])
    with pytest.raises(ValueError, match="no name of files"):
        write_figures(tmp_path, [made(name="../made")])
    with pytest.raises(PpdbenchError, match="one name"):
        write_figures(tmp_path, [made(), made()])
    assert not list(tmp_path.rglob("*.csv"))
