"""Every command of the documents is one: its name, its options and its arguments parse.

Elsewhere: the README's two commands are run as they are written (`.ci/run`).
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from regenerate import commands, read_claims

from ppdbench.cli import app

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "perf/README.md",
]


def lines_of(text: str) -> list[str]:
    """The `ppdbench ...` commands of a document's bash blocks, a line each, launched ones too."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)
    whole = "\n".join(blocks).replace("\\\n", " ")
    variables = dict(re.findall(r'^(?:export )?(\w+)="(.*)"$', whole, flags=re.MULTILINE))
    parts = (part.strip() for line in whole.splitlines() for part in re.split(r" && |; ", line))
    found = []
    for part in parts:
        line = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", part)
        line = re.sub(r"^.*accelerate launch .*?-m ppdbench ", "ppdbench ", line).rstrip("'")
        # What a shell would put in; `$(printf -- '--model %s ' $names one two)` is names alone.
        line = re.sub(r"\$\(printf -- '(--\S+) [^']*' [^)]*\)", r"\1 name", line)
        line = re.sub(r"\$\{?(\w+)[^\s}]*\}?", lambda name: variables.get(name[1], name[0]), line)
        if line.startswith("ppdbench "):
            found.append(line)
    return found


def parse(line: str) -> None:
    """Parse a command line as Typer would, without running it; raises on what it does not know."""
    _, *words = shlex.split(line, comments=True)
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        assert name in command.commands, line
        command = command.commands[name]
    command.make_context(command.name, words)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_of_a_document_parse(document: Path) -> None:
    for line in lines_of(document.read_text(encoding="utf-8")):
        try:
            parse(line)
        except Exception as error:
            raise AssertionError(f"{document.name}: {line}: {error}") from error


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_that_a_sentence_names_are_there(document: Path) -> None:
    """With the options that it gives them; what else they need it may leave out."""
    for line in re.findall(r"`(ppdbench [a-z][^`\n]*)`", document.read_text(encoding="utf-8")):
        if re.search(r"\.\.\.|[|\[]", line):
            continue  # a form, not a command
        try:
            parse(line)
        except Exception as error:
            if type(error).__name__ != "MissingParameter":
                raise AssertionError(f"{document.name}: {line}: {error}") from error


def test_there_are_commands_to_parse() -> None:
    found = [line for path in DOCUMENTS for line in lines_of(path.read_text(encoding="utf-8"))]
    assert len(found) > 60
    assert "ppdbench train-reference --suite pickapic --pairs prepared/ --method sft" in "\n".join(
        found
    )
    assert "$T" not in "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "ppdbench evil",
        "ppdbench eval --no-such 1",
        "ppdbench data splits --suite",
        "ppdbench leaderboard ad RUN",
        "ppdbench compare",
    ],
)
def test_a_command_that_is_none_does_not_parse(line: str) -> None:
    with pytest.raises(BaseException):  # noqa: B017  (Typer's own, or ours)
        parse(line)


def test_scripts_that_the_documents_name_are_there() -> None:
    named = {
        (path.relative_to(ROOT), script)
        for path in DOCUMENTS
        for script in re.findall(
            r"python ((?:perf|docs|tests)/[\w./-]+\.py)", path.read_text(encoding="utf-8")
        )
    }
    assert len(named) > 10
    assert [str(each) for each in named if not (ROOT / each[1]).is_file()] == []


def test_commands_of_measured_runs_parse() -> None:
    used = {
        source.removeprefix("run:")
        for c in read_claims()
        for v in c.values
        for source, _ in v.terms
        if source.startswith("run:")
    }
    assert used == set(commands())
    for line in commands().values():
        parse(line)
