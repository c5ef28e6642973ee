"""What a trade-off says in one sentence: whether the model gains more for the same divergence.

By each reward the model is held against the best curve of every other method at its own
divergence, and where a method does not reach that, at the method's. "More" is said only where the
interval of the difference lies above 0. Elsewhere: other headlines (`headline`), the section
(`tradeoff.section`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ppdbench.reports.figures import Cell, Verdict, count, is_number, named, number, signed, verdict
from ppdbench.reports.headline import Headline, reward_title
from ppdbench.reports.quoted import joined

Summary = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """The model and another method where both have diverged alike, by one reward."""

    reward: str
    rival: Cell
    """The other one's figures, which say its curve or row, method and labels."""
    gain: float | None
    """The model's own, or its method's where the divergence is the rival's; as `rival_gain` over
    the captions that both have, so that their difference is the one that is told."""
    rival_gain: float | None
    at: float | None
    """The divergence, in nats."""
    difference: Cell
    """The model's gain minus the rival's, under `gain_difference`, with its interval."""
    stand_in: str = ""
    """The curve of the model's method that stands there for the model; empty if it is the model."""
    captions: int | None = None
    """What the difference rests on."""

    @property
    def verdict(self) -> Verdict:
        """Whether the model gains more (above), less (below) or neither is shown (open)."""
        return verdict(self.difference, 0.0)


def axis_of(summary: Summary) -> str:
    """The divergence that is quoted: over all steps, or without the last one."""
    about = summary["benchmarks"].get("tradeoff") or {}
    return str(about.get("headline_axis") or "divergence")


def rivals(summary: Summary, axis: str | None = None) -> list[Rival]:
    """The model against the best curve of every other method, reward by reward.

    At the model's own divergence; where a method does not reach it, at that method's own, against
    the best curve of the model's method there.
    """
    axis = axis or axis_of(summary)
    about = summary["benchmarks"].get("tradeoff") or {}
    found = (about.get("headline") or {}).get(axis) or {}
    return [one for reward, entry in found.items() for one in _by_reward(reward, entry, axis)]


def _by_reward(reward: str, entry: Cell, axis: str) -> list[Rival]:
    """Every other method once, in the order of the summary."""
    theirs = {_family(each): _elsewhere(reward, each, axis) for each in entry.get("theirs") or ()}
    found: dict[tuple[str, str], Rival] = {}
    for other in entry["others"]:
        there = _there(reward, entry, other, axis)
        elsewhere = theirs.get(_family(other))
        found[_family(other)] = elsewhere if elsewhere and there.verdict == "undefined" else there
    # Who has no curve of its own can only be met at its own divergence.
    further = [one for family, one in theirs.items() if one and family not in found]
    return [*found.values(), *further]


def _family(of: Cell) -> tuple[str, str]:
    """Method and labels; of who tells no method, its row."""
    return str(of.get("method") or of.get("row") or of.get("curve")), str(of.get("labels") or "")


def _there(reward: str, entry: Cell, other: Cell, axis: str) -> Rival:
    gain, difference = other.get("gain"), other.get("gain_difference")
    own = gain + difference if is_number(gain) and is_number(difference) else entry.get("gain")
    return Rival(
        reward=reward,
        rival=other,
        gain=own,
        rival_gain=gain,
        at=entry.get(axis),
        difference=named(other, "gain_difference") or {},
        captions=_captions(other),
    )


def _captions(other: Cell) -> int | None:
    n = other.get("n_captions")
    return int(n) if is_number(n) and n else None


def _elsewhere(reward: str, theirs: Cell, axis: str) -> Rival | None:
    """At the rival's divergence, where the model's method passes it."""
    keys = ("gain_difference", "gain_difference_ci_high", "gain_difference_ci_low")
    for own in theirs["others"]:
        value, low, high = (-v if is_number(v := own.get(key)) else None for key in keys)
        if value is not None:
            return Rival(
                reward=reward,
                rival=theirs,
                gain=own.get("gain"),
                rival_gain=own["gain"] - value if is_number(own.get("gain")) else None,
                at=theirs.get(axis),
                difference={"gain_difference": value, "ci_low": low, "ci_high": high},
                stand_in=str(own.get("curve") or ""),
                captions=_captions(own),
            )
    return None


