"""The loss plot: the loss, and beside it what the loss hides."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppdbench.runs.atomic import write_atomic

SMOOTHING = 40
"""Steps of the moving mean laid over the single steps."""
PANELS: Sequence[tuple[str, Sequence[tuple[str, str]]]] = (
    ("loss", (("loss", "loss"),)),
    ("implicit accuracy", (("implicit_accuracy", "accuracy"),)),
    (
        "error less the base's",
        (("win_term", "preferred images"), ("lose_term", "other images")),
    ),
    ("divergence from the base", (("divergence", "divergence"),)),
)


def plot_losses(file: Path, metrics: Sequence[Mapping[str, Any]]) -> None:
    """Plot the lines of a metrics.jsonl into a PNG."""
    from matplotlib.figure import Figure

    panels = [
        (title, present)
        for title, lines in PANELS
        if (present := [line for line in lines if any(line[0] in row for row in metrics)])
    ]
    figure = Figure(figsize=(4 * max(1, len(panels)), 3), layout="constrained")
    for position, (title, lines) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), position)
        for name, label in lines:
            known = [row for row in metrics if name in row]  # not each step knows its divergence
            steps = np.array([row["step"] for row in known])
            values = np.array([row[name] for row in known], np.float64)
            (thin,) = axes.plot(steps, values, linewidth=0.5, alpha=0.3)
            smooth = _moving_mean(values)
            axes.plot(
                steps[len(steps) - len(smooth) :], smooth, color=thin.get_color(), label=label
            )
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step")
        if len(lines) > 1:
            axes.axhline(0, color="grey", linewidth=0.5)
            axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    write_atomic(file, buffer.getvalue())


def _moving_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    width = min(SMOOTHING, len(values))
    means: NDArray[np.float64] = np.convolve(values, np.full(width, 1 / width), "valid")
    return means
