"""What entry.yaml, summary.json and reproduced.json of an entry may say, field by field.

Strict: an unknown field is refused, a number is no text, nothing is NaN or without bound. What is
unknown is null, with a `reason` beside it. Elsewhere: reading them within bounds (`entries.files`,
`data.plain_yaml`), whether the numbers are right (`ppdbench.leaderboard.check`).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    field_validator,
)

from ppdbench.entries.problems import shown

VERSION = 2
SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
"""Of an entry's name, which is its folder's: it leads nowhere, and needs no quoting anywhere."""
NO_FOLDER = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|.*\.", re.IGNORECASE)
"""Names that some file systems have no folder for: a board is checked out on those too."""
GROUPS = ("method", "baseline", "control")
WORDS = ("title", "group", "description", "who", "links", "licence")
"""The fields of entry.yaml that are words about the entry: anybody may mend them, then `seal`."""


def _readable(text: str) -> str:
    """Text without what steers a terminal or turns the direction of what follows."""
    if text.isprintable():  # the quick answer for nearly every text
        return text
    for letter in text:
        if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            raise ValueError(f"U+{ord(letter):04X} is no letter")
    return text


def _several_lines(text: str) -> str:
    _readable(text.replace("\n", " "))
    return text


def _slug(text: str) -> str:
    if not is_name(text):
        raise ValueError(
            "a name has letters, digits, '.', '_' and '-', 80 at most, ends in no dot and is no "
            "device's"
        )
    return text


def is_name(text: str) -> bool:
    """Whether an entry, and its folder, may be called that on any file system."""
    return bool(SLUG.fullmatch(text)) and not NO_FOLDER.fullmatch(text)


def _https(text: str) -> str:
    try:
        parts = urlsplit(text)
        plain = parts.scheme == "https" and parts.hostname and not parts.username
    except ValueError:
        plain = False
    if not plain or re.search(r"[\s<>\"'`\\{}|^]", text):
        raise ValueError("a link begins with https:// and a host")
    return text


def _json_depth(value: Any, left: int = 16) -> Any:
    """Settings are JSON: text, numbers that are finite, lists and dicts, not too deep."""
    if left == 0:
        raise ValueError("nested too deep")
    if isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} is no text")
            _json_depth(each, left - 1)
    elif isinstance(value, list):
        for each in value:
            _json_depth(each, left - 1)
    elif isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"{value} is no number")
    elif isinstance(value, int):
        if abs(value) >= 1 << 64:
            raise ValueError("a number of more than 64 bits")
    elif value is not None and not isinstance(value, str):
        raise ValueError(f"{type(value).__name__} is no JSON")
    return value


Line = Annotated[str, Field(max_length=200), AfterValidator(_readable)]
Title = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_readable)]
Text = Annotated[str, Field(max_length=4000), AfterValidator(_several_lines)]
Slug = Annotated[str, AfterValidator(_slug)]
Key = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_readable)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=10**9)]
Rate = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Settings = Annotated[dict[str, Any], AfterValidator(_json_depth)]
Date = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
UserSplit = Literal["seen", "unseen"]
Drawn = Literal["rewards", "personal"]


class Model(BaseModel):
    """Frozen, strict, without unknown fields."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class Link(Model):
    """Where to read on."""

    title: Title
    url: Annotated[str, Field(max_length=400), AfterValidator(_https)]


class About(Model):
    """The generator as it was when recorded."""

    version: Line
    revision: Line
    licence: Line
    settings: Settings
    conditions_on: list[Literal["reward_weights", "shots", "embeddings", "profile"]]
    seeded: bool
    """Whether it starts from the noise that it is told."""


class Beside(Model):
    """The baseline that it was recorded beside."""

    name: Slug
    revision: Line


class TrainingUsers(Model):
    """Who it was trained for, as its authors say: a declaration, which nobody can verify."""

    salt: Annotated[str, Field(pattern=r"^[0-9a-f]{16,64}$")]
    hashes: Annotated[
        list[Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]], Field(max_length=50_000)
    ]
    """First 16 hex digits of sha256 over salt and user id, sorted."""


class Sheet(Model):
    """The gallery: one small contact sheet."""

    file: Literal["gallery.jpg"]
    sha256: Sha256


