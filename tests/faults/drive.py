"""The real commands as processes on `shapes`, made small: how each is prepared, run and compared.

    command = EVAL
    command.prepare(place)                       # its inputs, and a cache that begins as ours
    done = command.run(place)                    # to its end
    process = command.start(place)               # or to be disturbed
    wait_until_working(command, place, process)  # imports are over, there is something to lose
    kill(process)
    assert command.outcome(place) == command.outcome(other)
    check_clean(place)

A place is a folder of one user: `cache/` (PPDBENCH_CACHE), `tmp/` (TMPDIR), `said/` and all that
the command leaves. Two places share nothing. Elsewhere: what disturbs them (`test_faults_*.py`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ppdbench.runs.cache_folder import cache_folder
from ppdbench.runs.records import read_records

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 600.0
"""Seconds after which a command counts as hung; far more than any takes on a busy machine."""
VOLATILE = ("created", "seconds", "inputs")
"""Of summary.json: when it was made, how long it took, and over which bytes of records: these hold
durations, and stand in the order in which calls came back."""
IDENTITY = {
    "generations.jsonl": ("item",),
    "scores.jsonl": ("item", "scorer", "identity"),
    "divergence.jsonl": ("item",),
    "diversity.jsonl": ("generator", "user", "caption_id", "scorer"),
    "judgments.jsonl": ("call",),
    "users.jsonl": ("encoder", "kind", "variant", "user", "group"),
    "metrics.jsonl": ("step",),
}
"""What names a record of each file of records: no two lines of one may have the same."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """How a command ended."""

    code: int
    """Negative: the signal that ended it."""
    out: str
    err: str


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command line, its inputs and its outcome."""

    name: str
    arguments: tuple[str, ...]
    """After `ppdbench`; relative paths are below the place."""
    prepare: Callable[[Path], None]
    """Make a place of an empty or absent folder."""
    working: Callable[[Path], bool]
    """Whether the command that was started last is past its imports and has begun its work."""
    outcome: Callable[[Path], dict[str, Any]]
    """What must be equal whatever happened on the way, after the command ended well."""
    env: Mapping[str, str] = field(default_factory=dict)
    launcher: tuple[str, ...] = ("-P", "-m", "ppdbench")
    """Between the interpreter and the arguments; -P: as the console script."""
    renames: bool = True
    """Whether files get their names while it works, so that it can die within one."""

    def start(
        self, place: Path, *more: str, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """Begin it in a process group of its own; what it says goes to files of `place/said`."""
        said = place / "said"
        said.mkdir(exist_ok=True)
        number = len(list(said.glob("*.out")))
        # Files and no pipes: nobody need read them while it is disturbed.
        with (
            (said / f"{number:03d}.out").open("w") as out,
            (said / f"{number:03d}.err").open("w") as err,
        ):
            return subprocess.Popen(
                [sys.executable, *self.launcher, *self.arguments, *more],
                cwd=place,
                env={**environment(place), **self.env, **(env or {})},
                stdout=out,
                stderr=err,
                text=True,
                start_new_session=True,
                preexec_fn=_interruptible,
            )

    def run(self, place: Path, *more: str, env: Mapping[str, str] | None = None) -> Done:
        """Run it to its end, however it ends."""
        return ended(place, self.start(place, *more, env=env))

    def finish(self, place: Path, *more: str, env: Mapping[str, str] | None = None) -> Done:
        """Run it to its end, which must be a good one."""
        done = self.run(place, *more, env=env)
        assert done.code == 0, f"{self.name} exits {done.code}:\n{done.err[-4000:]}"
        return done


def environment(place: Path) -> dict[str, str]:
    """The environment of a place: its own cache and temporary folder, one thread, no key."""
    known = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PPDBENCH", "OPENAI", "RANK", "WORLD_SIZE", "LOCAL_RANK"))
    }
    return {
        **known,
        "PPDBENCH_CACHE": str(place / "cache"),
        "TMPDIR": str(place / "tmp"),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "MPLBACKEND": "Agg",
        "TORCHINDUCTOR_CACHE_DIR": str(place / "torch"),  # made on import, under TMPDIR else
    }


def _interruptible() -> None:
    """Shells ignore SIGINT for background jobs, and so would what the tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def ended(place: Path, process: subprocess.Popen[str], *, timeout: float = PATIENCE) -> Done:
    """Wait for a started command and read what it said last."""
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        kill(process)
        raise
    out, err = said(place)
    return Done(code=code, out=out, err=err)


def said(place: Path) -> tuple[str, str]:
    """Standard output and error of the last command that was started there."""
    last = max((place / "said").glob("*.out"))
    return last.read_text(encoding="utf-8"), last.with_suffix(".err").read_text(encoding="utf-8")


def kill(process: subprocess.Popen[str]) -> None:
    """Kill -9 its whole process group, and wait until it is gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)


