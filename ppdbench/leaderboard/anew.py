"""Figures of entries computed anew, after the baseline's records that they are over have changed.

Records, words and galleries stay as they are; so does that an entry was reproduced, which is about
its pictures. Elsewhere: who calls it (`leaderboard.add`), the figures (`leaderboard.summary`).
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ppdbench.entries.entry import entries_of
from ppdbench.entries.files import ENTRY, GALLERY, REPRODUCED, SCORES, SUMMARY, is_there, read_file
from ppdbench.leaderboard.figures import Records
from ppdbench.leaderboard.folders import replace_folder
from ppdbench.leaderboard.read import results_of
from ppdbench.leaderboard.summary import computed, summary_json, summary_text
from ppdbench.leaderboard.world import World


def figures_anew(place: Path, world: World, baseline: str, *, but: Collection[str]) -> list[str]:
    """Compute the figures of a suite's entries over its baseline's entry as it is now.

    Entries that cannot be read, are of another version of the suite or over a baseline of another
    revision are left as they are: `check` says what is wrong with them.

    Args:
        place: the suite's folder of a board, held by `folders.changing`.
        world: the suite.
        baseline: name of the baseline's entry.
        but: entries that are written anyway.

    Returns:
        Names of those whose figures are others now.

    Raises:
        PpdbenchError: an entry's records cannot be read, or it cannot be written.
    """
    entries = {entry.name: entry for entry in entries_of(place.parent, place.name)}
    about = entries[baseline].about
    records = Records.of(baseline, results_of(place / baseline))
    moved = []
    for name, entry in entries.items():
        same = (
            entry.about.suite_digest == about.suite_digest
            and entry.about.baseline.revision == about.generator.revision
        )
        if name == baseline or name in but or not same:
            continue
        names = (ENTRY, SCORES, *([GALLERY] if entry.about.gallery else []))
        files = {file: read_file(entry.folder, file) for file in names}
        found, coverage = computed(world, entry.about, results_of(entry.folder), records)
        text = summary_text(summary_json(entry.about, found, coverage, files))
        kept = (
            {REPRODUCED: read_file(entry.folder, REPRODUCED)}
            if is_there(entry.folder, REPRODUCED)
            else {}
        )
        if replace_folder(entry.folder, {**files, SUMMARY: text.encode(), **kept}):
            moved.append(name)
    return moved
