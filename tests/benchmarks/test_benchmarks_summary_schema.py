"""summary.json is as its schema says, of every kind; nothing else passes; the page shows no more.

That the summaries of all other runs of the toy worlds are valid too, is seen to where these worlds
are set up (`summary_schema.check_every_summary`).
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from every_kind import COMPARISONS, RUNS, WITHHELD, every_kind
from summary_schema import SCHEMA, VALIDATOR, problems
from toy_runs import summary_of
from typer.testing import CliRunner

from ppdbench.cli import app
from ppdbench.cli.console import Console
from ppdbench.cli.results import show_run
from ppdbench.reports import html
from ppdbench.reports.compare import page as compared

ROOT = Path(__file__).resolve().parents[2]
EVERY = (*RUNS, *COMPARISONS, *WITHHELD)
NOT_IN_A_SUMMARY = ("Records of the pictures", "Machine and libraries", "Settings in the")
"""What a page tabulates that is no figure."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """A folder of every kind, in the world that it was made in."""
    with pytest.MonkeyPatch.context() as patch:
        yield every_kind(patch, tmp_path_factory.mktemp("kinds"))


@pytest.fixture(scope="module")
def summaries(folders: Mapping[str, Path]) -> dict[str, Any]:
    """Their summaries, as a reader parses them."""
    return {kind: summary_of(folder) for kind, folder in folders.items()}


# --- the schema itself ----------------------------------------------------------------------------


def schemas(found: Any = SCHEMA) -> Iterator[dict[str, Any]]:
    """Every object of the file that could be a schema."""
    if isinstance(found, dict):
        yield found
    for inner in found.values() if isinstance(found, dict) else found:
        if isinstance(inner, dict | list):
            yield from schemas(inner)


def definition(schema: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = SCHEMA["$defs"].get(schema.get("$ref", "").removeprefix("#/$defs/"), {})
    return found


def objects() -> Iterator[dict[str, Any]]:
    """Every schema of an object with named fields, but for conditions."""
    conditions = [id(s) for each in schemas() for s in schemas(each.get("if", {}))]
    conditions += [id(each["then"]) for each in schemas() if "then" in each and "if" in each]
    yield from (s for s in schemas() if "properties" in s and id(s) not in conditions)


def test_it_is_a_schema_of_draft_2020_12() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(SCHEMA)


def test_every_reference_leads_somewhere_and_every_definition_is_used() -> None:
    referred = {each["$ref"] for each in schemas() if isinstance(each.get("$ref"), str)}
    assert referred == {f"#/$defs/{name}" for name in SCHEMA["$defs"]}


def test_it_names_no_address() -> None:
    text = json.dumps({key: value for key, value in SCHEMA.items() if key != "$schema"})
    assert "://" not in text


def test_every_object_is_closed() -> None:
    """Where names are fixed no other may stand; what others build on is closed by them."""
    built_on = {part.get("$ref", "") for each in schemas() for part in each.get("allOf", ())}
    parts = [SCHEMA["$defs"][ref.removeprefix("#/$defs/")] for ref in built_on if ref]
    free = [
        list(each["properties"])
        for each in objects()
        if not any(each is part for part in parts)
        and each.get("additionalProperties", each.get("unevaluatedProperties")) in (None, True)
    ]
    assert free == []


def test_every_field_says_what_it_is() -> None:
    silent = [
        name
        for each in objects()
        for name, field in each["properties"].items()
        if "description" not in field | definition(field)
        and field.keys() - {"type"}  # a narrower type of a field that is told elsewhere
    ]
    assert silent == []


def test_a_field_that_may_be_absent_says_when() -> None:
    """It, or the object that it is in; those of one benchmark alone are absent without it."""
    required = set().union(*map(need, schemas()))
    silent = [
        name
        for each in objects()
        if "absent" not in each.get("description", "")
        for name, field in each["properties"].items()
        if name not in need(each) | need(each.get("else", {}))
        and not (name in required and "$ref" not in field)  # told once more, by who builds on it
        and "absent" not in told(field).lower()
    ]
    assert silent == []


def need(schema: Mapping[str, Any]) -> set[str]:
    return set(schema.get("required", ()))


def told(field: Mapping[str, Any]) -> str:
    return str(field.get("description") or definition(field).get("description", ""))


def test_the_page_for_people_is_made_of_it() -> None:
    made = subprocess.run(
        [sys.executable, ROOT / ".ci/summary-docs"], capture_output=True, text=True, check=True
    )
    page = (ROOT / "docs/summary.md").read_text(encoding="utf-8")
    assert page == made.stdout, "run `.ci/summary-docs > docs/summary.md`"


def test_every_link_within_the_page_leads_to_a_heading() -> None:
    page = (ROOT / "docs/summary.md").read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", page, flags=re.MULTILINE)
    }
    links = set(re.findall(r"\]\(#([^)]*)\)", page))
    assert links and links <= headings


# --- every kind of summary ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVERY)
def test_it_is_valid(summaries: Mapping[str, Any], kind: str) -> None:
    assert problems(summaries[kind]) == []


def test_every_benchmark_is_there(summaries: Mapping[str, Any]) -> None:
    """Else a kind would be valid for what it lacks."""
    for of, kinds in (
        ("evaluated_run", ("eval", "people")),
        ("judged_run", ("judge",)),
        ("calibration_run", ("calibration",)),
        ("comparison", COMPARISONS),
    ):
        named = SCHEMA["$defs"][of]["properties"]["benchmarks"]["properties"]
        assert named.keys() == set().union(*(summaries[kind]["benchmarks"] for kind in kinds))


def nodes(found: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of everything in a summary, but for what a generator or judge says of itself."""
    if path[-1:] == ("settings",):
        return
    if path:
        yield path
    if isinstance(found, dict | list):
        for key, value in list(found.items() if isinstance(found, dict) else enumerate(found)):
            yield from nodes(value, (*path, key))


