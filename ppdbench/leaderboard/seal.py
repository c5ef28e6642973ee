"""Seal an entry again after its words were mended by hand, and only then.

summary.json keeps a hash of every field of entry.yaml that is no word about the entry; those must
be what they were, and so must the records and the gallery. Elsewhere: which fields are words
(`entries.schema.WORDS`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ppdbench.entries.entry import read_entry, sealed
from ppdbench.entries.files import ENTRY, GALLERY, SCORES, SUMMARY, read_file, read_json
from ppdbench.entries.schema import WORDS
from ppdbench.errors import PpdbenchError
from ppdbench.leaderboard.folders import changing
from ppdbench.leaderboard.summary import summary_text
from ppdbench.runs.atomic import write_atomic


def seal(folder: Path) -> bool:
    """Let summary.json name entry.yaml as it is now; whether it did not before.

    Raises:
        BadEntry: the entry cannot be read; entry.yaml does not have the form that it must.
        PpdbenchError: something else than words was changed; names it.
    """
    with changing(folder.absolute().parent):
        entry = read_entry(folder)
        known = entry.summary.sealed
        fields = sealed(entry.about)
        changed = [
            field
            for field in dict.fromkeys([*fields, *known])
            if fields.get(field) != known.get(field)
        ]
        hashes = {ENTRY: _sha256(folder, ENTRY)}
        files = {str(name): sha for name, sha in entry.summary.files.items()}
        for name in (SCORES, *([GALLERY] if entry.about.gallery else [])):
            hashes[name] = _sha256(folder, name)
            if files.get(name) != hashes[name]:
                changed.append(name)
        if changed:
            raise PpdbenchError(
                f"{entry.name}: more than words was changed: {', '.join(changed[:5])}",
                fix=f"put it back (words are {', '.join(WORDS)}), or make the entry anew with "
                "`ppdbench leaderboard add RUN`",
            )
        if files == hashes:
            return False
        summary = {**read_json(folder, SUMMARY), "files": hashes}
        write_atomic(folder / SUMMARY, summary_text(summary))
        return True


def _sha256(folder: Path, name: str) -> str:
    return hashlib.sha256(read_file(folder, name)).hexdigest()
