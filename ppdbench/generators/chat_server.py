"""A language model behind any server that speaks OpenAI's chat completions, asked for text.

Calls run side by side and come back as they are answered; each is tried five times at most, by the
rules of the judges' calls (`judges.retry`). A refusal, a cut answer or a call that failed is that
chat's silence; what no call can get past (key, credit, name, no server) stops the run, and so does
one call more than may be made. Nothing of the key is ever told. Elsewhere: the client
(`judges.bounded_client`), addresses and keys (`judges.server_address`), keeping answers
(`replies`).
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ppdbench.data.plain_json import json_or_none
from ppdbench.errors import BudgetReached, MissingPrerequisite, PpdbenchError, UsageError
from ppdbench.generators.language_model import Silence
from ppdbench.judges.bounded_client import bounded_client
from ppdbench.judges.chat_body import TEMPERATURE, Form, simpler
from ppdbench.judges.completion import clean, error_code, error_words, is_refusal
from ppdbench.judges.openai_calls import NOT_SENT, Server
from ppdbench.judges.retry import TRIES, no_call_can_succeed, retry_after, wait, worth_another
from ppdbench.judges.server_address import find_url, read_key
from ppdbench.users.rewrite_prompt import Messages

Send = Callable[[dict[str, Any]], str]
MAX_TOKENS = 300
EXAMPLE = "base_url=http://127.0.0.1:8000/v1"


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt without an answer that is worth another."""

    why: str
    after: float | None = None
    """Seconds that the server asks to wait."""
    at_once: bool = False
    not_sent: bool = False


