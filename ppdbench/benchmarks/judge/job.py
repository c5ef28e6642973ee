"""A judged run's job: which generators, users, pictures and comparisons, and which judge.

All of it follows from the command and the plug-ins; nothing is drawn and no weights are loaded.
Elsewhere: doing it (`judge.run`), the comparisons (`judge.plan`), the figures (`judge.figures`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ppdbench import plugins
from ppdbench.benchmarks.job import (
    drawn_by,
    not_seeded,
    note_unserved,
    require_distinct,
    trained_for_others,
)
from ppdbench.benchmarks.judge.plan import (
    Comparison,
    JudgeShots,
    Protocol,
    check_protocol,
    comparisons,
    plan_judge,
)
from ppdbench.benchmarks.personal.plan import served
from ppdbench.benchmarks.personal.roles import SPLITS, PersonalSplit, Roles, assign_roles
from ppdbench.benchmarks.plan import Item
from ppdbench.benchmarks.selection import encoders_of
from ppdbench.errors import UsageError
from ppdbench.generators.make import make_named
from ppdbench.judges.batch_answers import BatchAnswers, Batching
from ppdbench.judges.load import make_judge
from ppdbench.protocols import (
    Caption,
    Events,
    Generator,
    Judge,
    JudgeContext,
    People,
    Suite,
    SuiteFiles,
    UserEncoder,
)
from ppdbench.runs.device import resolve

DEFAULT_JUDGE = "vlm"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeChoice:
    """Which judge a command names, and how it is reached."""

    name: str = DEFAULT_JUDGE
    base_url: str | None = None
    concurrency: int = 8
    timeout: float = 60.0
    price: tuple[float, float] | None = None
    max_cost: float | None = None
    batch_in: tuple[Path, ...] = ()
    """A provider's batch answers; where there are some, nobody is asked."""

    def make(self, suite: Suite, device: str) -> Judge:
        """Make it; raises as `judges.load.make_judge`.

        Raises:
            UsageError: a budget is set and no price is known.
        """
        judge = make_judge(
            self.name,
            JudgeContext(
                suite=suite,
                device=device,
                base_url=self.base_url,
                concurrency=self.concurrency,
                timeout=self.timeout,
                price=self.price,
            ),
        )
        if self.base_url is not None and not isinstance(judge, Batching):
            raise UsageError(
                f"the judge {judge.info.name} asks no server, and --base-url names one",
                fix="use --judge openai:MODEL, or leave out --base-url",
            )
        if self.max_cost is not None and self.price is None and isinstance(judge, Batching):
            raise UsageError(
                f"--max-cost needs to know what tokens of {judge.info.name} cost",
                fix="add --price IN,OUT: US dollars a million tokens, read and written",
            )
        return BatchAnswers(judge, self.batch_in, self.price) if self.batch_in else judge


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeRequest:
    """What a command asks for."""

    model: str
    baseline: str | None
    """None is the suite's."""
    suite: str
    pairs: Path | None = None
    vlm: str | None = None
    judge: JudgeChoice
    shots: int = 4
    judge_shots: JudgeShots = "both"
    controls: bool = True
    split: Literal["seen", "unseen", "all"] = "all"
    full: bool = False
    """Every caption of a user, not the first alone."""
    limit: int | None = None
    samples: int = 1
    device: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeJob:
    """What one judged run is to do."""

    suite: Suite
    people: People
    generators: Mapping[str, Generator]
    """By name in records: the model, then the baseline."""
    encoders: Mapping[str, UserEncoder]
    judge: Judge
    called: str
    """The judge's name as the command gave it."""
    device: str
    protocol: Protocol
    roles: Roles
    splits: tuple[PersonalSplit, ...]
    items: tuple[Item, ...]
    comparisons: tuple[Comparison, ...]
    unserved: Mapping[str, Mapping[str, int]]
    """Generator -> split -> users whom it cannot serve, where there are any."""
    full: bool
    limit: int | None
    samples: int

    @property
    def model(self) -> str:
        """The measured generator."""
        return next(iter(self.generators))

    @property
    def baseline(self) -> str:
        """The one it is held against."""
        return list(self.generators)[-1]

    @property
    def folder_name(self) -> str:
        """What the run's folder is called, before its fingerprint."""
        return f"{self.model}-judge"

    @property
    def captions(self) -> list[Caption]:
        """All that is drawn."""
        return [caption for member in self.roles.members for caption in member.captions]

    @property
    def notes(self) -> tuple[str, ...]:
        """The suite's, and whose training people are others; splits may be made for them."""
        strangers = trained_for_others(self.suite, self.generators)
        return (*self.suite.notes, *strangers, *not_seeded(self.generators))

    @property
    def spec(self) -> dict[str, Any]:
        """All that changes results, and nothing that does not."""
        suite = self.suite
        return {
            "suite": suite.name,
            "suite_version": suite.version,
            "suite_digest": self.people.digest,
            "people": self.people.digest,
            "benchmark": "judge",
            "split": "+".join(self.splits),
            "limit": self.limit,
            "full": self.full,
            "model": self.model,
            "generators": {n: drawn_by(g.info) for n, g in self.generators.items()},
            "encoders": {n: {"revision": e.info.revision} for n, e in self.encoders.items()},
            "sampling": asdict(suite.sampling),
            "samples": self.samples,
            "baseline": self.baseline,
            "judge": {"name": self.judge.info.name, "revision": self.judge.info.revision},
            **asdict(self.protocol),
        }


