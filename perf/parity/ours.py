"""Our side: `ppdbench.rewards.score` over the same pictures, captions and checkpoint files.

It runs in the environment that `run` was started in; a variant is a reward's folder. Batches of
eight, where the originals take pictures one by one.
"""

from __future__ import annotations

import math

from side import parse_job

from ppdbench.protocols import RewardSpec
from ppdbench.rewards import score

KINDS = {
    "clip-h": "clip",
    "hps": "hps",
    "hps-no-antialias": "hps",
    "aesthetic": "aesthetic",
    "pickscore": "pickscore",
}
CHUNK = 20
"""Pictures scored before they are written down."""


def main() -> None:
    """Score what is pending."""
    job = parse_job()
    pending = job.pending()
    name = job.variant
    spec = RewardSpec(name=name, kind=KINDS[name], checkpoint=job.work / "checkpoints" / name)
    for start in range(0, len(pending), CHUNK):
        pictures = pending[start : start + CHUNK]
        table = score(
            [job.path(picture) for picture in pictures],
            [picture.caption for picture in pictures],
            rewards=[spec],
            device="cpu",
            cache=None,
            batch_size=8,
        )
        for row, picture in enumerate(pictures):
            value = float(table.scores[name][row])
            if math.isnan(value):
                job.fail(picture, table.errors[row][name])
            else:
                job.answer(picture, value)


if __name__ == "__main__":
    main()
