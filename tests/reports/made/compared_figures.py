"""A comparison's summary, made by hand: two or three runs, every benchmark, hostile names."""

from __future__ import annotations

from typing import Any

HOSTILE = '<script>alert("compare")</script> [bold]A[/bold] {other}'
REWARDS = {"clip": "CLIP", "aesthetic": "Aesthetic"}


def tested(key: str, value: float, half: float, verdict: str, **more: Any) -> dict[str, Any]:
    return {
        key: value,
        "ci_low": value - half,
        "ci_high": value + half,
        "p_value": 0.001,
        "p_holm": 0.2 if verdict == "not distinguishable" else 0.004,
        "n": 250,
        "n_expected": 260,
        "n_clusters": 250,
        "standard_error": half / 2,
        "minimum_detectable": 1.4 * half,
        "verdict": verdict,
        "test": "sign-flip permutation by cluster, 10000 draws",
        "interval": "BCa cluster bootstrap",
        **more,
    }


def wins(rate: float, verdict: str) -> dict[str, Any]:
    return tested("win_rate", rate, 0.04, verdict)


def apart(value: float, verdict: str, **more: Any) -> dict[str, Any]:
    return tested("difference", value, 0.05, verdict, a=0.6 + value, b=0.6, **more)


def described(value: float) -> dict[str, Any]:
    """A difference that is not tested."""
    untested = ("p_value", "p_holm", "standard_error", "minimum_detectable", "verdict", "test")
    return {k: v for k, v in apart(value, "").items() if k not in untested}


def views(rate: float, verdict: str) -> dict[str, Any]:
    gap = rate - 0.5
    standard = {"difference": gap, "ci_low": gap - 0.1, "ci_high": gap + 0.1}
    return {
        "head_to_head": wins(rate, verdict),
        "mean": apart(gap, verdict, standardised={**standard, "minimum_detectable": 0.14}),
        "over_baseline": apart(gap, verdict),
        "scorer": "clip",
    }


def directed(gap: float, verdict: str) -> dict[str, Any]:
    """One directed test of an interpolation."""
    return {
        "spearman": apart(gap, verdict),
        "corner_win_rate": apart(gap / 2, verdict),
        "endpoint_gain": views(0.5 + gap, verdict)["mean"],
        "scorer": "clip",
    }


def traded(reward: str, gain: float, nats: float) -> dict[str, Any]:
    """A trade-off by one reward: A draws for its user, B for nobody; diversity is unknown."""
    return {
        "a_user": reward,
        "b_user": None,
        "divergence": apart(10 * nats, "A higher"),
        "divergence_before_last": apart(nats, "A higher"),
        "diversity": unknown("difference", "other embedders: clip 1 in ppd and clip 2 in sft"),
        "gain": apart(gain, "A higher"),
        "gold_gain": apart(gain / 2, "not distinguishable"),
    }


def unknown(key: str, reason: str) -> dict[str, Any]:
    blank = ("ci_low", "ci_high", "p_value", "p_holm", "minimum_detectable", "verdict")
    return {key: None, **dict.fromkeys(blank), "n": 0, "n_expected": 0, "reason": reason}


def run(letter: str, label: str, **more: Any) -> dict[str, Any]:
    return {
        "run": letter,
        "label": label,
        "folder": f"{letter}-0123456789ab",
        "fingerprint": "0123456789ab",
        "model": label,
        "baseline": "stable-cascade",
        "judge": None,
        "encoders": [],
        "benchmarks": ["rewards"],
        "limit": None,
        "full": False,
        "samples": 1,
        "n_ok": 520,
        "n_expected": 520,
        "training_seed": 0,
        "training_seeds": [0, 1],
        **more,
    }


