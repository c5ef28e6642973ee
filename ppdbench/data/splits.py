"""Who learns, who is evaluated, by which pairs: real users' pairs split as PPD's authors describe.

PPD (arXiv 2501.06655) trains on Pick-a-Pic v2 and evaluates 277 users who gave training pairs
(seen) and 192 who gave none (unseen), on captions held out of training, each conditioned on four
of their own pairs. Its lists of users are not public; these splits are decided by hashes of user
ids and of pairs, so that the same pairs give the same splits whatever the order of their rows.
(Pick-a-Pic's own splits, arXiv 2305.01569, hold out prompts, not users: 500 for validation and 500
for test, each of another user. All its files are read as one source here; a pair that stands in
two of them counts once.)

Rules, in this order; what a rule leaves out is counted in the funnel:

- Users beyond `max_pairs_per_user` pairs keep those of the lowest hash. Users with fewer than 4
  pairs cannot be conditioned on; with 4 none is left to evaluate or to learn from: dropped.
- An evaluated user has pairs of captions and images of their own: one or two disjoint sets of four
  shots (two where at least nine such pairs are held out), then choices. Nobody is in two of the
  evaluated splits. Seen users keep half of these pairs, and at least five, to
  learn from.
- Few users: each evaluated split takes at most a share of those who could be in it (unseen a fifth,
  seen three quarters of the rest, ...), so that somebody is left to learn from. Where captions are
  so many people's that training would lose half of its pairs, fewer users are evaluated.
- Where a caption or an image is on both sides, training loses the pair; between the evaluated
  splits, validation yields to test and calibration to both.
- Training users are left with at least five pairs, one more than the shots of an embedding, so that
  a pair is learnt under shots that do not show it (`shot_groups`). A seen user who would have fewer
  is not evaluated.

Elsewhere: reading the pairs (`pair_table`), the promise itself (`leakage`), files (`split_files`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from ppdbench.data.assign import assign
from ppdbench.data.assignment import SHOTS, SPLITS, Assignment, SplitSettings, Step
from ppdbench.data.crowd import ALGORITHM
from ppdbench.data.extract import undecodable
from ppdbench.data.pair_table import read_captions, read_table
from ppdbench.data.row_checks import UNDECODABLE
from ppdbench.data.source import PinnedFile, find_source, pin
from ppdbench.protocols import Events

__all__ = ["SplitSettings", "Splits", "Step", "make_splits", "split_key"]


@dataclass(frozen=True, kw_only=True)
class Splits:
    """Splits of one source under some settings."""

    settings: SplitSettings
    source: tuple[PinnedFile, ...]
    assignment: Assignment
    funnel: tuple[Step, ...]

    @cached_property
    def digest(self) -> str:
        """sha256 over the assignment, the settings, and the source: its files and rows."""
        rows = hashlib.sha256(self.assignment.row.astype("<i8").tobytes()).hexdigest()
        facts = [self.assignment.sha256, rows, split_key(self.source, self.settings)]
        return hashlib.sha256("\n".join(facts).encode()).hexdigest()

    @cached_property
    def sizes(self) -> dict[str, dict[str, int]]:
        """What each split has: users, pairs, and of which roles."""
        import numpy as np

        rows = self.assignment
        users = {name: rows.user[rows.of(name)] for name in SPLITS}
        found = {n: {"users": len(np.unique(own)), "pairs": len(own)} for n, own in users.items()}
        train = rows.of("train")
        grouped = train[rows.group[train] >= 0]
        found["train"]["shot_groups"] = len(grouped) // SHOTS
        found["train"]["users_with_shots"] = len(np.unique(rows.user[grouped]))
        for name in SPLITS[1:]:
            found[name]["choices"] = len(rows.of(name, "choice"))
            found[name]["users_with_two_sets"] = len(rows.of(name, "shot-1")) // SHOTS
        return {str(name): sizes for name, sizes in found.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """Which evaluated splits have fewer users than was asked for, a line each."""
        return tuple(
            f"the split {name} has {found} of {wanted} users: no more have enough pairs that "
            "training can spare"
            for name in SPLITS[1:]
            if (found := self.sizes[name]["users"]) < (wanted := self.settings.wanted(name))
        )


def split_key(source: tuple[PinnedFile, ...], settings: SplitSettings) -> str:
    """sha256 over all that decides how a source is split; known before it is."""
    facts = [ALGORITHM, [file.sha256 for file in source], asdict(settings)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def make_splits(
    source: Path | str,
    settings: SplitSettings | None = None,
    *,
    pinned: tuple[PinnedFile, ...] | None = None,
    events: Events | None = None,
) -> Splits:
    """Split a source; the result has been held against `leakage`.

    Time is linear in the rows, and all bytes are read twice, for their hash and for the images'
    first and last bytes; images do not gather in memory, beyond the pages of Parquet that they
    lie in. The images of the pairs that evaluated and identified users are known by are decoded,
    and others take the place of those that cannot be.

    Args:
        source: a Parquet file, a folder of them, or a data set's name in the hub's cache.
        settings: sizes and limits.
        pinned: what `source.pin` found of it, where that is known.
        events: who is told of progress.

    Raises:
        MissingPrerequisite: there is no such source, a column is absent, or no user has enough
            pairs to learn from.
        PpdbenchError: a file is unusable.
    """
    import numpy as np

    path, asked = find_source(source), settings or SplitSettings()
    files = pinned or pin(path, events=events)
    table, met = read_table(path, images=asked.images, events=events)
    decoded = np.empty(0, np.int64)
    while True:
        assignment, funnel = assign(
            table, met, asked, lambda rows: read_captions(path, rows), events=events
        )
        shown = np.setdiff1d(assignment.row[assignment.shown], decoded)
        bad = undecodable(path, shown, events=events) if asked.images == "header" else shown[:0]
        if not len(bad):
            return Splits(settings=asked, source=files, assignment=assignment, funnel=funnel)
        decoded = np.union1d(decoded, shown)
        table = table.take(~np.isin(table.row, bad))
        met = met.without(UNDECODABLE, len(bad))
