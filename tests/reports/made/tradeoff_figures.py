"""A run's trade-off, made by hand: three methods over checkpoints and betas, and a mute row.

Gains rise with the root of the divergence and then sink, each method by its own strength, so that
a page has something to tell apart; the numbers are nobody's measurements.
"""

from __future__ import annotations

import copy
import math
from typing import Any

HOSTILE = '<script>alert("tradeoff")</script>'
REWARDS = ("clip", "aesthetic", "hps")
STEPS = (500, 1000, 1500, 2000, 2500, 3000)
REACH = {"clip": 7.0, "aesthetic": 13.8, "hps": 9.1}
"""How far the model diverges for each reward's user, in nats."""
STRENGTH = {"clip": 0.04, "aesthetic": 0.17, "hps": 0.08}
UNKNOWN = "it reaches 0.18 nats at most"


def part(name: str, value: float, half: float) -> dict[str, Any]:
    return {name: value, f"{name}_ci_low": value - half, f"{name}_ci_high": value + half}


def blank(*names: str) -> dict[str, Any]:
    return {f"{name}{end}": None for name in names for end in ("", "_ci_low", "_ci_high")}


def gain(reward: str, nats: float, share: float = 1.0) -> float:
    root = math.sqrt(nats)
    return share * STRENGTH[reward] * root * (1 - 0.05 * root)


def cell(reward: str, nats: float, share: float) -> dict[str, Any]:
    value = gain(reward, nats, share)
    return {
        **part("gain", value, 0.02 + abs(value) / 12),
        **part("gold_gain", 0.86 * value, 0.02 + abs(value) / 12),
        "n_captions": 16,
        "n_samples": 128,
    }


def point(
    row: str, nats: float, shares: dict[str, float], *, user: str | None = None, **more: Any
) -> dict[str, Any]:
    """A row's point: `nats` over all steps, 35% of them before the last."""
    shown = {user: shares[user]} if user else shares
    return {
        "row": row,
        "source": "recorded",
        "user": user,
        **dict.fromkeys(("curve", "method", "labels", "beta", "step", "steps", "seed")),
        **part("divergence", nats, 0.12 * nats),
        **part("divergence_before_last", 0.35 * nats, 0.05 * nats),
        "by_step": [0.3 * nats, 0.05 * nats, 0.65 * nats],
        **part("diversity", 0.21 - 0.006 * math.sqrt(nats), 0.02),
        **part("diversity_difference", -0.006 * math.sqrt(nats), 0.01),
        "n_captions": 16,
        "n_samples": 128,
        "n_captions_expected": 16,
        "rewards": {reward: cell(reward, nats, share) for reward, share in shown.items()},
        **more,
    }


def trained(
    curve: str, step: int, nats: float, shares: dict[str, float], user: str | None = None
) -> dict[str, Any]:
    method, _, beta = curve.partition(", beta ")
    method, _, labels = method.partition(" for ")
    about = {
        "curve": curve,
        "method": method,
        "labels": labels or None,
        "beta": float(beta) if beta else None,
        "step": step,
        "steps": STEPS[-1],
        "seed": 0,
    }
    name = f"{curve.replace(', ', '-').replace(' ', '-')}-{step}"
    return point(name, nats, shares, user=user, **about)


def points() -> list[dict[str, Any]]:
    even = dict.fromkeys(REWARDS, 1.0)
    found = [
        point("stable-cascade", 0.0, {}, source="fresh")
        | {"by_step": None, **blank("diversity_difference")}
    ]
    for reward, reach in REACH.items():
        own = trained("ppd, beta 15", 3000, reach, even, user=reward)
        found.append({**own, "row": "ppd", "source": "fresh"})
    mute = point(f"other {HOSTILE}", 0.0, even, source="fresh")
    lacks = "divergence", "divergence_before_last"
    found.append({**mute, **blank(*lacks), "reason": f"it does not tell its divergence {HOSTILE}"})
    for beta, pull in (("5", 1.7), ("15", 1.0), ("45", 0.5)):
        for step in STEPS[:-1] if beta == "15" else STEPS:
            for reward, reach in REACH.items():
                nats = pull * reach * (step / 3000) ** 1.4
                found.append(trained(f"ppd, beta {beta}", step, nats, even, user=reward))
    for step in STEPS:
        share = step / 3000
        found.append(trained("sft", step, 16 * share, {"clip": 0.9, "aesthetic": 0.35, "hps": 0.3}))
        found.append(
            trained("diffusion-dpo, beta 15", step, 0.2 * share, dict.fromkeys(REWARDS, 0.1))
        )
        special = {"clip": -0.2, "aesthetic": 0.7, "hps": 0.2}
        found.append(trained("diffusion-dpo for aesthetic, beta 15", step, 18 * share, special))
    return found


