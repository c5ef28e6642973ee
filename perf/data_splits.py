"""Do splits of more pairs need memory and time in proportion? `ppdbench data splits` on 1M rows.

    python perf/data_splits.py [--few 250000] [--many 1000000] [--large 3000]

Made-up pairs in the Pick-a-Pic v2 schema, spread over users and captions about as the public set's
are, with images of some hundred bytes; in fresh processes. The same numbers of pairs of one user
follow, and `--large` pairs with images of 170 kB in one row group, as real ones may be. Exits 1 if
a peak is above 3 GB, or processor time above linear by more than a quarter; writes
results/data_splits.json. (Images of full size add the time to read their bytes twice, and the
memory of a page of each of two columns: pyarrow writes up to 1,024 images into one.)
"""

from __future__ import annotations

import argparse
import io
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
from PIL import Image
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
"""Of an image, beside what makes it a JPEG."""
LARGE_BYTES = 170_000
CHUNK = 20_000
CASES = ("spread", "one-user", "large")
"""Over users as in public; all of one user; with images of `LARGE_BYTES`."""


def sessions(rows: int, *, users: int) -> Iterator[tuple[int, int, str, int]]:
    """Rows of one user and caption at a time: user, first image, caption, how many."""
    rng = np.random.default_rng(0)
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


def write(path: Path, rows: int, case: str) -> None:
    """A file of so many rows of one of `CASES`, written as it is drawn."""
    rng = np.random.default_rng(1)
    large = case == "large"
    some, size = (3000, LARGE_BYTES) if large else (1000, IMAGE_BYTES)
    chunk = some if large else CHUNK
    users = 1 if case == "one-user" else max(1, rows // ROWS_PER_USER)
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
                "jpg_0": pictures(rng, n, size),
                "jpg_1": pictures(rng, n, size),
                "label_0": label,
                "label_1": 1 - label,
                "ranking_id": np.arange(start, start + n),
                "user_id": pa.array(columns["user"], pa.int64()),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=some)
        start += n
        for values in columns.values():
            values.clear()

    for user, image, caption, n in sessions(rows, users=users):
        columns["user"] += [user] * n
        columns["image"] += range(image, image + n)
        columns["caption"] += [caption] * n
        if len(columns["user"]) >= chunk:
            flush()
    if columns["user"]:
        flush()
    if writer is not None:
        writer.close()


def pictures(rng: np.random.Generator, n: int, size: int) -> Any:
    """JPEG files (n,), each with comments of its own of `size` bytes in all."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG")
    whole = buffer.getvalue()
    parts = [np.tile(np.frombuffer(whole[:2], np.uint8), (n, 1))]
    for at in range(0, size, 60_000):
        length = min(60_000, size - at)
        head = np.frombuffer(b"\xff\xfe" + (length + 2).to_bytes(2, "big"), np.uint8)
        parts += [np.tile(head, (n, 1)), rng.integers(0, 256, (n, length), np.uint8)]
    data = np.concatenate([*parts, np.tile(np.frombuffer(whole[2:], np.uint8), (n, 1))], 1)
    fixed = pa.binary(data.shape[1])
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


def _over_linear(runs: dict[int, dict[str, Any]], few: int, many: int) -> float:
    return float(runs[many]["cpu_seconds"] / runs[few]["cpu_seconds"] / (many / few))


def main() -> int:
    """Parse, measure, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--few", type=int, default=250_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--large", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument(
        "--write", nargs=3, metavar=("FILE", "ROWS", "CASE"), help="only make up pairs"
    )
    given = parser.parse_args()
    if given.write:
        write(Path(given.write[0]), int(given.write[1]), given.write[2])
        return 0
    sizes = {case: [given.large] if case == "large" else [given.few, given.many] for case in CASES}
    runs: dict[str, dict[int, dict[str, Any]]] = {case: {} for case in CASES}
    with tempfile.TemporaryDirectory() as folder:
        for case, n in [(each, n) for each in CASES for n in sizes[each]]:
            source = Path(folder) / case / f"{n}.parquet"
            source.parent.mkdir(exist_ok=True)
            # In a process of its own: a child begins with its parent's peak as its own.
            command = [sys.executable, __file__, "--write", str(source), str(n), case]
            subprocess.run(command, check=True)
            runs[case][n] = measure(source, Path(folder) / f"splits-{case}-{n}")
            source.unlink()
            print(f"{case}, {n} rows: {runs[case][n]}", file=sys.stderr, flush=True)
    linear = {
        case: round(_over_linear(runs[case], given.few, given.many), 4)
        for case in CASES
        if case != "large"
    }
    peak = max(runs[case][sizes[case][-1]]["peak_mib"] for case in CASES)
    record = {
        **header(also=["pyarrow"]),
        "runs": {case: {str(n): run for n, run in own.items()} for case, own in runs.items()},
        "cpu_seconds_over_linear": linear,
        "bars": {"peak_bytes": MOST_BYTES, "cpu_seconds_over_linear": MOST_OVER_LINEAR},
        "passed": peak * 2**20 <= MOST_BYTES and max(linear.values()) <= MOST_OVER_LINEAR,
    }
    write_result(record, given.out)
    print(f"peak {peak} MiB, time {linear} of linear", file=sys.stderr)
    return 0 if record["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
