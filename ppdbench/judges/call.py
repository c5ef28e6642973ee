"""One question to a judge, lightly: by what it is known, and what makes it whole.

Elsewhere: which calls there are (`benchmarks`), who asks them (`ask`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ppdbench.protocols import Question
from ppdbench.runs.fingerprint import fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One question to a judge, lightly: nothing is decoded."""

    id: str
    """Unique in a run."""
    shots: tuple[str, ...]
    """Pair ids, in order."""
    images: tuple[str, str]
    """What is shown first and second: hashes of files, or places in pairs."""
    caption: str
    repeat: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON that its record says beside the verdict: whose it is, why it is asked."""

    @property
    def stamp(self) -> str:
        """Changes with what is shown."""
        return fingerprint(
            {"shots": self.shots, "images": self.images, "caption": self.caption, "n": self.repeat}
        )


MakeQuestion = Callable[[Call], Question]
"""Decodes what a call shows."""
