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
BatchSize = Annotated[
    int, typer.Option(min=1, metavar="N", help="Images made at once; changes speed only.")
]
Samples = Annotated[int, typer.Option(min=1, metavar="N", help="Images for each caption and user.")]
Captions = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The captions of a suite that takes them: PartiPrompts.tsv."),
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
Base = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Stable Cascade of a suite that ships none: a folder or hub name.",
    ),
]
Judge = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Who judges: vlm, vlm:FOLDER, openai:MODEL, few-shot, scalar:REWARD, replay:RUN, "
        "always-first, random.",
    ),
]
Shots = Annotated[
    int, typer.Option(min=1, metavar="N", help="Choices of a user that are shown of them.")
]
BaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Of an OpenAI-compatible server, for judge openai:MODEL."),
]
Concurrency = Annotated[int, typer.Option(min=1, metavar="N", help="Calls in flight at once.")]
Timeout = Annotated[
    float, typer.Option(min=0.1, metavar="SECONDS", help="How long one call may take.")
]
Price = Annotated[
    str | None,
    typer.Option(
        metavar="IN,OUT", help="US dollars a million tokens, read and written: 2.50,10.00."
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        metavar="DOLLARS",
        help="Never spend more on this run, earlier calls included; then stop with exit code 5.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and do nothing.")]
BatchOut = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write the calls that have no verdict as a provider's batch files; ask nobody.",
    ),
]
BatchIn = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE",
        help="Take verdicts from a provider's batch answers; ask nobody. Given again: several.",
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


def parsed_price(text: str | None) -> tuple[float, float] | None:
    """What `--price` says.

    Raises:
        UsageError: it is no pair of numbers.
    """
    if text is None:
        return None
    try:
        read, written = (float(part) for part in text.split(","))
    except ValueError:
        read = written = -1.0
    if not (0 <= read < float("inf") and 0 <= written < float("inf")):
        from ppdbench.errors import UsageError

        raise UsageError(
            f"--price {text!r} is no pair of prices", fix="write it as IN,OUT: --price 2.50,10.00"
        )
    return read, written