def plan_job(request: JudgeRequest, events: Events) -> JudgeJob:
    """Lay out a job.

    Raises:
        UsageError: an unknown name, or what suite, model or judge do not support.
        MissingPrerequisite: pairs, weights or a key are not at hand.
        PpdbenchError: a plug-in is broken, or the suite gives two captions one id.
    """
    files = SuiteFiles(pairs=request.pairs, vlm=request.vlm, events=events)
    suite: Suite = plugins.make_suite(request.suite, files)
    people = require_people(suite)
    device = resolve(request.device)
    generators = make_named([request.model, request.baseline or suite.baseline], suite, device)
    if len(generators) < 2:
        raise UsageError(
            f"{request.model} would be held against itself", fix="name another --baseline"
        )
    encoders, missing = encoders_of(suite, generators, device)
    if missing:
        raise next(iter(missing.values()))
    judge = request.judge.make(suite, device)
    splits: tuple[PersonalSplit, ...] = SPLITS if request.split == "all" else (request.split,)
    roles = assign_roles(
        people, full=request.full, limit=request.limit, samples=request.samples, splits=splits
    )
    if not roles.members:
        raise UsageError(
            f"the suite {suite.name} has no {' or '.join(splits)} users",
            fix="choose another --split",
        )
    protocol = Protocol(
        shots=request.shots, judge_shots=request.judge_shots, controls=request.controls
    )
    check_protocol(protocol, roles)
    require_distinct(suite, [caption for each in roles.members for caption in each.captions])
    items, unserved = _items(suite, generators, encoders, roles, protocol, events)
    return JudgeJob(
        suite=suite,
        people=people,
        generators=generators,
        encoders=encoders,
        judge=judge,
        called=request.judge.name,
        device=device,
        protocol=protocol,
        roles=roles,
        splits=splits,
        items=tuple(items),
        comparisons=tuple(_possible(items, generators, roles, protocol)),
        unserved=unserved,
        full=request.full,
        limit=None if roles.whole else request.limit,
        samples=request.samples,
    )


def _items(
    suite: Suite,
    generators: Mapping[str, Generator],
    encoders: Mapping[str, UserEncoder],
    roles: Roles,
    protocol: Protocol,
    events: Events,
) -> tuple[list[Item], dict[str, dict[str, int]]]:
    """What is drawn, and for each generator how many users of a split it cannot serve."""
    items: list[Item] = []
    unserved: dict[str, dict[str, int]] = {}
    for name, generator in generators.items():
        measured = name == next(iter(generators))
        own = plan_judge(suite.version, name, generator.info, roles, protocol, measured=measured)
        kept, strangers = served(own, generator.info, encoders, roles)
        items += kept
        if strangers:
            unserved[name] = strangers
        note_unserved(name, strangers, events)
    return items, unserved


def _possible(
    items: list[Item], generators: Mapping[str, Generator], roles: Roles, protocol: Protocol
) -> list[Comparison]:
    """The comparisons whose two pictures are planned: those for users whom both can serve."""
    model, baseline = generators
    planned = {(i.generator, i.user, i.caption.id, i.sample) for i in items}
    captions = {(i.generator, i.caption.id, i.sample) for i in items}
    return [
        each
        for each in comparisons(generators[model].info, roles, protocol)
        if (model, each.context.id if each.context else None, each.caption.id, each.sample)
        in planned
        and (baseline, each.caption.id, each.sample) in captions
    ]


def require_people(suite: Suite) -> People:
    """The users of a suite.

    Raises:
        UsageError: it has none.
    """
    if suite.people is None:
        raise UsageError(
            f"the suite {suite.name} has no users: a judge judges for somebody",
            fix="name preference pairs with --pairs PATH, or another --suite",
        )
    return suite.people
