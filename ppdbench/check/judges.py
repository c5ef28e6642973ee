"""The trial of a judge: two users of opposite choices asked about the same pictures, both ways.

Elsewhere: who they are (`stand_in_users`), the judge's making (`judges.load`).
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ppdbench.check.around import SAME_ELSEWHERE, in_both_processes
from ppdbench.check.bench import Bench
from ppdbench.check.failures import asked
from ppdbench.check.random_state import with_state_seen
from ppdbench.check.stand_in_users import shots
from ppdbench.check.start import look_at_revision, started
from ppdbench.judges.load import make_judge
from ppdbench.protocols import Judge, JudgeContext, JudgeInfo, Question, Verdict

_STATUSES = ("ok", "parse_error", "refusal", "api_error")
_CHOICES = ("first", "second", "abstain")


def try_judge(bench: Bench) -> None:
    """Try a judge; all that is found goes into the ledger.

    Raises:
        UsageError: there is none of that name, or its argument makes no sense.
        MissingPrerequisite: weights, key or server are not at hand.
    """
    context = JudgeContext(suite=bench.suite, device=bench.job.device)
    entry = bench.job.name.partition(":")[0]
    judge = started(bench, "judges", entry, lambda: make_judge(bench.job.name, context))
    if judge is None or not _look_at_info(bench, judge.info):
        return
    in_both_processes(
        bench,
        judge.info.revision,
        first=lambda: _try(bench, judge),
        second=lambda: _compare_process(bench, judge),
    )


def _look_at_info(bench: Bench, info: object) -> bool:
    if not isinstance(info, JudgeInfo):
        words = f"its info is {type(info).__name__}, not a protocols.JudgeInfo"
        bench.ledger.wrong("info", words, "say it as docs/plug-in.md has it")
        return False
    bench.ledger.ok("info")
    bench.ledger.fact("info", asdict(info))
    look_at_revision(bench, info.revision, info.settings)
    return True


def _questions(bench: Bench) -> list[Question]:
    """Four: for either user about the same pictures, the bright one first and then second."""
    own, other = shots(bench.plain)
    bright, dark = own[0].preferred, own[0].dispreferred
    # Of another caption than the shots that they are shown: nothing is to be looked up.
    asks = Question(caption="a picture", shots=own[1:], first=bright, second=dark)
    turned = replace(asks, first=dark, second=bright)
    return [
        asks,
        replace(asks, shots=other[1:]),
        turned,
        replace(turned, shots=other[1:]),
    ]


def _try(bench: Bench, judge: Judge) -> None:
    ledger, questions = bench.ledger, _questions(bench)
    ledger.stage("while it judged its first questions")
    verdicts = _verdicts(bench, judge, questions, "judges")
    if verdicts is None:
        return
    ledger.ok("judges", "count")
    for verdict in verdicts:
        if problem := _problem(verdict):
            ledger.wrong("verdict", problem, "give verdicts as protocols.Verdict has them")
            return
    ledger.ok("verdict")
    failed = [verdict for verdict in verdicts if verdict.status != "ok"]
    if len(failed) == len(verdicts):
        ledger.wrong(
            "judges", f"gives no verdict: {failed[0].error or failed[0].status}", "mend it"
        )
        return
    choices = [verdict.choice for verdict in verdicts]
    bench.keep("choices", choices)
    ledger.stage("while it judged the same questions again")
    again = with_state_seen(bench, 2, lambda: _verdicts(bench, judge, questions, "repeat"))
    if again is None:
        return
    if [verdict.choice for verdict in again] != choices:
        ledger.note("repeat", "judges otherwise when asked twice; a run keeps the first verdict")
        bench.forget("choices")
        ledger.untold("it never judges the same twice", "batch", "user", "place", "process")
        return
    ledger.ok("repeat")
    _look_at_batch(bench, judge, questions, choices)
    _look_at_user(bench, judge.info, choices)
    _look_at_place(bench, judge.info, choices)


def _verdicts(
    bench: Bench, judge: Judge, questions: Sequence[Question], check: str
) -> list[Verdict] | None:
    """A verdict a question, in their order; None where there is no such, which is taken down."""
    most = len(questions) + 1  # who never ends is cut off
    given: list[Any] | None = asked(
        bench, check, lambda: list(itertools.islice(judge.judge(questions), most))
    )
    if given is None:
        return None
    if odd := [each for each in given if not _is_pair(each)]:
        bench.ledger.wrong(
            "count",
            f"yields {type(odd[0]).__name__}, not a question's place and its verdict",
            "yield place, Verdict(...)",
        )
        return None
    places = sorted(place for place, _ in given)
    if places != list(range(len(questions))):
        bench.ledger.wrong(
            "count",
            f"gives verdicts on the questions {places} of {len(questions)} from 0",
            "yield each question's place once, with its verdict",
        )
        return None
    return [verdict for _, verdict in sorted(given, key=lambda pair: pair[0])]


def _is_pair(given: Any) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], int)


def _problem(verdict: Any) -> str | None:
    """What is wrong with a verdict by itself, in words, or None."""
    if not isinstance(verdict, Verdict):
        return f"gives {type(verdict).__name__}, not a protocols.Verdict"
    if verdict.status not in _STATUSES:
        return f"gives a verdict of status {verdict.status!r}; known: {', '.join(_STATUSES)}"
    if verdict.status != "ok":
        return f"chooses in a verdict of status {verdict.status}" if verdict.choice else None
    if verdict.choice not in _CHOICES:
        return f"gives the choice {verdict.choice!r}; known: {', '.join(_CHOICES)}"
    odds = verdict.log_odds
    if odds is not None and not math.isfinite(odds):
        return f"gives log-odds of {odds}"
    if odds and verdict.choice != "abstain" and (odds > 0) != (verdict.choice == "first"):
        return f"picks the {verdict.choice} image with log-odds of {odds:.3g} for the first"
    if verdict.confidence is not None and not 0 <= verdict.confidence <= 1:
        return f"gives a confidence of {verdict.confidence}, not of 0 to 1"
    return None if _is_json(verdict.details) else "gives details that are not JSON"


def _is_json(details: Mapping[str, Any]) -> bool:
    try:
        json.dumps(dict(details), allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _look_at_batch(
    bench: Bench, judge: Judge, questions: Sequence[Question], choices: Sequence[Any]
) -> None:
    bench.ledger.stage("while it judged a question alone")
    alone = _verdicts(bench, judge, questions[1:2], "batch")
    if alone is None:
        return
    if alone[0].choice == choices[1]:
        bench.ledger.ok("batch")
    else:
        bench.ledger.wrong(
            "batch",
            "judges a question otherwise alone than beside others",
            "let a verdict follow from its question alone",
        )


def _look_at_user(bench: Bench, info: JudgeInfo, choices: Sequence[Any]) -> None:
    differs = choices[0] != choices[1] or choices[2] != choices[3]
    if info.personal and not differs:
        bench.ledger.wrong(
            "user",
            "says that it looks at the shots, and judges the same for users of opposite choices",
            "judge by question.shots, or say personal=False",
        )
    elif not info.personal and differs:
        bench.ledger.wrong(
            "user",
            "says that it does not look at the shots, and judges by them",
            "say personal=True",
        )
    elif info.personal:
        bench.ledger.ok("user")
    else:
        bench.ledger.untold("it claims to look at no shots", "user")


def _look_at_place(bench: Bench, info: JudgeInfo, choices: Sequence[Any]) -> None:
    if len(set(choices)) > 1 or choices[0] == "abstain":
        bench.ledger.ok("place")
        return
    words = f"picks the {choices[0]} image of every question, whichever pictures stand where"
    if info.personal:
        bench.ledger.wrong("place", words, "look at both images")
    else:
        bench.ledger.note("place", f"{words}: a control, not a judge")


def _compare_process(bench: Bench, judge: Judge) -> None:
    before = bench.kept_value("choices")
    if before is None:
        return
    verdicts = _verdicts(bench, judge, _questions(bench), "process")
    if verdicts is None:
        return
    if [verdict.choice for verdict in verdicts] == before:
        bench.ledger.ok("process")
    else:
        bench.ledger.wrong(
            "process",
            "judges otherwise in another process",
            SAME_ELSEWHERE,
        )
