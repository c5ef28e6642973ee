"""A comparison as the page's sections: panels of differences with their drawings, ready to print.

Every benchmark gives a section by one function; `SECTIONS` lists them in the order of the page.
Pure functions of summary.json. Elsewhere: one difference (`compare.rows`), what sections are made
of (`compare.panels`), two long ones (`compare.interpolation`, `compare.tradeoff`), the page
(`compare.page`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ppdbench.reports.compare.interpolation import following
from ppdbench.reports.compare.panels import Found, Section, left_out, make_panel
from ppdbench.reports.compare.rows import (
    FIDELITY,
    KINDS,
    SHOTS,
    SPLITS,
    Summary,
    Unit,
    figures,
    pairs,
    title_of,
)
from ppdbench.reports.compare.tradeoff import paid


def sections(summary: Summary) -> list[Section]:
    """The sections that a comparison has."""
    return [section for make in SECTIONS if (section := make(summary)) is not None]


def head_to_head(summary: Summary) -> Section | None:
    """Whose images each reward scores higher."""
    found = figures(summary, "rewards")
    rewards = _names(found.values())
    if not rewards:
        return None
    panels = [
        make_panel(
            summary,
            title_of(summary, reward),
            _of_rewards(summary, "head_to_head", [reward]),
            "rate",
            by_runs=True,
        )
        for reward in rewards
    ]
    return Section(
        id="head-to-head",
        figures=("head-to-head",),
        title="Whose images score higher?",
        hint="Both runs drew the same captions from the same noise. How often the first run's "
        "image scores higher than the second's, by each reward on the images for that reward's "
        "user; ties count half, captions are the sample. This is what the headline is about.",
        panels=panels,
        notes=left_out(cell for cells in found.values() for cell in cells.values()),
    )


def how_much(summary: Summary) -> Section | None:
    """By how much scores differ, and win rates over the baseline."""
    panels = []
    views: tuple[tuple[str, Unit, str], ...] = (
        ("mean", "deviations", "Mean scores, in standard deviations of the baseline's"),
        ("over_baseline", "points", "Win rates over the baseline, in points"),
    )
    for view, unit, title in views:
        rows = [
            (pair, what, cell, gold)
            for pair, what, cell, gold in _of_rewards(summary, view)
            if "reason" not in cell
        ]
        if rows:
            panels.append(make_panel(summary, title, rows, unit, by_runs=False))
    if not panels:
        return None
    return Section(
        id="by-how-much",
        figures=("mean-scores", "over-baseline"),
        title="By how much?",
        hint="The same images by other views: how far the mean scores lie apart, which a win rate "
        "does not say, and how the win rates over the baseline differ, which is what each run's "
        "own report gives.",
        panels=panels,
    )


def personal(summary: Summary) -> Section | None:
    """Whose picture its user truly likes better."""
    found = figures(summary, "personal")
    if not found:
        return None
    rows = _of_splits(summary, found)
    return Section(
        id="personal",
        figures=("personal",),
        title="Whose picture does its user truly like better?",
        hint="What every user likes is known exactly in this suite. Left, the two runs' pictures "
        "of a caption for its owner head to head; right, the difference of their true win rates "
        "over the baseline. Users are the sample.",
        panels=[
            make_panel(summary, "Head to head", rows("head_to_head"), "rate", by_runs=False),
            make_panel(
                summary,
                "True win rates over the baseline, in points",
                rows("over_baseline"),
                "points",
                by_runs=False,
            ),
        ],
        notes=left_out(cell for cells in found.values() for cell in cells.values()),
    )


def judge(summary: Summary) -> Section | None:
    """Whose pictures a judge picks more often over one baseline."""
    found = figures(summary, "judge")
    panels = [
        make_panel(
            summary,
            title,
            [
                (pair, SPLITS[split], cells[split][arm], None)
                for split in SPLITS
                for pair in pairs(summary)
                if split in (cells := found.get(pair) or {}) and cells[split][arm]["n"]
            ],
            "points",
            by_runs=False,
        )
        for arm, title in SHOTS.items()
    ]
    panels = [panel for panel in panels if panel.rows]
    if not panels:
        return None
    return Section(
        id="judge",
        figures=("judge",),
        title="Whose pictures does the judge pick?",
        hint="One judge held either run's pictures against the same baseline's, in both orders; "
        "what it did not decide alike in both counts half. Differences of these tie-half rates, "
        "in points; users are the sample. The two runs' pictures were never shown beside each "
        "other. Consistent-only rates are not compared: each rests on comparisons that the "
        "judge's own flips chose.",
        panels=panels,
    )


def users(summary: Summary) -> Section | None:
    """Whose encoder tells users apart."""
    found = figures(summary, "users")
    panels = [
        make_panel(
            summary,
            title,
            [
                (pair, f"top-{key.removeprefix('top')}", cell, None)
                for pair, cells in found.items()
                for key, cell in (cells.get(kind) or {}).items()
                if key.startswith("top") and cell["n"]
            ],
            "points",
            by_runs=False,
        )
        for kind, title in KINDS.items()
    ]
    panels = [panel for panel in panels if panel.rows]
    if not panels:
        return None
    told = [
        f"{pair}: {cells['a_encoder']} and {cells['b_encoder']}" for pair, cells in found.items()
    ]
    return Section(
        id="users",
        figures=("users",),
        title="Which encoder tells users apart?",
        hint="How often the right user is among the K best, difference in points, paired by test "
        "group; users are the sample.",
        panels=panels,
        notes=[f"Encoders, {'; '.join(told)}."],
    )


def fidelity(summary: Summary) -> Section | None:
    """Which run draws what its captions say."""
    panels = [
        make_panel(
            summary,
            title,
            [
                (pair, "all of the caption right", cells["all"], None)
                for pair, cells in figures(summary, key).items()
                if "all" in cells
            ],
            "points",
            by_runs=True,
        )
        for key, title in FIDELITY.items()
    ]
    panels = [panel for panel in panels if panel.rows]
    if not panels:
        return None
    return Section(
        id="fidelity",
        figures=("fidelity",),
        title="Which draws its captions?",
        hint="Share of images in which a classifier finds all that the caption says, difference "
        "in points, image by image. A gain in scores that costs fidelity is no gain.",
        panels=panels,
    )


SECTIONS: Sequence[Callable[[Summary], Section | None]] = (
    head_to_head,
    how_much,
    following,
    paid,
    personal,
    judge,
    users,
    fidelity,
)
"""A benchmark that is compared anew adds its function here."""


def _of_rewards(summary: Summary, view: str, rewards: Sequence[str] | None = None) -> list[Found]:
    """One view of every reward, or of these, and of every pair, with its gold twin's."""
    own, gold = figures(summary, "rewards"), figures(summary, "rewards_gold")
    return [
        (
            pair,
            title_of(summary, reward),
            own[pair][reward][view],
            ((gold.get(pair) or {}).get(reward) or {}).get(view),
        )
        for reward in rewards or _names(own.values())
        for pair in own
        if reward in own[pair]
    ]


def _of_splits(summary: Summary, found: Mapping[str, Any]) -> Callable[[str], list[Found]]:
    def rows(view: str) -> list[Found]:
        return [
            (pair, SPLITS[split], found[pair][split][view], None)
            for split in SPLITS
            for pair in pairs(summary)
            if split in (found.get(pair) or {})
        ]

    return rows


def _names(found: Iterable[Mapping[str, Any]]) -> list[str]:
    """The rewards of all pairs, in their order."""
    return list(dict.fromkeys(name for cells in found for name in cells))