def at(summary: Any, path: tuple[str | int, ...]) -> Any:
    for key in path:
        summary = summary[key]
    return summary


@pytest.mark.parametrize("kind", (*RUNS, *COMPARISONS))
def test_no_other_type_passes_anywhere(summaries: Mapping[str, Any], kind: str) -> None:
    summary = copy.deepcopy(summaries[kind])
    passed = []
    for path in nodes(summary):
        parent, key = at(summary, path[:-1]), path[-1]
        kept = parent[key]
        parent[key] = 7 if isinstance(kept, str | list | dict) else ["7"]
        if VALIDATOR.is_valid(summary):
            passed.append(path)
        parent[key] = kept
    assert passed == []


@pytest.mark.parametrize("kind", (*RUNS, *COMPARISONS))
def test_no_unknown_field_passes_anywhere(summaries: Mapping[str, Any], kind: str) -> None:
    summary = copy.deepcopy(summaries[kind])
    passed = []
    for path in [(), *nodes(summary)]:
        found = at(summary, path)
        if isinstance(found, dict) and "settings" not in path:
            found["of no meaning"] = ["7"]
            if VALIDATOR.is_valid(summary):
                passed.append(path)
            del found["of no meaning"]
    assert passed == []


@pytest.mark.parametrize("kind", (*RUNS, *COMPARISONS))
def test_no_field_can_be_missing_unless_it_is_told(summaries: Mapping[str, Any], kind: str) -> None:
    """Names that are data can: there is one reward less, one split less."""
    optional = set().union(*(each["properties"].keys() - need(each) for each in objects()))
    data = {name for each in schemas() for name in each.get("enum", ()) if isinstance(name, str)}
    summary = copy.deepcopy(summaries[kind])
    passed = set()
    for path in nodes(summary):
        parent, key = at(summary, path[:-1]), path[-1]
        if not isinstance(parent, dict) or key in optional | data:
            continue
        kept = dict(parent)
        del parent[str(key)]
        if VALIDATOR.is_valid(summary):
            parent[another(str(key))] = kept[str(key)]
            if not VALIDATOR.is_valid(summary):
                passed.add(path)
        parent.clear()
        parent.update(kept)
    assert passed == set()


def another(name: str) -> str:
    """A name that can stand where this one does, if any can: of a pair of runs, of an edge."""
    letters = re.fullmatch("[A-Z](-[A-Z])?", name)
    return "Y-Z"[-len(name) :] if letters else f"{name}+{name}"


