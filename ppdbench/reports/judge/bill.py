"""Who judged and what it took: calls, answers, tokens, dollars, seconds, and who really answered.

A pure function of summary.json, for runs of `ppdbench judge` and `ppdbench calibrate` alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppdbench.reports.details import facts
from ppdbench.reports.figures import count, is_number

STATUSES = {
    "ok": "answered",
    "parse_error": "not understood",
    "refusal": "refused",
    "api_error": "failed",
}


def judge_bill(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the template prints; None where nothing was judged."""
    judge = summary.get("judge")
    if not judge:
        return None
    return {
        "name": str(judge.get("name") or "the judge"),
        "rows": [(name, text) for name, text in _rows(judge) if text],
        "settings": facts(judge.get("settings") or {}),
    }


def dollars(value: Any) -> str:
    """US dollars, to a hundredth of a cent where it is little; empty if it is no number."""
    if not is_number(value):
        return ""
    if value == 0:
        return "nothing"
    return f"${value:,.2f}" if value >= 1 else f"${value:.4f}"


def calls(judge: Mapping[str, Any]) -> str:
    """Calls, and how often the judge was really asked: verdicts at hand are not asked for."""
    total, asked = judge.get("calls"), judge.get("asked")
    if not is_number(total) or not is_number(asked):
        return count(total)
    if not total:
        return "none"
    if not asked:
        return f"{count(total)}, all from the cache"
    if asked == total:
        return f"{count(total)}, each asked once"
    return f"{count(total)}: asked {count(asked)} times, failed tries included; else from the cache"


def statuses(judge: Mapping[str, Any]) -> str:
    """What became of the calls."""
    found = judge.get("statuses") or {}
    return ", ".join(
        f"{STATUSES.get(name, name)} {n:,}" for name, n in found.items() if is_number(n) and n
    )


def models(judge: Mapping[str, Any]) -> str:
    """Models that say they answered, and how often."""
    found = judge.get("models") or {}
    return ", ".join(f"{name} ({n:,} calls)" for name, n in found.items() if is_number(n))


def _rows(judge: Mapping[str, Any]) -> list[tuple[str, str]]:
    personal = judge.get("personal")
    seconds = judge.get("seconds_p50")
    return [
        ("judge", str(judge.get("name") or "")),
        ("revision", str(judge.get("revision") or "")),
        (
            "looks at the user's shots",
            "yes" if personal is True else "no: it is a control" if personal is False else "",
        ),
        ("shots shown", str(judge["shots"]) if is_number(judge.get("shots")) else ""),
        ("calls", calls(judge)),
        ("what became of them", statuses(judge)),
        ("models that answered", models(judge)),
        ("tokens", _tokens(judge)),
        ("cost", dollars(judge.get("cost"))),
        ("median time of a call", _seconds(seconds)),
    ]


def _tokens(judge: Mapping[str, Any]) -> str:
    found = [(judge.get(f"tokens_{way}"), way) for way in ("in", "out")]
    if not any(is_number(n) and n for n, _ in found):
        return ""
    return ", ".join(f"{n:,} {way}" for n, way in found if is_number(n))


def _seconds(value: Any) -> str:
    """A latency: milliseconds below a second."""
    if not is_number(value):
        return ""
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s"
