# ruff: noqa: RUF001 - dashes and minus signs as they are printed
"""The terminal's table: the same figures in eighty columns, names printed as they are."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from ppdbench.reports.tables import eval_table


def printed(figures: dict[str, Any], width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(eval_table(figures))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_eighty_columns_hold_means_win_rates_and_gold(figures: dict[str, Any]) -> None:
    text = printed(figures)
    lines = [line.split() for line in text.splitlines()]
    assert ["stable-cascade", "0.2903", "5.460", "0.2571"] in lines
    assert ["ppd", "0.3121", "5.871", "0.2764"] in lines
    wins = ["71.2%", "[65.7–75.7]", "95.4%", "[89.9–99.9]", "93.1%", "[87.6–97.6]"]
    assert ["stable-cascade", *wins] in lines
    assert ["sft", "*", "0.2965", "5.577", "0.2626"] in lines
    assert "by gold rewards" in text and "68.2% [62.7–72.7]" in text
    assert "ppd beats stable-cascade on all three rewards" in text
    assert "training seeds 0, 1, 2 (n = 260): CLIP 70.1% (68.1 to 72.0)" in text
    assert "−0.5 points [−2.1 to +1.1]" in text and "3 of 3" in text


def test_several_seeds_without_rates_are_still_several(figures: dict[str, Any]) -> None:
    figures["benchmarks"]["training_seeds"]["ppd"]["win_rate"] = None
    assert "training seeds 0, 1, 2: CLIP not measured" in printed(figures)
    figures["benchmarks"]["training_seeds"]["ppd"]["seeds"] = [4]
    assert "one training seed: 4" in printed(figures)


def test_means_over_other_items_say_so(figures: dict[str, Any]) -> None:
    figures["benchmarks"]["rewards"]["sft"]["clip"]["n"] = 258
    lines = [" ".join(line.split()) for line in printed(figures).splitlines()]
    assert "sft * 0.2965 n = 258 5.577 0.2626" in lines
    assert "ppd 0.3121 n = 260 5.871 0.2764" in lines


def test_names_are_no_markup(figures: dict[str, Any]) -> None:
    figures["model"] = "[red]mine[/red]"
    rewards = figures["benchmarks"]["rewards"]
    rewards["[bold]x[/]"] = rewards.pop("sft")
    text = printed(figures, width=120)
    assert "[red]mine[/red]" in text and "[bold]x[/]" in text


def test_gaps_say_why(figures: dict[str, Any]) -> None:
    cells = figures["benchmarks"]["rewards"]["stable-cascade"]
    for cell in cells.values():
        cell.update(win_rate=None, ci_low=None, ci_high=None, reason="9 items failed")
    del figures["benchmarks"]["rewards"]["sft"]["hps"]
    figures.update(n_ok=1031)
    text = printed(figures)
    assert "No headline for ppd: 9 items failed" in text
    assert "undefined: 9 items failed" in text and "not measured" in text
    assert "only 1031 of 1040 items are done" in text
    assert "0.0%" not in text and "None" not in text


def test_a_narrow_terminal_loses_nothing(figures: dict[str, Any]) -> None:
    text = printed(figures, width=60)
    for part in ("71.2%", "95.4%", "93.1%", "0.3121"):
        assert part in text
