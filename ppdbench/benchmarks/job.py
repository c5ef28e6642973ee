"""A run's job: what is measured on whom, and every item to draw for it.

Elsewhere: which benchmarks (`selection`), the items (`plan`, `personal.plan`), doing the
job (`evaluate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ppdbench.benchmarks.contexts import encoder_of
from ppdbench.benchmarks.interpolation.plan import (
    Interpolation,
    interpolation,
    plan_interpolation,
)
from ppdbench.benchmarks.interpolation.simplex import STEP
from ppdbench.benchmarks.personal.plan import plan_personal, served
from ppdbench.benchmarks.personal.roles import Roles, assign_roles
from ppdbench.benchmarks.plan import BY_REWARDS, Drawn, Item, plan_rewards
from ppdbench.benchmarks.selection import OF_PEOPLE
from ppdbench.benchmarks.tradeoff.plan import Tradeoff, plan_tradeoff, tradeoff
from ppdbench.errors import PpdbenchError
from ppdbench.protocols import Caption, Events, Generator, GeneratorInfo, Suite, UserEncoder
from ppdbench.users.given import ENCODED


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one run is to do; all of it follows from the command and the plug-ins."""

    suite: Suite
    generators: Mapping[str, Generator]
    """By name in records; the first is measured. None where encoders alone are."""
    encoders: Mapping[str, UserEncoder]
    benchmarks: tuple[str, ...]
    full: bool
    """The record's setting of the benchmarks of people."""
    limit: int | None
    """None where the whole suite is measured on."""
    samples: int
    captions: tuple[Caption, ...]
    """Of the benchmarks by rewards."""
    interpolation: Interpolation | None
    """What benchmark `interpolation` draws, where it is made."""
    tradeoff: Tradeoff | None
    """What benchmark `tradeoff` draws, where it is made."""
    roles: Roles | None
    """The roles of users in benchmark `personal`."""
    items: tuple[Item, ...]
    unserved: Mapping[str, Mapping[str, int]]
    """Generator -> split -> users whom it cannot serve, where there are any."""

    @property
    def model(self) -> str:
        """What is measured: a generator, or where nothing is drawn encoders, "+" between."""
        return next(iter(self.generators), "+".join(self.encoders))

    @property
    def digest(self) -> str:
        """sha256 over what of the suite is measured on: all of it, or its people alone.

        Raises:
            MissingPrerequisite: a file of the suite is not at hand.
        """
        people = self.suite.people
        return self.suite.digest if self.generators or people is None else people.digest

    @property
    def notes(self) -> tuple[str, ...]:
        """The suite's, and whose training people are others; splits may be made for them."""
        strangers = trained_for_others(self.suite, self.generators) if self.of_people else ()
        return (*self.suite.notes, *strangers, *not_seeded(self.generators))

    @property
    def drawn(self) -> tuple[Drawn, ...]:
        """The benchmarks that images are drawn for."""
        every: tuple[Drawn, ...] = ("rewards", "interpolation", "tradeoff", "personal")
        return tuple(name for name in every if name in self.benchmarks)

    @property
    def of_people(self) -> bool:
        """Whether a benchmark is about the suite's users."""
        return bool(set(self.benchmarks) & set(OF_PEOPLE))

    @property
    def all_captions(self) -> list[Caption]:
        """The captions of all benchmarks, in order."""
        members = self.roles.members if self.roles else ()
        return [*self.captions, *(caption for member in members for caption in member.captions)]

    @property
    def spec(self) -> dict[str, Any]:
        """All that changes results, and nothing that does not: what the fingerprint covers."""
        suite, digest = self.suite, self.digest  # first: it refuses what people take hours to need
        people: dict[str, Any] = {}
        if suite.people is not None and self.of_people:
            people = {
                "people": suite.people.digest,
                "encoders": {
                    name: {"revision": e.info.revision} for name, e in self.encoders.items()
                },
                **({"full": True} if self.full else {}),
            }
        drawing = {
            "sampling": asdict(suite.sampling),
            "samples": self.samples,
            "baseline": suite.baseline,
        }
        return {
            "suite": suite.name,
            "suite_version": suite.version,
            "suite_digest": digest,
            "benchmark": ",".join(self.benchmarks),
            "split": "test",
            "limit": self.limit,
            "model": self.model,
            "generators": {n: drawn_by(g.info) for n, g in self.generators.items()},
            **(drawing if self.generators else {}),
            **({"interpolation": self.interpolation.spec} if self.interpolation else {}),
            **({"tradeoff": self.tradeoff.spec} if self.tradeoff else {}),
            **people,
        }


def drawn_by(info: GeneratorInfo) -> dict[str, Any]:
    """What of a generator a run's spec holds: what its pictures follow from."""
    return {"revision": info.revision, **({} if info.seeded else {"seeded": False})}