def wait_until_working(
    command: Command, place: Path, process: subprocess.Popen[str], *, timeout: float = PATIENCE
) -> bool:
    """Wait for the first sign of work of the command that was started last, else kill it.

    Returns:
        Whether it came; False where the command ended before.
    """
    until = time.monotonic() + timeout
    while not command.working(place):
        if process.poll() is not None:
            return False
        if time.monotonic() > until:
            kill(process)
            raise AssertionError(f"{command.name} does not begin")
        time.sleep(0.01)
    return True


def tells(*stages: str) -> Callable[[Path], bool]:
    """A `Command.working`: progress of one of these stages is told."""
    return lambda place: any(f"{stage}: " in said(place)[1] for stage in stages)


def make_place(place: Path) -> None:
    """The folders of a place; its cache has what `shapes` makes once, if this user has it."""
    for name in ("tmp", "said", "cache"):
        (place / name).mkdir(parents=True, exist_ok=True)
    ours = cache_folder() / "shapes"
    if ours.is_dir() and not (place / "cache" / "shapes").exists():
        shutil.copytree(ours, place / "cache" / "shapes", ignore=shutil.ignore_patterns(".*"))


def check_clean(place: Path) -> None:
    """No temporary file and no record twice, anywhere in the place."""
    assert temporary_files(place) == []
    assert records_twice(place) == {}


def temporary_files(place: Path) -> list[str]:
    """What a killed writer left, relative to the place."""
    left = [
        path
        for path in place.rglob("*")
        if path.name.endswith((".part", ".tmp", "-journal"))
        or (path.parent.name == "tmp" and path.parent.parent == place)
    ]
    return sorted(path.relative_to(place).as_posix() for path in left)


