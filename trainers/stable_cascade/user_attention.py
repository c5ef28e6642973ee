"""Decoupled user cross-attention in every Stage C attention block; the only layers trained.

A block of Stage C attends once over its own positions and the caption. The adapter adds a second
attention over a few user tokens, with the same queries, before the block's output projection::

    Z' = SDPA(Q, [K_x; K_c], [V_x; V_c]) + scale * SDPA(Q, K', V')

The user tokens are never appended to the caption: that would renormalise the caption's softmax.
Off (`UserAdapter.off`, and the state outside `UserAdapter.tokens`) the base runs untouched, bit
for bit, so the reference of a preference loss needs no second copy.

The UNet passes no arguments to attention processors, so tokens travel by a side channel. Gradient
checkpointing calls a block again during backward, when the channel has long moved on; each call
therefore keeps what the channel held and gets it back (`UserAdapter.enable_checkpointing`).

Sources: IP-Adapter (arXiv 2308.06721) for the decoupled form and the projection with bias and
LayerNorm. Elsewhere: what fixes its tensors (`adapter_shape.py`), files
(`adapters/checkpoints.py`), the loss (`objectives.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from trainers.stable_cascade.adapter_shape import AdapterShape, UnconditionalUser

ATTENTION = ".attention"


@dataclass(frozen=True, slots=True)
class _Speaking:
    """What the side channel holds: user tokens (B, T, D) and which rows hear them, (B,) or all."""

    tokens: Tensor
    gate: Tensor | None


class _Channel:
    """The side channel from the model's caller to its attention blocks; None is "adapter off"."""

    def __init__(self) -> None:
        self.held: _Speaking | None = None

    @contextmanager
    def holding(self, speaking: _Speaking | None) -> Iterator[None]:
        before, self.held = self.held, speaking
        try:
            yield
        finally:
            self.held = before


class UserProjection(nn.Module):
    """User vector (B, user_dim) to user tokens (B, tokens, token_dim): linear with bias, LayerNorm.

    With a rank, a table without bias comes first, whose columns are embeddings (`embedded`).

    The bias matters: the null user, zeros, gives learned tokens. Without it the null user would
    be the reference exactly, and neither user dropout nor a model without users could learn.
    """

    def __init__(self, shape: AdapterShape) -> None:
        super().__init__()
        self.tokens = shape.tokens
        rank = shape.user_rank
        self.table = None if rank is None else nn.Linear(shape.user_dim, rank, bias=False)
        self.linear = nn.Linear(rank or shape.user_dim, shape.tokens * shape.token_dim)
        self.norm = nn.LayerNorm(shape.token_dim)

    def forward(self, users: Tensor) -> Tensor:
        """Tokens (B, tokens, token_dim) of user vectors (B, user_dim)."""
        tokens = self.linear(self.embedded(users)).view(len(users), self.tokens, -1)
        return cast(Tensor, self.norm(tokens))

    def embedded(self, users: Tensor) -> Tensor:
        """Learnt embeddings (B, user_rank) of user vectors (B, user_dim), or these themselves."""
        return users if self.table is None else cast(Tensor, self.table(users))


class UserKeyValue(nn.Module):
    """K' and V' of one block; V' starts at zero, so the untrained adapter changes nothing."""

    def __init__(self, token_dim: int, width: int) -> None:
        super().__init__()
        self.to_k = nn.Linear(token_dim, width, bias=False)
        self.to_v = nn.Linear(token_dim, width, bias=False)
        nn.init.zeros_(self.to_v.weight)


class UserAttnProcessor:
    """Attention processor of one block: the base's own while the channel is silent.

    Not a module on purpose: set on a block of the base, its weights would join the base's.
    """

    def __init__(self, base: Any, layers: UserKeyValue, channel: _Channel, scale: float) -> None:
        self.base = base
        self.layers = layers
        self.channel = channel
        self.scale = scale

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
    ) -> Tensor:
        """Attention output (B, C, H, W) of hidden states (B, C, H, W) over keys (B, L, C)."""
        speaking = self.channel.held
        if speaking is None:
            output = self.base(attn, hidden_states, encoder_hidden_states, attention_mask)
            return cast(Tensor, output)

        query = _heads(attn.to_q(hidden_states.flatten(2).transpose(1, 2)), attn.heads)
        key = _heads(attn.to_k(encoder_hidden_states), attn.heads)
        value = _heads(attn.to_v(encoder_hidden_states), attn.heads)
        mixed = F.scaled_dot_product_attention(query, key, value)

        user_key = _heads(self.layers.to_k(speaking.tokens).to(query.dtype), attn.heads)
        user_value = _heads(self.layers.to_v(speaking.tokens).to(query.dtype), attn.heads)
        user = F.scaled_dot_product_attention(query, user_key, user_value)
        if speaking.gate is not None:
            user = user * speaking.gate.to(user.dtype)[:, None, None, None]
        mixed = mixed + self.scale * user

        mixed = mixed.transpose(1, 2).flatten(2)
        mixed = attn.to_out[1](attn.to_out[0](mixed))
        return cast(Tensor, mixed.transpose(1, 2).reshape(hidden_states.shape))


def _heads(flat: Tensor, heads: int) -> Tensor:
    """(B, L, C) to (B, heads, L, C / heads)."""
    return flat.view(*flat.shape[:2], heads, -1).transpose(1, 2)


