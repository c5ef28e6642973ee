"""Every measured number of README and docs is its source's, and what holds it there can fail."""

from __future__ import annotations

import json
import math
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import regenerate
from regenerate import check, commands, keep, keep_run, read_claims, settled, stale, unclaimed
from sources import DASH, MINUS, Sources, Value, Wrong, at, read_value, shown, spread, written

from ppdbench.statistics import minimum_detectable_difference
from ppdbench.statistics.intervals import wilson

ROOT = Path(__file__).resolve().parents[1]
COVERED = [
    "README.md",
    "perf/README.md",
    # All but the one that says what each field of summary.json means, and is held by its schema.
    *(
        f"docs/{path.name}"
        for path in sorted((ROOT / "docs").glob("*.md"))
        if path.stem != "summary"
    ),
]


# --- the tree -----------------------------------------------------------------------------------


def test_every_claimed_number_is_that_of_its_source() -> None:
    wrong = check(write=False)
    assert wrong == [], "python docs/measured/regenerate.py --write\n" + "\n".join(wrong)


@pytest.mark.parametrize("document", COVERED)
def test_every_number_of_a_document_is_claimed_or_settled(document: str) -> None:
    assert unclaimed(document) == []
    assert stale(document) == []


def test_claims_hold_numbers_of_the_main_documents() -> None:
    held = {claim.document for claim in read_claims() if claim.values}
    documents = ("shapes", "users", "judge", "tradeoff")
    assert held > {"README.md", *(f"docs/{name}.md" for name in documents)}


def test_worked_examples_of_the_statistics() -> None:
    """Those of docs/statistics.md that no test of the functions has in its very words."""
    one, ten = wilson(1, 1), wilson(10, 10)
    assert (one.ci_low, ten.ci_low) == pytest.approx((0.207, 0.722), abs=5e-4)
    apart = minimum_detectable_difference(math.sqrt(2 * 0.25 / 192))
    assert apart == pytest.approx(0.143, abs=5e-4)


# --- what holds them can fail ---------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree of one document, with one claim of each kind of source."""
    for folder in ("docs/measured/figures", "perf/results", "leaderboards/shapes/mine"):
        (tmp_path / folder).mkdir(parents=True)
    claims = {
        "README.md": [
            {"text": "wins {} of", "from": "run:full", "values": ["percent1_ci a.win_rate"]},
            {"text": "gains {} points", "values": ["points1 b.x @ entry:mine - b.y @ entry:mine"]},
            {
                "text": "in {} s and {} MB",
                "from": "perf:speed",
                "values": ["plain2 runs.median"] * 2,
            },
        ]
    }
    write(tmp_path / "docs/measured/claims.yaml", claims)
    write(tmp_path / "docs/measured/commands.yaml", {"full": "ppdbench eval --model ppd"})
    write(tmp_path / "docs/measured/settled.yaml", {"README.md": {"setting": ["5 seeds"]}})
    write(tmp_path / "perf/results/speed.json", {"runs": [3.0, 1.0, 2.5]})
    write(tmp_path / "leaderboards/shapes/mine/summary.json", {"b": {"x": 0.1, "y": 0.3}})
    keep("full", summary(), tmp_path)
    text = typeset(
        "It wins 12.5 [10.0--15.0] of 5 seeds.\nIt gains ~20.0 points in 2.50 s and 2.50 MB.\n"
    )
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    return tmp_path


def typeset(text: str) -> str:
    """With the dash of an interval for `--` and the minus sign for `~`."""
    return text.replace("--", DASH).replace("~", MINUS)


def write(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data), encoding="utf-8")  # JSON is YAML


def summary(**changed: Any) -> dict[str, Any]:
    figures = {"a": {"win_rate": 0.125, "ci_low": 0.1, "ci_high": 0.15, "n": 8}}
    return {"n_ok": 8, "n_expected": 8, "withheld": None, "benchmarks": figures} | changed


def edit(tree: Path, before: str, after: str) -> None:
    file = tree / "README.md"
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


