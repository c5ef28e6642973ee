"""How long do 100,000 records take to summarise, and how much memory? Two made-up finished runs.

    python perf/summary_scale.py [--limit USERS] [--samples 6]

Of `ppdbench eval --full`, some 136,000 records of pictures and scores for three benchmarks; and of
`ppdbench judge --full --samples 6`, some 112,000 verdicts of a server, on 34,000 pictures. The same
command again, in a process of its own, finds everything done and writes the summary and the page
anew: all of it is measured, from the start of Python to its end, three times each, and the stage
"summarise" alone by the run's status.json. A run before these, which finds nothing of the records
in the cache, is told apart. Exits 1 if a command takes more than 30 s (median) or
1 GB; writes results/summary_scale.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from child import needs
from made_records import write_evaluated, write_judged
from result_file import RESULTS, header, write_result

from ppdbench.benchmarks.judge.job import JudgeChoice

FEWEST = 100_000
"""Records of each, of all users."""
MOST_SECONDS = 30.0
MOST_MIB = 1e9 / 2**20
BENCHMARKS = ("rewards", "interpolation", "personal")
JUDGE = ("openai:gpt-4o", "http://127.0.0.1:9/v1")
"""Name and address; nobody is asked."""
OUT = RESULTS / "summary_scale.json"


def summarised(command: Sequence[str | Path], run: Path, *, repeats: int) -> dict[str, Any]:
    """Summarise a finished run from its records; what it took, medians.

    Args:
        command: that made the run, and is told to make it again.
        run: its folder; what it has of summary and page is taken away each time.
        repeats: how often; once more before, so that what is on record is in the cache too.
    """
    tries = []
    for _ in range(repeats + 1):
        for name in ("summary.json", "report.html"):
            (run / name).unlink(missing_ok=True)
        before = _stage(run)
        took = needs(command, {})
        took["summarise_seconds"] = round(_stage(run) - before, 1)
        tries.append(took)
    first, *tries = tries
    return {
        **{key: statistics.median(each[key] for each in tries) for key in tries[0]},
        "peak_mib": max(each["peak_mib"] for each in tries),
        "seconds_each": [each["seconds"] for each in tries],
        "seconds_first": first["seconds"],
        "complete": json.loads((run / "summary.json").read_bytes())["complete"],
    }


def _stage(run: Path) -> float:
    """Seconds that summarising has taken so far."""
    status = run / "status.json"
    found = json.loads(status.read_bytes()) if status.is_file() else {"seconds": {}}
    return float(found["seconds"].get("summarise", 0.0))


def measure(place: Path, limit: int | None, samples: int, repeats: int) -> dict[str, Any]:
    """Both runs, made and summarised.

    Args:
        place: where.
        limit: as `--limit`; None takes all users and captions.
        samples: pictures a caption and user that are judged.
        repeats: how often each is summarised.
    """
    runs = place / "runs"
    same: list[str | Path] = ["--full", "--runs", runs, "--device", "cpu", "--quiet"]
    same += ["--limit", str(limit)] if limit else []
    named = [word for name in BENCHMARKS for word in ("--benchmark", name)]
    evaluated, records = write_evaluated(runs, benchmarks=BENCHMARKS, full=True, limit=limit)
    found = {"eval": {"records": records}}
    found["eval"] |= summarised(
        ["eval", "--model", "ppd", *named, *same], evaluated, repeats=repeats
    )
    print(f"eval: {found['eval']}", file=sys.stderr, flush=True)
    name, url = JUDGE
    choice = JudgeChoice(name=name, base_url=url)
    judged, calls = write_judged(runs, choice, full=True, limit=limit, samples=samples)
    command = ["judge", "--model", "ppd", "--judge", name, "--base-url", url, *same]
    command += ["--samples", str(samples)]
    found["judge"] = {"records": calls, **summarised(command, judged, repeats=repeats)}
    print(f"judge: {found['judge']}", file=sys.stderr, flush=True)
    return found


def main() -> int:
    """Parse, measure, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--limit", type=int, default=None, metavar="USERS")
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        env = {"PPDBENCH_CACHE": str(Path(name) / "cache"), "OPENAI_API_KEY": "none"}
        with mock.patch.dict(os.environ, env):
            found = measure(Path(name), given.limit, given.samples, given.repeats)
    fewest = 0 if given.limit else FEWEST
    passed = all(
        each["complete"]
        and each["records"] >= fewest
        and each["seconds"] <= MOST_SECONDS
        and each["peak_mib"] <= MOST_MIB
        for each in found.values()
    )
    record = {
        **header(),
        "benchmarks": BENCHMARKS,
        "judge": JUDGE[0],
        "runs": found,
        "bars": {"seconds": MOST_SECONDS, "peak_mib": round(MOST_MIB, 1)},
        "passed": passed,
    }
    write_result(record, given.out)
    for kind, each in found.items():
        print(
            f"{kind}: {each['records']} records, {each['seconds']} s of at most {MOST_SECONDS:g}, "
            f"{each['peak_mib']} MiB of at most {MOST_MIB:.0f}",
            file=sys.stderr,
        )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
