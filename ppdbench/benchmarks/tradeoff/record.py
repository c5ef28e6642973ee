"""From a finished run of benchmark `tradeoff` to curves on record; for maintainers.

Elsewhere: the file and how it is read (`entries.curves`), entries of the other benchmarks
(`leaderboard.add`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ppdbench.benchmarks.tradeoff.lines import lines_of, read_measured, setting_of, steps_of
from ppdbench.benchmarks.tradeoff.plan import Tradeoff
from ppdbench.entries.curves import CurveRow, write_curves
from ppdbench.errors import PpdbenchError, unknown_name
from ppdbench.protocols import Checkpoint
from ppdbench.runs.directory import read_spec
from ppdbench.runs.results import read_results, read_scorers, rewards_of


def record_curves(run: Path, out: Path, names: Sequence[str] = ()) -> tuple[Path, list[str]]:
    """Put rows of a run on record in `out`, beside those of other names; the file, and the rows.

    Args:
        run: a finished run's folder.
        out: the suite's folder of entries.
        names: generators of the run; none is all that it drew but the baseline.

    Raises:
        UsageError: the run did not draw one of them.
        PpdbenchError: the run is not of the benchmark, not complete or of a part of the captions,
            or the file holds curves of another setting.
    """
    spec, summary = read_spec(run), json.loads((run / "summary.json").read_bytes())
    if "tradeoff" not in spec or not summary["complete"] or spec["limit"] is not None:
        raise PpdbenchError(
            f"{run} does not hold benchmark tradeoff on all its captions",
            fix="record a run of --benchmark tradeoff without --limit and without failed items",
        )
    drawn = [name for name in spec["generators"] if name != spec["baseline"]]
    for name in names:
        if name not in drawn:
            raise unknown_name("freshly computed generator", name, drawn)
    scorers = read_scorers(run)
    setting = setting_of(spec, scorers)
    layout = Tradeoff(
        captions=(),
        samples=spec["tradeoff"]["samples"],
        divergence_samples=spec["tradeoff"]["divergence_samples"],
    )
    measured = read_measured(run, setting.baseline.revision)
    results = [r for r in read_results(run).values() if r.benchmark == "tradeoff"]
    rows = []
    for name in names or drawn:
        own = [result for result in results if result.generator == name]
        about: dict[str, Any] = summary["generators"][name]
        checkpoint = about.get("checkpoint")
        rows.append(
            CurveRow(
                name=name,
                **{key: about[key] for key in ("version", "revision", "licence")},
                source="fresh",
                means=lines_of(own, measured, rewards_of(scorers), layout),
                checkpoint=Checkpoint(**checkpoint) if checkpoint else None,
                by_step=steps_of(own, measured),
                reason=_reason(summary, name),
            )
        )
    today = datetime.now(UTC).date().isoformat()
    captions = list(dict.fromkeys(result.caption_id for result in results))
    return write_curves(out, setting, captions, rows, today), [row.name for row in rows]


def _reason(summary: dict[str, Any], name: str) -> str | None:
    """Why the divergence of a row is not known, as the run says."""
    points = summary["benchmarks"]["tradeoff"]["points"]
    own = next(point for point in points if point["row"] == name)
    reason: str | None = own.get("reason") if own["divergence"] is None else None
    return reason
