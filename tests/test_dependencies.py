"""What is imported, what pyproject.toml declares and what docs/dependencies.md says are the same.

Elsewhere: that the lower bounds work (`.ci/lowest`), what sdist and wheel hold (`.ci/check-sdist`,
`.ci/check-wheel`).
"""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGE = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
RUN_TIME = PROJECT["dependencies"]
EXTRAS = PROJECT["optional-dependencies"]
OURS = {"leaderboards", "ppdbench", "trainers"}
DISTRIBUTIONS = {"PIL": "pillow", "open_clip": "open-clip-torch", "yaml": "pyyaml"}
"""Distributions that are not called as what is imported of them."""
ROW = re.compile(r"^\| (?P<name>[\w.\[\]-]+) \| (?P<rest>[\d.]+ \|.*) \|$", re.MULTILINE)


def name_and_bound(requirement: str) -> tuple[str, str]:
    found = re.fullmatch(r"([\w.-]+(?:\[\w+\])?)>=([\d.]+)", requirement)
    assert found is not None, (
        f"{requirement}: an upper bound needs its reason in the page, and here"
    )
    return found[1], found[2]


def normal(name: str) -> str:
    """A distribution's name as indexes compare them, without its extras."""
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def rows(title: str) -> list[list[str]]:
    """Cells of the table under this second-level heading."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return [
        [found["name"], *(cell.strip() for cell in found["rest"].split(" | "))]
        for found in ROW.finditer(section)
    ]


def imports(*folders: str) -> Iterator[str]:
    """Top-level names that files of these folders import, at the top or inside a function."""
    for path in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module.partition(".")[0]


def third_party(*folders: str, beside: tuple[str, ...] = ()) -> set[str]:
    """Distributions of what these folders import.

    Args:
        folders: whose files import.
        beside: folders that pytest puts on the path; modules and packages in them are ours.
    """
    files = [path for folder in beside for path in (ROOT / folder).rglob("*.py")]
    own = OURS | {path.parent.name if path.stem == "__init__" else path.stem for path in files}
    found = set(imports(*folders)) - set(sys.stdlib_module_names) - own
    return {normal(DISTRIBUTIONS.get(name, name)) for name in found}


def test_the_search_for_imports_sees_nested_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made").mkdir()
    code = "import json\nfrom . import near\n\ndef f():\n    from PIL.Image import Image\n"
    (tmp_path / "made/a.py").write_text(code, encoding="utf-8")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert third_party("made") == {"pillow"}


def test_what_is_imported_at_run_time_is_what_is_declared() -> None:
    declared = {normal(name_and_bound(each)[0]) for each in RUN_TIME}
    assert third_party("ppdbench", "trainers") == declared


def test_what_tests_import_is_declared() -> None:
    declared = {normal(name_and_bound(each)[0]) for each in [*RUN_TIME, *EXTRAS["dev"]]}
    assert third_party("tests", beside=("tests", "perf", "docs/measured")) - declared == set()


def test_what_only_tests_need_is_imported_or_has_its_reason() -> None:
    used = third_party("tests", beside=("tests", "perf", "docs/measured"))
    reasons = ("a command", "types of", "`transformers serve`", "`pytest -n`")
    idle = [
        name
        for name, _, extra, purpose, *_ in rows("Extras")
        if extra == "dev" and normal(name) not in used and not purpose.startswith(reasons)
    ]
    assert idle == []


def test_the_page_says_every_dependency_its_bound_and_its_purpose() -> None:
    listed = rows("At run time")
    assert [(name, bound) for name, bound, *_ in listed] == [*map(name_and_bound, RUN_TIME)]
    extras = rows("Extras")
    declared = [(*name_and_bound(each), extra) for extra in EXTRAS for each in EXTRAS[extra]]
    assert sorted((name, bound, extra) for name, bound, extra, *_ in extras) == sorted(declared)
    purposes = [row[2] for row in listed] + [row[3] for row in extras]
    assert "" not in purposes and len(set(purposes)) == len(purposes)


def test_lowest_versions_are_those_of_the_page() -> None:
    command = [sys.executable, str(ROOT / ".ci/lowest-versions"), "pytest"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (pytest_bound,) = (row[1] for row in rows("Extras") if row[0] == "pytest")
    assert done.stdout.splitlines() == [
        *(f"{name}=={bound}" for name, bound, *_ in rows("At run time")),
        f"pytest=={pytest_bound}",
    ]


def test_lowest_versions_refuse_a_name_of_no_dependency() -> None:
    command = [sys.executable, str(ROOT / ".ci/lowest-versions"), "nobody"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "nobody" in done.stderr


def test_every_entry_point_leads_to_a_module_that_has_it() -> None:
    points = {f"script {name}": at for name, at in PROJECT["scripts"].items()}
    for group, named in PROJECT["entry-points"].items():
        points |= {f"{group} {name}": at for name, at in named.items()}
    lost = []
    for name, at in points.items():
        module, _, attribute = at.partition(":")
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            lost.append(name)
            continue
        code = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        defined = {node.name for node in code.body if isinstance(node, ast.FunctionDef)}
        for node in code.body:
            if isinstance(node, ast.Assign):
                defined |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                defined.add(node.target.id)
            elif isinstance(node, ast.ImportFrom):
                defined |= {alias.asname or alias.name for alias in node.names}
        if attribute not in defined:
            lost.append(name)
    assert lost == []
