"""Which users and captions a page shows: of one group, by their places, never picked by eye.

A group's users have all drawn each other's captions, so a caption can be shown as several users
would have it. Elsewhere: the pictures (`reports.people.gallery`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ppdbench.benchmarks.personal.roles import Roles
from ppdbench.protocols import Truth

USERS = 5
CAPTIONS = 5


def shown_users(
    roles: Roles,
    truth: Truth,
    profiles: Mapping[str, str],
    unserved: Collection[str] = (),
) -> dict[str, Any]:
    """The first users of the last group, and captions of theirs; nothing where there is none.

    Args:
        roles: the roles; its last group is of unseen users where the suite has enough.
        truth: says what each user likes most.
        profiles: context id -> the user's taste in words, as an encoder wrote it.
        unserved: splits of which the model serves nobody, or not everybody.
    """
    groups = [[roles.members[number] for number in group] for group in roles.groups]
    groups = [group for group in groups if group[0].split not in unserved]
    if not groups:
        return {}
    group = groups[-1]
    users = group[:USERS]
    return {
        "personal_shown": {
            "users": [
                {
                    "context": member.own.id,
                    "split": member.split,
                    "dominant": truth.dominant(member.user.id),
                    "profile": profiles.get(member.own.id),
                }
                for member in users
            ],
            "captions": [
                {"id": caption.id, "owner": member.own.id}
                for member in group[:CAPTIONS]
                for caption in member.captions[:1]
            ],
        }
    }
