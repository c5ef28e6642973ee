"""A comparison in one sentence that can be quoted: a claim, and its figures with their intervals.

Of two runs it is about the head-to-head wins by the suite's rewards; where those were not compared,
about true wins among users, a judge's picks, users told apart, how closely scores follow weights,
or gains and what they cost, in this order. Of several runs it names who is shown to lead.
Elsewhere: how a verdict is reached (`benchmarks.compare.cells`), how figures follow a claim
(`quoted`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ppdbench.reports.compare.interpolation import view_of as along
from ppdbench.reports.compare.rows import (
    SPLITS,
    Unit,
    figures,
    kind_of,
    labels,
    pairs,
    shown,
    title_of,
)
from ppdbench.reports.compare.tradeoff import NOBODY
from ppdbench.reports.compare.tradeoff import view_of as traded
from ppdbench.reports.compare.words import WORDS, Words
from ppdbench.reports.figures import Cell
from ppdbench.reports.headline import Headline, verbal
from ppdbench.reports.quoted import Quoted, clause, joined, sample

Summary = Mapping[str, Any]
Claim = tuple[str, Unit, Cell]
"""What a claim is about ("Aesthetic"), the unit of its figure, and its cell."""


COST: Unit = "nats"
NO_COST = "how far they diverge is not compared"
PAID: tuple[tuple[str, Unit], ...] = (("gain", "gain"), ("divergence_before_last", COST))
"""What of a trade-off a headline is about, with its unit: never a gain without what it cost."""
TILES: Mapping[Unit, str] = {
    "correlation": "Spearman,",
    "gain": "Gain by",
    COST: "Divergence for",
}
"""What stands before a reward where its unit does not tell what it is."""


def comparison_headline(summary: Summary) -> Headline:
    """The sentence over a comparison."""
    if summary.get("ranking"):
        return _of_several(summary)
    for benchmark, words in WORDS.items():
        told = {
            pair: claims for pair in pairs(summary) if (claims := _claims(summary, benchmark, pair))
        }
        if told:
            return _of_pairs(summary, words, told)
    names = joined(list(labels(summary).values()))
    return Headline(
        text=f"No headline for {names}",
        withheld=True,
        reason="no figure that a headline is about could be compared",
    )


def headline_claims(summary: Summary, pair: str) -> list[Claim]:
    """The figures of a pair that a headline is about, where they are known."""
    every = (_claims(summary, benchmark, pair) for benchmark in WORDS)
    found = next((claims for claims in every if claims), [])
    return [
        (f"{TILES[unit]} {name}" if unit in TILES else name, unit, cell)
        for name, unit, cell in found
    ]


def _claims(summary: Summary, benchmark: str, pair: str) -> list[Claim]:
    """What of a benchmark a headline is about, where it is known."""
    cells = figures(summary, benchmark).get(pair) or {}
    found: list[Claim] = []
    if benchmark == "rewards":
        found = [(title_of(summary, r), "rate", own["head_to_head"]) for r, own in cells.items()]
    elif benchmark == "personal":
        found = [
            (SPLITS[split], "rate", cells[split]["head_to_head"])
            for split in ("seen", "unseen")
            if split in cells
        ]
    elif benchmark == "judge":
        found = [
            (SPLITS[split], "points", _headline_arm(own))
            for split, own in cells.items()
            if split != "all" or len(cells) == 1
        ]
    elif benchmark == "users":
        own = cells.get("topics") or {}
        found = [("top-16 accuracy", "points", own["top16"])] if own.get("top16") else []
    elif benchmark == "interpolation":
        found = [
            (name, "correlation", cell)
            for each, name, cell, _ in along(summary, "spearman")
            if each == pair
        ]
    elif benchmark == "tradeoff":
        found = [
            ("all rewards" if name == NOBODY else name, unit, cell)
            for view, unit in PAID
            for each, name, cell, _ in traded(summary, view)
            if each == pair
        ]
    return [claim for claim in found if claim[2].get("verdict")]


def _headline_arm(own: Mapping[str, Cell]) -> Cell:
    """What the judge knows for itself, where both runs asked that."""
    disjoint = own.get("disjoint") or {}
    return disjoint if disjoint.get("n") else own.get("shared") or {}


def _of_pairs(summary: Summary, words: Words, told: Mapping[str, Sequence[Claim]]) -> Headline:
    """One pair in full; of several those that are told apart, and how many are not."""
    if len(told) == 1:
        ((pair, claims),) = told.items()
        return Headline(
            text=_claim(summary, words, pair, claims),
            withheld=False,
            figures=_figures(summary, words, pair, claims),
        )
    apart = {
        pair: found
        for pair, claims in told.items()
        if (found := [claim for claim in claims if kind_of(pair, claim[2]) != "open"])
    }
    said = [_claim(summary, words, pair, claims) for pair, claims in apart.items()]
    if not apart:
        said.append("no two of them can be told apart")
    elif len(apart) < len(told):
        said.append(f"{len(told) - len(apart)} of {len(told)} pairs cannot be told apart")
    return Headline(
        text=f"Of {len(labels(summary))} runs, {'; '.join(said)}",
        withheld=False,
        figures="; ".join(_figures(summary, words, pair, claims) for pair, claims in apart.items()),
    )


def _claim(summary: Summary, words: Words, pair: str, claims: Sequence[Claim]) -> str:
    """Who is higher by what, and what is left open; then the same of what it cost."""
    if words.cost is None:
        return _sentence(summary, words, pair, claims)
    cost = [claim for claim in claims if claim[1] == COST]
    gained = [claim for claim in claims if claim[1] != COST]
    said = [_sentence(summary, words, pair, gained)] if gained else []
    said.append(_sentence(summary, words.cost, pair, cost) if cost else NO_COST)
    return "; ".join(said)


def _sentence(summary: Summary, words: Words, pair: str, claims: Sequence[Claim]) -> str:
    one, other = _names(summary, pair)
    baseline = str(summary["runs"][0]["baseline"])
    by_kind = {
        kind: [name for name, _, cell in claims if kind_of(pair, cell) == kind]
        for kind in ("above", "below", "open")
    }
    if len(by_kind["open"]) == len(claims):
        return f"{one} and {other} cannot be told apart {words.by} {joined(by_kind['open'])}"
    said = [
        f"{text.format(other, baseline=baseline)} {joined(by_kind[kind])}"
        for kind, text in (
            ("above", words.higher),
            ("below", words.lower),
            ("open", f"cannot be told from it {words.by}"),
        )
        if by_kind[kind]
    ]
    return f"{words.subject.format(one)} {', and '.join(said)}"


def _figures(summary: Summary, words: Words, pair: str, claims: Sequence[Claim]) -> str:
    """The figures that follow a claim."""
    by = {COST: words.cost.by} if words.cost else {}
    quoted = [
        Quoted(
            shown=shown(cell, unit),
            of=f"{by.get(unit, words.by)} {name}",
            sample=sample(cell, words.items),
        )
        for name, unit, cell in claims
    ]
    one, other = _names(summary, pair)
    return verbal(clause(quoted), words.wins.format(one, other))


def _names(summary: Summary, pair: str) -> tuple[str, str]:
    known = labels(summary)
    one, other = pair.split("-")
    return known[one], known[other]


def _of_several(summary: Summary) -> Headline:
    """Who is shown to lead, by each reward or split of the first benchmark that is ranked."""
    benchmark, ranked = next(iter(summary["ranking"].items()))
    known = labels(summary)
    led: dict[str, list[tuple[str, Quoted]]] = {}
    nobody = []
    for what, order in ranked.items():
        name = title_of(summary, what) if benchmark.startswith("rewards") else SPLITS[what]
        first = [letter for letter, own in order["runs"].items() if own["worst_rank"] == 1]
        if not first:
            nobody.append(name)
            continue
        led.setdefault(first[0], []).append((name, _closest(summary, benchmark, what, first[0])))
    said = [
        f"{known[letter]} leads by {joined([name for name, _ in quoted])}"
        for letter, quoted in led.items()
    ]
    if nobody:
        said.append(f"no run is shown to lead by {joined(nobody)}")
    told = [
        verbal(clause([one for _, one in quoted]), f"against the closest run {known[letter]} wins")
        for letter, quoted in led.items()
    ]
    return Headline(
        text=f"Of {len(known)} runs, {', and '.join(said)}",
        withheld=False,
        figures="; ".join(text for text in told if text),
    )


def _closest(summary: Summary, benchmark: str, what: str, leader: str) -> Quoted:
    """The leader's lowest head-to-head rate, seen from its side."""
    cells = {
        pair: own[what]["head_to_head"]
        for pair, own in figures(summary, benchmark).items()
        if what in own and leader in pair.split("-") and own[what]["head_to_head"]["n"]
    }
    seen = {pair: _from_side(pair, leader, cell) for pair, cell in cells.items()}
    pair, cell = min(seen.items(), key=lambda each: float(each[1]["win_rate"]))
    (other,) = (letter for letter in pair.split("-") if letter != leader)
    name = title_of(summary, what) if benchmark.startswith("rewards") else SPLITS[what]
    return Quoted(
        shown=shown(cell, "rate"),
        of=f"over {labels(summary)[other]} by {name}",
        sample=sample(cell, "pairs"),
    )


def _from_side(pair: str, letter: str, cell: Cell) -> Cell:
    """A head-to-head cell as a run of the pair sees it."""
    if pair.startswith(f"{letter}-"):
        return cell
    ends = {"win_rate": "win_rate", "ci_low": "ci_high", "ci_high": "ci_low"}
    return {
        **cell,
        **{key: None if cell[end] is None else 1 - cell[end] for key, end in ends.items()},
    }
