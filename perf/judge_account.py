"""Does what a judged run has on record agree with what its server was asked? Question by question.

Every attempt of a call is on record: what failed, and how it ended. A server's log has as many from
the other side. Elsewhere: the server (`faulty_server`), the measurement that needs to
know (`judge_load`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

from faulty_server import ANSWERED, UNCHARGED

from ppdbench.judges.budget import MILLION

GIVEN_UP = "no answer in"
"""How a record names an attempt that was timed out; its reply may have been on the way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What came of a run's questions; all counts."""

    questions: int
    requests: int
    ok: int
    declined: int
    lost: int
    """Questions without a reply on record."""
    twice: int
    """Questions with more than one reply on record that says something."""
    asked_again: int
    """Requests for what had been answered, paid for and received."""
    unlike: int
    """Questions with more or fewer attempts on record than the server saw."""
    late: int
    """Replies that came after the client had given up, and were rightly asked for again."""

    @property
    def sound(self) -> bool:
        """Whether nothing was lost, and nothing had twice."""
        return not (self.lost or self.twice or self.asked_again or self.unlike)

    @property
    def fields(self) -> dict[str, int]:
        """As JSON."""
        return asdict(self)


def account(
    log: Iterable[Mapping[str, Any]],
    records: Iterable[Mapping[str, Any]],
    asked_as: Mapping[str, str],
) -> Account:
    """Hold a run's records against the log of its server.

    Args:
        log: the server's lines, in order.
        records: of `judgments.jsonl`, in order.
        asked_as: the digest of each of the run's questions, as records have it -> as the server
            knows it.
    """
    asked: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in log:
        asked[line["question"]].append(line)
    told: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        if not record["cached"]:
            told[asked_as[record["question"]]].append(record)
    count: Counter[str] = Counter(unlike=len(asked.keys() - set(asked_as.values())))
    for question in asked_as.values():
        own = told[question]
        statuses = [record["status"] for record in own]
        last = statuses[-1] if statuses else None
        count["ok"] += last == "ok"
        count["declined"] += last == "refusal"
        count["lost"] += last not in ("ok", "refusal")
        count["twice"] += statuses.count("ok") > 1
        outcomes = [outcome for record in own for outcome in _outcomes(record)]
        count["unlike"] += len(outcomes) != len(asked[question])
        for line, outcome in list(zip(asked[question], outcomes, strict=False))[:-1]:
            # One that declined is asked again by the next command, and by it alone.
            if line["kind"] in ANSWERED and line["delivered"] and outcome != "refusal":
                count["late" if outcome.startswith(GIVEN_UP) else "asked_again"] += 1
    requests = sum(map(len, asked.values()))
    names = ("ok", "declined", "lost", "twice", "asked_again", "unlike", "late")
    return Account(
        questions=len(asked_as), requests=requests, **{name: count[name] for name in names}
    )


def _outcomes(record: Mapping[str, Any]) -> list[str]:
    """How each attempt of a call ended, in order: the cause of a failure, or the reply's status."""
    failed = list(record["details"]["failed"])
    return failed if record["status"] == "api_error" else [*failed, record["status"]]


def charged(log: Iterable[Mapping[str, Any]], price: Sequence[float]) -> Fraction:
    """US dollars that a server charges: for whatever it began to answer.

    Args:
        log: its lines.
        price: US dollars a million tokens, read and written.
    """
    read, written = (Fraction(repr(each)) for each in price)
    return sum(
        (
            (line["tokens_in"] * read + line["tokens_out"] * written) / MILLION
            for line in log
            if line["kind"] not in UNCHARGED
        ),
        Fraction(0),
    )


def kinds(log: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """What befell how many requests."""
    return dict(sorted(Counter(line["kind"] for line in log).items()))
