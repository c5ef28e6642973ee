"""The command line as a user meets it: real processes, real entry points, a world without torch.

The world is `tests/benchmarks/fake_world.py`, registered by a distribution of its own.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SLOW_WORLD = """
import os
import time

import fake_world
from fake_world import load_reward, other, plain, toy_suite, tuned

fake_world.sleep = float(os.environ.get("TOY_SECONDS", "0"))
if os.environ.get("TOY_FAILS"):
    def fail(requests):
        if any(request.caption == "caption 3" for request in requests):
            raise ValueError("cannot draw three")
    fake_world.generate_error = fail

def train(suite, *, events, **settings):
    events.note("training")
    time.sleep(60)
"""
ENTRY_POINTS = """
[ppdbench.suites]
toy = slow_world:toy_suite
[ppdbench.generators]
plain = slow_world:plain
tuned = slow_world:tuned
[ppdbench.rewards]
red = slow_world:load_reward
green = slow_world:load_reward
[ppdbench.trainers]
sleepy = slow_world:train
"""
ITEMS = 12 * (3 + 2 * 6 + 8 * 3)
"""12 captions: for rewards two users' images and the baseline's; for interpolation two each for
five mixtures and by the baseline; for tradeoff eight for either user and by the baseline."""


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Shells ignore SIGINT for background jobs, and so would what the tests start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Shell:
    """A folder and the `ppdbench` of a user who works in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        site = folder / "site"
        about = site / "toy_world-1.0.dist-info"
        about.mkdir(parents=True)
        (site / "slow_world.py").write_text(SLOW_WORLD)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-world\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(ENTRY_POINTS)
        paths = [site, ROOT, ROOT / "tests" / "benchmarks"]
        self.env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}

    def start(self, line: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "ppdbench", *line.split()],  # -P: as the console script
            cwd=self.folder,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, line: str, **env: str) -> subprocess.CompletedProcess[str]:
        process = self.start(line, **env)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(line, process.returncode, out, err)

    @property
    def runs(self) -> list[Path]:
        return sorted((self.folder / "runs" / "toy").glob("tuned-*"))


EVAL = "eval --model tuned --suite toy --device cpu"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A finished run that no test changes."""
    shell = Shell(tmp_path_factory.mktemp("finished"))
    done = shell.run(EVAL)
    assert done.returncode == 0, done.stderr
    yield shell


def figures(summary: str) -> Any:
    found = json.loads(summary)
    return {key: found[key] for key in ("n_ok", "n_expected", "benchmarks", "failures")}


def error_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The two lines of the error, without the progress before them."""
    lines = done.stderr.splitlines()[-2:]
    assert [line.split(":")[0] for line in lines] == ["error", "  fix"], done.stderr
    return lines


def test_the_main_job_leaves_table_summary_and_report(finished: Shell) -> None:
    (folder,) = finished.runs
    summary = json.loads((folder / "summary.json").read_bytes())
    assert (summary["n_ok"], summary["n_expected"]) == (ITEMS, ITEMS)
    assert "<html" in (folder / "report.html").read_text(encoding="utf-8")


def test_again_nothing_is_drawn_and_json_is_alone_on_standard_output(finished: Shell) -> None:
    (folder,) = finished.runs
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    done = finished.run(f"{EVAL} --json")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (folder / "summary.json").read_text(encoding="utf-8").rstrip("\n") + "\n"
    touched = {path.name for path, when in before.items() if path.stat().st_mtime_ns != when}
    assert touched <= {"status.json"}


