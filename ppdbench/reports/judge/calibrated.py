"""A calibration as the page's section: how far a judge's answers are those of the users themselves.

Pure functions of summary.json; it stands on the page of `ppdbench calibrate`, and on that of a run
whose judge was calibrated. Elsewhere: the sentence above it (`headline`), the judge's bill
(`judge.bill`), the terminal's tables (`judge.table`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ppdbench.reports.curves import Plot, Series, plot
from ppdbench.reports.estimate import Estimate
from ppdbench.reports.figures import (
    EN_DASH,
    Cell,
    Shown,
    count,
    is_number,
    named,
    number,
    p_value,
    percent,
    points,
    rate,
    span,
    verdict,
)
from ppdbench.reports.judge.position_bias import bias_points, bias_says
from ppdbench.reports.plots import bar, position

OWN = "the user's own shots"
ARMS = {"own": OWN, "other_shots": "another user's shots", "zero_shots": "no shots"}
"""What the judge is shown."""


def calibrated(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Everything of the section; None without a calibration."""
    if not found:
        return None
    own: Cell = found.get("own") or {}
    return {
        "judge": str(found.get("judge") or "the judge"),
        "folder": str(found.get("folder") or ""),
        "shots": found.get("shots"),
        "n": sample(found),
        "personalised": found.get("personalised"),
        "reason": str(found.get("reason") or ""),
        "why": _why(found),
        "rows": [_row(found, name, label, cell) for name, label, cell in arms(found)],
        "ceiling": percent(found.get("ceiling")),
        "ceiling_line": position(found["ceiling"], (0.0, 1.0))
        if is_number(found.get("ceiling"))
        else None,
        "way": percent(found.get("way_to_ceiling")),
        "ceilings": _ceilings(found),
        "paper": percent(found.get("paper"), 0),
        "consistent": consistent(own),
        "coverage": figure(own, "coverage", rate),
        "margin": _margin(found),
        "identical": _identical(found.get("identical")),
        "repeats": _repeats(found.get("repeats")),
    }


def arms(found: Mapping[str, Any]) -> list[tuple[str, str, Cell]]:
    """(name, label, figures) of what was asked: own shots first, judges of scalars last."""
    listed = [(name, label, found[name]) for name, label in ARMS.items() if found.get(name)]
    scalars = found.get("scalars") or {}
    return listed + [(name, name, cell) for name, cell in scalars.items() if cell]


def difference(found: Mapping[str, Any], name: str) -> Cell | None:
    """Own shots minus another way of asking, on the same choices; None where it was not made."""
    return named((found.get("differences") or {}).get(name), "difference")


def figure(
    cell: Cell | None, key: str, form: Callable[[Cell | None, str], Shown], absent: str = ""
) -> Shown:
    """A figure that has an interval of its own, as `form` prints it.

    Args:
        cell: what holds it.
        key: its name; the interval is under the same name and "_ci_low".
        form: `rate` or `points`.
        absent: why there may be none, where the cell gives no reason.
    """
    own = named(cell, key)
    if own is not None and not own.get("reason"):
        own = {**own, "reason": absent if not is_number(own[key]) else ""}
    return form(own, key)


def sample(cell: Cell | None, what: str = "choices") -> str:
    """Users and choices, or what else is counted, that a figure rests on."""
    if cell is None or not is_number(cell.get("n")):
        return ""
    n, expected = cell["n"], cell.get("n_expected")
    of = f" of {count(expected)}" if is_number(expected) and expected != n else ""
    users = f"{count(cell['n_users'])} users, " if is_number(cell.get("n_users")) else ""
    failed = cell.get("n_failed")
    lost = f", {count(failed)} without an answer" if failed else ""
    return f"{users}{count(n)}{of} {what}{lost}"


def consistent(cell: Cell) -> Shown:
    """Agreement where both orders have the same answer."""
    absent = str(cell.get("consistent_reason") or "no answer was consistent")
    return figure(cell, "consistent", rate, absent)


