"""What a run says in one sentence, and why it says nothing.

"Beats" is said only where the 95% interval lies above 50% and, over the rewards of that opponent,
Holm's p is below 0.05; of people "truly liked better" is said by the same rule. Elsewhere: the
figures that follow the claim (`quoted`), how figures are written (`figures`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ppdbench.reports.figures import (
    Cell,
    Verdict,
    is_number,
    named,
    percent,
    points,
    rate,
    verdict,
)
from ppdbench.reports.quoted import Quoted, clause, joined, sample

LEVEL = 0.05
"""Holm-adjusted p-values below this count as a difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The run in a sentence; `withheld` where no figure may stand for it."""

    text: str
    """The claim."""
    withheld: bool
    reason: str = ""
    figures: str = ""
    """Its figures, as they follow it and a colon: rates, intervals, samples."""


def reward_names(summary: Mapping[str, Any]) -> list[str]:
    """The rewards of a summary that are not gold, in the suite's order."""
    known = summary.get("rewards") or {}
    names = [name for name, info in known.items() if not info.get("gold")]
    for cells in (summary.get("benchmarks", {}).get("rewards") or {}).values():
        names += [name for name in cells if name not in names]
    return names


def reward_title(summary: Mapping[str, Any], name: str) -> str:
    """A reward as printed in tables."""
    return str((summary.get("rewards") or {}).get(name, {}).get("title") or name)


def outcome(cell: Cell | None) -> Verdict:
    """Whether the model wins (above), loses (below) or neither (open) by interval and Holm."""
    found = verdict(cell, 0.5)
    p = (cell or {}).get("p_holm")
    if found in ("above", "below") and is_number(p) and p >= LEVEL:
        return "open"
    return found


def headline(summary: Mapping[str, Any]) -> Headline:
    """The sentence over the model's win rates against the baseline."""
    model, baseline = summary["model"], summary["baseline"]
    rewards = reward_names(summary)
    cells: Mapping[str, Cell] = (summary["benchmarks"].get("rewards") or {}).get(baseline) or {}
    found = {name: outcome(cells.get(name)) for name in rewards}
    if not rewards or all(v == "undefined" for v in found.values()):
        reasons = [str(c["reason"]) for c in cells.values() if c.get("reason")]
        if model == baseline:
            reasons = ["it is the baseline, and is not measured against itself"]
        return Headline(
            text=f"No headline for {model}",
            withheld=True,
            reason=reasons[0] if reasons else f"nothing was measured against {baseline}",
        )

    def of(kind: Verdict) -> list[str]:
        return [reward_title(summary, name) for name in rewards if found[name] == kind]

    said = []
    if of("above"):
        said.append(f"beats {baseline} on {_together(of('above'), len(rewards))}")
    if of("below"):
        whom = "" if said else f" to {baseline}"
        said.append(f"loses{whom} on {_together(of('below'), len(rewards))}")
    if of("open"):
        whom = "it" if said else baseline
        said.append(f"cannot be told from {whom} on {_together(of('open'), len(rewards))}")
    if of("undefined"):
        said.append(f"is not measured on {_together(of('undefined'), len(rewards))}")
    figures = [
        Quoted(
            shown=rate(cells.get(name), "win_rate"),
            of=f"by {reward_title(summary, name)}",
            sample=sample(cells.get(name), "pairs"),
        )
        for name in rewards
    ]
    return Headline(
        text=f"{model} {joined(said)}", withheld=False, figures=verbal(clause(figures), "it wins")
    )


