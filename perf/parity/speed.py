"""Is scoring fast? hpsv2, imscore and ours, side by side, with the same weights and images.

    python perf/parity/speed.py [--work DIR] [--images N]

Each side runs in a process of its own, one after the other (they need up to 9 GB each), so let the
machine be idle. Uses the environment, the checkpoints and --work of `run`. Writes
results/reward_speed.json and exits 1 where a bar is missed: ours at least 2.5 x hpsv2.score called
once an image, 1.1 x called with a list, 1.1 x imscore, 90% of the tower's bare batched encoder,
and decoding with preprocessing at 80% of what Pillow does alone on the same cores. Elsewhere: what
a side does (`timed`), how fast images are read (`reading`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import environment
from answers import HERE
from reading import draw_images, reading_rates
from run import default_work, header, prepare

RESULTS = HERE.parent / "results" / "reward_speed.json"
ONCE_IMAGES = 4
"""Images of the side that reads its checkpoint for each of them."""
SAME = 1e-5
"""Cosines of two sides may differ by this much; else they did not do the same work."""
BARS = {
    "ours over hpsv2 called once an image": 2.5,
    "ours over hpsv2 called with a list": 1.1,
    "ours with its model loaded over imscore": 1.1,
    "ours with its model loaded over the bare encoder": 0.9,
    "decode and preprocess over Pillow alone": 0.8,
}


def add_imscore(oracle: environment.Oracle) -> str:
    """Put imscore into the originals' environment, whose packages serve it; its version."""
    pip = [str(oracle.python), "-m", "pip", "install", "--quiet", "--no-deps", "imscore"]
    code = "from importlib.metadata import version; print(version('imscore'))"
    found = subprocess.run([oracle.python, "-c", code], check=False, capture_output=True)
    if found.returncode:
        subprocess.run(pip, check=True)
        found = subprocess.run([oracle.python, "-c", code], check=True, capture_output=True)
    return found.stdout.decode().strip()


def measure(work: Path, oracle: environment.Oracle, images: int) -> dict[str, Any]:
    """Run every side; images a second and the ratios that have a bar."""
    sides = {
        "hpsv2-once": (oracle.python, min(ONCE_IMAGES, images)),
        "hpsv2-list": (oracle.python, images),
        "imscore": (oracle.python, images),
        "ours": (Path(sys.executable), images),
        "warm": (Path(sys.executable), images),
    }
    found = {name: _run(name, python, work, n, oracle) for name, (python, n) in sides.items()}
    reference = found["ours"]["scores"]
    for name, side in found.items():
        if len(side["scores"]) != side["n"]:
            raise SystemExit(f"{name} gives {len(side['scores'])} scores for {side['n']} images")
        gaps = [abs(a - b) for a, b in zip(side["scores"], reference, strict=False)]
        if apart := [gap for gap in gaps if not gap <= SAME]:  # one that is no number, too
            raise SystemExit(f"{name} gives other scores than ours, by {apart[0]:.2g}")
    rates = {
        key: [side["n"] / seconds for seconds in values]
        for side in found.values()
        for key, values in side["seconds"].items()
    }
    reading = reading_rates(work / "speed")
    middle = {name: statistics.median(values) for name, values in rates.items()}
    ratios = {
        "ours over hpsv2 called once an image": middle["ours"] / middle["hpsv2-once"],
        "ours over hpsv2 called with a list": middle["ours"] / middle["hpsv2-list"],
        "ours with its model loaded over imscore": middle["warm"] / middle["imscore"],
        "ours with its model loaded over the bare encoder": middle["warm"] / middle["bare"],
        "decode and preprocess over Pillow alone": reading["all"]["ours_over_pillow"],
    }
    return {
        "images_per_second": {k: [round(v, 4) for v in values] for k, values in rates.items()},
        "n_images": {name: side["n"] for name, side in found.items()},
        "torch_threads": found["ours"]["torch_threads"],
        "reading": reading,
        "ratios": {name: round(ratio, 3) for name, ratio in ratios.items()},
    }


def _run(
    side: str, python: Path, work: Path, images: int, oracle: environment.Oracle
) -> Mapping[str, Any]:
    print(f"{side}: {images} images", file=sys.stderr, flush=True)
    command: list[str | Path] = [
        python,
        HERE / "timed.py",
        side,
        "--work",
        work,
        "--images",
        str(images),
    ]
    done = subprocess.run(command, check=True, env=oracle.variables(), stdout=subprocess.PIPE)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"  {found['seconds']}", file=sys.stderr, flush=True)
    return found


def main() -> int:
    """Parse, measure, record, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=default_work())
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    work: Path = given.work.resolve()
    sides, _ = prepare(work, None)
    draw_images(work / "speed", given.images)
    imscore = add_imscore(sides.oracle)
    found = measure(work, sides.oracle, given.images)
    missed = [name for name, bar in BARS.items() if found["ratios"][name] < bar]
    record = {
        **header(
            f"python perf/parity/speed.py --images {given.images}",
            {**sides.oracle_versions, "imscore": imscore},
        ),
        **found,
        "bars": BARS,
        "passed": not missed,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for name, ratio in found["ratios"].items():
        said = "MISSED " if name in missed else ""
        print(f"{said}{name}: {ratio:.2f} (bar {BARS[name]})", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
