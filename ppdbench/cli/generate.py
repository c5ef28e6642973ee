"""`ppdbench generate`: one caption for several users, side by side with the baseline.

Elsewhere: the job itself (`benchmarks/side_by_side.py`), a folder of shots
(`users/shots_folder.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ppdbench.cli import options
from ppdbench.cli.errors import reported
from ppdbench.cli.import_path import look_beside_user_for


@reported
def run(
    caption: Annotated[str, typer.Argument(metavar="CAPTION", help="What to draw.")],
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="The generator: a registered name or package.module:attr."
        ),
    ],
    user: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="A user of the suite to draw for. Given again: several."),
    ] = None,
    shots: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Somebody by their choices: images and a shots.jsonl. Given again: several.",
        ),
    ] = None,
    suite: options.Suite = "shapes",
    pairs: options.Pairs = None,
    vlm: options.Vlm = None,
    base: options.Base = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder to write. Default: pictures/MODEL-..."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="Of the noise; the same for every user."),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, metavar="N", help="Pictures for each user, from other noise.")
    ] = 1,
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Draw a caption for several users and by the baseline, from the same noise.

    Writes each picture, a contact sheet and a list of who, by what and from which seed. The same
    command again goes on where the last one stopped; a folder of other pictures is refused.
    """
    from ppdbench import plugins
    from ppdbench.benchmarks.pictures_folder import LIST, SHEET
    from ppdbench.benchmarks.side_by_side import side_by_side
    from ppdbench.cli.console import Console
    from ppdbench.protocols import SuiteFiles

    look_beside_user_for(model)
    with Console(as_json=as_json, quiet=quiet) as console:
        folder = side_by_side(
            model,
            caption,
            plugins.make_suite(suite, SuiteFiles(pairs=pairs, vlm=vlm, base=base, events=console)),
            users=user or [],
            folders=shots or [],
            out=out,
            seed=seed,
            samples=samples,
            device=device,
            events=console,
        )
        console.place("sheet", folder / SHEET)
        console.place("list", folder / LIST)
        console.json((folder / LIST).read_text(encoding="utf-8"))
