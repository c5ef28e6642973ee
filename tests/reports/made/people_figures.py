"""A run's figures of people, made by hand, and the records of the pictures it shows."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from PIL import Image

from ppdbench.protocols import Caption
from ppdbench.runs.captions import write_captions
from ppdbench.runs.images import ImageStore
from ppdbench.runs.records import RecordWriter

HOSTILE = '<script>alert("people")</script>'
SPLITS = ("seen", "unseen", "all")
USERS = ("user:1", "user:2")


def part(name: str, value: float, half: float = 0.04) -> dict[str, Any]:
    return {name: value, f"{name}_ci_low": value - half, f"{name}_ci_high": value + half}


def cell(rate: float, other: float, **more: Any) -> dict[str, Any]:
    return {
        "win_rate": rate,
        "ci_low": rate - 0.04,
        "ci_high": rate + 0.03,
        "n_users": 192,
        "n": 768,
        "n_expected": 768,
        "p_value": 0.0001,
        "p_holm": 0.0006,
        "shuffled_win_rate": other,
        "shuffled_ci_low": other - 0.05,
        "shuffled_ci_high": other + 0.05,
        "null_win_rate": 0.55,
        "null_ci_low": 0.5,
        "null_ci_high": 0.6,
        **part("total_gain", rate - 0.5),
        **part("population_gain", other - 0.5),
        **part("personal_gain", rate - other),
        **part("null_gain", 0.05),
        "personal_gain_p_value": 0.0001,
        "personal_gain_p_holm": 0.0006,
        **part("utility_gain", 0.61),
        "quantiles": {
            "win_rate": {"10": 0.25, "25": 0.5, "50": 0.75, "75": 1.0, "90": 1.0},
            "utility_gain": {"10": -0.12, "25": 0.2, "50": 0.6, "75": 1.01, "90": 1.5},
        },
        **part("worse_off", 0.134),
        "dominant": {
            "-warmth": {"win_rate": 0.77, "ci_low": 0.7, "ci_high": 0.83, "n_users": 16, "n": 64},
            HOSTILE: {"win_rate": 0.9, "ci_low": 0.8, "ci_high": 0.96, "n_users": 16, "n": 64},
        },
        "test": "sign-flip permutation by cluster, 10000 draws",
        "interval": "BCa cluster bootstrap",
        "source": "fresh",
        **more,
    }


def trend(rho: float) -> dict[str, Any]:
    return {
        "spearman": rho,
        "ci_low": rho - 0.05,
        "ci_high": rho + 0.05,
        "violations": 0.118,
        **part("own_end_win_rate", 0.872),
        "p_value": 1e-9,
        "p_holm": 6e-9,
        "test": "Page's L, one block a pair",
        "n": 96,
        "n_pairs": 48,
    }


def curve_of(rates: list[float]) -> list[dict[str, Any]]:
    return [
        {
            "shots": shots,
            "win_rate": rate,
            "ci_low": rate - 0.03,
            "ci_high": rate + 0.03,
            "n": 768,
            "n_users": 192,
            **part("over_zero", rate - rates[0]),
        }
        for shots, rate in zip((0, 1, 2, 4, 8), rates, strict=True)
    ]


def accuracy(top1: float, top5: float, top16: float) -> dict[str, Any]:
    ks = list(range(1, 31))
    values = [top1 + (top16 - top1) * min(1.0, k / 16) for k in ks]
    return {
        "top1": top1,
        "top5": top5,
        "top16": top16,
        "chance_top16": 16 / 300,
        "ci_low": top16 - 0.05,
        "ci_high": top16 + 0.04,
        "p_value": 0.001,
        "n_users": 300,
        "n_test": 300,
        "n_missing": 0,
        "curve": {
            "k": ks,
            "accuracy": values,
            "ci_low": [v - 0.03 for v in values],
            "ci_high": [v + 0.03 for v in values],
            "chance": [k / 300 for k in ks],
        },
    }


def probe() -> dict[str, Any]:
    """What a bilinear probe of an encoder's embeddings guesses."""
    return {
        **part("accuracy", 0.691, 0.03),
        "ceiling": 0.714,
        **part("accuracy_true", 0.702, 0.03),
        "ceiling_true": 0.727,
        **part("shuffled", 0.503, 0.02),
        **part("gain", 0.188, 0.03),
        "gain_p_value": 0.0001,
        "n": 1536,
        "n_users": 190,
        "n_missing": 2,
        "penalty": 0.01,
        "train_log_loss": 0.6,
        "way": 0.893,
        "way_true": 0.89,
    }


