"""What a judge's runs say in one sentence: who is picked, and whether the judge knows its users.

Elsewhere: headlines of rewards and people, and when "beats" may be said (`headline`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.reports.figures import is_number, named, points, rate
from ppdbench.reports.headline import Headline, outcome, verbal
from ppdbench.reports.quoted import Quoted, clause, joined, sample


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
    figures = [
        Quoted(
            shown=rate(cell, "win_rate"),
            of=f"for {split} users",
            sample=sample(cell, "comparisons"),
        )
        for split, cell in found.items()
    ]
    return Headline(
        text=f"{model} {joined(said)}{_by_whom(summary)}",
        withheld=False,
        figures=verbal(clause(figures, each=True), f"with {shots} shots it wins"),
    )


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
    sure = found.get("personalised")
    return Headline(
        text=f"{judge} is {'' if sure else 'not '}personalised",
        withheld=False,
        figures=_agreement(found),
    )


def _agreement(found: Mapping[str, Any]) -> str:
    """How often answers are the user's own choice, and what the user's own shots add to that."""
    own = found.get("own") or {}
    agreed = Quoted(
        shown=rate(named(own, "all_call"), "all_call"),
        of="of its answers",
        sample=sample(own, "choices"),
    )
    said = f"{clause([agreed])} are the user's own choice"
    against = (found.get("differences") or {}).get("other_shots")
    gain = Quoted(shown=points(named(against, "difference"), "difference"), of="")
    more = clause([gain])
    return f"{said}; own minus another user's shots {more}" if more else said
