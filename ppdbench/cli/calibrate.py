"""`ppdbench calibrate`: how often a judge picks what users themselves picked.

Elsewhere: the job itself (`benchmarks/calibration/run.py`), the page and the table (`reports/`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ppdbench.cli import options
from ppdbench.cli.errors import reported


@reported
def run(
    judge: options.Judge = "vlm",
    shots: options.Shots = 4,
    suite: options.Suite = "shapes",
    pairs: options.Pairs = None,
    vlm: options.Vlm = None,
    base_url: options.BaseUrl = None,
    concurrency: options.Concurrency = 8,
    timeout: options.Timeout = 60.0,
    price: options.Price = None,
    max_cost: options.MaxCost = None,
    dry_run: options.DryRun = False,
    batch_out: options.BatchOut = None,
    batch_in: options.BatchIn = None,
    runs: options.Runs = Path("runs"),
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N calibration users.")
    ] = None,
    choices: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only each user's first N choices.")
    ] = None,
    device: options.Device = "auto",
    fail_on_error: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="SHARE",
            help="Withhold the figures and exit 1 if a larger share of the calls failed.",
        ),
    ] = 0.0,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Ask a judge about choices that users made themselves, by their own shots and by others'.

    The users are in no benchmark. Exit code 1, and the words "not personalised", where a user's own
    shots do not beat another user's. `ppdbench judge` shows the calibration it finds in --runs.
    """
    from ppdbench.benchmarks.calibration.job import CalibrationRequest, calibration_cost
    from ppdbench.benchmarks.calibration.run import NotPersonalised, calibrate
    from ppdbench.benchmarks.guard import TooManyFailures
    from ppdbench.benchmarks.judge.job import JudgeChoice
    from ppdbench.cli.console import Console
    from ppdbench.cli.judge import show_cost
    from ppdbench.cli.results import report_and_show
    from ppdbench.errors import BudgetReached
    from ppdbench.rewards.sharding import first_process

    request = CalibrationRequest(
        suite=suite,
        pairs=pairs,
        vlm=vlm,
        judge=JudgeChoice(
            name=judge,
            base_url=base_url,
            concurrency=concurrency,
            timeout=timeout,
            price=options.parsed_price(price),
            max_cost=max_cost,
            batch_in=tuple(batch_in or ()),
        ),
        shots=shots,
        limit=limit,
        choices=choices,
        device=device,
    )
    with Console(as_json=as_json, quiet=quiet or not first_process()) as console:
        if dry_run:
            show_cost(calibration_cost(request, runs=runs, events=console), console)
            return
        try:
            folder = calibrate(
                request,
                runs=runs,
                fail_on_error=fail_on_error,
                batch_out=batch_out,
                events=console,
            )
        except (TooManyFailures, NotPersonalised, BudgetReached) as failure:
            report_and_show(failure.run, console)
            raise
        report_and_show(folder, console)
