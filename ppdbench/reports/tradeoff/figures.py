"""The figures of benchmark `tradeoff` as files: gains by divergence, and matched.

Elsewhere: the page's own drawings of the same (`tradeoff.divergence_plot`), the files
(`files.figure`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.reports.figures import is_number, named
from ppdbench.reports.files import draw_points, draw_roots
from ppdbench.reports.files.figure import Axis, Figure, Row
from ppdbench.reports.files.rows import number_of, row_of
from ppdbench.reports.headline import reward_title
from ppdbench.reports.tradeoff.headline import method
from ppdbench.reports.tradeoff.section import AXES, VIEWS, belongs, by_method, by_training

Summary = Mapping[str, Any]

CAPTIONS = "95% intervals, captions are the sample."
ENDINGS = {"divergence": "", "divergence_before_last": "-before-last"}
LABELS = {
    "gain": "mean gain, standard deviations",
    "gold_gain": "mean gain by the gold reward",
    "diversity": "mean distance of two pictures",
}


def tradeoff_figures(summary: Summary) -> list[Figure]:
    """The figures of the trade-off that a run has; none where it has no such benchmark."""
    about = summary["benchmarks"].get("tradeoff")
    if not about:
        return []
    found = [_view(summary, axis, view) for axis in AXES for view in VIEWS]
    return [figure for figure in (*found, _matched(summary)) if figure is not None]


def _view(summary: Summary, axis: str, view: str) -> Figure | None:
    """One figure against a divergence, a panel a reward, a series a curve."""
    about, value = summary["benchmarks"]["tradeoff"], VIEWS[view][1]
    rows: list[Row] = []
    for reward in about.get("rewards") or ():
        for point in _by_curve(summary):
            if not belongs(summary, point, reward):
                continue  # another reward alone taught it
            if reward not in (point.get("rewards") or {}) or not is_number(point.get(axis)):
                continue  # it has no place: the page says why
            cell, key = value(point, reward)
            own = {**(named(cell, key) or {}), "n": number_of(point, "n_samples")}
            rows.append(
                row_of(
                    own,
                    key,
                    panel=reward_title(summary, reward),
                    series=str(point.get("curve") or point["row"]),
                    method=method(point),
                    x=number_of(point, axis),
                    x_ci_low=number_of(point, f"{axis}_ci_low"),
                    x_ci_high=number_of(point, f"{axis}_ci_high"),
                    label=summary["model"] if point["row"] == summary["model"] else None,
                )
                | {
                    "system": str(point["row"]),
                    "source": str(point.get("source") or ""),
                    "step": number_of(point, "step"),
                }
            )
    if not any(is_number(row["value"]) for row in rows):
        return None
    return Figure(
        name=f"tradeoff-{view.replace('_', '-')}{ENDINGS[axis]}",
        title=f"{VIEWS[view][0]} against divergence from {summary['baseline']}"
        + (", without the last step" if ENDINGS[axis] else ""),
        kind=draw_roots.draw,
        rows=rows,
        x=Axis(label="nats an image, root axis"),
        y=Axis(label=LABELS[view], line=None if view == "diversity" else 0.0),
        note="A line joins the checkpoints of one training; who was trained for one reward alone "
        f"is drawn by that reward; {summary['model']} is the row of the run. Gains over "
        f"{summary['baseline']} in standard deviations of its scores. {CAPTIONS}",
    )


def _by_curve(summary: Summary) -> list[Mapping[str, Any]]:
    """All points, curve by curve as the page's key has them, each in the order of training."""
    curves = by_method(summary)

    def place(point: Mapping[str, Any]) -> int:
        return curves.index(point["curve"]) if point.get("curve") in curves else len(curves)

    return sorted(by_training(summary), key=place)


def _matched(summary: Summary) -> Figure | None:
    """How much more the model gains than each method's best curve at the model's own divergence."""
    rows: list[Row] = []
    for axis, title in AXES.items():
        found = (summary["benchmarks"]["tradeoff"].get("headline") or {}).get(axis) or {}
        for reward, entry in found.items():
            for other in entry["others"]:
                own = {
                    **(named(other, "gain_difference") or {}),
                    "n": number_of(other, "n_captions"),
                    "reason": other.get("reason"),
                }
                rows.append(
                    row_of(
                        own,
                        "gain_difference",
                        panel=reward_title(summary, reward),
                        row=f"over {other['curve']}",
                        series=title,
                    )
                    | {
                        "divergence": number_of(entry, axis),
                        "gain": number_of(entry, "gain"),
                        "other_gain": number_of(other, "gain"),
                        "gold_gain_difference": number_of(other, "gold_gain_difference"),
                        "diversity_difference": number_of(other, "diversity_difference"),
                    }
                )
    if not any(is_number(row["value"]) for row in rows):
        return None
    return Figure(
        name="tradeoff-matched",
        title=f"What {summary['model']} gains more at matched divergence",
        kind=draw_points.draw,
        rows=rows,
        x=Axis(label="difference of gains, standard deviations", line=0.0),
        note="Against the best training of each other method, read off between two checkpoints. "
        f"{CAPTIONS}",
    )
