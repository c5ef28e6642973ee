"""Some verdicts with all that the judge saw: the user's shots, both pictures, both orders, reasons.

They are those that the summary names, never picked by eye. In order 0 the model's picture is shown
first. Elsewhere: the section around them (`judge.section`), other galleries (`gallery`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ppdbench.errors import PpdbenchError
from ppdbench.reports.figures import is_number, percent
from ppdbench.reports.gallery import Picture, file_picture
from ppdbench.reports.judge.bill import STATUSES
from ppdbench.reports.shown_records import original
from ppdbench.runs.images import ImageStore
from ppdbench.runs.results import Result

SHOT_FILE = re.compile(r"(images|shots)/[0-9a-f]{64}\.png")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenShot:
    """One of the user's choices as the judge was shown it."""

    caption: str
    preferred: Picture
    dispreferred: Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the judge said in one order."""

    first: str
    """Whose picture was shown first."""
    picked: str
    p_first: str
    """How likely it holds that the user picks the first; empty where it does not say."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownVerdict:
    """One comparison."""

    caption: str
    split: str
    user: str
    shots: tuple[SeenShot, ...]
    pictures: tuple[Picture, ...]
    """The model's and the baseline's."""
    answers: tuple[Answer, ...]
    outcome: str
    truth: str
    """Which picture the user truly likes better; empty where it is not known."""


def verdicts(
    run_dir: Path, results: Mapping[str, Result], summary: Mapping[str, Any]
) -> tuple[ShownVerdict, ...]:
    """The verdicts that a summary shows, in its order; a missing image does not raise.

    Args:
        run_dir: the run's folder, with images/ and shots/.
        results: its results by item.
        summary: its summary.json.
    """
    items = {(r.generator, r.caption_id, r.image): r.item for r in results.values()}
    return tuple(
        _shown(run_dir, items, summary["model"], summary["baseline"], found)
        for found in summary["benchmarks"].get("judge_shown") or []
    )


def _shown(
    run_dir: Path,
    items: Mapping[tuple[str, str, str | None], str],
    model: str,
    baseline: str,
    found: Mapping[str, Any],
) -> ShownVerdict:
    caption = str(found.get("caption") or found.get("caption_id") or "")
    store = ImageStore(run_dir / "images")

    def drawn(key: str, name: str) -> Picture:
        sha256 = str(found.get(key) or "")
        shown = file_picture(partial(store.read, sha256), f"{caption}, drawn by {name}", name)
        item = items.get((name, str(found.get("caption_id") or ""), sha256), "")
        return replace(shown, item=item, file=original(sha256) if shown.uri else "")

    return ShownVerdict(
        caption=caption,
        split=str(found.get("split") or ""),
        user=str(found.get("user") or ""),
        shots=tuple(
            SeenShot(
                caption=str(shot.get("caption") or ""),
                preferred=_of_run(run_dir, shot, "preferred"),
                dispreferred=_of_run(run_dir, shot, "dispreferred"),
            )
            for shot in found.get("shots") or []
        ),
        pictures=(drawn("model_image", model), drawn("baseline_image", baseline)),
        answers=tuple(_answer(model, baseline, each) for each in found.get("verdicts") or []),
        outcome=_said(
            found.get("outcome"),
            (f"counts for {model}", "counts half for each", f"counts for {baseline}"),
            "does not count",
        ),
        truth=_said(found.get("truth"), (f"{model}'s", "both alike", f"{baseline}'s"), ""),
    )


def _said(outcome: Any, words: tuple[str, str, str], unknown: str) -> str:
    """An outcome of 1, 0.5 or 0 in words."""
    if not is_number(outcome):
        return unknown
    return words[0 if outcome > 0.5 else 2 if outcome < 0.5 else 1]


def _of_run(run_dir: Path, shot: Mapping[str, Any], which: str) -> Picture:
    """An image of a shot, by its path in the run's folder; nothing outside is read."""

    def read() -> bytes:
        path = (run_dir / str(shot.get(which) or "")).resolve()
        if not path.is_relative_to(run_dir.resolve()):
            raise PpdbenchError(f"{path} is no file of the run", fix="run the same command again")
        return path.read_bytes()

    shown = file_picture(read, f"{shot.get('caption')}, {which}", which)
    name = str(shot.get(which) or "")
    return replace(shown, file=name if shown.uri and SHOT_FILE.fullmatch(name) else "")


def _answer(model: str, baseline: str, found: Mapping[str, Any]) -> Answer:
    names = (model, baseline) if found.get("order") == 0 else (baseline, model)
    status = str(found.get("status") or "ok")
    if status == "ok":
        picked = {
            "first": f"picks the first: {names[0]}",
            "second": f"picks the second: {names[1]}",
        }.get(str(found.get("choice")), "cannot tell")
    else:
        picked = f"no answer: {STATUSES.get(status, status)}"
    return Answer(
        first=names[0],
        picked=picked,
        p_first=percent(found.get("p_first"), 0),
        reason=str(found.get("reason") or ""),
    )