def not_seeded(generators: Mapping[str, Generator]) -> list[str]:
    """Of each generator whose noise cannot be set, what that means, in a line."""
    return [
        f"{name} takes no seed: drawn again its pictures are others, and they share no noise with "
        "those they are compared with, so that differences are noisier than between seeded models"
        for name, generator in generators.items()
        if not generator.info.seeded
    ]


def trained_for_others(suite: Suite, generators: Mapping[str, Generator]) -> list[str]:
    """Of each generator whose training people are not the suite's, what that means, in a line."""
    own = suite.people.training_digest if suite.people else None
    return [
        f"{name} was trained for others than the training people of {suite.name}: it may "
        "know its unseen users, and not know its seen ones"
        for name, generator in generators.items()
        if own is not None and generator.info.training_users_digest not in (None, own)
    ]


def plan(
    suite: Suite,
    generators: Mapping[str, Generator],
    encoders: Mapping[str, UserEncoder],
    benchmarks: Sequence[str],
    *,
    full: bool,
    limit: int | None,
    samples: int,
    weight_step: float = STEP,
    events: Events,
) -> Job:
    """Lay out a job; nothing is drawn and no weights are loaded.

    Args:
        suite: what is measured on.
        generators: by name; the first is the model.
        encoders: by name, as `selection.select` gives them.
        benchmarks: those to make.
        full: the record's setting of the benchmarks of people.
        limit: only the first captions, and the first users of each split.
        samples: images a caption and context.
        weight_step: between neighbouring weights of benchmark `interpolation`.
        events: told of users who cannot be served.

    Raises:
        PpdbenchError: the suite gives two captions one id, or an encoder of ids is broken.
    """
    whole = True
    captions: list[Caption] = []
    if BY_REWARDS & set(benchmarks):
        captions = list(suite.captions("test"))
        whole = limit is None or limit >= len(captions)
        captions = captions[:limit]
    if "users" in benchmarks:
        whole = whole and limit is None  # how many there are, only a reading of all pairs tells
    mixtures = measured_path = roles = None
    if "interpolation" in benchmarks:
        mixtures = interpolation(suite, captions, step=weight_step, samples=samples, full=full)
    if "tradeoff" in benchmarks:
        measured_path = tradeoff(captions, full=full)
    if "personal" in benchmarks and suite.people is not None:
        roles = assign_roles(suite.people, full=full, limit=limit, samples=samples)
        whole = whole and roles.whole
    items: list[Item] = []
    unserved: dict[str, dict[str, int]] = {}
    for name, generator in generators.items():
        measured, info = name == next(iter(generators)), generator.info
        if "rewards" in benchmarks:
            items += plan_rewards(suite, name, info, captions, samples)
        if mixtures and (measured or name == suite.baseline):
            items += plan_interpolation(suite, name, info, mixtures)
        if measured_path:
            items += plan_tradeoff(suite, name, info, measured_path)
        if roles and _can_draw(generator, encoders):
            drawn, strangers = _served(suite, name, info, encoders, roles, measured)
            items += drawn
            unserved |= {name: strangers} if strangers else {}
            note_unserved(name, strangers, events)
    job = Job(
        suite=suite,
        generators=generators,
        encoders=encoders,
        benchmarks=tuple(benchmarks),
        full=full and set(benchmarks) != {"rewards"},
        limit=None if whole else limit,
        samples=samples,
        captions=tuple(captions),
        interpolation=mixtures,
        tradeoff=measured_path,
        roles=roles,
        items=tuple(items),
        unserved=unserved,
    )
    require_distinct(suite, job.all_captions)
    return job


def note_unserved(name: str, strangers: Mapping[str, int], events: Events) -> None:
    """Say of whom a generator cannot serve, split by split, how many are left out."""
    for split, count in strangers.items():
        events.note(f"{name} cannot serve {split} users: {count} are left out")


def require_distinct(suite: Suite, captions: Sequence[Caption]) -> None:
    """Refuse captions of which two have one id: items are told apart by it, and pairs paired.

    Raises:
        PpdbenchError: there are such.
    """
    if len({caption.id for caption in captions}) < len(captions):
        raise PpdbenchError(
            f"the suite {suite.name} gives two captions one id",
            fix="let it give each caption an id of its own",
        )


def _can_draw(generator: Generator, encoders: Mapping[str, UserEncoder]) -> bool:
    """Whether the encoder that a generator needs, if it needs one, is there."""
    needs = bool(ENCODED & generator.info.conditions_on)
    return not needs or encoder_of(generator.info, encoders) is not None


def _served(
    suite: Suite,
    name: str,
    info: GeneratorInfo,
    encoders: Mapping[str, UserEncoder],
    roles: Roles,
    measured: bool,
) -> tuple[list[Item], dict[str, int]]:
    """A generator's items of benchmark `personal`, and by split how many users it cannot serve."""
    encoder = encoder_of(info, encoders)
    reads = encoder.info.uses if encoder else None
    items = plan_personal(suite.version, name, info, roles, measured=measured, reads=reads)
    return served(items, info, encoders, roles)
