"""Benchmark `tradeoff` as the page's section: what the template prints, nothing left to compute.

Pure functions of summary.json; None where a run has no such figures. Elsewhere: the sentence above
it (`tradeoff.headline`), its drawings (`tradeoff.divergence_plot`), the terminal's table
(`tradeoff.table`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ppdbench.reports.figures import (
    NO_REASON,
    Cell,
    Shown,
    count,
    is_number,
    named,
    number,
    signed,
    span,
)
from ppdbench.reports.headline import reward_title
from ppdbench.reports.tradeoff.divergence_plot import (
    Look,
    Place,
    Scatter,
    across_of,
    looks,
    scatter,
    up_of,
)
from ppdbench.reports.tradeoff.headline import axis_of, method, nats, tradeoff_headline

Summary = Mapping[str, Any]
Value = Callable[[Mapping[str, Any], str], tuple[Cell, str]]
"""(point, reward) -> the cell that holds a figure, and the figure's name in it."""

AXES = {
    "divergence": "over all steps",
    "divergence_before_last": "without the last step",
}
VIEWS: Mapping[str, tuple[str, Value]] = {
    "gain": ("Reward", lambda point, reward: (point["rewards"].get(reward) or {}, "gain")),
    "gold_gain": (
        "Gold reward",
        lambda point, reward: (point["rewards"].get(reward) or {}, "gold_gain"),
    ),
    "diversity": ("Diversity", lambda point, _: (point, "diversity")),
}


def tradeoff(summary: Summary) -> dict[str, Any] | None:
    """Everything of the section."""
    about = _about(summary)
    if not about:
        return None
    drawn = _looks(summary)
    embedder = about.get("embedder") or {}
    return {
        "headline": tradeoff_headline(summary),
        "unit": str(about.get("unit") or "nats an image"),
        "captions": about.get("captions"),
        "samples": about.get("samples"),
        "reference": str((about.get("reference") or {}).get("name") or summary["baseline"]),
        "embedder": str(embedder.get("title") or embedder.get("reward") or ""),
        "divergence_samples": about.get("divergence_samples"),
        "axes": [_axis(summary, axis, drawn) for axis in sorted_axes(summary)],
        "key": [(name, look) for name, look in drawn.items()],
        "elsewhere": any(
            not belongs(summary, point, reward)
            for point in _rows(summary)
            for reward in point.get("rewards") or ()
        ),
        "points": _points(summary),
        "unmeasured": unmeasured(summary),
    }


def _looks(summary: Summary) -> dict[str, Look]:
    curves = _about(summary).get("curves") or {}
    own = next((p for p in _rows(summary) if p["row"] == summary["model"] and p["method"]), None)
    families = {name: method(curves[name]) for name in by_method(summary)}
    return looks(families, method(own) if own else None)


def by_method(summary: Summary) -> list[str]:
    """The curves, those of a method together."""
    curves = _about(summary).get("curves") or {}
    order = list(dict.fromkeys(map(method, curves.values())))
    return sorted(curves, key=lambda name: order.index(method(curves[name])))


def belongs(summary: Summary, point: Cell, reward: str) -> bool:
    """Whether a point has a place in a reward's plot: not if another reward alone taught it.

    Such a row is no rival there (`benchmarks.tradeoff.curves`), and its losses would press all
    others together. The model's own method is in all plots; "All points" has everything.
    """
    labels = point.get("labels")
    if labels in (None, reward) or labels not in (_about(summary).get("rewards") or ()):
        return True
    own = next((p for p in _rows(summary) if p["row"] == summary["model"]), None)
    return own is not None and method(own) == method(point)


def sorted_axes(summary: Summary) -> list[str]:
    """The divergences, the one that is quoted first."""
    quoted = axis_of(summary)
    return sorted(AXES, key=lambda axis: axis != quoted)


def _axis(summary: Summary, axis: str, drawn: Mapping[str, Look]) -> dict[str, Any]:
    """All that is shown against one divergence."""
    return {
        "axis": axis,
        "title": AXES[axis],
        "views": _views(summary, axis, drawn),
        "matched": matched(summary, axis, "headline"),
        "theirs": matched(summary, axis, "theirs"),
        "all": [*matched(summary, axis, "matched"), *matched(summary, axis, "matched_theirs")],
    }


def _views(summary: Summary, axis: str, drawn: Mapping[str, Look]) -> list[dict[str, Any]]:
    """By figure the plots, one a reward; a figure that nobody has is left out."""
    rewards = list(_about(summary).get("rewards") or ())
    found = []
    for name, (title, value) in VIEWS.items():
        places = {
            reward: by_curve(summary, axis, reward, value, plus=name != "diversity")
            for reward in rewards
        }
        plots = [
            plot
            for reward, curves in places.items()
            if (plot := _plot(summary, axis, reward, name, curves, drawn))
        ]
        if plots:
            found.append({"name": name, "title": title, "plots": plots})
    return found


