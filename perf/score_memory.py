"""Does scoring more images need more memory? Peak of `ppdbench score` on 1,000 and on 10,000.

    python perf/score_memory.py [--few 1000] [--many 10000]

Tiny images of the shapes suite's size and its three rewards, in fresh processes with fresh caches.
Exits 1 if the larger run's peak is more than 10% above the smaller's; writes
results/score_memory.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from child import needs
from PIL import Image
from result_file import RESULTS, header, write_result

BAR = 1.10
OUT = RESULTS / "score_memory.json"
REWARDS = ("clip", "aesthetic", "hps")


def draw(folder: Path, n: int) -> None:
    """N tiny images, no two alike, with captions in metadata.jsonl."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    with (folder / "metadata.jsonl").open("w", encoding="utf-8") as manifest:
        for number in range(n):
            pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:05d}.png")
            line = {"file_name": f"{number:05d}.png", "caption": f"a red circle, number {number}"}
            manifest.write(json.dumps(line) + "\n")


def peak(folder: Path, cache: Path) -> dict[str, float]:
    """Run the command on a folder; its peak memory and its time."""
    rewards = [word for name in REWARDS for word in ("--reward", name)]
    command: list[str | Path] = ["score", folder, "--suite", "shapes", *rewards]
    command += ["--device", "cpu", "--csv", "--quiet"]
    return needs(command, {"PPDBENCH_CACHE": str(cache)})


def main() -> int:
    """Parse, measure, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for n in (given.few, given.many):
            draw(Path(folder) / str(n), n)
            found[n] = peak(Path(folder) / str(n), Path(folder) / f"cache-{n}")
            print(f"{n} images: {found[n]}", file=sys.stderr, flush=True)
    ratio = found[given.many]["peak_mib"] / found[given.few]["peak_mib"]
    record = {
        **header(),
        "rewards": REWARDS,
        "runs": {str(n): run for n, run in found.items()},
        "ratio_of_peaks": round(ratio, 4),
        "bar": BAR,
        "passed": ratio <= BAR,
    }
    write_result(record, given.out)
    print(f"the peaks' ratio is {ratio:.3f}, the bar {BAR}", file=sys.stderr)
    return 0 if record["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
