"""`ppdbench leaderboard reproduce`: an entry's pictures drawn again, and what came of it in words.

Elsewhere: drawing and comparing (`ppdbench/leaderboard/reproduce.py`), the other commands of
entries (`cli/leaderboard.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppdbench.cli import options
from ppdbench.cli.errors import reported
from ppdbench.cli.import_path import look_beside_user
from ppdbench.cli.leaderboard import BoardFolder, EntryName

if TYPE_CHECKING:
    from ppdbench.leaderboard.reproduce import Reproduction


@reported
def reproduce(
    entry: EntryName,
    board: BoardFolder = None,
    runs: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Where it is drawn: not where the entry's own run lies, which would be compared "
            "with itself.",
        ),
    ] = Path("runs-again"),
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Only the first N captions and users: an answer about a sample, not written.",
        ),
    ] = None,
    device: options.Device = "auto",
    batch_size: options.BatchSize = 64,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Draw an entry's pictures again and compare; exit code 1 where they do not come out.

    Interrupted, run the same command again: what was drawn is kept.
    """
    from ppdbench.cli.console import Console
    from ppdbench.errors import PpdbenchError
    from ppdbench.leaderboard.find import find_entries
    from ppdbench.leaderboard.reproduce import reproduce as draw_again
    from ppdbench.leaderboard.world import Board, default_board

    place = default_board(board)
    (folder,) = find_entries(place, [entry])
    look_beside_user()  # the entry says which model, once it is read
    with Console(as_json=as_json, quiet=quiet) as console:
        found = draw_again(
            folder,
            Board(place),
            runs=runs,
            limit=limit,
            device=device,
            batch_size=batch_size,
            events=console,
        )
        console.line(_said(found))
        if found.written:
            console.place("written", found.written)
        console.json(json.dumps(_as_json(found), indent=2))
    if not found.succeeded:
        raise PpdbenchError(
            f"{folder.name} did not come out again: {_said(found)}",
            fix="draw it on a machine of the kind that its authors used; where the records are "
            "yours and wrong, add the entry anew",
        )


def _said(found: Reproduction) -> str:
    """What drawing again gave, in a sentence."""
    from ppdbench.leaderboard.check import RATE_TOLERANCE, TOLERANCE

    head = f"{found.n_identical:,} of {found.n:,} pictures are identical"
    if found.n_identical < found.n or found.largest or found.n_facts_differ:
        where = f" ({found.largest_at})" if found.largest_at else ""
        which = f" ({found.largest_rate_at})" if found.largest_rate_at else ""
        head += (
            f"; no score differs by more than {found.largest:.3g} standard "
            f"deviations of the baseline's{where}, {TOLERANCE:g} are allowed, and the classifier "
            f"says something else of {found.n_facts_differ:,}; no rate moves by more than "
            f"{found.largest_rate:.3g}{which}, {RATE_TOLERANCE:g} are allowed"
        )
    if found.n_missing:
        head += f"; {found.n_missing:,} records were not drawn again"
    if found.sample:
        came = "came out again" if found.succeeded else "did not come out again"
        return f"{head}. A sample of {found.n:,} of {found.n_records:,} records {came}; no tier."
    return f"{head}. Tier: {'reproduced' if found.succeeded else 'not reproduced'}."


def _as_json(found: Reproduction) -> dict[str, Any]:
    from dataclasses import asdict

    said = asdict(found)
    said["written"] = str(found.written) if found.written else None
    for name in ("largest", "largest_rate"):  # JSON knows no infinity
        said[name] = said[name] if said[name] < float("inf") else None
    return {**said, "succeeded": found.succeeded}
