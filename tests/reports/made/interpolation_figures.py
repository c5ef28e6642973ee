"""A run's interpolation, made by hand, for any rewards and step, and the pictures that it shows."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from ppdbench.benchmarks.interpolation.simplex import Simplex, edge_name
from ppdbench.runs.images import ImageStore
from ppdbench.runs.records import RecordWriter

REWARDS = ("clip", "aesthetic", "hps")
SHOWN = ("test-small-0", "test-hostile", "gone")
"""The captions of the gallery; nothing was drawn of the last."""
CATEGORIES = ("small object", "<b>hostile</b>")


def part(name: str, value: float, half: float) -> dict[str, Any]:
    return {name: value, f"{name}_ci_low": value - half, f"{name}_ci_high": value + half}


def cell(median: float, corner: float, **more: Any) -> dict[str, Any]:
    """One directed test."""
    return {
        "median_spearman": median,
        "ci_low": median - 0.1,
        "ci_high": min(1.0, median + 0.1),
        **part("mean_spearman", median - 0.35, 0.08),
        "median_kendall": median - 0.1,
        "isotonic_r2": 0.94,
        "page_l": 4979.0,
        "p_value": 1.5e-9,
        "p_holm": 9e-9,
        "violations": 0.171875,
        **part("corner_win_rate", corner, 0.06),
        "corner_pairs": 192,
        **part("endpoint_gain", 0.4, 0.1),
        "test": "Page's L, one block a caption",
        "n": 96,
        "n_expected": 96,
        **more,
    }


def permuted() -> dict[str, Any]:
    return {
        "median_spearman": 0.02,
        "ci_low": -0.05,
        "ci_high": 0.08,
        "mean_spearman": 0.01,
        "mean_spearman_ci_low": -0.02,
        "mean_spearman_ci_high": 0.04,
        "p_value": 0.41,
        "violations": 0.497,
        "corner_win_rate": 0.503,
        "corner_win_rate_ci_low": 0.483,
        "corner_win_rate_ci_high": 0.521,
        "test": "Page's L of each caption's first order",
        "n": 96,
        "n_expected": 96,
        "permutations": 20,
    }


def base() -> dict[str, Any]:
    flat = {"violations": 0.0, "p_value": 0.5, "p_holm": 1.0, "page_l": 4320.0}
    return cell(0.0, 0.5, ci_low=0.0, ci_high=0.0, **flat)


def gain(weights: dict[str, float], reward: str, share: float = 1.0) -> dict[str, Any]:
    value = share * (0.7 * weights[reward] - 0.15)
    return {
        **part("gain", value, 0.05),
        "win_rate": 0.5 + value / 2,
        "ci_low": 0.45 + value / 2,
        "ci_high": 0.55 + value / 2,
        "n": 192,
    }


def benchmarks(
    rewards: Sequence[str] = REWARDS, step: float = 0.25, *, gold: bool = True
) -> dict[str, Any]:
    """The parts of summary.json's `benchmarks` that an interpolation has.

    The tests are ever weaker, and the last one is not shown to rise.
    """
    simplex = Simplex.of(rewards, step)
    medians = iter([1.0, 0.95, 0.9, 0.8, 0.7, *[0.6] * 90])
    tests = {
        edge_name(edge): {reward: cell(next(medians), 0.9) for reward in edge}
        for edge in simplex.edges
    }
    if tests:
        list(tests.values())[-1][rewards[-1]].update(p_value=0.21, p_holm=0.21)
    controls = {
        name: {edge: {reward: made() for reward in cells} for edge, cells in tests.items()}
        for name, made in (("permuted", permuted), ("base", base))
    }
    grid = [
        {
            "weights": dict(point.reward_weights or {}),
            "user": point.id,
            "rewards": {
                f"{reward}{suffix}": gain(dict(point.reward_weights or {}), reward, share)
                for reward in rewards
                for suffix, share in (("", 1.0), *((("-gold", 0.8),) if gold else ()))
            },
            "caption_fidelity": 0.95,
        }
        for point in simplex.points
    ]
    kept = ("median_spearman", "ci_low", "ci_high", "corner_win_rate", "corner_win_rate_ci_low",
            "corner_win_rate_ci_high", "violations", "n")  # fmt: skip
    found = {
        "interpolation": tests,
        "interpolation_controls": controls,
        "interpolation_grid": grid,
        "interpolation_about": {
            "step": step,
            "captions": 96,
            "samples": 2,
            "rewards": list(rewards),
            "edges": {edge_name(edge): list(edge) for edge in simplex.edges},
            "mixtures": len(simplex.points),
            "gold": {name: f"{name}-gold" for name in rewards} if gold else {},
            "unit": "standard deviations of the scorer on the baseline's images",
            "permutations": 20,
            "shown": list(SHOWN),
        },
        "interpolation_categories": {
            category: {
                edge: {r: {k: v[k] for k in kept} | {"n": 20} for r, v in cells.items()}
                for edge, cells in tests.items()
            }
            for category in CATEGORIES
        },
        **({"interpolation_gold": tests} if gold else {}),
    }
    return copy.deepcopy(found)


def withhold(parts: dict[str, Any], reason: str) -> None:
    """The same of a run whose figures are withheld."""
    listed = [parts["interpolation"], parts.get("interpolation_gold") or {}]
    listed += parts["interpolation_controls"].values()
    listed += parts["interpolation_categories"].values()
    for edges in listed:
        for cells in edges.values():
            for one in cells.values():
                n = {key: one[key] for key in ("n", "n_expected") if key in one}
                one.update({**dict.fromkeys(one), **n, "reason": reason})
    for point in parts["interpolation_grid"]:
        point["caption_fidelity"] = None
        for one in point["rewards"].values():
            one.update({**dict.fromkeys(one), "n": 192, "reason": reason})


def add_pictures(run: Path, parts: dict[str, Any]) -> None:
    """What was drawn for the gallery: all mixtures but the last one of the second caption."""
    store, records = ImageStore(run / "images"), []
    users = [point["user"] for point in parts["interpolation_grid"]]
    for caption in SHOWN[:2]:
        for number, user in enumerate([None, *users]):
            if caption == SHOWN[1] and user == users[-1]:
                continue
            picture = Image.new("RGB", (16, 16), (8 * (number % 32), 90, 140))
            name = "ppd" if user else "stable-cascade"
            records.append(
                {
                    "item": f"interpolation/{name}/{user or '-'}/{caption}/0",
                    "benchmark": "interpolation",
                    "arm": None,
                    "generator": name,
                    "caption_id": caption,
                    "user": user,
                    "sample": 0,
                    "seed": 4711,
                    "image": store.put(picture),
                    "status": "ok",
                    "error": None,
                }
            )
    with RecordWriter(run / "generations.jsonl") as file:
        file.write(records)
