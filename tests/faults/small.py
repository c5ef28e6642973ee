"""The commands of `drive.py` made smaller still: each fault costs several of them.

Also what each comes to when nothing disturbs it, made once for all tests.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import drive
from drive import Command, Done

from ppdbench.runs.records import read_records

EVAL = replace(
    drive.EVAL,
    arguments=(
        *("eval", "--model", "sft", "--benchmark", "rewards", "--limit", "3"),
        *("--batch-size", "1", "--device", "cpu"),
    ),
)
JUDGE = replace(
    drive.JUDGE,
    arguments=(
        *("judge", "--model", "ppd", "--limit", "1", "--batch-size", "1", "--device", "cpu"),
    ),
)
SCORE = replace(
    drive.SCORE,
    arguments=(
        *("score", "pictures", "--suite", "shapes", "--device", "cpu", "--batch-size", "8"),
        *("--reward", "clip", "--reward", "aesthetic", "--json"),
    ),
    prepare=lambda place: _few_pictures(place, 64),
)
PREPARE = replace(
    drive.PREPARE,
    arguments=(
        *("data", "prepare", "pairs.parquet", "--out", "prepared", "--device", "cpu", "--json"),
        *("--base", str(drive.ROOT / "trainers" / "assets" / "shapes" / "base")),
    ),
    prepare=lambda place: _few_pairs(place, 48),
)
TRAIN = replace(
    drive.TRAIN,
    arguments=(
        *("train-reference", "--device", "cpu", "--method", "sft", "steps=6"),
        *("checkpoint_every=2", "log_every=2", "batch_size=4", "optimizer.warmup=2"),
        *("data.limit=60", "validation.captions=1", "validation.pairs=12"),
    ),
    outcome=lambda place: _trained(place),
)

_OUTCOMES: dict[str, Any] = {}


def undisturbed(command: Command, folder: Path) -> Any:
    """What the command comes to; the first who asks has it made in a place below `folder`."""
    if command.name not in _OUTCOMES:
        place = folder / "undisturbed"
        command.prepare(place)
        command.finish(place)
        _OUTCOMES[command.name] = command.outcome(place)
    return _OUTCOMES[command.name]


def the_error(done: Done) -> tuple[str, str]:
    """Cause and fix: the last two lines of what a failed command said, and nothing like them."""
    assert "Traceback" not in done.err, done.err
    lines = done.err.splitlines()
    assert len(lines) >= 2 and lines[-2].startswith("error: "), done.err
    assert lines[-1].startswith("  fix: "), done.err
    assert sum(line.startswith("error: ") for line in lines) == 1, done.err
    return lines[-2], lines[-1]


def _few_pictures(place: Path, count: int) -> None:
    import json

    import numpy as np
    from PIL import Image

    drive.make_place(place)
    folder = place / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = []
    for number in range(count):
        pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")
        caption = f"a small red circle on a {('teal', 'grey')[number % 2]} background"
        lines.append(json.dumps({"file_name": f"{number:04d}.png", "caption": caption}))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")


def _few_pairs(place: Path, count: int) -> None:
    from itertools import islice

    from ppdbench.data.pickapic import write_pairs
    from ppdbench.suites.shapes.pairs import choices

    drive.make_place(place)
    write_pairs(place / "pairs.parquet", islice(choices("train", "train", 24), count))


def _trained(place: Path) -> dict[str, Any]:
    import json

    folder = place / "trained" / "shapes" / "sft"
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest.pop("seconds")
    return {
        "manifest": manifest,
        "adapter": drive.sha256(folder / "adapter.safetensors"),
        "metrics": [
            {key: value for key, value in row.items() if key != "seconds"}
            for row in read_records(folder / "metrics.jsonl")
        ],
        "files": drive.files(place / "trained"),
    }
