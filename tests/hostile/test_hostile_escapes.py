"""Words of strangers on pages, in tables and on terminals: text, whatever they look like.

A page is taken apart: it has the elements and attributes that it has with harmless words, and no
others. Elsewhere: a whole run of such words (`test_hostile_escapes_run`), the fields that an entry
may not fill/leaderboard/test_leaderboard_hostile.py`).
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from cases import TEXTS, Draw, hold, profiles
from rich.table import Table
from rich.text import Text

from ppdbench.cli.console import Bars, Console
from ppdbench.cli.errors import reported
from ppdbench.errors import PpdbenchError, printable
from ppdbench.generators.slug import slug
from ppdbench.leaderboard.site.markdown import _escaped
from ppdbench.leaderboard.site.words import plain
from ppdbench.reports.environment import OWN, templates
from ppdbench.runs.file_names import file_name
from ppdbench.users.rewrite_prompt import messages, quoted

WORDS = (
    *TEXTS,
    *("'-->]]></textarea></style></title><svg/onload=alert(1)>", "{% for x in y %}{{ x.a }}"),
    *("&lt;script&gt;", "&#60;b&#62;", "javascript:alert(1)", "' onmouseover='alert(1)"),
    *("[red]loud[/red]", "[/]", "[/nothing]", "[link=http://x]y[/link]", ":smile:", "\x1b]0;t\x07"),
    *("| a | b |", "[a](javascript:alert(1))", "![a](http://x/y.png)", "`a`", "a\\|b", "<a\n>"),
)
RISKY = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What steers a terminal or turns a line round."""


def words(draw: Draw) -> str:
    """Some of these together, or any letters."""
    if draw.random() < 0.2:
        return "".join(chr(draw.randrange(0x110000)) for _ in range(draw.randrange(12)))
    return "".join(draw.choice(WORDS) for _ in range(draw.randrange(1, 4)))


def whole(text: str) -> str:
    """Without halves of characters, which no page can hold."""
    return text.encode("utf-8", "replace").decode()


class Shape(HTMLParser):
    """The elements of a page, each with the names of its attributes; and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self.text = ""
        self.values: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag, tuple(sorted(name for name, _ in attrs))] += 1
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


# --- pages ----------------------------------------------------------------------------------------


@profiles
def test_a_template_makes_no_element_of_a_text(number: int) -> None:
    """By the environment that fills every page of reports and board."""
    source = '<p title="{{ it }}">{{ it }}</p><td>{{ {"a": it}.a }}</td><img alt="{{ it }}">'
    template = templates(OWN).from_string(source)
    shape = Shape(template.render(it="harmless")).elements

    def body(text: str) -> bool:
        page = Shape(template.render(it=text))
        assert page.elements == shape
        flat = re.sub(r"\s+", "", text).replace("\0", "")
        return flat in re.sub(r"\s+", "", page.text).replace("\0", "")

    hold(body, lambda draw: whole(words(draw)), number=number, one_sided=True)


def test_every_page_is_filled_by_the_environment_that_escapes() -> None:
    """No other Jinja, no source of a template from anywhere but the packages, no `safe`."""
    root = Path(sys.modules["ppdbench"].__path__[0])
    code = {path: path.read_text(encoding="utf-8") for path in root.rglob("*.py")}
    for word in ("Environment(", "Template(", "from_string("):
        found = [path.name for path, text in code.items() if f"jinja2.{word}" in text]
        assert found == (["environment.py"] if word == "Environment(" else []), word
    for path in root.rglob("*.j2"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe|autoescape|Markup", text), path
        # An attribute without quotes ends at a space, escaped or not.
        assert not re.search(r"=\{\{", re.sub(r"\{%.*?%\}", "", text)), path


# --- names of files -------------------------------------------------------------------------------


@profiles
def test_a_name_is_one_step_of_a_path(number: int) -> None:
    def body(text: str) -> bool:
        for name in (file_name(text), slug(text)):
            assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name), name
            assert Path(name).name == name and name not in (".", "..")
        return True

    hold(body, words, number=number, one_sided=True)


# --- tables and terminals -------------------------------------------------------------------------


@profiles
def test_markdown_shows_a_text_as_it_is(number: int) -> None:
    def body(text: str) -> bool:
        made = _escaped(plain(text, 60))
        bare = re.sub(r"\\[\\`*_{}\[\]<>#|~$]", "", made)
        assert not re.search(r"[`*_{}\[\]<>#|~$\\]", bare), made
        assert "\n" not in made and "\r" not in made
        return True

    hold(body, lambda draw: whole(words(draw)), number=number, one_sided=True)


@profiles
def test_what_is_printed_steers_no_terminal(number: int) -> None:
    def body(text: str) -> bool:
        shown = printable(text)
        assert not RISKY.search(shown)
        shown.encode()
        assert shown.count("\n") == text.count("\n")
        return True

    hold(body, words, number=number, one_sided=True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


OWN_CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
"""Colours and movements, as rich has them."""


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "file"])
@pytest.mark.parametrize("text", ["\x1b]0;owned\x07", "\x9b2J", "[red]x[/red]", "[/x]", "\u202eab"])
def test_all_ways_of_a_console_show_text(
    text: str, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notes, lines, places, stages, tables, errors and tracebacks."""
    made: Callable[[], io.StringIO] = Terminal if terminal else io.StringIO
    out, side = made(), made()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", side)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    table = Table()
    table.add_column(Text(text))
    table.add_row(Text(f"cell {text}"))
    with Console() as console:
        assert isinstance(console._bars, Bars) == terminal
        console.stage(f"judge: {text}", 2)
        console.advance(2)
        console.note(f"note {text}")
        console.line(f"line {text}")
        console.place("place", Path(f"place {text}"))
        console.show(table)

    @reported
    def fails(*, debug: bool) -> None:  # noqa: ARG001 - read by `reported`
        raise PpdbenchError(f"cause {text}", fix=f"fix {text}")

    with pytest.raises(BaseException):  # noqa: B017 - Typer's own
        fails(debug=True)
    said = OWN_CODES.sub("", out.getvalue() + side.getvalue())
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", said), repr(said)
    for start in ("judge: ", "note ", "line ", "place ", "cell ", "cause ", "fix "):
        assert start in said
        if text.isprintable():  # where signs became escapes, columns may cut them
            assert start + text in said, start


# --- words of a model -----------------------------------------------------------------------------


@profiles
def test_a_users_words_stay_on_their_line(number: int) -> None:
    """What a language model is told of a user holds one line for each text, and no mark."""

    def body(text: str) -> bool:
        turns = messages(text, text, [text])
        assert [turn["role"] for turn in turns] == ["system", "user"]
        lines = turns[1]["content"].split("\n")
        assert [line.partition(":")[0] for line in lines] == ["Profile", "Chosen", "Caption"]
        assert all(isinstance(json.loads(line.partition(": ")[2]), str) for line in lines)
        return bool(quoted(text))

    hold(body, words, number=number, one_sided=True)
