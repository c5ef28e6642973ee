"""The figures of benchmark `personal` as files: win rates, gains, whose picture, shots curve.

Elsewhere: the page's section (`people.section`), the files (`files.figure`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.reports.figures import Cell, is_number, named
from ppdbench.reports.files import draw_lines, draw_points
from ppdbench.reports.files.figure import Axis, Figure
from ppdbench.reports.files.rows import number_of, row_of
from ppdbench.reports.people.section import PARTS, SPLITS
from ppdbench.reports.rewards.figures import WIN_RATE, fidelity_figure

Summary = Mapping[str, Any]

USERS = "95% intervals, users are the sample; ties count half."
DRAWN_FOR = {"": "for the user", "shuffled": "for another user", "null": "for nobody"}


def people_figures(summary: Summary) -> list[Figure]:
    """The figures of people that a run has; none where it has no such benchmark."""
    if not _found(summary, "personal"):
        return []
    found = (
        _wins(summary),
        _parts(summary),
        _whose(summary),
        _shots(summary),
        _between(summary),
        _dominant(summary),
        fidelity_figure(summary, "personal_fidelity", "users"),
    )
    return [figure for figure in found if figure is not None]


def _wins(summary: Summary) -> Figure | None:
    """True win rates, a panel an opponent, a line a split, the controls beside."""
    rows = []
    for opponent, cells in _found(summary, "personal").items():
        for split, title in SPLITS.items():
            for name, series in DRAWN_FOR.items():
                own = _variant(cells.get(split), name)
                if own is not None and (not name or is_number(own["win_rate"])):
                    rows.append(
                        row_of(own, "win_rate", panel=f"over {opponent}", row=title, series=series)
                        | {
                            "n_users": number_of(own, "n_users"),
                            "p_value": None if name else number_of(own, "p_value"),
                            "p_holm": None if name else number_of(own, "p_holm"),
                        }
                    )
    if not rows:
        return None
    return Figure(
        name="personal-win-rates",
        title=f"How often a user truly likes {summary['model']}'s picture better",
        kind=draw_points.draw,
        rows=rows,
        x=WIN_RATE,
        note=USERS,
    )


def _variant(cell: Cell | None, name: str) -> Cell | None:
    """A cell's own win rate, or that of a control under its prefix."""
    if cell is None or not name:
        return cell
    keys = ("win_rate", "ci_low", "ci_high")
    return {**cell, **{key: cell.get(f"{name}_{key}") for key in keys}}


def _parts(summary: Summary) -> Figure | None:
    """Where the gain over the baseline comes from, a panel a split."""
    base = _found(summary, "personal").get(summary["baseline"]) or {}
    rows = [
        row_of(named(base[split], key), key, panel=title, row=key.replace("_", " "))
        | {"n": number_of(base[split], "n"), "n_users": number_of(base[split], "n_users")}
        for split, title in SPLITS.items()
        if split in base
        for key in PARTS
        if is_number(base[split].get(key))
    ]
    if not rows:
        return None
    return Figure(
        name="personal-gains",
        title=f"Where the gain over {summary['baseline']} comes from",
        kind=draw_points.draw,
        rows=rows,
        x=Axis(label="points of win rate", unit="points", line=0.0),
        note="Total gain = population gain (another user's picture) + personal gain (own minus "
        "another's). 95% intervals, users are the sample.",
    )


def _whose(summary: Summary) -> Figure | None:
    """How often the own picture is the best liked of the group's."""
    found = _found(summary, "personal_matrix")
    rows = [
        row_of(cell, "own_is_best", row=SPLITS.get(split, split))
        | {
            "n_groups": number_of(cell, "n_groups"),
            "mean_rank": number_of(cell, "mean_rank"),
            "chance": number_of(cell, "chance"),
        }
        for split, cell in found.items()
    ]
    if not rows:
        return None
    chance = next(iter(found.values())).get("chance")
    return Figure(
        name="whose-picture",
        title="How often a user's own picture is the one liked best of the group's",
        kind=draw_points.draw,
        rows=rows,
        x=Axis(
            label="own picture liked best",
            unit="%",
            low=0.0,
            high=1.0,
            line=chance if is_number(chance) else None,
        ),
        note="Dashed: by chance. 95% intervals, groups are the sample.",
    )


def _shots(summary: Summary) -> Figure | None:
    """Win rate by number of shots, a line a split; shots are equally far apart, as on the page."""
    rows = [
        row_of(
            point,
            "win_rate",
            series=SPLITS.get(split, split),
            x=place,
            x_label=str(point["shots"]),
        )
        | {"shots": point["shots"], "over_zero": number_of(point, "over_zero")}
        for split, curve in _found(summary, "personal_shots").items()
        for place, point in enumerate(curve)
    ]
    if not rows:
        return None
    return Figure(
        name="shots-curve",
        title=f"Win rate over {summary['baseline']} by the number of shots",
        kind=draw_lines.draw,
        rows=rows,
        x=Axis(label="preference pairs that the user is shown by"),
        y=Axis(label="true win rate", unit="%", low=0.0, high=1.0, line=0.5),
        note=f"0 is nobody. {USERS}",
    )


def _between(summary: Summary) -> Figure | None:
    """Rank correlation of each user's utility with the place between the two."""
    rows = [
        row_of(walk[key], "spearman", row=SPLITS.get(split, split), series=title)
        | {
            "violations": number_of(walk[key], "violations"),
            "p_holm": number_of(walk[key], "p_holm"),
            "own_end_win_rate": number_of(walk[key], "own_end_win_rate"),
        }
        for split, walk in _found(summary, "personal_between").items()
        for key, title in (
            ("first", "the first user, who should like it less"),
            ("second", "the second user, who should like it more"),
        )
    ]
    if not rows:
        return None
    return Figure(
        name="between-users",
        title="Between two users: utility against the place on the way",
        kind=draw_points.draw,
        rows=rows,
        x=Axis(label="median rank correlation", low=-1.0, high=1.0, line=0.0),
        note="95% intervals.",
    )


def _dominant(summary: Summary) -> Figure | None:
    """Win rate over the baseline by what users care most for."""
    base = _found(summary, "personal").get(summary["baseline"]) or {}
    found = (base.get("all") or {}).get("dominant") or (base.get("seen") or {}).get("dominant")
    rows = [
        row_of(cell, "win_rate", row=name) | {"n_users": number_of(cell, "n_users")}
        for name, cell in (found or {}).items()
    ]
    if not rows:
        return None
    return Figure(
        name="personal-by-taste",
        title=f"Win rate over {summary['baseline']} by what users care most for",
        kind=draw_points.draw,
        rows=rows,
        x=WIN_RATE,
        note=f"Described, not tested: each taste has few users. {USERS}",
    )


def _found(summary: Summary, key: str) -> Mapping[str, Any]:
    return summary["benchmarks"].get(key) or {}
