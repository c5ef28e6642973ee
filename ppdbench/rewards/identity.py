"""What stands beside a score: all that it depends on, and one short name for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

from ppdbench import __version__
from ppdbench.protocols import RewardInfo
from ppdbench.runs.fingerprint import fingerprint

LIBRARIES = ("ftfy", "numpy", "open_clip_torch", "pillow", "torch")
"""Those whose versions have moved scores: decoding, resizing, tokens, arithmetic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreIdentity:
    """Everything that decides a reward's number for given pixels and a caption."""

    reward: str
    kind: str
    checkpoint_sha256: str
    architecture: str
    preprocess: str
    precision: str
    device: str
    """cpu, cuda or mps: float noise differs between them."""
    libraries: dict[str, str]

    @property
    def id(self) -> str:
        """12 hex digits over all of it but the reward's name."""
        return fingerprint(
            {name: value for name, value in asdict(self).items() if name != "reward"}
        )

    def as_json(self) -> dict[str, Any]:
        """As written beside scores."""
        return {"id": self.id, **asdict(self)}


def scorer_identity(info: RewardInfo) -> str:
    """12 hex digits over what a scorer is, without where it runs: scores of two never mix."""
    fields = {"checkpoint": info.checkpoint_sha256, "preprocess": info.preprocess}
    if info.architecture:
        fields["architecture"] = info.architecture
    if info.precision != "fp32":
        fields["precision"] = info.precision
    return fingerprint(fields)


def score_identity(info: RewardInfo, device: str) -> ScoreIdentity:
    """The identity of the scores that a reward gives here."""
    return ScoreIdentity(
        reward=info.name,
        kind=info.kind,
        checkpoint_sha256=info.checkpoint_sha256,
        architecture=info.architecture,
        preprocess=info.preprocess,
        precision=info.precision,
        device=device.partition(":")[0],
        libraries=libraries(),
    )


def libraries() -> dict[str, str]:
    """Library -> version, ours included; what is not installed is left out."""
    found = {"ppdbench": __version__}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
