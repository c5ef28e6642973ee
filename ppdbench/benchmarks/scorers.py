"""A run's scorers: loaded only when something is left to measure, known by identity before.

An identity is the hash of a scorer's checkpoint and preprocessing. scorers.json keeps it with a
stamp of what it was read from, so a finished run is recognised without loading any scorer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ppdbench import __version__, plugins
from ppdbench.protocols import CaptionClassifier, Reward, RewardSpec, Suite
from ppdbench.rewards.folder import files_of
from ppdbench.rewards.identity import scorer_identity
from ppdbench.rewards.load import load_reward
from ppdbench.runs.fingerprint import fingerprint
from ppdbench.runs.results import (
    FIDELITY,
    identities_of,
    read_scorers,
    reward_key,
    write_scorers,
)


class Scorers:
    """The rewards and the caption classifier of a suite, for one run directory."""

    def __init__(self, suite: Suite, device: str, folder: Path) -> None:
        self.specs = {reward_key(spec.name): spec for spec in suite.rewards()}
        self.loaded: dict[str, Reward | CaptionClassifier] = {}
        self._suite = suite
        self._device = device
        self._folder = folder
        self._stamps = {key: self._stamp(spec) for key, spec in self.specs.items()}
        self._stamps[FIDELITY] = fingerprint({"ppdbench": __version__, "suite": suite.digest})
        self._entries = {
            key: entry
            for key, entry in read_scorers(folder).items()
            if key in self._stamps and entry.get("stamp") == self._stamps[key]
        }

    @property
    def identities(self) -> dict[str, str]:
        """Scorer key -> identity, of the scorers known so far, in the suite's order."""
        return identities_of(self._in_order())

    @property
    def unknown(self) -> list[str]:
        """Keys whose identity is not known without loading them."""
        return [key for key in self._stamps if key not in self._entries]

    def load(self, key: str) -> None:
        """Load a scorer and note its identity in scorers.json.

        Raises:
            MissingPrerequisite: its checkpoint is not at hand.
            PpdbenchError: the plug-in is broken.
        """
        if key in self.loaded:
            return
        entry: dict[str, Any]
        if key == FIDELITY:
            classifier = self._suite.classifier(self._device)
            if classifier is not None:
                self.loaded[key] = classifier
            sha256 = classifier.sha256 if classifier else None
            entry = {"identity": sha256 and fingerprint({"sha256": sha256}), "sha256": sha256}
        else:
            spec = self.specs[key]
            reward = load_reward(spec, self._device)
            self.loaded[key] = reward
            entry = {
                "identity": scorer_identity(reward.info),
                "name": spec.name,
                "title": spec.title or spec.name,
                "kind": spec.kind,
                "gold": spec.gold,
                "checkpoint_sha256": reward.info.checkpoint_sha256,
                "preprocess": reward.info.preprocess,
                "architecture": reward.info.architecture,
                "precision": reward.info.precision,
            }
        entry["stamp"] = self._stamps[key]
        if self._entries.get(key) != entry:
            self._entries[key] = entry
            write_scorers(self._folder, self._in_order())

    def _in_order(self) -> dict[str, dict[str, Any]]:
        return {key: self._entries[key] for key in self._stamps if key in self._entries}

    def _stamp(self, spec: RewardSpec) -> str:
        """Changes when the scorer may have: other code, another suite, a touched checkpoint."""
        found = [
            (path.name, stat.st_size, stat.st_mtime_ns)
            for path in files_of(spec.checkpoint, spec.weights)
            for stat in [path.stat()]
        ]
        return fingerprint(
            {
                "ppdbench": __version__,
                "plugin": plugins.origin("rewards", spec.kind),
                "suite": self._suite.digest,
                "kind": spec.kind,
                "title": spec.title,
                "gold": spec.gold,
                "files": found,
            }
        )
