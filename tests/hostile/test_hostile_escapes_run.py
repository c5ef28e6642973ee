"""Whole runs whose captions, categories, settings, failures, users and replies are hostile words.

The real commands in processes of their own, on the toy worlds of `tests/benchmarks`, once with such
words and once with harmless ones: pages are made of the same kinds of elements, no shell is begun,
nothing is written outside the folder, and the terminal is not steered. Elsewhere: each renderer
alone (`test_hostile_escapes`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_hostile_escapes import RISKY, WORDS, Shape, whole

ROOT = Path(__file__).resolve().parents[2]
WORLD = """
import json
import os
import sys

from dataclasses import replace

import fake_world
import people_world
import toy_judges
from fake_world import ToySuite, load_reward, other, plain, tuned
from people_world import brighter, embedder
from ppdbench.protocols import Caption, Verdict

told = os.open("seen.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link"}


def heard(event, args):
    writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
    if event in ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn"):
        os.write(told, f"begun {args!r}".replace(chr(10), " ").encode() + b"\\n")
    elif (writes or event in CHANGES) and isinstance(args[0], str | os.PathLike):
        path = os.path.realpath(args[0])
        os.write(told, f"wrote {path}".encode(errors="backslashreplace") + b"\\n")


sys.addaudithook(heard)
WORDS = json.loads(os.environ["WORDS"])
fake_world.CAPTIONS = len(WORDS)
fake_world.settings = {"steps": WORDS[0], "all": WORDS}


class Suite(ToySuite):
    def captions(self, split):
        return [
            Caption(id=f"{split}-{n:03}", text=f"{n} {word}", category=f"{n % 4} {WORDS[n % 4]}")
            for n, word in enumerate(WORDS)
        ]


def suite(_files):
    return Suite()


def fails(requests):
    for request in requests:
        if request.caption.startswith("3 "):
            raise ValueError(f"cannot draw {request.caption}")


fake_world.generate_error = fails


def word_of(number):
    return WORDS[int(number) % len(WORDS)]


people_world.rename = lambda user: f"{user} {word_of(user)}" if user.isdecimal() else user


class People(people_world.ToyPeople):
    def users(self, split):
        return [
            replace(user, captions=[replace(c, text=f"{c.text} {user.id}") for c in user.captions])
            for user in super().users(split)
        ]

    def pairs(self, ids):
        found = super().pairs(ids)
        return [replace(pair, caption=f"{pair.id} {word_of(pair.id)}") for pair in found]


class Town(people_world.Town):
    people = People()


class Encoder(people_world.PairEncoder):
    def encode(self, users):
        return [
            replace(code, profile=f"likes {code.profile} {user.id}")
            for user, code in zip(users, super().encode(users))
        ]


def says(question, digest):
    number = int(question.caption.removeprefix("wish ").split()[0])  # as with harmless words
    word = word_of(number)
    if number % 5 == 0:
        return Verdict(status="refusal", raw=f"No: {word}", error=f"refused: {word}")
    told = {"model": word, "tokens_in": 10, "tokens_out": 1, "seconds": 0.5}
    verdict = toy_judges.by_taste(question, digest)
    return replace(verdict, reason=f"Because {word}", raw=f"1 {word}", details=told)


def town(_files):
    return Town()


def pairs(_context):
    return Encoder()


toy_judges.noise = 0.0


def judge(_context):
    return toy_judges.Toy("taste", says)
"""
ENTRY_POINTS = """
[ppdbench.suites]
toy = hostile_world:suite
town = hostile_world:town
[ppdbench.generators]
plain = hostile_world:plain
tuned = hostile_world:tuned
other = hostile_world:other
brighter = hostile_world:brighter
embedder = hostile_world:embedder
[ppdbench.encoders]
pairs = hostile_world:pairs
[ppdbench.judges]
taste = hostile_world:judge
[ppdbench.rewards]
red = hostile_world:load_reward
green = hostile_world:load_reward
"""


COMMANDS = {
    "rewards": "eval --suite toy --model tuned --benchmark rewards --fail-on-error 1",
    "people": "eval --suite town --model embedder --benchmark personal --benchmark users --limit 9",
    "judge": "judge --suite town --model embedder --judge taste --limit 12 --fail-on-error 1",
    "calibrate": "calibrate --suite town --judge taste --fail-on-error 1",
}


def ran(folder: Path, command: str, words: list[str]) -> tuple[Path, str]:
    """The run's folder, and what was printed."""
    site = folder / "site"
    about = site / "hostile_world-1.0.dist-info"
    about.mkdir(parents=True)
    (site / "hostile_world.py").write_text(WORLD, encoding="utf-8")
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile-world\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY_POINTS)
    (folder / "tmp").mkdir()
    paths = os.pathsep.join(map(str, (site, ROOT, ROOT / "tests" / "benchmarks")))
    places = {name: str(folder / "tmp") for name in ("TMPDIR", "MPLCONFIGDIR", "PPDBENCH_CACHE")}
    env = {**os.environ, **places, "PYTHONPATH": paths, "WORDS": json.dumps(words)}
    done = subprocess.run(
        [sys.executable, "-P", "-B", "-m", "ppdbench", *command.split(), "--device", "cpu"],
        cwd=folder,
        env=env,
        capture_output=True,
        timeout=900,
        check=False,
    )
    printed = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode == 0, printed
    (run,) = (page.parent for page in (folder / "runs").glob("*/*/report.html"))
    return run, printed


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_run_of_hostile_words_is_a_run_of_words(command: str, tmp_path: Path) -> None:
    hostile = [whole(word)[:2000] for word in WORDS if word.strip()]
    harmless = [f"word {number}" for number in range(len(hostile))]
    calm, _ = ran(tmp_path / "harmless", command, harmless)
    run, printed = ran(tmp_path / "hostile", command, hostile)

    page = Shape((run / "report.html").read_text(encoding="utf-8"))
    wanted = Shape((calm / "report.html").read_text(encoding="utf-8"))
    assert set(page.elements) <= set(wanted.elements)
    for tag in ("script", "style", "img", "a", "svg", "meta"):
        count = [
            sum(n for (name, _), n in each.elements.items() if name == tag)
            for each in (page, wanted)
        ]
        assert count[0] == count[1], tag
    assert not any(value.lower().startswith("javascript:") for value in page.values)
    assert sum(word in page.text for word in WORDS if "<" in word or "{" in word) > 1  # as written

    seen = (tmp_path / "hostile" / "seen.txt").read_text(encoding="utf-8").splitlines()
    wrote = [line.removeprefix("wrote ") for line in seen if line.startswith("wrote ")]
    assert wrote and all(
        path.startswith(f"{tmp_path / 'hostile'}{os.sep}") or path == os.devnull for path in wrote
    )
    shells = [line for line in seen if line.startswith("begun") and re.search(r"\bsh\b", line)]
    assert not shells
    names = [path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()]
    assert all(re.fullmatch(r"[A-Za-z0-9._/-]+", name) for name in names)
    assert not RISKY.search(printed.replace("\r", ""))
