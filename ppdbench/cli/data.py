"""`ppdbench data`: preference pairs of real users, split once and looked at.

Elsewhere: how they are split (`data/splits.py`), into which folder (`suites/split_folder.py`), what
is shown of it (`reports/splits.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ppdbench.cli import options
from ppdbench.cli.errors import reported

if TYPE_CHECKING:
    from ppdbench.cli.console import Console
    from ppdbench.data.splits import Splits

app = typer.Typer(no_args_is_help=True, help="Preference pairs.", pretty_exceptions_enable=False)

Source = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help="Pairs in the Pick-a-Pic v2 schema: a Parquet file, a folder of them, or a data set "
        "in the hub's cache, such as yuvalkirstain/pickapic_v2.",
    ),
]


@app.callback()
def group() -> None:
    """Preference pairs of real users: split them, look at them."""


def _users(help: str) -> object:
    return typer.Option(min=0, metavar="N", help=help)


@app.command("splits")
@reported
def splits(
    source: Source,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for splits.json and .parquet.")],
    seen: Annotated[int, _users("Test users who gave training pairs.")] = 277,
    unseen: Annotated[int, _users("Test users who gave none.")] = 192,
    validation_seen: Annotated[int, _users("Validation users who gave training pairs.")] = 96,
    validation_unseen: Annotated[int, _users("Validation users who gave none.")] = 96,
    calibration: Annotated[int, _users("Users whom judges are calibrated on.")] = 120,
    max_pairs_per_user: Annotated[
        int, typer.Option(min=5, metavar="N", help="Pairs of one user, at most.")
    ] = 1000,
    check_images: Annotated[
        bool,
        typer.Option(
            "--check-images",
            help="Decode every image, also of pairs to learn from, and leave out pairs with one "
            "that fails: hours on a million rows. Without it only images of held-out pairs, of "
            "those that users are told apart by, and any that end otherwise than PNG and JPEG do "
            "are decoded; of the rest the first and last bytes are looked at.",
        ),
    ] = False,
    trust_images: Annotated[
        bool,
        typer.Option(
            "--trust-images", help="Read no image where pairs name them by uid: minutes at scale."
        ),
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Split pairs by user and caption, as PPD's authors did, and check that nothing leaks.

    The same pairs and settings give the same splits; `--suite pickapic --pairs DIR` uses them.
    """
    from ppdbench.cli.console import Console
    from ppdbench.data.splits import SplitSettings
    from ppdbench.errors import UsageError
    from ppdbench.suites.split_folder import made_splits

    if check_images and trust_images:
        raise UsageError(
            "--check-images and --trust-images exclude each other", fix="give one of them"
        )
    settings = SplitSettings(
        seen=seen,
        unseen=unseen,
        validation_seen=validation_seen,
        validation_unseen=validation_unseen,
        calibration=calibration,
        max_pairs_per_user=max_pairs_per_user,
        images="decode" if check_images else "trust" if trust_images else "header",
    )
    with Console(as_json=as_json, quiet=quiet) as console:
        _show(made_splits(source, settings, out, console), console)
        console.place("splits", out)


@app.command("info")
@reported
def info(
    path: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Pairs, or a folder of splits of them.")
    ],
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Say what pairs there are and which can be used, or what splits hold.

    Images are not looked at; where pairs do not name them by uid their bytes are hashed. Splits
    are held against their digest, and their source, where it still lies there, against its sha256.
    """
    from ppdbench.cli.console import Console
    from ppdbench.data.source import check_pins, find_source, pin
    from ppdbench.data.source_facts import source_facts
    from ppdbench.data.split_files import holds_splits, read_splits, source_of
    from ppdbench.reports.splits import source_tables
    from ppdbench.rewards.file_hash import file_sha256

    with Console(as_json=as_json, quiet=quiet) as console:
        if not holds_splits(path):
            facts = source_facts(find_source(path), events=console)
            for table in source_tables(facts):
                console.show(table)
            console.json(json.dumps(facts, indent=2, ensure_ascii=False))
            return
        found, place = read_splits(path), source_of(path)
        if place.exists():
            check_pins(found.source, pin(place, sha256=file_sha256, events=console), place)
        else:
            console.note("the source is not where it was, so it was not checked")
        _show(found, console)


def _show(found: Splits, console: Console) -> None:
    from ppdbench.data.split_files import described
    from ppdbench.reports.splits import split_tables

    for note in found.notes:
        console.note(f"note: {note}")
    for table in split_tables(found):
        console.show(table)
    console.json(json.dumps(described(found), indent=2, ensure_ascii=False))