class ChatServer:
    """Implements `language_model.LanguageModel`."""

    versions = ""
    paid = True

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None,
        max_tokens: int | None,
        concurrency: int,
        timeout: float,
        calls: int | None = None,
    ) -> None:
        """See what is asked for; nothing is sent. Arguments as `language_model.language_model`.

        Raises:
            UsageError: no model is named, or a setting makes no sense.
            MissingPrerequisite: there is no key, and the server is the one that needs one.
        """
        if not model:
            raise UsageError("llm=openai: names no model", fix="name one, as in llm=openai:gpt-4o")
        if concurrency < 1 or not timeout > 0:
            raise UsageError("concurrency and timeout are above 0", fix="give other numbers")
        address, needs_key = find_url(base_url, EXAMPLE)
        key = read_key("rewriting by a server", "base_url=", needed=needs_key)
        self._server = Server(base_url=address, key=key, timeout=timeout, concurrency=concurrency)
        self._model, self._max_tokens = model, max_tokens or MAX_TOKENS
        self._form = Form(format=False)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._stop: PpdbenchError | None = None
        self._most_calls, self._calls = calls, 0

    @property
    def identity(self) -> Mapping[str, Any]:
        """The model, where it is served, and how it is asked."""
        return {
            "llm": f"openai:{self._model}",
            "base_url": self._server.base_url,
            "max_tokens": self._max_tokens,
            "temperature": TEMPERATURE,
        }

    def answer(self, chats: Sequence[Messages]) -> Iterator[tuple[int, str | Silence]]:
        """See `LanguageModel.answer`; the calls in flight are waited for where one stops all.

        Raises:
            MissingPrerequisite: no server, no credit, or no right to use the model.
            BudgetReached: another call is one too many.
        """
        self._stop, self._over = None, threading.Event()
        with _sending(self._server) as send:
            pool = ThreadPoolExecutor(self._server.concurrency)
            try:
                calls = {pool.submit(self._ask, send, chat): at for at, chat in enumerate(chats)}
                for call in as_completed(calls):
                    said = call.result()
                    if said is not None:
                        yield calls[call], said
            finally:
                self._over.set()  # after Ctrl-C no call in flight is made again
                pool.shutdown(cancel_futures=True)
        if self._stop is not None:
            raise self._stop

    def _ask(self, send: Send, chat: Messages) -> str | Silence | None:
        """What is said to one chat; None where it was not asked for, as nothing can be."""
        failed: list[Failed] = []
        for attempt in range(1, TRIES + 1):
            if self._stop is not None or self._over.is_set() or not self._may_call():
                return None
            found = self._attempt(send, chat)
            if not isinstance(found, Failed):
                return found
            failed.append(found)
            if attempt < TRIES and not found.at_once:
                self._over.wait(wait(attempt, json.dumps(chat), found.after))
        if all(each.not_sent for each in failed):
            self._stop = MissingPrerequisite(
                f"no server answers at {self._server.base_url} ({failed[-1].why})",
                fix="start it, or check base_url and the network",
            )
            return None
        return Silence(failed[-1].why)

    def _may_call(self) -> bool:
        """Count a call, made again or not; False, and the end, where it is one too many."""
        with self._lock:
            if self._calls == self._most_calls:
                self._stop = BudgetReached(
                    f"the language model was sent {self._calls} calls, as many as may be",
                    fix="the same command goes on, with as many more; or give calls= a larger one",
                )
                return False
            self._calls += 1
            return True

    def _attempt(self, send: Send, chat: Messages) -> str | Silence | Failed | None:
        """Send one request; every way in which it can fail is told apart here."""
        from openai import APIConnectionError, APIStatusError, OpenAIError

        form = self._form
        try:
            answer = send(self._body(chat, form))
        except TimeoutError:
            return Failed(f"no answer in {self._server.timeout:g} s")
        except APIConnectionError as error:
            cause = error.__cause__ or error
            unsent = type(cause).__name__ in NOT_SENT
            return Failed(self._server.told(f"no connection: {cause}"), not_sent=unsent)
        except APIStatusError as error:
            return self._status(error, form)
        except OpenAIError as error:
            return Failed(self._server.told(f"{type(error).__name__}: {error}"))
        return self._read(answer)

    def _body(self, chat: Messages, form: Form) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self._model, "messages": chat}
        if form.temperature:
            body["temperature"] = TEMPERATURE
        return body | {form.tokens: self._max_tokens}

    def _status(self, error: Any, form: Form) -> Silence | Failed | None:
        """What an HTTP error status means; None where no call can do better."""
        status: int = error.status_code
        body = json_or_none(error.response.content)
        said = error.message if body is None else error_words(body)
        words = self._server.told(f"HTTP {status}: {said}")
        if is_refusal(status, body):
            return Silence(f"the language model refused ({words})")
        stop = no_call_can_succeed(
            status, error_code(body), model=self._model, words=words, option="base_url="
        )
        if stop is not None:
            self._stop = stop
            return None
        if status in (400, 422) and (other := simpler(form, f"{said} {error.param}")) is not None:
            with self._lock:
                if self._form == form:  # else a call beside this one found out before
                    self._form = other
            return Failed(words, at_once=True)
        if not worth_another(status):
            return Silence(words)
        return Failed(words, after=retry_after(error.response.headers))

    def _read(self, answer: str) -> str | Silence | Failed:
        """The text of a completion; servers leave fields out and send other types."""
        body = json_or_none(answer)
        try:
            choice = body["choices"][0]
            message, ended = choice["message"], choice.get("finish_reason")
            said, refusal = message.get("content"), message.get("refusal")
        except (TypeError, KeyError, IndexError, AttributeError):
            return Failed("the answer has no choices")
        if refusal or ended == "content_filter":
            return Silence(f"the language model refused ({self._server.told(str(refusal))})")
        if ended == "length":
            return Silence(f"the language model was cut off at {self._max_tokens} tokens")
        return self._server.hide(clean(said)) if isinstance(said, str) else Silence("no text came")


@contextmanager
def _sending(server: Server) -> Iterator[Send]:
    """What sends a body and gives its answer, from any thread, in the time of one attempt.

    The client lives in an event loop of its own thread, as only there one limit holds for all of
    an answer: TimeoutError is raised however slowly it trickles.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    client = bounded_client(server.base_url, server.key)

    async def sent(body: dict[str, Any]) -> str:
        async with asyncio.timeout(server.timeout):
            return await client.post("/chat/completions", body=body, cast_to=str)

    try:
        yield lambda body: asyncio.run_coroutine_threadsafe(sent(body), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(client.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
