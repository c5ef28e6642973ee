"""The probe of the paper's claim: user embeddings represent rewards under Bradley-Terry.

A bilinear probe learns from training users, each pair with embeddings of the user's other groups,
and guesses held-out choices of other users from the embedding of four shots. Beside it stand the
suite's ceiling, and the same probe given somebody else's embedding: what is right without knowing
the user. Elsewhere: the probe (`users.bilinear_probe`), ceilings (`protocols.Truth`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ppdbench.benchmarks.users.bilinear_probe import Choices, Floats, Probe, fit_probe, right
from ppdbench.benchmarks.users.groups import READS_IDS
from ppdbench.data.images import decode_image
from ppdbench.data.shot_groups import group_for
from ppdbench.protocols import Events, People, PreferencePair, UserEncoder, UserSplit
from ppdbench.statistics.intervals import cluster_bootstrap_mean
from ppdbench.statistics.paired import paired_difference

if TYPE_CHECKING:
    from PIL.Image import Image

Features = Callable[[Sequence["Image"]], Floats]
"""Images -> (N, F): `Truth.measure`, or the image embeddings of a CLIP."""
BATCH = 256
"""Pairs decoded at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Held-out choices, and what their users truly prefer where that is known."""

    choices: Choices
    truly_first: Floats
    """(N,) 1 where the user truly prefers picture 0, 0 where picture 1, 0.5 where neither; NaN
    where it is not known."""
    n_missing: int
    """Users left out, for they have no embedding."""


def probe_encoder(
    encoder: UserEncoder,
    people: People,
    features: Features,
    *,
    split: UserSplit = "unseen",
    limit: int | None = None,
    cache: Path | bool | None = True,
    events: Events,
) -> dict[str, Any]:
    """Probe an encoder's embeddings; returns the figures of `probe_figures`.

    Training users are those of benchmark `users`, with all their groups.

    Args:
        encoder: whose embeddings.
        people: who learns and who is guessed.
        features: of images.
        split: whose choices are guessed, by the first set of their shots.
        limit: only the first users on either side.
        cache: where embeddings are kept, as `users.encode.embed` takes it.
        events: is told of progress.

    Raises:
        MissingPrerequisite: pairs or weights are not at hand.
        PpdbenchError: an encoder cannot work at all, or a pair is damaged.
    """
    if encoder.info.uses == "id":
        return {"accuracy": None, "reason": READS_IDS}
    learnt = training_choices(encoder, people, features, limit, cache, events)
    held = held_choices(encoder, people, features, split, limit, cache, events)
    if len(np.unique(learnt.users)) < 2:
        return {"accuracy": None, "reason": "fewer than two training users have embeddings"}
    events.stage(f"probe: {encoder.info.name}", 1)
    truth = people.truth
    ceilings = truth.ceilings(split) if truth else None
    found = probe_figures(fit_probe(learnt), held, ceilings=ceilings)
    events.advance(1)
    return found


def training_choices(
    encoder: UserEncoder,
    people: People,
    features: Features,
    limit: int | None,
    cache: Path | bool | None,
    events: Events,
) -> Choices:
    """Each pair of the training users' groups, once with each embedding of another group."""
    users = people.identified(topics=True)[:limit]
    groups = {user.id: (*user.train, *user.test) for user in users}
    codes = _embedded(
        encoder, people, [(u, g) for u, own in groups.items() for g in own], cache, events
    )
    owner = {pair: user for user, own in groups.items() for group in own for pair in group}
    found = _differences(people, list(owner), features)
    rows = [
        (codes[user, groups[user][number]], *found[pair], user)
        for pair, user in owner.items()
        if pair in found
        for number in group_for(pair, groups[user])
        if (user, groups[user][number]) in codes
    ]
    return _choices(rows)


def held_choices(
    encoder: UserEncoder,
    people: People,
    features: Features,
    split: UserSplit,
    limit: int | None,
    cache: Path | bool | None,
    events: Events,
) -> Held:
    """The held-out choices of a split's users, with the embedding of their first shots."""
    users = people.users(split)[:limit]
    codes = _embedded(encoder, people, [(u.id, u.shots[0]) for u in users], cache, events)
    owner = {
        pair: user.id
        for user in users
        if (user.id, user.shots[0]) in codes
        for pair in user.choices
    }
    shots = {user.id: user.shots[0] for user in users}
    found = _differences(people, list(owner), features)
    asked = {pair: user for pair, user in owner.items() if pair in found}
    rows = [(codes[user, shots[user]], *found[pair], user) for pair, user in asked.items()]
    return Held(
        choices=_choices(rows),
        truly_first=_truly_first(people, asked),
        n_missing=len(users) - len(codes),
    )