def _plot(
    summary: Summary,
    axis: str,
    reward: str,
    view: str,
    curves: Mapping[str, Sequence[Place]],
    drawn: Mapping[str, Look],
) -> Scatter | None:
    base = reference(summary, axis, view)
    gained = view != "diversity"
    known = [p for own in curves.values() for p in own] + ([base] if base else [])
    return scatter(
        reward_title(summary, reward),
        curves,
        base,
        drawn,
        across_of(known),
        up_of(known, zero=gained),
        plus=gained,
    )


def by_curve(
    summary: Summary, axis: str, reward: str, value: Value, *, plus: bool
) -> dict[str, list[Place]]:
    """Curve -> its places that both figures are known of; "" holds points of no curve.

    Args:
        summary: the run's.
        axis: which divergence.
        reward: whose points: those that have figures of it.
        value: what is shown against the divergence.
        plus: whether it is a gain, which carries its sign.
    """
    found: dict[str, list[Place]] = {}
    for point in by_training(summary):
        if reward not in (point.get("rewards") or {}) or point["row"] == summary["baseline"]:
            continue
        if not belongs(summary, point, reward):
            continue
        cell, key = value(point, reward)
        if not is_number(point.get(axis)) or not is_number(cell.get(key)):
            continue
        shown = number(cell[key], 2 if plus else 3, plus=plus)
        ends = span(cell.get(f"{key}_ci_low"), cell.get(f"{key}_ci_high"), 2 if plus else 3)
        step = f", step {count(point['step'])}" if is_number(point.get("step")) else ""
        found.setdefault(str(point.get("curve") or ""), []).append(
            Place(
                x=float(point[axis]),
                x_low=_number(point, f"{axis}_ci_low"),
                x_high=_number(point, f"{axis}_ci_high"),
                y=float(cell[key]),
                low=_number(cell, f"{key}_ci_low"),
                high=_number(cell, f"{key}_ci_high"),
                own=point["row"] == summary["model"],
                said=f"{point.get('curve') or point['row']}{step}: {shown}"
                + (f" ({ends})" if ends else "")
                + f" at {nats(point[axis])} nats",
            )
        )
    return found


def reference(summary: Summary, axis: str, view: str) -> Place | None:
    """The baseline as a place: no divergence, no gain, and a diversity of its own."""
    for point in _rows(summary):
        if point["row"] != summary["baseline"] or not is_number(point.get(axis)):
            continue
        diverse = view == "diversity"
        if diverse and not is_number(point.get("diversity")):
            return None
        y = float(point["diversity"]) if diverse else 0.0
        return Place(
            x=float(point[axis]),
            x_low=None,
            x_high=None,
            y=y,
            low=_number(point, "diversity_ci_low") if diverse else None,
            high=_number(point, "diversity_ci_high") if diverse else None,
            own=False,
            said=f"{summary['baseline']}, the reference: {number(y, 3 if diverse else 0)}",
        )
    return None


def matched(summary: Summary, axis: str, of: str) -> list[dict[str, Any]]:
    """Reward by reward, a point and what the other curves have at its divergence.

    Args:
        summary: the run's.
        axis: which divergence.
        of: "headline", the model against the best curve of each method, "theirs", each method's
            last checkpoint against the model's, or all of either, "matched" and "matched_theirs".
    """
    found = (_about(summary).get("headline" if of == "theirs" else of) or {}).get(axis) or {}
    if of == "theirs":
        found = {reward: entry.get("theirs") or () for reward, entry in found.items()}
    trained = {point["row"]: point for point in _rows(summary)}
    return [
        {
            "reward": reward_title(summary, reward),
            "row": entry["row"],
            "divergence": nats(entry.get(axis)),
            "gain": signed(named(entry, "gain"), "gain"),
            "gold": signed(named(entry, "gold_gain"), "gold_gain"),
            "others": [_other(other, trained) for other in entry["others"]],
        }
        for reward, listed in found.items()
        for entry in ([listed] if isinstance(listed, Mapping) else listed)
        if entry["others"]
    ]


def _other(other: Cell, trained: Mapping[str, Cell]) -> dict[str, Any]:
    """Another curve at a point's divergence.

    Args:
        other: its figures.
        trained: row -> its point.
    """
    return {
        "curve": other["curve"],
        "between": _between(other, trained),
        "gain": signed(named(other, "gain"), "gain"),
        "gold": signed(named(other, "gold_gain"), "gold_gain"),
        "difference": signed(named(other, "gain_difference"), "gain_difference"),
        "gold_difference": signed(named(other, "gold_gain_difference"), "gold_gain_difference"),
        "diversity_difference": signed(
            named(other, "diversity_difference"), "diversity_difference", 3
        ),
        "verdict": _sure(other),
        "n": count(other.get("n_captions")),
        "reason": str(other.get("reason") or ""),
    }