WRONG = {
    "eval": {
        "benchmarks.rewards.plain.red.win_rate": (1.2, "1.2 is greater than the maximum"),
        "benchmarks.rewards.plain.red.ci_low": (float("nan"), "nan is not JSON"),
        "benchmarks.rewards.plain.red.p_holm": (-0.1, "-0.1 is less than the minimum"),
        "benchmarks.interpolation.red+green.red.median_spearman": (-1.5, "less than the minimum"),
        "benchmarks.interpolation_grid.0.weights.red": (float("inf"), "inf is not JSON"),
        "benchmarks.tradeoff.points.1.divergence": (-1.0, "less than the minimum"),
        "benchmarks.tradeoff.headline_axis": ("beta", '"beta" is not one of'),
        "n_ok": (1.5, '1.5 is not of type "integer"'),
        "generators.plain.source": ("stale", '"stale" is not one of'),
        "created": ("yesterday", "does not match"),
        "schema_version": (2, "1 was expected"),
    },
    "people": {
        "benchmarks.users.pairs.top16": (1.2, "1.2 is greater than the maximum"),
        "benchmarks.personal.plain.all.personal_gain": (float("nan"), "nan is not JSON"),
        "benchmarks.personal_shots.seen.0.shots": (-1, "-1 is less than the minimum"),
        "benchmarks.personal_between.all.first.violations": ("few", "is not of type"),
    },
    "judge": {
        "benchmarks.judge.all.shared.coverage": (1.2, "1.2 is greater than the maximum"),
        "benchmarks.judge.all.controls.zero_shots.wins": (0.5, "is not of type"),
        "benchmarks.judge_calibration.own.all_call": (-0.2, "less than the minimum"),
        "benchmarks.judge_shown.0.verdicts.1.choice": ("both", '"both" is not one of'),
        "judge.cost": (float("nan"), "nan is not JSON"),
    },
    "calibration": {
        "benchmarks.calibration.own.tie_half": (1.2, "1.2 is greater than the maximum"),
        "benchmarks.calibration.differences.other_shots.difference": (-1.2, "less than the"),
        "baseline": ("plain", '"plain" is not of type "null"'),
    },
    "comparison": {
        "benchmarks.rewards.A-B.red.head_to_head.win_rate": (1.2, "greater than the maximum"),
        "benchmarks.rewards.A-B.red.mean.difference": (float("nan"), "nan is not JSON"),
        "benchmarks.rewards.A-B.red.head_to_head.verdict": ("A wins", "does not match"),
        "ranking.rewards.red.runs.A.best_rank": (0, "0 is less than the minimum"),
    },
}


@pytest.mark.parametrize(
    ("kind", "place"), [(kind, place) for kind, places in WRONG.items() for place in places]
)
def test_a_wrong_value_is_named_with_its_place(
    summaries: Mapping[str, Any], kind: str, place: str
) -> None:
    summary = copy.deepcopy(summaries[kind])
    value, said = WRONG[kind][place]
    *path, last = (int(key) if key.isdigit() else key for key in place.split("."))
    assert at(summary, (*path, last)) != value
    at(summary, tuple(path))[last] = value
    assert any(line.startswith(f"{place}: ") and said in line for line in problems(summary))


def test_what_is_unknown_needs_its_reason(summaries: Mapping[str, Any]) -> None:
    for kind, place in (
        ("eval", "benchmarks.rewards.plain.red"),
        ("eval", "benchmarks.matrix.red.green"),
        ("people", "benchmarks.personal.plain.all"),
        ("judge", "benchmarks.judge.all.disjoint"),
        ("comparison", "benchmarks.rewards.A-B.red.head_to_head"),
    ):
        summary = copy.deepcopy(summaries[kind])
        cell = at(summary, tuple(place.split(".")))
        cell["win_rate"] = None
        assert problems(summary) == [f'{place}: "reason" is a required property']
        cell["reason"] = "nothing was drawn"
        assert problems(summary) == []


# --- one document, and nothing beside it ----------------------------------------------------------


