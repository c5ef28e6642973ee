"""Money that may be spent: reserved before a call at its upper bound, settled after as charged.

At no moment is more spent and reserved than allowed, as far as the bounds hold; a server that
counts more tokens than its bound is believed, and from then on every bound is raised by the largest
ratio seen. All sums are exact fractions. Elsewhere: bounds of tokens (`token_bounds`), who asks
(`openai_judge`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ppdbench.judges.completion import Usage
from ppdbench.protocols import Estimate

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Reservation:
    """What was set aside for one attempt; settled once."""

    bound: Estimate
    amount: Fraction
    """US dollars."""


class Budget:
    """What was spent, what is set aside, and what may be.

    Args:
        price: US dollars a million tokens, read and written; None where calls cost nothing.
        allowance: US dollars; None is no limit.
    """

    def __init__(self, price: tuple[float, float] | None, allowance: float | None) -> None:
        self._price = tuple(_exact(each) for each in price) if price else (Fraction(0), Fraction(0))
        self.allowance = None if allowance is None else _exact(allowance)
        self.spent = Fraction(0)
        self.reserved = Fraction(0)
        self._open = 0
        self._ratio_in = Fraction(1)
        self._ratio_out = Fraction(1)

    @property
    def open(self) -> int:
        """Reservations that are not settled."""
        return self._open

    @property
    def left(self) -> Fraction | None:
        """US dollars that are neither spent nor set aside; None without a limit."""
        return None if self.allowance is None else self.allowance - self.spent - self.reserved

    def needed(self, bound: Estimate) -> Fraction:
        """US dollars that one attempt may cost, by what was seen of the server so far."""
        return self._dollars(
            bound.tokens_in * self._ratio_in, Fraction(bound.tokens_out) * self._ratio_out
        )

    def reserve(self, bound: Estimate) -> Reservation | None:
        """Set aside what one attempt may cost; None where that is more than is left."""
        amount = self.needed(bound)
        if self.left is not None and amount > self.left:
            return None
        self.reserved += amount
        self._open += 1
        return Reservation(bound, amount)

    def settle(self, reservation: Reservation, usage: Usage) -> Fraction:
        """Charge an attempt by what the server says; of what it does not say, the bound."""
        bound = reservation.bound
        read, written = usage.tokens_in, usage.tokens_out
        if read is None and written is None:
            return self._close(reservation, reservation.amount)
        if read is not None and bound.tokens_in:
            self._ratio_in = max(self._ratio_in, Fraction(read, bound.tokens_in))
        if written is not None and bound.tokens_out:
            self._ratio_out = max(self._ratio_out, Fraction(written, bound.tokens_out))
        told = self._dollars(
            Fraction(bound.tokens_in if read is None else read),
            Fraction(bound.tokens_out if written is None else written),
        )
        return self._close(reservation, told)

    def release(self, reservation: Reservation) -> Fraction:
        """Give back what was set aside for an attempt that was refused, or never sent."""
        return self._close(reservation, Fraction(0))

    def _close(self, reservation: Reservation, amount: Fraction) -> Fraction:
        self.reserved -= reservation.amount
        self.spent += amount
        self._open -= 1
        return amount

    def _dollars(self, tokens_in: Fraction, tokens_out: Fraction) -> Fraction:
        return (tokens_in * self._price[0] + tokens_out * self._price[1]) / MILLION


def dollars(price: tuple[float, float] | None, usage: Usage) -> float:
    """US dollars of tokens as told; what is not told, or has no price, is 0."""
    if price is None:
        return 0.0
    counts = (usage.tokens_in or 0, usage.tokens_out or 0)
    return float(sum(n * _exact(each) for n, each in zip(counts, price, strict=True)) / MILLION)


def _exact(amount: float) -> Fraction:
    """The decimal number that was written, not the binary one nearest to it."""
    return Fraction(repr(float(amount)))