def curves(listed: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in listed:
        if one["curve"]:
            keys = ("method", "labels", "beta", "seed")
            about = {**{k: one[k] for k in keys}, "users": one["user"] is not None, "steps": []}
            found.setdefault(one["curve"], about)["steps"].append(one["step"])
    return found


def other(curve: str, reward: str, nats: float, share: float | None) -> dict[str, Any]:
    method, _, labels = curve.partition(", beta ")[0].partition(" for ")
    about = {"curve": curve, "method": method, "labels": labels or None, "beta": 15.0, "seed": 0}
    names = ("gain", "gold_gain", "diversity")
    if share is None:
        gaps = blank(*names, *(f"{name}_difference" for name in names))
        return {**about, "between": None, **gaps, "n_captions": 0, "reason": UNKNOWN}
    own, theirs = gain(reward, nats), gain(reward, nats, share)
    return {
        **about,
        "between": [
            f"{curve.replace(', ', '-').replace(' ', '-')}-{step}" for step in (2000, 2500)
        ],
        **part("gain", theirs, 0.05),
        **part("gold_gain", 0.86 * theirs, 0.05),
        **part("diversity", 0.19, 0.02),
        **part("gain_difference", own - theirs, 0.06),
        **part("gold_gain_difference", 0.86 * (own - theirs), 0.06),
        **part("diversity_difference", -0.004, 0.01),
        "n_captions": 16,
    }


def entry(reward: str, axis: str, nats: float, others: list[dict[str, Any]]) -> dict[str, Any]:
    whole = nats if axis == "divergence" else nats / 0.35
    return {
        "row": "ppd",
        "user": reward,
        "curve": "ppd, beta 15",
        axis: nats,
        **{k: v for k, v in cell(reward, whole, 1.0).items() if "gain" in k},
        "diversity": 0.19,
        "others": others,
    }


def theirs() -> dict[str, Any]:
    """Population Diffusion-DPO at its own small divergence, where the model's method passes it."""
    found: dict[str, Any] = {}
    for axis, nats in (("divergence", 0.2), ("divergence_before_last", 0.07)):
        found[axis] = {}
        for reward in REWARDS:
            curve = other("ppd, beta 15", reward, 0.2, 1.0)
            behind = -0.9 * gain(reward, 0.2)
            curve |= part("gain_difference", behind, abs(behind) / 3)
            own = cell(reward, 0.2, 0.1)
            about: dict[str, Any] = {"row": "diffusion-dpo", "curve": "diffusion-dpo, beta 15"}
            about |= {"user": None, "method": "diffusion-dpo", "labels": None, "beta": 15.0}
            gains = {k: v for k, v in own.items() if "gain" in k}
            entry_ = {**about, axis: nats, **gains, "diversity": 0.2, "others": [curve]}
            found[axis][reward] = [entry_]
    return found


def tradeoff() -> dict[str, Any]:
    """What summary.json has under `benchmarks.tradeoff`."""
    listed = points()
    matched: dict[str, Any] = {}
    for axis, share in (("divergence", 1.0), ("divergence_before_last", 0.35)):
        matched[axis] = {
            reward: [
                entry(
                    reward,
                    axis,
                    share * nats,
                    [
                        other("sft", reward, nats, {"clip": 0.98}.get(reward, 0.35)),
                        other("diffusion-dpo, beta 15", reward, nats, None),
                        *(
                            [other("diffusion-dpo for aesthetic, beta 15", reward, nats, 0.7)]
                            if reward == "aesthetic"
                            else []
                        ),
                    ],
                )
            ]
            for reward, nats in REACH.items()
        }
    return copy.deepcopy(
        {
            "unit": "nats an image",
            "captions": 16,
            "samples": 8,
            "divergence_samples": 2,
            "reference": {"name": "stable-cascade", "revision": "67b0" * 8},
            "embedder": {
                "reward": "clip-gold",
                "title": "CLIP (gold)",
                "gold": True,
                "identity": "0123456789ab",
            },
            "rewards": list(REWARDS),
            "gold": {reward: f"{reward}-gold" for reward in REWARDS},
            "points": listed,
            "curves": curves(listed),
            "matched": matched,
            "matched_theirs": theirs(),
            "headline_axis": "divergence",
            "headline": {
                axis: {
                    reward: {**entries[0], "theirs": theirs()[axis][reward]}
                    for reward, entries in by_reward.items()
                }
                for axis, by_reward in matched.items()
            },
        }
    )


def withheld(reason: str) -> dict[str, Any]:
    """The same of a run whose figures are withheld."""
    found = tradeoff()
    who = ("row", "source", "user", "curve", "method", "labels", "beta", "step", "steps", "seed")
    kept = {*who, "n_captions", "n_samples", "n_captions_expected"}
    for one in found["points"]:
        one.update({key: None for key in one if key not in kept}, rewards={}, reason=reason)
    return {**found, "matched": {}, "matched_theirs": {}, "headline": {}, "reason": reason}
