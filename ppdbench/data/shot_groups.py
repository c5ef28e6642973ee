"""Few-shot groups: a user's pairs in disjoint groups that an embedding is made of.

While a model learns from a pair, the pair is in no group that its user's embedding came from:
`group_for` says which group to take. Used by what trains on user embeddings and by benchmark
`users`. Elsewhere: who is in which split (`splits.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from ppdbench.protocols import PreferencePair

Groups = Mapping[str, tuple[tuple[str, ...], ...]]
"""User id -> disjoint groups of pair ids, each of the same size."""


def disjoint_groups(pairs: Iterable[PreferencePair], size: int) -> Groups:
    """Each user's usable pairs in groups of `size`, in the order of the file; a rest is left out.

    A pair is usable where one image is preferred and the two differ, and only the first of a
    user's pairs with a caption is: groups share neither captions nor images.

    Args:
        pairs: of any users, in any order; their images are looked at, never kept.
        size: pairs a group.
    """
    captions: dict[str, set[str]] = {}
    pictures: dict[str, set[bytes]] = {}
    ids: dict[str, list[str]] = {}
    for pair in pairs:
        user = str(pair.user_id)
        if pair.tie or not pair.are_different or pair.caption in captions.setdefault(user, set()):
            continue
        shown = {hashlib.sha256(image).digest() for image in (pair.image_0, pair.image_1)}
        if len(shown) < 2 or shown & pictures.setdefault(user, set()):
            continue
        captions[user].add(pair.caption)
        pictures[user] |= shown
        ids.setdefault(user, []).append(pair.id)
    return {
        user: tuple(tuple(own[at : at + size]) for at in range(0, len(own) - size + 1, size))
        for user, own in ids.items()
    }


def group_for(pair: str, groups: Sequence[tuple[str, ...]]) -> list[int]:
    """The numbers of a user's groups that an example of this pair may be conditioned on."""
    return [number for number, group in enumerate(groups) if pair not in group]
