"""What there is to know of pairs before they are split; no image is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ppdbench.data.pair_table import read_table
from ppdbench.data.pickapic_rows import row_count
from ppdbench.data.source import source_files
from ppdbench.protocols import Events

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)


def source_facts(path: Path, *, events: Events | None = None) -> dict[str, Any]:
    """Files, rows, usable pairs and why others are not, and how pairs spread over users.

    Args:
        path: what `source.find_source` returned.
        events: who is told of progress.

    Raises:
        MissingPrerequisite, PpdbenchError: as `pair_table.read_table`.
    """
    import numpy as np

    files = source_files(path)
    table, met = read_table(path, images="trust", events=events)
    _, pairs = np.unique(table.user, return_counts=True)
    of_user = np.unique(np.stack([table.user.view(np.uint64), table.caption], 1), axis=0)[:, 0]
    _, captions = np.unique(of_user, return_counts=True)
    return {
        "files": [
            {"name": file.name, "bytes": file.stat().st_size, "rows": row_count(file)}
            for file in files
        ],
        "rows": met.rows,
        "users": met.users,
        "images_known_by": "uid" if met.by_uid else "bytes",
        "left_out": dict(met.left_out),
        "usable": {
            "pairs": len(table),
            "users": len(pairs),
            "captions": len(np.unique(table.caption)),
            "images": len(np.unique(table.images)),
            "pairs_per_user": _quantiles(pairs),
            "captions_per_user": _quantiles(captions),
        },
    }


def _quantiles(counts: Any) -> dict[str, float]:
    import numpy as np

    if not len(counts):
        return {}
    found = np.quantile(counts, QUANTILES, method="inverted_cdf")
    return {f"{share:g}": float(value) for share, value in zip(QUANTILES, found, strict=True)}
