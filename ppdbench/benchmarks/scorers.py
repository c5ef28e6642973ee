"""A run's scorers: loaded only when something is left to measure, known by identity before.

An identity is the hash of a scorer's checkpoint and preprocessing. scorers.json keeps it with a
stamp of what it was read from, so a finished run is recognised without loading any scorer. Rewards
score the images of the benchmarks of rewards; those of `personal` and `judge` are measured by the
suite's truth; the caption classifier sees all.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from ppdbench import __version__, plugins
from ppdbench.benchmarks.plan import BY_REWARDS, Drawn
from ppdbench.protocols import CaptionClassifier, Reward, RewardSpec, Suite, Truth
from ppdbench.rewards.folder import files_of
from ppdbench.rewards.identity import scorer_identity
from ppdbench.rewards.load import load_reward
from ppdbench.runs.fingerprint import fingerprint
from ppdbench.runs.results import (
    FIDELITY,
    TRUTH,
    identities_of,
    read_scorers,
    reward_key,
    write_scorers,
)

Scorer = Reward | CaptionClassifier | Truth


class Scorers:
    """What measures the images of a run: of a suite's scorers those that its benchmarks need."""

    def __init__(
        self, suite: Suite, device: str, folder: Path, benchmarks: Collection[Drawn]
    ) -> None:
        self.loaded: dict[str, Scorer] = {}
        self._suite = suite
        self._device = device
        self._folder = folder
        specs = suite.rewards() if BY_REWARDS & set(benchmarks) else []
        self._specs = {reward_key(spec.name): spec for spec in specs}
        of_people = suite.people if {"personal", "judge"} & set(benchmarks) else None
        self._truth = of_people.truth if of_people else None
        self._stamps = {key: self._stamp(spec) for key, spec in self._specs.items()}
        if benchmarks:  # where nothing is drawn, not all of the suite need be at hand
            about = {"ppdbench": __version__, "suite": suite.digest}
            if self._truth:
                self._stamps[TRUTH] = fingerprint({**about, "truth": self._truth.identity})
            self._stamps[FIDELITY] = fingerprint(about)
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

    def keys(self, benchmark: Drawn) -> set[str]:
        """Scorer keys that an image of a benchmark is measured by."""
        own = self._specs.keys() if benchmark in BY_REWARDS else {TRUTH}
        return {*own, FIDELITY} & self._stamps.keys()

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
        elif self._truth is not None and key == TRUTH:
            self.loaded[key] = self._truth
            entry = {"identity": self._truth.identity, "attributes": list(self._truth.attributes)}
        else:
            spec = self._specs[key]
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
