"""One process's share under `accelerate launch`, and the shares brought together again."""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ppdbench.errors import UsageError
from ppdbench.runs.device import resolve


@dataclass(frozen=True, slots=True)
class Shards:
    """Which of several processes this is; alone, it is the first of one."""

    rank: int = 0
    count: int = 1
    device: str | None = None
    """The device that the launcher gave this process; None where there is no launcher."""

    @property
    def first(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0

    def own(self, n: int) -> range:
        """The indexes, of n, that are this process's: every `count`-th."""
        return range(self.rank, n, self.count)

    def gather(self, share: Any) -> list[Any]:
        """Every process's share, in the order of ranks, in every process; all must call."""
        if self.count == 1:
            return [share]
        from accelerate.utils import gather_object

        found: list[Any] = gather_object([share])
        return found


def launched() -> bool:
    """Whether a launcher (accelerate, torchrun) started several processes; imports nothing."""
    return _number("WORLD_SIZE", 1) > 1


def first_process() -> bool:
    """Whether this process is the one that prints; known before any process is joined."""
    return not launched() or _number("RANK", 0) == 0


def _number(variable: str, default: int) -> int:
    """A launcher's variable; one that holds no number is some other program's."""
    text = os.environ.get(variable, "")
    return int(text) if text.isdigit() else default


def shards(device: str) -> Shards:
    """This process's place among those that a launcher started; joins them.

    Args:
        device: what the user asked for; "cpu", or "auto" where there is nothing else, keeps all
            processes there.

    Raises:
        UsageError: one device is named for several processes.
        MissingPrerequisite: the kind of device is not here.
    """
    if not launched():
        return Shards()
    found = resolve(device)
    if ":" in found:
        raise UsageError(
            f"the device {device} is one, and several processes were launched",
            fix="leave the number out: each process is given a device of its own",
        )
    from accelerate import PartialState

    # The slowest share may take much longer than the quickest; a dead process ends the others.
    # It joins no processes on a CPU unless it is told that there is nothing else.
    state = PartialState(cpu=found == "cpu", timeout=timedelta(days=7))
    if found == "cpu":
        atexit.unregister(_leave)  # once, however often a process asks for its place
        atexit.register(_leave)
    return Shards(state.process_index, state.num_processes, str(state.device))


def _leave() -> None:
    """Leave the others, while the interpreter still stands.

    Gloo's threads may outlive it, and then abort a process that has done all of its work
    (https://github.com/pytorch/pytorch/issues/190489). Leaving waits for nobody there; on NCCL,
    where no thread aborts anything, it may wait for a process that died.
    """
    from accelerate import PartialState

    PartialState().destroy_process_group()
