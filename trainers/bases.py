"""Which Stable Cascade a suite's reference entries draw with: the user's, the shipped, or found.

Also what its pictures depend on. Elsewhere: its files (`stable_cascade/base_files.py`), reading it
(`stable_cascade/load.py`), shipped adapters (`assets/`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import Suite, SuiteFiles
from ppdbench.rewards.weights import weights_folder
from trainers.assets import base_folder
from trainers.stable_cascade.published import PRIOR

if TYPE_CHECKING:
    import torch

DECODER = "decoder"
"""Key of what a published base has in its identity, and no other."""


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


def base_identity(folder: Path, suite: str, dtype: torch.dtype | None) -> dict[str, Any]:
    """What pictures depend on of a base, by hashes; of a published one its decoder too.

    Raises:
        MissingPrerequisite: the base is not there, or a part of it.
    """
    from trainers.stable_cascade.base_files import base_sha256, read_config
    from trainers.stable_cascade.published import is_published, on_this_machine

    identity: dict[str, Any] = {}
    if dtype is not None:
        identity["dtype"] = str(dtype)
    if is_published(folder):
        from trainers.stable_cascade.published_base import decoder_sha256

        if not on_this_machine(folder):
            raise MissingPrerequisite(
                f"no Stable Cascade ships for the suite {suite!r}, and there is none at {folder}",
                fix="name one with --base DIR, or download it (docs/model.md has the commands)",
            )
        return identity | {"base": base_sha256(folder), DECODER: decoder_sha256(folder)}
    if not folder.is_dir():
        raise MissingPrerequisite(
            f"no Stable Cascade ships for the suite {suite!r}: there is none at {folder}",
            fix="name one with --base DIR, or download it (docs/model.md has the commands); the "
            "weights of shapes ship",
        )
    read_config(folder)
    try:
        return identity | {"base": base_sha256(folder)}
    except OSError as error:
        raise MissingPrerequisite(
            f"the base model in {folder} is incomplete",
            fix="reinstall ppdbench, or rebuild the world with `python -m trainers.shapes`",
        ) from error