def tradeoff_headline(summary: Summary) -> Headline | None:
    """The sentence of a run's trade-off; None where it has none."""
    if not summary["benchmarks"].get("tradeoff"):
        return None
    model, axis = summary["model"], axis_of(summary)
    found = rivals(summary)
    known = [one for one in found if one.verdict != "undefined"]
    if not known:
        return Headline(
            text=f"No headline for {model} at matched divergence",
            withheld=True,
            reason=_reason(summary, found, axis),
        )
    words = {"above": "gains more than", "below": "gains less than", "open": "cannot be told from"}
    said = [
        f"{text} {_whom(summary, [one for one in known if one.verdict == kind])}"
        for kind, text in words.items()
        if any(one.verdict == kind for one in known)
    ]
    return Headline(
        text=f"At equal divergence {model} {', and '.join(said)}",
        withheld=False,
        figures=_figures(summary, known, axis),
    )


def _whom(summary: Summary, found: list[Rival]) -> str:
    """Rivals with the rewards that they are rivals by: "sft (CLIP, HPS) and other (CLIP)"."""
    by_rival: dict[str, list[str]] = {}
    for one in found:
        by_rival.setdefault(method(one.rival), []).append(reward_title(summary, one.reward))
    return joined([f"{name} ({', '.join(titles)})" for name, titles in by_rival.items()])


def method(of: Cell) -> str:
    """A method as printed, with the labels that taught it: "diffusion-dpo for aesthetic"."""
    name = str(of.get("method") or of.get("row") or of.get("curve") or "another")
    return f"{name} for {of['labels']}" if of.get("labels") else name


def _figures(summary: Summary, known: list[Rival], axis: str) -> str:
    """By each reward the strongest rival with its difference."""
    strongest: dict[str, Rival] = {}
    for one in known:
        best = strongest.get(one.reward)
        if best is None or _gain(one) > _gain(best):
            strongest[one.reward] = one
    sizes = {one.captions for one in strongest.values()}
    said: list[str] = []
    for one in strongest.values():
        difference = signed(one.difference, "gain_difference")
        beside = [f"{'' if said else '95% interval '}{difference.interval}"]
        beside += [_sample(one.captions)] * (len(sizes) > 1)
        name, _, which = one.stand_in.partition(", ")
        whose = f" of {name}" + (f" ({which})" if which else "") if name else ""
        said.append(
            f"by {reward_title(summary, one.reward)} {number(one.gain, 2, plus=True)}{whose} "
            f"against {number(one.rival_gain, 2, plus=True)} of {method(one.rival)} at "
            f"{nats(one.at)} nats an image, a difference of {difference.value} "
            f"({', '.join(filter(None, beside))})"
        )
    rests = ["standard deviations of each reward"]
    rests += ["the strongest rival by each"] * (len(known) > len(strongest))
    rests += ["divergence without the last step"] * (axis == "divergence_before_last")
    rests += [sample for size in sizes if (sample := _sample(size)) and len(sizes) == 1]
    return f"{joined(said)}; {', '.join(rests)}"


def _sample(captions: int | None) -> str:
    return f"n = {count(captions)} captions" if captions else ""


def _gain(one: Rival) -> float:
    return float(one.rival_gain) if is_number(one.rival_gain) else float("-inf")


def _reason(summary: Summary, found: list[Rival], axis: str) -> str:
    about = summary["benchmarks"]["tradeoff"]
    own = [point for point in about.get("points") or () if point["row"] == summary["model"]]
    reasons = [about.get("reason"), *(one.rival.get("reason") for one in found)]
    reasons += [point.get("reason") for point in own if not is_number(point.get(axis))]
    given = next((str(reason) for reason in reasons if reason), "")
    return given or "no other method has checkpoints to compare with"


def nats(value: Any) -> str:
    """A divergence with three significant digits; empty if it is none."""
    if not is_number(value):
        return ""
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return number(value, decimals)
