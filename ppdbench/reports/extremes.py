"""The best and the worst of a run as pictures: where it gains and where it loses most.

By each reward, the model's image for that reward's user against the baseline's of the same caption
and noise; by each split of users, by their true utility, where the suite knows it. Extremes of many
are no examples: the gallery, which nobody picks by score, stands beside them. Elsewhere: the
gallery (`gallery`), the records behind the pictures (`shown_records`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ppdbench.protocols import Caption, EvaluatedUser, People
from ppdbench.reports.figures import Verdict, decimals_for, number
from ppdbench.reports.gallery import Picture, picture
from ppdbench.reports.headline import reward_names, reward_title
from ppdbench.runs.images import ImageStore
from ppdbench.runs.results import TRUTH, Result, reward_key

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHOWN = 3
"""Pairs at each end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The baseline's image and the model's, of one caption and noise."""

    caption: str
    seed: str
    user: str
    """Whose picture it is; empty for a reward's user."""
    before: Picture
    after: Picture
    gain: str
    kind: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Extremes:
    """Both ends of one reward or split."""

    title: str
    unit: str
    """What gains are counted in."""
    of: int
    """How many pairs they are the ends of."""
    best: tuple[Pair, ...]
    worst: tuple[Pair, ...]
    losses: bool
    """Whether `worst` are losses; without any they are the smallest gains."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gain:
    """A pair of results and what the model's gains."""

    user: str = ""
    before: Result
    after: Result
    low: float
    high: float
    """By the baseline's image and by the model's."""

    @property
    def gain(self) -> float:
        return self.high - self.low


def reward_extremes(
    store: ImageStore,
    results: Mapping[str, Result],
    summary: Mapping[str, Any],
    captions: Sequence[Caption],
) -> list[Extremes]:
    """By each reward, the pairs that gain and lose most; none without the benchmark.

    Args:
        store: the run's images.
        results: its results.
        summary: its summary.json.
        captions: its captions; one that is not among them is shown by its id.
    """
    drawn = [r for r in results.values() if r.benchmark == "rewards" and r.image]
    base = {
        (r.user, r.caption_id, r.sample): r for r in drawn if r.generator == summary["baseline"]
    }
    texts = {caption.id: caption.text for caption in captions}
    found = []
    for name in reward_names(summary):
        user = reward_key(name)
        gains = []
        for after in drawn:
            if after.generator != summary["model"] or after.user not in (user, None):
                continue
            place = (after.caption_id, after.sample)
            before = base.get((user, *place)) or base.get((None, *place))
            if before is None or before is after:
                continue
            if name in before.scores and name in after.scores:
                low, high = before.scores[name], after.scores[name]
                gains.append(_Gain(before=before, after=after, low=low, high=high))
        if gains:
            title = reward_title(summary, name)
            found.append(_ends(store, gains, f"{title} user", title, texts, {}))
    return found


def people_extremes(
    store: ImageStore,
    results: Mapping[str, Result],
    summary: Mapping[str, Any],
    captions: Sequence[Caption],
    people: People | None,
    scorers: Mapping[str, Mapping[str, Any]],
) -> list[Extremes]:
    """By seen and unseen users, the own pictures that they truly gain and lose most by.

    None where the suite's truth is not known, or is not the one that measured the run.

    Args:
        store: the run's images.
        results: its results.
        summary: its summary.json.
        captions: its captions.
        people: the users of its suite.
        scorers: its scorers.json.
    """
    truth = people.truth if people else None
    if people is None or truth is None or not summary["benchmarks"].get("personal"):
        return []
    if (scorers.get(TRUTH) or {}).get("identity") != truth.identity:
        return []
    drawn: dict[str, list[Result]] = {}
    for result in results.values():
        if result.benchmark == "personal" and result.image and result.attributes:
            drawn.setdefault(result.caption_id, []).append(result)
    texts = {caption.id: caption.text for caption in captions}
    found = []
    for split in ("seen", "unseen"):
        gains, names = [], {}
        for user in people.users(split):
            pairs = _own(drawn, summary, user)
            if not pairs:
                continue
            names[user.id] = f"user {user.id}, who cares most for {truth.dominant(user.id)}"
            low = truth.utility(user.id, _attributes([before for before, _ in pairs]))
            high = truth.utility(user.id, _attributes([after for _, after in pairs]))
            gains += [
                _Gain(user=user.id, before=before, after=after, low=float(a), high=float(b))
                for (before, after), a, b in zip(pairs, low, high, strict=True)
            ]
        if gains:
            found.append(_ends(store, gains, f"{split} users", "true utility", texts, names))
    return found


def _own(
    drawn: Mapping[str, Sequence[Result]], summary: Mapping[str, Any], user: EvaluatedUser
) -> list[tuple[Result, Result]]:
    """The baseline's image and the model's for the user, of the user's own captions."""
    found = []
    for caption in user.captions:
        images = {(r.generator, r.user, r.sample): r for r in drawn.get(caption.id, ())}
        for (generator, context, sample), after in images.items():
            before = images.get((summary["baseline"], None, sample))
            if generator != summary["model"] or before is None or after is before:
                continue
            # A model that hears nobody draws a caption once, for whoever asked for it.
            own = f"user:{user.id}"
            if context == own or (context is None and (generator, own, sample) not in images):
                found.append((before, after))
    return found


def _attributes(results: Sequence[Result]) -> NDArray[np.float64]:
    import numpy as np

    return np.array([result.attributes for result in results], dtype=np.float64)


def _ends(
    store: ImageStore,
    gains: Sequence[_Gain],
    title: str,
    unit: str,
    texts: Mapping[str, str],
    names: Mapping[str, str],
) -> Extremes:
    # Equal gains stay in the run's order, so that the page is the same each time.
    ordered = sorted(gains, key=lambda one: -one.gain)
    best = ordered[:SHOWN]
    rest = ordered[len(best) :][::-1]
    losses = [one for one in rest if one.gain < 0]
    worst = (losses or rest)[:SHOWN]
    decimals = decimals_for([one.gain for one in (*best, *worst)])
    return Extremes(
        title=title,
        unit=unit,
        of=len(gains),
        best=tuple(_pair(store, one, decimals, texts, names) for one in best),
        worst=tuple(_pair(store, one, decimals, texts, names) for one in worst),
        losses=bool(losses),
    )


def _pair(
    store: ImageStore,
    one: _Gain,
    decimals: int,
    texts: Mapping[str, str],
    names: Mapping[str, str],
) -> Pair:
    text = texts.get(one.after.caption_id, one.after.caption_id)
    before, after = one.before, one.after
    kind: Verdict = "above" if one.gain > 0 else "below" if one.gain < 0 else "open"
    return Pair(
        caption=text,
        seed=str(after.seed),
        user=names.get(one.user, ""),
        before=picture(store, before, f"{text}, drawn by {before.generator}", before.generator),
        after=picture(store, after, f"{text}, drawn by {after.generator}", after.generator),
        gain=number(one.gain, decimals, plus=True),
        kind=kind,
    )
