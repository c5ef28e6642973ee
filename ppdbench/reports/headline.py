"""What a run says in one sentence, and why it says nothing.

"Beats" is said only where the 95% interval lies above 50% and, over the rewards of that opponent,
Holm's p is below 0.05; of people "truly liked better" is said by the same rule. Elsewhere: how
figures are written (`figures`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ppdbench.reports.figures import Cell, Verdict, is_number, percent, verdict

LEVEL = 0.05
"""Holm-adjusted p-values below this count as a difference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The run in a sentence; `withheld` where no figure may stand for it."""

    text: str
    withheld: bool
    reason: str = ""


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
    return Headline(text=f"{model} {_join(said)}", withheld=False)


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
    return Headline(text=f"{model} {', and '.join(said)}", withheld=False)


def users_headline(summary: Mapping[str, Any]) -> Headline | None:
    """The title of a run in which users were told apart and nothing was drawn; else None."""
    if list(summary["benchmarks"]) != ["users"] or summary["n_expected"]:
        return None
    reason = str(summary.get("withheld") or "")
    text = f"Who can be told apart by {' and '.join(summary['benchmarks']['users'])}?"
    return Headline(text=text, withheld=bool(reason), reason=reason)


def calibration_of(summary: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, str]:
    """The calibration that a run's judge rests on, and where there is none, why."""
    benchmarks = summary["benchmarks"]
    found = benchmarks.get("calibration") or benchmarks.get("judge_calibration")
    if isinstance(found, Mapping) and found.get("own"):
        return found, ""
    reason = found.get("reason") if isinstance(found, Mapping) else None
    return None, str(reason or "no calibration was found")


def calibrating(summary: Mapping[str, Any]) -> str:
    """The command that calibrates a run's judge, so that the run finds it."""
    judge = summary.get("judge") or {}
    name, shots = judge.get("called") or judge.get("name") or "NAME", judge.get("shots")
    server = (judge.get("settings") or {}).get("base_url")
    return (
        f"ppdbench calibrate --judge {name}"
        + (f" --shots {shots}" if shots else "")
        + (f" --base-url {server}" if server else "")
    )


def judge_headline(summary: Mapping[str, Any]) -> Headline | None:
    """What the judge says of the model in a sentence; None where none was asked.

    By disjoint shots where they were judged: shared ones flatter the model.
    """
    cells = summary["benchmarks"].get("judge")
    if not cells:
        return None
    model, baseline = summary["model"], summary["baseline"]
    splits = [s for s in ("seen", "unseen") if cells.get(s)] or list(cells)
    shots = "disjoint" if any((cells[s] or {}).get("disjoint") for s in splits) else "shared"
    found = {split: (cells[split] or {}).get(shots) for split in splits}
    verdicts = {split: outcome(cell) for split, cell in found.items()}
    if all(v == "undefined" for v in verdicts.values()):
        reasons = [str(cell["reason"]) for cell in found.values() if cell and cell.get("reason")]
        reason = str(summary.get("withheld") or next(iter(reasons), "nothing was judged"))
        return Headline(text=f"No headline for {model} and its judge", withheld=True, reason=reason)
    words = {
        "above": "is picked over {} for {} users",
        "below": "is picked less often than {} for {} users",
        "open": "cannot be told from {} for {} users",
        "undefined": "is not judged against {} for {} users",
    }
    said = [
        text.format(baseline, " and ".join(split for split, v in verdicts.items() if v == kind))
        for kind, text in words.items()
        if kind in verdicts.values()
    ]
    return Headline(text=f"{model} {_join(said)}{_by_whom(summary)}", withheld=False)


def _by_whom(summary: Mapping[str, Any]) -> str:
    """What must be known of a judge before it is believed; nothing where all is well."""
    if (summary.get("judge") or {}).get("personal") is False:
        return ", by a judge that looks at no user"
    calibration, _ = calibration_of(summary)
    if calibration is None:
        return ", by a judge that was not calibrated"
    impersonal = calibration.get("personalised") is False
    return ", by a judge that is not personalised" if impersonal else ""


def calibration_headline(summary: Mapping[str, Any]) -> Headline | None:
    """What a calibration found in a sentence; None where there was none."""
    found = summary["benchmarks"].get("calibration")
    if not found:
        return None
    judge = str(found.get("judge") or summary["model"])
    agreed = (found.get("own") or {}).get("all_call")
    if not is_number(agreed):
        own = found.get("own") or {}
        reason = found.get("reason") or own.get("reason") or summary.get("withheld")
        return Headline(
            text=f"No headline for {judge}",
            withheld=True,
            reason=str(reason or "no answer could be compared with a choice"),
        )
    if not found.get("personalised"):
        return Headline(text=f"{judge} is not personalised", withheld=False)
    text = f"{judge} is personalised: {percent(agreed)} of its answers are the user's own choice"
    return Headline(text=text, withheld=False)


def _together(titles: Sequence[str], of: int) -> str:
    if len(titles) == of and of > 1:
        words = {2: "both", 3: "all three", 4: "all four"}
        return f"{words.get(of, f'all {of}')} rewards"
    return _join(titles)


def _join(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
