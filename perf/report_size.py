"""How long does the page of a large run take, and how large is it? A made-up run of 5,000 items.

    python perf/report_size.py [--items 5000] [--side 1024] [--files 100]

`ppdbench report` in a fresh process on a run with pictures of 1024 pixels: three times from
nothing, again with nothing changed, and on a fifth of the items. Exits 1 if the page of the large
run takes more than 20 s (median) or 30 MB; writes results/report_size.json.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from child import needs
from made_run import write_run
from result_file import RESULTS, header, write_result

MOST_SECONDS = 20.0
MOST_MB = 30.0
FIFTH = 5
OUT = RESULTS / "report_size.json"


def built(run: Path, *, repeats: int = 0) -> dict[str, Any]:
    """Build a run's page and figures; what it took, and what is there then.

    Args:
        run: its folder.
        repeats: how often from nothing, for a median; 0 builds once on what is there.
    """
    tries = []
    for _ in range(max(1, repeats)):
        if repeats:
            shutil.rmtree(run / "figures", ignore_errors=True)
            (run / "report.html").unlink(missing_ok=True)
        tries.append(needs(["report", run, "--quiet"], {}))
    took = {key: statistics.median(each[key] for each in tries) for key in tries[0]}
    page = run / "report.html"
    figures = [path for path in (run / "figures").iterdir() if path.suffix != ".json"]
    return {
        **took,
        "seconds_each": [each["seconds"] for each in tries],
        "page_mb": round(page.stat().st_size / 1e6, 2),
        "pictures": len(re.findall(r'src="data:image/', page.read_text(encoding="utf-8"))),
        "figures": len(figures) // 3,
        "figures_mb": round(sum(path.stat().st_size for path in figures) / 1e6, 2),
    }


def main() -> int:
    """Parse, measure, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as place:
        for name, items in (("fifth", given.items // FIFTH), ("whole", given.items)):
            run = Path(place) / name
            write_run(run, items=items, side=given.side, files=given.files)
            found[name] = {"items": items, **built(run, repeats=given.repeats)}
            print(f"{name}: {found[name]}", file=sys.stderr, flush=True)
        found["again"] = {"items": given.items, **built(Path(place) / "whole")}
    whole = found["whole"]
    record = {
        **header(also=("jinja2", "matplotlib")),
        "side": given.side,
        "files": given.files,
        "runs": found,
        "ratio_of_cpu_seconds_to_a_fifth": round(
            whole["cpu_seconds"] / found["fifth"]["cpu_seconds"], 2
        ),
        "bars": {"seconds": MOST_SECONDS, "page_mb": MOST_MB},
        "passed": whole["seconds"] <= MOST_SECONDS and whole["page_mb"] <= MOST_MB,
    }
    write_result(record, given.out)
    print(
        f"{whole['items']} items: {whole['seconds']} s of at most {MOST_SECONDS}, "
        f"{whole['page_mb']} MB of at most {MOST_MB}",
        file=sys.stderr,
    )
    return 0 if record["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
