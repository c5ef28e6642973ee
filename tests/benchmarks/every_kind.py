"""A finished folder of every kind that has a summary.json; for the tests of `benchmarks/`.

Runs of `eval`, `judge` and `calibrate`, comparisons, and some that withhold their figures. They are
as small as their figures can be; that they are right is tested elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_world
import numpy as np
import people_world
import pytest
from judged_town import calibrated, judge, use_judges
from recording import record_entry
from town_runs import run as run_town
from toy_runs import run as run_toy

from ppdbench.benchmarks.compare.run import compare
from ppdbench.benchmarks.guard import TooManyFailures
from ppdbench.data.plain_yaml import parse_yaml, write_yaml
from ppdbench.errors import BudgetReached
from ppdbench.protocols import (
    Caption,
    EncoderInfo,
    EvaluatedUser,
    GenerationRequest,
    LoadContext,
    UserCode,
    UserContext,
)

RUNS = ("eval", "people", "encoders", "judge", "calibration")
COMPARISONS = ("comparison", "people compared", "judges compared", "encoders compared")
WITHHELD = ("eval withheld", "people withheld", "judge withheld", "calibration withheld")
BY_REWARDS = ("rewards", "interpolation", "tradeoff")
FEW = 17
"""Users a split: one group, and one more."""


def every_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Path]:
    """Kind -> folder, of `RUNS`, `COMPARISONS` and `WITHHELD`."""
    use_judges(monkeypatch, tmp_path)
    known = {**people_world.OWN["encoders"], "blurred": f"{__name__}:blurred_encoder"}
    monkeypatch.setitem(people_world.OWN, "encoders", known)
    _give_categories_and_choices(monkeypatch)
    monkeypatch.setattr(fake_world, "embeds", True)
    toys = _toy(monkeypatch, tmp_path)
    people = run_town(tmp_path, "embedder", benchmarks=["users", "personal"], full=True, limit=FEW)
    brighter = run_town(tmp_path, "brighter", limit=4)
    oracle = run_town(tmp_path, "oracle", limit=4)
    alone: dict[str, Any] = {"models": [], "benchmarks": ["users"], "limit": None}
    encoders = run_town(tmp_path, **alone, encoders=["pairs", "ids"], full=True)
    calibration = calibrated(tmp_path, choices=3)  # before the judged run, which shows it
    judged = judge(tmp_path, limit=3)
    blurred = run_town(tmp_path, **alone, encoders=["blurred"])
    found = {
        "eval": toys[0],
        "people": people,
        "encoders": encoders,
        "judge": judged,
        "calibration": calibration,
        "comparison": _compare(tmp_path, "three", *toys),
        "people compared": _compare(tmp_path, "people", oracle, brighter),
        "judges compared": _compare(
            tmp_path, "judges", judged, judge(tmp_path, model="bright-for-all", limit=3)
        ),
        "encoders compared": _compare(tmp_path, "encoders", encoders, blurred),
    }
    assert tuple(found) == RUNS + COMPARISONS
    return found | _withheld(monkeypatch, tmp_path)


def _toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Two runs with every benchmark that is not about people, and one of rewards alone.

    The first run's model was trained twice, and other checkpoints of it are drawn.
    """
    training = {"training": {"seed": 0, "steps": 9}}
    monkeypatch.setattr(fake_world, "settings", training)
    first = run_toy(tmp_path, "diverging", "other")
    entries = tmp_path / "leaderboards" / "toy"
    entry = record_entry(first, "diverging", entries) / "entry.yaml"
    told = parse_yaml(entry.read_bytes())
    told["name"] = "diverging-seed-4"
    told["generator"]["settings"]["training"]["seed"] = 4
    entry.write_text(write_yaml(told))
    return [
        run_toy(tmp_path, "diverging", "at:10", "at:20", "only-red", benchmarks=BY_REWARDS),
        run_toy(tmp_path, "at:20", benchmarks=BY_REWARDS),
        run_toy(tmp_path, "other"),
    ]


def _compare(tmp_path: Path, out: str, *runs: Path) -> Path:
    return compare(runs, out=tmp_path / out, events=fake_world.Quiet())


def _withheld(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Path]:
    def broken(requests: Sequence[GenerationRequest]) -> None:
        if any("7" in request.id for request in requests):
            raise RuntimeError("out of paint")

    def refused(error: type[Any], make: Callable[..., Path], *words: str, **options: Any) -> Path:
        with pytest.raises(error) as caught:
            make(tmp_path / "withheld", *words, **options)
        assert isinstance(caught.value.run, Path)
        return caught.value.run

    with monkeypatch.context() as patch:
        patch.setattr(fake_world, "generate_error", broken)
        found = {
            "eval withheld": refused(TooManyFailures, run_toy, "diverging", benchmarks=BY_REWARDS),
            "people withheld": refused(TooManyFailures, run_town, "oracle", full=True),
        }
    paid: dict[str, Any] = {"judge": "paid", "max_cost": 2.0, "limit": 3}
    return found | {
        "judge withheld": refused(BudgetReached, judge, **paid),
        "calibration withheld": refused(BudgetReached, calibrated, **paid),
    }


class BlurredEncoder(people_world.PairEncoder):
    """Knows no channel but the first."""

    info = EncoderInfo(name="blurred", revision="1", dim=3, uses="shots")

    def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
        first = np.array([1, 0, 0], dtype=np.float32)
        return [
            code and replace(code, embedding=code.embedding * first)
            for code in super().encode(users)
        ]


def blurred_encoder(_: LoadContext) -> BlurredEncoder:
    return BlurredEncoder()


def _give_categories_and_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    captions, users = fake_world.ToySuite.captions, people_world.ToyPeople.users

    def categorised(self: fake_world.ToySuite, split: str) -> list[Caption]:
        found = captions(self, split)
        return [replace(each, category=("a", "b")[n % 2]) for n, each in enumerate(found)]

    def choosing(self: people_world.ToyPeople, split: str) -> list[EvaluatedUser]:
        return [
            user if user.choices else replace(user, choices=user.shots[1])
            for user in users(self, split)
        ]

    monkeypatch.setattr(fake_world.ToySuite, "captions", categorised)
    monkeypatch.setattr(people_world.ToyPeople, "users", choosing)
