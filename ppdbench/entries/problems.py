"""What is wrong with an entry: which file, where in it, in words. An entry is a stranger's data.

Elsewhere: who finds it (`entries.entry` on reading, `ppdbench.leaderboard.check` by recomputing).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from ppdbench.errors import PpdbenchError

LONGEST = 160
"""Letters of a stranger's text that a message repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    file: str
    """Name of the file in the entry's folder; empty where it is the folder."""
    where: str
    """Line or field; empty where it is the whole file."""
    text: str

    def __post_init__(self) -> None:
        """A field's name is a stranger's text too."""
        object.__setattr__(self, "where", shown(self.where))

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.file, self.where) if part)
        return f"{place}: {self.text}" if place else self.text


class BadEntry(PpdbenchError):
    """An entry that cannot be read, or may not be."""

    def __init__(self, name: str, problem: Problem) -> None:
        super().__init__(
            f"entry {shown(name)}: {problem}",
            fix="restore the file, or make the entry anew with `ppdbench leaderboard add RUN`",
        )
        self.problem = problem


def shown(text: object, longest: int = LONGEST) -> str:
    """A stranger's text on one line, cut, without what would steer a terminal or turn a line."""
    known = "".join(
        letter if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else "�"
        for letter in str(text)[: longest + 1]
    )
    return known if len(known) <= longest else f"{known[: longest - 1]}…"
