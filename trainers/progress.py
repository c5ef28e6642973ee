"""What a trainer says while it works, to whoever listens; the command line's console does."""

from __future__ import annotations

from typing import Protocol


class Events(Protocol):
    """The listener: stages of so many steps, steps done, and notes."""

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of `total` steps; the stage before it is over."""
        ...

    def advance(self, n: int = 1) -> None:
        """Count `n` further steps of the stage."""
        ...

    def note(self, text: str) -> None:
        """Say something worth knowing that is neither a result nor an error."""
        ...


class Silence:
    """A listener that hears nothing: for all processes but the first, and for tests."""

    def stage(self, name: str, total: int) -> None:
        """Ignored."""

    def advance(self, n: int = 1) -> None:
        """Ignored."""

    def note(self, text: str) -> None:
        """Ignored."""
