"""`ppdbench` in a process with a fault in it: `faulted.py FAULT ARGUMENTS...`.

`small-files:BYTES` lets no file grow beyond that, as `ulimit -f` does. `jumping-clock` moves the
wall clock by hours and days, back and forth, at every look; the monotonic clock goes on as it is.
Elsewhere: full and read-only file systems (`mounts.py`).
"""

from __future__ import annotations

import builtins
import datetime
import itertools
import resource
import runpy
import sys
import time
import types
from typing import Any

JUMPS = (3 * 86400.0, -7200.0, -400 * 86400.0, 18000.0)
"""Seconds by which the clock is wrong, one after the other."""


def small_files(size: int) -> None:
    """Refuse writes beyond so many bytes of a file; Python ignores the signal, and sees EFBIG."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def jumping_clock() -> None:
    """Let every way to ask for the wall clock give another time than the one before."""
    wrong, real, importing = itertools.cycle(JUMPS), time.time, builtins.__import__

    class Jumping(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.datetime.fromtimestamp(time.time(), tz)

    # For our own modules: compiled ones of others crash on a class that is not the real one.
    jumping = types.SimpleNamespace(**{**vars(datetime), "datetime": Jumping})

    def imported(name: str, globals: Any = None, *rest: Any, **named: Any) -> Any:
        asks = str((globals or {}).get("__name__")).partition(".")[0]
        if name == "datetime" and asks in ("ppdbench", "trainers"):
            return jumping
        return importing(name, globals, *rest, **named)

    time.time = lambda: real() + next(wrong)
    time.time_ns = lambda: int(time.time() * 1e9)
    builtins.__import__ = imported


if __name__ == "__main__":
    name, _, value = sys.argv[1].partition(":")
    if name == "small-files":
        small_files(int(value))
    elif name == "jumping-clock":
        jumping_clock()
    else:
        sys.exit(f"no fault is called {name}")
    sys.argv = ["ppdbench", *sys.argv[2:]]
    runpy.run_module("ppdbench", run_name="__main__", alter_sys=True)
