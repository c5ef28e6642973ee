"""What a command needs: run in a process of its own, its peak memory and its time.

Between this process and the command stands a small one (this file, run as a program): Linux counts
as a child's peak what its parent held when it was started, and who measures may hold much.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

MOST_SECONDS = 6 * 3600.0
"""A command that takes longer hangs."""


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
    words = [sys.executable, __file__, sys.executable, *program, *map(str, command)]
    done = subprocess.run(
        words, stdout=subprocess.PIPE, env={**os.environ, **env}, check=True, timeout=MOST_SECONDS
    )
    told: dict[str, float] = json.loads(done.stdout)
    if code := int(told.pop("code")):
        raise SystemExit(f"ppdbench {command[0]} failed with {code}")
    return told


def _run(words: Sequence[str]) -> dict[str, float]:
    """Run a program to its end; its exit code, peak memory and time."""
    begin = time.perf_counter()
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {
        "code": process.returncode,
        "peak_mib": round(usage.ru_maxrss / unit, 1),
        "seconds": round(time.perf_counter() - begin, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
    }


if __name__ == "__main__":
    json.dump(_run(sys.argv[1:]), sys.stdout)
