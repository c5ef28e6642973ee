"""Fifty kills and some signals at random moments of the real commands: nothing is lost or twice.

Each command is started, disturbed and started again, over and over; whenever it comes to its end,
what it left is what an undisturbed one leaves. Two chains run at once, for two cores. Elsewhere:
what a kill between two given lines does (`test_benchmarks_kill.py`, `test_trainers_resume.py`,
`test_trainers_prepare_processes.py`), other faults (`test_faults_*.py`).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import drive
import dying
import pytest
from drive import Command, check_clean, kill, temporary_files, wait_until_working
from hostile_server import Answer, HostileServer, Request, chose, serving

from ppdbench.plugins import make_suite
from ppdbench.runs.records import read_records

SEED = int(os.environ.get("FAULTS_SEED", "9"))
KILLS = {
    "eval": 9,
    "train-reference": 8,
    "data prepare": 8,
    "judge by a server": 9,
    "judge": 8,
    "score": 8,
}
"""How often each command is killed, the longest first; fifty in all."""
AT_ONCE = 4
"""Calls in flight to the server."""
CALLS = 60
"""Of its judge: three users a split, two splits, five arms, both orders."""
SECONDS_A_CALL = 0.5
TRIES = 12
"""How often a command may be at its end before the moment at which it is to be killed."""
EARLY = 0.2
"""Share of the kills that fall into the start, before there is any work."""


@dataclass
class Chain:
    """One command, disturbed again and again."""

    command: Command
    root: Path
    rng: random.Random
    after: Callable[[Path, bool], None] = lambda _place, _cut: None
    """Looks at the place after each end; told whether that was a kill or a signal."""
    most: float = math.inf
    """Seconds of the work after which there is nothing worth killing."""
    log: list[str] = field(default_factory=list)
    kills: int = 0
    stops: int = 0
    signals: int = 0
    rounds: int = 0
    start_seconds: float = 0.0
    work_seconds: float = 0.0
    wanted: dict[str, Any] = field(default_factory=dict)

    def run(self, kills: int) -> None:
        """Run undisturbed, then with so many kills and three signals, then to the end."""
        self._undisturbed()
        steps = ["kill"] * kills + ["SIGINT", "SIGTERM", self.rng.choice(["SIGINT", "SIGTERM"])]
        self.rng.shuffle(steps)
        place = self._fresh()
        for step in steps:
            if step != "kill":
                place = self._signalled(place, signal.Signals[step])
                continue
            for _ in range(TRIES):
                if self._killed(place, kills):
                    break
                self._check_end(place)  # it had ended: once more from nothing
                place = self._fresh()
            else:
                raise AssertionError(f"ended {TRIES} times before it could be killed")
        self.command.finish(place)
        self._check_end(place)

    def _undisturbed(self) -> None:
        place = self._fresh()
        begin = time.monotonic()
        process = self.command.start(place)
        assert wait_until_working(self.command, place, process), drive.said(place)[1]
        self.start_seconds = time.monotonic() - begin
        done = drive.ended(place, process)
        assert done.code == 0, done.err
        self.work_seconds = time.monotonic() - begin - self.start_seconds
        self.wanted = self.command.outcome(place)
        check_clean(place)
        self.after(place, False)
        shutil.rmtree(place)

    def _fresh(self) -> Path:
        place = self.root / str(self.rounds)
        self.rounds += 1
        self.command.prepare(place)
        return place

    def _moment(self, place: Path, process: subprocess.Popen[str], *, early: bool) -> None:
        """Wait for a random moment of the start or of the work."""
        if early:
            time.sleep(self.rng.uniform(0.5, 1) * self.start_seconds)
            return
        working = wait_until_working(self.command, place, process)
        work = min(self.work_seconds, self.most)
        life = self.rng.uniform(0, 2 / KILLS[self.command.name]) * work
        self.log.append(f"{'at work' if working else 'ended'}, {life:.2f} s")
        until = time.monotonic() + life
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)

    def _killed(self, place: Path, kills: int) -> bool:
        """Start and kill; False where the command ended well before."""
        early = self.kills < EARLY * kills
        # Every third one dies between a temporary file and its name: the next after the moment.
        within = self.command.renames and not early and self.kills % 3 == 2
        command = replace(self.command, launcher=("-P", dying.__file__)) if within else self.command
        process = command.start(place)
        self._moment(place, process, early=early)
        ended = process.poll()
        if within and ended is None:
            process.send_signal(signal.SIGUSR1)
            ended = drive.ended(place, process).code
            # By SIGUSR1 itself where it came amid Python's own end: it had ended well.
            ended = {-signal.SIGKILL: None, -signal.SIGUSR1: 0}.get(ended, ended)
        kill(process)
        self.log.append(f"kill {place.name}: {ended}, left {temporary_files(place)}")
        if ended is not None:
            assert ended == 0, drive.said(place)[1]
            return False
        self.kills += 1
        assert drive.records_twice(place) == {}
        self.after(place, True)
        return True

    def _signalled(self, place: Path, number: signal.Signals) -> Path:
        """Start and ask to stop; returns where to go on: elsewhere where the command had ended."""
        self.signals += 1
        before = set(temporary_files(place))  # of those who were killed
        process = self.command.start(place)
        # The third one while it imports, where people press Ctrl-C most.
        self._moment(place, process, early=self.signals == 3)
        _wait_for_main(process)
        process.send_signal(number)
        done = drive.ended(place, process)
        self.log.append(f"{number.name} {place.name}: {done.code}")
        assert set(temporary_files(place)) <= before
        assert drive.records_twice(place) == {}
        assert "Traceback" not in done.err, done.err
        self.after(place, done.code != 0)
        last = [line.partition(":")[0] for line in done.err.splitlines()[-2:]]
        if last == ["stopped", "  next"]:  # SIGTERM to a training
            assert (done.code, number) == (0, signal.SIGTERM)
            assert self.command is drive.TRAIN
        elif done.code == 0 or (done.code == -number and last != ["error", "  fix"]):
            # It came after the last line; amid Python's own end, if not after that.
            self._check_end(place)
            return self._fresh()
        else:
            # Ctrl-C within an `exec` of text, as of a dataclass at import: a shell calls both 130.
            codes = (130, -signal.SIGINT) if number == signal.SIGINT else (130,)
            assert done.code in codes and last == ["error", "  fix"], (done.code, done.err)
        assert "run the same command again" in done.err, done.err
        self.stops += 1
        return place

    def _check_end(self, place: Path) -> None:
        self.after(place, False)
        check_clean(place)
        found = self.command.outcome(place)
        for what, wanted in self.wanted.items():
            assert found[what] == wanted, f"{what} in {place}"
        shutil.rmtree(place)  # each is as large as the cache


def _wait_for_main(process: subprocess.Popen[str]) -> None:
    """Wait until SIGTERM is caught, as it is from the command line's first line on."""
    status = Path(f"/proc/{process.pid}/status")
    until = time.monotonic() + drive.PATIENCE
    while status.exists() and process.poll() is None and time.monotonic() < until:
        caught = re.search(r"^SigCgt:\s*(\w+)", status.read_text(), re.MULTILINE)
        if caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.005)


