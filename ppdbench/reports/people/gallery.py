"""The gallery of people: a caption as the baseline draws it and as it is drawn for several users.

Users and captions are those that the summary names, of one group by hash, never picked by eye.
Elsewhere: the gallery of rewards' users (`gallery`), the section around it (`people.section`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ppdbench.protocols import Caption
from ppdbench.reports.gallery import Picture, picture
from ppdbench.runs.images import ImageStore
from ppdbench.runs.results import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A column: a user by number, in words."""

    name: str
    likes: str
    """What the user truly cares most for."""
    profile: str
    """What the encoder wrote of the user; empty where it writes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A row: a caption, whose it is, and its pictures: the baseline's, then each user's."""

    caption: str
    owner: str
    seed: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleGallery:
    """Rows under their users."""

    split: str
    people: tuple[Person, ...]
    rows: tuple[Wish, ...]


def people_gallery(
    store: ImageStore,
    results: Mapping[str, Result],
    summary: Mapping[str, Any],
    captions: Sequence[Caption],
) -> PeopleGallery | None:
    """Build the gallery from a run's results; None where the summary names nobody to show.

    Args:
        store: the run's images; one that cannot be read says so.
        results: its results by item.
        summary: its summary.json.
        captions: the run's captions; one that is not among them is shown by its id.
    """
    shown = summary["benchmarks"].get("personal_shown")
    if not shown:
        return None
    found = {
        (r.generator, r.user, r.caption_id): r
        for r in results.values()
        if r.benchmark == "personal" and r.sample == 0
    }
    users = shown["users"]
    names = {user["context"]: f"user {number}" for number, user in enumerate(users, start=1)}
    texts = {caption.id: caption.text for caption in captions}
    columns = [
        (summary["baseline"], None, summary["baseline"]),
        *((summary["model"], user["context"], names[user["context"]]) for user in users),
    ]
    rows = []
    for caption in shown["captions"]:
        drawn = [found.get((name, context, caption["id"])) for name, context, _ in columns]
        if not any(drawn):
            continue
        text = texts.get(caption["id"], caption["id"])
        rows.append(
            Wish(
                caption=text,
                owner=names.get(caption["owner"], "another user of the group"),
                seed=next(str(result.seed) for result in drawn if result),
                pictures=tuple(
                    picture(
                        store, result, f"{text}, drawn {'for' if user else 'by'} {label}", label
                    )
                    for result, (_, user, label) in zip(drawn, columns, strict=True)
                ),
            )
        )
    if not rows:
        return None
    return PeopleGallery(
        split=str(users[0]["split"]),
        people=tuple(
            Person(
                name=names[user["context"]],
                likes=str(user["dominant"]),
                profile=str(user["profile"] or ""),
            )
            for user in users
        ),
        rows=tuple(rows),
    )
