"""Scorers of images, found by entry point and loaded on use.

from ppdbench.rewards import score

table = score(["a.png"], ["a red circle"], rewards=["clip", "hpsv2.1"])
table.scores["clip"]  # one float64 an image, NaN where table.errors has the reason
"""

from ppdbench.rewards.score_table import ScoreTable
from ppdbench.rewards.scoring import score

__all__ = ["ScoreTable", "score"]