def same(request: Request) -> str:
    """The request as a whole."""
    return hashlib.sha256(json.dumps(request.body, sort_keys=True).encode()).hexdigest()


def by_content(request: Request) -> Answer:
    """A choice that the request alone decides, after a while."""
    return chose("12"[int(same(request), 16) % 2], delay=SECONDS_A_CALL)


@dataclass
class Bill:
    """What the server was asked and what of it is on record, at each end of the command."""

    server: HostileServer
    places: Counter[Path] = field(default_factory=Counter)
    """Requests that may be made again in each place: those without a record when it was cut."""
    cut_amid: int = 0
    """How often that was when some calls were on record and some were not."""
    _seen: int = 0
    """Requests before this place."""
    _last: int = 0
    """Requests until now."""
    _now: Path | None = None

    def look(self, place: Path, cut: bool) -> None:
        """Compare; raises AssertionError where a received reply was lost or paid for again."""
        if place != self._now:
            self._now, self._seen = place, self._last
        time.sleep(2 * SECONDS_A_CALL)  # the server ends what it was asked
        asked = Counter(same(request) for request in self.server.requests[self._seen :])
        self._last = len(self.server.requests)
        paths = (place / "runs").glob("shapes/*/judgments.jsonl")
        kept = [record["question"] for path in paths for record in read_records(path)]
        assert len(asked) - len(kept) <= AT_ONCE, "more replies are lost than were on their way"
        assert asked.total() - len(asked) <= self.places[place], "a received reply was asked again"
        assert cut or len(asked) == len(kept) == CALLS
        self.places[place] += cut * (len(asked) - len(kept))
        self.cut_amid += cut and 0 < len(kept) < CALLS


def run_chain(name: str, root: Path) -> Chain:
    """One command's chain, from its own seed, so that each can be run alone."""
    rng = random.Random(f"{SEED} {name}")
    if name != "judge by a server":
        (command,) = (command for command in drive.COMMANDS if command.name == name)
        return _run(Chain(command, root, rng))
    with serving(by_content) as server:
        command = drive.judge_by_server(server.base_url, at_once=AT_ONCE)
        bill = Bill(server)
        judging = CALLS / AT_ONCE * SECONDS_A_CALL  # the rest is the machine's to say
        chain = _run(Chain(command, root, rng, bill.look, judging))
        assert chain.wanted["summary"]["judge"]["calls"] == CALLS
        assert bill.cut_amid >= 3, f"too few ends fell into the judging: {chain.log}"
        return chain


def _run(chain: Chain) -> Chain:
    try:
        chain.run(KILLS[chain.command.name])
    except BaseException as error:
        error.add_note(f"FAULTS_SEED={SEED}, {chain.command.name}: {'; '.join(chain.log)}")
        raise
    return chain


@pytest.fixture(scope="module")
def chains(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Chain]]]:
    """The chains of the tests that were chosen, two at once."""
    chosen = {
        item.callspec.id
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec")
    }
    make_suite("shapes").pairs("train")  # what a place copies is the same from first to last
    with ThreadPoolExecutor(2) as pool:
        running = {
            name: pool.submit(run_chain, name, tmp_path_factory.mktemp("place"))
            for name in KILLS
            if name in chosen
        }
        yield running
        for chain in running.values():
            chain.cancel()  # nobody waits for it: stopped at the first failure


@pytest.mark.slow
@pytest.mark.parametrize("name", KILLS)
def test_disturbed_at_random_moments(name: str, chains: dict[str, Future[Chain]]) -> None:
    chain = chains[name].result()  # raises what was found wrong
    assert chain.stops >= 1, chain.log


def test_fifty_kills() -> None:
    assert sum(KILLS.values()) == 50
