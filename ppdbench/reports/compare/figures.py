"""The drawings of a comparison as files: head-to-head rates, differences, the order of several.

Elsewhere: how figures become files (`files.figure`), the page's own drawings (`compare.sections`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ppdbench.reports.compare.interpolation import directed
from ppdbench.reports.compare.rows import (
    FIDELITY,
    KINDS,
    SHOTS,
    SPLITS,
    Summary,
    Unit,
    figures,
    in_unit,
    labels,
    runs_of,
    title_of,
)
from ppdbench.reports.compare.tradeoff import view_of
from ppdbench.reports.figures import Cell
from ppdbench.reports.files import draw_points
from ppdbench.reports.files.figure import Axis, Figure, Row

RATE = Axis(label="share of pairs that the first run wins", unit="%", low=0.0, high=1.0, line=0.5)
POINTS = Axis(label="first run minus second, points", unit="points", line=0.0)
DEVIATIONS = Axis(label="first run minus second, baseline's standard deviations", line=0.0)
CORRELATION = Axis(label="first run minus second, mean Spearman", line=0.0)
NATS = Axis(label="first run minus second, nats an image", line=0.0)
DIVERSITY = Axis(label="first run minus second, diversity", line=0.0)
NOTE = "95% intervals; p-values by Holm within all differences of a kind."


def comparison_figures(summary: Summary) -> list[Figure]:
    """The figures that a comparison has, in the order of the page."""
    found = [
        _figure("head-to-head", "Whose images score higher", RATE, _rewards(summary, "rate")),
        _figure("mean-scores", "How far mean scores differ", DEVIATIONS, _means(summary)),
        _figure(
            "over-baseline",
            "How far win rates over the baseline differ",
            POINTS,
            _rewards(summary, "points"),
        ),
        *_interpolation(summary),
        *_tradeoff(summary),
        _figure(
            "personal",
            "Whose picture its user truly likes better",
            RATE,
            _splits(summary, "head_to_head", "rate"),
        ),
        _figure("judge", "Whose pictures the judge picks", POINTS, _judge(summary)),
        _figure("users", "Which encoder tells users apart", POINTS, _users(summary)),
        _figure("fidelity", "Which run draws its captions", POINTS, _fidelity(summary)),
        _figure("ranking", "The runs in one order", _over_average(), _ranking(summary)),
    ]
    return [figure for figure in found if figure is not None]


def _figure(name: str, title: str, x: Axis, rows: Iterable[Row]) -> Figure | None:
    found = list(rows)
    if all(row["value"] is None for row in found):
        return None
    return Figure(name=name, title=title, kind=draw_points.draw, rows=found, x=x, note=NOTE)


def _over_average() -> Axis:
    return Axis(
        label="win rate over a run of average strength", unit="%", low=0.0, high=1.0, line=0.5
    )


def _rewards(summary: Summary, unit: Unit) -> list[Row]:
    view = "head_to_head" if unit == "rate" else "over_baseline"
    return [
        _row(summary, pair, title_of(summary, reward), cells[view], unit, series=series)
        for key, series in (("rewards", "reward"), ("rewards_gold", "gold reward"))
        for pair, own in figures(summary, key).items()
        for reward, cells in own.items()
    ]


def _means(summary: Summary) -> list[Row]:
    return [
        _row(summary, pair, title_of(summary, reward), cells["mean"], "deviations", series=series)
        for key, series in (("rewards", "reward"), ("rewards_gold", "gold reward"))
        for pair, own in figures(summary, key).items()
        for reward, cells in own.items()
    ]


def _interpolation(summary: Summary) -> list[Figure | None]:
    """The directed tests by each of their views."""
    looks: tuple[tuple[str, str, str, Axis, Unit], ...] = (
        ("spearman", "spearman", "How surely scores follow weights", CORRELATION, "correlation"),
        ("corners", "corner_win_rate", "How often all weight beats none", POINTS, "points"),
        ("gains", "endpoint_gain", "How far scores rise end to end", DEVIATIONS, "deviations"),
    )
    return [
        _figure(
            f"interpolation-{name}",
            title,
            axis,
            [
                _row(summary, pair, test, cells[view], unit, series=series)
                for pair, test, *both in directed(summary)
                for series, cells in zip(("reward", "gold reward"), both, strict=True)
                if cells
            ],
        )
        for name, view, title, axis, unit in looks
    ]


def _tradeoff(summary: Summary) -> list[Figure | None]:
    """Gains, both divergences, and diversity."""
    looks: tuple[tuple[str, str, Axis, Unit, dict[str, str]], ...] = (
        ("gains", "How far gains differ", DEVIATIONS, "gain",
         {"gain": "reward", "gold_gain": "gold reward"}),
        ("divergence", "How far divergence differs", NATS, "nats",
         {"divergence_before_last": "without the last step", "divergence": "all steps"}),
        ("diversity", "How far diversity differs", DIVERSITY, "diversity", {"diversity": ""}),
    )  # fmt: skip
    return [
        _figure(
            f"tradeoff-{name}",
            title,
            axis,
            [
                _row(summary, pair, what, cell, unit, series=series)
                for view, series in views.items()
                for pair, what, cell, _ in view_of(summary, view)
            ],
        )
        for name, title, axis, unit, views in looks
    ]


def _splits(summary: Summary, view: str, unit: Unit) -> list[Row]:
    return [
        _row(summary, pair, SPLITS[split], cells[view], unit)
        for pair, splits in figures(summary, "personal").items()
        for split, cells in splits.items()
    ]


def _judge(summary: Summary) -> list[Row]:
    return [
        _row(summary, pair, SPLITS[split], cell, "points", series=SHOTS[arm])
        for pair, splits in figures(summary, "judge").items()
        for split, arms in splits.items()
        for arm, cell in arms.items()
    ]


def _users(summary: Summary) -> list[Row]:
    return [
        _row(summary, pair, key, cell, "points", series=title)
        for pair, kinds in figures(summary, "users").items()
        for kind, title in KINDS.items()
        for key, cell in (kinds.get(kind) or {}).items()
        if key.startswith("top")
    ]


def _fidelity(summary: Summary) -> list[Row]:
    return [
        _row(summary, pair, fact, cell, "points", series=title)
        for key, title in FIDELITY.items()
        for pair, cells in figures(summary, key).items()
        for fact, cell in cells.items()
    ]


def _ranking(summary: Summary) -> list[Row]:
    known, name = labels(summary), "win_rate_over_average"
    return [
        {
            "panel": f"{_titled(summary, benchmark, what)}",
            "row": known[letter],
            "series": "",
            "run": letter,
            "value": own[name],
            "ci_low": own[f"{name}_ci_low"],
            "ci_high": own[f"{name}_ci_high"],
            "best_rank": own["best_rank"],
            "worst_rank": own["worst_rank"],
            "reason": order.get("reason"),
        }
        for benchmark, ranked in (summary.get("ranking") or {}).items()
        for what, order in ranked.items()
        for letter, own in order["runs"].items()
    ]


def _titled(summary: Summary, benchmark: str, what: str) -> str:
    if not benchmark.startswith("rewards"):
        return SPLITS[what]
    return title_of(summary, what) + (", gold" if benchmark == "rewards_gold" else "")


def _row(
    summary: Summary, pair: str, name: str, cell: Cell, unit: Unit, *, series: str = ""
) -> Row:
    seen: Mapping[str, Any] = in_unit(cell, unit)
    key = "win_rate" if unit == "rate" else "difference"
    return {
        "panel": runs_of(summary, pair, "over" if unit == "rate" else "minus"),
        "row": name,
        "series": series,
        "pair": pair,
        "value": seen.get(key),
        "ci_low": seen.get("ci_low"),
        "ci_high": seen.get("ci_high"),
        "minimum_detectable": seen.get("minimum_detectable"),
        "n": cell.get("n"),
        "n_expected": cell.get("n_expected"),
        "n_clusters": cell.get("n_clusters"),
        "p_value": cell.get("p_value"),
        "p_holm": cell.get("p_holm"),
        "verdict": cell.get("verdict"),
        "reason": cell.get("reason"),
    }
