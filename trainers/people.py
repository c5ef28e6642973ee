"""Examples whose user is a person: each pair under an embedding of that person's other choices.

A person's usable pairs fall into disjoint groups of shots, and each group has an embedding. A pair
is learnt under one of those of its own user, drawn anew each time, and never under a group that
shows the pair itself, its caption or one of its pictures; the winner is the user's own. Elsewhere:
the embeddings (`encoded/embeddings.py`), the draw (`training/draws.py`,
`examples.Examples.user_rows`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppdbench.data.shot_groups import disjoint_groups
from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import EncoderInfo, PreferencePair, Split, UserEncoder
from trainers.adapters.header import Embedding
from trainers.config import UsersConfig
from trainers.encoded.embeddings import ShotGroup
from trainers.encoded.latents import LatentCache
from trainers.examples import NO_ROW, Examples
from trainers.training.recipe import Recipe
from trainers.training.steps import StepFunction
from trainers.training.workshop import Workshop

PEOPLE = "people"
STD_FLOOR = 0.01
"""A number's standard deviation counts as at least this share of the mean one: a number that is
the same for everybody would otherwise be all noise."""
COLUMNS = 3
"""People for whom the validation grid is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Whose N pairs those of a file are, row by row of its latent cache."""

    users: tuple[str, ...]
    """(N,) user ids."""
    margin: NDArray[np.float64]
    """(N,) label of image 1 less label of image 0: 0 is a tie."""
    same: NDArray[np.bool_]
    """(N,) both images are one picture."""
    caption: NDArray[np.int64]
    """(N,) equal for equal captions."""
    pictures: NDArray[np.int64]
    """(N, 2) equal for equal images."""
    groups: tuple[ShotGroup, ...]
    """Disjoint groups of pairs, user by user."""

    @property
    def usable(self) -> Counter[str]:
        """User id -> pairs in which one of two pictures is preferred, in order of the first."""
        decided = (self.margin != 0) & ~self.same
        return Counter(self.users[row] for row in np.flatnonzero(decided))


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """The training people: their embeddings, and what was learnt of how these are spread."""

    encoder: EncoderInfo
    groups: tuple[ShotGroup, ...]
    """(U,) what each embedding is made of, user by user."""
    embedding: Embedding
    vectors: NDArray[np.float32]
    """(U, dim) user vectors: the embeddings, normalised."""

    @property
    def rows(self) -> dict[str, tuple[int, int]]:
        """User id -> first row of `vectors`, and how many."""
        count = Counter(group.user for group in self.groups)
        first = np.cumsum([0, *count.values()])
        return {user: (int(at), count[user]) for user, at in zip(count, first, strict=False)}


def recipe(
    shop: Workshop, encoder: UserEncoder, step: StepFunction, facts: Mapping[str, Any]
) -> Recipe:
    """The recipe of a method that learns from people: `step` on each one's own choices.

    Raises:
        MissingPrerequisite: nobody's pairs can be learnt from, or the encoder cannot start.
    """
    choices = choices_of(shop.cache("train"), shop.config.users.shots)
    people = meet(shop, encoder, choices)
    train = training_examples(people, choices, shots=shop.config.users.shots)
    taught = _taught(train, choices)
    shop.events.note(
        f"{len(taught)} people, {len(people.groups)} embeddings by {people.encoder.name}"
    )

    def examples(split: Split) -> Examples:
        if split == "train":
            return train
        others = choices_of(shop.cache(split), shop.config.users.shots)
        return held_out_examples(people, others)

    return Recipe(
        examples=examples,
        step=step,
        user_vector="embedding",
        embedding=people.embedding,
        columns=_columns(people),
        facts={
            **facts,
            "users": {
                "count": len(taught),
                "digest": users_digest(taught),
                "encoder": people.encoder.name,
                "shots": shop.config.users.shots if _reads_shots(people.encoder) else 0,
                "embeddings": len(people.groups),
            },
        },
    )


def meet(shop: Workshop, encoder: UserEncoder, choices: Choices) -> People:
    """Embed the people of the training pairs.

    Raises:
        MissingPrerequisite: the encoder knows none of them.
    """
    info, users = encoder.info, shop.config.users
    wanted = wanted_groups(choices, info, users)
    embeddings, known = shop.embeddings(encoder, wanted) if wanted else (None, np.array([]))
    if embeddings is None or not known.any():
        raise MissingPrerequisite(
            f"the training pairs have no user whom {info.name} can embed",
            fix="give pair data with at least five decided pairs of one user, or another encoder",
        )
    embedding = spread(info, embeddings[known])
    return People(
        encoder=info,
        groups=tuple(group for group, served in zip(wanted, known, strict=True) if served),
        embedding=embedding,
        vectors=embedding.normalised(embeddings[known]),
    )


def wanted_groups(choices: Choices, info: EncoderInfo, users: UsersConfig) -> list[ShotGroup]:
    """Of whom, and of which of their pairs, an embedding is made; whoever has too few has none."""
    enough = [user for user, n in choices.usable.items() if n >= _fewest(info, users.shots)]
    if not _reads_shots(info):
        return [ShotGroup(user, ()) for user in enough]
    most = None if users.groups == "all" else users.groups
    own: dict[str, list[ShotGroup]] = {user: [] for user in enough}
    for group in choices.groups:
        own.get(group.user, []).append(group)
    return [group for groups in own.values() for group in groups[:most]]


def choices_of(cache: LatentCache, shots: int) -> Choices:
    """Whose the pairs of a cache are, grouped in `shots`; no image is read.

    Raises:
        ValueError: the cache was made without what is known of its pairs.
    """
    user, ids, different, pictures = cache.user, cache.id, cache.different, cache.pictures
    if user is None or ids is None or different is None or pictures is None:
        raise ValueError("a cache of people's pairs says whose they are")
    names = {number: str(number) for number in np.unique(user).tolist()}
    users = tuple(names[number] for number in user.tolist())
    same = ~different | (pictures[:, 0] == pictures[:, 1])
    row_of: dict[tuple[str, str], int] = {}

    def usable() -> Iterator[PreferencePair]:
        for row in np.flatnonzero((cache.label_margin != 0) & ~same).tolist():
            pair = PreferencePair(
                id=str(ids[row]),
                caption=cache.captions[int(cache.caption[row])],
                image_0=pictures[row, 0].tobytes(),  # equal where the images are
                image_1=pictures[row, 1].tobytes(),
                label_0=float(cache.label_margin[row] < 0),
                label_1=float(cache.label_margin[row] > 0),
                user_id=int(user[row]),
            )
            row_of.setdefault((users[row], pair.id), row)
            yield pair

    groups = disjoint_groups(usable(), shots)
    return Choices(
        users=users,
        margin=cache.label_margin,
        same=same,
        caption=cache.caption,
        pictures=pictures,
        groups=tuple(
            ShotGroup(name, tuple(row_of[name, pair] for pair in group))
            for name, own in groups.items()
            for group in own
        ),
    )


def training_examples(people: People, choices: Choices, *, shots: int) -> Examples:
    """The table of the pairs that the embeddings were made of, too.

    Raises:
        MissingPrerequisite: no pair is left.
    """
    shown = _shown(people.groups, choices)
    return _table(people, choices, shown, _fewest(people.encoder, shots))


def held_out_examples(people: People, choices: Choices) -> Examples:
    """The table of other pairs of the training people, under any of their embeddings.

    Raises:
        MissingPrerequisite: no pair is left.
    """
    return _table(people, choices, {}, 1)


def spread(encoder: EncoderInfo, embeddings: NDArray[np.float32]) -> Embedding:
    """Mean and standard deviation of each number of embeddings (U, dim)."""
    std = embeddings.std(0, dtype=np.float64)
    floor = max(STD_FLOOR * float(std.mean()), 1e-6)
    return Embedding(
        encoder=encoder.name,
        revision=encoder.revision,
        mean=tuple(embeddings.mean(0, dtype=np.float64).tolist()),
        std=tuple(np.maximum(std, floor).tolist()),
    )


def users_digest(users: Iterable[str]) -> str:
    """sha256 over the sorted user ids."""
    return hashlib.sha256("\n".join(sorted(users)).encode()).hexdigest()


def _table(
    people: People, choices: Choices, shown: Mapping[str, Mapping[int, int]], fewest: int
) -> Examples:
    """A line for each usable pair of the people who have `fewest` of them."""
    rows, usable = people.rows, choices.usable
    lines: list[tuple[int, int, int, int]] = []
    barred: list[list[int]] = []
    left_out = Counter[str]()
    for row, user in enumerate(choices.users):
        if reason := _undecided(choices, row):
            left_out[reason] += 1
        elif usable[user] < fewest:
            left_out[f"of a user with fewer than {fewest} pairs"] += 1
        elif user not in rows:
            left_out["of a user without an embedding"] += 1
        else:
            (first, count), own = rows[user], shown.get(user, {})
            telling = {own[thing] for thing in _content(choices, row) if thing in own}
            if len(telling) == count:
                left_out["shown in all shots of its user"] += 1
                continue
            lines.append((row, int(choices.margin[row] > 0), first, count))
            barred.append(list(telling))
    if not lines:
        reasons = ", ".join(f"{count} {why}" for why, count in sorted(left_out.items()))
        raise MissingPrerequisite(
            f"no pair of the people is left: {reasons}",
            fix="give pair data with at least five decided pairs of one user",
        )
    pair, winner, first_rows, counts = np.array(lines).T
    most = max(map(len, barred))
    padded = [numbers + [NO_ROW] * (most - len(numbers)) for numbers in barred]
    return Examples(
        pair=pair,
        winner=winner,
        user=first_rows,
        users=people.vectors,
        names=(PEOPLE,),
        left_out={PEOPLE: dict(sorted(left_out.items()))},
        vectors=counts,
        barred=np.array(padded, np.int64) if most else None,
    )


def _taught(examples: Examples, choices: Choices) -> list[str]:
    """The users of whom there is an example."""
    return sorted({choices.users[row] for row in examples.pair})


def _undecided(choices: Choices, row: int) -> str | None:
    """Why nothing is preferred in a pair, or None."""
    if choices.margin[row] == 0:
        return "tie"
    return "of one picture twice" if choices.same[row] else None


def _content(choices: Choices, row: int) -> list[int]:
    """What a pair shows, as numbers: its pictures, and its caption below zero."""
    return [-1 - int(choices.caption[row]), *map(int, choices.pictures[row])]


def _shown(groups: Sequence[ShotGroup], choices: Choices) -> dict[str, dict[int, int]]:
    """User -> what the user's groups show -> which group; no two of them show the same."""
    found: dict[str, dict[int, int]] = {}
    for number, group in enumerate(groups):
        own = found.setdefault(group.user, {})
        own |= {content: number for row in group.rows for content in _content(choices, row)}
    return found


def _columns(people: People) -> dict[str, NDArray[np.float32]]:
    """User id -> user vector of some people, spread over all."""
    rows = list(people.rows.items())
    chosen = rows[:: max(1, len(rows) // COLUMNS)][:COLUMNS]
    return {user: people.vectors[first] for user, (first, _) in chosen}


def _reads_shots(encoder: EncoderInfo) -> bool:
    return encoder.uses == "shots"  # who is known by id is so here: these are the training people


def _fewest(encoder: EncoderInfo, shots: int) -> int:
    """Usable pairs of a user from which something can be learnt: the shots, and one more."""
    return shots + 1 if _reads_shots(encoder) else 1
