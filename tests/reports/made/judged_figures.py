"""A judged run's figures, made by hand from counts so that they agree, and the images it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from ppdbench.runs.images import ImageStore

HOSTILE = '<script>alert("judge")</script>'
USERS = {"seen": 277, "unseen": 192, "all": 469}


def with_ends(name: str, value: float | None, half: float = 0.04) -> dict[str, Any]:
    low, high = (None, None) if value is None else (value - half, value + half)
    return {name: value, f"{name}_ci_low": low, f"{name}_ci_high": high}


def cell(
    n: int, wins: float, losses: float, first: float, second: float, **more: Any
) -> dict[str, Any]:
    """Figures of an arm from shares of its n: consistent wins and losses, and the two flips."""
    w, lo, ff, ss = (round(share * n) for share in (wins, losses, first, second))
    ss = min(ss, n - w - lo - ff)  # rounded shares of a whole may exceed it
    ties = n - w - lo - ff - ss
    coverage, kept = (w + lo) / n, w / (w + lo) if w + lo else None
    rate = (w + (n - w - lo) / 2) / n
    bias = (ff - ss) / n
    return {
        "win_rate": rate,
        "ci_low": rate - 0.04,
        "ci_high": rate + 0.04,
        "p_value": 0.0001,
        "p_holm": 0.0006,
        "n": n,
        "n_users": n,
        "n_expected": n,
        "n_failed": 0,
        **with_ends("consistent_win_rate", kept),
        "n_consistent": w + lo,
        "wins": w,
        "losses": lo,
        "flips": ff + ss,
        "ties": ties,
        **with_ends("coverage", coverage),
        "lower_bound": w / n,
        "upper_bound": w / n + 1 - coverage,
        "first_first": ff,
        "second_second": ss,
        "first_pick_rate": 0.5 + bias / 2,
        "first_pick_bias": bias,
        "first_pick_bias_p_value": 0.0002 if abs(bias) > 0.05 else 0.41,
        "first_pick_bias_flagged": abs(bias) > 0.05,
        **with_ends("debiased_win_rate", rate + 0.01),
        **with_ends("accuracy", 0.711),
        "n_accuracy": n,
        "consistent_accuracy": 0.76,
        **dict.fromkeys(
            ("difference", "difference_ci_low", "difference_ci_high", "difference_p_value")
        ),
        "test": "sign-flip permutation by cluster, 10000 draws",
        "interval": "BCa cluster bootstrap",
        **more,
    }


def without(own: dict[str, Any], rate: float) -> dict[str, Any]:
    """A control: what the headline loses."""
    return {
        **own,
        **with_ends("difference", rate - own["win_rate"]),
        "difference_p_value": 0.0001,
    }


def split(n: int) -> dict[str, Any]:
    """Shared shots at 82%, disjoint ones at 70%, the truth at 69%."""
    shared = cell(n, 0.7, 0.06, 0.17, 0.05)
    disjoint = cell(n, 0.55, 0.15, 0.12, 0.11, **with_ends("accuracy", 0.684))
    inflation = shared["win_rate"] - disjoint["win_rate"]
    return {
        "win_rate": shared["win_rate"],
        "ci_low": shared["ci_low"],
        "ci_high": shared["ci_high"],
        **with_ends("win_rate_disjoint", disjoint["win_rate"]),
        **with_ends("inflation", inflation, 0.03),
        **{k: shared[k] for k in ("consistent_win_rate", "coverage", "first_pick_bias")},
        "n": n,
        "n_users": n,
        "n_expected": n,
        **with_ends("true_win_rate", 0.693),
        **with_ends("judge_accuracy", 0.711),
        **with_ends("judge_accuracy_disjoint", 0.684),
        "shots": "shared",
        "shared": shared,
        "disjoint": disjoint,
        "controls": {
            "zero_shots": without(cell(n, 0.4, 0.3, 0.15, 0.15), disjoint["win_rate"]),
            "other_shots": without(cell(n, 0.35, 0.35, 0.15, 0.15), disjoint["win_rate"]),
            "other_context": without(cell(n, 0.38, 0.32, 0.15, 0.15), disjoint["win_rate"]),
        },
    }


def agreement(all_call: float, **more: Any) -> dict[str, Any]:
    """One way of asking, in a calibration."""
    return {
        **with_ends("all_call", all_call, 0.015),
        **with_ends("tie_half", all_call + 0.004, 0.018),
        **with_ends("consistent", all_call + 0.061, 0.02),
        "n_consistent": 1950,
        **with_ends("coverage", 0.812, 0.02),
        "first_pick_bias": 0.013,
        "first_pick_bias_p_value": 0.31,
        "n": 2400,
        "n_users": 120,
        "n_failed": 0,
        **more,
    }


def difference(value: float, p: float = 0.0001) -> dict[str, Any]:
    return {
        "difference": value,
        "difference_ci_low": value - 0.02,
        "difference_ci_high": value + 0.02,
        "p_value": p,
        "n": 2400,
        "n_users": 120,
    }


def calibration() -> dict[str, Any]:
    """What `ppdbench calibrate` writes of a judge that is personalised."""
    return {
        "judge": "vlm",
        "revision": "a1b2c3d4e5f6",
        "shots": 4,
        "split": "calibration",
        "n": 2400,
        "n_users": 120,
        "n_expected": 2400,
        "own": agreement(0.701),
        "other_shots": agreement(0.508),
        "zero_shots": agreement(0.521),
        "scalars": {
            "scalar:clip": agreement(0.503, **with_ends("coverage", 1.0, 0.0)),
            f"scalar:{HOSTILE}": agreement(0.512, **with_ends("coverage", 1.0, 0.0)),
        },
        "differences": {
            "other_shots": difference(0.193),
            "zero_shots": difference(0.18),
            "scalar:clip": difference(0.198),
            f"scalar:{HOSTILE}": difference(0.189),
        },
        "by_margin": [
            {
                "low": low,
                "high": high,
                "n": 600,
                "own": with_ends("rate", own, 0.03),
                "other_shots": with_ends("rate", 0.505, 0.03),
            }
            for low, high, own in (
                (0.0, 0.4, 0.54),
                (0.4, 0.9, 0.66),
                (0.9, 1.7, 0.76),
                (1.7, 4.21, 0.86),
            )
        ],
        "margin_of": "true utility",
        "repeats": {"n": 50, "asked": 3, **with_ends("stable", 0.98, 0.02)},
        "identical": {
            "n": 60,
            "first": 33,
            "second": 27,
            "abstain": 0,
            "bias": 0.1,
            "p_value": 0.52,
            "flagged": False,
        },
        "ceilings": {
            "choice_shots_4": 0.748,
            "choice_noisy_shots_4": 0.722,
            "choice_noisy_known": 0.948,
            "dominant": 0.5,
        },
        "ceiling": 0.722,
        "way_to_ceiling": 0.905,
        "paper": 0.83,
        "personalised": True,
    }


def judge() -> dict[str, Any]:
    """Who judged and what it took."""
    return {
        "name": "vlm",
        "revision": "a1b2c3d4e5f6",
        "personal": True,
        "settings": {"model": "tiny-llava-onevision", "prompt": "1/2"},
        "shots": 4,
        "calls": 4690,
        "asked": 3757,
        "tokens_in": 1_523_411,
        "tokens_out": 4690,
        "cost": 0.0,
        "seconds_p50": 0.021,
        "models": {"tiny-llava-onevision": 4690, f"other {HOSTILE}": 2},
        "statuses": {"ok": 4685, "refusal": 5, "parse_error": 0},
    }


def shown() -> list[dict[str, Any]]:
    """Three verdicts: consistent, contradictory, refused."""
    shots = [
        {
            "caption": f"a past wish {number}",
            "preferred": f"shots/good{number}.png",
            "dispreferred": f"shots/bad{number}.png",
        }
        for number in range(4)
    ]
    shots[3] = {"caption": HOSTILE, "preferred": "shots/gone.png", "dispreferred": "../out.png"}
    answers = [
        [
            _answer(0, "first", 0.71, f"warmer colours, as in the shots {HOSTILE}"),
            _answer(1, "second", 0.22, "the second is warmer"),
        ],
        [_answer(0, "first", 0.64, None), _answer(1, "first", 0.55, None)],
        [
            {"order": 0, "choice": None, "p_first": None, "reason": None, "status": "refusal"},
            _answer(1, "abstain", None, None),
        ],
    ]
    return [
        {
            "user": f"people:{number}",
            "split": "unseen",
            "caption": f"a new wish {number} {HOSTILE if number == 0 else ''}",
            "caption_id": f"people-{number}",
            "shots": shots,
            "model_image": "",
            "baseline_image": "f" * 64,
            "verdicts": said,
            "outcome": outcome,
            "truth": truth,
        }
        for number, (said, outcome, truth) in enumerate(
            zip(answers, (1, 0.5, None), (1, 0, None), strict=True)
        )
    ]


def _answer(order: int, choice: str, p_first: float | None, reason: str | None) -> dict[str, Any]:
    return {
        "order": order,
        "choice": choice,
        "p_first": p_first,
        "reason": reason,
        "status": "ok",
    }


def summary() -> dict[str, Any]:
    """summary.json of `ppdbench judge`."""
    return {
        "schema_version": 1,
        "suite": "shapes",
        "suite_version": "1",
        "suite_digest": "5d" * 32,
        "model": "ppd",
        "baseline": "stable-cascade",
        "created": "2026-11-22T03:40:00+00:00",
        "ppdbench": "0.4.0",
        "n_ok": 4690,
        "n_expected": 4690,
        "complete": True,
        "withheld": None,
        "notes": [],
        "generators": {
            name: {"version": "1.0", "licence": "Apache-2.0", "settings": {}, "source": "fresh"}
            for name in ("ppd", "stable-cascade")
        },
        "rewards": {},
        "judge": judge(),
        "benchmarks": {
            "judge": {name: split(n) for name, n in USERS.items()},
            "judge_calibration": {**calibration(), "folder": "runs/calibrate-vlm-0123456789ab"},
            "judge_shown": shown(),
            "judge_fidelity": {
                name: {"all": {"rate": 0.91, "ci_low": 0.89, "ci_high": 0.93, "n": 469}}
                for name in ("ppd", "stable-cascade")
            },
            "judge_fidelity_difference": {
                "all": {"difference": -0.004, "ci_low": -0.02, "ci_high": 0.012, "n": 469}
            },
            "judge_funnel": {
                "arm": "disjoint",
                "users": {"seen": 277, "unseen": 192},
                "comparisons": 469,
                "drawn": 469,
                "asked_calls": 938,
                "ok_calls": 933,
                "judged": 464,
                "consistent": 328,
                "excluded": {"the judge refused": 5},
            },
        },
        "failures": [],
        "seconds": {"plan": 0.4, "generate": 71.2, "judge": 118.9},
    }


def calibration_summary() -> dict[str, Any]:
    """summary.json of `ppdbench calibrate`: no model, nothing drawn."""
    whole = summary()
    return {
        **whole,
        "model": "vlm",
        "baseline": None,
        "generators": {},
        "rewards": {},
        "benchmarks": {"calibration": calibration()},
        "seconds": {"judge": 88.0},
    }


def add_images(run: Path, figures: dict[str, Any]) -> None:
    """The images of the verdicts shown; the fourth shot's and a baseline's are missing."""
    store = ImageStore(run / "images")
    (run / "shots").mkdir(exist_ok=True)
    for number in range(3):
        _image("#d8642c", 20 + number).save(run / "shots" / f"good{number}.png")
        _image("#3f6fa8", 14 + number).save(run / "shots" / f"bad{number}.png")
    _image("red", 9).save(run.parent / "out.png")  # outside of the run
    for number, verdict in enumerate(figures["benchmarks"]["judge_shown"]):
        verdict["model_image"] = store.put(_image("#e0902c", 22 + number))
        if number:
            verdict["baseline_image"] = store.put(_image("#6f8fa8", 22 + number))


def _image(colour: str, half: int) -> Image.Image:
    image = Image.new("RGB", (64, 64), "#f3efe2")
    ImageDraw.Draw(image).ellipse((32 - half, 32 - half, 32 + half, 32 + half), fill=colour)
    return image
