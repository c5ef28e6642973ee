"""Two columns of scores to a verdict: how far apart they are, and whether errors would show.

Differences are in cosine, whatever unit a score is published in: PickScore is a hundred cosines,
the aesthetic score a vector's length times the cosine with that vector.
Elsewhere: which columns (`run`).
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pictures import Picture
from side import Answer

TOLERANCE = 1e-5
"""In cosine, fp32."""
FEWEST = 64
"""Pictures compared."""
ERROR_FACTOR = 10.0
"""A deliberate error moves the median score by at least so many tolerances."""
ERROR_PICTURES = 8

Answers = Mapping[str, Answer]


@dataclass(slots=True)
class Verdict:
    """What is recorded of one check; `misses` says in words which bars were missed."""

    record: dict[str, Any]
    misses: list[str] = field(default_factory=list)


def compare(
    pictures: Sequence[Picture], original: Answers, ours: Answers, *, unit: float, our_unit: float
) -> Verdict:
    """Hold our scores against the original's.

    Args:
        pictures: all that both sides were asked for.
        original: the original's answers.
        ours: our answers.
        unit: what a cosine of 1 is worth in the original's score.
        our_unit: the same in ours.
    """
    apart = {
        picture.file_name: abs(_score(ours, picture) / our_unit - _score(original, picture) / unit)
        for picture in pictures
        if _scored(original, picture) and _scored(ours, picture)
    }
    unread = [picture for picture in pictures if not _scored(original, picture)]
    failed = [picture for picture in pictures if not _scored(ours, picture)]
    by_kind: defaultdict[str, float] = defaultdict(float)
    for picture in pictures:
        if picture.file_name in apart:
            by_kind[picture.kind] = max(by_kind[picture.kind], apart[picture.file_name])
    # One that is no number is the worst of all; `max` alone would pass it over.
    worst = max(apart.values(), key=lambda gap: (math.isnan(gap), gap), default=math.nan)
    verdict = Verdict(
        {
            "n_pictures": len(pictures),
            "n_compared": len(apart),
            "tolerance_cosine": TOLERANCE,
            "max_difference_cosine": _short(worst),
            "median_difference_cosine": _short(statistics.median(apart.values() or [worst])),
            "max_difference_in_our_score": _short(worst * our_unit),
            "max_difference_cosine_by_kind": {k: _short(by_kind[k]) for k in sorted(by_kind)},
            "beyond_tolerance": [
                {**_named(p), "caption": p.caption, "difference_cosine": _short(apart[p.file_name])}
                for p in pictures
                if apart.get(p.file_name, 0) > TOLERANCE
            ],
            "unread_by_original": [
                {**_named(p), "original": original[p.file_name].error, "ours": _result(ours, p)}
                for p in unread
            ],
            "failed_by_ours": [{**_named(p), "ours": ours[p.file_name].error} for p in failed],
        }
    )
    if not worst <= TOLERANCE:
        verdict.misses.append(f"differs by {worst:.2g} in cosine, tolerance {TOLERANCE:g}")
    if len(apart) < FEWEST:
        verdict.misses.append(f"{len(apart)} pictures compared, fewer than {FEWEST}")
    if failed:
        verdict.misses.append(f"ours failed at {len(failed)} pictures")
    return verdict


def affected_by_errors(pictures: Sequence[Picture]) -> list[Picture]:
    """The first few that every deliberate error can move: RGB, oblong, and much to be shrunk."""
    able = [
        picture
        for picture in pictures
        if picture.kind in ("rgb-png", "rgb-jpeg")
        and max(picture.width, picture.height) > 400
        and max(picture.width, picture.height) >= 1.2 * min(picture.width, picture.height)
    ]
    return able[:ERROR_PICTURES]


def moved(
    pictures: Sequence[Picture], right: Answers, wrong: Answers, *, unit: float
) -> dict[str, Any]:
    """How far a change of the original moves its own scores, in tolerances and in cosine."""
    shifts = [
        abs(_score(wrong, picture) - _score(right, picture)) / unit
        for picture in pictures
        if _scored(wrong, picture) and _scored(right, picture)
    ]
    if not shifts:
        return {"n": 0}
    summary = {"min": min(shifts), "median": statistics.median(shifts), "max": max(shifts)}
    return {
        "n": len(shifts),
        "cosine": {name: _short(value) for name, value in summary.items()},
        "tolerances": {name: round(value / TOLERANCE, 1) for name, value in summary.items()},
    }


def add_error(verdict: Verdict, name: str, found: dict[str, Any]) -> None:
    """Record what a deliberate error does, and that it would be caught."""
    verdict.record.setdefault("deliberate_errors", {})[name] = found
    factor = found["tolerances"]["median"] if found["n"] else 0.0
    if factor < ERROR_FACTOR:
        verdict.misses.append(f"{name} moves the median by {factor:g} tolerances only")


def _short(value: float) -> float:
    """Three significant digits: a difference has no more."""
    return float(f"{value:.3g}")


def _named(picture: Picture) -> dict[str, Any]:
    return {"file_name": picture.file_name, "size": [picture.width, picture.height]}


def _scored(answers: Answers, picture: Picture) -> bool:
    return answers[picture.file_name].score is not None


def _score(answers: Answers, picture: Picture) -> float:
    score = answers[picture.file_name].score
    return math.nan if score is None else score


def _result(answers: Answers, picture: Picture) -> float | str | None:
    answer = answers[picture.file_name]
    return answer.error if answer.score is None else answer.score
