"""A made-up run of any size on `shapes`, with large pictures: what `report_size.py` measures on.

Records, images and figures have the form of a real run's; the numbers mean nothing. A pool of
pictures is shared by all items, as a file a content is what a run's folder holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ppdbench import plugins
from ppdbench.protocols import Caption, EvaluatedUser
from ppdbench.runs.atomic import write_json
from ppdbench.runs.captions import write_captions
from ppdbench.runs.images import ImageStore
from ppdbench.runs.records import RecordWriter

MODEL, BASELINE = "ppd", "stable-cascade"
OPPONENTS = (BASELINE, "diffusion-dpo", "sft")
REWARDS = ("clip", "aesthetic", "hps")
IDENTITY = "0123456789ab"


def write_run(folder: Path, *, items: int, side: int, files: int) -> Path:
    """Write a run of so many items; returns its folder.

    Args:
        folder: where.
        items: images to have been drawn: a fifth for people, the rest for rewards.
        side: pixels of a picture's side.
        files: pictures in the pool.
    """
    suite = plugins.make_suite("shapes")
    store = ImageStore(folder / "images")
    pool = [store.put(picture(seed, side)) for seed in range(files)]
    pairs = items // 10
    users = [user for split in ("seen", "unseen") for user in suite.people.users(split)]
    wishes = [(user, caption) for n in range(4) for user in users for caption in [user.captions[n]]]
    captions = _captions((items - 2 * pairs) // 4)
    drawn = [*_of_rewards(captions), *_of_people(wishes[:pairs])]
    rng = np.random.default_rng(0)
    with RecordWriter(folder / "generations.jsonl") as file:
        file.write(
            {**item, "seed": 7 * number, "image": pool[number % files], "status": "ok"}
            | {"sample": 0, "error": None}
            for number, item in enumerate(drawn)
        )
    with RecordWriter(folder / "scores.jsonl") as file:
        file.write(
            {"item": item["item"], "image": pool[number % files], **score, "error": None}
            for number, item in enumerate(drawn)
            for score in _scores(item, rng, suite.people.truth.identity)
        )
    scorers = {f"reward:{name}": {"identity": IDENTITY, "name": name} for name in _all_rewards()}
    scorers |= {"fidelity": {"identity": IDENTITY}}
    scorers |= {"truth": {"identity": suite.people.truth.identity}}
    write_json(folder / "scorers.json", {"schema_version": 1, "scorers": scorers})
    write_captions(folder, [*captions, *(caption for _, caption in wishes[:pairs])])
    shown = [user.id for user in users[:5]]
    write_json(folder / "summary.json", summary(len(drawn), len(captions), pairs, shown))
    return folder


def picture(seed: int, side: int) -> Image.Image:
    """Like a photograph for a coder: soft shapes of many sizes under grain."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((side, side, 3), np.float64)
    for cells, weight in ((4, 80.0), (16, 40.0), (64, 20.0), (256, 10.0)):
        small = rng.normal(0, weight / 2, (cells, cells, 3)).clip(-127, 127) + 128
        soft = Image.fromarray(small.astype(np.uint8)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        pixels += np.asarray(soft, np.float64) - 128
    pixels += 128 + rng.normal(0, 3, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _captions(n: int) -> list[Caption]:
    return [
        Caption(id=f"made-{place}", text=f"picture {place}, made up", category=f"kind {place % 6}")
        for place in range(n)
    ]


def _of_rewards(captions: Sequence[Caption]) -> Iterator[dict[str, Any]]:
    for caption in captions:
        for generator, user in [(BASELINE, None), *((MODEL, f"reward:{r}") for r in REWARDS)]:
            yield _item(generator, user, caption)


def _of_people(wishes: Sequence[tuple[EvaluatedUser, Caption]]) -> Iterator[dict[str, Any]]:
    for user, caption in wishes:
        for generator, context, arm in (
            (BASELINE, None, "nobody"),
            (MODEL, f"user:{user.id}", "own"),
        ):
            yield {**_item(generator, context, caption), "benchmark": "personal", "arm": arm}


def _item(generator: str, user: str | None, caption: Caption) -> dict[str, Any]:
    return {
        "item": f"{generator}/{user or '-'}/{caption.id}/0",
        "generator": generator,
        "caption_id": caption.id,
        "user": user,
    }


def _all_rewards() -> list[str]:
    return [f"{name}{suffix}" for name in REWARDS for suffix in ("", "-gold")]


def _scores(
    item: Mapping[str, Any], rng: np.random.Generator, truth: str
) -> Iterator[dict[str, Any]]:
    if item.get("benchmark") == "personal":
        values = [float(value) for value in rng.normal(size=6)]
        yield {"scorer": "truth", "identity": truth, "attributes": values}
        return
    for name in _all_rewards():
        score = float(rng.normal())
        yield {"scorer": f"reward:{name}", "identity": IDENTITY, "score": score}
    facts = {fact: bool(rng.random() < 0.9) for fact in ("colour", "shape", "size", "all")}
    yield {"scorer": "fidelity", "identity": IDENTITY, "score": None, "facts": facts}


def summary(items: int, captions: int, pairs: int, shown: Sequence[str]) -> dict[str, Any]:
    """The figures of such a run: of rewards and of people, in full."""
    people = {"n": pairs, "n_expected": pairs, "n_users": pairs}
    return {
        "schema_version": 1,
        "suite": "shapes",
        "suite_version": "1",
        "suite_digest": "0" * 64,
        "model": MODEL,
        "baseline": BASELINE,
        "n_ok": items,
        "n_expected": items,
        "complete": True,
        "generators": {
            name: {"version": "1", "revision": "0" * 64} for name in (MODEL, *OPPONENTS)
        },
        "rewards": {
            name: {"title": name, "gold": name.endswith("-gold")} for name in _all_rewards()
        },
        "seconds": {"generate": 100.0, "measure": 50.0},
        "failures": [],
        "benchmarks": {
            **_rewards(captions),
            "personal": {opponent: _personal(people) for opponent in OPPONENTS},
            "personal_matrix": {
                split: {**_cell("own_is_best", 0.3), "chance": 0.0625, "n": pairs, "n_groups": 12}
                for split in ("seen", "unseen")
            },
            "personal_shots": {
                split: [{"shots": k, **_cell("win_rate", 0.6), **people} for k in (0, 1, 2, 4, 8)]
                for split in ("seen", "unseen")
            },
            "personal_shown": {
                "users": [
                    {"context": f"user:{user}", "split": "seen", "dominant": "-", "profile": None}
                    for user in shown
                ],
                "captions": [{"id": f"seen-{user}-0", "owner": f"user:{user}"} for user in shown],
            },
        },
    }


def _rewards(n: int) -> dict[str, Any]:
    """Benchmark `rewards`."""
    means = dict.fromkeys(("mean", "mean_ci_low", "mean_ci_high"), 0.3)
    means |= {f"opponent_{key}": value for key, value in means.items()}
    cell = {**means, **_cell("win_rate", 0.7), "n": n, "n_expected": n, "p_holm": 0.001}
    cells = {opponent: dict.fromkeys(REWARDS, cell) for opponent in OPPONENTS}
    rate = {**_cell("win_rate", 0.6), "n": n}
    facts = {fact: {**_cell("rate", 0.9), "n": n} for fact in ("colour", "shape", "size", "all")}
    return {
        "rewards": cells,
        "rewards_gold": cells,
        "matrix": {user: dict.fromkeys(REWARDS, rate) for user in REWARDS},
        "categories": {f"kind {place}": dict.fromkeys(REWARDS, rate) for place in range(6)},
        "gain": {key: {**_cell("ratio", 0.8), "gain": 0.1} for key in REWARDS},
        "gold_gain": {key: {**_cell("kept", 0.8), "gain": 0.1} for key in REWARDS},
        "caption_fidelity": dict.fromkeys((MODEL, *OPPONENTS), facts),
        "caption_fidelity_difference": {"all": {**_cell("difference", 0.0), "n": n}},
    }


def _personal(sample: Mapping[str, int]) -> dict[str, Any]:
    cell: dict[str, Any] = {**_cell("win_rate", 0.8), **sample, "p_value": 0.001, "p_holm": 0.001}
    for name in ("total_gain", "population_gain", "personal_gain"):
        cell |= {name: 0.1, f"{name}_ci_low": 0.0, f"{name}_ci_high": 0.2}
    return {"seen": cell, "unseen": cell, "all": cell}


def _cell(key: str, value: float) -> dict[str, float]:
    return {key: value, "ci_low": value - 0.05, "ci_high": value + 0.05}
