"""Read a weights file as tensors and nothing else; code in it is refused, never run."""

from __future__ import annotations

import pickletools
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ppdbench.errors import PpdbenchError, one_line

if TYPE_CHECKING:
    from torch import Tensor


LONGEST_NAME = 1000
"""Letters of a class's module and name."""


def read_weights(file: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, or of a torch file read with `weights_only`, on the CPU.

    They may be backed by the file: copy them before it can change.

    Raises:
        PpdbenchError: the file is truncated, or holds more than tensors.
    """
    import safetensors.torch

    try:
        if file.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(file))
        loaded = _torch_load(file)
    except Exception as error:  # what an unpickler raises on damaged files is no closed list
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

    _require_short_names(file)
    try:
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):  # files of torch < 1.6 cannot be mapped
            raise
        return torch.load(file, map_location="cpu", weights_only=True)


def _is_named_tensor(item: tuple[object, object]) -> bool:
    import torch

    return isinstance(item[0], str) and isinstance(item[1], torch.Tensor)


def _require_short_names(file: Path) -> None:
    """See that no class is named in more than `LONGEST_NAME` letters; nothing is unpickled.

    torch refuses a class that it does not know, and looks through its own words on that by a search
    whose time grows with the square of the name: a name of 100 KB takes half a minute.

    Raises:
        ValueError: one is longer, or what torch would unpickle is no pickle.
    """
    with ExitStack() as opened:
        streams: list[IO[bytes]]
        if _starts_as_zip(file):
            parts = opened.enter_context(zipfile.ZipFile(file))
            inner = [name for name in parts.namelist() if name.endswith("data.pkl")]
            streams = [opened.enter_context(parts.open(name)) for name in inner]
        else:  # as of torch < 1.6: magic number, protocol, machine, tensors, keys
            streams = [opened.enter_context(file.open("rb"))] * 5
        for stream in streams:
            for code, argument, _ in pickletools.genops(stream):
                if code.name in ("GLOBAL", "INST") and len(str(argument)) > LONGEST_NAME:
                    raise ValueError(f"it names a class in {len(str(argument)):,} letters")


def _starts_as_zip(file: Path) -> bool:
    """Whether torch takes a file for a zip: by its first bytes, where others look at its end."""
    with file.open("rb") as stream:
        return stream.read(4) == b"PK\x03\x04"
