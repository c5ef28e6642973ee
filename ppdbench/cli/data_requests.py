"""`ppdbench data requests`: what a system that cannot be run here is to draw.

Elsewhere: the files (`benchmarks/requests.py`), their way back (`generators/images.py`).
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ppdbench.cli import options
from ppdbench.cli.errors import reported

if TYPE_CHECKING:
    from ppdbench.benchmarks.requests import Conditions


class Told(StrEnum):
    """What of a user a system is told, in the words of the command line."""

    shots = "shots"
    reward_weights = "reward_weights"
    profile = "profile"


CONDITIONS: dict[Told, Conditions] = {
    Told.shots: "shots",
    Told.reward_weights: "reward_weights",
    Told.profile: "profile",
}


@reported
def run(
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write.")],
    suite: options.Suite = "shapes",
    benchmark: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What is to be measured: rewards, interpolation, tradeoff, personal, judge. "
            "Default: all of eval that suite and system support. Given again: several.",
        ),
    ] = None,
    conditions_on: Annotated[
        list[Told] | None,
        typer.Option(
            metavar="WHAT",
            help="What of a user the system is given: shots, reward_weights, profile; without it, "
            "it draws alike for everybody. Given again: several.",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who writes the profiles; see list encoders."),
    ] = None,
    pairs: options.Pairs = None,
    vlm: options.Vlm = None,
    captions: options.Captions = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only the first captions, and users of each split."),
    ] = None,
    samples: options.Samples = 1,
    full: Annotated[
        bool, typer.Option("--full", help="The record's setting of the benchmarks of people.")
    ] = False,
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Write what a closed system is to draw: captions, seeds, and the users' shots as files.

    The same pictures that eval and judge would ask for, by the same options.
    Put them and a manifest.jsonl into the folder: --model images:DIR measures them.
    """
    from ppdbench import plugins
    from ppdbench.benchmarks.requests import REQUESTS, Wanted, write_requests
    from ppdbench.cli.console import Console
    from ppdbench.protocols import SuiteFiles
    from ppdbench.runs.device import resolve

    conditions: list[Conditions] = [CONDITIONS[each] for each in conditions_on or []]
    with Console(as_json=as_json, quiet=quiet) as console:
        files = SuiteFiles(captions=captions, pairs=pairs, vlm=vlm, events=console)
        written = write_requests(
            plugins.make_suite(suite, files),
            Wanted(
                benchmarks=benchmark or [],
                conditions_on=conditions,
                encoder=encoder,
                limit=limit,
                samples=samples,
                full=full,
            ),
            out,
            device=resolve(device),
            events=console,
        )
        console.note(f"{written['pictures']} pictures for {written['users']} users")
        console.place("requests", out / REQUESTS)
        console.json(json.dumps(written, indent=2))
