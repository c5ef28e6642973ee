"""What benchmark `tradeoff` measures beside the rewards: divergence item by item, then diversity.

Both are append-only records in the run's folder, so a killed run goes on and a finished one loads
no weights. Elsewhere: each of the two (`tradeoff.divergence`, `tradeoff.diversity`), what is made
of them (`tradeoff.figures`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ppdbench.benchmarks.contexts import Contexts
from ppdbench.benchmarks.generate import last_records
from ppdbench.benchmarks.job import Job
from ppdbench.benchmarks.plan import Item
from ppdbench.benchmarks.scorers import Scorers
from ppdbench.benchmarks.tradeoff.divergence import measure_divergence
from ppdbench.benchmarks.tradeoff.diversity import Group, Key, embedder, measure_diversity
from ppdbench.protocols import Events
from ppdbench.runs.directory import RunDirectory
from ppdbench.runs.results import read_scorers, rewards_of


def measure_tradeoff(
    run: RunDirectory,
    job: Job,
    contexts: Contexts,
    scorers: Scorers,
    *,
    batch_size: int,
    events: Events,
) -> int:
    """Measure what is not on record; returns how many items were looked at.

    Args:
        run: the run, its images drawn and scored.
        job: what it does.
        contexts: of the items' users.
        scorers: the run's.
        batch_size: items asked for at once.
        events: told of progress, and of what is not measured.

    Raises:
        PpdbenchError: a file of the run is damaged or cannot be written, or a plug-in says that it
            cannot work at all.
    """
    layout = job.tradeoff
    if layout is None:
        return 0
    records = last_records(run.path)
    drawn = {item: record["image"] for item, record in records.items() if record["image"]}
    items = [i for i in job.items if i.benchmark == "tradeoff" and i.id in drawn]
    looked_at = measure_divergence(
        run,
        [item for item in items if item.sample < layout.divergence_samples],
        job.generators,
        job.suite.baseline,
        contexts,
        job.suite.sampling,
        batch_size=batch_size,
        events=events,
    )
    reward = embedder(rewards_of(read_scorers(run.path)))
    if reward is None:
        return looked_at
    groups = whole_groups(items, drawn, layout.samples)
    return looked_at + measure_diversity(
        run, groups, reward, scorers, batch_size=batch_size, events=events
    )


def whole_groups(items: Sequence[Item], drawn: Mapping[str, str], samples: int) -> list[Group]:
    """Generator, user and caption with their pictures, where all noises are drawn.

    Args:
        items: drawn items.
        drawn: item id -> sha256 of its picture.
        samples: noises a caption.
    """
    found: dict[Key, list[tuple[int, str]]] = {}
    for item in items:
        key = (item.generator, item.user, item.caption.id)
        found.setdefault(key, []).append((item.sample, drawn[item.id]))
    return [
        (key, tuple(image for _, image in sorted(pictures)))
        for key, pictures in found.items()
        if len(pictures) == samples > 1
    ]
