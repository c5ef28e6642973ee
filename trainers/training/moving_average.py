"""The moving average of an adapter's weights (`optimizer.ema`), which is then what is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor

from trainers.training.policy import Policy


def follow(average: dict[str, Tensor], policy: Policy, decay: float, step: int) -> None:
    """Move the average, by tensor name, towards the weights; it starts as them.

    The first steps decay faster, by (1 + step) / (10 + step), or the start would weigh too long.
    """
    decay = min(decay, (1 + step) / (10 + step))
    for name, tensor in policy.adapter.tensors().items():
        if name in average:
            average[name].lerp_(tensor, 1 - decay)
        else:
            average[name] = tensor.clone()


@contextmanager
def averaged(policy: Policy, average: Mapping[str, Tensor]) -> Iterator[None]:
    """Within: the adapter holds its moving average, where there is one; and is in eval mode."""
    own = {name: tensor.clone() for name, tensor in policy.adapter.tensors().items()}
    if average:
        policy.adapter.load_tensors(average)
    policy.adapter.eval()
    try:
        yield
    finally:
        policy.adapter.load_tensors(own)
        policy.adapter.train()
