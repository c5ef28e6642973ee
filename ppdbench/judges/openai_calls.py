"""Calls to an OpenAI-compatible server: each of at most five attempts, paid for from one budget.

What a failed attempt means is decided here: whether it is made again, what it may have cost, and
whether the judge can go on at all. Nothing of the key is ever told. Elsewhere: which calls run
side by side (`in_flight`), waits (`retry`), time (`clock`), money (`budget`), bodies
(`chat_body`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from ppdbench.data.plain_json import json_or_none
from ppdbench.errors import BudgetReached, MissingPrerequisite, PpdbenchError
from ppdbench.judges.bounded_client import bounded_client
from ppdbench.judges.budget import Budget, Reservation
from ppdbench.judges.chat_body import TEMPERATURE, Bodies, Form, simpler
from ppdbench.judges.clock import Clock
from ppdbench.judges.completion import (
    Completion,
    Usage,
    clean,
    error_code,
    error_words,
    is_refusal,
    read_completion,
    read_usage,
)
from ppdbench.judges.hidden_key import without_key
from ppdbench.judges.prompt import slots
from ppdbench.judges.retry import (
    TRIES,
    Pace,
    no_call_can_succeed,
    retry_after,
    wait,
    worth_another,
)
from ppdbench.protocols import Estimate, Question, Verdict

NOT_SENT = ("ConnectError", "ConnectTimeout", "UnsupportedProtocol", "ProxyError")
"""What the client's own errors are caused by where no request reached the server."""
MAYBE_CHARGED = (408, 504, 524)
"""Statuses by which a gateway says that it gave up waiting: the model may have answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where calls go."""

    base_url: str
    key: str
    timeout: float
    """Seconds an attempt may take."""
    concurrency: int

    def told(self, text: str) -> str:
        """What a server or library said, on one line, without the key."""
        line = " ".join(self.hide(clean(text)).split())
        return line if len(line) <= 300 else f"{line[:299]}…"

    def hide(self, text: str) -> str:
        """A text without the key, whoever put it there."""
        return without_key(text, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt gave no completion."""

    cause: str
    again: bool = False
    """Whether another attempt may do better."""
    retry_after: float | None = None
    """Seconds that the server asks to wait."""
    at_once: bool = False
    """The next attempt need not wait: it asks otherwise."""
    too_many: bool = False
    """The server wants fewer calls at once."""
    refused: bool = False
    """The server will not look at this question."""
    not_sent: bool = False
    """No server was reached."""
    stop: PpdbenchError | None = None
    """The judge cannot go on."""
    charge: Usage | None = field(default_factory=Usage)
    """Tokens as told, of which what is unknown counts at its bound; None where nothing can have
    been charged."""


class Calls:
    """One judge's calls, of one budget, inside one event loop.

    Args:
        server: where to.
        bodies: what is sent.
        form: how it is asked for at first; `form` is what the server was found to take.
        budget: what may be spent.
    """

    def __init__(self, server: Server, bodies: Bodies, form: Form, budget: Budget) -> None:
        self.server = server
        self.bodies = bodies
        self.form = form
        self.budget = budget
        self.clock = Clock()
        self.stop: PpdbenchError | None = None
        """Why no further call is begun."""
        self._pace = Pace(server.concurrency)
        self._settled = asyncio.Event()
        self._first_is_over = False
        self._client: Any = None

    @property
    def room(self) -> int:
        """Calls that may be in flight.

        With a limit to the money the first one goes alone, so that a server that counts more than
        its bound is known before many calls rest on it.
        """
        alone = self.budget.allowance is not None and not self._first_is_over
        return 1 if alone else self.server.concurrency

    async def open(self) -> None:
        """Make the client; inside the loop, as its connections belong to one."""
        self._client = bounded_client(self.server.base_url, self.server.key)

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.close()

    async def ask(self, question: Question, seed: str) -> Verdict | None:
        """The verdict on a question; None where it was never asked, and `stop` says why.

        Args:
            question: its images are decoded.
            seed: of the jitter of its waits.
        """
        verdict = await self._ask(question, seed)
        self._first_is_over = True
        return None if verdict is None else self._hidden(verdict)

    async def _ask(self, question: Question, seed: str) -> Verdict | None:
        messages = self.bodies.messages(question)
        cost, attempts, not_sent = Fraction(0), 0, 0
        failed: list[str] = []
        refused = False
        for attempt in range(1, TRIES + 1):
            async with self._pace.turn():
                held = await self._reserve(question)
                if held is None:
                    break
                attempts += 1
                form, begin = self.form, self.clock.now()
                found = await self._attempt(self.bodies.body(messages, form), form)
                seconds = self.clock.now() - begin
                cost += self._settle(held, found)
            if isinstance(found, Completion):
                self._pace.answered()
                details = self._details(question, form, attempts, failed, seconds)
                return found.verdict(cost=float(cost), details=details)
            failed.append(found.cause)
            not_sent += found.not_sent
            refused = found.refused
            self.stop = self.stop or found.stop
            if not found.again or self.stop is not None or attempt == TRIES:
                break
            if not found.at_once:
                seconds = wait(attempt, seed, found.retry_after)
                if found.too_many:
                    self._pace.too_many(seconds)
                await asyncio.sleep(seconds)
        if attempts == 0:
            return None
        if not_sent == TRIES:
            self.stop = self.stop or MissingPrerequisite(
                f"no server answers at {self.server.base_url} ({failed[-1]})",
                fix="start it, or check --base-url and the network",
            )
        return Verdict(
            status="refusal" if refused else "api_error",
            error=failed[-1],
            cost=float(cost),
            details=self._details(question, self.form, attempts, failed, None),
        )

    async def _reserve(self, question: Question) -> Reservation | None:
        """Set money aside for an attempt, once calls in flight have given back what they can."""
        bound = Estimate(
            tokens_in=self.bodies.tokens_in(question, self.form),
            tokens_out=self.bodies.max_tokens,
            cost=None,
        )
        while self.stop is None:
            held = self.budget.reserve(bound)
            if held is not None:
                return held
            if self.budget.open == 0:
                needed, left = float(self.budget.needed(bound)), float(self.budget.left or 0)
                self.stop = BudgetReached(
                    f"the next call may cost ${needed:.4f}, and ${left:.4f} are left",
                    fix="allow more with --max-cost; what was judged is kept",
                )
                break
            self._settled.clear()
            await self._settled.wait()
        return None

    def _settle(self, held: Reservation, found: Completion | Failure) -> Fraction:
        charge = found.usage if isinstance(found, Completion) else found.charge
        amount = self.budget.release(held) if charge is None else self.budget.settle(held, charge)
        self._settled.set()
        return amount

    async def _attempt(self, body: dict[str, Any], form: Form) -> Completion | Failure:
        """Send one request; every way in which it can fail is a Failure."""
        from openai import APIConnectionError, APIStatusError, OpenAIError

        try:
            async with self.clock.limit(self.server.timeout):
                # Not `chat.completions.create`: it walks through every word of a body to see what
                # is no JSON yet, at half a call's cost, and believes the answer's types.
                answer = await self._client.post("/chat/completions", body=body, cast_to=str)
        except TimeoutError:
            return Failure(cause=f"no answer in {self.server.timeout:g} s", again=True)
        except APIStatusError as error:
            return self._status(error, form)
        except APIConnectionError as error:
            cause = error.__cause__ or error
            if type(cause).__name__ in NOT_SENT:
                words = self.server.told(f"no connection: {cause}")
                return Failure(cause=words, again=True, not_sent=True, charge=None)
            words = self.server.told(f"the connection broke: {cause or type(cause).__name__}")
            return Failure(cause=words, again=True)
        except OpenAIError as error:
            return Failure(cause=self.server.told(f"{type(error).__name__}: {error}"), again=True)
        found = json_or_none(answer)
        if found is None:
            return Failure(cause="the answer is no JSON", again=True)
        completion = read_completion(
            found,
            format_asked=form.format,
            first_token=self.bodies.max_tokens == 1,
            hide=self.server.hide,
        )
        if completion is None:
            words = self.server.told(f"the answer has no choices: {error_words(found)}")
            return Failure(cause=words, again=True, charge=read_usage(found))
        return completion

    def _status(self, error: Any, form: Form) -> Failure:
        """What an HTTP error status means."""
        status: int = error.status_code
        body = json_or_none(error.response.content)
        said = error.message if body is None else error_words(body)
        words = self.server.told(f"HTTP {status}: {said}")
        charge: Usage | None = read_usage(body)
        silent = status >= 500 and not error.response.content
        if charge == Usage() and status not in MAYBE_CHARGED and not silent:
            charge = None
        if is_refusal(status, body):
            return Failure(cause=words, refused=True, charge=charge)
        stop = no_call_can_succeed(
            status,
            error_code(body),
            model=self.bodies.model,
            words=words,
            option="--base-url",
        )
        if stop is not None:
            return Failure(cause=words, stop=stop, charge=charge)
        if status in (400, 422):
            other = simpler(form, f"{said} {error.param}")
            if other is not None:
                if self.form == form:  # else a call beside this one found out before
                    self.form = other
                return Failure(cause=words, again=True, at_once=True, charge=charge)
        after = retry_after(error.response.headers)
        return Failure(
            cause=words,
            again=worth_another(status),
            retry_after=after,
            too_many=status == 429 or after is not None,
            charge=charge,
        )

    def _details(
        self,
        question: Question,
        form: Form,
        attempts: int,
        failed: list[str],
        seconds: float | None,
    ) -> dict[str, Any]:
        return {
            "requested_model": self.bodies.model,
            "style": self.bodies.style,
            "format_asked": form.format,
            "temperature": TEMPERATURE if form.temperature else None,
            "slots": slots(question.shots),
            "attempts": attempts,
            "failed": list(failed),
            "seconds": None if seconds is None else round(seconds, 4),
        }

    def _hidden(self, verdict: Verdict) -> Verdict:
        """The verdict without the key, should the server have put it there."""

        def hide(text: str | None) -> str | None:
            return None if text is None else self.server.hide(text)

        return replace(
            verdict,
            raw=hide(verdict.raw),
            reason=hide(verdict.reason),
            error=hide(verdict.error),
            details={
                name: hide(value) if isinstance(value, str) else value
                for name, value in verdict.details.items()
            },
        )
