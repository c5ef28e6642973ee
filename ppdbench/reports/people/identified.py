"""Benchmark `users` as the page's section: who can be told apart by an embedding, and by what.

Pure functions of summary.json; None where a run has no such figures. Elsewhere: the figures
(`benchmarks.users.figures`), curves (`curves`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ppdbench.reports.curves import Plot, Series, plot
from ppdbench.reports.figures import Cell, is_number, named, number, p_value, points, rate

Summary = Mapping[str, Any]

TOPS = (1, 5, 16)
PAPER = {"rate": "90%", "k": 16, "users": 300}
"""Fig. 2 of arXiv 2501.06655: the right user among the 16 likeliest of 300."""
CONTROLS = {
    "captions_only": "captions only",
    "labels_swapped": "labels swapped by chance",
    "labels_permuted": "users permuted in training",
}
PARTS = {
    "topic": "topic: what the captions tell",
    "pictures": "pictures: what the images add",
    "preference": "preference: what the choices add",
}
KINDS = {"topics": "everybody's own captions", "common": "captions common to all"}
CEILINGS = {
    "": "by labels alone",
    "both_": "by captions and labels",
    "captions_": "by captions alone",
}
"""What nobody exceeds in the long run; how a suite's ceilings of a kind begin, `top16` after it."""


def identified(summary: Summary) -> list[dict[str, Any]]:
    """One block an encoder and kind of captions, empty without the benchmark.

    An encoder's probe stands in its first block, which is always there.
    """
    return [
        _block(encoder, kind, figures, curve_name(summary, encoder, kind))
        for encoder, kind, figures in blocks(summary)
    ]


def blocks(summary: Summary) -> list[tuple[str, str, Cell]]:
    """(encoder, kind of captions, figures) of all that was measured, in the order of the page."""
    found = summary["benchmarks"].get("users") or {}
    return [
        (encoder, kind, figures)
        for encoder, own in found.items()
        for kind, figures in (("topics", own), ("common", own.get("common_captions")))
        if figures and (kind == "topics" or is_number(figures.get("top16")))
    ]


def curve_name(summary: Summary, encoder: str, kind: str) -> str:
    """The name of a curve's files; encoders are numbered where their letters do not do."""
    place = list(summary["benchmarks"].get("users") or {}).index(encoder)
    plain = re.fullmatch(r"[a-z0-9-]{1,40}", encoder)
    return f"users-{kind}-{encoder if plain else place + 1}"


def _block(encoder: str, kind: str, figures: Cell, name: str) -> dict[str, Any]:
    return {
        "encoder": encoder,
        "kind": KINDS[kind],
        "figure": name,
        "reason": str(figures.get("reason") or ""),
        "n": _sample(figures),
        "rows": [
            _row("embeddings", figures),
            *(
                _row(label, figures["controls"][name])
                for name, label in CONTROLS.items()
                if is_number((figures.get("controls") or {}).get(name, {}).get("top16"))
            ),
        ],
        "chance": [f"{number(min(100, 100 * k / figures['n_users']), 1)}%" for k in TOPS]
        if figures.get("n_users")
        else [],
        "ceilings": _ceilings(figures),
        "of_ceiling": rate(figures["of_ceiling"], "top16") if figures.get("of_ceiling") else None,
        "gain": points(figures.get("gain_over_captions"), "top16"),
        "gain_p": p_value((figures.get("gain_over_captions") or {}).get("p_value")),
        "parts": [
            (
                label,
                points(figures["parts"].get(part), "top16"),
                rate(named(figures["parts"].get(part), "share"), "share"),
            )
            for part, label in PARTS.items()
            if is_number((figures.get("parts") or {}).get(part, {}).get("top16"))
        ],
        "probe": _probe(figures["probe"]) if figures.get("probe") else None,
        "plot": _curve(figures),
    }


def _probe(found: Cell) -> dict[str, Any]:
    """What a bilinear probe of the embeddings guesses of unseen users' labels."""
    ceiling = found.get("ceiling")
    return {
        "accuracy": rate(named(found, "accuracy"), "accuracy"),
        "n": f"{found.get('n')} choices of {found.get('n_users')} users{_lost(found)}",
        "ceiling": f"{number(100 * ceiling, 1)}%" if is_number(ceiling) else "",
        "shuffled": rate(named(found, "shuffled"), "shuffled"),
        "gain": points(named(found, "gain"), "gain"),
        "gain_p": p_value(found.get("gain_p_value")),
    }


def _row(name: str, figures: Cell) -> dict[str, Any]:
    """Accuracies of one variant; the interval belongs to top-16."""
    return {
        "name": name,
        "cells": _cells(figures)[:-1],
        "headline": rate(figures, f"top{TOPS[-1]}"),
    }


def _ceilings(figures: Cell) -> list[tuple[str, list[str]]]:
    """What bounds the accuracies, a row each: by counting, and by the suite's best guesser."""
    shots = (figures.get("classifier") or {}).get("shots")
    known = figures.get("ceilings") or {}
    counted = f"by {shots} labels without errors" if shots else "by labels without errors"
    rows = [
        (counted, _cells(figures.get("labels_cap") or {})),
        *((label, _cells(known, prefix)) for prefix, label in CEILINGS.items()),
    ]
    return [(label, cells) for label, cells in rows if any(cells)]


def _cells(figures: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Top-K rates, empty where one is not known."""
    values = (figures.get(f"{prefix}top{k}") for k in TOPS)
    return [f"{number(100 * value, 1)}%" if is_number(value) else "" for value in values]


def _curve(figures: Cell) -> Plot | None:
    """Top-K accuracy over K, of embeddings and controls, beside chance."""
    curve = figures.get("curve")
    if not curve:
        return None
    places = curve["k"]
    series = [Series(name="embeddings", kind="seen", values=_values(curve))]
    controls = figures.get("controls") or {}
    series += [
        Series(
            name=label,
            kind=f"control c{number}",
            # One band is enough to read.
            values=[(x, y, None, None) for x, y, _, _ in _values(controls[name]["curve"])],
        )
        for number, (name, label) in enumerate(CONTROLS.items())
        if (controls.get(name) or {}).get("curve")
    ]
    series.append(
        Series(
            name="chance",
            kind="chance",
            values=[(place, rate, None, None) for place, rate in enumerate(curve["chance"])],
        )
    )
    shown = {1, *range(10, len(places) + 1, 10)}
    return plot(series, [str(k) if k in shown else "" for k in places])


def _values(curve: Mapping[str, Any]) -> list[tuple[float, float, float | None, float | None]]:
    columns = (curve["accuracy"], curve["ci_low"], curve["ci_high"])
    return [
        (place, rate, low, high)
        for place, (rate, low, high) in enumerate(zip(*columns, strict=True))
        if is_number(rate)
    ]


def _sample(figures: Cell) -> str:
    if not figures.get("n_users"):
        return ""
    return f"{figures['n_users']} users, {figures['n_test']} test groups{_lost(figures)}"


def _lost(figures: Cell) -> str:
    missing = figures.get("n_missing")
    return f", {missing} without an embedding" if missing else ""
