"""Money is set aside before a call and charged after it, to the last fraction of a cent."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from ppdbench.judges.budget import Budget, Reservation, dollars
from ppdbench.judges.completion import Usage
from ppdbench.protocols import Estimate

BOUND = Estimate(tokens_in=1000, tokens_out=100, cost=None)
PRICE = (2.5, 10.0)
ATTEMPT = Fraction(35, 10_000)  # (1000 x 2.5 + 100 x 10) / 10^6


def used(tokens_in: int | None, tokens_out: int | None) -> Usage:
    return Usage(tokens_in=tokens_in, tokens_out=tokens_out)


def test_calls_in_flight_hold_their_bounds_until_they_are_settled() -> None:
    budget = Budget(PRICE, 0.0105)  # three attempts, exactly
    held = [budget.reserve(BOUND) for _ in range(4)]
    assert [one is not None for one in held] == [True, True, True, False]
    assert budget.left == 0 and budget.open == 3
    assert held[0] and held[1] and held[2]
    assert budget.settle(held[0], used(100, 10)) == Fraction(35, 100_000)
    assert budget.reserve(BOUND) is None  # what came back is a tenth short of another
    assert budget.release(held[1]) == 0
    assert budget.reserve(BOUND) is not None
    assert budget.settle(held[2], Usage()) == ATTEMPT  # not told: it may have been all of it
    assert budget.spent == ATTEMPT + Fraction(35, 100_000)


def test_what_is_not_told_counts_at_its_bound() -> None:
    budget = Budget(PRICE, None)
    for usage, tokens in ((used(10, None), 10 * 2.5 + 1000), (used(None, 1), 2500 + 10)):
        held = budget.reserve(BOUND)
        assert held is not None
        assert float(budget.settle(held, usage)) == pytest.approx(tokens / 1e6)


def test_a_server_that_counts_more_raises_every_later_bound() -> None:
    budget = Budget(PRICE, 0.05)
    first = budget.reserve(BOUND)
    assert first is not None
    charged = budget.settle(first, used(4000, 50))
    assert charged == Fraction(105, 10_000) and charged > ATTEMPT  # as told, not as bounded
    assert budget.needed(BOUND) == Fraction(110, 10_000)  # four times the reading, same writing
    second = budget.reserve(BOUND)
    assert second is not None
    budget.settle(second, used(10, 10))  # a small one takes nothing back
    assert budget.needed(BOUND) == Fraction(110, 10_000)


def test_thousands_of_settlements_leave_no_rest() -> None:
    draw = random.Random(1)
    budget = Budget((0.1, 0.3), 1000.0)  # neither is a binary number
    told = 0
    for _ in range(5000):
        held = budget.reserve(BOUND)
        assert held is not None
        tokens_in, tokens_out = draw.randrange(1000), draw.randrange(100)
        told += tokens_in + 3 * tokens_out
        budget.settle(held, used(tokens_in, tokens_out))
    assert budget.spent == Fraction(told, 10_000_000)
    assert budget.reserved == 0 and budget.open == 0


@pytest.mark.parametrize("seed", range(20))
def test_no_order_of_calls_passes_the_allowance(seed: int) -> None:
    draw = random.Random(seed)
    budget = Budget(PRICE, 0.02)
    held: list[Reservation] = []
    for _ in range(300):
        if held and draw.random() < 0.5:
            one = held.pop(draw.randrange(len(held)))
            what = draw.choice([Usage(), used(1000, 100), used(draw.randrange(1001), 0), None])
            budget.release(one) if what is None else budget.settle(one, what)
        elif (new := budget.reserve(BOUND)) is not None:
            held.append(new)
        assert budget.spent + budget.reserved <= Fraction(2, 100)


def test_without_a_price_nothing_costs_anything() -> None:
    budget = Budget(None, 0.0)
    held = budget.reserve(BOUND)
    assert held is not None and budget.settle(held, used(10**8, 10**8)) == 0
    assert dollars(None, used(5, 5)) == 0


def test_tokens_as_told_are_money() -> None:
    assert dollars((0.1, 0.2), used(3, 1)) == 5e-7
    assert dollars(PRICE, Usage()) == 0
