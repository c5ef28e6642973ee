"""The figures of a headline's sentence: rates, intervals and what they rest on, as one clause.

A claim without its figures cannot be quoted, so each headline carries them. Elsewhere: the claims
(`headline`), how figures are written (`figures`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ppdbench.reports.figures import Cell, Shown, count, is_number


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """One figure of a sentence."""

    shown: Shown
    of: str
    """What it is of: "by CLIP", "for seen users"."""
    sample: str = ""
    """What it rests on: "n = 260"."""


def clause(figures: Sequence[Quoted], *, each: bool = False) -> str:
    """The figures as they follow a claim and a colon; empty where none of them is known.

    The first names its interval, the others follow it; a sample that all share stands at the end.

    Args:
        figures: in their order.
        each: whether no two rest on the same people, so that samples of one size add up.
    """
    known = [one for one in figures if one.shown.value]
    samples = {one.sample for one in known}
    shared = samples.pop() if len(samples) == 1 and len(known) > 1 else ""
    said = [
        _one(one, first=number == 0, sample="" if shared else one.sample)
        for number, one in enumerate(known)
    ]
    ending = " each" if each else ""
    return joined(said) + (f", {shared}{ending}" if said and shared else "")


def _one(quoted: Quoted, *, first: bool, sample: str) -> str:
    interval = quoted.shown.interval
    if interval and first:
        interval = f"95% interval {interval}"
    beside = ", ".join(part for part in (interval or "no interval", sample) if part)
    return " ".join(part for part in (quoted.shown.value, quoted.of, f"({beside})") if part)


def sample(cell: Cell | None, what: str) -> str:
    """What a cell rests on: "n = 260 pairs", "n = 60 users", "n = 60 users, 120 pairs"."""
    cell = cell or {}
    n, expected, users = (cell.get(key) for key in ("n", "n_expected", "n_users"))
    if not is_number(n):
        return ""
    of = f" of {count(expected)}" if is_number(expected) and expected != n else ""
    if not is_number(users):
        return f"n = {count(n)}{of} {what}"
    if users == n and not of:
        return f"n = {count(users)} users"
    return f"n = {count(users)} users, {count(n)}{of} {what}"


def joined(parts: Sequence[str]) -> str:
    """Parts as a sentence lists them: "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
