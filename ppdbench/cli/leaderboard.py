"""`ppdbench leaderboard`: entries added from runs, checked and sealed; recorded curves.

Elsewhere: the entries (`ppdbench/entries/`), what is done with them (`ppdbench/leaderboard/`),
entries drawn again (`cli/leaderboard_reproduce.py`), the site (`cli/leaderboard_site.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppdbench.cli import options
from ppdbench.cli.errors import reported

if TYPE_CHECKING:
    from ppdbench.leaderboard.checked import Checked

app = typer.Typer(
    no_args_is_help=True,
    help="Leaderboards: entries that recompute.",
    pretty_exceptions_enable=False,
)

BoardFolder = Annotated[
    Path | None,
    typer.Option(
        "--board",
        metavar="DIR",
        help="Folder of suites' folders of entries. Default: ./leaderboards where it is there, "
        "else what came with ppdbench.",
    ),
]
EntryName = Annotated[
    str, typer.Argument(metavar="ENTRY", help="A name, suite/name, or the entry's folder.")
]


@app.callback()
def group() -> None:
    """Entries of leaderboards: written from runs, recomputed from their records, drawn again."""


@app.command("add")
@reported
def add(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders of one suite.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Which generators of the runs. Default: all computed afresh."
        ),
    ] = None,
    board: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of suites' folders of entries.")
    ] = Path("leaderboards"),
    about: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="YAML with title, group, description, who, links, licence."
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="The row's name.")] = None,
    group: Annotated[
        str | None, typer.Option(metavar="KIND", help="method, baseline or control.")
    ] = None,
    description: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What it is, in a few sentences.")
    ] = None,
    who: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Who made it; again for several.")
    ] = None,
    link: Annotated[
        list[str] | None,
        typer.Option(metavar="TITLE=URL", help="Where to read on; again for several."),
    ] = None,
    licence: Annotated[str | None, typer.Option(metavar="NAME", help="Of the entry.")] = None,
    again_with: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="What --model draws it again with. Default: its registered name."
        ),
    ] = None,
    seed_of: Annotated[
        str | None,
        typer.Option(metavar="ENTRY", help="The entry of whose method it is another seed."),
    ] = None,
    training_users: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ids of those it was trained for, one a line."),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Write entries from finished runs, the baseline's too; the same runs again change nothing."""
    from ppdbench.cli.console import Console
    from ppdbench.cli.results import measured_run
    from ppdbench.leaderboard.add import add as add_entries
    from ppdbench.leaderboard.words import parsed_links, read_words

    for run in runs:
        measured_run(run)
    asked = {
        "title": title,
        "group": group,
        "description": description,
        "who": who or None,
        "links": parsed_links(link) if link else None,
        "licence": licence,
        "model": again_with,
        "of": seed_of,
    }
    words = (read_words(about) if about else {}) | {
        field: value for field, value in asked.items() if value is not None
    }
    with Console(as_json=as_json, quiet=quiet) as console:
        added = add_entries(
            runs,
            board,
            models=model or (),
            words=words,
            training_users=training_users,
            note=console.note,
        )
        for entry in added:
            console.place("added" if entry.changed else "unchanged", entry.folder)
        found = [
            {"model": each.name, "folder": str(each.folder), "changed": each.changed}
            for each in added
        ]
        console.json(json.dumps({"added": found}, indent=2))


@app.command("check")
@reported
def check(
    entry: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ENTRY...]", help="Names, suite/name or folders. Default: all."),
    ] = None,
    board: BoardFolder = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Recompute every number of entries from their records; exit code 1 where one is wrong."""
    from ppdbench.cli.console import Console
    from ppdbench.entries.problems import shown
    from ppdbench.errors import PpdbenchError
    from ppdbench.leaderboard.check import check_entry
    from ppdbench.leaderboard.find import find_entries
    from ppdbench.leaderboard.world import Board, default_board

    place = default_board(board)
    folders = find_entries(place, entry or [])
    with Console(as_json=as_json, quiet=quiet) as console:
        console.stage("check", len(folders))
        known, checked = Board(place), []
        for folder in folders:
            checked.append(check_entry(folder, known))
            console.advance()
        for each in checked:
            _show_checked(each, console)
        console.json(json.dumps({"entries": [each.as_json() for each in checked]}, indent=2))
    wrong = [shown(each.name) for each in checked if not each.ok]
    if wrong:
        raise PpdbenchError(
            f"{len(wrong)} of {len(checked)} entries are not sound: {', '.join(wrong[:5])}",
            fix="restore their files, or make them anew with `ppdbench leaderboard add RUN`; "
            "after mending words, `ppdbench leaderboard seal ENTRY`",
        )


@app.command("seal")
@reported
def seal(
    entry: EntryName,
    board: BoardFolder = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Let an entry's hashes name its words as mended by hand; refused if anything else changed."""
    from ppdbench.cli.console import Console
    from ppdbench.leaderboard.find import find_entries
    from ppdbench.leaderboard.seal import seal as seal_entry
    from ppdbench.leaderboard.world import default_board

    (folder,) = find_entries(default_board(board), [entry])
    with Console(as_json=as_json, quiet=quiet) as console:
        changed = seal_entry(folder)
        console.place("sealed" if changed else "unchanged", folder)
        console.json(json.dumps({"folder": str(folder), "changed": changed}, indent=2))


@app.command("curves")
@reported
def curves(
    folder: options.RunFolder,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of entries, e.g. leaderboards/shapes.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Which generators of the run. Default: all it drew but the base."
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Put a run's rows of benchmark tradeoff among the curves on record, caption by caption."""
    from ppdbench.benchmarks.tradeoff.record import record_curves
    from ppdbench.cli.console import Console
    from ppdbench.cli.results import measured_run

    measured_run(folder)
    with Console(as_json=as_json, quiet=quiet) as console:
        file, names = record_curves(folder, out, model or ())
        console.place("recorded", file)
        console.json(json.dumps({"recorded": names, "file": str(file)}, indent=2))


def _show_checked(checked: Checked, console: Any) -> None:
    """An entry's outcome: a line, and one a problem."""
    from ppdbench.entries.problems import shown

    name = shown(f"{checked.suite}/{checked.name}")
    if checked.ok:
        notes = "".join(f"; {note}" for note in checked.notes)
        console.line(f"{name}: {checked.tier}, {checked.n:,} records{notes}")
        return
    console.line(f"{name}: {len(checked.problems)} problems")
    for problem in checked.problems[:20]:
        console.line(f"  {problem}")
    if len(checked.problems) > 20:
        console.line(f"  and {len(checked.problems) - 20} more (--json has all)")
