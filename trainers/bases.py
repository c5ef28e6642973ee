"""Which Stable Cascade a suite's reference entries draw with: the user's, the shipped, or found.

Elsewhere: reading it (`stable_cascade/load.py`), shipped adapters (`assets/`).
"""

from __future__ import annotations

from pathlib import Path

from ppdbench.protocols import Suite, SuiteFiles
from ppdbench.rewards.weights import weights_folder
from trainers.assets import base_folder
from trainers.stable_cascade.published import PRIOR


def base_of(suite: Suite) -> Path:
    """Folder of a suite's base, or its name on the hub; it may not exist.

    What the suite was given (`--base`); else what ships for it; else the published weights, in the
    weights folder or in the hub's cache.
    """
    given: SuiteFiles = getattr(suite, "files", SuiteFiles())  # a suite need not have it
    return find_base(suite.name) if given.base is None else Path(given.base).expanduser()


def find_base(suite: str) -> Path:
    """The base of a suite by its name, where none was given; else as `base_of`."""
    shipped = base_folder(suite)
    if shipped.is_dir():
        return shipped
    placed = weights_folder() / PRIOR.partition("/")[2]
    return placed if placed.is_dir() else Path(PRIOR)
