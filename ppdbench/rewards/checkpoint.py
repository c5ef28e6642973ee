"""Read a weights file as tensors and nothing else; code in it is refused, never run."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench.errors import PpdbenchError, one_line

if TYPE_CHECKING:
    from torch import Tensor


def read_weights(file: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, or of a torch file read with `weights_only`, on the CPU.

    They may be backed by the file: copy them before it can change.

    Raises:
        PpdbenchError: the file is truncated, or holds more than tensors.
    """
    import safetensors
    import safetensors.torch

    try:
        if file.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(file))
        loaded = _torch_load(file)
    except (
        safetensors.SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
    ) as error:
        raise PpdbenchError(
            f"the weights {file} cannot be read: {one_line(error, 200)}",
            fix="the file is cut short or no checkpoint, or holds more than tensors, which is "
            "never loaded: copy or download it again, as safetensors where there is a choice",
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    if not isinstance(state, dict) or not all(map(_is_named_tensor, state.items())):
        raise PpdbenchError(
            f"the weights {file} are no table of tensors by name",
            fix='save the model\'s state_dict(), alone or under the key "state_dict"',
        )
    return {name.removeprefix("module."): value for name, value in state.items()}


def _torch_load(file: Path) -> Any:
    import torch

    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):  # files of torch < 1.6 cannot be mapped
            raise
        return torch.load(file, map_location="cpu", weights_only=True)


def _is_named_tensor(item: tuple[object, object]) -> bool:
    import torch

    return isinstance(item[0], str) and isinstance(item[1], torch.Tensor)
