"""Benchmark `users` (Fig. 2 of the PPD paper): who of many users is it, by an embedding of shots?

A classifier learns each user from embeddings of some groups of their pairs, and ranks all users for
the embedding of another group; encoders stay as they are. Controls say what it goes by: captions
alone, shots whose labels were swapped by chance, and users' names permuted in training. This is
the measuring, which leaves records. Elsewhere: what is shown (`users.groups`), the classifier
(`users.classifier`), the records (`users.records`), the figures (`users.figures`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache as once
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench.benchmarks.users.groups import READS_IDS, SEED, Group, Shown, ShownGroups, groups_of
from ppdbench.benchmarks.users.records import (
    FILE,
    Kind,
    Measured,
    Variant,
    cut_unfinished,
    read_users,
)
from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import EncoderInfo, Events, IdentifiedUser, People, UserCode, UserEncoder
from ppdbench.runs.fingerprint import fingerprint
from ppdbench.runs.records import RecordWriter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VERSION = 1
"""Raise it whenever a record could change, here, in `users.groups` or in `users.classifier`: all is
then made anew."""
QUICK: Mapping[Kind, tuple[Variant, ...]] = {"topics": ("own", "captions_only")}
CONTROLLED: tuple[Variant, ...] = ("own", "captions_only", "labels_swapped", "labels_permuted")
FULL: Mapping[Kind, tuple[Variant, ...]] = {"topics": CONTROLLED, "common": CONTROLLED}
NO_EMBEDDING = "no embedding"
Codes = Mapping[Group, UserCode | None]


def measure_users(
    encoders: Sequence[UserEncoder],
    people: People,
    folder: Path,
    *,
    full: bool = True,
    limit: int | None = None,
    cache: Path | bool | None = True,
    events: Events,
) -> int:
    """Measure what is missing in the folder's users.jsonl; returns how many variants were made.

    Where nothing is missing, no pair is read and no encoder is asked. A variant is written when
    it is complete. One in which a group has no embedding is tried again, and written again where
    that helped.

    Args:
        encoders: each under its own name; those that read ids are left out with the reason.
        people: who is to be told apart, by which pairs.
        folder: the run's, under its lock.
        full: every control, and captions that are common to all where the suite has them; else
            own topics alone, and what captions alone give.
        limit: only the first users.
        cache: where embeddings are kept, as `users.encode.embed` takes it.
        events: is told of progress.

    Raises:
        MissingPrerequisite: the pairs are not at hand, or an encoder's weights are not.
        PpdbenchError: an encoder cannot work at all, a pair is damaged, or the file is.
    """
    crowd = _Crowd(people, limit)
    cut_unfinished(folder)
    made = 0
    for encoder in encoders:
        for kind, variants in (FULL if full else QUICK).items():
            known = read_users(folder).get(encoder.info.name, {}).get(kind)
            there = known.variants if known else {}
            identities = {v: _identity(encoder.info, crowd, kind, v) for v in variants}
            todo = {v: i for v, i in identities.items() if not _stands(there.get(v), i)}
            if not todo:
                continue
            users = crowd.users(kind) if encoder.info.uses == "shots" else READS_IDS
            about = {"encoder": encoder.info.name, "revision": encoder.info.revision, "kind": kind}
            with RecordWriter(folder / FILE) as writer:
                if isinstance(users, str):
                    if known is None or known.left_out != users:
                        writer.write([{**about, "variant": None, "left_out": users}])
                        events.note(f"{encoder.info.name}, {kind}: left out: {users}")
                    continue
                for variant, items, found in _variants(
                    encoder, people, users, kind, todo, cache, events
                ):
                    line = {**about, "variant": variant, "identity": todo[variant]}
                    closing = {**line, **found, "items": len(items)}
                    lines = [*({**line, **item} for item in items), closing]
                    if variant in there and lines == there[variant].lines:
                        continue
                    writer.write(lines)
                    made += 1
    return made


def _stands(measured: Measured | None, identity: str) -> bool:
    """Whether a variant is there, of these very inputs, with an embedding of every group."""
    if measured is None or measured.about["identity"] != identity:
        return False
    lost = any(item.get("error") == NO_EMBEDDING for item in measured.items)
    return not lost and not measured.about["n_train_missing"]


class _Crowd:
    """The users to be told apart; looked up when they are needed, once for all encoders."""

    def __init__(self, people: People, limit: int | None) -> None:
        self.people = people
        self.limit = limit
        self._users: dict[Kind, Sequence[IdentifiedUser] | str] = {}

    def users(self, kind: Kind) -> Sequence[IdentifiedUser] | str:
        """The users, or why nobody can be told apart by captions of this kind.

        Raises:
            MissingPrerequisite: not even by captions of their own.
        """
        if kind not in self._users:
            try:
                found = self.people.identified(topics=kind == "topics")[: self.limit]
            except MissingPrerequisite as error:
                if kind == "topics":
                    raise
                self._users[kind] = error.cause
            else:
                few = f"{len(found)} users: there is nobody to tell apart"
                self._users[kind] = found if len(found) > 1 else few
        return self._users[kind]


def _identity(info: EncoderInfo, crowd: _Crowd, kind: Kind, variant: Variant) -> str:
    """A short name for all that a variant's records depend on."""
    return fingerprint(
        {
            "users": VERSION,
            "people": crowd.people.digest,
            "limit": crowd.limit,
            "encoder": [info.name, info.revision, dict(info.settings)],
            "kind": kind,
            "variant": variant,
            "seed": SEED,
        }
    )