def test_a_kept_run_is_what_the_document_says(tree: Path) -> None:
    assert check(write=False, root=tree) == []
    kept = json.loads((tree / "docs/measured/figures/full.json").read_bytes())
    assert kept["command"] == "ppdbench eval --model ppd"
    assert {key for key in kept if "." in key} == {"a.win_rate", "a.ci_low", "a.ci_high"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("12.5 [", "12.6 ["),
        (typeset("10.0--"), typeset("9.9--")),
        (typeset("~20.0"), "+20.0"),
        ("2.50 s", "2.51 s"),
        (typeset(" [10.0--15.0]"), ""),
    ],
)
def test_another_number_is_named_and_put_right(tree: Path, before: str, after: str) -> None:
    whole = (tree / "README.md").read_bytes()
    edit(tree, before, after)
    (said,) = check(write=False, root=tree)
    assert said.startswith("README.md says: ") and after.strip() in said
    assert check(write=True, root=tree) == [said]
    assert (tree / "README.md").read_bytes() == whole
    assert check(write=True, root=tree) == []
    assert (tree / "README.md").read_bytes() == whole


@pytest.mark.parametrize(("after", "times"), [("It loses 12.5 of", 0), ("wins 1 of, wins 2 of", 2)])
def test_a_claim_that_is_not_there_once_is_named(tree: Path, after: str, times: int) -> None:
    edit(tree, typeset("It wins 12.5 [10.0--15.0] of"), after)
    (said,) = check(write=False, root=tree)
    assert said == f"README.md: wins {{}} of: the document says it {times} times"


def test_a_source_that_is_not_there_is_named(tree: Path) -> None:
    (tree / "docs/measured/figures/full.json").unlink()
    (said,) = check(write=False, root=tree)
    assert said.endswith("there is no docs/measured/figures/full.json")


def test_a_line_with_a_number_that_nothing_is_about(tree: Path) -> None:
    assert unclaimed("README.md", tree) == []
    edit(tree, "5 seeds", "15 seeds")
    assert unclaimed("README.md", tree) == ["It wins ________________ of 15 seeds."]
    assert stale("README.md", tree) == ["5 seeds"]


def test_a_reason_that_is_none_is_refused(tree: Path) -> None:
    write(tree / "docs/measured/settled.yaml", {"README.md": {"because": ["5 seeds"]}})
    with pytest.raises(Wrong, match="'because' is none of"):
        list(settled("README.md", tree))


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (summary(n_ok=7), "7 of 8 items"),
        (summary(withheld="too many failures"), "8 of 8 items"),
        (summary(benchmarks={"a": {"win_rate": 1.0}}), "a.win_rate has no interval"),
        (summary(benchmarks={}), "a.win_rate has no interval"),
    ],
)
def test_a_run_that_is_not_whole_is_not_kept(tree: Path, kept: dict[str, Any], said: str) -> None:
    before = (tree / "docs/measured/figures/full.json").read_bytes()
    with pytest.raises(Wrong, match=said):
        keep("full", kept, tree)
    assert (tree / "docs/measured/figures/full.json").read_bytes() == before


def test_a_run_of_fewer_captions_than_its_command_is_not_kept(tree: Path) -> None:
    write(tree / "summary.json", summary())
    write(tree / "spec.json", {"limit": 40})
    with pytest.raises(Wrong, match="has --limit 40"):
        keep_run("full", tree, tree)
    write(tree / "spec.json", {"limit": None})
    keep_run("full", tree, tree)
    with pytest.raises(Wrong, match="has no 'other'; it has full"):
        keep_run("other", tree, tree)
    (tree / "spec.json").unlink()
    with pytest.raises(Wrong, match="is no finished run"):
        keep_run("full", tree, tree)


def test_a_run_is_made_as_its_command_says(tree: Path) -> None:
    script = tree / "measure.py"
    script.write_text(f"import sys; assert sys.argv[1:] == ['--json']; print({str_of(summary())})")
    write(tree / "docs/measured/commands.yaml", {"full": shlex.join([sys.executable, str(script)])})
    (tree / "docs/measured/figures/full.json").unlink()
    regenerate.run(["full"], tree)
    assert check(write=False, root=tree) == []
    script.write_text("raise SystemExit(3)")
    with pytest.raises(Wrong, match="full: exit code 3"):
        regenerate.run(["full"], tree)


