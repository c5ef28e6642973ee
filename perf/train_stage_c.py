"""How fast Stage C is trained and drawn with: ours beside the script that one would write.

    python perf/train_stage_c.py [--size 3.6b|1b] [--only eager,compiled] [--tiny]

Random weights and latents of the published size, PPD's own configuration for `pickapic`, on one
device. Sides:

    naive            `naive_dpo.py`: a second UNet as reference, winner and loser one by one, eager
    naive-joined     the same, both in one forward, as the published script has it
    eager            the training loop's own steps
    checkpointed     the same with gradient checkpointing: less memory, a forward more
    compiled         the same with its blocks compiled
    cached           compiled, and the base's losses are known
    generate         30 steps of Stage C and 10 of Stage B and the decoding, pictures/s

Pairs/s are of whole optimizer steps: batches looked up and sent, forwards, backwards, clipping and
AdamW; the first step does not count. A micro-batch that does not fit is halved, and that is said.
The share of the matrix product's speed counts the arithmetic that a pair needs, two forwards of
the reference, two of the policy and their backwards, as one forward each (frozen weights get no
gradient), cached without the reference, whatever a side really computes; the product is measured
in the same process. Writes results/train_stage_c-<size>-<device>.json after each side; what another
call on the same device measured stays. `--tiny` is a dry run that says nothing of speed.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from naive_dpo import NaiveDpo, Pairs
from result_file import RESULTS, header, write_result
from stage_c_flops import pair_flops, product_speed
from stage_c_generation import generation
from stage_c_world import (
    TINY,
    captions_tokens,
    make_job,
    settings,
    shape_of,
    stage_c_of,
)

from ppdbench.runs.device import resolve
from trainers.stable_cascade import sizes
from trainers.training import loop
from trainers.training.compiled import compile_blocks
from trainers.training.stop import StopRequest

GIB = 2**30
TRAINING = ("naive", "naive-joined", "eager", "checkpointed", "compiled", "cached")
SIDES = (*TRAINING, "generate")
PAPER_BATCH = 768
GOALS = {"eager": 10.0, "compiled": 16.0, "cached": 22.0, "cached/naive": 2.5, "peak_gib": 75.0}
"""Pairs/s on one H100 at 3.6b; a ratio; and the most memory, at eight pairs a micro-batch."""


def timed(step: Callable[[int], Any], steps: int, device: str) -> dict[str, Any]:
    """Seconds of each of `steps` calls after one that does not count, and the peak of memory."""
    cuda = device.startswith("cuda")
    seconds, first = [], 0.0
    for number in range(steps + 1):
        if cuda:
            torch.cuda.synchronize()
        begin = time.perf_counter()
        step(number)
        if cuda:
            torch.cuda.synchronize()
        taken = time.perf_counter() - begin
        if number:
            seconds.append(taken)
        else:
            first = taken
    return {
        "first_step_seconds": round(first, 2),
        "step_seconds": [round(taken, 4) for taken in seconds],
        "peak_gib": round(torch.cuda.max_memory_allocated() / GIB, 2) if cuda else None,
        "reserved_gib": round(torch.cuda.max_memory_reserved() / GIB, 2) if cuda else None,
    }


def train_naive(given: argparse.Namespace, device: str, micro: int, side: str) -> dict[str, Any]:
    """The naive script's steps."""
    stage_c, config = stage_c_of(given.size), settings(micro, given.batch)
    side_of_latent = 4 if given.size == TINY else sizes.LATENT_SIDE
    naive = NaiveDpo(
        stage_c,
        shape_of(config),
        device=device,
        lr=config.optimizer.lr,
        beta=config.objective.beta * config.objective.timestep_scale,
        joined=side == "naive-joined",
    )
    pairs = Pairs.random(micro, stage_c, side_of_latent, captions_tokens(given.size), device)
    parts = given.batch // micro

    def step(_number: int) -> None:
        losses = [naive.micro_step(pairs, parts=parts) for _ in range(parts)]
        norm = naive.optimizer_step()
        if not torch.stack([*losses, norm]).isfinite().all():
            raise SystemExit("the naive script's numbers are no longer finite")

    return timed(step, given.steps, device)


def train_ours(given: argparse.Namespace, device: str, micro: int, side: str) -> dict[str, Any]:
    """The training loop's own steps."""
    overrides = [f"gradient_checkpointing={str(side == 'checkpointed').lower()}"]
    if side == "cached":
        overrides.append("reference_cache=true")
    config = settings(micro, given.batch, *overrides)
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(given.size, device, config, Path(folder), cached=side == "cached")
        rows = loop._micro_batches(config, job.accelerator)
        if side in ("compiled", "cached"):
            compile_blocks(job.policy.base.unet, given.backend)
        policy, optimizer = loop._prepare(job)
        stop = StopRequest()
        return timed(
            lambda number: loop._train_step(job, policy, optimizer, rows, number, stop),
            given.steps,
            device,
        )


def fitting(measure: Callable[[int], dict[str, Any]], micro: int) -> dict[str, Any]:
    """What `measure` says at the largest micro-batch that fits, halving from `micro`."""
    too_large: list[int] = []
    while True:
        clean()
        try:
            found = measure(micro)
        except torch.cuda.OutOfMemoryError:
            too_large.append(micro)
        else:
            return {"micro_batch": micro, "did_not_fit": too_large, **found}
        if micro == 1:
            return {"micro_batch": None, "did_not_fit": too_large}
        micro //= 2


