"""Are our scores the originals'? Both score the same pictures with the same full-size weights.

    python perf/parity/run.py [--work DIR] [--only hpsv2 ...] [--images N] [--out FILE]

Builds the originals' environment and random ViT-H/14 and ViT-L/14 checkpoints under --work (25 GB;
about an hour and 10 GB of memory on two cores), runs each side, and writes
results/reward_parity.json. Run it again after a kill: what was answered is kept. Exits 1 where a
score differs by more than 1e-5 in cosine, fewer than 64 pictures were compared, or a deliberate
error in the original's recipe would have passed unseen. A part (--only, --images) is printed but
only recorded where --out says.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import deliberate_errors as errors
import environment
from answers import HERE, Sides
from compare import TOLERANCE, Answers, Verdict, add_error, affected_by_errors, compare, moved
from pictures import Picture, draw_pictures
from weights import HEAD_NORM

from ppdbench.runs.environment import environment as our_environment

RESULTS = HERE.parent / "results" / "reward_parity.json"
WITH_ALPHA = ("palette-transparent", "rgba", "grey-alpha", "rgb-colour-key")
"""Kinds whose transparency transformers 5 lays on white; before it was dropped, and ours drops."""
ORDER_MATTERS = (
    *("palette", "palette-transparent", "rgba", "grey-alpha"),
    *("one-bit", "sixteen-bit", "cmyk-jpeg"),
)
"""Kinds that are other pixels when converted to RGB after resizing; ours converts before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One reward of ours against one recipe of an original."""

    name: str
    group: str
    original: str
    """Its script."""
    variant: str
    ours: str
    """The reward's folder."""
    unit: float
    """What a cosine of 1 is worth in the original's score."""
    our_unit: float
    errors: Mapping[str, str] = field(default_factory=dict)
    """Deliberate error -> the original's variant that makes it."""
    given_rgb: tuple[str, ...] = ()
    """Kinds that the original makes other RGB pixels of than ours, by design: ours is compared
    with the original given RGB, and how far that is from the original left alone is recorded."""
    others: tuple[str, ...] = ()
    """Variants that are no errors, and whose distance is recorded."""


def _same(names: Sequence[str]) -> dict[str, str]:
    return {name: name for name in names}


CHECKS = (
    Check(
        name="hpsv2, antialias on",
        group="hpsv2",
        original="original_hpsv2.py",
        variant="antialias-on",
        ours="hps",
        unit=1.0,
        our_unit=100.0,
        errors={"wrong-antialias": "antialias-off", **_same(errors.LONGEST_SIDE_ERRORS)},
    ),
    Check(
        name="hpsv2, antialias off",
        group="hpsv2",
        original="original_hpsv2.py",
        variant="antialias-off",
        ours="hps-no-antialias",
        unit=1.0,
        our_unit=100.0,
        errors={"wrong-antialias": "antialias-on"},
    ),
    Check(
        name="aesthetic",
        group="aesthetic",
        original="original_aesthetic.py",
        variant="as-is",
        ours="aesthetic",
        unit=HEAD_NORM,
        our_unit=HEAD_NORM,
        errors=_same(errors.SHORTEST_SIDE_ERRORS),
        given_rgb=ORDER_MATTERS,
    ),
    Check(
        name="open_clip",
        group="open_clip",
        original="original_open_clip.py",
        variant="as-is",
        ours="clip-h",
        unit=100.0,
        our_unit=100.0,
        errors=_same(errors.SHORTEST_SIDE_ERRORS),
        given_rgb=ORDER_MATTERS,
    ),
    Check(
        name="pickscore",
        group="pickscore",
        original="original_pickscore.py",
        variant="pil",
        ours="pickscore",
        unit=100.0,
        our_unit=100.0,
        errors=_same(errors.SHORTEST_SIDE_ERRORS),
        given_rgb=WITH_ALPHA,
        others=("torchvision",),
    ),
)


