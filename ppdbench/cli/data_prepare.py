"""`ppdbench data prepare`: pairs split, and encoded once for every training that follows.

Elsewhere: the splits (`suites/split_folder.py`), who encodes (a plug-in; `trainers/prepare.py`
ships).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ppdbench.cli import options
from ppdbench.cli.errors import reported

if TYPE_CHECKING:
    from ppdbench.cli.console import Console

SUITE = "pickapic"
"""The suite whose pairs come in files."""


@reported
def run(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="Pairs in the Pick-a-Pic v2 schema, as for data splits; or splits of them.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for what is prepared.")],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The base model, a folder or hub name. Default: the published Stable Cascade, "
            "where it lies on this machine.",
        ),
    ] = None,
    users: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ENCODER",
            help="Embed the training users by it, too; see list encoders. Given again: several.",
        ),
    ] = None,
    rewards: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Score the pairs by this reward, too. Given again: several."
        ),
    ] = None,
    vlm: options.Vlm = None,
    shard: Annotated[
        str,
        typer.Option(
            metavar="K/N",
            help="Encode this one of N shares, and nothing else; the command without it ends the "
            "preparation.",
        ),
    ] = "1/1",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Split, count and say what encoding takes; encode nothing."),
    ] = False,
    preparer: Annotated[
        str, typer.Option(metavar="NAME", help="The plug-in that encodes.")
    ] = "stable-cascade",
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Split pairs and encode them once: latents, text, users' embeddings, rewards' scores.

    Trainings with --pairs DIR and the same base then start at once. Interrupted, run the same
    command again: it goes on at its next shard. accelerate launch shares the work.
    """
    from ppdbench import plugins
    from ppdbench.cli.console import Console
    from ppdbench.data.split_files import described
    from ppdbench.protocols import SuiteFiles
    from ppdbench.reports.splits import split_tables
    from ppdbench.rewards.sharding import first_process
    from ppdbench.suites.split_folder import prepared_splits

    share = _share(shard)
    speaks = first_process()
    with Console(as_json=as_json or not speaks, quiet=quiet or not speaks) as console:
        prepare = plugins.load("preparers", preparer)
        splits = prepared_splits(source, out, console)
        for table in split_tables(splits):
            console.show(table)
        facts = prepare(
            plugins.make_suite(SUITE, SuiteFiles(pairs=out, vlm=vlm, base=base, events=console)),
            out=out,
            base=base,
            users=users or [],
            rewards=rewards or [],
            share=share,
            dry_run=dry_run,
            device=device,
            events=console,
        )
        _show(facts, console)
        if facts.get("complete"):
            console.place("prepared", out)
        if speaks:
            about = described(splits)
            source_facts = {name: about[name] for name in ("digest", "source", "funnel", "sizes")}
            told = {**facts, "source": source_facts}
            console.json(json.dumps(told, indent=2, ensure_ascii=False))


def _share(text: str) -> tuple[int, int]:
    """The share and how many, as (2, 16) of "3/16".

    Raises:
        UsageError: it is no such thing.
    """
    from ppdbench.errors import UsageError

    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if not found or int(found[1]) > int(found[2]):
        raise UsageError(
            f"--shard {text} is no share", fix="write the share and how many, as 3/16; first is 1"
        )
    return int(found[1]) - 1, int(found[2])


def _show(facts: Mapping[str, Any], console: Console) -> None:
    """Say in a line a split what there is."""
    for split, made in facts.get("splits", {}).items():
        said = [f"{made['pairs']} pairs", f"{made['captions']} captions"]
        said += [f"{count} left out: {why}" for why, count in made["left_out"].items()]
        said += [
            f"{own['embeddings']} embeddings of {own['users']} users by {name} "
            f"({own['users_with_too_few_pairs']} users have too few pairs)"
            for name, own in made.get("users", {}).items()
        ]
        said += [f"scored by {', '.join(made['rewards'])}"] if made.get("rewards") else []
        said += [f"{size:.3g} GB of {kind}" for kind, size in made.get("gb", {}).items()]
        said += [f"{made['gb_left']:.3g} GB left to write"] if "gb_left" in made else []
        console.line(f"{split}: {', '.join(said)}")
    if "gb_free" in facts:
        console.line(f"free there: {facts['gb_free']:.1f} GB; nothing was encoded")
