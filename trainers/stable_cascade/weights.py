"""Published weights into a model, whole or not at all: every key, every shape, nothing twice.

A model is made on the meta device, where it takes no memory, and then takes the tensors of its
files as they are mapped: what is not cast or moved is never copied. A key too few, one too many,
or another shape is an error that names it; nothing is skipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ppdbench.errors import MissingPrerequisite, one_line
from trainers.stable_cascade.published import AGAIN, Part

NAMED = 4
"""Wrong keys that an error names; the others are counted."""
POSITIONS = "position_ids"
COUNTER = "num_batches_tracked"


def read_part(part: Part) -> dict[str, Tensor]:
    """Tensors of a part's files by name, memory-mapped.

    Raises:
        MissingPrerequisite: a file is cut short, or two of them hold one name.
    """
    found: dict[str, Tensor] = {}
    for file in part.files:
        try:
            tensors = load_file(file)
        except (OSError, SafetensorError) as error:
            raise MissingPrerequisite(
                f"{file} cannot be read: {one_line(error)}", fix=AGAIN
            ) from error
        if twice := sorted(set(found) & set(tensors)):
            raise MissingPrerequisite(f"{part}: two of its files hold {_some(twice)}", fix=AGAIN)
        found |= tensors
    return found


def take_weights(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    part: Part,
    *,
    device: torch.device | str,
    dtype: torch.dtype,
) -> None:
    """Give a module on the meta device its weights.

    Args:
        module: its state becomes the tensors; buffers that no file has are made.
        tensors: by the module's own names.
        part: what errors are about.
        device: where they go.
        dtype: what numbers become; integers stay.

    Raises:
        MissingPrerequisite: keys are missing or unexpected, or a tensor has another shape.
    """
    given = dict(tensors)
    expected = module.state_dict()
    _forgive(given, expected)
    _check(given, expected, part)
    placed = {
        name: tensor.to(device, dtype) if tensor.is_floating_point() else tensor.to(device)
        for name, tensor in given.items()
    }
    module.load_state_dict(placed, strict=True, assign=True)
    for owner in module.modules():
        for name, buffer in owner.named_buffers(recurse=False):
            if name == POSITIONS and buffer.is_meta:
                setattr(owner, name, torch.arange(buffer.shape[-1], device=device)[None])
    left = [name for name, tensor in _all(module) if tensor.is_meta]
    if left and torch.device(device).type != "meta":
        raise RuntimeError(f"{part.name}: nobody gives {_some(left)} its numbers")


def _all(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _forgive(given: dict[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """What says nothing of the model: a batch norm's counter, and positions that count up."""
    for name in expected:
        if name.endswith(COUNTER):
            given.setdefault(name, torch.zeros((), dtype=torch.int64))
    for name in [name for name in given if name.endswith(POSITIONS) and name not in expected]:
        positions = given[name].flatten()
        if torch.equal(positions.cpu().long(), torch.arange(len(positions))):
            del given[name]


def _check(given: Mapping[str, Tensor], expected: Mapping[str, Tensor], part: Part) -> None:
    wrong = []
    if missing := sorted(set(expected) - set(given)):
        wrong.append(f"keys are missing: {_some(missing)}")
    if stray := sorted(set(given) - set(expected)):
        wrong.append(f"keys are unexpected: {_some(stray)}")
    shapes = [
        f"{name} {tuple(given[name].shape)} for {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in given and given[name].shape != tensor.shape
    ]
    if shapes:
        wrong.append(f"tensors of another shape: {_some(shapes)}")
    if wrong:
        raise MissingPrerequisite(f"{part} does not fit its model: {'; '.join(wrong)}", fix=AGAIN)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
