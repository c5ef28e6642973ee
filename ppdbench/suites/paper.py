"""Figures printed in the PPD paper; shown in a panel of their own beside a suite's results."""

from __future__ import annotations

from ppdbench.protocols import PaperRow


def paper_rows(*, clip: str, aesthetic: str, hps: str) -> tuple[PaperRow, ...]:
    """Rows of Table 1 of arXiv 2501.06655, under the names a suite gives the paper's rewards."""
    return (
        PaperRow(
            row="PPD's gain over Stable Cascade, in % of per-reward Diffusion-DPO's gain",
            values={clip: 70, aesthetic: 54, hps: 77},
        ),
    )