def benchmarks() -> dict[str, Any]:
    """What summary.json holds of people."""
    return copy.deepcopy(
        {
            "users": {
                f"llava-{HOSTILE}": {
                    **accuracy(0.31, 0.6, 0.893),
                    "ceilings": {"top1": 0.052, "top5": 0.204, "top16": 0.42, "both_top16": 0.951},
                    "labels_cap": {"top1": 0.0533, "top5": 0.2667, "top16": 0.8533},
                    "classifier": {"shots": 4},
                    "of_ceiling": {"top16": 0.939, "ci_low": 0.88, "ci_high": 0.98},
                    "gain_over_captions": {
                        "top16": 0.087,
                        "ci_low": 0.03,
                        "ci_high": 0.14,
                        "p_value": 0.002,
                        "n": 300,
                    },
                    "parts": {
                        "topic": {
                            "top16": 0.75,
                            "ci_low": 0.7,
                            "ci_high": 0.8,
                            **part("share", 0.9),
                        },
                        "preference": {"top16": None, "reason": "not measured"},
                    },
                    "controls": {
                        "captions_only": accuracy(0.2, 0.5, 0.806),
                        "labels_swapped": {"top16": None, "reason": "not measured"},
                    },
                    "common_captions": accuracy(0.1, 0.3, 0.451),
                    "probe": probe(),
                },
                "onehot": {
                    **dict.fromkeys(accuracy(0, 0, 0)),
                    **dict.fromkeys(("n_users", "n_test", "n_missing"), 0),
                    "reason": "not applicable: it reads who the user is",
                    "controls": {},
                    "probe": {
                        "accuracy": None,
                        "reason": "not applicable: it reads who the user is",
                    },
                },
            },
            "personal": {
                opponent: {split: cell(rate, other) for split in SPLITS}
                for opponent, rate, other in (
                    ("stable-cascade", 0.843, 0.581),
                    (f"dpo {HOSTILE}", 0.712, 0.49),
                )
            },
            "personal_ceilings": {
                split: {"choice": 0.748, "choice_noisy": 0.729, "dominant": 0.516, "n_users": 277}
                for split in ("seen", "unseen")
            },
            "personal_matrix": {
                split: {
                    "own_is_best": 0.412,
                    "ci_low": 0.36,
                    "ci_high": 0.47,
                    "chance": 0.0625,
                    **part("mean_rank", 3.37, 0.3),
                    "mean_rank_chance": 8.5,
                    "n_groups": 12,
                    "n": 3072,
                }
                for split in SPLITS
            },
            "personal_shots": {split: curve_of([0.55, 0.7, 0.78, 0.843, 0.87]) for split in SPLITS},
            "personal_between": {
                split: {"steps": [0, 0.25], "first": trend(-0.9), "second": trend(0.8)}
                for split in SPLITS
            },
            "personal_fidelity": {
                name: {"all": {"rate": 0.91, "ci_low": 0.89, "ci_high": 0.93, "n": 1876}}
                for name in ("stable-cascade", "ppd")
            },
            "personal_fidelity_difference": {
                "all": {"difference": -0.004, "ci_low": -0.02, "ci_high": 0.012, "n": 1876}
            },
            "personal_shown": {
                "users": [
                    {
                        "context": user,
                        "split": "unseen",
                        "dominant": "+warmth",
                        "profile": f"likes {HOSTILE}" if user == USERS[0] else None,
                    }
                    for user in USERS
                ],
                "captions": [{"id": "people-0", "owner": USERS[0]}, {"id": "gone", "owner": "x"}],
            },
        }
    )


def add_pictures(run: Path) -> None:
    """The pictures that the summary shows: a caption by the base and for the first user only."""
    store = ImageStore(run / "images")
    records = []
    for number, (generator, user) in enumerate(
        (("stable-cascade", None), ("ppd", USERS[0]), ("ppd", "user:9"))
    ):
        image = Image.new("RGB", (16, 16), (80 * number, 90, 100))
        records.append(
            {
                "item": f"{generator}/{user or '-'}/people-0/0",
                "benchmark": "personal",
                "arm": "own" if user else "nobody",
                "generator": generator,
                "caption_id": "people-0",
                "user": user,
                "sample": 0,
                "seed": 77,
                "image": store.put(image),
                "status": "ok",
                "error": None,
            }
        )
    with RecordWriter(run / "generations.jsonl") as file:
        file.write(records)
    write_captions(run, [Caption(id="people-0", text=f"a wish {HOSTILE}", category="any")])
