"""What every trial has around it: its two processes, and what the surroundings saw meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from ppdbench import plugins
from ppdbench.check.bench import Bench
from ppdbench.check.findings import Kind
from ppdbench.check.start import compare_revision, judge_start

SAME_ELSEWHERE = "use nothing that changes from process to process: hash() of text, id(), time"
"""What mends answers that are others in another process."""
DISTRIBUTION = "ppdbench"
"""What our own entry points are installed as."""


def in_both_processes(
    bench: Bench, revision: object, *, first: Callable[[], None], second: Callable[[], None]
) -> None:
    """Ask all in the first process; in the second, whether revision and answers are the same.

    Args:
        bench: of the trial.
        revision: what the plug-in says of itself here.
        first: asks all; what is around is taken down after it, also where it fails.
        second: asks once more what the first process kept an answer of.
    """
    if bench.job.again:
        compare_revision(bench, revision)
        judge_start(bench)
        second()
        return
    try:
        first()
    finally:
        look_around(bench)


def look_around(bench: Bench) -> None:
    """Take down network, files and answers; called at the end, also after a failure."""
    around, ledger = bench.surroundings, bench.ledger
    if around.local:
        ledger.fact("local_connections", list(around.local))
    if bench.refused:
        pass  # taken down where it failed
    elif around.remote:
        hosts = ", ".join(list(around.remote)[:4])
        if bench.job.network:
            ledger.note("network", f"reaches {hosts}", "")
        else:
            ledger.note("network", f"tries {hosts}, is refused, and works without", "")
    else:
        ledger.ok("network")
    if around.written:
        ledger.wrong(
            "files",
            f"writes into the working directory: {', '.join(list(around.written)[:4])}",
            "write into tempfile.mkdtemp(), or a cache folder of its own",
        )
    else:
        ledger.ok("files")
    read = "; ".join(bench.watched.answers)
    if read and _is_ours(bench):
        ledger.note("suite", f"reads {read}; it comes with ppdbench, whose controls may")
    elif read:
        ledger.wrong(
            "suite",
            f"reads {read}",
            "draw, encode or judge by what it is asked with alone: "
            "what a suite measures with is not for plug-ins",
        )
    elif bench.job.kind != "reward":
        ledger.ok("suite")


def _is_ours(bench: Bench) -> bool:
    """Whether the plug-in is ppdbench's own: a control such as `shuffled-user` needs others."""
    groups: dict[Kind, plugins.Group] = {
        "generator": "generators",
        "encoder": "encoders",
        "judge": "judges",
        "reward": "rewards",
    }
    group, name = groups[bench.job.kind], bench.job.name.partition(":")[0]
    if name not in plugins.names(group):
        return False
    return plugins.origin(group, name).split()[0] == DISTRIBUTION
