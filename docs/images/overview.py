"""Draws README's picture from a run: `python docs/images/overview.py RUN`, writes overview.png.

Captions are the gallery's first ones, not picked by eye; win rates are the run's own.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image

from ppdbench.plugins import make_suite
from ppdbench.reports.gallery import gallery
from ppdbench.runs.images import ImageStore
from ppdbench.runs.results import read_results

mpl.use("Agg")
import matplotlib.pyplot as plt

ROWS = 4
COLOURS = {"stable-cascade": "#2f6f8f", "diffusion-dpo": "#c97b2b", "sft": "#7a7a7a"}


def main(run: Path) -> None:
    """Write overview.png beside this file."""
    summary: dict[str, Any] = json.loads((run / "summary.json").read_text())
    captions = make_suite(summary["suite"]).captions("test")
    shown = gallery(ImageStore(run / "images"), read_results(run), summary, captions, rows=ROWS)
    columns = ["base" if not user else f"PPD, {user}" for _, user in shown.columns]

    figure = plt.figure(figsize=(11, 4.9), dpi=110)
    outer = figure.add_gridspec(1, 2, width_ratios=[1.35, 1], wspace=0.12)
    grid = outer[0].subgridspec(ROWS, len(columns), wspace=0.05, hspace=0.08)
    for row, line in enumerate(shown.rows):
        for column, picture in enumerate(line.pictures):
            axes = figure.add_subplot(grid[row, column])
            data = base64.b64decode(picture.uri.partition(",")[2])
            axes.imshow(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
            axes.set_xticks([])
            axes.set_yticks([])
            if row == 0:
                axes.set_title(columns[column], fontsize=9)
            if column == 0:
                axes.set_ylabel(
                    textwrap.fill(line.caption, 19), fontsize=7.5, rotation=0, ha="right",
                    va="center", labelpad=6,
                )  # fmt: skip

    _win_rates(figure.add_subplot(outer[1]), summary)
    figure.savefig(Path(__file__).with_name("overview.png"), bbox_inches="tight")


def _win_rates(axes: Any, summary: dict[str, Any]) -> None:
    table = summary["benchmarks"]["rewards"]
    rewards = [name for name, info in summary["rewards"].items() if not info["gold"]]
    height = 0.8 / len(table)
    for row, (opponent, cells) in enumerate(table.items()):
        rate = np.array([cells[name]["win_rate"] for name in rewards]) * 100
        low = np.array([cells[name]["ci_low"] for name in rewards]) * 100
        high = np.array([cells[name]["ci_high"] for name in rewards]) * 100
        where = np.arange(len(rewards)) + (row - (len(table) - 1) / 2) * height
        axes.barh(where, rate, height * 0.9, color=COLOURS.get(opponent), label=f"over {opponent}")
        axes.errorbar(rate, where, xerr=[rate - low, high - rate], fmt="none", ecolor="#222", lw=1)
    axes.axvline(50, color="#222", lw=1, ls="--")
    axes.set_xlim(0, 100)
    axes.set_yticks(range(len(rewards)), [summary["rewards"][name]["title"] for name in rewards])
    axes.invert_yaxis()
    axes.yaxis.tick_right()
    axes.set_xlabel("PPD's win rate, %, with 95% interval")
    axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)
    axes.spines[["top", "left"]].set_visible(False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
