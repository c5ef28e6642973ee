"""Finished runs of any size on `shapes` without drawing or asking: every record, made up.

Items, calls and settings are those that the commands plan, so that the same command takes the
folder for its own finished run, and is left to summarise it. A pool of pictures is shared by all
items. The numbers mean nothing. Elsewhere: a run for the page alone (`made_run`), who measures
(`summary_scale`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

import numpy as np
from made_painter import squares

from ppdbench import plugins
from ppdbench.benchmarks.job import plan
from ppdbench.benchmarks.judge.calls import calls_of, pair_up
from ppdbench.benchmarks.judge.job import JudgeChoice, JudgeRequest, plan_job
from ppdbench.benchmarks.plan import Drawn, Item
from ppdbench.benchmarks.scorers import Scorers
from ppdbench.benchmarks.selection import select
from ppdbench.generators.make import make_generators
from ppdbench.judges.call import Call
from ppdbench.judges.on_record import FILE
from ppdbench.judges.verdict_records import verdict_record
from ppdbench.protocols import GenerationRequest, JudgeInfo, LoadContext, Suite, Verdict
from ppdbench.runs.directory import RunDirectory
from ppdbench.runs.records import RecordWriter
from ppdbench.runs.results import FIDELITY, TRUTH, read_results

POOL = 64
"""Pictures."""
FACTS = ("colour", "shape", "background", "layout", "size", "all")
Rows = Sequence[tuple[Item, str]]
"""Items and the hashes of their pictures."""


class Silent:
    """Says nothing; implements `protocols.Events`."""

    def stage(self, name: str, total: int) -> None:
        """Nothing."""

    def advance(self, n: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


def write_evaluated(
    runs: Path, *, benchmarks: Sequence[str], full: bool, limit: int | None
) -> tuple[Path, int]:
    """A run of `ppdbench eval --model ppd` that lacks its summary alone; its folder and records.

    Args:
        runs: folder of all runs.
        benchmarks: as `--benchmark` names them.
        full: as `--full`.
        limit: as `--limit`.
    """
    suite = plugins.make_suite("shapes")
    generators = make_generators(["ppd"], suite, "cpu")
    made, encoders = select(benchmarks, suite, generators, "cpu", Silent(), full=full)
    job = plan(
        suite, generators, encoders, made, full=full, limit=limit, samples=1, events=Silent()
    )
    with RunDirectory.open(runs, suite.name, job.model, job.spec) as run:
        rows = _draw(run, job.items, suite)
        return run.path, len(rows) + _measure(run, rows, suite, job.drawn)


def write_judged(
    runs: Path, choice: JudgeChoice, *, full: bool, limit: int | None, samples: int
) -> tuple[Path, int]:
    """A run of `ppdbench judge --model ppd`, its verdicts on record; its folder and how many.

    Args:
        runs: folder of all runs.
        choice: the judge, as the command names it.
        full: as `--full`.
        limit: as `--limit`.
        samples: as `--samples`.
    """
    request = JudgeRequest(
        model="ppd",
        baseline=None,
        suite="shapes",
        judge=choice,
        full=full,
        limit=limit,
        samples=samples,
    )
    job = plan_job(request, Silent())
    with RunDirectory.open(runs, job.suite.name, job.folder_name, job.spec) as run:
        _measure(run, _draw(run, job.items, job.suite), job.suite, ["judge"])
        pairs = pair_up(job.comparisons, read_results(run.path), job.model, job.baseline)
        calls = [call for pair in pairs for call in calls_of(pair)]
        with RecordWriter(run.path / FILE) as file:
            file.write(_judged(job.judge.info, calls))
        return run.path, len(calls)


def _draw(run: RunDirectory, items: Sequence[Item], suite: Suite) -> Rows:
    """Records of items that were drawn."""
    painter, sampling = squares(LoadContext(suite=suite, device="cpu")), suite.sampling
    requests = [
        GenerationRequest(
            id="", caption="", user=None, seed=n, width=sampling.width, height=sampling.height
        )
        for n in range(POOL)
    ]
    pool = [run.images.put(picture) for picture in painter.generate(requests)]
    rows = list(zip(items, cycle(pool), strict=False))
    with RecordWriter(run.generations) as file:
        file.write(
            {
                "item": item.id,
                "benchmark": item.benchmark,
                "arm": item.arm,
                "generator": item.generator,
                "caption_id": item.caption.id,
                "user": item.user,
                "sample": item.sample,
                "seed": item.seed,
                "image": image,
                "status": "ok",
                "error": None,
            }
            for item, image in rows
        )
    return rows


def _measure(run: RunDirectory, rows: Rows, suite: Suite, benchmarks: Sequence[Drawn]) -> int:
    """Records of scores by all scorers that a run needs; how many. Scorers are really loaded."""
    scorers = Scorers(suite, "cpu", run.path, benchmarks)
    for key in scorers.unknown:
        scorers.load(key)
    identities, rng = scorers.identities, np.random.default_rng(0)
    with RecordWriter(run.scores) as file:
        found = [
            {"item": item.id, "image": image, "scorer": key, "identity": identities[key]}
            | _value(key, rng)
            for item, image in rows
            for key in sorted(scorers.keys(item.benchmark))
        ]
        file.write(found)
    return len(found)


def _value(key: str, rng: np.random.Generator) -> dict[str, Any]:
    if key == FIDELITY:
        return {"facts": {fact: bool(rng.random() < 0.9) for fact in FACTS}}
    if key == TRUTH:
        return {"attributes": [float(f"{value:.6g}") for value in rng.normal(size=6)]}
    return {"score": float(rng.normal())}


def _judged(info: JudgeInfo, calls: Sequence[Call]) -> Iterator[Mapping[str, Any]]:
    """Records of calls as a server's verdicts make them."""
    rng = np.random.default_rng(0)
    for call in calls:
        digest = hashlib.sha256(call.id.encode()).hexdigest()
        choice: Literal["first", "second"] = "first" if rng.random() < 0.5 else "second"
        said = {"reason": "It is redder than the other.", "choice": "12"[choice == "second"]}
        verdict = Verdict(
            status="ok",
            choice=choice,
            reason=said["reason"],
            raw=json.dumps(said),
            cost=0.0083,
            details={
                "requested_model": "gpt-4o",
                "style": "json",
                "format_asked": True,
                "temperature": 0,
                "slots": [1, 2, 1, 1],
                "attempts": 1,
                "failed": [],
                "seconds": round(float(rng.uniform(0.5, 3.0)), 4),
                "model": "gpt-4o-2024-08-06",
                "other_model": True,
                "system_fingerprint": "fp_0123456789",
                "finish_reason": "stop",
                "tokens_in": 3120,
                "tokens_out": 41,
                "cached_tokens": 0,
                "parsed_by": "json",
            },
        )
        yield {
            "call": call.id,
            **call.facts,
            "repeat": call.repeat,
            "shots": list(call.shots),
            "images": list(call.images),
            "stamp": call.stamp,
            "question": digest,
            "key": digest,
            "judge": info.name,
            **verdict_record(verdict),
            "cached": False,
        }
