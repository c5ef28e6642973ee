"""Time as calls in flight have it: it stands still while whoever takes their answers is at work.

Elsewhere: who takes them and when (`in_flight`), what is limited by it (`openai_calls`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Clock:
    """The time that calls have had: while the caller of a generator is at work, it stands still."""

    def __init__(self) -> None:
        self._away = 0.0
        self._limits: dict[asyncio.Timeout, float] = {}
        """Each with the time away that it has been given."""

    def now(self) -> float:
        """Seconds."""
        return asyncio.get_running_loop().time() - self._away

    def was_away(self, seconds: float) -> None:
        """The loop stood still for so long."""
        self._away += seconds

    def put_off(self) -> None:
        """Give limits the time that the loop stood still; before anything else, when it runs."""
        for limit, given in self._limits.items():
            when = limit.when()
            if when is not None and not limit.expired() and self._away > given:
                limit.reschedule(when + self._away - given)
                self._limits[limit] = self._away

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncIterator[None]:
        """Raise TimeoutError after so many seconds."""
        async with asyncio.timeout(seconds) as limit:
            self._limits[limit] = self._away
            try:
                yield
            finally:
                del self._limits[limit]
