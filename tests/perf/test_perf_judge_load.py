"""The measurement under load asks both sides for real, and its accounts can disagree."""

from __future__ import annotations

import json
import runpy
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PERF = Path(__file__).parents[2] / "perf"
Line = dict[str, Any]
Record = dict[str, Any]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    monkeypatch.syspath_prepend(PERF)
    return lambda name: runpy.run_path(str(PERF / name))


def asked(question: str, *kinds: str) -> list[Line]:
    """Lines of a server's log."""
    return [{"question": question, "kind": kind, "delivered": kind != "silent"} for kind in kinds]


def told(question: str, *outcomes: str, cached: bool = False) -> Record:
    """A record of a call that took so many attempts."""
    *failed, last = outcomes
    ended = last in ("ok", "refusal")
    return {
        "question": question,
        "cached": cached,
        "status": last if ended else "api_error",
        "details": {"failed": failed if ended else [*failed, last]},
    }


@pytest.mark.parametrize(
    ("log", "records", "wrong"),
    [
        (asked("a", "rate", "reply"), [told("a", "HTTP 429", "ok")], None),
        (asked("a", "refusal", "reply"), [told("a", "refusal"), told("a", "ok")], None),
        (asked("a", "silent", "reply"), [told("a", "no answer in 2 s", "ok")], None),
        (asked("a", "reply", "reply"), [told("a", "no answer in 2 s", "ok")], None),
        (asked("a", "reply", "reply"), [told("a", "HTTP 500", "ok")], "asked_again"),
        (asked("a", "refusal", "reply"), [told("a", "HTTP 500", "ok")], "asked_again"),
        (asked("a", "reply", "reply"), [told("a", "ok"), told("a", "ok")], "twice"),
        (asked("a", "reply", "reply"), [told("a", "ok")], "unlike"),
        (asked("a", "reply") + asked("b", "reply"), [told("a", "ok")], "unlike"),
        ([], [], "lost"),
        ([], [told("a", "ok", cached=True)], "lost"),
        (asked("a", "silent"), [told("a", "no answer in 2 s")], "lost"),
    ],
)
def test_what_records_and_server_do_not_agree_on_is_counted(
    log: list[Line],
    records: list[Record],
    wrong: str | None,
    script: Callable[[str], dict[str, Any]],
) -> None:
    found = script("judge_account.py")["account"](log, records, {"a": "a"})
    assert found.sound is (wrong is None) and found.questions == 1
    assert wrong is None or found.fields[wrong] > 0


def test_faults_follow_from_question_and_attempt(
    script: Callable[[str], dict[str, Any]],
) -> None:
    server = script("faulty_server.py")
    fates = [server["fate"](f"{n:064x}", 1, 0.3) for n in range(4000)]
    assert fates == [server["fate"](f"{n:064x}", 1, 0.3) for n in range(4000)]
    met = Counter(fates)
    assert 0.68 < met.pop("reply") / 4000 < 0.72
    assert set(met) == set(server["FAULTS"]) and min(met.values()) > 4000 * 0.3 / 6 * 0.7
    assert {server["fate"]("0" * 64, n, 0.3) for n in range(1, 99)} > {"reply", "cut"}
    assert {server["fate"](f"{n:064x}", 1, 0.0) for n in range(99)} == {"reply"}


@pytest.mark.slow
def test_both_sides_and_the_budget_are_measured(
    script: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "out.json"
    line = "judge_load --limit 1 --repeats 1 --concurrency 8 --latency 0.05 --faults 0.2"
    line += " --timeout 5 --budget-limit 1 --bar 0.0001"
    monkeypatch.setattr(sys, "argv", [*line.split(), "--out", str(out)])
    assert script("judge_load.py")["main"]() == 0
    record = json.loads(out.read_text())
    speed, budget = record["speed"], record["budget"]
    (bare,), (judge,) = speed["bare"], speed["judge"]
    assert speed["calls"] == judge["account"]["questions"] == 48
    assert judge["again"]["ok"] + judge["again"]["declined"] == 48
    assert judge["account"]["ok"] + judge["account"]["declined"] == 48 and not bare["lost"]
    assert sum(bare["faults_met"].values()) > 48 and sum(judge["faults_met"].values()) > 48
    assert budget["requests_until_stopped"] > 0 and budget["left"] < budget["next_call_may_cost"]
    assert budget["charged_by_the_server"] <= budget["counted_by_the_judge"] <= budget["max_cost"]
    assert budget["with_more"]["account"]["lost"] == 0
    assert {"command", "versions", "machine", "bar"} <= record.keys()
    assert not [place for place in (Path.home(), tmp_path) if str(place) in json.dumps(record)]
