"""`ppdbench judge`: would the user pick the model's picture? An order-flipped judge and its checks.

Elsewhere: the job itself (`benchmarks/judge/run.py`), what it would take
(`benchmarks/judge/cost.py`), the page and the table (`reports/`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ppdbench.cli import options
from ppdbench.cli.errors import reported
from ppdbench.cli.import_path import look_beside_user_for

if TYPE_CHECKING:
    from ppdbench.cli.console import Console


@reported
def run(
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="Generator to judge: a registered name or package.module:attr."
        ),
    ] = "ppd",
    baseline: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Whom it is held against. Default: the suite's."),
    ] = None,
    judge: options.Judge = "vlm",
    shots: options.Shots = 4,
    split: Annotated[
        Literal["seen", "unseen", "all"],
        typer.Option(help="Users who gave training pairs, users who did not, or both."),
    ] = "all",
    judge_shots: Annotated[
        Literal["shared", "disjoint", "both"],
        typer.Option(
            help="What the judge is shown of a user: the model's own shots (the paper's protocol), "
            "others of the same user, or each in turn."
        ),
    ] = "both",
    controls: Annotated[
        bool,
        typer.Option(
            "--controls/--no-controls",
            help="Judge also without shots, with another user's, and pictures for another user.",
        ),
    ] = True,
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
    full: Annotated[
        bool, typer.Option("--full", help="Every caption of each user, not the first alone.")
    ] = False,
    runs: options.Runs = Path("runs"),
    limit: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Only the first N users of each split."),
    ] = None,
    samples: options.Samples = 1,
    device: options.Device = "auto",
    batch_size: options.BatchSize = 64,
    fail_on_error: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            metavar="SHARE",
            help="Withhold the figures and exit 1 if a larger share of images and calls failed.",
        ),
    ] = 0.0,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001  (read by `reported`)
) -> None:
    """Ask a judge, by a user's choices, whether they would pick the model's picture.

    Every pair is judged in both orders. Beside the win rate stand the figures that would expose the
    judge: shots of its own, controls, bias for a place, its calibration. The same command again
    goes on where the last one stopped and asks nothing that was answered.
    """
    from ppdbench.benchmarks.judge.cost import judge_cost
    from ppdbench.benchmarks.judge.run import JudgeChoice, JudgeRequest, TooManyFailures, run_judge
    from ppdbench.cli.console import Console
    from ppdbench.cli.results import report_and_show
    from ppdbench.errors import BudgetReached
    from ppdbench.rewards.sharding import first_process

    look_beside_user_for(model, baseline or "")
    request = JudgeRequest(
        model=model,
        baseline=baseline,
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
        judge_shots=judge_shots,
        controls=controls,
        split=split,
        full=full,
        limit=limit,
        samples=samples,
        device=device,
    )
    with Console(as_json=as_json, quiet=quiet or not first_process()) as console:
        if dry_run:
            found = judge_cost(request, runs=runs, events=console)
            if first_process():
                show_cost(found, console)
            return
        try:
            folder = run_judge(
                request,
                runs=runs,
                batch_size=batch_size,
                fail_on_error=fail_on_error,
                batch_out=batch_out,
                events=console,
            )
        except (TooManyFailures, BudgetReached) as failure:
            # All files are written: show what there is, then say why the headline is not.
            report_and_show(failure.run, console)
            raise
        report_and_show(folder, console)


def show_cost(found: dict[str, Any], console: Console) -> None:
    """Print what a run would take, a line each."""
    unknown = "not known"
    cost = found["cost"]
    tokens = [found["tokens_in"], found["tokens_out"]]
    lines = {
        "judge": found["judge"],
        "calls": f"{found['calls']:,}, of which {found['calls_left']:,} have no verdict yet",
        "images": f"{found['images_to_draw']:,} to draw, {found['images_shown']:,} to show",
        "tokens": unknown
        if None in tokens
        else f"{tokens[0]:,} read and {tokens[1]:,} written at most, if no call is tried again",
        "cost": f"${cost:,.2f} for so many" if cost is not None else f"{unknown}: --price IN,OUT",
    }
    for name, text in lines.items():
        console.line(f"{name}: {text}")
    console.json(json.dumps(found, indent=2))
