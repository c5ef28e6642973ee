"""The terminal's table of `ppdbench score`: a line a reward, and a line an image where few.

Names come from files, so they are printed as plain text, never as markup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ppdbench.errors import printable
from ppdbench.rewards.score_table import ScoreTable

if TYPE_CHECKING:
    from rich.table import Table

SHOWN_IMAGES = 20
"""Up to this many images, each has a line of its own."""


def tables(scores: ScoreTable) -> list[Table]:
    """The tables to print, in order."""
    few = len(scores.images) <= SHOWN_IMAGES
    return [*([_images(scores)] if few else []), _rewards(scores)]


def _images(scores: ScoreTable) -> Table:
    from rich.text import Text

    table = _table("image", *scores.scores)
    for row, image in enumerate(scores.images):
        errors = scores.errors.get(row, {})
        cells = [
            Text(printable(errors[name]), style="red")
            if name in errors
            else Text(f"{values[row]:.4f}")
            for name, values in scores.scores.items()
        ]
        table.add_row(Text(printable(image)), *cells)
    return table


def _rewards(scores: ScoreTable) -> Table:
    from rich.text import Text

    table = _table("reward", "mean [95% interval]", "sd", "n", "score id")
    reasons = []
    for name, found in scores.summary().items():
        identity = scores.identities[name]
        mean = "-" if found["mean"] is None else f"{found['mean']:.4f}"
        if found["ci_low"] is not None:
            mean += f" [{found['ci_low']:.4f}, {found['ci_high']:.4f}]"
        elif found.get("reason"):
            reasons.append(f"{name}: {found['reason']}")
        table.add_row(
            Text(name),
            mean,
            "-" if found["sd"] is None else f"{found['sd']:.4f}",
            f"{found['n']}/{found['n_expected']}",
            identity.id,
        )
        if name in scores.drift:
            drift = scores.drift[name]
            reasons.append(
                f"{name}: {identity.precision} moves scores by {drift['mean_abs']:.4f} on average, "
                f"{drift['max_abs']:.4f} at most (n = {drift['n']}, against fp32)"
                if drift["n"]
                else f"{name}: how far {identity.precision} moves scores is not measured: "
                f"{drift['reason']}"
            )
    table.caption = Text("\n".join(reasons)) if reasons else None
    return table


def _table(first: str, *others: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), caption_justify="left")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(Text(name), justify="right", overflow="fold")
    return table