class UserAdapter(nn.Module):
    """The added layers of one UNet: a user projection, and K', V' for each attention block.

    A module of its own beside the UNet, so that its state holds the added layers and no more.
    """

    def __init__(self, shape: AdapterShape, widths: Mapping[str, int]) -> None:
        """`widths`: path of each attention block -> its channels (`attention_blocks`)."""
        super().__init__()
        self.shape = shape
        self.projection = UserProjection(shape)
        self.blocks = nn.ModuleDict(
            {_key(path): UserKeyValue(shape.token_dim, width) for path, width in widths.items()}
        )
        self._channel = _Channel()

    @torch.no_grad()
    def reset(self, seed: int) -> None:
        """Draw every weight anew from `seed`, in the order of the blocks' paths; V' zero."""
        generator = torch.Generator().manual_seed(seed)

        def uniform(weight: Tensor, fan_in: int) -> None:
            drawn = torch.rand(weight.shape, generator=generator) * 2 - 1
            weight.copy_(drawn / fan_in**0.5)

        if self.projection.table is not None:
            uniform(self.projection.table.weight, self.projection.table.in_features)
        linear = self.projection.linear
        uniform(linear.weight, linear.in_features)
        uniform(linear.bias, linear.in_features)
        self.projection.norm.reset_parameters()
        for path in sorted(self.blocks):
            layers = cast(UserKeyValue, self.blocks[path])
            uniform(layers.to_k.weight, layers.to_k.in_features)
            layers.to_v.weight.zero_()

    def attach(self, unet: nn.Module) -> None:
        """Set a processor on every attention block of `unet`; the adapter stays off.

        Raises:
            ValueError: the blocks of `unet` are not those the adapter was made for.
        """
        found = attention_blocks(unet)
        if set(map(_key, found)) != set(self.blocks):
            raise ValueError("the adapter was made for another UNet: its attention blocks differ")
        for path, attention in found.items():
            before = attention.processor
            base = before.base if isinstance(before, UserAttnProcessor) else before
            layers = cast(UserKeyValue, self.blocks[_key(path)])
            attention.set_processor(
                UserAttnProcessor(base, layers, self._channel, self.shape.scale)
            )

    def enable_checkpointing(self, unet: Any) -> None:
        """Turn on gradient checkpointing so that a block hears the same tokens in backward."""

        def checkpointed(block: nn.Module, *args: Any) -> Any:
            held = self._channel.held

            def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
                return nullcontext(), self._channel.holding(held)

            return checkpoint(block, *args, use_reentrant=False, context_fn=contexts)

        unet.enable_gradient_checkpointing(checkpointed)

    @contextmanager
    def tokens(self, users: Tensor, *, gate: Tensor | None = None) -> Iterator[None]:
        """Within: the base hears users (B, user_dim), one a row of the UNet's batch.

        `gate` (B,), 0 or 1: rows at 0 are drawn as by the base alone.
        """
        with self._channel.holding(_Speaking(self.projection(users), gate)):
            yield

    def off(self) -> AbstractContextManager[None]:
        """Within: the base alone, whatever the context outside."""
        return self._channel.holding(None)

    def tensors(self) -> dict[str, Tensor]:
        """State keyed by block path: `user_projection.*`, `<path of attention>.to_k_user.*`."""
        return {_tensor_name(name): tensor for name, tensor in self.state_dict().items()}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take a state as `tensors` gives it.

        Raises:
            KeyError: names are missing or unknown; the message lists them.
            ValueError: a tensor has another shape.
        """
        names = {_tensor_name(name): name for name in self.state_dict()}
        if odd := sorted(set(names) ^ set(tensors)):
            raise KeyError(", ".join(odd))
        try:
            self.load_state_dict({names[name]: tensor for name, tensor in tensors.items()})
        except RuntimeError as error:
            raise ValueError(str(error)) from error


def new_adapter(unet: nn.Module, shape: AdapterShape, *, seed: int) -> UserAdapter:
    """An untrained adapter for `unet`, attached and off; every parameter of `unet` is frozen."""
    widths = {path: int(block.to_q.out_features) for path, block in attention_blocks(unet).items()}
    adapter = UserAdapter(shape, widths)
    adapter.reset(seed)
    unet.requires_grad_(False).eval()
    adapter.attach(unet)
    return adapter


def audience(
    adapter: UserAdapter, users: Tensor, unconditional_user: UnconditionalUser
) -> Callable[[int], AbstractContextManager[None]]:
    """The `user` argument of `pipeline.draw`: users (B, user_dim) for the captioned rows.

    The rows of the empty caption are drawn for the null user, for the same user, or by the base.
    """

    def speak(unconditional: int) -> AbstractContextManager[None]:
        if not unconditional:
            return adapter.tokens(users)
        same = unconditional_user == "same-user"
        others = users if same else torch.zeros_like(users)
        gate = None
        if unconditional_user == "base":
            gate = torch.cat([users.new_ones(len(users)), users.new_zeros(unconditional)])
        return adapter.tokens(torch.cat([users, others]), gate=gate)

    return speak


def attention_blocks(unet: nn.Module) -> dict[str, Any]:
    """Path -> `Attention` of every `SDCascadeAttnBlock`, such as `down_blocks.0.2.attention`."""
    from diffusers.models.unets.unet_stable_cascade import SDCascadeAttnBlock

    return {
        f"{path}{ATTENTION}": module.attention
        for path, module in unet.named_modules()
        if isinstance(module, SDCascadeAttnBlock)
    }


def _key(path: str) -> str:
    """A block's path as a key that `ModuleDict` takes."""
    return path.replace(".", "/")


def _tensor_name(name: str) -> str:
    part, _, rest = name.partition(".")
    if part == "projection":
        return f"user_projection.{rest}"
    path, layer, tensor = rest.split(".")
    return f"{path.replace('/', '.')}.{layer}_user.{tensor}"
