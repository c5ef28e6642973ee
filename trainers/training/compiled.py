"""Compiled blocks: each run of a ResBlock, TimestepBlock and AttnBlock of the UNet as one graph.

Stage C repeats one such triple 32 or 64 times. Compiling the triple, and not the network, takes
seconds instead of minutes and fuses what lies between its matrix products: norms, GELU, the
timestep's scale and shift. Every triple of one shape shares the graph of the first.

The UNet's two loops over its blocks are replaced on the instance; its modules, their names and
their weights stay. The user's tokens still come by the adapter's side channel, which a graph reads
as an input like any other, and gradient checkpointing wraps a compiled triple as it wraps a block.

Elsewhere: the loops replaced are those of diffusers' `StableCascadeUNet`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GRAPHS = 64
"""Graphs of the triple at most: with users and without, with gradients and without, with the skip
and without, for each width; torch's own limit of 8 would silently fall back."""


def compile_blocks(unet: Any, backend: str | Callable[..., Any] = "inductor") -> None:
    """Let diffusers' `StableCascadeUNet` call compiled triples; `backend` is torch.compile's."""
    compiled = torch.compile(_triple, backend=backend, dynamic=False, fullgraph=True)
    limits: Any = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, GRAPHS)

    def run(self: Any, blocks: Sequence[nn.Module], *args: Any) -> Tensor:
        # A list of modules cannot be guarded cheaply, modules as arguments can.
        res, *others = blocks
        time = next((b for b in others if _kind(b) == "SDCascadeTimestepBlock"), None)
        attention = next((b for b in others if _kind(b) == "SDCascadeAttnBlock"), None)

        def call(*inputs: Any) -> Any:
            return compiled(res, time, attention, *inputs)

        saves = torch.is_grad_enabled() and self.gradient_checkpointing
        out: Tensor = self._gradient_checkpointing_func(call, *args) if saves else call(*args)
        return out

    def down(self: Any, x: Tensor, r_embed: Tensor, clip: Tensor) -> list[Tensor]:
        outputs: list[Tensor] = []
        levels = zip(self.down_blocks, self.down_downscalers, self.down_repeat_mappers, strict=True)
        for level, downscaler, repeats in levels:
            x = downscaler(x)
            for number in range(len(repeats) + 1):
                for blocks in triples(level):
                    x = run(self, blocks, x, None, r_embed, clip)
                if number < len(repeats):
                    x = repeats[number](x)
            outputs.insert(0, x)
        return outputs

    def up(self: Any, outputs: list[Tensor], r_embed: Tensor, clip: Tensor) -> Tensor:
        x = outputs[0]
        levels = zip(self.up_blocks, self.up_upscalers, self.up_repeat_mappers, strict=True)
        for place, (level, upscaler, repeats) in enumerate(levels):
            for number in range(len(repeats) + 1):
                for first, blocks in enumerate(triples(level)):
                    skip = outputs[place] if first == 0 and place > 0 else None
                    if skip is not None and x.shape[-2:] != skip.shape[-2:]:
                        x = _resized(x, skip)
                    x = run(self, blocks, x, skip, r_embed, clip)
                if number < len(repeats):
                    x = repeats[number](x)
            x = upscaler(x)
        return x

    for level in (*unet.down_blocks, *unet.up_blocks):
        list(triples(level))  # refuses blocks in another order, before anything is replaced
    unet._down_encode = MethodType(down, unet)
    unet._up_decode = MethodType(up, unet)


def triples(level: Any) -> Iterator[list[nn.Module]]:
    """The blocks of a level in runs that each begin with a ResBlock: it, and who follows it.

    Raises:
        ValueError: another order than ResBlock, TimestepBlock, AttnBlock.
    """
    order = ["SDCascadeResBlock", "SDCascadeTimestepBlock", "SDCascadeAttnBlock"]
    run: list[nn.Module] = []
    for block in level:
        if _kind(block) == order[0] and run:
            yield run
            run = []
        run.append(block)
        kinds = [_kind(b) for b in run]
        if kinds != [kind for kind in order if kind in kinds] or kinds[0] != order[0]:
            raise ValueError(f"blocks in an order that is not compiled: {', '.join(kinds)}")
    if run:
        yield run


def _triple(
    res: nn.Module,
    time: nn.Module | None,
    attention: nn.Module | None,
    x: Tensor,
    skip: Tensor | None,
    r_embed: Tensor,
    clip: Tensor,
) -> Tensor:
    """Features (B, C, H, W) after one run of blocks; `skip` joins the ResBlock."""
    x = res(x) if skip is None else res(x, skip)
    if time is not None:
        x = time(x, r_embed)
    if attention is not None:
        x = attention(x, clip)
    return x


def _resized(x: Tensor, skip: Tensor) -> Tensor:
    resized = F.interpolate(x.float(), skip.shape[-2:], mode="bilinear", align_corners=True)
    return resized.to(x.dtype)


def _kind(block: nn.Module) -> str:
    return type(block).__name__
