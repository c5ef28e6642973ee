"""A hand-made run: what a page must cope with, hostile captions and missing rows included."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import chromium
import pytest
from PIL import Image, ImageDraw

from ppdbench import plugins
from ppdbench.protocols import Caption, PaperRow
from ppdbench.runs.atomic import write_json
from ppdbench.runs.images import ImageStore
from ppdbench.runs.records import RecordWriter

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = '<script>alert("pwned")</script> & <b>"a" red circle</b>'
REWARDS = {"clip": "CLIP", "aesthetic": "Aesthetic", "hps": "HPS"}
COLOURS = {"red": "#d23c34", "teal": "#1f8d86", "gold": "#e0ac2c", "violet": "#7a54b8"}
SHAPES = ("circle", "square", "triangle")


def captions() -> list[Caption]:
    drawn = [
        Caption(
            id=f"test-{size}-{number}",
            text=f"a {size} {colour} {SHAPES[number % 3]} on a pale background",
            category=f"{size} object",
        )
        for size in ("small", "medium", "large")
        for number, colour in enumerate(COLOURS)
    ]
    return [Caption(id="test-hostile", text=HOSTILE, category="<i>hostile</i>"), *drawn]


def win(rate: float, mean: float, other: float, **more: Any) -> dict[str, Any]:
    return {
        "mean": mean,
        "mean_ci_low": 0.99 * mean,
        "mean_ci_high": 1.02 * mean,
        "opponent_mean": other,
        "opponent_mean_ci_low": 0.98 * other,
        "opponent_mean_ci_high": 1.01 * other,
        "win_rate": rate,
        "ci_low": max(0.0, rate - 0.055),
        "ci_high": min(1.0, rate + 0.045),
        "n": 260,
        "n_expected": 260,
        "p_value": 0.0001,
        "p_holm": 0.0003,
        "interval": "BCa cluster bootstrap",
        "test": "sign-flip permutation by cluster, 10000 draws",
        "source": "fresh",
        **more,
    }


def _wins(shift: float) -> dict[str, Any]:
    own = {"clip": 0.3121, "aesthetic": 5.871, "hps": 0.2764}
    return {
        opponent: {
            reward: win(
                rate - shift,
                own[reward] - shift / 10,
                own[reward] * share,
                source="fresh" if opponent == "stable-cascade" else "recorded",
                **({"p_value": 0.07, "p_holm": 0.14} if rate - shift < 0.555 else {}),
            )
            for reward, rate in zip(REWARDS, rates, strict=True)
        }
        for opponent, share, rates in (
            ("stable-cascade", 0.93, (0.712, 0.954, 0.931)),
            ("diffusion-dpo", 0.96, (0.596, 0.842, 0.788)),
            ("sft", 0.95, (0.548, 0.879, 0.846)),
        )
    }


def share(key: str, other: str, value: float, **more: Any) -> dict[str, Any]:
    return {
        "gain": 0.0213,
        other: 0.0251,
        key: value,
        "ci_low": value - 0.11,
        "ci_high": value + 0.12,
        "n": 260,
        **more,
    }


def interval(key: str, value: float, half: float = 0.02, n: int = 780) -> dict[str, Any]:
    high = value + half if key == "difference" else min(1.0, value + half)
    return {key: value, "ci_low": value - half, "ci_high": high, "n": n}


def _rates(value: float) -> dict[str, Any]:
    facts = ("size", "colour", "shape", "background", "relation")
    return {
        **{fact: interval("rate", value + 0.01 * i, 0.012) for i, fact in enumerate(facts)},
        "all": interval("rate", value - 0.06),
    }


def summary() -> dict[str, Any]:
    rates = {
        "clip": (0.712, 0.52, 0.61),
        "aesthetic": (0.46, 0.954, 0.72),
        "hps": (0.55, 0.81, 0.931),
    }
    return {
        "schema_version": 1,
        "suite": "shapes",
        "suite_version": "1",
        "suite_digest": "5d" * 32,
        "model": "ppd",
        "baseline": "stable-cascade",
        "created": "2026-11-21T03:40:00+00:00",
        "n_ok": 1040,
        "n_expected": 1040,
        "complete": True,
        "generators": {
            name: {
                "version": "1.0",
                "revision": revision * 8,
                "licence": "Apache-2.0",
                "settings": {"steps": 14, "guidance": {"scale": 3.0}, "seeds": [0, 1, 2]},
                "source": "fresh" if name in ("ppd", "stable-cascade") else "recorded",
                "n_ok": n,
                "n_expected": n,
            }
            for name, revision, n in (
                ("ppd", "a1b2", 780),
                ("stable-cascade", "c3d4", 260),
                ("diffusion-dpo", "e5f6", 260),
                ("sft", "0718", 260),
            )
        },
        "rewards": {
            f"{name}{suffix}": {
                "title": f"{title} (gold)" if gold else title,
                "kind": name,
                "gold": gold,
                "checkpoint_sha256": "9e" * 32,
                "preprocess": "bicubic-antialias-64",
            }
            for gold, suffix in ((False, ""), (True, "-gold"))
            for name, title in REWARDS.items()
        },
        "benchmarks": {
            "rewards": _wins(0.0),
            "rewards_gold": _wins(0.03),
            "matrix": {
                user: {
                    reward: interval("win_rate", rate, 0.05, 260)
                    for reward, rate in zip(REWARDS, row, strict=True)
                }
                for user, row in rates.items()
            },
            "gain": {
                "clip": share("ratio", "upper_bound_gain", 0.81),
                "aesthetic": share("ratio", "upper_bound_gain", 0.97),
                "hps": share("ratio", "upper_bound_gain", 0.88),
            },
            "gold_gain": {
                "clip": share("kept", "gold_gain", 0.74),
                "aesthetic": share("kept", "gold_gain", 0.91),
                "hps": share("kept", "gold_gain", 1.04),
            },
            "training_seeds": {
                "ppd": {
                    "seeds": [0, 1, 2],
                    "win_rate": {
                        "clip": {"mean": 0.701, "min": 0.681, "max": 0.7204, "n": 260},
                        "aesthetic": {"mean": 0.95, "min": 0.948, "max": 0.954, "n": 260},
                        "hps": None,
                    },
                },
                "sft": {"seeds": [0], "win_rate": None},
            },
            "caption_fidelity": {
                "stable-cascade": _rates(0.93),
                "ppd": _rates(0.925),
                "sft": _rates(0.94),
            },
            "caption_fidelity_difference": {
                "colour": interval("difference", 0.002, 0.011),
                "all": interval("difference", -0.005, 0.016),
            },
        },
        "seconds": {"plan": 0.4, "generate": 71.2, "measure": 18.9, "summarise": 2.6},
        "failures": [],
    }


def write_run(folder: Path, figures: dict[str, Any]) -> Path:
    """A run folder: captions x {base, three users}, their scores and the summary."""
    store = ImageStore(folder / "images")
    generations, scores = [], []
    for number, caption in enumerate(captions()):
        for generator, reward in [("stable-cascade", None), *(("ppd", r) for r in REWARDS)]:
            user = f"reward:{reward}" if reward else None
            item = f"{generator}/{user or '-'}/{caption.id}/0"
            image = store.put(_picture(number, list(REWARDS).index(reward) + 1 if reward else 0))
            generations.append(
                {
                    "item": item,
                    "generator": generator,
                    "caption_id": caption.id,
                    "user": user,
                    "sample": 0,
                    "seed": 7_000_000 + number,
                    "image": image,
                    "status": "ok",
                    "error": None,
                }
            )
            scores += [
                {
                    "item": item,
                    "image": image,
                    "scorer": f"reward:{name}",
                    "identity": "0123456789ab",
                    "score": 0.25 + 0.02 * (name == reward) - 0.001 * number,
                }
                for name in REWARDS
            ]
    with RecordWriter(folder / "generations.jsonl") as file:
        file.write(generations)
    with RecordWriter(folder / "scores.jsonl") as file:
        file.write(scores)
    scorers = {f"reward:{name}": {"identity": "0123456789ab"} for name in REWARDS}
    write_json(folder / "scorers.json", {"schema_version": 1, "scorers": scorers})
    write_json(
        folder / "spec.json", {"schema_version": 1, "sampling": {"steps": 14}, "limit": None}
    )
    env = {"schema_version": 1, "python": "3.12.3", "libraries": {"torch": "2.9.1"}}
    write_json(folder / "env.json", {**env, "cpu_count": 2})
    write_json(folder / "summary.json", figures)
    return folder


def _picture(number: int, style: int) -> Image.Image:
    back = ("#e8e6df", "#f6d9b8", "#cfe3ea", "#f3e9c2")[style]
    image = Image.new("RGB", (64, 64), back)
    draw = ImageDraw.Draw(image)
    colour = list(COLOURS.values())[number % 4]
    half = 8 + 7 * (number % 3)
    box = (32 - half + style, 32 - half, 32 + half + style, 32 + half)
    if number % 3 == 0:
        draw.ellipse(box, fill=colour)
    elif number % 3 == 1:
        draw.rectangle(box, fill=colour)
    else:
        draw.polygon([(32, 32 - half), (32 - half, 32 + half), (32 + half, 32 + half)], fill=colour)
    image.putpixel((0, 0), (number, style, 0))  # no two images are the same file
    return image


@pytest.fixture
def figures() -> dict[str, Any]:
    """A whole summary, free to change."""
    return copy.deepcopy(summary())


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], Path]:
    """Writes a run folder around a summary; its suite is a stand-in with hostile captions."""
    suite = SimpleNamespace(
        captions=lambda _split: captions(),
        paper=(
            PaperRow(row="Stable Cascade", values={"clip": 32.54, "aesthetic": 5.79}),
            PaperRow(row="PPD", values={"clip": 33.21, "aesthetic": 6.02, "hps": 28.4}),
        ),
    )
    monkeypatch.setattr(plugins, "load", lambda _group, _name: lambda _files: suite)
    return lambda figures: write_run(tmp_path / "ppd-0123456789ab", figures)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; tests are skipped where there is none.

    Gone with its module: Playwright leaves an event loop running, in which no other starts.
    """
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with api.sync_playwright() as playwright:
        path = chromium.find(playwright)
        if path is None:
            pytest.skip(chromium.NONE)
        found = chromium.launch(playwright, path)
        yield found
        found.close()
