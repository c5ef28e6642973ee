"""Which shard a process is at, told to the others, so that no two make the same one.

A claim is a lock on one byte of a file beside the shards, the byte of the shard's number: the
system drops it with the process, however that ends, and the shard is free again. Elsewhere: what is
made (`encoding.py`, `relabel.py`).
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ppdbench.errors import from_os_error


class Claims:
    """This process's claims on the shards of one kind in a folder; `claims` opens them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._held: set[int] = set()

    def take(self, number: int, *, wait: bool) -> bool:
        """Claim a shard; False where another process has it and nobody waits for that.

        Where the file system knows no locks every process has every shard, and the last one made
        stays.
        """
        try:
            how = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
            fcntl.lockf(self._descriptor, how, 1, number)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL):
                raise
        self._held.add(number)
        return True

    def leave(self, number: int) -> None:
        """Let a shard go, made or not."""
        if number in self._held:
            self._held.remove(number)
            with suppress(OSError):  # no locks
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, number)

    def __contains__(self, number: int) -> bool:
        return number in self._held


@contextmanager
def claims(file: Path) -> Iterator[Claims]:
    """Claims by a file, which is made where it is not there and stays.

    Raises:
        PpdbenchError: it cannot be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise from_os_error(error, file) from error
    try:
        yield Claims(descriptor)
    finally:
        os.close(descriptor)  # drops what is still held


def takes(
    held: Claims, is_made: Callable[[int], bool], own: Callable[[int], bool], *, wait: bool
) -> Callable[[int], bool]:
    """Whether a shard, by its number, is to be made now by this process, which then holds it.

    Args:
        held: the claims.
        is_made: whether the shard is there; asked again once it is claimed.
        own: whether it is of this process's share.
        wait: for who is at it, to see whether it was made or its maker ended.
    """

    def wanted(number: int) -> bool:
        if not own(number) or is_made(number) or not held.take(number, wait=wait):
            return False
        if is_made(number):
            held.leave(number)
            return False
        return True

    return wanted
