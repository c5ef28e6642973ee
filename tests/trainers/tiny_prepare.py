"""`ppdbench data prepare` on made-up pairs for a tiny base, in small shards.

Run as a script it prepares, tells in a file `made-PID` which shards of images it made, and may kill
itself before one or wait for another process there: `tiny_prepare.py go|kill|meet|die-together
NUMBER ARGUMENTS...`.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from ppdbench import cli
from ppdbench.protocols import PreferencePair
from trainers.encoded import encoding, pair_shards
from trainers.encoded.encoded_shards import encoded_images

MADE = runpy.run_path(str(Path(__file__).parents[1] / "data" / "made_pairs.py"))
SHARD_PAIRS, SHARD_CAPTIONS = 40, 64


def write_source(path: Path, users: int = 30, spoil: Callable[[Any], None] | None = None) -> Path:
    """Pairs of made-up users, some of whom have too few; `spoil` may change the rows."""
    rows = [dict(row) for row in MADE["crowd"](users)]
    rows += [MADE["row"](5000 + n, 7, f"rare {n}") for n in range(3)]
    if spoil:
        spoil(rows)
    written: Path = MADE["write"](path, rows)
    return written


def small_shards(patch: Any) -> None:
    """Shards of a few pairs; `patch` is `setattr` or a monkeypatch's."""
    patch(pair_shards, "SHARD_PAIRS", SHARD_PAIRS)
    patch(encoding, "SHARD_CAPTIONS", SHARD_CAPTIONS)


def before_shard(number: int, act: Callable[[], None], patch: Any) -> None:
    """Do something before this process encodes its n-th shard of images; note the pairs of each."""
    made = 0

    def encoded(pairs: Iterable[PreferencePair], *how: Any) -> Any:
        nonlocal made
        made += 1
        if made == number:
            act()
        shard = list(pairs)
        with Path(f"made-{os.getpid()}").open("a") as log:
            log.write(f"{shard[0].id}\n")
        return encoded_images(shard, *how)

    patch(encoding, "encoded_images", encoded)


def meet(folder: Path, *, die: bool = False) -> None:
    """Wait until two processes are here."""
    (folder / f"here-{os.getpid()}").touch()
    until = time.monotonic() + 60
    while len(list(folder.glob("here-*"))) < 2:
        assert time.monotonic() < until, "nobody came"
        time.sleep(0.01)
    if die:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    what, shard, *arguments = sys.argv[1:]
    torch.set_num_threads(1)
    small_shards(setattr)
    acts: dict[str, Callable[[], None]] = {
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "meet": lambda: meet(Path.cwd()),
        "die-together": lambda: meet(Path.cwd(), die=True),
        "go": lambda: None,
    }
    before_shard(int(shard), acts[what], setattr)
    sys.argv = ["ppdbench", "data", "prepare", *arguments]
    cli.main()
