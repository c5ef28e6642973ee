"""Where each picture of a page comes from: its item's record, with the file and line that hold it.

A picture says its item; the records are listed at the end of the page, an anchor each. Elsewhere:
the pictures (`gallery`, `extremes`, `people.gallery`, `judge.verdicts`), the records
(`runs.results`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ppdbench.reports.figures import decimals_for, number
from ppdbench.reports.headline import reward_title
from ppdbench.runs.results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRecord:
    """One item as it is on file."""

    anchor: str
    """The id of its place on the page."""
    number: int
    item: str
    generator: str
    seed: str
    sha256: str
    file: str
    """The original beside the page; empty where there is none."""
    scores: tuple[tuple[str, str], ...]
    """(scorer as printed, score)."""
    facts: str
    """Of the caption: what is drawn right and what is not; empty where that is not measured."""
    places: tuple[tuple[str, str], ...]
    """(file, lines)."""

    @property
    def said(self) -> str:
        """All scores in a line."""
        return " · ".join(f"{title} {score}" for title, score in self.scores)


def original(sha256: str | None) -> str:
    """The path of an image beside the page; empty where the name is no hash."""
    name = sha256 or ""
    sound = len(name) == 64 and set(name) <= set("0123456789abcdef")
    return f"images/{name}.png" if sound else ""


def shown_records(
    results: Mapping[str, Result], items: Iterable[str], summary: Mapping[str, Any]
) -> dict[str, ShownRecord]:
    """Item -> its record, each item once, in the order of the page.

    Args:
        results: the run's.
        items: those whose pictures are shown; one that has no result is left out.
        summary: the run's, for the titles of rewards.
    """
    wanted = [results[item] for item in dict.fromkeys(items) if item in results]
    return {
        result.item: _record(result, number, summary)
        for number, result in enumerate(wanted, start=1)
    }


def _record(result: Result, number_: int, summary: Mapping[str, Any]) -> ShownRecord:
    places = [("generations.jsonl", _lines([result.line] if result.line else []))]
    places.append(("scores.jsonl", _lines(result.score_lines)))
    facts = result.facts or {}
    wrong = [fact for fact, right in facts.items() if not right and fact != "all"]
    return ShownRecord(
        anchor=f"record-{number_}",
        number=number_,
        item=result.item,
        generator=result.generator,
        seed=str(result.seed),
        sha256=result.image or "",
        file=original(result.image),
        scores=tuple(
            (reward_title(summary, name), number(score, decimals_for([score])))
            for name, score in result.scores.items()
        ),
        facts="" if not facts else f"wrong: {', '.join(wrong)}" if wrong else "all right",
        places=tuple((file, lines) for file, lines in places if lines),
    )


def _lines(numbers: Sequence[int]) -> str:
    """Lines as "7" or "12, 15-18"."""
    runs: list[list[int]] = []
    for line in numbers:
        if runs and line == runs[-1][-1] + 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    return ", ".join(
        str(run[0]) if len(run) == 1 else f"{run[0]}\N{EN DASH}{run[-1]}" for run in runs
    )