def _between(other: Cell, trained: Mapping[str, Cell]) -> str:
    """The two checkpoints that a curve is read off between, by their steps, or by their betas."""
    rows = [str(row) for row in other.get("between") or ()]
    points = [trained.get(row) or {} for row in rows]
    betas = [point.get("beta") for point in points]
    if other.get("over") == "betas" and rows and all(map(is_number, betas)):
        return f"betas {' and '.join(f'{beta:g}' for beta in betas)}"
    steps = [count(point.get("step")) for point in points]
    return f"steps {' and '.join(steps)}" if rows and all(steps) else " and ".join(rows)


def _sure(other: Cell) -> str:
    low, high = other.get("gain_difference_ci_low"), other.get("gain_difference_ci_high")
    if not is_number(low) or not is_number(high):
        return ""
    return "more" if low > 0 else "less" if high < 0 else "not distinguishable"


def _points(summary: Summary) -> list[dict[str, Any]]:
    """Every point by every reward that it has: the data behind the drawings."""
    found = []
    for point in _rows(summary):
        common = {
            "row": point["row"],
            "source": point.get("source") or "",
            "curve": point.get("curve") or "",
            "model": point["row"] == summary["model"],
            "step": count(point.get("step")),
            "divergence": measured(point, "divergence"),
            "before_last": measured(point, "divergence_before_last"),
            "diversity": _plain(point, "diversity", 3),
            "n": count(point.get("n_samples")),
        }
        rewards = point.get("rewards") or {}
        found += [
            {
                **common,
                "reward": reward_title(summary, reward),
                "gain": signed(named(cell, "gain"), "gain"),
                "gold": signed(named(cell, "gold_gain"), "gold_gain"),
            }
            for reward, cell in rewards.items()
        ] or [{**common, "reward": "", "gain": None, "gold": None}]
    return found


def measured(point: Cell, axis: str) -> Shown:
    """A divergence with its interval, in nats."""
    value = nats(point.get(axis))
    if not value:
        return Shown(value="", reason=str(point.get("reason") or NO_REASON))
    ends = [nats(point.get(f"{axis}_ci_{end}")) for end in ("low", "high")]
    return Shown(value=value, interval="\N{EN DASH}".join(ends) if all(ends) else "")


def _plain(cell: Cell, key: str, decimals: int) -> Shown:
    value = number(cell.get(key), decimals)
    if not value:
        return Shown(value="", reason=str(cell.get("reason") or NO_REASON))
    return Shown(
        value=value, interval=span(cell.get(f"{key}_ci_low"), cell.get(f"{key}_ci_high"), decimals)
    )


def unmeasured(summary: Summary) -> list[str]:
    """What is not known and why, each reason once."""
    about = _about(summary)
    lines = [str(about["reason"])] if about.get("reason") else []
    lines += _fewer(summary)
    for point in _rows(summary):
        missing = [name for name in ("divergence", "diversity") if not is_number(point.get(name))]
        if missing and point.get("reason"):
            lines.append(f"{point['row']}, {' and '.join(missing)}: {point['reason']}")
    if (about.get("embedder") or {}).get("reason"):
        lines.append(f"diversity: {about['embedder']['reason']}")
    return list(dict.fromkeys(lines))


def _fewer(summary: Summary) -> list[str]:
    """How many points lack captions, by how many."""
    short = Counter(
        (point["n_captions"], point["n_captions_expected"])
        for point in _rows(summary)
        if is_number(point.get("n_captions"))
        and is_number(point.get("n_captions_expected"))
        and 0 < point["n_captions"] < point["n_captions_expected"]
    )
    return [
        f"{points} point{'s lack' if points > 1 else ' lacks'} {count(expected - n)} of "
        f"{count(expected)} captions; differences are over the captions that both sides have"
        for (n, expected), points in short.items()
    ]


def _rows(summary: Summary) -> Sequence[Mapping[str, Any]]:
    return _about(summary).get("points") or ()


def by_training(summary: Summary) -> list[Mapping[str, Any]]:
    """All points in the order of training, so that those of a curve are in its order."""
    return sorted(_rows(summary), key=_trained)


def _trained(point: Cell) -> float:
    """How long a row was trained, which is the order of a curve; who does not tell is last."""
    step = point.get("step")
    return float(step) if is_number(step) else float("inf")


def _about(summary: Summary) -> Mapping[str, Any]:
    return summary["benchmarks"].get("tradeoff") or {}


def _number(cell: Cell, key: str) -> float | None:
    value = cell.get(key)
    return float(value) if is_number(value) else None
