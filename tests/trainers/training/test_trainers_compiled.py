"""Compiled blocks are the eager ones: outputs, gradients, users and none, checkpointed or not.

`aot_eager` traces and splits forward and backward as inductor does and then runs torch's own
kernels, so that any difference is a wrong graph, and not another kernel's rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tiny_cascade
import torch
from tiny_cascade import write_base
from torch import Tensor, nn

from ppdbench.errors import UsageError
from trainers.config_file import CONFIGS, load_config
from trainers.stable_cascade.adapter_shape import AdapterShape
from trainers.stable_cascade.load import load_base
from trainers.stable_cascade.stage_c import TextConditioning
from trainers.training.compiled import compile_blocks, triples
from trainers.training.policy import Policy

ROWS = 3


@pytest.fixture(scope="module")
def deep_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Levels of two and three triples: graphs must be shared, and skips join each level's first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tiny_cascade.STAGE_C, "down_num_layers_per_block", (2, 3))
        patch.setitem(tiny_cascade.STAGE_C, "up_num_layers_per_block", (3, 2))
        return write_base(tmp_path_factory.mktemp("deep"))


@pytest.fixture(autouse=True)
def _fresh_graphs() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def policy_of(base: Path, *, checkpointing: bool) -> Policy:
    policy = Policy(load_base(base), AdapterShape(user_dim=3, tokens=4, token_dim=8), seed=0)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, tensor in policy.adapter.tensors().items():
            if ".to_v_user." in name:
                tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
    policy.train()
    if checkpointing:
        policy.adapter.enable_checkpointing(policy.base.unet)
    return policy


def inputs_of(policy: Policy, seed: int) -> tuple[Tensor, Tensor, TextConditioning, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(ROWS, *policy.base.latent_shape, generator=generator)
    timestep = torch.rand(ROWS, generator=generator)
    users = torch.randn(ROWS, 3, generator=generator)
    return latents, timestep, policy.base.encode_text(["a red square", "a blue square", ""]), users


def answers(policy: Policy, seed: int) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """What the base says, what the policy says, and the adapter's gradients of their distance."""
    latents, timestep, text, users = inputs_of(policy, seed)
    policy.zero_grad()
    nobody = policy.reference(latents, timestep, text)
    someone = policy(latents, timestep, text, users)
    (someone - nobody).square().sum().backward()
    gradients = {
        name: parameter.grad.clone()
        for name, parameter in policy.adapter.named_parameters()
        if parameter.grad is not None
    }
    return nobody, someone.detach(), gradients


@pytest.mark.parametrize("checkpointing", [False, True])
def test_compiled_is_eager(checkpointing: bool, deep_base: Path) -> None:
    eager, compiled = (policy_of(deep_base, checkpointing=checkpointing) for _ in range(2))
    compile_blocks(compiled.base.unet, "aot_eager")
    torch._dynamo.utils.counters.clear()
    for seed in range(3):  # other users each time: the side channel is an input, not a constant
        ours, theirs = answers(compiled, seed), answers(eager, seed)
        torch.testing.assert_close(ours[0], theirs[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(ours[1], theirs[1], rtol=1e-5, atol=1e-6)
        assert not torch.allclose(ours[0], ours[1], atol=1e-3)
        assert ours[2].keys() == theirs[2].keys() == dict(eager.adapter.named_parameters()).keys()
        for name, gradient in theirs[2].items():
            assert gradient.any()
            torch.testing.assert_close(ours[2][name], gradient, rtol=1e-4, atol=1e-6)
    stats: Any = torch._dynamo.utils.counters["stats"]
    # Of ten triples and twelve walks: not a graph each, and none compiled anew for another user.
    assert 2 <= stats["unique_graphs"] <= 8


def test_adapter_off_is_the_base_compiled_too(deep_base: Path) -> None:
    policy, untouched = policy_of(deep_base, checkpointing=False), load_base(deep_base)
    latents, timestep, text, users = inputs_of(policy, 0)
    compile_blocks(policy.base.unet, "aot_eager")
    with torch.no_grad():
        policy(latents, timestep, text, users)  # a graph that hears users is there, and not taken
    wanted = untouched.predict_noise(latents, timestep, text)
    assert torch.equal(policy.reference(latents, timestep, text), wanted)


class SDCascadeResBlock(nn.Identity):
    """By name alone, which is what tells the blocks apart."""


class SDCascadeTimestepBlock(nn.Identity):
    """The same."""


class SDCascadeAttnBlock(nn.Identity):
    """The same."""


RES, TIME, ATTENTION = SDCascadeResBlock, SDCascadeTimestepBlock, SDCascadeAttnBlock


def test_runs_of_blocks_are_told_apart_and_another_order_is_refused() -> None:
    level = nn.ModuleList([RES(), TIME(), ATTENTION(), RES(), TIME(), RES()])
    assert [len(run) for run in triples(level)] == [3, 2, 1]
    for odd in ([TIME()], [RES(), ATTENTION(), TIME()], [RES(), TIME(), TIME()]):
        with pytest.raises(ValueError, match="order that is not compiled"):
            list(triples(nn.ModuleList(odd)))


def test_compile_and_shard_do_not_go_together() -> None:
    with pytest.raises(UsageError, match="compile and shard"):
        load_config(CONFIGS / "pickapic" / "ppd.yaml", ["shard=true"])