def records_twice(place: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Files of records in which a record stands twice, and which."""
    found = {}
    for path in sorted(place.rglob("*.jsonl")):
        fields = IDENTITY.get(path.name)
        if fields is None:
            continue
        times = Counter(tuple(record.get(key) for key in fields) for record in read_records(path))
        if twice := [name for name, count in times.items() if count > 1]:
            found[path.relative_to(place).as_posix()] = twice
    return found


def files(folder: Path) -> list[str]:
    """Every file below a folder, relative to it."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def sha256(path: Path) -> str:
    """Of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


# Runs: `eval` and `judge`.


def run_folder(place: Path) -> Path:
    """The only run of the place."""
    (found,) = (place / "runs" / "shapes").iterdir()
    return found


def _run_outcome(place: Path) -> dict[str, Any]:
    folder = run_folder(place)
    summary = json.loads((folder / "summary.json").read_bytes())
    summary = {key: value for key, value in summary.items() if key not in VOLATILE}
    if "judge" in summary:
        # Of the calls that this process made and of the server's clock.
        summary["judge"].pop("seconds_p50", None)
    return {
        "summary": summary,
        "spec": json.loads((folder / "spec.json").read_bytes()),
        "state": json.loads((folder / "status.json").read_bytes())["state"],
        "files": files(folder),
        "records": {
            path.name: sorted(
                json.dumps([record.get(key) for key in IDENTITY[path.name]])
                for record in read_records(path)
            )
            for path in folder.glob("*.jsonl")
            if path.name in IDENTITY
        },
    }


EVAL = Command(
    name="eval",
    # One image at a time: in another batch an image differs by float noise, which is allowed and
    # would be in the summary (docs/run-directory.md, "Items and seeds").
    arguments=(
        *("eval", "--model", "ppd", "--limit", "1", "--batch-size", "1", "--device", "cpu"),
        *("--benchmark", "rewards", "--benchmark", "tradeoff", "--benchmark", "personal"),
    ),
    prepare=make_place,
    working=tells("generate", "summarise", "report"),
    outcome=_run_outcome,
)

JUDGE = Command(
    name="judge",
    arguments=("judge", "--model", "ppd", "--limit", "2", "--device", "cpu"),
    prepare=make_place,
    working=tells("judge", "summarise", "report"),
    outcome=_run_outcome,
)


def judge_by_server(base_url: str, *, at_once: int = 4, limit: int = 3) -> Command:
    """`judge` by a paid model behind a server, which counts what it is asked."""
    return Command(
        name="judge by a server",
        arguments=(
            *("judge", "--model", "ppd", "--limit", str(limit), "--device", "cpu"),
            *("--judge", "openai:tiny", "--base-url", base_url, "--price", "2,8"),
            *("--concurrency", str(at_once)),
        ),
        prepare=make_place,
        working=tells("judge", "summarise", "report"),
        outcome=_run_outcome,
        env={"OPENAI_API_KEY": "none"},
    )


# `score`: pictures of the suite's own pairs.

PICTURES = 1500


def _write_pictures(place: Path) -> None:
    import numpy as np
    from PIL import Image

    make_place(place)
    folder = place / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = []
    for number in range(PICTURES):
        pixels = rng.integers(0, 256, (8, 8, 3), np.uint8)
        picture = Image.fromarray(pixels).resize((64, 64))
        picture.save(folder / f"{number:04d}.png")
        caption = f"a small red circle on a {('teal', 'grey')[number % 2]} background"
        lines.append(json.dumps({"file_name": f"{number:04d}.png", "caption": caption}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def _scores_are_kept(place: Path) -> bool:
    """It tells of its progress before it imports: so, whether it wrote to the store."""
    started = max((place / "said").glob("*.out")).stat().st_mtime_ns  # nothing is in it yet
    kept = (place / "cache").glob("rewards.sqlite*")
    return any(path.stat().st_mtime_ns > started for path in kept)


def _score_outcome(place: Path) -> dict[str, Any]:
    table = json.loads(said(place)[0])
    with sqlite3.connect(place / "cache" / "rewards.sqlite") as store:
        (check,) = store.execute("PRAGMA integrity_check").fetchone()
    return {"table": table, "store": check, "files": files(place / "pictures")}


SCORE = Command(
    name="score",
    arguments=(
        *("score", "pictures", "--suite", "shapes", "--device", "cpu", "--batch-size", "8"),
        *("--reward", "clip", "--reward", "aesthetic", "--reward", "hps", "--json"),
    ),
    prepare=_write_pictures,
    working=_scores_are_kept,
    outcome=_score_outcome,
    renames=False,  # all that it keeps goes into one database
)


# `data prepare`: the suite's training pairs, three shards of them, encoded by the suite's own base.


def _write_source(place: Path) -> None:
    from ppdbench.plugins import make_suite

    pairs = make_suite("shapes").pairs("train")
    make_place(place)
    shutil.copy(pairs, place / "pairs.parquet")


def _prepare_outcome(place: Path) -> dict[str, Any]:
    folder = place / "prepared"
    told = json.loads(said(place)[0])
    return {
        "told": told,
        "files": files(folder),
        "tensors": {
            path.relative_to(folder).as_posix(): sha256(path)
            for path in sorted(folder.rglob("*.safetensors"))
        },
    }


PREPARE = Command(
    name="data prepare",
    arguments=(
        *("data", "prepare", "pairs.parquet", "--out", "prepared", "--device", "cpu", "--json"),
        *("--base", str(ROOT / "trainers" / "assets" / "shapes" / "base"), "--users", "onehot"),
    ),
    prepare=_write_source,
    working=tells("encode pairs", "encode captions", "embed users"),
    outcome=_prepare_outcome,
)


# `train-reference`: the suite's pairs, a few steps.


def _train_outcome(place: Path) -> dict[str, Any]:
    folder = place / "trained" / "shapes" / "ppd"
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest.pop("seconds")  # of all processes together: a killed one's work is done twice
    return {
        "manifest": manifest,
        "adapter": sha256(folder / "adapter.safetensors"),
        "metrics": [
            {key: value for key, value in row.items() if key != "seconds"}
            for row in read_records(folder / "metrics.jsonl")
        ],
        "files": files(place / "trained"),
    }


TRAIN = Command(
    name="train-reference",
    arguments=(
        *("train-reference", "--device", "cpu", "steps=40", "checkpoint_every=4", "log_every=4"),
        *("keep_every=20", "batch_size=6", "optimizer.warmup=2", "data.limit=240"),
        *("validation.every=20", "validation.captions=1", "validation.pairs=24"),
    ),
    prepare=make_place,
    working=tells("encode pairs", "encode captions", "score pairs", "train ppd"),
    outcome=_train_outcome,
)

COMMANDS: Sequence[Command] = (EVAL, JUDGE, SCORE, PREPARE, TRAIN)
"""All but the judge behind a server, which needs one (`judge_by_server`)."""
