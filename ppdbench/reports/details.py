"""What stands around a run's figures: systems, scorers, times, settings, and the paper's figures.

Pure functions of summary.json, as `page` is for the figures themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ppdbench.protocols import PaperRow
from ppdbench.reports.figures import duration, is_number
from ppdbench.reports.headline import reward_title
from ppdbench.runs.fingerprint import flat

Summary = Mapping[str, Any]


def paper(rows: Sequence[PaperRow], summary: Summary) -> dict[str, Any] | None:
    """The paper's own figures, as printed there."""
    keys = list(dict.fromkeys(key for row in rows for key in row.values))
    if not keys:
        return None
    return {
        "columns": [reward_title(summary, key) for key in keys],
        "rows": [
            (row.row, [f"{row.values[key]:g}" if key in row.values else "" for key in keys])
            for row in rows
        ],
    }


def times(summary: Summary) -> dict[str, Any] | None:
    """Seconds by stage, with each one's share of the whole."""
    seconds = {k: float(v) for k, v in (summary.get("seconds") or {}).items() if is_number(v)}
    total = sum(seconds.values())
    if total <= 0:
        return None
    return {
        "total": duration(total),
        "stages": [
            {"name": name, "text": duration(value), "share": round(100 * value / total, 2)}
            for name, value in seconds.items()
        ],
    }


def source(summary: Summary, generator: str) -> str:
    """Whether a generator's results are of this run ("fresh") or "recorded"; empty if unsaid."""
    return str((summary.get("generators") or {}).get(generator, {}).get("source") or "")


def generators(summary: Summary) -> list[dict[str, Any]]:
    """Who the systems are: version, revision, licence, coverage and settings of each."""
    found = []
    for name, info in (summary.get("generators") or {}).items():
        known = {key: info.get(key) for key in ("version", "revision", "licence")}
        if info.get("n_expected") is not None:
            known["items"] = f"{info.get('n_ok')} of {info['n_expected']}"
        found.append(
            {
                "name": name,
                "source": source(summary, name),
                "facts": facts(known),
                "settings": facts(info.get("settings") or {}),
            }
        )
    return found


def rewards(summary: Summary) -> list[dict[str, str]]:
    """Who the scorers are."""
    return [
        {
            "title": str(info.get("title") or name),
            "kind": ", ".join(
                str(info[key]) for key in ("kind", "architecture", "precision") if info.get(key)
            ),
            "gold": "yes" if info.get("gold") else "no",
            "checkpoint": str(info.get("checkpoint_sha256") or ""),
            "preprocess": str(info.get("preprocess") or ""),
        }
        for name, info in (summary.get("rewards") or {}).items()
    ]


def facts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Nested settings as (dotted name, text), without what is empty."""
    return [(name, _plain(value)) for name, value in flat(values) if value not in (None, {})]


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
