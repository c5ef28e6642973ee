"""`ppdbench list`: what is installed, by name; no plug-in is imported."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ppdbench.cli import options
from ppdbench.cli.errors import reported

if TYPE_CHECKING:
    from ppdbench.plugins import Group


class Section(StrEnum):
    """What can be listed, in the words of the command line."""

    models = "models"
    suites = "suites"
    rewards = "rewards"
    encoders = "encoders"
    judges = "judges"
    trainers = "trainers"
    preparers = "preparers"


GROUPS: dict[Section, Group] = {
    Section.models: "generators",
    Section.suites: "suites",
    Section.rewards: "rewards",
    Section.encoders: "encoders",
    Section.judges: "judges",
    Section.trainers: "trainers",
    Section.preparers: "preparers",
}


@reported
def run(
    section: Annotated[
        Section | None, typer.Argument(help="One kind, a name a line; without it: all.")
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,  # noqa: ARG001  (there is no progress; accepted everywhere)
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """List the installed models, suites, rewards, user encoders, judges, trainers and preparers."""
    found = {each.value: _names(each) for each in Section if section in (None, each)}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    if section is not None:
        for name in found[section.value]:
            typer.echo(name)
        return
    for title, names in found.items():
        typer.echo(f"{title}:")
        for name in names:
            typer.echo(f"  {name}")


def _names(section: Section) -> list[str]:
    from ppdbench import plugins
    from ppdbench.rewards.catalogue import known_names

    return known_names() if section is Section.rewards else plugins.names(GROUPS[section])