def clean() -> None:
    """Let go of what an earlier side held."""
    gc.collect()
    torch._dynamo.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def figures(found: dict[str, Any], batch: int, needs: float, speed: float) -> dict[str, Any]:
    """Pairs/s and the share of the matrix product's speed, beside what was measured."""
    if found["micro_batch"] is None:
        return found
    rates = sorted(batch / seconds for seconds in found["step_seconds"])
    rate = statistics.median(rates)
    return {
        **found,
        "pairs_per_second": round(rate, 3),
        "pairs_per_second_range": [round(rates[0], 3), round(rates[-1], 3)],
        "share_of_matrix_product": round(rate * needs / speed, 4),
        "paper_step_seconds_by_arithmetic": round(PAPER_BATCH / rate, 1),
    }


def measure(given: argparse.Namespace, device: str, record: dict[str, Any]) -> None:
    """Every side asked for, one after the other; the file is written after each."""
    speed = record["matrix_product_tflops"] * 1e12
    for side in given.only:
        print(f"{side} ...", file=sys.stderr, flush=True)
        if side == "generate":
            clean()
            record["generation"] = generation(given.size, device, given.batches)
        else:
            one = train_naive if side.startswith("naive") else train_ours
            found = fitting(partial(_one, one, given, device, side), given.micro)
            needs = record["tflop_per_pair"]["cached" if side == "cached" else "all"] * 1e12
            record["training"][side] = figures(found, given.batch, needs, speed)
        print(record["training"].get(side, record["generation"]), file=sys.stderr, flush=True)
        record["goals"] = judged(record)
        write_result(record, given.out)


def _one(
    train: Callable[..., dict[str, Any]],
    given: argparse.Namespace,
    device: str,
    side: str,
    micro: int,
) -> dict[str, Any]:
    return train(given, device, micro, side)


def judged(record: Mapping[str, Any]) -> dict[str, Any]:
    """The goals beside what was measured; None where it was not."""
    rates = {side: row.get("pairs_per_second") for side, row in record["training"].items()}
    naive, cached = rates.get("naive"), rates.get("cached")
    peaks = [
        row["peak_gib"]
        for side, row in record["training"].items()
        if not side.startswith("naive") and row["micro_batch"] == 8 and row["peak_gib"]
    ]
    found = {side: rates.get(side) for side in ("eager", "compiled", "cached")}
    found["cached/naive"] = round(cached / naive, 3) if naive and cached else None
    found["peak_gib"] = max(peaks, default=None)
    return {name: {"goal": goal, "measured": found[name]} for name, goal in GOALS.items()}


def begun(given: argparse.Namespace, device: str) -> dict[str, Any]:
    """The record: what it must carry, and what was measured on this device before."""
    about = header(device=device)
    record: dict[str, Any] = {
        **about,
        "size": given.size,
        "batch_pairs": given.batch,
        "steps": given.steps,
        "matrix_product_tflops": round(product_speed(device, given.side) / 1e12, 3),
        "tflop_per_pair": pair_flops(given.size),
        "training": {},
        "generation": {},
    }
    if given.out.is_file():
        before = json.loads(given.out.read_text())
        same = ("machine", "versions", "size", "batch_pairs")
        if all(before.get(key) == record[key] for key in same):
            record |= {key: before[key] for key in ("training", "generation")}
    return record


def device_name(device: str) -> str:
    """The device's name as a part of a file's."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else device
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def parsed() -> argparse.Namespace:
    """The command line; `--tiny` sets the rest to something that a CPU does in seconds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--size", default="3.6b", choices=("3.6b", "1b", TINY))
    parser.add_argument("--only", default=",".join(SIDES), help="sides, separated by commas")
    parser.add_argument("--micro", type=int, default=8, help="pairs a forward, at most")
    parser.add_argument("--batch", type=int, default=64, help="pairs an optimizer step")
    parser.add_argument("--steps", type=int, default=4, help="that count")
    parser.add_argument("--batches", default="1,2,4,8,16", help="of pictures, to draw together")
    parser.add_argument("--side", type=int, default=8192, help="of the square matrices")
    parser.add_argument("--backend", default="inductor", help="torch.compile's")
    parser.add_argument("--tiny", action="store_true", help="dry run: tiny sizes, eager backend")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.tiny:
        given.size, given.backend, given.side = TINY, "eager", 64
        given.micro, given.batch, given.steps, given.batches = 2, 4, 1, "1,2"
    given.only = given.only.split(",")
    given.batches = [int(count) for count in given.batches.split(",")]
    if unknown := set(given.only) - set(SIDES):
        parser.error(f"no side is called {', '.join(sorted(unknown))}; known: {', '.join(SIDES)}")
    if given.batch % given.micro:
        parser.error("--batch is no multiple of --micro")
    return given


def main() -> int:
    """Parse, measure, write."""
    given = parsed()
    device = resolve(given.device)
    if device == "cpu" and not given.tiny:
        print("no GPU is here: only --tiny can be run, which measures nothing", file=sys.stderr)
        return 3
    given.out = given.out or RESULTS / f"train_stage_c-{given.size}-{device_name(device)}.json"
    if given.tiny and given.out.parent == RESULTS:
        given.out = Path(tempfile.mkdtemp()) / given.out.name  # nobody takes it for a result
    measure(given, device, begun(given, device))
    print(f"written: {given.out}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
