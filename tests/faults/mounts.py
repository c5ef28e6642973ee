"""A mount namespace in which folders of a place are small, full or read-only; no rights needed.

A process holds the namespace, commands enter it, and what they left is looked at through /proc.
Where the system lets nobody make one, tests are skipped and say so. Elsewhere: the commands
(`drive.py`).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from drive import Command

UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private")
EXEC = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"
WITHIN = 'cd "$0" && exec "$@"'


@dataclass(frozen=True, kw_only=True)
class Mounts:
    """Mounts over folders of a place, seen by commands `within` alone."""

    place: Path
    holder: int
    """Process id of who keeps the namespace."""

    @property
    def inside(self) -> Path:
        """The place as commands within see it."""
        return Path(f"/proc/{self.holder}/root{self.place.resolve()}")

    def within(self, command: Command) -> Command:
        """The same command, run in the namespace."""
        enter = ("-c", EXEC, *self._entering(), sys.executable)
        return replace(command, launcher=(*enter, *command.launcher))

    def small(self, folder: str, size: str) -> None:
        """Put an empty disk of so many bytes ("64k") over a folder, or change its size."""
        target = self.place / folder
        target.mkdir(exist_ok=True)
        if self._is_mounted(folder):
            done = self._run("mount", "-o", f"remount,size={size}", str(target))
            assert done.returncode == 0, done.stderr
        else:
            self._mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(target))

    def read_only(self, folder: str) -> None:
        """Let nobody, root included, write into a folder; what is in it stays to be read."""
        target = str(self.place / folder)
        self._mount("--bind", target, target)
        self._mount("-o", "remount,bind,ro", target)

    def writable(self, folder: str) -> None:
        """Take the last mount over a folder away."""
        done = self._run("umount", str(self.place / folder))
        assert done.returncode == 0, done.stderr

    def _is_mounted(self, folder: str) -> bool:
        return self._run("mountpoint", "-q", str(self.place / folder)).returncode == 0

    def _entering(self) -> tuple[str, ...]:
        return (
            *("nsenter", "--target", str(self.holder), "--user", "--mount"),
            *("--preserve-credentials", "sh", "-c", WITHIN, str(self.place)),
        )

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._entering(), *command], capture_output=True, text=True, check=False
        )

    def _mount(self, *arguments: str) -> None:
        done = self._run("mount", *arguments)
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


@contextmanager
def mounts(place: Path) -> Iterator[Mounts]:
    """A namespace for a place; skips the test where there can be none."""
    if any(shutil.which(tool) is None for tool in ("unshare", "nsenter", "mountpoint")):
        pytest.skip("needs unshare, nsenter and mountpoint of util-linux")
    place.mkdir(parents=True, exist_ok=True)
    holder = subprocess.Popen(
        [*UNSHARE, "sh", "-c", "echo held && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None and holder.stderr is not None
        if holder.stdout.readline() != "held\n":
            pytest.skip(f"no mount namespace here: {holder.stderr.read().strip()}")
        yield Mounts(place=place, holder=holder.pid)
    finally:
        holder.communicate("")  # its end is ours: also where this process is killed