def _variants(
    encoder: UserEncoder,
    people: People,
    users: Sequence[IdentifiedUser],
    kind: Kind,
    todo: Iterable[Variant],
    cache: Path | bool | None,
    events: Events,
) -> Iterator[tuple[Variant, list[dict[str, Any]], dict[str, Any]]]:
    """Each variant with its items and what is to be said of all of them."""
    from ppdbench.users.encode import embed

    groups = groups_of(users)

    @once
    def codes(shown: Shown) -> Codes:
        contexts = ShownGroups(people, groups, shown)
        found = embed(encoder, contexts, cache=cache, events=events)
        return dict(zip(groups, found, strict=True))

    for variant in todo:
        permuted = variant == "labels_permuted"
        embedded = codes("own" if variant == "labels_permuted" else variant)
        events.stage(f"tell users apart: {encoder.info.name}, {kind}, {variant}", 1)
        items, found = _told_apart(users, embedded, permuted=permuted)
        yield variant, items, found
        events.advance(1)


def _told_apart(
    users: Sequence[IdentifiedUser], codes: Codes, *, permuted: bool
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Learn the users who have training embeddings and rank them for every test embedding."""
    import numpy as np

    from ppdbench.benchmarks.users.classifier import identify
    from ppdbench.statistics.top_k import ranks

    place = {user.id: at for at, user in enumerate(users)}
    ordered = sorted(codes, key=lambda group: (place[group.user], group.number))
    train = [group for group in ordered if group.train and codes[group] is not None]
    learnt = list(dict.fromkeys(group.user for group in train))
    column = {user: at for at, user in enumerate(learnt)}
    asked = [
        group
        for group in ordered
        if not group.train and codes[group] is not None and group.user in column
    ]
    about: dict[str, Any] = {
        "n_users": len(learnt),
        "n_train": len(train),
        "n_train_missing": sum(group.train for group in codes) - len(train),
        "shots": max(len(group.pairs) for group in codes),
        "seed": SEED,
        "shrinkage": None,
        "log_rank": None,
    }
    missing = NO_EMBEDDING
    standing: dict[Group, dict[str, Any]] = {}
    if len(learnt) > 1 and len(train) > len(learnt) and asked:
        names = np.array([column[group.user] for group in train])
        numbers = np.array([group.number for group in train])
        if permuted:
            names = permuted_users(names, numbers)
        found = identify(_matrix(train, codes), names, numbers, _matrix(asked, codes), len(learnt))
        about |= {"shrinkage": found.shrinkage, "log_rank": found.log_rank}
        placed = ranks(found.scores, [column[group.user] for group in asked])
        standing = {
            group: {
                "better": int(placed.better[row]),
                "tied": int(placed.tied[row]),
                "rank": float(placed.expected[row]),
                "of": len(learnt),
            }
            for row, group in enumerate(asked)
        }
    elif asked:
        missing = "too few training embeddings"
    nowhere = dict.fromkeys(("better", "tied", "rank", "of"))
    items = [
        {"user": group.user, "group": group.number}
        | (standing.get(group) or {**nowhere, "error": _why(codes[group], group, column, missing)})
        for group in ordered
        if not group.train
    ]
    return items, about


def permuted_users(users: NDArray[np.intp], groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Users (T,) permuted by chance among the embeddings of each group number.

    So each keeps their number of embeddings, and cross-validation works as it did.
    """
    import numpy as np

    rng = np.random.default_rng(SEED)
    found = users.copy()
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        found[rows] = rng.permutation(users[rows])
    return found


def _why(code: UserCode | None, group: Group, learnt: Mapping[str, int], otherwise: str) -> str:
    if code is not None and group.user not in learnt:
        return "no training embedding"
    return NO_EMBEDDING if code is None else otherwise


def _matrix(groups: Sequence[Group], codes: Codes) -> NDArray[np.float64]:
    import numpy as np

    found = [code.embedding for group in groups if (code := codes[group]) is not None]
    return np.asarray(found, dtype=np.float64)
