"""What a command needs: run in a process of its own, its peak memory and its time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


def needs(
    command: Sequence[str | Path],
    env: Mapping[str, str],
    *,
    program: Sequence[str] = ("-m", "ppdbench"),
) -> dict[str, float]:
    """Run `ppdbench` with these arguments; `peak_mib`, `seconds` and `cpu_seconds`.

    Args:
        command: what follows `ppdbench` on the command line; standard output is thrown away.
        env: variables beside this process's own.
        program: what Python runs in its place.

    Raises:
        SystemExit: it failed.
    """
    words = [sys.executable, *program, *map(str, command)]
    begin = time.perf_counter()
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, env={**os.environ, **env}) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"ppdbench {command[0]} failed with {process.returncode}")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {
        "peak_mib": round(usage.ru_maxrss / unit, 1),
        "seconds": round(time.perf_counter() - begin, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
    }
