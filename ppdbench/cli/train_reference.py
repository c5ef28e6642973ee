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
from ppdbench.runs.file_names import file_name


@reported
def run(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Settings over those of the configuration."),
    ] = None,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="ppd, sft, diffusion-dpo or a plug-in's.")
    ] = "ppd",
    users: Annotated[
        str | None,
        typer.Option(
            metavar="ENCODER",
            help="Learn from people by this encoder's embeddings of them; see list encoders.",
        ),
    ] = None,
    suite: options.Suite = "shapes",
    pairs: options.Pairs = None,
    vlm: options.Vlm = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML instead of the method's own.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Default: trained/SUITE/METHOD[-REWARD] or METHOD[-ENCODER]."
        ),
    ] = None,
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Train a reference method on a suite's preference pairs.

    Interrupted, run the same command again: it goes on from its last checkpoint. accelerate
    launch shares the work.
    """
    from ppdbench import plugins
    from ppdbench.cli.console import Console
    from ppdbench.protocols import SuiteFiles
    from ppdbench.rewards.sharding import first_process

    speaks = first_process()  # of several, the others are silent
    with Console(as_json=as_json or not speaks, quiet=quiet or not speaks) as console:
        train = plugins.load("trainers", method)
        # First, so that a setting typed as key=value has the last word.
        settings = [*([f"users.encoder={users}"] if users else []), *(overrides or [])]
        folder = train(
            plugins.make_suite(suite, SuiteFiles(pairs=pairs, vlm=vlm, events=console)),
            output=output or _default_output(suite, method, settings),
            config=config,
            overrides=settings,
            device=device,
            events=console,
        )
        console.place("trained", folder)
        told = {"method": method, "suite": suite, "folder": str(folder)}
        if speaks:
            console.json(json.dumps(told, indent=2))


def _default_output(suite: str, method: str, overrides: list[str]) -> Path:
    """Folder named as the entry it trains: a reward, or an encoder, makes a model of its own.

    An encoder's options are in its name, and what in them no file system takes is a low line.
    """
    given = dict(text.split("=", 1) for text in overrides if "=" in text)
    own = [given.get(key, "") for key in ("reward", "users.encoder")]
    name = "-".join([method, *(v for v in own if v not in ("", "null"))])
    return Path("trained") / suite / file_name(name)
