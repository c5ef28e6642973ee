"""From a suite's users and pair ids to `UserContext`s, images decoded.

Pairs are read when a context is asked for, so many users cost the memory of those at hand.
Elsewhere: shots that someone keeps in a folder (`shots_folder`), what encoders make of a context
(`encode`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from ppdbench.data.images import decode_image
from ppdbench.errors import PpdbenchError
from ppdbench.protocols import People, PreferencePair, Shot, UserContext


def user_context(people: People, user: str, pair_ids: Sequence[str]) -> UserContext:
    """A user with these pairs as shots, in their order.

    Args:
        people: where the pairs are.
        user: whom the context is for; the pairs may be another's, as a control has them.
        pair_ids: none makes a context without shots.

    Raises:
        MissingPrerequisite: a pair is not at hand.
        PpdbenchError: a pair is a tie, shows one picture twice, or cannot be decoded; it is named.
    """
    return UserContexts(people, [(user, pair_ids)])[0]


class UserContexts(Sequence[UserContext]):
    """Users with their shots as `user_context` makes them, each when it is asked for."""

    def __init__(self, people: People, users: Sequence[tuple[str, Sequence[str]]]) -> None:
        """See who is wanted; nothing is read.

        Args:
            people: where the pairs are.
            users: user id and pair ids, one a context.
        """
        self._people = people
        self._users = users

    def __len__(self) -> int:
        return len(self._users)

    @overload
    def __getitem__(self, index: int) -> UserContext: ...
    @overload
    def __getitem__(self, index: slice) -> list[UserContext]: ...
    def __getitem__(self, index: int | slice) -> UserContext | list[UserContext]:
        """One context, or those of a slice; raises as `user_context`."""
        if isinstance(index, int):
            return self._read([self._users[index]])[0]
        return self._read(self._users[index])

    def _read(self, users: Sequence[tuple[str, Sequence[str]]]) -> list[UserContext]:
        wanted = dict.fromkeys(identity for _, ids in users for identity in ids)
        pairs = dict(zip(wanted, self._people.pairs(list(wanted)) if wanted else (), strict=True))
        return [
            UserContext(id=user, shots=tuple(shot_of(pairs[identity]) for identity in ids))
            for user, ids in users
        ]


def shot_of(pair: PreferencePair) -> Shot:
    """A pair as a shot, the preferred image by its labels.

    Raises:
        PpdbenchError: it is a tie, shows one picture twice, or an image cannot be decoded.
    """
    if pair.tie or not pair.are_different:
        why = "is a tie" if pair.tie else "shows one picture twice"
        raise PpdbenchError(
            f"the pair {pair.id} {why}, and a shot must say what its user prefers",
            fix="choose pairs of two pictures in which one is preferred",
        )
    images = [
        decode_image(data, name=f"image {number} of the pair {pair.id}")
        for number, data in enumerate((pair.image_0, pair.image_1))
    ]
    if pair.label_1 > pair.label_0:
        images.reverse()
    return Shot(caption=pair.caption, preferred=images[0], dispreferred=images[1])
