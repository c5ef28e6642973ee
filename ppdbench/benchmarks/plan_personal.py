"""The items of benchmark `personal`: whose context draws whose captions.

The measured generator, where it conditions on users, draws each caption for its owner, for another
user and for nobody, and what matrix, shots curve and walks need beyond that; an item that two of
them need is drawn once. Any other generator draws each caption once: for its owner where it
conditions on users, else for nobody. Elsewhere: the roles (`assignment`), the figures (`personal`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from ppdbench.benchmarks.assignment import STEPS, Assignment, Member, between
from ppdbench.benchmarks.plan import Arm, Context, Item
from ppdbench.protocols import Caption, GeneratorInfo
from ppdbench.runs.seeds import noise_seed

OF_USERS = frozenset({"embeddings", "shots", "profile"})
"""What of a person a generator may condition on."""

Drawing = tuple[Arm, Member, Caption, Context | None, int]
"""Why, whose caption, which, for whom, sample number."""


def hears_users(info: GeneratorInfo) -> bool:
    """Whether a generator conditions on people."""
    return bool(OF_USERS & info.conditions_on)


def plan_personal(
    suite_version: str,
    generator: str,
    info: GeneratorInfo,
    assignment: Assignment,
    *,
    measured: bool,
    reads: Literal["id", "shots"] | None = None,
) -> list[Item]:
    """The items of one generator.

    Args:
        suite_version: noise is drawn by.
        generator: its name in records.
        info: what it conditions on.
        assignment: the roles of the users.
        measured: whether it is the run's model; others draw each caption once.
        reads: what of a user its encoder reads, where it has one.
    """
    items: dict[str, Item] = {}
    for arm, owner, caption, context, sample in _drawings(info, assignment, measured, reads):
        item = Item(
            generator=generator,
            caption=caption,
            context=context,
            sample=sample,
            seed=noise_seed(suite_version, caption.id, sample),
            benchmark="personal",
            arm=arm,
            owner=owner.user.id,
        )
        items.setdefault(item.id, item)
    return list(items.values())


def _drawings(
    info: GeneratorInfo,
    assignment: Assignment,
    measured: bool,
    reads: Literal["id", "shots"] | None,
) -> Iterator[Drawing]:
    members = assignment.members
    if not hears_users(info):
        yield from _each("nobody", assignment, {m.number: None for m in members})
        return
    yield from _each("own", assignment, {m.number: m.own for m in members})
    if not measured:
        return
    partners = {m.number: partner.own for m in members if (partner := assignment.partner(m))}
    yield from _each("shuffled", assignment, partners)
    yield from _each("nobody", assignment, {m.number: None for m in members})
    for group in assignment.groups:
        for owner in (members[number] for number in group):
            for other in (members[number] for number in group):
                for caption in owner.captions[:1]:
                    yield "group", owner, caption, other.own, 0
    if "shots" in info.conditions_on or reads == "shots":
        for count in assignment.shots:
            yield from _each("shots", assignment, {m.number: m.by_shots(count) for m in members})
    if "embeddings" in info.conditions_on:
        for pair in assignment.pairs:
            first, second = (members[number] for number in pair)
            for owner in (first, second):
                for caption in owner.captions[:1]:
                    for step in STEPS:
                        yield "between", owner, caption, between(first, second, step), 0


def _each(
    arm: Arm, assignment: Assignment, contexts: Mapping[int, Context | None]
) -> Iterator[Drawing]:
    """Every caption of every member that has a context here."""
    for member in assignment.members:
        if member.number not in contexts:
            continue
        for caption in member.captions:
            for sample in range(assignment.samples):
                yield arm, member, caption, contexts[member.number], sample