def _ceilings(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What nobody exceeds in the long run, as far as it helps to read the one above."""
    known = found.get("ceilings") or {}
    shots = found.get("shots")
    texts = {
        f"choice_noisy_shots_{shots}": "what the user said, guessed from the shots",
        f"choice_shots_{shots}": "what the user truly likes better, guessed from the shots",
        "choice_noisy_known": "what the user said, by one who knows the taste exactly",
    }
    values = [(text, percent(known.get(name))) for name, text in texts.items()]
    return [(text, value) for text, value in values if value]


def _why(found: Mapping[str, Any]) -> str:
    """What tells that a judge is personalised, or that it is not."""
    cell = difference(found, "other_shots")
    if cell is None or not is_number(cell.get("difference")):
        return "own shots were not compared with another user's"
    shown = points(cell, "difference")
    p = p_value((found.get("differences") or {}).get("other_shots", {}).get("p_value"))
    return f"own shots minus another user's: {shown}{f', p {p}' if p else ''}"


def _row(found: Mapping[str, Any], name: str, label: str, cell: Cell) -> dict[str, Any]:
    """One way of asking."""
    own = {**(named(cell, "all_call") or {"all_call": None}), "reason": cell.get("reason")}
    against = difference(found, name)
    p = p_value(((found.get("differences") or {}).get(name) or {}).get("p_value"))
    return {
        "name": label,
        "own": name == "own",
        "estimate": Estimate(
            name=label,
            shown=rate(own, "all_call"),
            bar=bar(own, "all_call"),
            verdict=verdict(own, 0.5),
            note=sample(cell),
        ),
        "tie_half": figure(cell, "tie_half", rate),
        "consistent": consistent(cell),
        "coverage": figure(cell, "coverage", rate),
        "bias": bias_points(cell.get("first_pick_bias")),
        "bias_p": p_value(cell.get("first_pick_bias_p_value")),
        "difference": points(against, "difference") if against else None,
        "p": p,
        "n": count(cell.get("n")),
        "failed": count(cell.get("n_failed") or None),
    }


def _margin(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """Agreement by how far apart the two pictures are for the user."""
    bins = found.get("by_margin") or []
    if not bins:
        return None
    labels = [between(each) for each in bins]
    lines = (("own", OWN, "seen"), ("other_shots", ARMS["other_shots"], "control"))
    drawn: Plot | None = plot(
        [
            Series(
                name=label,
                kind=kind,
                values=[
                    (place, cell["rate"], *_ends(cell))
                    for place, each in enumerate(bins)
                    if is_number((cell := each.get(name) or {}).get("rate"))
                ],
            )
            for name, label, kind in lines
        ],
        [_short(each) for each in bins],
    )
    return {
        "of": str(found.get("margin_of") or "the margin"),
        "plot": drawn,
        "rows": [
            {
                "label": label,
                "n": count(each.get("n")),
                "cells": [_bin(each.get(name) or {}) for name, _, _ in lines],
            }
            for label, each in zip(labels, bins, strict=True)
        ],
        "columns": [label for _, label, _ in lines],
    }


def between(each: Cell) -> str:
    """A bin's ends."""
    low, high = each.get("low"), each.get("high")
    if is_number(low) and is_number(high):
        return span(low, high, 2)
    if is_number(low):
        return f"over {number(low, 2)}"
    return f"up to {number(high, 2)}" if is_number(high) else "any"


def _short(each: Cell) -> str:
    """A bin's ends in two digits each: an axis has little room."""
    low, high = each.get("low"), each.get("high")
    if not is_number(low) or not is_number(high):
        return between(each)
    return f"{low:.2g}{EN_DASH}{high:.2g}"


def _ends(cell: Cell) -> tuple[float | None, float | None]:
    low, high = cell.get("rate_ci_low"), cell.get("rate_ci_high")
    return (low, high) if is_number(low) and is_number(high) else (None, None)


def _bin(cell: Cell) -> Shown:
    """A bin's agreement; without an interval it needs no excuse."""
    if not is_number(cell.get("rate")):
        return Shown(value="", reason=str(cell.get("reason") or "no choices"))
    shown = figure(cell, "rate", rate)
    return Shown(value=shown.value, interval=shown.interval)


def _identical(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The same picture in both places: whatever is picked is picked by its place."""
    if not found or not found.get("n"):
        return None
    bias = found.get("bias")
    return {
        "n": count(found["n"]),
        "picks": [
            (label, count(found[name]))
            for name, label in (("first", "first"), ("second", "second"), ("abstain", "neither"))
            if is_number(found.get(name))
        ],
        "bias": bias_points(bias),
        "p": p_value(found.get("p_value")),
        "flagged": bool(found.get("flagged")),
        "says": bias_says(bias, found.get("flagged")),
    }


def _repeats(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The very same question asked again."""
    if not found or not found.get("n"):
        return None
    return {
        "n": count(found["n"]),
        "asked": found.get("asked"),
        "stable": figure(found, "stable", rate, "none was answered twice"),
    }
