"""A gain as a share of another gain: of nothing, and of a loss, there is no share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ppdbench.benchmarks.rewards.gains import gains, gold_gains
from ppdbench.benchmarks.rows import Row
from ppdbench.runs.results import Result

CAPTIONS = 30


def row(name: str, own: float, gold: float = 0.0) -> Row:
    """Scores of the baseline, the same noise for all, moved by so much; and a little of its own."""
    base = np.random.default_rng(0).normal(size=CAPTIONS)
    jitter = np.random.default_rng(sum(name.encode())).normal(0, 0.1, (2, CAPTIONS))
    return Row(
        name=name,
        version="1",
        revision="1",
        licence="MIT",
        settings={},
        source="fresh",
        results=tuple(
            Result(
                item=f"{name}/-/{n:02}/0",
                generator=name,
                caption_id=f"{n:02}",
                user=None,
                sample=0,
                seed=n,
                image="i",
                scores={
                    "r": base[n] + own + (jitter[0, n] if own else 0),
                    "r-gold": 10 * (base[n] + gold + (jitter[1, n] if gold else 0)),
                },
                facts=None,
            )
            for n in range(CAPTIONS)
        ),
        n_ok=CAPTIONS,
        n_expected=CAPTIONS,
    )


def share(model: Row, bound: Row | None) -> Any:
    return gains(model, row("base", 0), {"r": bound}, ["r"])["r"]


def kept(model: Row) -> Any:
    return gold_gains(model, row("base", 0), {"r": "r-gold"})["r"]


def test_a_gain_is_a_share_of_the_upper_bounds() -> None:
    found = share(row("model", 0.6), row("bound", 1.0))
    assert found["ratio"] == pytest.approx(0.6, abs=0.05)
    assert found["ci_low"] < found["ratio"] < found["ci_high"]
    assert (found["n"], found["upper_bound"]) == (CAPTIONS, "bound")


def test_two_losses_make_no_share_of_a_gain() -> None:
    found = share(row("model", -1.0), row("bound", -1.0))
    assert (found["ratio"], found["ci_low"], found["ci_high"]) == (None, None, None)
    assert found["gain"] < 0 and found["upper_bound_gain"] < 0
    assert "the upper bound scores lower" in found["reason"]


def test_what_cannot_be_told_from_no_gain_has_no_share() -> None:
    found = share(row("model", 0.6), row("bound", 1e-6))
    assert found["ratio"] is None and "cannot be told from 0" in found["reason"]
    assert "no results of an upper bound" in share(row("model", 0.6), None)["reason"]


def test_gold_gains_are_in_units_of_their_own_scorer() -> None:
    found = kept(row("model", 1.0, gold=0.8))
    assert found["kept"] == pytest.approx(0.8, abs=0.05)
    assert found["gold_gain"] == pytest.approx(0.8 * found["gain"], rel=0.06)


def test_a_loss_that_gold_sees_too_is_not_a_kept_gain() -> None:
    found = kept(row("model", -1.0, gold=-0.8))
    assert (found["kept"], found["ci_low"], found["ci_high"]) == (None, None, None)
    assert "model scores lower than the baseline" in found["reason"]
