"""`ppdbench train-reference`: train a reference entry; the methods are plug-ins.

Elsewhere: the plug-ins that come with ppdbench (`trainers/`), their configuration files
(`trainers/configs/`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from ppdbench.cli import options
from ppdbench.cli.errors import reported


@reported
def run(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings over those of the configuration."),
    ] = None,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="ppd, sft, diffusion-dpo or a plug-in's.")
    ] = "ppd",
    suite: options.Suite = "shapes",
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML instead of the method's own.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: trained/SUITE/METHOD[-REWARD].")
    ] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Train a reference method on a suite's preference pairs.

    Interrupted, run the same command again: it goes on from its last checkpoint.
    """
    from ppdbench import plugins
    from ppdbench.cli.console import Console

    with Console(as_json=as_json, quiet=quiet) as console:
        train = plugins.load("trainers", method)
        folder = train(
            plugins.make_suite(suite),
            output=output or _default_output(suite, method, overrides or []),
            config=config,
            overrides=overrides or [],
            device=device,
            events=console,
        )
        console.place("trained", folder)
        console.json(
            json.dumps({"method": method, "suite": suite, "folder": str(folder)}, indent=2)
        )


def _default_output(suite: str, method: str, overrides: list[str]) -> Path:
    """Folder named as the entry it trains: `reward=clip` has a model of its own."""
    rewards = [value for key, _, value in (text.partition("=") for text in overrides)
               if key == "reward" and value not in ("", "null")]  # fmt: skip
    return Path("trained") / suite / "-".join([method, *rewards[-1:]])
