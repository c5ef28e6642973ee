"""The figures of benchmark `users`, from its records alone.

Of an encoder: top-K accuracy beside chance K/N, the same for each control, and where it comes from.
In points of top-16 accuracy, on the test groups that all have,

    own - chance = topic + pictures + preference
    topic      = captions_only - chance             what the captions tell
    pictures   = labels_swapped - captions_only     what the images add, whoever was preferred
    preference = own - labels_swapped               what the choices add

so the captions are counted first, and what choices and captions both tell is topic. A share is a
part over their sum, where the sum is surely not 0. Intervals have users as the sample; the
classifier and its training groups are taken as they are. What is unknown is null with a `reason`.
Beside them stands the encoder's probe, where there is one (`users.probes`).
Elsewhere: the measuring (`users.classify`), the records (`users.records`), top-K itself
(`statistics.top_k`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppdbench.benchmarks.users.probes import read_probes
from ppdbench.benchmarks.users.records import Found, Kind, Measured, Record, read_users
from ppdbench.statistics.clusters import cluster_totals
from ppdbench.statistics.intervals import (
    Interval,
    cluster_bootstrap_mean,
    ratio_of_means_interval,
)
from ppdbench.statistics.permutation import sign_flip_test
from ppdbench.statistics.top_k import Ranks, TopK, chance, hits, labels_cap, top_k

TOPS = (1, 5, 16)
HEADLINE = 16
CURVE = 50
"""The curve's longest list."""
CONTROLS = ("captions_only", "labels_swapped", "labels_permuted")
PARTS = ("topic", "pictures", "preference")
CLASSIFIER = "PLDA"
NOT_MEASURED = "not measured: the quick setting leaves it out"

Floats = NDArray[np.float64]
Ceilings = Mapping[Kind, Mapping[str, float]]


def summarise_users(
    folder: Path, *, ceilings: Ceilings | None = None, withheld: str | None = None
) -> dict[str, Any]:
    """Encoder -> its figures: the `benchmarks.users` of summary.json.

    Args:
        folder: with a users.jsonl.
        ceilings: kind of captions -> what nobody can exceed, by name: "top1", "top5" and "top16"
            of who sees the labels alone, and with topics "both_top16" of who sees captions too;
            printed as they are.
        withheld: why no accuracy is given, where too much failed.

    Raises:
        PpdbenchError: the file is damaged.
    """
    known, probes = ceilings or {}, read_probes(folder)
    summary = {}
    for encoder, kinds in read_users(folder).items():
        by_kind = {
            kind: _figures(kinds.get(kind), known.get(kind, {}), withheld)
            for kind in ("topics", "common")
        }
        summary[encoder] = {**by_kind["topics"], "common_captions": by_kind["common"]}
        if encoder in probes:
            summary[encoder]["probe"] = probes[encoder]
    return summary


def _figures(
    found: Found | None, ceilings: Mapping[str, float], withheld: str | None
) -> dict[str, Any]:
    """An encoder's figures for one kind of captions."""
    variants = found.variants if found else {}
    own = variants.get("own")
    reason = found.left_out if found and found.left_out else NOT_MEASURED
    controls = {
        name: _accuracy(variants.get(name), withheld, NOT_MEASURED if own else reason)
        for name in CONTROLS
    }
    about = own.about if own else {}
    figures = _accuracy(own, withheld, reason)
    said = figures.pop("reason", None)
    figures |= {
        "ceilings": dict(ceilings) or None,
        "of_ceiling": _of_ceiling(figures, ceilings),
        "labels_cap": _caps(about) if own else None,
        "gain_over_captions": _gain(variants, withheld, reason),
        "parts": _parts(variants, withheld, reason),
        "controls": controls,
        "classifier": {
            "name": CLASSIFIER,
            **{field: about.get(field) for field in ("shrinkage", "log_rank", "seed")},
            **{field: about.get(field) for field in ("n_train", "n_train_missing", "shots")},
        },
        "revision": about.get("revision"),
    }
    return {**figures, "reason": said} if said else figures


def _accuracy(measured: Measured | None, withheld: str | None, missing: str) -> dict[str, Any]:
    """Top-K accuracy of one variant, the interval and test at top-16."""
    items = measured.items if measured else []
    there = [item for item in items if item["better"] is not None]
    n = measured.about["n_users"] if measured else 0
    counts = {"n_users": n, "n_test": len(there), "n_missing": len(items) - len(there)}
    lists = range(1, min(CURVE, n) + 1) if measured else ()
    found = {k: _top_k(there, k, n) for k in {*lists, *TOPS}} if n else {}
    headline = found.get(HEADLINE)
    curve = [found[k] for k in lists]
    figures: dict[str, Any] = {
        **{f"top{k}": found[k].accuracy if k in found else None for k in TOPS},
        f"chance_top{HEADLINE}": headline.chance if headline else None,
        "ci_low": headline.ci_low if headline else None,
        "ci_high": headline.ci_high if headline else None,
        "p_value": headline.p_value if headline else None,
        **counts,
        "curve": {
            "k": list(lists),
            **{f: [getattr(top, f) for top in curve] for f in ("accuracy", "ci_low", "ci_high")},
            "chance": [top.chance for top in curve],
        }
        if curve
        else None,
        "test": headline.test if headline else None,
        "interval": headline.interval if headline else None,
    }
    if withheld and measured:
        return {**dict.fromkeys(figures), **counts, "reason": withheld}
    if not measured:
        return {**figures, "reason": missing}
    if not there:
        errors = {item["error"] for item in items}
        return {**figures, "reason": f"no test embedding was ranked: {', '.join(sorted(errors))}"}
    return figures


