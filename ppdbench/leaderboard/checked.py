"""What a check of an entry found, and where that is kept so that it need not be found again.

It is kept in the cache folder by the content of the entry's files and of its baseline's, by the
suite and by ppdbench's version: what would change it changes its key. Elsewhere: checking
(`leaderboard.check`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ppdbench import __version__
from ppdbench.entries.entry import canonical, read_about
from ppdbench.entries.files import NAMES, is_there, read_file, require_folder
from ppdbench.entries.problems import Problem
from ppdbench.errors import PpdbenchError
from ppdbench.leaderboard.world import Board
from ppdbench.runs.atomic import write_atomic
from ppdbench.runs.cache_folder import cache_folder

FORMULAS = 2
"""Raise it whenever a check would find something else in the same files."""
Tier = Literal["self-reported", "recomputed", "reproduced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The outcome of checking one entry."""

    suite: str
    name: str
    """The folder's."""
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    """What a reader should know, and is no fault."""
    tier: Tier
    n: int
    """Records."""
    figures: Mapping[str, Any]
    """As recomputed; empty where they could not be."""
    units: Mapping[str, Mapping[str, float]]
    """Column -> unit -> mean outcome. A column is a figure's place, "rewards.clip.win_rate" or
    "personal.unseen.gain"; a unit a caption's id or a user's. Empty where something is wrong."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """What `check --json` prints of it."""
        return {
            "suite": self.suite,
            "name": self.name,
            "ok": self.ok,
            "tier": self.tier,
            "n": self.n,
            "problems": [
                {"file": each.file, "where": each.where, "text": each.text}
                for each in self.problems
            ],
            "notes": list(self.notes),
        }


def key_of(folder: Path, board: Board) -> str | None:
    """By what an entry's outcome is kept; None where its files cannot be read within bounds."""
    try:
        about = read_about(folder)
        baseline = board.path / about.suite / about.baseline.name
        facts = [
            __version__,
            FORMULAS,
            about.suite,
            board.world(about.suite).digest,
            _content(folder),
            _content(baseline) if baseline.is_dir() else None,
        ]
    except PpdbenchError:
        return None
    return hashlib.sha256(canonical(facts)).hexdigest()


def read_known(key: str) -> Checked | None:
    """What is kept under a key."""
    try:
        said = json.loads(_place(key).read_bytes())
        problems = tuple(Problem(**each) for each in said.pop("problems"))
        return Checked(problems=problems, notes=tuple(said.pop("notes")), **said)
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None


def keep(key: str, checked: Checked) -> None:
    """Keep an outcome; where the cache cannot be written, it is found anew the next time."""
    said = {**checked.as_json(), "figures": checked.figures, "units": checked.units}
    del said["ok"]
    try:
        write_atomic(_place(key), json.dumps(said, separators=(",", ":")), sync=False)
    except PpdbenchError:
        return


def _place(key: str) -> Path:
    return cache_folder() / "leaderboard" / f"{key}.json"


def _content(folder: Path) -> dict[str, str]:
    """Name -> hash of the files of an entry."""
    require_folder(folder)
    return {
        name: hashlib.sha256(read_file(folder, name)).hexdigest()
        for name in NAMES
        if is_there(folder, name)
    }
