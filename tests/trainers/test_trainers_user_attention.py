"""The added layers: silent when off, nothing when new, and with gradients where they should be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from trainers.stable_cascade.adapter_shape import AdapterShape
from trainers.stable_cascade.stage_c import Base, TextConditioning
from trainers.stable_cascade.user_attention import UserAdapter, attention_blocks, audience
from trainers.training.policy import Policy

BATCH = 3
SHAPE = AdapterShape(user_dim=3, tokens=4, token_dim=8)
Inputs = tuple[Tensor, Tensor, TextConditioning]


@pytest.fixture
def inputs(tiny_base: Base) -> Inputs:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(BATCH, *tiny_base.latent_shape, generator=generator)
    timestep = torch.tensor([0.2, 0.5, 0.9])
    return latents, timestep, tiny_base.encode_text(["a red square", "a blue square", ""])


def policy_of(base: Base, shape: AdapterShape = SHAPE, *, awake: bool = False) -> Policy:
    policy = Policy(base, shape, seed=0)
    if awake:
        with torch.no_grad():
            generator = torch.Generator().manual_seed(5)
            for name, tensor in policy.adapter.tensors().items():
                if ".to_v_user." in name:
                    tensor.copy_(torch.randn(tensor.shape, generator=generator))
    return policy


def gradients(policy: Policy, inputs: Inputs, users: Tensor) -> dict[str, Tensor]:
    policy.zero_grad()
    loss = policy(*inputs, users).square().mean()
    loss.backward()
    return named_gradients(policy.adapter)


def named_gradients(adapter: UserAdapter) -> dict[str, Tensor]:
    return {
        name: parameter.grad.clone()
        for name, parameter in adapter.named_parameters()
        if parameter.grad is not None
    }


def test_every_attention_block_is_reached_by_path(tiny_base: Base) -> None:
    paths = set(attention_blocks(tiny_base.unet))
    assert paths == {
        f"{side}_blocks.{level}.2.attention" for side in ("up", "down") for level in (0, 1)
    }
    names = set(policy_of(tiny_base).adapter.tensors())
    assert {f"{path}.to_{kind}_user.weight" for path in paths for kind in "kv"} < names


def test_off_is_bitwise_the_base(tiny_base: Base, inputs: Inputs) -> None:
    before = tiny_base.predict_noise(*inputs)
    policy = policy_of(tiny_base, awake=True)
    users = torch.eye(3)
    assert torch.equal(tiny_base.predict_noise(*inputs), before)
    assert not torch.allclose(policy(*inputs, users), before)
    with policy.adapter.tokens(users):
        assert torch.equal(policy.reference(*inputs), before)
    assert torch.equal(tiny_base.predict_noise(*inputs), before)


def test_new_adapter_changes_nothing(tiny_base: Base, inputs: Inputs) -> None:
    before = tiny_base.predict_noise(*inputs)
    assert torch.equal(policy_of(tiny_base)(*inputs, torch.eye(3)), before)


def test_decoupled_attention_matches_the_formula(tiny_base: Base) -> None:
    """A slow twin of one block: Z' = softmax(QK)V + scale * softmax(QK')V', before to_out."""
    policy = policy_of(tiny_base, AdapterShape(user_dim=3, token_dim=8, scale=0.7), awake=True)
    path, attention = next(iter(attention_blocks(tiny_base.unet).items()))
    layers: Any = policy.adapter.blocks[path.replace(".", "/")]
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, 32, 2, 2, generator=generator)
    keys = torch.randn(2, 7, 32, generator=generator)
    users = torch.randn(2, 3, generator=generator)
    with torch.no_grad(), policy.adapter.tokens(users):
        fast = attention(x, encoder_hidden_states=keys)
        tokens = policy.adapter.projection(users)
        flat = x.flatten(2).transpose(1, 2)
        q, k, v = attention.to_q(flat), attention.to_k(keys), attention.to_v(keys)
        uk, uv = layers.to_k(tokens), layers.to_v(tokens)
        heads = []
        for head in range(2):
            part = slice(16 * head, 16 * (head + 1))
            own = torch.softmax(q[..., part] @ k[..., part].mT / 4, -1) @ v[..., part]
            user = torch.softmax(q[..., part] @ uk[..., part].mT / 4, -1) @ uv[..., part]
            heads.append(own + 0.7 * user)
        slow = attention.to_out[0](torch.cat(heads, -1)).mT.reshape(2, 32, 2, 2)
    torch.testing.assert_close(fast, slow)


def test_null_user_learns(tiny_base: Base, inputs: Inputs) -> None:
    grads = gradients(policy_of(tiny_base), inputs, torch.zeros(BATCH, 3))
    assert all(grad.abs().sum() > 0 for name, grad in grads.items() if "to_v" in name)


def test_key_gradient_waits_for_the_value(tiny_base: Base, inputs: Inputs) -> None:
    users = torch.eye(3)
    new = gradients(policy_of(tiny_base), inputs, users)
    assert all(not grad.any() for name, grad in new.items() if "to_k" in name)
    awake = gradients(policy_of(tiny_base, awake=True), inputs, users)
    keys = min(float(grad.abs().max()) for name, grad in awake.items() if "to_k" in name)
    values = min(float(grad.abs().max()) for name, grad in awake.items() if "to_v" in name)
    assert keys > 1e-3 * values


