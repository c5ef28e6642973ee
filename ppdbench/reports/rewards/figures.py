"""The figures of benchmark `rewards` as files: Table 1, Fig. 3, matrix, gains, fidelity, seeds.

Elsewhere: the page's own drawings of the same (`rewards.section`, `rewards.mean_table`), the files
(`files.figure`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.reports.details import source
from ppdbench.reports.figures import Cell, is_number
from ppdbench.reports.files import draw_heat, draw_points
from ppdbench.reports.files.figure import Axis, Figure
from ppdbench.reports.files.rows import number_of, row_of
from ppdbench.reports.headline import reward_names, reward_title
from ppdbench.reports.plots import ratio_axis
from ppdbench.reports.rewards.training import in_intervals

Summary = Mapping[str, Any]

WIN_RATE = Axis(label="win rate", unit="%", low=0.0, high=1.0, line=0.5)
SCORERS = {"rewards": "reward", "rewards_gold": "gold reward"}
CAPTIONS = "95% intervals, captions are the sample; ties count half."


def reward_figures(summary: Summary) -> list[Figure]:
    """The figures of the rewards that a run has; none where it has no such benchmark."""
    found = (
        _means(summary),
        _wins(summary),
        _categories(summary),
        _matrix(summary),
        _gains(summary, "gain", "ratio"),
        _gains(summary, "gold_gain", "kept"),
        fidelity_figure(summary, "caption_fidelity", "captions"),
    )
    return [figure for figure in found if figure is not None]


def _means(summary: Summary) -> Figure | None:
    """Table 1: a panel a reward, a line a system, the model last."""
    rows = [
        row_of(cell, "mean", panel=_panel(summary, key, name), row=system)
        | {"n_expected": number_of(cell, "n_expected"), "source": source(summary, system) or None}
        for key in SCORERS
        for name in reward_names(summary)
        for system, cell in _mean_cells(summary, key, name)
    ]
    if not rows:
        return None
    return Figure(
        name="mean-scores",
        title=f"Mean scores; {summary['model']} draws for each reward's user",
        kind=draw_points.draw,
        rows=rows,
        x=Axis(label="mean score"),
        note="In the form of the paper's Table 1; higher is better, and every reward has a scale "
        f"of its own. 95% intervals, captions are the sample.{_trainings(summary)}",
    )


def _mean_cells(summary: Summary, key: str, name: str) -> list[tuple[str, Cell]]:
    """Every system's mean by one reward; the model's is that beside the baseline, else the next."""
    cells = {
        opponent: own[name] for opponent, own in _benchmark(summary, key).items() if name in own
    }
    own = [
        cells[opponent]
        for opponent in (summary["baseline"], *cells)
        if is_number(cells.get(opponent, {}).get("mean"))
    ]
    found = [(opponent, _mean(cell, "opponent_mean")) for opponent, cell in cells.items()]
    return [*found, (summary["model"], _mean(own[0], "mean"))] if own else found


def _mean(cell: Cell, key: str) -> Cell:
    return {
        **cell,
        "mean": cell.get(key),
        "ci_low": cell.get(f"{key}_ci_low"),
        "ci_high": cell.get(f"{key}_ci_high"),
    }


def _wins(summary: Summary) -> Figure | None:
    """Fig. 3: a panel a reward, a line an opponent, gold beside."""
    ours = _benchmark(summary, "rewards")
    rows = [
        row_of(
            cell,
            "win_rate",
            panel=reward_title(summary, name),
            row=f"over {opponent}",
            series=series,
        )
        | {
            column: number_of(cell, column)
            for column in (
                "n_expected",
                "p_value",
                "p_holm",
                "items_ci_low",
                "items_ci_high",
                "training_share",
            )
        }
        | {"source": str(cell.get("source") or source(summary, opponent)) or None}
        for name in reward_names(summary)
        for opponent in ours
        for key, series in SCORERS.items()
        if (cell := _benchmark(summary, key).get(opponent, {}).get(name)) is not None
    ]
    if not rows:
        return None
    return Figure(
        name="win-rates",
        title=f"Win rates of {summary['model']} by each reward",
        kind=draw_points.draw,
        rows=rows,
        x=WIN_RATE,
        note=f"In the form of the paper's Fig. 3. {CAPTIONS}{_trainings(summary)}",
    )


def _categories(summary: Summary) -> Figure | None:
    """Win rates over the baseline by category of the captions."""
    rows = [
        row_of(cell, "win_rate", panel=reward_title(summary, name), row=category)
        for name in reward_names(summary)
        for category, cells in _benchmark(summary, "categories").items()
        if (cell := cells.get(name)) is not None
    ]
    if not rows:
        return None
    return Figure(
        name="win-rates-by-category",
        title=f"Win rates of {summary['model']} over {summary['baseline']} by category of captions",
        kind=draw_points.draw,
        rows=rows,
        x=WIN_RATE,
        note=f"Described, not tested. {CAPTIONS}",
    )


def _matrix(summary: Summary) -> Figure | None:
    """Win rates over the baseline, the user against the judging reward."""
    found, names = _benchmark(summary, "matrix"), reward_names(summary)
    users = [name for name in names if name in found] + [u for u in found if u not in names]
    rows = [
        row_of(
            cell,
            "win_rate",
            row=f"{reward_title(summary, user)} user",
            column=reward_title(summary, name),
        )
        | {"outlined": user == name}
        for user in users
        for name in names
        if (cell := found[user].get(name)) is not None
    ]
    if not rows:
        return None
    return Figure(
        name="user-reward-matrix",
        title=f"Does {summary['model']} listen to its user? Win rates over {summary['baseline']}",
        kind=draw_heat.draw,
        rows=rows,
        x=Axis(label="judged by", unit="%", low=0.0, high=1.0, line=0.5),
        y=Axis(label="drawn for"),
        note=f"A user's own reward is outlined. {CAPTIONS}",
    )


def _gains(summary: Summary, key: str, value: str) -> Figure | None:
    """Ratios of gains: of the upper bound's, or kept by the gold reward."""
    names = {
        "gain": ("gains", "Share of the upper bound's gain", "upper_bound_gain"),
        "gold_gain": ("gold-gains", "Share of the gain kept on gold rewards", "gold_gain"),
    }
    name, title, other = names[key]
    rows = [
        row_of(cell, value, row=reward_title(summary, reward))
        | {"gain": number_of(cell, "gain"), other: number_of(cell, other)}
        for reward, cell in _benchmark(summary, key).items()
    ]
    if not rows:
        return None
    low, high = ratio_axis(_benchmark(summary, key).values(), value)
    return Figure(
        name=name,
        title=f"{title}, {summary['model']} over {summary['baseline']}",
        kind=draw_points.draw,
        rows=rows,
        x=Axis(label="share of the gain", unit="%", low=low, high=high, line=1.0),
        note="95% intervals, captions are the sample.",
    )


