"""Requests to stop a training: Ctrl-C, and SIGTERM as a scheduler sends it before it kills.

Between steps the first one is heeded at the next place where nothing is lost, the second at once;
before and after them, whose work is kept file by file, the first is. Elsewhere: what is saved then
(`loop.py`), exit codes (`docs/exit-codes.md`).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import torch

from ppdbench.errors import Interrupted, Preempted

if TYPE_CHECKING:
    from accelerate import Accelerator


ECHO = 3.0
"""Seconds in which further signals are the first one again: a scheduler, or a terminal, sends it to
every process, and the launcher passes on what it was sent itself."""


class StopRequest:
    """Whether this process was asked to stop, and by which signal; 0 is not."""

    def __init__(self) -> None:
        self.signal = 0

    def anywhere(self, accelerator: Accelerator) -> int:
        """The signal that any process was sent, the same on all; they may differ in the step.

        Every process must ask at the same place. SIGTERM has the last word.
        """
        if accelerator.num_processes == 1:
            return self.signal
        sent = torch.tensor([self.signal], dtype=torch.int32, device=accelerator.device)
        return int(accelerator.gather(sent).max())


def stopped(number: int, step: int, total: int) -> Interrupted:
    """The error that ends a training which `number` asked to stop."""
    kind = Preempted if number == signal.SIGTERM else Interrupted
    return kind(
        f"training stopped at step {step} of {total}",
        fix="run the same command again: it goes on from there",
    )


@contextmanager
def preemptible() -> Iterator[None]:
    """Within: SIGTERM ends what is no step, as encoding pairs; what is finished of it is kept.

    Raises:
        Preempted: it came.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    sent: float | None = None

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal sent
        now = time.monotonic()
        if sent is None or now - sent > ECHO:
            sent = now
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        if sent is None:
            raise
        raise Preempted(
            "stopped outside the training steps; what was finished is kept",
            fix="run the same command again: it goes on from there",
        ) from None
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Within: SIGINT and SIGTERM make a request; a second one, `ECHO` later, insists."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    asked = 0.0

    def ask(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        now = time.monotonic()
        if request.signal and now - asked > ECHO:
            raise KeyboardInterrupt
        if not request.signal:
            request.signal, asked = number, now

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