def test_a_rank_puts_a_table_of_embeddings_before_the_tokens(
    tiny_base: Base, inputs: Inputs
) -> None:
    policy = policy_of(tiny_base, replace(SHAPE, user_rank=2), awake=True)
    projection = policy.adapter.projection
    assert projection.table is not None
    columns = projection.table.weight.T
    users = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.0, 0.0, 0.0]])
    embedded = projection.embedded(users)
    torch.testing.assert_close(embedded[0], columns[1])
    torch.testing.assert_close(embedded[1], (columns[0] + columns[2]) / 2)  # a combination of two
    assert not embedded[2].any()
    grads = gradients(policy, inputs, torch.eye(3))
    assert grads["projection.table.weight"].abs().sum(0).min() > 0
    again = policy_of(tiny_base, replace(SHAPE, user_rank=2)).adapter.projection
    assert again.table is not None and torch.equal(again.table.weight.T, columns)


def test_without_a_rank_an_adapter_is_what_it_was(tiny_base: Base) -> None:
    """Weights drawn before there were tables, by seed 0."""
    projection = policy_of(tiny_base).adapter.projection
    assert (
        projection.table is None
        and "user_projection.table.weight" not in policy_of(tiny_base).adapter.tensors()
    )
    drawn = torch.rand((32, 3), generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(projection.linear.weight, drawn / 3**0.5)
    users = torch.eye(3)
    assert projection.embedded(users) is users


def test_single_token_gives_the_key_no_gradient(tiny_base: Base, inputs: Inputs) -> None:
    """Why there are several: one token's softmax is 1, whatever its key."""
    lone = policy_of(tiny_base, AdapterShape(user_dim=3, tokens=1, token_dim=8), awake=True)
    grads = gradients(lone, inputs, torch.eye(3))
    keys = max(float(grad.abs().max()) for name, grad in grads.items() if "to_k" in name)
    values = min(float(grad.abs().max()) for name, grad in grads.items() if "to_v" in name)
    assert keys < 1e-5 * values  # rounding


def test_only_the_added_layers_are_trained(tiny_base: Base, inputs: Inputs) -> None:
    policy = policy_of(tiny_base, awake=True)
    policy.train()
    grads = gradients(policy, inputs, torch.eye(3))
    assert set(grads) == {name for name, _ in policy.adapter.named_parameters()}
    assert not any(parameter.requires_grad for parameter in policy.base.parameters())
    assert not any(module.training for module in policy.base.modules())


def _between_nothing(_policy: Policy, _inputs: Inputs) -> None: ...


def _between_another_user(policy: Policy, inputs: Inputs) -> None:
    with policy.adapter.tokens(torch.full((BATCH, 3), 9.0)):
        policy.base.predict_noise(*inputs)
    policy.reference(*inputs)


@pytest.mark.parametrize("between", [_between_nothing, _between_another_user])
def test_checkpointing_leaves_gradients_equal(
    tiny_base: Base, inputs: Inputs, between: Callable[[Policy, Inputs], None]
) -> None:
    """Blocks are recomputed in backward, after the channel has gone silent or to someone else."""
    users = torch.eye(3)
    policy = policy_of(tiny_base, awake=True)
    plain = gradients(policy, inputs, users)
    policy.adapter.enable_checkpointing(policy.base.unet)
    policy.zero_grad()
    loss = policy(*inputs, users).square().mean()
    between(policy, inputs)
    loss.backward()
    kept = named_gradients(policy.adapter)
    assert plain.keys() == kept.keys()
    assert all(torch.equal(plain[name], kept[name]) for name in plain)


def test_guidance_gives_the_unconditional_half_its_own_user(
    tiny_base: Base, inputs: Inputs
) -> None:
    policy = policy_of(tiny_base, awake=True)
    adapter = policy.adapter
    users = torch.eye(3)
    latents, timestep, text = inputs
    twice = (
        latents.repeat(2, 1, 1, 1),
        timestep.repeat(2),
        TextConditioning(text.hidden.repeat(2, 1, 1), text.pooled.repeat(2, 1, 1)),
    )
    with torch.no_grad():
        own, null = policy(*inputs, users), policy(*inputs, torch.zeros(3, 3))
        base = policy.reference(*inputs)
        for who, expected in (("null-user", null), ("same-user", own), ("base", base)):
            with audience(adapter, users, who)(BATCH):  # type: ignore[arg-type]
                first, second = tiny_base.predict_noise(*twice).chunk(2)
            torch.testing.assert_close(first, own)
            torch.testing.assert_close(second, expected)
        with audience(adapter, users, "base")(0):
            torch.testing.assert_close(tiny_base.predict_noise(*inputs), own)


def test_adapter_for_other_blocks_is_refused(tiny_base: Base) -> None:
    stranger = UserAdapter(SHAPE, {"down_blocks.7.2.attention": 32})
    with pytest.raises(ValueError, match="another UNet"):
        stranger.attach(tiny_base.unet)


def test_attaching_twice_does_not_stack(tiny_base: Base, inputs: Inputs) -> None:
    before = tiny_base.predict_noise(*inputs)
    policy_of(tiny_base, awake=True)
    second = policy_of(tiny_base)
    assert torch.equal(second(*inputs, torch.eye(3)), before)


def test_reset_is_a_function_of_the_seed(tiny_base: Base) -> None:
    adapter = policy_of(tiny_base).adapter
    first = {name: tensor.clone() for name, tensor in adapter.tensors().items()}
    adapter.reset(1)
    assert not torch.equal(
        adapter.tensors()["user_projection.linear.weight"], first["user_projection.linear.weight"]
    )
    adapter.reset(0)
    assert all(torch.equal(tensor, first[name]) for name, tensor in adapter.tensors().items())
