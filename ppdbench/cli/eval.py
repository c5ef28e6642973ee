"""`ppdbench eval`: generate, measure, summarise, report; the main job.

Elsewhere: the job itself (`benchmarks/evaluate.py`), the page and the table (`reports/`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ppdbench.cli import options
from ppdbench.cli.errors import reported
from ppdbench.cli.import_path import look_beside_user_for


@reported
def run(
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Generator to measure: a registered name or package.module:attr. Given again: "
            "opponents to compute afresh instead of taking their recorded results.",
        ),
    ] = None,
    suite: options.Suite = "shapes",
    captions: options.Captions = None,
    pairs: options.Pairs = None,
    vlm: options.Vlm = None,
    base: options.Base = None,
    benchmark: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Which measurement to make: rewards, interpolation, tradeoff, users, personal. "
            "Given again: several. Default: all that suite and model support.",
        ),
    ] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="User encoder for benchmark users, which needs no model then. Given again: "
            "several.",
        ),
    ] = None,
    full: Annotated[
        bool,
        typer.Option(
            "--full",
            help="The record's setting: every caption of interpolation and of each user, all "
            "groups of users, the shots curve, walks between users, every control, and every "
            "encoder where none is named.",
        ),
    ] = False,
    runs: options.Runs = Path("runs"),
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Only the suite's first N captions, and the first N users of each split.",
        ),
    ] = None,
    samples: options.Samples = 1,
    weight_step: Annotated[
        float,
        typer.Option(metavar="STEP", help="Between the weights of benchmark interpolation."),
    ] = 0.25,
    device: options.Device = "auto",
    batch_size: options.BatchSize = 64,
    fail_on_error: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="SHARE",
            help="Withhold the headline and exit 1 if a larger share of the items failed.",
        ),
    ] = 0.0,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Measure a model's images on a suite and compare them with the baselines'.

    Interrupted or failed, run the same command again: what was finished is kept.
    """
    from ppdbench.benchmarks.evaluate import TooManyFailures, evaluate
    from ppdbench.cli.console import Console
    from ppdbench.cli.results import report_and_show

    look_beside_user_for(*(model or []))
    with Console(as_json=as_json, quiet=quiet) as console:
        try:
            folder = evaluate(
                model or [],
                suite=suite,
                captions=captions,
                pairs=pairs,
                vlm=vlm,
                base=base,
                benchmarks=benchmark or [],
                encoders=encoder or [],
                full=full,
                runs=runs,
                limit=limit,
                samples=samples,
                weight_step=weight_step,
                device=device,
                batch_size=batch_size,
                fail_on_error=fail_on_error,
                events=console,
            )
        except TooManyFailures as failure:
            # All files are written: show what there is, then say why the headline is not.
            report_and_show(failure.run, console)
            raise
        report_and_show(folder, console)
