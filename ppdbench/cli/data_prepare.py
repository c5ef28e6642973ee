"""`ppdbench data prepare`: pairs split, and encoded once for every training that follows.

Elsewhere: the splits (`cli/data.py`), who encodes (a plug-in; `trainers/prepare.py` ships).
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
    from ppdbench.data.assignment import SplitName

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
    from ppdbench.data.split_files import described, read_splits
    from ppdbench.protocols import SuiteFiles
    from ppdbench.reports.splits import split_tables
    from ppdbench.rewards.sharding import first_process

    share = _share(shard)
    speaks = first_process()
    with Console(as_json=as_json or not speaks, quiet=quiet or not speaks) as console:
        prepare = plugins.load("preparers", preparer)
        _split(source, out, console)
        splits = read_splits(out)
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


def _split(source: Path, out: Path, console: Console) -> None:
    """Splits in `out`, and where the pairs of each lie; made by the first who comes.

    Raises:
        FingerprintMismatch: there are splits of other pairs.
    """
    from ppdbench.data.selection import SUFFIX
    from ppdbench.data.split_files import holds_splits
    from ppdbench.errors import FingerprintMismatch
    from ppdbench.suites.made_once import made_once

    last = out / f"train{SUFFIX}"
    if last.exists() and not holds_splits(out):  # they are written first, and were lost
        last.unlink(missing_ok=True)
    made_once(last, lambda: _make(source, out, console))
    wanted, there = _known(source), _known(out)
    fields = [
        name
        for name in ("source", "split")
        if wanted[name] is not None and wanted[name] != there[name]
    ]
    if fields:
        raise FingerprintMismatch(
            f"{out} was prepared with another {', '.join(fields)}",
            fix="give what it was begun with, or choose another --out",
        )
    if not holds_splits(source):
        _follow(source, out, console)


def _make(source: Path, out: Path, console: Console) -> None:
    """Make or take over the splits, and write the selections, that of training last."""
    from ppdbench.cli.data import made_splits
    from ppdbench.data.selection import SUFFIX
    from ppdbench.data.source import check_pins, find_source, pin
    from ppdbench.data.split_files import holds_splits, read_splits, source_of, split_files
    from ppdbench.data.splits import SplitSettings
    from ppdbench.errors import MissingPrerequisite
    from ppdbench.rewards.file_hash import file_sha256
    from ppdbench.runs.atomic import write_atomic
    from ppdbench.suites.pickapic_pairs import selected_rows

    if holds_splits(source):
        splits, path = read_splits(source), find_source(source_of(source))
        check_pins(splits.source, pin(path, sha256=file_sha256, events=console), path)
        if source.resolve() != out.resolve():
            for name, content in split_files(splits, folder=out, source=path).items():
                write_atomic(out / name, content)
    elif holds_splits(out):
        splits, path = read_splits(out), find_source(source)
        console.note(f"{out} has splits already")
        pin(path, sha256=file_sha256, events=console)
    else:
        splits, path = made_splits(source, SplitSettings(), out, console), find_source(source)
    kept: tuple[tuple[str, SplitName], ...] = (
        ("validation", "validation-seen"),
        ("train", "train"),
    )
    for name, split in kept:
        rows = splits.assignment.of(split)
        if len(rows):
            content = selected_rows(splits, rows, folder=out, source=path)
            write_atomic(out / f"{name}{SUFFIX}", content)
        elif name == "train":
            raise MissingPrerequisite(
                f"{source} leaves no train pairs", fix="give pair data with more pairs a user"
            )


def _known(place: Path) -> dict[str, Any]:
    """The files' sha256 of pairs or of splits of them, and the splits' digest or None."""
    from ppdbench.data.source import find_source, pin
    from ppdbench.data.split_files import holds_splits, read_splits
    from ppdbench.rewards.file_hash import file_sha256

    if holds_splits(place):
        splits = read_splits(place)
        return {"source": [file.sha256 for file in splits.source], "split": splits.digest}
    pinned = pin(find_source(place), sha256=file_sha256)
    return {"source": [file.sha256 for file in pinned], "split": None}


def _follow(source: Path, out: Path, console: Console) -> None:
    """Where the pairs lie elsewhere now, note it with the splits."""
    from ppdbench.data.source import find_source
    from ppdbench.data.split_files import ABOUT, read_splits, source_of, split_files
    from ppdbench.runs.atomic import write_atomic

    path = find_source(source)
    if source_of(out).resolve() != path.resolve():
        files = split_files(read_splits(out), folder=out, source=path)
        write_atomic(out / ABOUT, files[ABOUT])
        console.note(f"noted that the pairs now lie at {path}")


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
