"""What fixes an adapter's tensors, and who the other half of guidance is drawn for; no torch.

Elsewhere: the adapter itself (`user_attention`), its file's header (`adapters/header.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

UnconditionalUser = Literal["null-user", "same-user", "base"]
"""Who the empty-caption half of guidance is drawn for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterShape:
    """What fixes the adapter's tensors, apart from the base's own width."""

    user_dim: int
    """Length of the user vector: one weight a reward now, a user embedding as well as any."""
    tokens: int = 4
    """User tokens. With one, its softmax is 1 whatever the key, and K' gets no gradient."""
    token_dim: int = 64
    """Length of a user token: the bottleneck between the user and every block's K' and V'."""
    scale: float = 1.0
    """Weight of the user's attention beside the block's own."""
    user_rank: int | None = None
    """Length of the embedding that each entry of the user vector has in a table of its own, which
    tokens are then made of: learnt embeddings of users, where the vector says who it is. None has
    no table."""
