"""How far an entry's numbers are more than its own word: its tier, and what stands behind it.

Three tiers: self-reported, recomputed (every number follows from the records here), reproduced
(its images were drawn again). Elsewhere: the check itself (`leaderboard.check`), what of its
outcome ranks are made from (`ranks`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ppdbench.leaderboard.checked import Tier

MEANING: Mapping[Tier, str] = {
    "self-reported": "Its numbers were not recomputed for this page: they are its author's word.",
    "recomputed": "Every number here follows from the records that lie beside it, and they are of "
    "the suite's captions, noise and users. Whether the records are of this model is its author's "
    "word.",
    "reproduced": "By the report that lies beside it, its images were drawn again from the model "
    "that it names and came out as recorded; and every number follows from the records.",
}
ORDER: tuple[Tier, ...] = ("reproduced", "recomputed", "self-reported")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far one entry is checked."""

    tier: Tier
    why: str = ""
    """Why it is no higher, where that is known."""
    outcomes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Column -> user (or caption) -> mean outcome over the baseline, 0 to 1; of checked entries."""


UNCHECKED = Standing(tier="self-reported", why="this site was built without checking it")


class LeftOut(Exception):
    """An entry that may not be shown; the message is the reason that the page prints."""
