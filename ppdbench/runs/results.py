"""What a run holds, item by item: the last image of each and its scores by the scorers in force.

Joins generations.jsonl and scores.jsonl. A score counts only for the image it was measured on and
the scorer whose identity scorers.json names, so an image drawn anew or a changed scorer never
meets an old number. Elsewhere: who writes the records (`ppdbench.benchmarks`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppdbench.errors import PpdbenchError
from ppdbench.runs.atomic import write_json
from ppdbench.runs.records import read_records

FIDELITY = "fidelity"
"""The scorer key of the caption classifier."""
TRUTH = "truth"
"""The scorer key of what measures the attributes that users' true tastes are about."""
SCORERS_FILE = "scorers.json"
_Numbered = tuple[Mapping[str, Any], int]
"""A record and its line."""


def reward_key(name: str) -> str:
    """The scorer key of a reward, as in scores.jsonl."""
    return f"reward:{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One item: what was drawn and what was measured on it."""

    item: str
    generator: str
    caption_id: str
    user: str | None
    sample: int
    seed: int
    image: str | None
    """sha256 of the image's file; None where drawing failed."""
    scores: Mapping[str, float]
    """Reward name -> score; a reward that failed is absent."""
    facts: Mapping[str, bool] | None
    """Fact of the caption -> drawn right; None where not measured."""
    attributes: tuple[float, ...] | None = None
    """What users' true tastes are about, as measured; None where not measured."""
    benchmark: str = "rewards"
    """Which benchmark the item was drawn for."""
    arm: str | None = None
    """Why that benchmark drew it, where it draws for several reasons."""
    errors: tuple[str, ...] = ()
    """What failed, one line each."""
    line: int | None = None
    """Its line in generations.jsonl, from 1, or of a recorded one in the entry's scores.jsonl; None
    where it was read from neither."""
    score_lines: tuple[int, ...] = ()
    """Lines of scores.jsonl that its scores were read from, from 1."""


def read_results(folder: Path) -> dict[str, Result]:
    """Item id -> its result, in the order of first drawing.

    Raises:
        PpdbenchError: a file of the run is damaged.
    """
    identities = identities_of(read_scorers(folder))
    generations = read_records(folder / "generations.jsonl")
    # The last line of an item counts.
    drawn = {record["item"]: (record, line) for line, record in enumerate(generations, start=1)}
    measured: dict[str, dict[str, _Numbered]] = {}
    for line, record in enumerate(read_records(folder / "scores.jsonl"), start=1):
        scorer, generation = record["scorer"], drawn.get(record["item"])
        if (
            generation is not None
            and generation[0]["image"] == record["image"]
            and identities.get(scorer) == record["identity"]
        ):
            measured.setdefault(record["item"], {})[scorer] = (record, line)
    return {
        item: _result(record, line, measured.get(item, {}))
        for item, (record, line) in drawn.items()
    }


def read_scorers(folder: Path) -> dict[str, dict[str, Any]]:
    """Scorer key -> its entry in scorers.json; empty where nothing was measured yet.

    An entry has `identity` (12 hex digits, None for a classifier the suite does not have) and, for
    rewards, name, title, kind, gold, checkpoint_sha256 and preprocess; for the truth, the names of
    its attributes.

    Raises:
        PpdbenchError: the file is damaged, or of another schema_version.
    """
    path = folder / SCORERS_FILE
    try:
        found = json.loads(path.read_bytes())
        scorers = found["scorers"]
        if found["schema_version"] != 1 or not all("identity" in s for s in scorers.values()):
            raise ValueError("not in the form of schema_version 1")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise PpdbenchError(
            f"{path} cannot be read: {error}",
            fix="delete that file and run the same command again; results are kept",
        ) from error
    return dict(scorers)


def write_scorers(folder: Path, scorers: Mapping[str, Mapping[str, Any]]) -> None:
    """Write scorers.json; before the first score of a scorer, so that no score lacks its maker."""
    write_json(folder / SCORERS_FILE, {"schema_version": 1, "scorers": dict(scorers)})


def rewards_of(scorers: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Reward name -> its entry, of the rewards among the scorers."""
    return {entry["name"]: entry for key, entry in scorers.items() if key not in (FIDELITY, TRUTH)}


def identities_of(scorers: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Scorer key -> identity, of the scorers that there are."""
    return {key: entry["identity"] for key, entry in scorers.items() if entry["identity"]}


def _result(record: Mapping[str, Any], line: int, measured: Mapping[str, _Numbered]) -> Result:
    errors = [f"drawing failed: {record['error']}"] if record["status"] != "ok" else []
    scores: dict[str, float] = {}
    facts, attributes = None, None
    for scorer, (score, _) in measured.items():
        if score.get("error"):
            errors.append(f"{scorer} failed: {score['error']}")
        elif scorer == FIDELITY:
            facts = score["facts"]
        elif scorer == TRUTH:
            attributes = tuple(score["attributes"])
        else:
            scores[scorer.removeprefix("reward:")] = score["score"]
    return Result(
        item=record["item"],
        generator=record["generator"],
        caption_id=record["caption_id"],
        user=record["user"],
        sample=record["sample"],
        seed=record["seed"],
        image=record["image"],
        scores=scores,
        facts=facts,
        attributes=attributes,
        benchmark=record.get("benchmark", "rewards"),
        arm=record.get("arm"),
        errors=tuple(errors),
        line=line,
        score_lines=tuple(sorted(number for _, number in measured.values())),
    )
