"""A trainer's listener that hears nothing; what it may say is `ppdbench.protocols.Events`."""

from __future__ import annotations


class Silence:
    """For all processes but the first, and for tests."""

    def stage(self, name: str, total: int) -> None:
        """Ignored."""

    def advance(self, n: int) -> None:
        """Ignored."""

    def note(self, text: str) -> None:
        """Ignored."""