def test_report_names_the_page(finished: Shell) -> None:
    (folder,) = finished.runs
    done = finished.run(f"report {folder.relative_to(finished.folder)}")
    assert done.returncode == 0, done.stderr
    assert f"report: {folder.relative_to(finished.folder)}/report.html" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_with_130_and_the_same_command_goes_on(
    shell: Shell, finished: Shell, number: signal.Signals
) -> None:
    process = shell.start(EVAL, TOY_SECONDS="0.05")
    wait_for_records(shell, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "same command again" in err
    assert "Traceback" not in out + err
    (folder,) = shell.runs
    assert json.loads((folder / "status.json").read_bytes())["state"] == "interrupted"
    kept = len((folder / "generations.jsonl").read_text().splitlines())
    assert 0 < kept < ITEMS

    done = shell.run(f"{EVAL} --json")
    assert done.returncode == 0, done.stderr
    assert figures(done.stdout) == figures((finished.runs[0] / "summary.json").read_text())


def test_a_signal_ends_training_with_130(shell: Shell) -> None:
    process = shell.start("train-reference --method sleepy --suite toy")
    assert process.stderr is not None
    assert process.stderr.readline() == "training\n"
    process.send_signal(signal.SIGTERM)
    err = process.communicate(timeout=30)[1]
    assert process.returncode == 130, err
    assert [line.split(":")[0] for line in err.splitlines()] == ["error", "  fix"]


STOPPED = """
import ppdbench.cli
from ppdbench.cli.errors import reported

@ppdbench.cli.app.command("stopped")
@reported
def stopped() -> None:
    exec("import os, signal; os.kill(os.getpid(), signal.SIGTERM)\\nwhile True: pass")

ppdbench.cli.main()
"""


def test_a_signal_amid_text_that_is_executed_ends_with_130(tmp_path: Path) -> None:
    """As dataclasses are made, at import: Python alone would end it by SIGINT."""
    (tmp_path / "stopped.py").write_text(STOPPED)
    words = [sys.executable, "-m", "stopped", "stopped"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 130, done.stderr
    assert "same command again" in done.stderr


def wait_for_records(shell: Shell, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        records = [folder / "generations.jsonl" for folder in shell.runs]
        if any(path.is_file() and path.stat().st_size for path in records):
            return
        time.sleep(0.02)
    raise AssertionError("no record was written")


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("eval --model tunde --suite toy", 2, "did you mean tuned"),
        ("eval --model tuned --suite tox", 2, "did you mean toy"),
        ("eval --model tuned --suite toy --benchmark reward", 2, "did you mean rewards"),
        ("eval --model nothing:here --suite toy", 2, "'nothing'"),
        ("report nowhere", 2, "nowhere is no run folder"),
        ("train-reference --method pdp --suite toy", 2, "no trainer is called 'pdp'"),
    ],
)
def test_errors_are_two_lines_and_the_documented_code(
    shell: Shell, line: str, code: int, says: str
) -> None:
    done = shell.run(line)
    assert done.returncode == code, done.stderr
    assert says in "\n".join(error_lines(done))
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_debug_shows_the_traceback(shell: Shell) -> None:
    done = shell.run("eval --model tunde --suite toy --debug")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    error_lines(done)


def test_failures_above_the_threshold_exit_1_with_everything_written(shell: Shell) -> None:
    done = shell.run(f"{EVAL} --json", TOY_FAILS="1")
    assert done.returncode == 1
    assert f"{ITEMS // 12} of {ITEMS} items failed" in error_lines(done)[0]
    summary = json.loads(done.stdout)
    assert (summary["n_ok"], summary["n_expected"]) == (ITEMS - ITEMS // 12, ITEMS)
    assert (shell.runs[0] / "report.html").is_file()
    rates = [row["win_rate"] for row in summary["benchmarks"]["rewards"]["plain"].values()]
    assert rates == [None, None], "the headline is not withheld"
    mended = shell.run(f"{EVAL} --json")
    assert mended.returncode == 0, mended.stderr
    assert json.loads(mended.stdout)["n_ok"] == ITEMS


def test_other_settings_in_the_folder_exit_4(shell: Shell) -> None:
    assert shell.run(f"{EVAL} --limit 2").returncode == 0
    spec = shell.runs[0] / "spec.json"
    spec.write_text(spec.read_text().replace('"samples": 1', '"samples": 2'))
    done = shell.run(f"{EVAL} --limit 2")
    assert done.returncode == 4, done.stderr
    assert "samples" in error_lines(done)[0]


def test_a_module_beside_the_user_is_a_model(shell: Shell) -> None:
    (shell.folder / "mine.py").write_text("from fake_world import other as load\n")
    done = shell.run("eval --model mine:load --suite toy --device cpu --limit 2 --json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == "other"
