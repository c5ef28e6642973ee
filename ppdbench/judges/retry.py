"""What follows a failed attempt: another and when, or none at all; and how many run at once.

Waits double, with a jitter that is a function of the question, so that a run can be told again; a
server's Retry-After wins. Elsewhere: what an attempt is (`openai_calls`).
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ppdbench.errors import MissingPrerequisite

TRIES = 5
"""Attempts of a call, the first one included."""
FIRST_WAIT = 0.5
"""Seconds before the second attempt; doubled before each further one."""
LONGEST_WAIT = 60.0
"""Seconds that are waited at most, whatever a server asks for."""
LATE = 32
"""Attempts over which the share of those is told that were refused for the rate, about."""
CROWDED = 0.1
"""The share from which on it is the rate: a gateway refuses one now and then whatever it is."""
NO_CREDIT = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active")
"""Codes of errors: OpenAI sends them with the status of a rate that is too high."""


def worth_another(status: int) -> bool:
    """Whether an answer of this HTTP status may be another one next time."""
    return status in (408, 409, 429) or status >= 500


def no_call_can_succeed(
    status: int | None, code: str, *, model: str, words: str, option: str
) -> MissingPrerequisite | None:
    """Why a server answers no call at all, where that is what an error of it says; else None.

    Args:
        status: of HTTP; None where no answer came.
        code: of the error, as `completion.error_code` reads it.
        model: that was asked for.
        words: what the server said, without the key.
        option: by which the user names the server, "--base-url" or "base_url=".
    """
    if status in (401, 403):
        fix = "set OPENAI_API_KEY to a key that may use this model at this server"
    elif status == 404:
        fix = f"check the model's name, and what {option} says: most addresses end in /v1"
    elif status == 402 or code in NO_CREDIT:
        fix = f"add credit to the account, or use another server with {option}"
    else:
        return None
    return MissingPrerequisite(f"the server refuses {model!r} ({words})", fix=fix)


def wait(attempt: int, seed: str, retry_after: float | None) -> float:
    """Seconds between an attempt, counted from 1, and the next.

    Args:
        attempt: the one that failed.
        seed: of the jitter, such as the question's text.
        retry_after: what the server asked for.
    """
    digest = hashlib.sha256(f"{seed}/{attempt}".encode("utf-8", "replace")).digest()
    jitter = int.from_bytes(digest[:4], "big") / 2**32
    if retry_after is not None:  # never earlier than asked; not all calls at the same moment
        return retry_after * (1 + 0.1 * jitter)
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (attempt - 1)) * (1 + jitter) / 2


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that a server asks to wait, at most `LONGEST_WAIT`; None where it does not say.

    Args:
        headers: of the answer, found by lower-case names; `retry-after-ms` wins over
            `retry-after`, which has seconds or a date. A date is held against the server's own.
        now: the time, for a server that does not say it.
    """
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return min(seconds, LONGEST_WAIT)
    until = _date(headers.get("retry-after"))
    if until is None:
        return None
    seconds = (until - (_date(headers.get("date")) or now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT)


class Pace:
    """How many attempts run at once: `most`, and fewer while the server says it is too many.

    A refusal for that reason now and then holds back the refused call alone. While they are a tenth
    of late attempts, each one halves how many run and holds all back for as long as the server
    asks; every answer adds a little, so that `n` answers add about one to `n`. Inside one event
    loop.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._allowed = float(most)
        self._running = 0
        self._not_before = 0.0
        self._refused = 0.0  # share of late attempts, an exponential mean
        self._changed = asyncio.Condition()

    @property
    def allowed(self) -> int:
        """Attempts that may run at once."""
        return int(self._allowed)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a place, and hold it."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._running < self.allowed)
            self._running += 1
        try:
            loop = asyncio.get_running_loop()
            while (seconds := self._not_before - loop.time()) > 0:
                await asyncio.sleep(seconds)
            yield
        finally:
            self._running -= 1
            async with self._changed:
                self._changed.notify_all()

    def too_many(self, seconds: float) -> None:
        """The server refused an attempt for its rate: where many were, slow all down.

        Args:
            seconds: to wait, as the server asks.
        """
        now = asyncio.get_running_loop().time()
        if now >= self._not_before:  # those that ran beside the one that slowed all tell no more
            self._refused += (1 - self._refused) / LATE
            if self._refused < CROWDED:
                return
            self._allowed = max(1.0, self._allowed / 2)
        self._not_before = max(self._not_before, now + seconds)

    def answered(self) -> None:
        """An attempt was answered: let a little more run."""
        self._refused -= self._refused / LATE
        self._allowed = min(float(self._most), self._allowed + 1 / self._allowed)


def _date(text: str | None) -> datetime | None:
    """An HTTP date; one without a zone is UTC."""
    try:
        found = parsedate_to_datetime(text or "")
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