class EntryYaml(Model):
    """entry.yaml."""

    schema_version: Literal[2]
    name: Slug
    title: Title
    group: Literal["method", "baseline", "control"]
    description: Text
    who: Annotated[list[Title], Field(max_length=40)]
    links: Annotated[list[Link], Field(max_length=20)]
    licence: Line
    model: Annotated[Line | None, Field(min_length=1)]
    """What `--model` draws it again with."""
    of: Slug | None
    """The entry of whose method it is another training seed."""
    suite: Slug
    suite_version: Line
    suite_digest: Sha256
    generator: About
    baseline: Beside
    scorers: dict[Key, Line]
    """Scorer key -> identity."""
    people: Sha256 | None
    unserved: dict[UserSplit, Count]
    """Split -> users whom it cannot serve, where there are any."""
    training_users: TrainingUsers | None
    recorded: Date
    ppdbench: Line
    n: Count
    """Records."""
    gallery: Sheet | None


class RewardFigure(Model):
    """Over the baseline, in the images that count for one reward."""

    win_rate: Rate | None
    ci_low: Rate | None
    ci_high: Rate | None
    gain: FiniteFloat | None
    """In standard deviations of the baseline's scores."""
    gain_ci_low: FiniteFloat | None
    gain_ci_high: FiniteFloat | None
    n: Count
    n_expected: Count
    reason: Line | None = None


class PersonalFigure(Model):
    """Over the baseline, in the true utility of the pictures' users."""

    win_rate: Rate | None
    ci_low: Rate | None
    ci_high: Rate | None
    n: Count
    n_users: Count
    gain: FiniteFloat | None
    """In utility."""
    gain_ci_low: FiniteFloat | None
    gain_ci_high: FiniteFloat | None
    shuffled_win_rate: Rate | None
    """Of pictures that were drawn for another user."""
    shuffled_ci_low: Rate | None
    shuffled_ci_high: Rate | None
    n_shuffled: Count
    reason: Line | None = None


class FidelityFigure(Model):
    """How many pictures show all that their caption says."""

    rate: Rate | None
    ci_low: Rate | None
    ci_high: Rate | None
    n: Count
    difference: FiniteFloat | None
    """To the baseline on the same captions, -1 to 1."""
    difference_ci_low: FiniteFloat | None
    difference_ci_high: FiniteFloat | None
    reason: Line | None = None


class Figures(Model):
    """All numbers of a board."""

    rewards: dict[Key, RewardFigure]
    rewards_gold: dict[Key, RewardFigure]
    """By the gold twin of each reward."""
    personal: dict[UserSplit, PersonalFigure]
    caption_fidelity: dict[Drawn, FidelityFigure]


class Coverage(Model):
    """Items of a benchmark."""

    n_ok: Count
    n_expected: Count


class Summary(Model):
    """summary.json."""

    schema_version: Literal[2]
    files: dict[Literal["entry.yaml", "scores.jsonl", "gallery.jpg"], Sha256]
    sealed: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]]
    """Each field of entry.yaml that is no word about it -> first 8 hex digits of its sha256."""
    n_ok: Count
    n_expected: Count
    coverage: dict[Drawn, Coverage]
    figures: Figures


class Reproduced(Model):
    """reproduced.json: the pictures were drawn again, and compared."""

    schema_version: Literal[2]
    entry_sha256: Sha256
    """`Entry.identity` of the entry as it was then."""
    date: Date
    ppdbench: Line
    device: Line
    n: Count
    """Pictures drawn again: all."""
    n_identical: Count
    """With the very hash."""
    largest_score_difference: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    """Over all that differ, in standard deviations of that score over the baseline's pictures."""
    largest_rate_difference: Rate
    """Over all rates of the board, recomputed from what was drawn again."""
    n_facts_differ: Count
    """Pictures of which the caption classifier says something else."""
    tolerance: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    check: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    """Over the fields above."""

    @field_validator("n")
    @classmethod
    def _some(cls, value: int) -> int:
        if value == 0:
            raise ValueError("nothing was compared")
        return value


def first_error(error: ValidationError) -> tuple[str, str]:
    """Field and what is wrong with it, of the first thing that is."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(part) for part in found["loc"] if part != "[key]")
    return shown(field), shown(found["msg"].removeprefix("Value error, "))
