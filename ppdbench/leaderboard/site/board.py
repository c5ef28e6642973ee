"""A board as the site reads it: one entry at a time, each with how far it is checked.

Nothing here stops a build: what is no sound entry is left out, with its reason. Of each entry its
words and figures are kept, and of a checked one its outcomes for the ranks; its records are not.
Elsewhere: entries (`entries.entry`), the check and what is known of it (`leaderboard.check`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ppdbench.entries.entry import Entry, entry_folders, read_entry
from ppdbench.entries.problems import BadEntry
from ppdbench.errors import PpdbenchError, UsageError, one_line
from ppdbench.leaderboard.site.ranks import ranked
from ppdbench.leaderboard.site.reported import FOLDER
from ppdbench.leaderboard.site.standing import LeftOut, Standing
from ppdbench.leaderboard.site.table import Key, Table, is_baseline, key_of, table_of
from ppdbench.leaderboard.site.trainings import heads
from ppdbench.leaderboard.site.words import plain

SUITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")
"""Names of suites: without dots, so that none is a file of the site."""
Judge = Callable[[Entry], Standing]
"""How far an entry is checked; raises `LeftOut` for one that may not be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """All tables of a board, and what stands in none."""

    tables: tuple[Table, ...]
    left_out: tuple[tuple[str, str], ...] = field(default=())
    """Places and why they are left out."""


def read_board(
    root: Path, judge: Judge, *, advance: Callable[[int], None] = lambda _: None
) -> Tables:
    """Read all entries of a board.

    Args:
        root: the folder of suites' folders.
        judge: says how far an entry is checked.
        advance: told of every folder that was read.

    Raises:
        UsageError: there is no such folder.
    """
    found: dict[Key, list[tuple[Entry, Standing]]] = {}
    left_out: list[tuple[str, str]] = []
    for folder in folders(root):
        try:
            if not SUITE.fullmatch(folder.parent.name):
                raise LeftOut("its suite's name is no name of a folder of the site")
            entry = read_entry(folder)
            standing = judge(entry)
        except Exception as error:  # whatever a stranger's files bring about: the rest is built
            left_out.append((f"{folder.parent.name}/{plain(folder.name, 80)}", _reason(error)))
        else:
            found.setdefault(key_of(entry), []).append((entry, standing))
        advance(1)
    tables = []
    for number, (key, entries) in enumerate(sorted(found.items(), key=lambda item: item[0])):
        standing_for = heads([entry for entry, _ in entries])
        asked = [(entry.name, standing, is_baseline(entry)) for entry, standing in entries]
        ranks = ranked(asked, standing_for)
        tables.append(table_of(number, key, entries, ranks, standing_for))
    return Tables(tables=tuple(tables), left_out=tuple(left_out))


def folders(root: Path) -> list[Path]:
    """The folders of a board's entries, without what papers report.

    Raises:
        UsageError: there is no such folder.
    """
    if not root.is_dir():
        raise UsageError(f"there is no board in {root}", fix="name its folder with --board DIR")
    return [folder for folder in entry_folders(root) if folder.parent.name != FOLDER]


def _reason(error: Exception) -> str:
    if isinstance(error, BadEntry):
        return plain(str(error.problem), 300)
    return plain(error.cause if isinstance(error, PpdbenchError) else one_line(error), 300)
