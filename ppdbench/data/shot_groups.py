"""Few-shot groups: a user's pairs in disjoint groups that an embedding is made of.

While a model learns from a pair, the pair is in no group that its user's embedding came from. Used
by what trains on user embeddings, by benchmark `users` and by `splits`, whose groups of training
pairs are those that a copy of these pairs gives. Elsewhere: who is in which split (`splits.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from ppdbench.protocols import PreferencePair

Groups = Mapping[str, tuple[tuple[str, ...], ...]]
"""User id -> disjoint groups of pair ids, each of the same size."""


def disjoint_groups(pairs: Iterable[PreferencePair], size: int) -> Groups:
    """Each user's usable pairs in groups of `size`, in the order of ids; a rest is left out.

    A pair is usable where one image is preferred and the two differ, and only the first of a
    user's pairs with a caption is: groups share neither captions, whatever their case and white
    space, nor images. The pairs' order does not matter, but for pairs of one id.

    Args:
        pairs: of any users, in any order; their images are looked at, never kept.
        size: pairs a group.
    """
    usable: dict[str, list[tuple[str, bytes, bytes, bytes]]] = {}
    for pair in pairs:
        if pair.tie or not pair.are_different:
            continue
        first, second = _hash(pair.image_0), _hash(pair.image_1)
        if first != second:
            caption = _hash(b"caption " + " ".join(pair.caption.split()).casefold().encode())
            usable.setdefault(str(pair.user_id), []).append((pair.id, caption, first, second))
    groups = {}
    for user, found in usable.items():
        shown, own = set[bytes](), list[str]()
        for identity, *content in sorted(found, key=lambda known: _number(known[0])):
            if shown.isdisjoint(content):
                shown.update(content)
                own.append(identity)
        groups[user] = tuple(
            tuple(own[at : at + size]) for at in range(0, len(own) - size + 1, size)
        )
    return groups


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _number(identity: str) -> tuple[int, str]:
    """By this decimal ids sort as numbers, and any others somehow."""
    return len(identity), identity


def group_for(pair: str, groups: Sequence[tuple[str, ...]]) -> list[int]:
    """The numbers of a user's groups that the pair itself is not in.

    Of a pair in no group these are all, though a group may hold another pair of its caption or with
    one of its images: what must keep that apart, too, compares captions and images.
    """
    return [number for number, group in enumerate(groups) if pair not in group]
