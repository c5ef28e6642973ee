"""Does preparing more pairs need memory and time in proportion? `ppdbench data prepare` on 1M rows.

    python perf/data_prepare.py [--rows 250000 500000 1000000]

Everything but the encoders: hashing, splits, listing, images read and decoded, shards written, the
users' groups of shots, the cache opened. In the place of compressor and text encoder stands one
that hands on a corner of the picture, and zeros, so that time and memory are those of the rest.
Made-up pairs as in `data_splits.py`, with images of 8 pixels and some hundred bytes, and held-out
users in proportion to them, those of a default split at a million; each number of rows in a fresh
process, one after the other. Exits 1 if a peak is above 3 GB, or processor time
above linear by more than a quarter; writes results/data_prepare.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from child import needs
from data_splits import write
from result_file import RESULTS, header, write_result

MOST_BYTES = 3e9
MOST_OVER_LINEAR = 1.25
OUT = RESULTS / "data_prepare.json"
SIDE, LATENT = 8, (4, 2, 2)
TOKENS, WIDTH = 4, 8
DEFAULT_ROWS = 1_000_000
HELD_OUT = ("seen", "unseen", "validation_seen", "validation_unseen", "calibration")


def prepare(rows: int, arguments: list[str]) -> None:
    """Run `ppdbench data prepare` with encoders that cost nothing."""
    import torch
    from torch import Tensor, nn

    from ppdbench import cli
    from ppdbench.data import splits
    from trainers import prepare
    from trainers.stable_cascade.stage_c import TextConditioning

    class Corner:
        """Latents that are a corner of the picture."""

        def encode(self, images: Tensor) -> Tensor:
            corner = images[:, :, : LATENT[1], : LATENT[2]]
            return torch.cat((corner, corner[:, :1]), 1)

    class StandIn:
        """What `data prepare` asks of a base."""

        sha256 = "0" * 64
        latent_shape = LATENT
        image_size = SIDE
        device = torch.device("cpu")
        compressor = Corner()
        text_encoder = nn.Linear(1, 1)

        def encode_text(self, captions: list[str]) -> TextConditioning:
            n = len(captions)
            return TextConditioning(torch.zeros(n, TOKENS, WIDTH), torch.zeros(n, 1, WIDTH))

    usual = asdict(splits.SplitSettings())
    fewer = {name: max(1, usual[name] * rows // DEFAULT_ROWS) for name in HELD_OUT}
    # mypy: both are of another type.
    setattr(splits, "SplitSettings", lambda kind=splits.SplitSettings: kind(**fewer))  # noqa: B010
    setattr(prepare, "load_base", lambda *_: StandIn())  # noqa: B010
    sys.argv = ["ppdbench", "data", "prepare", *arguments]
    cli.main()


def measure(source: Path, out: Path) -> dict[str, Any]:
    """Run the command; what it needs, and what it made."""
    command: list[str | Path] = [source, "--out", out, "--base", "none", "--users", "onehot"]
    needed = needs(
        [*command, "--json", "--quiet"],
        {"PPDBENCH_CACHE": str(out / "cache"), "OMP_NUM_THREADS": "1"},
        program=(__file__, "--child", source.stem),
    )
    made = json.loads((out / "prepared.json").read_bytes())["splits"]
    return {
        **needed,
        "source_mib": round(source.stat().st_size / 2**20, 1),
        "train_pairs": made["train"]["pairs"],
        "captions": made["train"]["captions"],
        "users": made["train"]["users"]["onehot"]["users"],
    }


def over_linear(runs: dict[int, dict[str, Any]]) -> dict[str, float]:
    """Processor time a row, over that at the fewest rows."""
    each = {n: run["cpu_seconds"] / n for n, run in runs.items()}
    return {str(n): round(each[n] / each[min(each)], 4) for n in each}


def main() -> int:
    """Parse, measure, write, judge."""
    if sys.argv[1:2] == ["--child"]:
        prepare(int(sys.argv[2]), sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[250_000, 500_000, 1_000_000])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--write", nargs=2, metavar=("FILE", "ROWS"), help="only make up pairs")
    given = parser.parse_args()
    if given.write:
        write(Path(given.write[0]), int(given.write[1]), "spread")
        return 0
    runs: dict[int, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for n in sorted(given.rows):
            source = Path(folder) / "pairs" / f"{n}.parquet"
            source.parent.mkdir(exist_ok=True)
            # In a process of its own: a child begins with its parent's peak as its own.
            subprocess.run([sys.executable, __file__, "--write", str(source), str(n)], check=True)
            runs[n] = measure(source, Path(folder) / f"prepared-{n}")
            source.unlink()
            print(f"{n} rows: {runs[n]}", file=sys.stderr, flush=True)
    linear = over_linear(runs)
    peak = max(run["peak_mib"] for run in runs.values())
    record = {
        **header(also=["pyarrow"]),
        "runs": {str(n): run for n, run in runs.items()},
        "cpu_seconds_over_linear": linear,
        "bars": {"peak_bytes": MOST_BYTES, "cpu_seconds_over_linear": MOST_OVER_LINEAR},
        "passed": peak * 2**20 <= MOST_BYTES and max(linear.values()) <= MOST_OVER_LINEAR,
    }
    write_result(record, given.out)
    print(f"peak {peak} MiB, time {linear} of linear", file=sys.stderr)
    return 0 if record["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
