"""What a judge is asked for its calibration: held-out choices of users who are in no benchmark.

The format is the benchmark's: a user's shots and one further pair, in both orders; the pair is one
that this user decided, so the right answer is known. The same pairs are asked with the user's own
shots, with none and with another user's. Some are asked again word for word, and some show one
image twice. Users are told apart by their place alone. Elsewhere: asking (`judges.ask`), the
figures (`calibration.figures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ppdbench.benchmarks.plan import in_batches
from ppdbench.errors import UsageError
from ppdbench.judges.call import Call
from ppdbench.protocols import EvaluatedUser, People, UserSplit
from ppdbench.users.partners import next_in_ring, shuffled

SPLIT: UserSplit = "calibration"
Arm = Literal["own", "zero_shots", "other_shots"]
ARMS: tuple[Arm, ...] = ("own", "zero_shots", "other_shots")
REPEATED, TIMES = 50, 3
"""Choices that are asked several times in the same order, and how often in all."""
IDENTICAL = 50
"""Choices of which one image is shown twice."""
READ_AT_ONCE = 256
"""Pairs read from their file at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One held-out choice."""

    number: int
    """From 0, over all of the run."""
    user: int
    """The user's place."""
    user_id: str
    pair: str
    caption: str
    right: Literal[0, 1]
    """The image that the user chose."""


def choices_of(
    people: People, *, limit: int | None, each: int | None
) -> tuple[list[Choice], list[EvaluatedUser]]:
    """The calibration users' choices, ties left out, user by user.

    Args:
        people: the suite's.
        limit: only the first users.
        each: only each user's first choices.

    Raises:
        UsageError: there are no calibration users, or one alone.
        MissingPrerequisite: a pair is not at hand.
    """
    users = list(people.users(SPLIT))[:limit]
    if len(users) < 2:
        raise UsageError(
            f"calibration needs two users at least, and there are {len(users)}",
            fix="give pair data with more users, or a larger --limit",
        )
    wanted = [(place, pair) for place, user in enumerate(users) for pair in user.choices[:each]]
    found: list[Choice] = []
    for some in in_batches(wanted, READ_AT_ONCE):
        for (place, pair), read in zip(some, people.pairs([p for _, p in some]), strict=True):
            if not read.tie:
                found.append(
                    Choice(
                        number=len(found),
                        user=place,
                        user_id=users[place].id,
                        pair=pair,
                        caption=read.caption,
                        right=0 if read.label_0 > read.label_1 else 1,
                    )
                )
    return found, users


def partners_of(users: Sequence[EvaluatedUser]) -> list[int]:
    """Of each user, whose shots are the control: never their own; fixed by place."""
    return next_in_ring(shuffled(SPLIT, range(len(users))))


def calibration_calls(
    found: Sequence[Choice], users: Sequence[EvaluatedUser], shots: int
) -> list[Call]:
    """All calls to the judge: user by user, so that equal shots are asked about in a row.

    Raises:
        UsageError: a user has fewer shots.
    """
    shown = [shots_of(user, shots) for user in users]
    partners = partners_of(users)
    some = shuffled("calibration choice", range(len(found)))
    repeated, twice = set(some[:REPEATED]), set(some[-IDENTICAL:])
    calls: list[Call] = []
    by_arm: dict[Arm, dict[int, list[Call]]] = {arm: {} for arm in ARMS}
    for choice in found:
        given: dict[Arm, tuple[str, ...]] = {
            "own": shown[choice.user],
            "zero_shots": (),
            "other_shots": shown[partners[choice.user]],
        }
        for arm in ARMS:
            own = by_arm[arm].setdefault(choice.user, [])
            own += [_call(arm, choice, given[arm], order) for order in (0, 1)]
        own = by_arm["own"][choice.user]
        if choice.number in repeated:
            own += [_call("repeat", choice, given["own"], 0, n) for n in range(1, TIMES)]
        if choice.number in twice:
            own.append(_call("identical", choice, given["own"], None))
    for place in range(len(users)):
        for arm in ARMS:
            calls += by_arm[arm].get(place, [])
    return calls


def scalar_calls(found: Sequence[Choice], name: str) -> list[Call]:
    """The calls to a judge that looks at no shots."""
    return [_call(name, choice, (), order) for choice in found for order in (0, 1)]


def shots_of(user: EvaluatedUser, count: int) -> tuple[str, ...]:
    """A user's first shots, by pair id.

    Raises:
        UsageError: there are fewer.
    """
    have = tuple(pair for group in user.shots for pair in group)
    if not 1 <= count <= len(have):
        raise UsageError(
            f"{count} shots, and calibration users have {len(have)}",
            fix=f"give --shots a number from 1 to {len(have)}",
        )
    return have[:count]


def call_id(arm: str, choice: Choice, order: int | None, repeat: int = 0) -> str:
    """Unique in a run."""
    place = "same" if order is None else str(order)
    return f"{arm}/{choice.pair}/{place}" + (f"/{repeat}" if repeat else "")


def _call(
    arm: str, choice: Choice, shots: tuple[str, ...], order: int | None, repeat: int = 0
) -> Call:
    """A choice in one order; order 0 shows image 0 first, None shows image 0 twice."""
    sides = {0: (0, 1), 1: (1, 0), None: (0, 0)}[order]
    return Call(
        id=call_id(arm, choice, order, repeat),
        shots=shots,
        images=(f"{choice.pair}#{sides[0]}", f"{choice.pair}#{sides[1]}"),
        caption=choice.caption,
        repeat=repeat,
        facts={
            "arm": arm,
            "user": f"user:{choice.user_id}",
            "split": SPLIT,
            "pair": choice.pair,
            "order": order,
        },
    )
