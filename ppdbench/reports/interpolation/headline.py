"""What an interpolation says in one sentence: in how many directed tests a score rises.

"Rises" is said only where Holm's p of Page's L is below 0.05 and the interval of the median
Spearman lies above 0. A trend can be significant and still not be monotone, so the sentence names
the weakest test with its mean and the steps that fall. Elsewhere: other headlines (`headline`),
the section (`interpolation.section`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ppdbench.reports.figures import Cell, Shown, Verdict, is_number, named, percent, rate, signed
from ppdbench.reports.headline import LEVEL, Headline, reward_title
from ppdbench.reports.quoted import joined, sample

Summary = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Directed:
    """One directed test of a summary."""

    edge: str
    reward: str
    """Whose weight grows, by its name."""
    other: str
    """Whose weight falls."""
    cell: Cell


def directed(summary: Summary, key: str = "interpolation") -> list[Directed]:
    """The directed tests of a summary, edge by edge.

    Args:
        summary: the run's.
        key: of the rewards, or "interpolation_gold".
    """
    edges = (summary["benchmarks"].get("interpolation_about") or {}).get("edges") or {}
    return [
        Directed(
            edge=edge,
            reward=reward,
            other=next((name for name in edges.get(edge, ()) if name != reward), ""),
            cell=cell,
        )
        for edge, cells in (summary["benchmarks"].get(key) or {}).items()
        for reward, cell in cells.items()
    ]


def trend(cell: Cell | None) -> Verdict:
    """Whether a score is shown to rise with its weight (above), to fall, or neither (open)."""
    found = cell or {}
    low, high, p = (found.get(key) for key in ("ci_low", "ci_high", "p_holm"))
    if not is_number(low) or not is_number(high) or not is_number(found.get("median_spearman")):
        return "undefined"
    if low > 0 and is_number(p) and p < LEVEL:
        return "above"
    return "below" if high < 0 else "open"


def interpolation_headline(summary: Summary) -> Headline | None:
    """The sentence of a run's interpolation; None where it has none."""
    if not summary["benchmarks"].get("interpolation_about"):
        return None
    tests = directed(summary)
    model = summary["model"]
    known = [test for test in tests if trend(test.cell) != "undefined"]
    if not known:
        reasons = [str(test.cell["reason"]) for test in tests if test.cell.get("reason")]
        reason = reasons[0] if reasons else "one reward alone has no other to change weight with"
        return Headline(
            text=f"No headline for {model} and its weights", withheld=True, reason=reason
        )
    risen = sum(trend(test.cell) == "above" for test in known)
    weakest = min(known, key=_strength)
    return Headline(
        text=f"Raising a reward's weight raises its score in {risen} of {len(tests)} directed "
        f"tests of {model}",
        withheld=False,
        figures=_figures(summary, weakest, len(known)),
    )


def _strength(test: Directed) -> tuple[float, float]:
    """Medians meet at 1, so the mean tells tests apart; ties go to the corners."""
    keys = ("mean_spearman", "corner_win_rate")
    first, second = (float(v) if is_number(v := test.cell.get(key)) else 0.0 for key in keys)
    return first, second


def _figures(summary: Summary, test: Directed, of: int) -> str:
    """The figures of the weakest test, its control beside."""
    cell = test.cell
    pair = f"{reward_title(summary, test.reward)} against {reward_title(summary, test.other)}"
    mean = signed(named(cell, "mean_spearman"), "mean_spearman")
    said = [
        f"Spearman's correlation of score and weight is "
        f"{quoted(signed(cell, 'median_spearman'), first=True)} for the median caption"
        + (f" and {quoted(mean)} on average" if mean.value else "")
    ]
    corner = rate(named(cell, "corner_win_rate"), "corner_win_rate")
    if corner.value:
        said.append(f"all weight on it beats none in {quoted(corner)} of pairs")
    if is_number(cell.get("violations")):
        said.append(f"{percent(cell['violations'])} of steps fall")
    permuted = signed(control(summary, "permuted", test), "median_spearman")
    if permuted.value:
        said.append(f"with permuted weights the median is {quoted(permuted)}")
    rests = sample(cell, "captions")
    where = f"in the weakest, {pair}, " if of > 1 else ""
    return f"{where}{joined(said)}" + (f"; {rests}" if rests else "")


def control(summary: Summary, name: str, test: Directed) -> Cell | None:
    """A control's figures of a directed test; None where it was not made."""
    controls = summary["benchmarks"].get("interpolation_controls") or {}
    found: Cell | None = ((controls.get(name) or {}).get(test.edge) or {}).get(test.reward)
    return found


def quoted(shown: Shown, *, first: bool = False) -> str:
    """A figure within a sentence: "68.8% (60.9-76.0)"; the first one names its interval."""
    if not shown.value:
        return shown.gap
    beside = f"95% interval {shown.interval}" if first else shown.interval
    return f"{shown.value} ({beside})" if shown.interval else f"{shown.value} (no interval)"