def str_of(data: Any) -> str:
    return repr(json.dumps(data))


def test_the_command_says_in_a_line_what_is_wrong(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert regenerate.main(["--keep", f"nothing={tree}"]) == 2
    assert regenerate.main(["--run", "nothing"]) == 2
    assert regenerate.main(["--unclaimed", "nothing.md"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 3
    assert "Traceback" not in said.err


# --- paths and numbers ----------------------------------------------------------------------------


RECORD = {
    "checks": {"hpsv2, on": {"a.b": 1}},
    "points": [{"row": "p", "user": None, "x": 2}, {"row": "p", "user": "clip", "x": 3}],
    "times": [3.0, 1.0, 2.0],
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("checks.hpsv2, on.a.b", 1),
        ("points.row=p&user=None.x", 2),
        ("points.user=clip.x", 3),
        ("points.1.x", 3),
        ("times.median", 2.0),
    ],
)
def test_a_path_leads_to(path: str, found: Any) -> None:
    assert at(RECORD, path) == found


@pytest.mark.parametrize(
    "path", ["checks.no", "points.row=p.x", "points.7.x", "times.x", "checks.hpsv2, on.a.b.c"]
)
def test_a_path_that_leads_nowhere_or_to_two_is_refused(path: str) -> None:
    with pytest.raises(Wrong, match="there is no"):
        at(RECORD, path)


@pytest.mark.parametrize(
    ("number", "places", "text"),
    [
        (1256.5, 0, "1,257"),
        (0.825, 2, "0.83"),
        (-0.004, 2, "0.00"),
        (-0.3, 1, typeset("~0.3")),
        (0.0, 0, "0"),
    ],
)
def test_a_number_is_written(number: float, places: int, text: str) -> None:
    assert shown(number, places, signed=False) == text


@pytest.mark.parametrize(
    ("scale", "record", "text"),
    [
        (
            "points1_ci",
            {"x": 0.04, "ci_low": -0.004, "ci_high": 0.085},
            typeset("+4.0 [~0.4 to +8.5]"),
        ),
        (
            "signed2_ci",
            {"x": 0.3, "x_ci_low": 0.25, "x_ci_high": 0.35},
            typeset("+0.30 [0.25--0.35]"),
        ),
        (
            "less2_ci",
            {"x": -0.04, "x_ci_low": -0.08, "x_ci_high": -0.01},
            typeset("0.04 [0.01--0.08]"),
        ),
        ("fewer0", {"x": -0.366}, "37"),
        ("exp1", {"x": 5.35e-06}, "5.4e-6"),
        ("under3", {"x": 1.7e-12}, "0.001"),
        ("under3", {"x": 0.02}, "0.1"),
        ("millions2", {"x": 2056064}, "2.06"),
        ("minutes1", {"x": 262.8}, "4.4"),
    ],
)
def test_a_number_is_written_with_its_interval(
    scale: str, record: dict[str, float], text: str, tmp_path: Path
) -> None:
    (tmp_path / "perf/results").mkdir(parents=True)
    write(tmp_path / "perf/results/a.json", {"of": record})
    assert written(read_value(f"{scale} of.x", "perf:a"), Sources(tmp_path)) == text


@pytest.mark.parametrize("text", ["often1 a.b", "percent a.b", "percent1", "percent1 a - b - c"])
def test_a_value_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Wrong, match="is no value"):
        read_value(text, "run:full")
    with pytest.raises(Wrong, match="is no value"):
        read_value("percent1 a.b", "")


def test_choices_in_braces_are_spread() -> None:
    assert list(spread("x.{a,b}.c{,_d}")) == ["x.a.c", "x.a.c_d", "x.b.c", "x.b.c_d"]
    assert read_value("percent0 a @ run:x - b @ run:y", "").terms == (
        ("run:x", "a"),
        ("run:y", "b"),
    )
    assert isinstance(read_value("count0 n", "perf:z"), Value)


# --- commands -------------------------------------------------------------------------------------


def test_figures_are_of_commands_that_are_listed() -> None:
    for file in (ROOT / "docs/measured/figures").glob("*.json"):
        assert json.loads(file.read_bytes())["command"] == commands()[file.stem]
