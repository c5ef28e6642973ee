"""Pictures a second: Stage C's 30 steps with guidance, Stage B's 10, and Stage A."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, replace
from typing import Any

import torch
from stage_c_world import TINY, captions_tokens, random_base, random_decoder

from trainers.stable_cascade.decoder import DECODING
from trainers.stable_cascade.pipeline import initial_noise, noise_predictor
from trainers.stable_cascade.sampler import ORIGINAL, sample
from trainers.stable_cascade.stage_c import Base, TextConditioning

REPEATS = 3
STEPS = 30


def generation(size: str, device: str, batches: list[int]) -> dict[str, Any]:
    """Images/s at each batch of pictures that fits; "best" of them, and at one."""
    base = random_base(size, device)
    base.decoder = random_decoder(size, device)
    few = 2 if size == TINY else STEPS
    found: dict[str, Any] = {
        "stage_c": asdict(replace(ORIGINAL, steps=few)),
        "stage_b": asdict(DECODING),
        "images_per_second": {},
    }
    for count in batches:
        try:
            found["images_per_second"][str(count)] = round(_rate(base, count, device, size, few), 4)
        except torch.cuda.OutOfMemoryError:
            found["did_not_fit"] = count
            break
    found["best"] = max(found["images_per_second"].values(), default=None)
    if device.startswith("cuda"):
        found["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return found


@torch.no_grad()
def _rate(base: Base, count: int, device: str, size: str, steps: int) -> float:
    stage_c, config = base.config["stage_c"], replace(ORIGINAL, steps=steps)
    hidden = torch.randn(
        2 * count, captions_tokens(size), stage_c["clip_text_in_channels"], device=device
    )
    pooled = torch.randn(2 * count, 1, stage_c["clip_text_pooled_in_channels"], device=device)
    text, seeds = TextConditioning(hidden, pooled), list(range(count))
    seconds = []
    for _ in range(REPEATS + 1):
        begin = time.perf_counter()
        noise = initial_noise(seeds, base.latent_shape).to(device)
        latents = sample(noise_predictor(base, text, config), noise, config)
        base.pictures(latents, text, seeds).cpu()
        seconds.append(time.perf_counter() - begin)
    return count / statistics.median(seconds[1:])
