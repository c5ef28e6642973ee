"""Benchmark `tradeoff` of a comparison's page: what was gained, and what was paid for it.

Elsewhere: the figures (`benchmarks.compare.tradeoff`), what sections are made of
(`compare.panels`), all sections (`compare.sections`).
"""

from __future__ import annotations

from collections.abc import Mapping

from ppdbench.reports.compare.panels import Found, Section, known, left_out, make_panel
from ppdbench.reports.compare.rows import Summary, Unit, figures, pairs, title_of

GAIN, GOLD = GAINS = ("gain", "gold_gain")
VIEWS: Mapping[str, tuple[str, Unit]] = {
    GAIN: ("Gain over the baseline, in its standard deviations", "gain"),
    "divergence_before_last": ("Divergence without the last step, nats an image", "nats"),
    "divergence": ("Divergence over all steps, nats an image", "nats"),
    "diversity": ("Diversity", "diversity"),
}
"""View -> the title of its drawing, and its unit."""
NOBODY = "drawn for nobody"


def view_of(summary: Summary, view: str) -> list[Found]:
    """One view of every pair by reward; what is of pictures for nobody is there once."""
    found = figures(summary, "tradeoff")
    rewards = list(dict.fromkeys(reward for cells in found.values() for reward in cells))
    listed: dict[tuple[str, str], Found] = {}
    for reward in rewards:
        for pair in pairs(summary):
            own = (found.get(pair) or {}).get(reward)
            if not own:
                continue
            for_nobody = own["a_user"] is own["b_user"] is None
            name = NOBODY if for_nobody and view not in GAINS else title_of(summary, reward)
            gold = own.get(GOLD) if view == GAIN else None
            if view in own:  # not every reward has a gold twin
                listed.setdefault((pair, name), (pair, name, own[view], gold))
    return list(listed.values())


def paid(summary: Summary) -> Section | None:
    """What the models gain, how far they went for it, and how diverse they still are."""
    views = {view: view_of(summary, view) for view in VIEWS}
    panels = [
        make_panel(summary, title, found, unit, by_runs=False)
        for view, (title, unit) in VIEWS.items()
        if (found := known(views[view], unit))
    ]
    if not panels:
        return None
    cells = [cell for found in views.values() for _, _, *both in found for cell in both if cell]
    return Section(
        id="tradeoff",
        figures=("tradeoff-gains", "tradeoff-divergence", "tradeoff-diversity"),
        title="What is gained, and what is paid for it?",
        hint="How far each model's sampling went from the baseline's, what its pictures gained "
        "by it, and how unlike each other those of one caption still are: the first run's less "
        "the second's, caption by caption. Divergence is a price and diversity a good, so who "
        "gains more by going further is not shown to be better; methods at equal divergence are "
        "in either run's own report.",
        panels=panels,
        notes=left_out(cell for cell in cells if not cell.get("n")),
    )