def fidelity_figure(summary: Summary, key: str, sample: str) -> Figure | None:
    """Caption fidelity by fact, a panel a fact, a line a system.

    Args:
        summary: the run's.
        key: the benchmark's figures.
        sample: what intervals have as the sample, in words.
    """
    found = _benchmark(summary, key)
    facts = list(dict.fromkeys(f for cells in found.values() for f in cells if f != "all"))
    facts += ["all"] * any("all" in cells for cells in found.values())
    rows = [
        row_of(cell, "rate", panel="all right" if fact == "all" else fact, row=system)
        for fact in facts
        for system, cells in found.items()
        if (cell := cells.get(fact)) is not None
    ]
    if not rows:
        return None
    return Figure(
        name=key.replace("_", "-"),
        title="Caption fidelity: images that show what their caption says",
        kind=draw_points.draw,
        rows=rows,
        x=Axis(label="share of images", unit="%"),
        note=f"95% intervals, {sample} are the sample.",
    )


def _trainings(summary: Summary) -> str:
    return " Intervals take in trainings, where several are on record." * in_intervals(summary)


def _panel(summary: Summary, key: str, name: str) -> str:
    title = reward_title(summary, name)
    return title if key == "rewards" else f"{title}, gold"


def _benchmark(summary: Summary, key: str) -> Mapping[str, Any]:
    return summary["benchmarks"].get(key) or {}
