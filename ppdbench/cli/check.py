"""`ppdbench check`: try a plug-in as a run would use it, and say in words what is wrong.

Elsewhere: the trial (`check/`), its bounds (`check/bounds.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ppdbench.cli import options
from ppdbench.cli.errors import reported
from ppdbench.cli.import_path import look_beside_user_for

if TYPE_CHECKING:
    from ppdbench.check.findings import Kind


@reported
def run(
    generator: Annotated[
        str | None,
        typer.Argument(metavar="[MODEL]", help="A generator by any name that --model takes."),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(metavar="NAME", help="A user encoder instead, options included.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(metavar="NAME", help="A judge instead, with its argument.")
    ] = None,
    reward: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[=PATH]",
            help="A reward instead: one of the suite's, or a plug-in's kind with its weights.",
        ),
    ] = None,
    suite: options.Suite = "shapes",
    captions: options.Captions = None,
    pairs: options.Pairs = None,
    vlm: options.Vlm = None,
    base: options.Base = None,
    device: options.Device = "auto",
    timeout: Annotated[
        float,
        typer.Option(
            min=1.0, metavar="SECONDS", help="Cut it off when nothing is heard of it for so long."
        ),
    ] = 300.0,
    network: Annotated[
        bool,
        typer.Option(
            "--network",
            help="Let it reach other machines, as a paid or hosted system must. This machine it "
            "may always reach.",
        ),
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Try a plug-in on three requests, and say in words what is wrong and what mends it.

    It is asked for about a dozen pictures, in a process of its own and once more in a second one.
    Exit code 1 if anything is wrong, 0 if there is nothing but notes.
    """
    from ppdbench.check.job import Job
    from ppdbench.check.run import check
    from ppdbench.check.table import conclusion, table
    from ppdbench.cli.console import Console
    from ppdbench.errors import Interrupted
    from ppdbench.runs.device import resolve

    kind, name = _named(generator, encoder, judge, reward)
    look_beside_user_for(name)
    given = {"captions": captions, "pairs": pairs, "vlm": vlm, "base": base}
    job = Job(
        kind=kind,
        name=name,
        suite=suite,
        device=resolve(device),
        network=network,
        files={option: str(value) for option, value in given.items() if value is not None},
    )
    with Console(as_json=as_json, quiet=quiet) as console:
        try:
            report = check(job, timeout=timeout, debug=debug, events=console)
        except KeyboardInterrupt:
            raise Interrupted(
                "interrupted; a check keeps nothing", fix="run the same command again"
            ) from None
        console.show(table(report))
        console.line(conclusion(report))
        console.json(_as_text(report.as_mapping()))
    if report.wrong:
        raise typer.Exit(1)


def _named(
    generator: str | None, encoder: str | None, judge: str | None, reward: str | None
) -> tuple[Kind, str]:
    """The one plug-in that is named, and its kind.

    Raises:
        UsageError: none is, or several are.
    """
    from ppdbench.errors import UsageError

    named: list[tuple[Kind, str | None]] = [
        ("generator", generator),
        ("encoder", encoder),
        ("judge", judge),
        ("reward", reward),
    ]
    given = [(kind, name) for kind, name in named if name]
    if len(given) != 1:
        raise UsageError(
            f"{'no plug-in is' if not given else f'{len(given)} plug-ins are'} named",
            fix="name one: ppdbench check MODEL, --encoder NAME, --judge NAME or --reward NAME",
        )
    return given[0]


def _as_text(report: dict[str, object]) -> str:
    import json

    return json.dumps(report, indent=2, ensure_ascii=False)
