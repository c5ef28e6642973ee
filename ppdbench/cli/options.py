"""Options that several commands share, so that they read and behave the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Suite = Annotated[str, typer.Option(metavar="NAME", help="What to measure on.")]
Runs = Annotated[Path, typer.Option(metavar="DIR", help="Where run folders live.")]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE", help="cpu, cuda, cuda:1, mps; auto: cuda where there is one, else cpu."
    ),
]
Pairs = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Preference pairs of a suite that takes them: Parquet, a folder of it, or of its "
        "splits.",
    ),
]
Vlm = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="LLaVA-OneVision of a suite that takes it: a folder or hub name."
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", help="Print the run's summary.json alone on standard output, the rest on stderr."
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print the result as JSON alone on standard output, the rest on stderr."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder under --runs.")]
