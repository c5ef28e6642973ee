"""Results go to standard output, the rest to standard error; `--json` leaves one of them clean."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console as RichConsole

from ppdbench.cli.console import Bars, Console, Lines


def test_plain_progress_says_start_and_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Console() as console:
        console.stage("generate", 3)
        console.advance(2)
        console.advance()
        console.stage("measure", 0)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        "generate: 0/3",
        "generate: 3/3 (0 s)",
        "measure: nothing to do",
    ]


def test_plain_progress_prints_between_when_time_has_passed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("ppdbench.cli.console.time.monotonic", lambda: now)
    lines = Lines(RichConsole(stderr=True))
    lines.stage("generate", 100)
    for _ in range(12):
        now += 1.0
        lines.advance(1)
    assert capsys.readouterr().err.splitlines()[1:] == [
        "generate: 5/100 (5 s)",
        "generate: 10/100 (10 s)",
    ]


def test_json_keeps_standard_output_for_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(as_json=True) as console:
        sys.stdout.write("a library's banner\n")
        console.note("a note")
        console.stage("generate", 1)
        console.show("the table")
        console.place("report", Path("runs/x/report.html"))
        console.json('{"n_ok": 1}')
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"n_ok": 1}
    for text in ("a library's banner", "a note", "the table", "runs/x/report.html"):
        assert text in printed.err


NATIVE = """
import ctypes, os, subprocess, sys
from ppdbench.cli.console import Console
sys.stdout.write("before\\n")
with Console(as_json=True) as console:
    os.write(1, b"[Gloo] Rank 0 is connected\\n")
    subprocess.run(["echo", "a child's"], check=True)
    console.json('{"caption": "\u00e9"}')
    os.write(1, b"NCCL version 2\\n")
    ctypes.CDLL(None).printf(b"held back by C\\n")
    sys.__stdout__.write("held back by Python\\n")
sys.stdout.write("after\\n")
"""


def test_json_is_alone_where_native_code_prints() -> None:
    env = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUNBUFFERED": ""}
    line = [sys.executable, "-c", NATIVE]
    done = subprocess.run(line, env=env, capture_output=True, check=True)
    wanted = 'before\n{"caption": "\u00e9"}\nafter\n'
    assert done.stdout.decode() == wanted
    assert sorted(done.stderr.decode().splitlines()) == [
        "NCCL version 2",
        "[Gloo] Rank 0 is connected",
        "a child's",
        "held back by C",
        "held back by Python",
    ]
    closed = ["sh", "-c", 'exec "$@" 2>&-', "sh", *line]
    assert subprocess.run(closed, env=env, stdout=subprocess.PIPE, check=True).stdout == (
        wanted.encode()
    )


def test_without_json_the_result_is_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with Console() as console:
        console.show("the table")
        console.json('{"n_ok": 1}')
    assert capsys.readouterr().out == "the table\n"


def test_quiet_leaves_the_result_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(quiet=True) as console:
        console.stage("generate", 1)
        console.advance()
        console.note("a note")
        console.show("the table")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("the table\n", "")


def test_a_long_path_stays_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("runs") / ("long" * 60) / "report[1].html"
    with Console() as console:
        console.place("report", path)
    assert capsys.readouterr().out == f"report: {path}\n"


def test_standard_output_is_given_back_after_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), Console(as_json=True):
        raise ZeroDivisionError
    sys.stdout.write("back\n")
    assert capsys.readouterr().out == "back\n"


def test_bars_count_and_give_the_terminal_back() -> None:
    stream = io.StringIO()
    bars = Bars(RichConsole(file=stream, force_terminal=True, width=120))
    bars.stage("generate", 4)
    bars.advance(4)
    bars.stage("measure", 0)
    bars.close()
    assert "4/4" in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[?25h"), "the cursor is hidden still"
    bars.close()  # a second time is harmless