def people_headline(summary: Mapping[str, Any]) -> Headline | None:
    """What the run says of people in a sentence; None without the benchmark."""
    model, baseline = summary["model"], summary["baseline"]
    cells = (summary["benchmarks"].get("personal") or {}).get(baseline)
    if not cells:
        return None
    found = {split: outcome(cells.get(split)) for split in ("seen", "unseen")}
    if all(v == "undefined" for v in found.values()):
        reasons = [str(cell["reason"]) for cell in cells.values() if cell.get("reason")]
        reason = reasons[0] if reasons else "nothing was measured"
        return Headline(text=f"No headline for {model} and people", withheld=True, reason=reason)
    words = {
        "above": "is truly liked better than {} by {} users",
        "below": "is truly liked less than {} by {} users",
        "open": "cannot be told from {} by {} users",
        "undefined": "is not measured against {} by {} users",
    }
    said = [
        text.format(baseline, " and ".join(split for split, v in found.items() if v == kind))
        for kind, text in words.items()
        if kind in found.values()
    ]
    own = [
        (cell.get("personal_gain_ci_low"), cell.get("personal_gain_p_holm"))
        for cell in (cells.get(split) or {} for split in found)
        if is_number(cell.get("personal_gain"))
    ]
    if own:
        sure = all(is_number(low) and low > 0 and is_number(p) and p < LEVEL for low, p in own)
        said.append("the gain is personal" if sure else "no gain is sure to be personal")
    return Headline(
        text=f"{model} {', and '.join(said)}", withheld=False, figures=_liked(cells, list(found))
    )


def _liked(cells: Mapping[str, Cell], splits: Sequence[str]) -> str:
    """How often own pictures are truly liked better, and how much of that is personal."""
    wins, gains = [], []
    for split in splits:
        cell = cells.get(split)
        wins.append(
            Quoted(
                shown=rate(cell, "win_rate"), of=f"for {split} users", sample=sample(cell, "pairs")
            )
        )
        own = named(cell, "personal_gain")
        gains.append(Quoted(shown=points(own, "personal_gain"), of=f"for {split} users"))
    personal = clause(gains)
    said = verbal(clause(wins, each=True), "it wins")
    return f"{said}; own minus another user's picture {personal}" if personal and said else said


def users_headline(summary: Mapping[str, Any]) -> Headline | None:
    """What a run says in which users were told apart and nothing was drawn; else None."""
    if list(summary["benchmarks"]) != ["users"] or summary["n_expected"]:
        return None
    if summary.get("withheld"):
        text = "No headline: who can be told apart is not known"
        return Headline(text=text, withheld=True, reason=str(summary["withheld"]))
    cells: Mapping[str, Cell] = summary["benchmarks"]["users"]
    words = {
        "above": "users are told apart by {}",
        "open": "users are not shown to be told apart by {}",
        "undefined": "nothing is measured of {}",
    }
    found = {name: _told_apart(cell) for name, cell in cells.items()}
    said = [
        text.format(joined([name for name, v in found.items() if v == kind]))
        for kind, text in words.items()
        if kind in found.values()
    ]
    figures = [
        Quoted(
            shown=rate(cell, "top16"),
            of=f"by {name}",
            sample=f"{cell.get('n_test')} tests of {cell.get('n_users')} users, by chance "
            f"{percent(cell.get('chance_top16'))}",
        )
        for name, cell in cells.items()
        if is_number(cell.get("top16"))
    ]
    text = ", and ".join(said)
    return Headline(
        text=text[:1].upper() + text[1:],
        withheld=False,
        figures=verbal(clause(figures), "the right user is among the 16 likeliest in"),
    )


def _told_apart(cell: Cell) -> str:
    """Whether the right user is among the 16 likeliest more often than by chance."""
    chance, p = cell.get("chance_top16"), cell.get("p_value")
    if not is_number(cell.get("top16")) or not is_number(chance):
        return "undefined"
    sure = verdict(cell, chance) == "above" and is_number(p) and p < LEVEL
    return "above" if sure else "open"


def _together(titles: Sequence[str], of: int) -> str:
    if len(titles) == of and of > 1:
        words = {2: "both", 3: "all three", 4: "all four"}
        return f"{words.get(of, f'all {of}')} rewards"
    return joined(titles)


def verbal(figures: str, how: str) -> str:
    """A clause of figures with its verb; empty where there are none."""
    return f"{how} {figures}" if figures else ""
