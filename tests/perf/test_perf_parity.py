"""The parity check can fail: on a difference, on too few pictures, on an error that would pass."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PARITY = Path(__file__).parents[2] / "perf" / "parity"


@pytest.fixture
def rooms(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(str(PARITY))
    return {name: importlib.import_module(name) for name in ("compare", "pictures", "side")}


def columns(
    rooms: dict[str, ModuleType], n: int = 70, shift: float = 0.0, unread: int = 0
) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    """n pictures, an original's answers and ours, which differ by `shift` in cosine on one."""
    picture, answer = rooms["pictures"].Picture, rooms["side"].Answer
    pictures = [
        picture(file_name=f"{k}.png", caption="a", kind="rgb-png", width=900, height=600, sha256="")
        for k in range(n)
    ]
    original = {p.file_name: answer(score=0.01 * k) for k, p in enumerate(pictures)}
    ours = {p.file_name: answer(score=1.0 * k) for k, p in enumerate(pictures)}
    ours["3.png"] = answer(score=3 + 100 * shift)
    for k in range(unread):
        original[f"{k + 10}.png"] = answer(error="cannot read it")
    return pictures, original, ours


def verdict(rooms: dict[str, ModuleType], **given: Any) -> Any:
    return rooms["compare"].compare(*columns(rooms, **given), unit=1.0, our_unit=100.0)


def test_equal_scores_pass_and_what_the_original_cannot_read_is_listed(
    rooms: dict[str, ModuleType],
) -> None:
    found = verdict(rooms, shift=0.9e-5, unread=6)
    assert found.misses == []
    assert found.record["n_compared"] == 64
    assert len(found.record["unread_by_original"]) == 6
    assert found.record["unread_by_original"][0]["ours"] == 10.0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"shift": 1.1e-5}, "differs by 1.1e-05"),
        ({"shift": -0.3}, "differs by 0.3"),
        ({"shift": float("nan")}, "differs by nan"),
        ({"unread": 7}, "63 pictures compared"),
    ],
)
def test_each_bar_can_be_missed(
    given: dict[str, Any], said: str, rooms: dict[str, ModuleType]
) -> None:
    assert said in " ".join(verdict(rooms, **given).misses)


def test_ours_may_fail_at_no_picture(rooms: dict[str, ModuleType]) -> None:
    pictures, original, ours = columns(rooms)
    ours["5.png"] = rooms["side"].Answer(error="broken")
    found = rooms["compare"].compare(pictures, original, ours, unit=1.0, our_unit=100.0)
    assert found.misses == ["ours failed at 1 pictures"]


@pytest.mark.parametrize(("shift", "caught"), [(1.1e-4, True), (0.9e-4, False), (0.0, False)])
def test_an_error_that_hardly_shows_is_a_miss(
    shift: float, caught: bool, rooms: dict[str, ModuleType]
) -> None:
    compare, answer = rooms["compare"], rooms["side"].Answer
    pictures, right, _ = columns(rooms)
    wrong = {name: answer(score=found.score + shift) for name, found in right.items()}
    found = verdict(rooms)
    affected = compare.affected_by_errors(pictures)
    assert len(affected) == 8
    compare.add_error(found, "wrong", compare.moved(affected, right, wrong, unit=1.0))
    assert (found.misses == []) == caught
    nothing = verdict(rooms)
    compare.add_error(nothing, "wrong", compare.moved([], right, wrong, unit=1.0))
    assert nothing.misses  # an error that was tried on no picture is not caught