def _top_k(items: Sequence[Record], k: int, n: int) -> TopK:
    return top_k(_ranks(items), k, n, [item["user"] for item in items])


def _ranks(items: Sequence[Record]) -> Ranks:
    return Ranks(
        better=np.array([item["better"] for item in items], dtype=np.int64),
        tied=np.array([item["tied"] for item in items], dtype=np.int64),
    )


def _caps(about: Record) -> dict[str, float]:
    """What the labels of a test group's shots, whatever the encoder, allow at most."""
    return {
        f"top{k}": labels_cap(k, about["n_users"], about["shots"]) for k in TOPS if about["n_users"]
    }


def _of_ceiling(
    figures: Mapping[str, Any], ceilings: Mapping[str, float]
) -> dict[str, float | None] | None:
    """Top-16 accuracy and interval as shares of the suite's ceiling, which is taken as exact."""
    name = f"top{HEADLINE}"
    ceiling = ceilings.get(f"both_{name}", ceilings.get(name))
    if not ceiling:
        return None
    known = {field: figures[field] for field in (name, "ci_low", "ci_high")}
    return {field: None if rate is None else rate / ceiling for field, rate in known.items()}


def _gain(variants: Mapping[str, Measured], withheld: str | None, missing: str) -> dict[str, Any]:
    """Own minus captions alone, paired by test group, in points of top-16 accuracy."""
    blank = dict.fromkeys((f"top{HEADLINE}", "ci_low", "ci_high", "p_value", "test"))
    if "own" not in variants or "captions_only" not in variants:
        return {**blank, "n": 0, "reason": missing}
    (own, captions), users = _paired(variants, ("own", "captions_only"))
    if withheld:
        return {**blank, "n": len(users), "reason": withheld}
    gain = cluster_bootstrap_mean(own - captions, users, bounds=(-1.0, 1.0))
    if not len(users):
        return {**blank, "n": 0, "reason": gain.reason}
    flips = sign_flip_test(cluster_totals(users, own - captions)[:, 0])
    return {**_points(gain), "p_value": flips.p_value, "test": flips.test, "n": gain.n}


def _parts(variants: Mapping[str, Measured], withheld: str | None, missing: str) -> dict[str, Any]:
    """Part -> its points of top-16 accuracy and its share of what is above chance."""
    share = ("share", "share_ci_low", "share_ci_high")
    blank = dict.fromkeys((f"top{HEADLINE}", "ci_low", "ci_high", *share))
    needed = ("own", "labels_swapped", "captions_only")
    absent = [name for name in needed if name not in variants]
    reason = withheld or (NOT_MEASURED if "own" in variants else missing)
    if withheld or "own" in absent or "captions_only" in absent:
        return {part: {**blank, "reason": reason} for part in PARTS}
    levels, users = _paired(variants, [name for name in needed if name not in absent])
    guess = np.array([_guess(variants["own"])] * len(users))
    values: dict[str, Floats] = {"topic": levels[-1] - guess}
    if not absent:
        values |= {"pictures": levels[1] - levels[2], "preference": levels[0] - levels[1]}
    found: dict[str, Any] = {}
    for part in PARTS:
        if part not in values:
            found[part] = {**blank, "reason": reason}
            continue
        points = cluster_bootstrap_mean(values[part], users, bounds=(-1.0, 1.0))
        ratio = ratio_of_means_interval(values[part], levels[0] - guess, users)
        shares = dict(zip(share, (ratio.estimate, ratio.ci_low, ratio.ci_high), strict=True))
        found[part] = {**_points(points), **shares}
        if points.reason or ratio.reason:
            found[part]["reason"] = points.reason or ratio.reason
    return found


def _guess(measured: Measured) -> float:
    n = measured.about["n_users"]
    return chance(HEADLINE, n) if n else 0.0


def _points(interval: Interval) -> dict[str, float | None]:
    return {
        f"top{HEADLINE}": interval.estimate,
        "ci_low": interval.ci_low,
        "ci_high": interval.ci_high,
    }


def _paired(
    variants: Mapping[str, Measured], names: Sequence[str]
) -> tuple[list[Floats], NDArray[np.str_]]:
    """Top-16 hits of each variant on the test groups that all have, and whose these are."""
    found = []
    for name in names:
        there = [item for item in variants[name].items if item["better"] is not None]
        keys = [(str(item["user"]), int(item["group"])) for item in there]
        found.append(dict(zip(keys, hits(_ranks(there), HEADLINE).tolist(), strict=True)))
    shared = [key for key in found[0] if all(key in each for each in found)]
    columns = [np.array([each[key] for key in shared], dtype=np.float64) for each in found]
    return columns, np.array([user for user, _ in shared], dtype=np.str_)
