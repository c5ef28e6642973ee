"""Do splits of more pairs need memory and time in proportion? `ppdbench data splits` on 1M rows.

    python perf/data_splits.py [--few 250000] [--many 1000000]

Made-up pairs in the Pick-a-Pic v2 schema, spread over users and captions about as the public set's
are, with images of 64 bytes; in fresh processes. Exits 1 if the larger run's peak is above 3 GB, or
its processor time above linear by more than a quarter; writes results/data_splits.json. (Images of
full size add the time to read their bytes twice, and no memory: they are streamed.)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from child import needs
from result_file import RESULTS, header, write_result

MOST_BYTES = 3e9
MOST_OVER_LINEAR = 1.25
OUT = RESULTS / "data_splits.json"
ROWS_PER_USER = 200
"""Mean; Pick-a-Pic v2 has about a million rows of about 5,000 users."""
ROWS_PER_CAPTION = 16
POPULAR, POPULAR_SHARE = 200, 0.02
"""Captions that anybody may ask for, and the share of sessions that do."""
IMAGE_BYTES = 64
CHUNK = 20_000


def sessions(rows: int) -> Iterator[tuple[int, int, str, int]]:
    """Rows of one user and caption at a time: user, first image, caption, how many."""
    rng = np.random.default_rng(0)
    users = max(1, rows // ROWS_PER_USER)
    weight = rng.lognormal(0, 1.5, users)
    weight /= weight.sum()
    image = 0
    while rows > 0:
        some = rng.choice(users, 4096, p=weight)
        length = np.minimum(rng.geometric(1 / ROWS_PER_CAPTION, 4096), 60)
        popular = rng.random(4096) < POPULAR_SHARE
        topic = rng.integers(POPULAR, size=4096)
        for number in range(4096):
            n = min(int(length[number]), rows)
            text = f"a popular thing, number {topic[number]}, oil on canvas"
            own = f"what user {some[number]} asked for after {image} images, trending, 8k, detailed"
            yield int(some[number]), image, text if popular[number] else own, n
            image += n + 1
            rows -= n
            if not rows:
                return


def write(path: Path, rows: int) -> None:
    """A file of so many rows, written as it is drawn."""
    rng = np.random.default_rng(1)
    writer: pq.ParquetWriter | None = None
    columns: dict[str, list[Any]] = {"user": [], "image": [], "caption": []}
    start = 0

    def flush() -> None:
        nonlocal writer, start
        n = len(columns["user"])
        drawn = rng.random(n)
        label = np.where(drawn < 0.12, 0.5, (drawn < 0.56).astype(float))
        table = pa.table(
            {
                "are_different": pa.array(rng.random(n) > 0.005),
                "caption": columns["caption"],
                "has_label": pa.array(rng.random(n) > 0.01),
                "image_0_uid": [f"{image:032x}" for image in columns["image"]],
                "image_1_uid": [f"{image + 1:032x}" for image in columns["image"]],
                "jpg_0": pictures(rng, n),
                "jpg_1": pictures(rng, n),
                "label_0": label,
                "label_1": 1 - label,
                "ranking_id": np.arange(start, start + n),
                "user_id": pa.array(columns["user"], pa.int64()),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=1000)
        start += n
        for values in columns.values():
            values.clear()

    for user, image, caption, n in sessions(rows):
        columns["user"] += [user] * n
        columns["image"] += range(image, image + n)
        columns["caption"] += [caption] * n
        if len(columns["user"]) >= CHUNK:
            flush()
    if columns["user"]:
        flush()
    if writer is not None:
        writer.close()


def pictures(rng: np.random.Generator, n: int) -> Any:
    """Bytes (n,) that start as a JPEG file does."""
    data = rng.integers(0, 256, (n, IMAGE_BYTES), np.uint8)
    data[:, :3] = 0xFF, 0xD8, 0xFF
    fixed = pa.binary(IMAGE_BYTES)
    return pa.FixedSizeBinaryArray.from_buffers(fixed, n, [None, pa.py_buffer(data)]).cast(
        pa.binary()
    )


def measure(source: Path, out: Path) -> dict[str, Any]:
    """Run the command; what it needs, and what it found."""
    command: list[str | Path] = ["data", "splits", source, "--out", out, "--json", "--quiet"]
    needed = needs(command, {"PPDBENCH_CACHE": str(out / "cache"), "OMP_NUM_THREADS": "1"})
    found = json.loads((out / "splits.json").read_bytes())
    return {
        **needed,
        "source_mib": round(source.stat().st_size / 2**20, 1),
        "pairs_in_use": found["funnel"][-1]["pairs"],
        "users": {name: size["users"] for name, size in found["sizes"].items()},
    }


def main() -> int:
    """Parse, measure, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--few", type=int, default=250_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--write", nargs=2, metavar=("FILE", "ROWS"), help="only make up pairs")
    given = parser.parse_args()
    if given.write:
        write(Path(given.write[0]), int(given.write[1]))
        return 0
    runs: dict[int, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for n in (given.few, given.many):
            source = Path(folder) / f"{n}.parquet"
            # In a process of its own: a child begins with its parent's peak as its own.
            subprocess.run([sys.executable, __file__, "--write", source, str(n)], check=True)
            runs[n] = measure(source, Path(folder) / f"splits-{n}")
            print(f"{n} rows: {runs[n]}", file=sys.stderr, flush=True)
    few, many = runs[given.few], runs[given.many]
    linear = many["cpu_seconds"] / few["cpu_seconds"] / (given.many / given.few)
    record = {
        **header(also=["pyarrow"]),
        "runs": {str(n): run for n, run in runs.items()},
        "cpu_seconds_over_linear": round(linear, 4),
        "bars": {"peak_bytes": MOST_BYTES, "cpu_seconds_over_linear": MOST_OVER_LINEAR},
        "passed": many["peak_mib"] * 2**20 <= MOST_BYTES and linear <= MOST_OVER_LINEAR,
    }
    write_result(record, given.out)
    print(f"peak {many['peak_mib']} MiB, time {linear:.3f} of linear", file=sys.stderr)
    return 0 if record["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
