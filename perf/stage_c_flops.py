"""What a pair's training must compute, counted, and how fast the device multiplies matrices."""

from __future__ import annotations

import statistics
import time

import torch
from stage_c_world import captions_tokens, random_base, settings, shape_of
from torch.utils.flop_counter import FlopCounterMode

from trainers.stable_cascade.stage_c import TextConditioning
from trainers.training.policy import Policy

REPEATS = 10


def pair_flops(size: str) -> dict[str, float]:
    """TFLOP of one pair, "all", and "cached" without the reference; counted on shapes alone.

    The UNet's matrix products, convolutions and attention, adapter included; nothing is computed.
    """
    base = random_base(size, "meta")
    policy = Policy(base, shape_of(settings(1, 1)), seed=0).to("meta")
    stage_c = base.config["stage_c"]
    tokens, width = captions_tokens(size), stage_c["clip_text_in_channels"]
    pooled = torch.zeros(1, 1, stage_c["clip_text_pooled_in_channels"], device="meta")
    text = TextConditioning(torch.zeros(1, tokens, width, device="meta"), pooled)
    latents = torch.zeros(1, *base.latent_shape, device="meta")
    timestep = torch.zeros(1, device="meta")

    def count(users: bool) -> float:
        with FlopCounterMode(display=False) as counter:
            if users:
                heard = torch.zeros(1, 3, device="meta")
                torch.autograd.backward(policy(latents, timestep, text, heard).float().sum())
            else:
                policy.reference(latents, timestep, text)
        return 2 * float(counter.get_total_flops()) / 1e12

    with torch.autocast("cuda" if torch.cuda.is_available() else "cpu", torch.bfloat16):
        reference, learnt = count(users=False), count(users=True)
    return {"all": round(reference + learnt, 6), "cached": round(learnt, 6)}


def product_speed(device: str, side: int) -> float:
    """FLOP/s of the product of two square matrices in bfloat16, the median of several."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(REPEATS + 2):
        begin = time.perf_counter()
        a @ b
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begin)
    return 2 * side**3 / statistics.median(seconds[2:])
