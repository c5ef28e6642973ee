"""What an encoder is shown of users who are to be told apart: their own groups, or a control's.

Everything by which a user could be known but the shots is taken away: ids are opaque, and groups
come in an order that says nothing. Contexts are made when they are asked for. Elsewhere: whose
groups (`protocols.IdentifiedUser`), what is done with the embeddings (`users.classify`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, overload

from ppdbench.errors import PpdbenchError
from ppdbench.protocols import IdentifiedUser, People, Shot, UserContext

Shown = Literal["own", "captions_only", "labels_swapped"]
"""own: the groups as they are; captions_only: both images of each shot are one grey;
labels_swapped: preferred and dispreferred of each shot change places, or not, by chance."""
GREY = (128, 128, 128)
READS_IDS = "not applicable: it reads who the user is"
"""Why an encoder of ids has no figures: whom it knows by name, shots do not tell."""
SEED = 0
"""Of every control that is by chance; recorded with each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Some pairs of one user, which become one embedding."""

    user: str
    number: int
    """Among the user's training groups, or their test groups, from 0."""
    train: bool
    pairs: tuple[str, ...]

    @property
    def alias(self) -> str:
        """What an encoder is told in place of the user's id: each group is somebody new."""
        return _digest("group", *self.pairs)[:12]


def groups_of(users: Sequence[IdentifiedUser]) -> list[Group]:
    """Every group of these users, training and test mixed, in the order of their aliases.

    Raises:
        PpdbenchError: a user is to be recognised by a pair that they were learnt by.
    """
    for user in users:
        learnt = {pair for group in user.train for pair in group}
        again = [pair for group in user.test for pair in group if pair in learnt]
        if again:
            raise PpdbenchError(
                f"user {user.id} has the pair {again[0]} in a training group and in a test group",
                fix="mend the suite: what `identified` gives must not overlap",
            )
    found = [
        Group(user=user.id, number=number, train=train, pairs=pairs)
        for user in users
        for train, groups in ((True, user.train), (False, user.test))
        for number, pairs in enumerate(groups)
    ]
    return sorted(found, key=lambda group: group.alias)


class ShownGroups(Sequence[UserContext]):
    """Groups as contexts; images are decoded when one is asked for."""

    def __init__(self, people: People, groups: Sequence[Group], shown: Shown) -> None:
        from ppdbench.users.contexts import UserContexts

        self._groups = groups
        self._shown = shown
        self._contexts = UserContexts(people, [(group.alias, group.pairs) for group in groups])

    def __len__(self) -> int:
        return len(self._groups)

    @overload
    def __getitem__(self, index: int) -> UserContext: ...
    @overload
    def __getitem__(self, index: slice) -> list[UserContext]: ...
    def __getitem__(self, index: int | slice) -> UserContext | list[UserContext]:
        """One context, or those of a slice; raises as `users.contexts.user_context`."""
        if isinstance(index, int):
            return self._changed(self._groups[index], self._contexts[index])
        pairs = zip(self._groups[index], self._contexts[index], strict=True)
        return [self._changed(group, context) for group, context in pairs]

    def _changed(self, group: Group, context: UserContext) -> UserContext:
        if self._shown == "own":
            return context
        shots = [
            _blank(shot) if self._shown == "captions_only" else _swapped(shot, pair)
            for pair, shot in zip(group.pairs, context.shots, strict=True)
        ]
        return replace(context, shots=tuple(shots))


def _blank(shot: Shot) -> Shot:
    """The caption with one grey image twice, of a size that does not tell which was preferred."""
    from PIL import Image

    size = tuple(map(max, shot.preferred.size, shot.dispreferred.size))
    grey = Image.new("RGB", (size[0], size[1]), GREY)
    return Shot(caption=shot.caption, preferred=grey, dispreferred=grey)


def _swapped(shot: Shot, pair: str) -> Shot:
    """The shot, its images in each other's place for one half of all pairs."""
    if int(_digest("swap", SEED, pair), 16) % 2:
        return shot
    return Shot(caption=shot.caption, preferred=shot.dispreferred, dispreferred=shot.preferred)


def _digest(*parts: object) -> str:
    return hashlib.sha256("/".join(map(str, parts)).encode()).hexdigest()
