"""A judge's pull to one place in words: how often the first picture is picked beyond the second.

The net bias is (picked first both times - picked second both times) / comparisons. Elsewhere: the
2 x 2 that it comes from (`judge.section`), the same picture in both places (`judge.calibrated`).
"""

from __future__ import annotations

from typing import Any

from ppdbench.reports.figures import is_number, number


def bias_points(value: Any) -> str:
    """The net bias in points, with its sign; empty if it is none."""
    return f"{number(100 * value, 1, plus=True)} points" if is_number(value) else ""


def bias_says(value: Any, flagged: Any) -> str:
    """Whether the place of a picture decides."""
    if not is_number(value):
        return "position bias is not measured"
    if not flagged:
        return "no position bias is shown"
    return f"position bias found: the {'first' if value > 0 else 'second'} picture is favoured"
