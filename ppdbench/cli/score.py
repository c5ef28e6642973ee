"""`ppdbench score`: any images with captions, by any rewards.

Elsewhere: finding the images (`data/captioned.py`), scoring them (`rewards/scoring.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ppdbench.cli import options
from ppdbench.cli.errors import reported

if TYPE_CHECKING:
    from ppdbench.protocols import RewardSpec


@reported
def run(
    images: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES",
            help="A folder (with metadata.jsonl, or a .txt beside each image), a manifest "
            "(.jsonl, .csv, .tsv with file_name and caption), or one image.",
        ),
    ],
    reward: Annotated[
        list[str],
        typer.Option(
            metavar="NAME[=PATH]",
            help="A published reward (clip, aesthetic, hpsv2, hpsv2.1, pickscore, ...), a suite's "
            "with --suite, or any plug-in's kind; PATH is its weights file or folder. Repeat it.",
        ),
    ],
    suite: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Take the rewards of a suite, such as shapes."),
    ] = None,
    caption: Annotated[
        str | None, typer.Option(metavar="TEXT", help="One caption for all images.")
    ] = None,
    device: options.Device = "auto",
    precision: Annotated[
        str,
        typer.Option(
            metavar="FORMAT", help="fp32 (without TF32), or bf16 with its measured drift."
        ),
    ] = "fp32",
    batch_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="Images embedded at once.")
    ] = 64,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Processes that read images: one a core, none on a CPU."
        ),
    ] = None,
    cache: Annotated[
        bool, typer.Option(help="Keep embeddings and scores, and use those that are kept.")
    ] = True,
    fail_on_error: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="SHARE",
            help="Exit 1 if a larger share of the images has no score.",
        ),
    ] = 0.0,
    as_json: options.Json = False,
    as_csv: Annotated[
        bool,
        typer.Option("--csv", help="Print a line an image and reward alone on standard output."),
    ] = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Score images by rewards, exactly as their authors do.

    Stopped, run the same command again: what was scored is kept. Several GPUs:
    `accelerate launch -m ppdbench score ...`.
    """
    from ppdbench.cli.console import Console
    from ppdbench.data.captioned import read_captioned
    from ppdbench.errors import PpdbenchError, UsageError
    from ppdbench.reports.scores import tables
    from ppdbench.rewards.scoring import score
    from ppdbench.rewards.sharding import first_process

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other", fix="give one of them")
    speaks = first_process()
    with Console(as_json=as_json or as_csv, quiet=quiet or not speaks) as console:
        found = read_captioned(images)
        table = score(
            [image.path for image in found],
            [caption if caption is not None else image.caption for image in found],
            [*_of_suite(suite, reward)] if suite is not None else reward,
            device=device,
            precision=precision,  # type: ignore[arg-type]  # checked there
            batch_size=batch_size,
            workers=workers,
            cache=cache,
            names=[image.name for image in found],
            problems={
                row: image.problem
                for row, image in enumerate(found)
                if image.problem is not None and caption is None
            },
            events=console,
        )
        if not speaks:
            return
        for shown in tables(table):
            console.show(shown)
        console.json(table.as_csv() if as_csv else table.as_json())
        if table.failed > fail_on_error * len(found):
            row, errors = next(iter(table.errors.items()))
            raise PpdbenchError(
                f"{table.failed} of {len(found)} images lack a score; first: "
                f"{table.images[row]}: {next(iter(errors.values()))}",
                fix="mend the cause and run the same command again; what was scored is kept; "
                "or allow a share of failures with --fail-on-error",
            )


def _of_suite(suite: str, names: list[str]) -> list[RewardSpec]:
    """The suite's rewards of those names, in the order they were asked for."""
    from ppdbench import plugins
    from ppdbench.errors import unknown_name

    specs = {spec.name: spec for spec in plugins.make_suite(suite).rewards()}
    for name in names:
        if name not in specs:
            raise unknown_name(f"reward of suite {suite}", name, specs)
    return [specs[name] for name in names]
