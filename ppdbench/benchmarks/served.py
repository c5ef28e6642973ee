"""Which items a generator can be asked for: an encoder of ids has no answer for anybody new.

It says so from ids alone, without weights or images, so those items are never planned: no zero and
no failure, but counted and named. An encoder that reads shots can serve anybody; where that fails,
it is a failure of the item (`contexts`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ppdbench.benchmarks.assignment import Assignment
from ppdbench.benchmarks.contexts import encoder_of
from ppdbench.benchmarks.plan import Item
from ppdbench.protocols import GeneratorInfo, UserContext, UserEncoder


def served(
    items: Sequence[Item],
    info: GeneratorInfo,
    encoders: Mapping[str, UserEncoder],
    assignment: Assignment,
) -> tuple[list[Item], dict[str, int]]:
    """One generator's items for users whom it can serve, and how many it cannot, by split.

    Left out are the captions of users who cannot be served, and what is drawn for such a user.

    Raises:
        PpdbenchError: the encoder cannot work at all.
    """
    encoder = encoder_of(info, encoders)
    if encoder is None or encoder.info.uses != "id":
        return list(items), {}
    from ppdbench.users.encode import embed

    users = [member.user.id for member in assignment.members]
    codes = embed(encoder, [UserContext(id=user) for user in users], cache=None)
    strangers = {user for user, code in zip(users, codes, strict=True) if code is None}
    kept = [
        item
        for item in items
        if item.owner not in strangers
        and not (item.context and any(s.user in strangers for s in item.context.sources))
    ]
    counts: dict[str, int] = {}
    for member in assignment.members:
        if member.user.id in strangers:
            counts[member.split] = counts.get(member.split, 0) + 1
    return kept, counts
