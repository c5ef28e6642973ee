"""`evaluate`: plan, generate, measure, summarise, over one run directory.

Each stage reads what the one before left in files and skips what is there, so the same call again
goes on after any end, and after a finished run it loads no weights at all. Elsewhere: each stage
(`plan`, `generate`, `measure`, `rewards`), the files (`ppdbench.runs`), the page (`reports`).
"""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from ppdbench import plugins
from ppdbench.benchmarks.generate import generate
from ppdbench.benchmarks.measure import measure
from ppdbench.benchmarks.plan import Item, plan_rewards
from ppdbench.benchmarks.scorers import Scorers
from ppdbench.errors import Interrupted, PpdbenchError, UsageError, unknown_name
from ppdbench.protocols import Events, Generator, LoadContext, Suite, SuiteFiles
from ppdbench.runs.captions import write_captions
from ppdbench.runs.device import resolve
from ppdbench.runs.directory import RunDirectory

__all__ = ["BENCHMARKS", "Events", "TooManyFailures", "evaluate"]

BENCHMARKS = ("rewards",)


class TooManyFailures(PpdbenchError):
    """More items failed than allowed; all files of the run, `run`, are written."""

    def __init__(self, cause: str, *, fix: str, run: Path) -> None:
        super().__init__(cause, fix=fix)
        self.run = run


def evaluate(
    models: Sequence[str],
    *,
    suite: str,
    captions: Path | None = None,
    benchmark: str = "rewards",
    runs: Path,
    limit: int | None = None,
    samples: int = 1,
    device: str = "auto",
    batch_size: int = 64,
    fail_on_error: float = 0.0,
    events: Events,
) -> Path:
    """Measure a generator on a suite; returns the run's folder, with summary.json in it.

    Args:
        models: generators by name or package.module:attr; the first is measured, the others are
            drawn too and stand as opponents in place of their recorded results.
        suite: the suite's name.
        captions: the captions' file, where the suite takes one.
        benchmark: which measurement.
        runs: folder of all runs.
        limit: only the suite's first captions.
        samples: images a caption and user.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        batch_size: images asked for at once.
        fail_on_error: largest share of failed items, 0 to 1, at which the headline is given.
        events: is told of progress.

    Raises:
        UsageError: an unknown name or a number out of range.
        MissingPrerequisite: weights, space or permission are missing.
        FingerprintMismatch: the run's folder holds results of other settings.
        TooManyFailures: after everything is written.
        Interrupted: on SIGINT or SIGTERM; what was finished is kept.
    """
    _check(models, benchmark, limit, samples, batch_size, fail_on_error)
    try:
        with _sigterm_as_interrupt():
            world = plugins.make_suite(suite, SuiteFiles(captions=captions))
            drawn = list(world.captions("test"))
            whole = limit is None or limit >= len(drawn)
            drawn = drawn[:limit]
            for note in world.notes:
                events.note(note)
            device = resolve(device)
            wanted = list(dict.fromkeys([*models, world.baseline]))
            generators = dict(_make(name, world, device) for name in wanted)
            if len(generators) != len(wanted):
                raise UsageError(
                    f"two of {', '.join(wanted)} are the same generator", fix="name each once"
                )
            model = next(iter(generators))
            items = [
                item
                for name, generator in generators.items()
                for item in plan_rewards(world, name, generator.info, drawn, samples)
            ]
            spec = _spec(world, generators, model, benchmark, None if whole else limit, samples)
            with RunDirectory.open(runs, world.name, model, spec) as run, _final_state(run):
                write_captions(run.path, drawn)
                return _work(
                    run, world, generators, items, model, device, batch_size, fail_on_error, events
                )
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted; what was finished is saved", fix="run the same command again to go on"
        ) from None


def _spec(
    suite: Suite,
    generators: Mapping[str, Generator],
    model: str,
    benchmark: str,
    limit: int | None,
    samples: int,
) -> dict[str, Any]:
    """All that changes results, and nothing that does not: what the fingerprint covers."""
    return {
        "suite": suite.name,
        "suite_version": suite.version,
        "suite_digest": suite.digest,
        "sampling": asdict(suite.sampling),
        "benchmark": benchmark,
        "split": "test",
        "limit": limit,
        "samples": samples,
        "model": model,
        "baseline": suite.baseline,
        "generators": {n: {"revision": g.info.revision} for n, g in generators.items()},
    }


def _work(
    run: RunDirectory,
    suite: Suite,
    generators: Mapping[str, Generator],
    items: Sequence[Item],
    model: str,
    device: str,
    batch_size: int,
    fail_on_error: float,
    events: Events,
) -> Path:
    scorers = Scorers(suite, device, run.path)
    drawn = generate(run, items, generators, suite.sampling, batch_size=batch_size, events=events)
    looked_at = measure(run, items, scorers, batch_size=batch_size, events=events)
    if drawn or looked_at:
        run.record_environment()
    # Late: a finished run needs neither scipy nor its figures again.
    from ppdbench.benchmarks.summary import write_summary

    summary = write_summary(run, suite, generators, items, model, fail_on_error, events)
    if summary["withheld"]:
        raise TooManyFailures(
            f"{summary['withheld']}; first: {summary['failures'][0]['item']}: "
            f"{summary['failures'][0]['error']}",
            fix="mend the cause and run the same command again, which tries only those; "
            "or allow a share of failures with --fail-on-error",
            run=run.path,
        )
    return run.path


def _make(name: str, suite: Suite, device: str) -> tuple[str, Generator]:
    """A generator under the name it has in records: its own where it was given by module."""
    generator = plugins.make(
        "generators",
        name,
        LoadContext(suite=suite, device=device),
        called=f"generator {name!r}",
        fix="mend its factory",
    )
    if not isinstance(generator, Generator):
        raise PpdbenchError(
            f"{name!r} gives no generator: `info` or `generate` is missing",
            fix="let it be a function of a LoadContext that returns a Generator",
        )
    info = generator.info
    try:  # now, not after hours of drawing: all of it goes into spec.json and summary.json
        json.dumps(
            [info.version, info.revision, info.licence, dict(info.settings)], allow_nan=False
        )
    except (TypeError, ValueError) as error:
        raise PpdbenchError(
            f"generator {name!r} describes itself by what is not JSON: {error}",
            fix="let its `info` hold text, numbers, lists and dicts only",
        ) from error
    return (info.name if ":" in name else name), generator


def _check(
    models: Sequence[str],
    benchmark: str,
    limit: int | None,
    samples: int,
    batch_size: int,
    fail_on_error: float,
) -> None:
    if benchmark not in BENCHMARKS:
        raise unknown_name("benchmark", benchmark, BENCHMARKS)
    if not models:
        raise UsageError("no model is named", fix="name one with --model NAME")
    for what, number in (("limit", limit), ("samples", samples), ("batch size", batch_size)):
        if number is not None and number < 1:
            raise UsageError(f"{what} is {number}", fix="give a number from 1")
    if not 0 <= fail_on_error <= 1:
        raise UsageError(f"fail on error is {fail_on_error}", fix="give a share from 0 to 1")


@contextlib.contextmanager
def _final_state(run: RunDirectory) -> Iterator[None]:
    """Leave in status.json how the run ended; whoever reads it need not have seen it."""
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, KeyboardInterrupt)
        with contextlib.suppress(PpdbenchError):  # a full disk: the first error is the useful one
            run.status.finish("interrupted" if stopped else "failed")
        raise
    run.status.finish("done")


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Take SIGTERM as Ctrl-C is taken: by KeyboardInterrupt, which no plug-in swallows."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
