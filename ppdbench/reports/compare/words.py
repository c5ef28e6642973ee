"""How the headline of a comparison says who is higher, benchmark by benchmark.

Elsewhere: which figures it is about (`compare.headline`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How a benchmark's claims are said; `{}` is the other run."""

    subject: str = "{}"
    higher: str
    lower: str
    by: str = "by"
    wins: str
    """Before the figures; `{}` is the first run, then the other."""
    items: str
    cost: Words | None = None
    """How what was paid is said, where claims in `COST` stand beside the others."""


WORDS: Mapping[str, Words] = {
    "rewards": Words(
        higher="beats {} head to head by",
        lower="loses to {} head to head by",
        wins="head to head {0} wins",
        items="pairs",
    ),
    "personal": Words(
        subject="what {} draws",
        higher="is truly liked better than what {} draws by",
        lower="is truly liked less than what {} draws by",
        wins="head to head {0} wins",
        items="pairs",
    ),
    "judge": Words(
        higher="is picked over {baseline} more often than {} for",
        lower="is picked over {baseline} less often than {} for",
        by="for",
        wins="the rates of {} and {} differ by",
        items="comparisons",
    ),
    "users": Words(
        higher="tells users apart better than {} by",
        lower="tells users apart worse than {} by",
        wins="the rates of {} and {} differ by",
        items="test groups",
    ),
    "interpolation": Words(
        higher="follows its weights more closely than {} by",
        lower="follows its weights less closely than {} by",
        wins="the mean Spearman of {} and {} differ by",
        items="captions",
    ),
    "tradeoff": Words(
        higher="gains more than {} by",
        lower="gains less than {} by",
        by="in the gain by",
        wins="{} and {} differ by",
        items="captions",
        cost=Words(
            higher="diverges further than {} before the last step for",
            lower="diverges less far than {} before the last step for",
            by="in the divergence before the last step for",
            wins="",
            items="captions",
        ),
    ),
}
"""By benchmark, in the order in which one of them is chosen."""
