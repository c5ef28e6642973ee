"""Recorded curves: what checkpoints of a training gained and how far they had gone, by caption.

A suite's curves are one file, `leaderboards/<suite>/tradeoff.jsonl`: a header (which suite, beside
which baseline, by which scorers, on which captions, from how many noises each; and of each row who
it is), then one line a row and user with one number a caption, a mean over its noises, for each
thing measured. All of it counts, or none: where suite, baseline, scorers or noises are not the
run's, it is left out, and a note says why. Elsewhere: what is made of it
(`benchmarks.tradeoff.figures`), where its numbers come from (`benchmarks.tradeoff.lines`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ppdbench.entries import recorded
from ppdbench.entries.recorded import Baseline
from ppdbench.errors import PpdbenchError
from ppdbench.protocols import Checkpoint
from ppdbench.runs.atomic import write_atomic
from ppdbench.runs.json_file import finite_json
from ppdbench.runs.results import reward_key

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SCHEMA_VERSION = 1
FILE = "tradeoff.jsonl"
DIGITS = 6
"""Significant digits of what is recorded."""
MEASURED = ("divergence", "before_last", "diversity")
"""What a line has beside scores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """One caption's pictures for one user: means over the noises; what is unknown is None."""

    scores: Mapping[str, float]
    """Reward name -> score; a reward that failed on one of them is absent."""
    divergence: float | None = None
    """Nats an image."""
    before_last: float | None = None
    """Of those, what all steps but the last make."""
    diversity: float | None = None
    """Mean of 1 - cosine over pairs of noises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveRow:
    """A generator's results in benchmark `tradeoff`, caption by caption."""

    name: str
    version: str
    revision: str
    licence: str
    source: Literal["fresh", "recorded"]
    means: Mapping[str | None, Mapping[str, Means]]
    """User id, or None for nobody -> caption id -> means; captions that are not whole are absent.
    Every user that it draws for is there."""
    checkpoint: Checkpoint | None = None
    by_step: Mapping[str | None, tuple[float, ...]] = field(default_factory=dict)
    """User id -> mean nats of each step, where they are known."""
    reason: str | None = None
    """Why its divergence is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What curves must share with a run to be compared in it."""

    suite: str
    suite_version: str
    suite_digest: str
    baseline: Baseline
    scorers: Mapping[str, str]
    """Scorer key -> identity, of the rewards."""
    embedder: str | None
    """Scorer key of the reward whose image embeddings diversity is by."""
    samples: int
    """Noises a caption."""

    @property
    def rewards(self) -> list[str]:
        """Names of the rewards, in the order of the scorers."""
        return [key.removeprefix(reward_key("")) for key in self.scorers]

    def differences(self, header: Mapping[str, Any]) -> list[str]:
        """In what a file's header says otherwise, in words."""
        beside = Baseline(**header["baseline"])
        others = [
            key for key, identity in self.scorers.items() if header["scorers"].get(key) != identity
        ]
        said = {
            "they were measured on another version of the suite": (
                header["suite_digest"] != self.suite_digest
            ),
            f"they were measured beside another baseline, {beside.name} of revision "
            f"{beside.revision[:12]}; here it is {self.baseline.name} of "
            f"{self.baseline.revision[:12]}": beside != self.baseline,
            f"they were scored by another {', '.join(others)}": bool(others),
            "their diversity is by another reward's embeddings": (
                header["embedder"] != self.embedder
            ),
            f"they are from {header['samples']} noises a caption, not {self.samples}": (
                header["samples"] != self.samples
            ),
        }
        return [words for words, differs in said.items() if differs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """The curves on record that a run can be compared with."""

    rows: tuple[CurveRow, ...] = ()
    sha256: str | None = None
    """Of the file; None where there is none, or it is left out."""


def recorded_curves(
    setting: Setting,
    *,
    note: Callable[[str], None] = lambda _: None,
    root: Traversable | None = None,
) -> Curves:
    """The curves on record of a run's suite; none where they are not comparable.

    Args:
        setting: the run's own.
        note: told why they are left out, where they are.
        root: where the suites' folders lie; the installed package `leaderboards` by default.
    """
    place = (root or recorded.installed()).joinpath(setting.suite, FILE)
    if not place.is_file():
        return Curves()
    try:
        data = place.read_bytes()
        header, lines = _parsed(data)
        differing = setting.differences(header)
        if differing:
            note(f"the curves on record are left out: {differing[0]}")
            return Curves()
        rows = _rows(header, lines)
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        note(f"the curves on record are left out: {FILE} is damaged: {error!r}")
        return Curves()
    return Curves(rows=rows, sha256=hashlib.sha256(data).hexdigest())


Kept = dict[str, tuple[dict[str, Any], list[dict[str, Any]]]]
"""Row name -> its part of the header, and its lines."""


def write_curves(
    folder: Path, setting: Setting, captions: Sequence[str], rows: Sequence[CurveRow], date: str
) -> Path:
    """Put rows on record in `folder`, in the place of those of the same names; returns the file.

    Args:
        folder: the suite's, such as leaderboards/shapes.
        setting: under which they were measured.
        captions: ids of those that they were measured on.
        rows: of these captions; one that a row lacks is left blank.
        date: of the recording, ISO 8601.

    Raises:
        PpdbenchError: the file there is damaged, or holds curves of another setting.
    """
    path = folder / FILE
    kept = _kept(path, setting, captions) if path.is_file() else {}
    for row in rows:
        kept[row.name] = (_about(row, date), _lines(row, setting.rewards, captions))
    header = {
        "schema_version": SCHEMA_VERSION,
        **asdict(setting),
        "captions": list(captions),
        "rows": {name: about for name, (about, _) in sorted(kept.items())},
        "n": sum(len(lines) for _, lines in kept.values()),
    }
    text = [header, *(line for _, (_, lines) in sorted(kept.items()) for line in lines)]
    packed = (json.dumps(line, allow_nan=False, separators=(",", ":")) for line in text)
    write_atomic(path, "".join(f"{line}\n" for line in packed))
    return path


def _kept(path: Path, setting: Setting, captions: Sequence[str]) -> Kept:
    """What a file that is there holds."""
    fix = f"move {path} away, and record all curves anew"
    try:
        header, lines = _parsed(path.read_bytes())
        differing = setting.differences(header)
        if list(header["scorers"]) != list(setting.scorers):
            differing.append("they were scored by other rewards")
        if header["captions"] != list(captions):
            differing.append("they are of other captions")
        kept: Kept = {name: (about, []) for name, about in header["rows"].items()}
        for line in lines:
            kept[line["row"]][1].append(line)
    except (OSError, ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise PpdbenchError(f"{path} is damaged: {error!r}", fix=fix) from error
    if differing:
        raise PpdbenchError(f"{path} holds curves of another run: {differing[0]}", fix=fix)
    return kept


def _parsed(data: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Header and lines of a file.

    Raises:
        ValueError: it has another schema, or is not whole.
    """
    header, *lines = [finite_json(line) for line in data.splitlines()]
    if header["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"it has schema_version {header['schema_version']}")
    if len(lines) != header["n"]:
        raise ValueError(f"{len(lines)} of {header['n']} lines")
    return header, lines


def _rows(header: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> tuple[CurveRow, ...]:
    means: dict[str, dict[str | None, dict[str, Means]]] = {
        name: {each["user"]: {} for each in about["users"]}
        for name, about in header["rows"].items()
    }
    rewards = [key.removeprefix(reward_key("")) for key in header["scorers"]]
    for line in lines:
        means[line["row"]][line["user"]] = _means(line, rewards, header["captions"])
    return tuple(
        CurveRow(
            name=name,
            **{key: about[key] for key in ("version", "revision", "licence", "reason")},
            source="recorded",
            means=means[name],
            checkpoint=Checkpoint(**about["checkpoint"]) if about["checkpoint"] else None,
            by_step={
                each["user"]: tuple(each["by_step"]) for each in about["users"] if each["by_step"]
            },
        )
        for name, about in header["rows"].items()
    )


def _about(row: CurveRow, date: str) -> dict[str, Any]:
    """A row's part of the header."""
    return {
        "version": row.version,
        "revision": row.revision,
        "licence": row.licence,
        "checkpoint": asdict(row.checkpoint) if row.checkpoint else None,
        "users": [
            {"user": user, "by_step": [_short(x) for x in row.by_step.get(user, ())] or None}
            for user in row.means
        ],
        "reason": row.reason,
        "recorded": date,
    }


def _lines(row: CurveRow, rewards: Sequence[str], captions: Sequence[str]) -> list[dict[str, Any]]:
    """A row's lines: lists over captions, null where something is unknown.

    Lists of scores are in the order of the header's scorers.
    """
    blank = Means(scores={})
    found = []
    for user, lines in row.means.items():
        means = [lines.get(caption, blank) for caption in captions]
        found.append(
            {
                "row": row.name,
                "user": user,
                "scores": [[_short(each.scores.get(r)) for each in means] for r in rewards],
                **{name: [_short(getattr(each, name)) for each in means] for name in MEASURED},
            }
        )
    return found


def _means(
    line: Mapping[str, Any], rewards: Sequence[str], captions: Sequence[str]
) -> dict[str, Means]:
    """Caption id -> means of a line, without captions of which nothing is known.

    Raises:
        ValueError: a list is not of all captions.
    """
    columns = [*line["scores"], *(line[name] for name in MEASURED)]
    found = {}
    for caption, *numbers in zip(captions, *columns, strict=True):
        if not all(number is None or isinstance(number, int | float) for number in numbers):
            raise ValueError(f"a number of {caption!r} is none")
        scores, measured = numbers[: len(rewards)], numbers[len(rewards) :]
        if any(number is not None for number in numbers):
            known = zip(rewards, scores, strict=True)
            found[caption] = Means(
                scores={reward: score for reward, score in known if score is not None},
                **dict(zip(MEASURED, measured, strict=True)),
            )
    return found


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
