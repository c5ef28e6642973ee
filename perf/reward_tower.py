"""How much of a device's arithmetic does scoring use? ViT-H/14 against bare matrix products.

    python perf/reward_tower.py --device cuda [--arch ViT-H-14] [--batch-size 128]

For fp32 (without TF32) and bf16: images/s of a reward's tower on batches of pixels that are ready
on the CPU, and its share of a large square matrix product measured in the same process. Weights
are random: speed does not depend on them. Writes results/reward_tower.json; there is no bar, the
goal is a share of 55% in bf16 on a data-centre GPU.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import open_clip
import torch
from result_file import RESULTS, header, write_result
from torch.utils.flop_counter import FlopCounterMode

from ppdbench.rewards.open_clip_tower import (
    PRECISIONS,
    OpenClipTower,
    Precision,
    build_model,
    full_precision,
)
from ppdbench.runs.device import resolve

OUT = RESULTS / "reward_tower.json"
REPEATS = 5
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def seconds(work: Callable[[], Any], device: str) -> float:
    """Median seconds of a call, after one that does not count."""
    found = []
    for _ in range(REPEATS + 1):
        begin = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        found.append(time.perf_counter() - begin)
    return statistics.median(found[1:])


def peak(device: str, precision: Precision, side: int) -> float:
    """FLOP/s of the product of two square matrices."""
    a, b = (torch.randn(side, side, device=device, dtype=DTYPES[precision]) for _ in range(2))
    with full_precision():
        return 2 * side**3 / seconds(lambda: a @ b, device)


def tower(arch: str, device: str, precision: Precision) -> OpenClipTower:
    """A tower as a reward has it, but for its weights."""
    from open_clip.model import convert_weights_to_lp

    torch.manual_seed(0)
    model = build_model(dict(open_clip.get_model_config(arch)), precision=precision)
    if precision == "bf16":
        convert_weights_to_lp(model, dtype=torch.bfloat16)
    return OpenClipTower(model, open_clip.get_tokenizer(arch), device, precision)


def measure(arch: str, device: str, batch_size: int, side: int) -> dict[str, Any]:
    """Both precisions."""
    size = open_clip.get_model_config(arch)["vision_cfg"]["image_size"]
    pixels = torch.randn(batch_size, 3, size, size)
    if device.startswith("cuda"):
        pixels = pixels.pin_memory()
    found: dict[str, Any] = {}
    for precision in PRECISIONS:
        own = tower(arch, device, precision)
        with FlopCounterMode(display=False) as counter:
            own.encode_images(pixels[:1])
        flops = counter.get_total_flops()
        rate = batch_size / seconds(partial(own.encode_images, pixels), device)
        best = peak(device, precision, side)
        found[precision] = {
            "images_per_second": round(rate, 3),
            "gflop_per_image": round(flops / 1e9, 2),
            "matrix_product_tflops": round(best / 1e12, 3),
            "share_of_matrix_product": round(rate * flops / best, 4),
        }
        print(precision, found[precision], file=sys.stderr, flush=True)
        del own
    return found


def main() -> int:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--arch", default="ViT-H-14")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--side", type=int, default=8192, help="of the square matrices")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    device = resolve(given.device)
    found = measure(given.arch, device, given.batch_size, given.side)
    record = {
        **header(device=device),
        "arch": given.arch,
        "batch_size": given.batch_size,
        "repeats": REPEATS,
        "precisions": found,
    }
    write_result(record, given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