def probe_figures(
    probe: Probe, held: Held, *, ceilings: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """How often a probe guesses right, with intervals that resample users.

    `accuracy` is against the users' labels, `accuracy_true` against what they truly prefer;
    `shuffled` guesses with another user's embedding, and `gain` is what one's own adds. `way` is
    how far from one half to the ceiling an accuracy goes.

    Args:
        probe: fitted to other users.
        held: what is guessed.
        ceilings: "choice" against the truth and "choice_noisy" against labels, as `Truth` has.
    """
    choices, known = held.choices, ceilings or {}
    if not len(choices):
        blank = {"accuracy": None, "n": 0, "n_users": 0, "n_missing": held.n_missing}
        return {**blank, "reason": "no choice could be guessed"}
    own = probe.margins(choices.embeddings, choices.differences)
    other = probe.margins(shuffled(choices), choices.differences)
    true = np.isfinite(held.truly_first)
    figures: dict[str, Any] = {
        **_rate("accuracy", right(own, choices.first), choices.users),
        "ceiling": known.get("choice_noisy"),
        **_true_rate("accuracy_true", own[true], held.truly_first[true], choices.users[true]),
        "ceiling_true": known.get("choice"),
        **_rate("shuffled", right(other, choices.first), choices.users),
        **paired_difference(
            right(own, choices.first), right(other, choices.first), choices.users
        ).fields("gain"),
        "n": len(choices),
        "n_users": len(np.unique(choices.users)),
        "n_missing": held.n_missing,
        "penalty": probe.penalty,
        "train_log_loss": probe.log_loss,
    }
    figures["way"] = _way(figures["accuracy"], figures["ceiling"])
    figures["way_true"] = _way(figures["accuracy_true"], figures["ceiling_true"])
    return figures


def shuffled(choices: Choices) -> Floats:
    """The embeddings of each user's neighbour in the order of ids, in place of their own."""
    names, first, owner = np.unique(choices.users, return_index=True, return_inverse=True)
    return np.asarray(choices.embeddings[first[(owner + 1) % max(1, len(names))]])


def _embedded(
    encoder: UserEncoder,
    people: People,
    groups: Sequence[tuple[str, tuple[str, ...]]],
    cache: Path | bool | None,
    events: Events,
) -> dict[tuple[str, tuple[str, ...]], Floats]:
    """Embeddings by user and pairs; who has none is absent."""
    from ppdbench.users.contexts import UserContexts
    from ppdbench.users.encode import embed

    codes = embed(encoder, UserContexts(people, groups), cache=cache, events=events)
    return {
        group: code.embedding.astype(np.float64)
        for group, code in zip(groups, codes, strict=True)
        if code is not None
    }


def _differences(
    people: People, ids: Sequence[str], features: Features
) -> dict[str, tuple[Floats, bool]]:
    """Pair -> features of picture 0 minus picture 1, whether 0 is preferred; ties are absent."""
    found: dict[str, tuple[Floats, bool]] = {}
    for start in range(0, len(ids), BATCH):
        pairs = [p for p in people.pairs(ids[start : start + BATCH]) if not p.tie]
        if not pairs:
            continue
        both = np.asarray(features(_images(pairs)), np.float64).reshape(len(pairs), 2, -1)
        for pair, (zero, one) in zip(pairs, both, strict=True):
            found[pair.id] = (zero - one, pair.label_0 > pair.label_1)
    return found


def _images(pairs: Sequence[PreferencePair]) -> list[Image]:
    return [
        decode_image(data, name=f"image {number} of the pair {pair.id}")
        for pair in pairs
        for number, data in enumerate((pair.image_0, pair.image_1))
    ]


def _truly_first(people: People, asked: Mapping[str, str]) -> Floats:
    """What users (values) truly prefer of pairs (keys), (N,); NaN where nobody knows."""
    truth, ids = people.truth, list(asked)
    if truth is None or not ids:
        return np.full(len(ids), np.nan)
    measured = []
    for start in range(0, len(ids), BATCH):
        measured.append(truth.measure(_images(people.pairs(ids[start : start + BATCH]))))
    attributes = np.concatenate(measured).reshape(len(ids), 2, -1)
    found = []
    for row, user in enumerate(asked.values()):
        zero, one = truth.utility(user, attributes[row])
        found.append(0.5 + 0.5 * np.sign(zero - one))
    return np.array(found, dtype=np.float64)


def _choices(rows: Sequence[tuple[Floats, Floats, bool, str]]) -> Choices:
    embeddings, differences, first, users = zip(*rows, strict=True) if rows else ((),) * 4
    return Choices(
        embeddings=np.array(embeddings, np.float64),
        differences=np.array(differences, np.float64),
        first=np.array(first, np.bool_),
        users=np.array(users, np.str_),
    )


def _rate(name: str, hits: Floats, users: NDArray[np.str_]) -> dict[str, float | None]:
    return cluster_bootstrap_mean(hits, users, bounds=(0.0, 1.0)).fields(name)


def _true_rate(
    name: str, margins: Floats, truly_first: Floats, users: NDArray[np.str_]
) -> dict[str, float | None]:
    """As `_rate`; where the user truly prefers neither, half a point."""
    hits = np.where(truly_first == 0.5, 0.5, right(margins, truly_first > 0.5))
    return _rate(name, hits, users)


def _way(accuracy: float | None, ceiling: float | None) -> float | None:
    if accuracy is None or ceiling is None or ceiling <= 0.5:
        return None
    return (accuracy - 0.5) / (ceiling - 0.5)
