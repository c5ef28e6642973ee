"""What ends a training from outside, told as what it is: memory, a compiler, another process.

Elsewhere: requests to stop (`stop.py`), what is not finite (`loop.py`, `batches.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ppdbench.errors import MissingPrerequisite, PpdbenchError, one_line


@contextmanager
def mishaps() -> Iterator[None]:
    """Within: what torch says of memory, compilers and other processes gets a cause and a fix.

    Raises:
        MissingPrerequisite: the device's memory does not suffice, or `compile` lacks a compiler.
        PpdbenchError: another process of the training ended; only that one knows why.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MissingPrerequisite(
            f"the device's memory does not suffice: {one_line(error, 120)}",
            fix="set a smaller micro_batch, then gradient_checkpointing=true, and run the same "
            "command again: it goes on; docs/paper-scale.md says what else is smaller",
        ) from error
    except RuntimeError as error:
        if _of_compiling(error):
            raise MissingPrerequisite(
                f"the model's blocks could not be compiled: {one_line(error, 160)}",
                fix="install the C++ compiler that torch.compile looks for, or set compile=false: "
                "the same run goes on",
            ) from error
        if not _of_another(error):
            raise
        raise PpdbenchError(
            "another process of this training ended, and says why itself",
            fix="mend what it says and run the same command again: it goes on",
        ) from error


def _of_compiling(error: RuntimeError) -> bool:
    """Whether torch.compile's backend failed; its modules are there only where it was used."""
    known = sys.modules.get("torch._dynamo.exc")
    return known is not None and isinstance(error, known.BackendCompilerFailed)


def _of_another(error: RuntimeError) -> bool:
    """Whether a collective failed; gloo's errors have no class of their own."""
    return isinstance(error, torch.distributed.DistError) or "gloo/transport" in str(error)
