"""An adapter's folder, found: what it says of itself, before any of its tensors is read.

Elsewhere: its header (`header.py`) and tensors (`checkpoints.py`), who draws by it
(`trainers/generator.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import Checkpoint
from ppdbench.rewards.folder import changed
from trainers.adapters.header import ADAPTER_FILE, AdapterHeader, check_base, read_header

TIMESTEPS = 1000
"""Those by which `Checkpoint.beta` counts, as the paper's loss does: beta_eff is beta times them,
whatever `objective.timestep_scale` was."""
PEOPLE = "people"
"""Folder of the adapter for people, inside that of an adapter for reward weights."""


@dataclass(frozen=True, slots=True)
class FoundAdapter:
    """An adapter on disk: where, and what it says of itself."""

    folder: Path
    header: AdapterHeader
    sha256: str

    def require_unchanged(self) -> None:
        """See that the file is still the one that was found; after its tensors were read.

        Raises:
            PpdbenchError: it is not: a training may have ended meanwhile, and its adapter's
                pictures are another generator's.
        """
        file = self.folder / ADAPTER_FILE
        if not file.is_file() or _sha256(file) != self.sha256:
            raise changed(file)

    @property
    def identity(self) -> dict[str, Any]:
        """What its pictures depend on."""
        return {"adapter": self.sha256, "unconditional_user": self.header.unconditional_user}

    @property
    def checkpoint(self) -> Checkpoint:
        """Where in which training it is."""
        facts = self.header.facts
        steps, beta_eff = int(facts.get("steps", 0)), facts.get("beta_eff")
        return Checkpoint(
            method=self.header.method,
            step=int(facts.get("step", steps)),
            steps=steps,
            beta=None if beta_eff is None else beta_eff / TIMESTEPS,
            labels=facts.get("reward"),
            seed=facts.get("seed"),
            training=facts.get("settings", ""),
        )

    @property
    def name(self) -> str:
        """What records call it where it is named by its folder: all that tells checkpoints apart.

        The seed comes last, as that of a sibling does (`<name>-seed-<n>`); 0 is not said.
        """
        at, known = self.checkpoint, self.header.embedding
        parts = (
            at.method,
            at.labels,
            known.encoder if known else None,
            None if at.beta is None else f"beta-{at.beta:g}",
            f"step-{at.step}",
            f"seed-{at.seed}" if at.seed else None,
        )
        return "-".join(part for part in parts if part)

    @property
    def settings(self) -> dict[str, Any]:
        """What is worth printing beside its figures."""
        told = {
            "unconditional_user": self.header.unconditional_user,
            "training": dict(self.header.facts),
        }
        if known := self.header.embedding:
            told["encoder"] = {"name": known.encoder, "revision": known.revision}
        return told


def find_adapters(folder: Path, base_sha256: str) -> list[FoundAdapter]:
    """The adapter of a folder, and the one for people in it, if there is one; both of this base.

    Raises:
        MissingPrerequisite: there is none, one is of another base, or the two are of one kind.
        PpdbenchError: a file is damaged.
    """
    folders = [folder]
    if (folder / PEOPLE / ADAPTER_FILE).is_file():
        folders.append(folder / PEOPLE)
    found = [
        FoundAdapter(each, read_header(each), _sha256(each / ADAPTER_FILE)) for each in folders
    ]
    for adapter in found:
        check_base(adapter.folder, adapter.header, base_sha256)
    kinds = [adapter.header.user_vector for adapter in found]
    if len(found) > 1 and (kinds[1] != "embedding" or kinds[0] == "embedding"):
        raise MissingPrerequisite(
            f"{folders[1]} must hold an adapter for people beside one of another kind in {folder}",
            fix=f"take {folders[1]} away, or put an adapter trained with --users there",
        )
    return found


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