def summary(one: str = "ppd", other: str = "sft") -> dict[str, Any]:
    """Two runs, all benchmarks: A is higher by Aesthetic, CLIP is open."""
    alike = "not distinguishable"
    rewards = {"clip": views(0.53, alike), "aesthetic": views(0.84, "A higher")}
    along = {
        "clip+aesthetic": {"clip": directed(0.01, alike), "aesthetic": directed(-0.3, "B higher")}
    }
    splits = {"seen": 0.7, "unseen": 0.66, "all": 0.69}
    return {
        "schema_version": 1,
        "kind": "comparison",
        "suite": "shapes",
        "suite_version": "1",
        "suite_digest": "5d" * 32,
        "created": "2026-11-22T04:31:54+00:00",
        "ppdbench": "0.1.0",
        "runs": [run("A", one), run("B", other, limit=40, training_seeds=None)],
        "rewards": {name: {"title": title, "gold": False} for name, title in REWARDS.items()},
        "benchmarks": {
            "rewards": {"A-B": rewards},
            "rewards_gold": {"A-B": rewards},
            "caption_fidelity": {
                "A-B": {"colour": described(0.01), "all": apart(-0.02, alike)},
            },
            "interpolation": {"A-B": along},
            "interpolation_gold": {"A-B": along},
            "tradeoff": {
                "A-B": {"clip": traded("clip", 0.4, 2.5), "aesthetic": traded("aesthetic", 0.6, 5)}
            },
            "personal": {
                "A-B": {
                    split: {
                        "head_to_head": wins(rate, "A higher"),
                        "over_baseline": apart(rate - 0.5, "A higher"),
                    }
                    for split, rate in splits.items()
                }
            },
            "judge": {
                "A-B": {
                    split: {
                        "shared": apart(-0.2, "B higher"),
                        "disjoint": unknown("difference", f"{other} asked nothing"),
                    }
                    for split in splits
                }
            },
            "users": {
                "A-B": {
                    "a_encoder": "onehot",
                    "b_encoder": "clip-pairs",
                    "topics": {f"top{k}": apart(0.1, "A higher") for k in (1, 5, 16)},
                    "common": {
                        **{f"top{k}": unknown("difference", "not measured") for k in (1, 5, 16)},
                        "reason": "not measured",
                    },
                }
            },
        },
        "ranking": {},
        "left_out": [
            {"benchmark": "personal_fidelity", "runs": "A-B", "reason": f"{other} has <i>none</i>"}
        ],
        "notes": [f"{one} was trained 2 times"],
        "seconds": {"summarise": 1.0},
        "inputs": "0" * 12,
    }


def three() -> dict[str, Any]:
    """A third run: A leads by Aesthetic with no bound, nobody leads by CLIP."""
    found = summary()
    found["runs"].append(run("C", "dpo"))
    alike = "not distinguishable"
    found["benchmarks"] = {
        "rewards": {
            "A-B": {"clip": views(0.53, alike), "aesthetic": views(0.84, "A higher")},
            "A-C": {"clip": views(0.5, alike), "aesthetic": views(0.9, "A higher")},
            "B-C": {"clip": views(0.45, alike), "aesthetic": views(0.3, "C higher")},
        }
    }
    found["ranking"] = {"rewards": {"clip": order(None), "aesthetic": order("A")}}
    found["left_out"] = []
    return found


def order(leader: str | None) -> dict[str, Any]:
    """Nobody leads, with strengths; or one leads that never lost, and nobody has any."""
    known = leader is None
    ranks = {
        "A": (1, 3, []) if known else (1, 1, ["B", "C"]),
        "B": (1, 3, []) if known else (3, 3, []),
        "C": (1, 3, []) if known else (2, 2, ["B"]),
    }
    return {
        "runs": {
            letter: {
                **{
                    f"{name}{end}": value if known else None
                    for name, value in (("strength", 0.1), ("win_rate_over_average", 0.52))
                    for end in ("", "_ci_low", "_ci_high")
                },
                "best_rank": best,
                "worst_rank": worst,
                "beats": beats,
                "loses_to": [],
            }
            for letter, (best, worst, beats) in ranks.items()
        },
        "n": 780,
        "n_clusters": 260,
        **({} if known else {"reason": "ppd never lost: its strength has no bound"}),
    }
