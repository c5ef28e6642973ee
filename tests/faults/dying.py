"""`ppdbench` that can be told to die within a file: `dying.py ARGUMENTS...`.

SIGUSR1 arms it. From then on the first temporary file that is whole, and would get its name, is the
last thing this process did: it kills itself, as `kill -9` would in just that moment, which a test
that sleeps for a while seldom meets. Elsewhere: kills at any moment (`test_faults_kill.py`).
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

TEMPORARY = (".part", ".tmp")


def die_within_a_file() -> None:
    """Replace the renaming of a temporary file, and count on SIGUSR1."""
    armed = False
    rename, link = Path.replace, Path.hardlink_to

    def arm(*_: Any) -> None:
        nonlocal armed
        armed = True

    def die(path: Path) -> None:
        if armed and path.suffix in TEMPORARY:
            os.kill(os.getpid(), signal.SIGKILL)

    def replace(self: Path, target: Any) -> Path:
        die(self)
        return rename(self, target)

    def hardlink_to(self: Path, target: Any) -> None:
        die(Path(target))
        link(self, target)

    signal.signal(signal.SIGUSR1, arm)
    Path.replace = replace  # type: ignore[assignment, method-assign]
    Path.hardlink_to = hardlink_to  # type: ignore[method-assign]


if __name__ == "__main__":
    die_within_a_file()
    sys.argv = ["ppdbench", *sys.argv[1:]]
    runpy.run_module("ppdbench", run_name="__main__", alter_sys=True)