def run_check(check: Check, sides: Sides, pictures: Sequence[Picture]) -> Verdict:
    """Ask both sides, compare, and see that the errors show."""
    original: Answers = sides.original(check.original, check.variant, pictures)
    right = dict(original)
    deviations: dict[str, Any] = {}
    if converted := [picture for picture in pictures if picture.kind in check.given_rgb]:
        right |= sides.original(check.original, "rgb-first", converted)
    for kind in dict.fromkeys(picture.kind for picture in converted):
        own = [picture for picture in converted if picture.kind == kind]
        deviations[kind] = moved(own, right, original, unit=check.unit)
    ours = sides.ours(check.ours, pictures)
    verdict = compare(pictures, right, ours, unit=check.unit, our_unit=check.our_unit)
    if deviations:
        verdict.record["original_left_alone_is_apart_by"] = deviations
    for variant in check.others:
        found = sides.original(check.original, variant, pictures)
        shift = moved(pictures, original, found, unit=check.unit)
        verdict.record.setdefault("other_variants_of_the_original", {})[variant] = shift
    affected = affected_by_errors(pictures)
    for error, variant in check.errors.items():
        wrong = sides.original(check.original, variant, affected)
        add_error(verdict, error, moved(affected, right, wrong, unit=check.unit))
    return verdict


def prepare(work: Path, images: int | None) -> tuple[Sides, list[Picture]]:
    """Environment, checkpoints and pictures, made where they are missing."""
    work.mkdir(parents=True, exist_ok=True)
    oracle = environment.build(work)
    command: list[str | Path] = [oracle.python, HERE / "checkpoints.py", "--work", work]
    subprocess.run(command, check=True, env=oracle.variables())
    pictures = draw_pictures(work / "pictures")
    about = our_environment()
    ours = {"python": about["python"], **about["libraries"]}
    return Sides(work, oracle, environment.versions(oracle), ours), pictures[:images]


def main() -> int:
    """Parse, run, record, judge."""
    groups = tuple(dict.fromkeys(check.group for check in CHECKS))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=default_work())
    parser.add_argument("--only", nargs="+", choices=groups, default=groups)
    parser.add_argument("--images", type=int, help="the first N of 80")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    whole = given.images is None and set(given.only) == set(groups)
    out: Path | None = given.out or (RESULTS if whole else None)

    sides, pictures = prepare(given.work.resolve(), given.images)
    verdicts = {
        check.name: run_check(check, sides, pictures)
        for check in CHECKS
        if check.group in given.only
    }
    asked = ["--only", *given.only] if set(given.only) != set(groups) else []
    asked += ["--images", str(given.images)] if given.images is not None else []
    record = record_of(verdicts, sides, asked)
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    if out is None:
        print(text)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    for name, verdict in verdicts.items():
        worst = verdict.record["max_difference_cosine"]
        n = verdict.record["n_compared"]
        print(f"{name}: at most {worst:.2g} in cosine over {n} pictures", file=sys.stderr)
        for miss in verdict.misses:
            print(f"  MISSED: {miss}", file=sys.stderr)
    return 1 if any(verdict.misses for verdict in verdicts.values()) else 0


def record_of(
    verdicts: Mapping[str, Verdict], sides: Sides, asked: Sequence[str]
) -> dict[str, Any]:
    """What a number must carry, and the numbers; no path of this machine."""
    return {
        **header(" ".join(["python perf/parity/run.py", *asked]), sides.oracle_versions),
        "tolerance_cosine": TOLERANCE,
        "passed": not any(verdict.misses for verdict in verdicts.values()),
        "checks": {
            name: {**verdict.record, "misses": verdict.misses, "passed": not verdict.misses}
            for name, verdict in verdicts.items()
        },
    }


def header(command: str, originals: Mapping[str, str]) -> dict[str, Any]:
    """What a result carries before its numbers."""
    about = our_environment()
    return {
        "schema_version": 1,
        "command": command,
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "architecture": platform.machine(),
            "cores": os.cpu_count(),
            "device": "cpu",
        },
        "versions": {
            "ours": {
                "ppdbench": about["ppdbench"],
                "python": about["python"],
                **about["libraries"],
            },
            "originals": dict(originals),
        },
    }


def default_work() -> Path:
    """`ppdbench-parity` under `$PPDBENCH_CACHE`, else in the user's cache."""
    base = os.environ.get("PPDBENCH_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return Path(base or Path.home() / ".cache") / "ppdbench-parity"


if __name__ == "__main__":
    sys.exit(main())