@pytest.mark.parametrize("kind", EVERY)
def test_what_is_printed_as_json_is_the_file(
    folders: Mapping[str, Path], capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    with Console(as_json=True, quiet=True) as console:
        show_run(folders[kind], console)
    assert capsys.readouterr().out == (folders[kind] / "summary.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["calibration", "encoders compared"])
def test_report_prints_the_file_as_json(folders: Mapping[str, Path], kind: str) -> None:
    done = CliRunner().invoke(app, ["report", str(folders[kind]), "--json", "--quiet"])
    assert done.exit_code == 0, done.output
    assert done.stdout == (folders[kind] / "summary.json").read_text(encoding="utf-8")


COMMANDS = {
    "judge": "judge --model oracle --judge taste --limit 3",
    "calibration": "calibrate --judge taste --choices 3",
    "encoders": "eval --encoder pairs --encoder ids --full",
}


@pytest.mark.parametrize("kind", COMMANDS)
def test_every_command_prints_the_file_as_json(folders: Mapping[str, Path], kind: str) -> None:
    folder = folders[kind]
    where = ["--suite", "town", "--device", "cpu", "--runs", str(folder.parents[1])]
    done = CliRunner().invoke(app, [*COMMANDS[kind].split(), *where, "--json", "--quiet"])
    assert done.exit_code == 0, done.output
    assert done.stdout == (folder / "summary.json").read_text(encoding="utf-8")


def test_compare_prints_the_file_as_json(folders: Mapping[str, Path], tmp_path: Path) -> None:
    found = summary_of(folders["judges compared"])
    runs = [str(folders["judge"].parent / run["folder"]) for run in found["runs"]]
    out = tmp_path / "compared"
    done = CliRunner().invoke(app, ["compare", *runs, "--out", str(out), "--json", "--quiet"])
    assert done.exit_code == 0, done.output
    assert done.stdout == (out / "summary.json").read_text(encoding="utf-8")


def without_records(folder: Path, place: Path) -> Path:
    """A folder of the same name that has the summary alone."""
    bare = place / folder.name
    bare.mkdir()
    (bare / "summary.json").write_bytes((folder / "summary.json").read_bytes())
    return bare


def words(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)).strip()


def blocks(page: str) -> dict[str, list[str]]:
    """Heading -> what stands below it, as far as the next one."""
    body = re.sub(r"<(script|style|nav)\b.*?</\1>", "", page, flags=re.DOTALL)
    found: dict[str, list[str]] = {}
    for piece in re.split(r"(?=<h[1-4][ >]|<summary>|<footer)", body):
        heading = re.match(r"<(h[1-4]|summary)[^>]*>(.*?)</\1>", piece, flags=re.DOTALL)
        found.setdefault(words(heading[2]) if heading else "", []).append(piece)
    return found


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind not in COMPARISONS])
def test_the_page_shows_no_figure_that_the_summary_lacks(
    folders: Mapping[str, Path], tmp_path: Path, kind: str
) -> None:
    """Made of summary.json alone it lacks pictures, their records and the machine: nothing else."""
    bare = without_records(folders[kind], tmp_path)
    whole, alone = (
        blocks(html.render(html.Sources.of(folder))) for folder in (folders[kind], bare)
    )
    assert not alone.keys() - whole.keys()
    for heading in whole.keys() - alone.keys():
        tables = [block for block in whole[heading] if "<table" in block or "<svg" in block]
        assert not tables or heading.startswith(NOT_IN_A_SUMMARY), heading
    for heading, shown in alone.items():
        if not any("<img" in block for block in whole[heading]):
            assert list(map(words, shown)) == list(map(words, whole[heading])), heading


@pytest.mark.parametrize("kind", EVERY)
def test_the_tables_of_the_terminal_need_nothing_else(
    folders: Mapping[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    shown = []
    for folder in (folders[kind], without_records(folders[kind], tmp_path)):
        with Console(quiet=True) as console:
            show_run(folder, console)
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] != ""


@pytest.mark.parametrize("kind", COMPARISONS)
def test_the_page_of_a_comparison_is_made_of_its_summary(
    folders: Mapping[str, Path], summaries: Mapping[str, Any], kind: str
) -> None:
    path = compared.write_comparison(folders[kind])
    text = path.read_text(encoding="utf-8")
    (page,) = blocks(compared.render(summaries[kind]))[""][:1]
    assert words(page) == words(blocks(text)[""][0])
    assert blocks(compared.render(summaries[kind])).keys() == blocks(text).keys()
