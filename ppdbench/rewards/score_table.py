"""Scores of many images: numbers, what they are, what failed; as JSON, as CSV, summed up."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ppdbench.rewards.identity import ScoreIdentity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCHEMA_VERSION = 1
CSV_COLUMNS = (
    "image",
    "caption",
    "reward",
    "score",
    "error",
    "score_id",
    "checkpoint_sha256",
    "architecture",
    "preprocess",
    "precision",
    "precision_drift_mean",
    "precision_drift_max",
    "device",
    "libraries",
)


@dataclass(slots=True, kw_only=True)
class ScoreTable:
    """Row i of everything belongs to image i."""

    images: Sequence[str]
    """How each image was named; a picture without a name is its number."""
    captions: Sequence[str | None]
    identities: dict[str, ScoreIdentity]
    """Reward -> what its scores are; its order is the columns'."""
    scores: dict[str, NDArray[np.float64]]
    """Reward -> (N,), NaN where there is no score."""
    errors: dict[int, dict[str, str]] = field(default_factory=dict)
    """Row -> reward -> why there is no score."""
    pixel_sha256: list[str | None] = field(default_factory=list)
    """Hash over an image's size and RGB pixels; None where it could not be read."""
    processes: int = 1
    """How many shared the work."""
    drift: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Reward -> n, max_abs, mean_abs: how far reduced precision moves its scores from fp32's,
    measured on some of these images (n = 0 and a reason where it could not be); empty in fp32."""

    @property
    def failed(self) -> int:
        """Images that lack a score."""
        return len(self.errors)

    def summary(self) -> dict[str, dict[str, Any]]:
        """Reward -> n, n_expected, mean with its 95% interval over captions, sd, min, max.

        Captions are the clusters that the bootstrap resamples. What is not defined is null, with
        the reason; a failed image is in no figure.
        """
        import numpy as np

        from ppdbench.statistics.intervals import cluster_bootstrap_mean  # late: scipy

        found: dict[str, dict[str, Any]] = {}
        for reward, scores in self.scores.items():
            there = np.flatnonzero(np.isfinite(scores))
            values = scores[there]
            groups = self._clusters()[there]
            mean = cluster_bootstrap_mean(values, groups)
            n = len(values)
            found[reward] = {
                "n": n,
                "n_expected": len(scores),
                "n_clusters": mean.n_clusters,
                "mean": mean.estimate,
                "ci_low": mean.ci_low,
                "ci_high": mean.ci_high,
                "sd": float(values.std(ddof=1)) if n > 1 else None,
                "min": float(values.min()) if n else None,
                "max": float(values.max()) if n else None,
            }
            if mean.reason:
                found[reward]["reason"] = mean.reason
        return found

    def as_json(self) -> str:
        """One document: identities, summary, then a row an image."""
        rewards = {name: identity.as_json() for name, identity in self.identities.items()}
        document = {
            "schema_version": SCHEMA_VERSION,
            "n_images": len(self.images),
            "n_failed": self.failed,
            "n_processes": self.processes,
            "rewards": rewards,
            "summary": self.summary(),
            "precision_drift": self.drift or None,
            "images": [self._row(row) for row in range(len(self.images))],
        }
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def as_csv(self) -> str:
        """A line an image and reward, its score's identity beside it."""
        text = io.StringIO()
        writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row, image in enumerate(self.images):
            for reward, identity in self.identities.items():
                score = self._score(row, reward)
                writer.writerow(
                    {
                        "image": image,
                        "caption": self.captions[row],
                        "reward": reward,
                        "score": "" if score is None else repr(score),
                        "error": self.errors.get(row, {}).get(reward, ""),
                        "score_id": identity.id,
                        "checkpoint_sha256": identity.checkpoint_sha256,
                        "architecture": identity.architecture,
                        "preprocess": identity.preprocess,
                        "precision": identity.precision,
                        "precision_drift_mean": self.drift.get(reward, {}).get("mean_abs", ""),
                        "precision_drift_max": self.drift.get(reward, {}).get("max_abs", ""),
                        "device": identity.device,
                        "libraries": " ".join(f"{k}=={v}" for k, v in identity.libraries.items()),
                    }
                )
        return text.getvalue()

    def _clusters(self) -> NDArray[np.int64]:
        """A number a caption; an image without one is a cluster of its own."""
        import numpy as np

        numbers: dict[str | int, int] = {}
        named = (row if text is None else text for row, text in enumerate(self.captions))
        return np.array([numbers.setdefault(name, len(numbers)) for name in named], np.int64)

    def _row(self, row: int) -> dict[str, Any]:
        found: dict[str, Any] = {
            "image": self.images[row],
            "caption": self.captions[row],
            "pixel_sha256": self.pixel_sha256[row],
            "scores": {reward: self._score(row, reward) for reward in self.scores},
        }
        return found | ({"errors": self.errors[row]} if row in self.errors else {})

    def _score(self, row: int, reward: str) -> float | None:
        score = float(self.scores[reward][row])
        return score if score == score else None
