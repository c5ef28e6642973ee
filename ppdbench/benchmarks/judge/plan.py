"""What benchmark `judge` draws, and which pairs of pictures it shows to a judge with whose shots.

The same pair, the model's picture for the user and the baseline's, is judged with the very shots
that the model was given (`shared`, the paper's protocol) and with others of the same user
(`disjoint`); and three times where a judge who knows the user should find less: without shots, with
another user's, and with a picture that the model drew for another user. Pairs start from the same
noise. Elsewhere: the users and their partners (`personal.roles`), the calls (`judge.calls`), the
figures (`judge.figures`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ppdbench.benchmarks.personal.plan import hears_users
from ppdbench.benchmarks.personal.roles import Member, Roles
from ppdbench.benchmarks.plan import Arm as Drawing
from ppdbench.benchmarks.plan import Context, Item
from ppdbench.errors import UsageError
from ppdbench.protocols import Caption, GeneratorInfo
from ppdbench.runs.seeds import noise_seed

JudgeShots = Literal["shared", "disjoint", "both"]
Arm = Literal["shared", "disjoint", "zero_shots", "other_shots", "other_context"]
CONTROLS: tuple[Arm, ...] = ("zero_shots", "other_shots", "other_context")


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How the pairs of a run are judged."""

    shots: int
    """Pairs that the model is given of a user, and the judge."""
    judge_shots: JudgeShots
    controls: bool

    @property
    def arms(self) -> tuple[Arm, ...]:
        """In the order of reports."""
        kinds: tuple[Arm, ...] = ("shared", "disjoint")
        asked = tuple(kind for kind in kinds if self.judge_shots in (kind, "both"))
        return asked + (CONTROLS if self.controls else ())

    @property
    def headline(self) -> Arm:
        """What controls are held against: what the judge knows for itself, where it is asked."""
        return "shared" if self.judge_shots == "shared" else "disjoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A pair of pictures of one caption, judged with some shots; asked in both orders."""

    arm: Arm
    owner: Member
    caption: Caption
    sample: int
    context: Context | None
    """Whom the model drew for; None is nobody."""
    shots: tuple[str, ...]
    """What the judge is shown, by pair id."""

    @property
    def id(self) -> str:
        """Unique in a run."""
        return f"{self.arm}/{self.owner.own.id}/{self.caption.id}/{self.sample}"


def check_protocol(protocol: Protocol, roles: Roles) -> None:
    """Refuse numbers of shots that the users do not have.

    Raises:
        UsageError: with what they have.
    """
    if protocol.shots < 1:
        raise UsageError("a judge needs shots", fix="give --shots a number from 1")
    if not roles.members:
        return
    most = min(sum(map(len, member.user.shots)) for member in roles.members)
    if protocol.shots > most:
        raise UsageError(
            f"{protocol.shots} shots, and users have {most}",
            fix=f"give --shots a number up to {most}",
        )
    apart = min(_apart(member) for member in roles.members)
    if protocol.judge_shots != "shared" and protocol.shots > apart:
        raise UsageError(
            f"users have no {protocol.shots} further shots for the judge beside the model's",
            fix=f"give --shots a number up to {apart}, or --judge-shots shared"
            if apart
            else "use --judge-shots shared",
        )


def _apart(member: Member) -> int:
    """The most shots that the model and, disjoint, the judge can have."""
    sets = [len(shots) for shots in member.user.shots[:2]]
    return min(sets) if len(sets) == 2 else 0


def plan_judge(
    suite_version: str,
    generator: str,
    info: GeneratorInfo,
    roles: Roles,
    protocol: Protocol,
    *,
    measured: bool,
) -> list[Item]:
    """The items of one generator: for the caption's owner and, as a control, for another user.

    Args:
        suite_version: noise is drawn by.
        generator: its name in records.
        info: what it conditions on; one that knows nothing of people draws each caption once.
        roles: the users.
        protocol: how pairs are judged.
        measured: whether it is the run's model; its baseline draws each caption once.
    """
    items: list[Item] = []
    for owner in roles.members:
        drawings: list[tuple[Drawing, Context | None]] = [("nobody", None)]
        if hears_users(info):
            drawings = [("own", owner.by_shots(protocol.shots))]
            partner = roles.partner(owner)
            if measured and protocol.controls and partner is not None:
                drawings.append(("shuffled", partner.by_shots(protocol.shots)))
        items += [
            Item(
                generator=generator,
                caption=caption,
                context=context,
                sample=sample,
                seed=noise_seed(suite_version, caption.id, sample),
                benchmark="judge",
                arm=arm,
                owner=owner.user.id,
            )
            for arm, context in drawings
            for caption in owner.captions
            for sample in range(roles.samples)
        ]
    return items


def comparisons(info: GeneratorInfo, roles: Roles, protocol: Protocol) -> list[Comparison]:
    """The pairs of every user, user by user, so that equal shots are asked for in a row."""
    found: list[Comparison] = []
    for owner in roles.members:
        for arm in protocol.arms:
            planned = _arm(arm, info, owner, roles, protocol)
            if planned is None:
                continue
            context, shots = planned
            found += [
                Comparison(
                    arm=arm,
                    owner=owner,
                    caption=caption,
                    sample=sample,
                    context=context,
                    shots=shots,
                )
                for caption in owner.captions
                for sample in range(roles.samples)
            ]
    return found


def _arm(
    arm: Arm, info: GeneratorInfo, owner: Member, roles: Roles, protocol: Protocol
) -> tuple[Context | None, tuple[str, ...]] | None:
    """Whom the model draws for and what the judge is shown; None where an arm does not exist."""
    own = owner.by_shots(protocol.shots) if hears_users(info) else None
    partner = roles.partner(owner)
    if arm in ("shared", "disjoint"):
        return own, shown(owner, arm, protocol.shots)
    if arm == "zero_shots":
        return own, ()
    if partner is None:
        return None
    if arm == "other_shots":
        return own, shown(partner, protocol.headline, protocol.shots)
    if not hears_users(info):
        return None
    return partner.by_shots(protocol.shots), shown(owner, protocol.headline, protocol.shots)


def shown(member: Member, arm: Arm, count: int) -> tuple[str, ...]:
    """Pair ids of a user: the first ones, which a model is given, or those of the second set."""
    if arm == "disjoint":
        return member.user.shots[1][:count]
    return tuple(pair for group in member.user.shots for pair in group)[:count]
