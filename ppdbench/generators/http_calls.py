"""JSON asked for over HTTP: bounded in time and size, and of one place only.

A server is a stranger: its answer may be an error page, endless, or never come. Elsewhere: the time
that an answer has (`http_deadline`), what is asked and what an answer means (`http_messages`,
`openai_image_calls`).
"""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ppdbench.data.plain_json import json_or_none
from ppdbench.errors import one_line
from ppdbench.generators.http_deadline import handlers
from ppdbench.judges.completion import error_words
from ppdbench.judges.retry import retry_after

CHUNK = 65_536
MOST_OF_ERROR = 65_536
"""Bytes that are read of an error's answer."""


class Unanswered(Exception):
    """Why a request has no answer that can be used, on one line."""

    def __init__(
        self,
        cause: str,
        *,
        late: bool = False,
        sent: bool = True,
        status: int | None = None,
        body: Any = None,
        after: float | None = None,
    ) -> None:
        super().__init__(cause)
        self.late = late
        """Whether the server was given up after `timeout`."""
        self.sent = sent
        """Whether a server may have read it."""
        self.status = status
        """HTTP's, where there is an answer."""
        self.body = body
        """JSON of an answer that says what is wrong; None where it is none."""
        self.after = after
        """Seconds that the server asks to wait before another try."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Nothing is sent on: a user's shots go where the command says, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


class JsonServer:
    """A server that is asked for JSON."""

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        headers: Mapping[str, str] = MappingProxyType({}),
        hide: Callable[[str], str] = str,
    ) -> None:
        """Note where it is; nothing is sent.

        Args:
            url: `http(s)://host:port/path`; what is asked for lies below.
            timeout: seconds that a request may take, until the last byte of its answer.
            headers: sent with every request.
            hide: takes out of what a server says what is not to be told, before it is clipped.
        """
        self.url = url
        self.timeout = timeout
        self._headers = dict(headers)
        self._hide = hide
        self._opener = urllib.request.build_opener(_NoRedirect, *handlers())

    def get(self, path: str, *, most: int) -> Any:
        """The JSON at a path; raises as `post`."""
        return self._send(path, None, {}, most)

    def post(self, path: str, body: Any, *, most: int) -> Any:
        """The JSON that answers another.

        Args:
            path: below the address.
            body: what is sent, as JSON.
            most: bytes that the answer may have.

        Raises:
            Unanswered: no server, no answer in time, an error status, too many bytes, no JSON.
        """
        data = json.dumps(body, allow_nan=False).encode()
        return self._send(path, data, {"Content-Type": "application/json"}, most)

    def _send(self, path: str, data: bytes | None, headers: Mapping[str, str], most: int) -> Any:
        until = time.monotonic() + self.timeout
        request = urllib.request.Request(  # noqa: S310 - its makers take http and https alone
            f"{self.url}{path}",
            data,
            {"Accept": "application/json", **headers, **self._headers},
        )
        try:
            with self._opener.open(request, timeout=self.timeout) as answer:
                data = _read(answer, most, until)
        except urllib.error.HTTPError as error:
            with error:
                raise self._refused(error) from error
        except TimeoutError as error:
            raise Unanswered(f"no answer in {self.timeout:g} s", late=True) from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise Unanswered(f"no answer in {self.timeout:g} s", late=True) from error
            sent = not isinstance(error.reason, ConnectionRefusedError | socket.gaierror)
            raise Unanswered(
                f"no connection to {self.url}: {one_line(Exception(error.reason))}", sent=sent
            ) from error
        except (ValueError, http.client.InvalidURL) as error:  # labels, characters of no address
            raise Unanswered(
                f"{self.url} is an address that cannot be asked: {one_line(error)}", sent=False
            ) from error
        except (OSError, http.client.HTTPException) as error:
            broke = one_line(Exception(self._hide(str(error) or type(error).__name__)))
            raise Unanswered(f"the connection to {self.url} broke: {broke}") from error
        return self._json(data)

    def _refused(self, error: urllib.error.HTTPError) -> Unanswered:
        """What an error status says."""
        status = error.code
        if 300 <= status < 400:
            words = f"{self.url} sends on to elsewhere (HTTP {status}), which is not followed"
            return Unanswered(words, status=status)
        try:
            data = error.read(MOST_OF_ERROR)
        except (OSError, http.client.HTTPException):
            data = b""
        body = json_or_none(data)
        said = self._start(data) if body is None else error_words(body)
        words = self._hide(str(said or error.reason))
        return Unanswered(
            f"HTTP {status} of {self.url}: {one_line(Exception(words), 200)}",
            status=status,
            body=body,
            after=retry_after({name.lower(): value for name, value in error.headers.items()}),
        )

    def _json(self, data: bytes) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise Unanswered(f"the answer is no JSON: {self._start(data)!r}") from error

    def _start(self, data: bytes) -> str:
        """The first words of an answer; hidden in more of it than is told, as a key may be cut."""
        text = self._hide(data[:MOST_OF_ERROR].decode("utf-8", "replace"))
        return " ".join(text[:400].split())[:80]


def _read(answer: http.client.HTTPResponse, most: int, until: float) -> bytes:
    """The whole answer; a trickle is given up like silence."""
    data = bytearray()
    while chunk := answer.read1(CHUNK):
        data += chunk
        if len(data) > most:
            raise Unanswered(f"the answer has more than the {most:,} bytes that it needs at most")
        if time.monotonic() > until:
            raise TimeoutError
    if answer.length:  # bytes that were announced and did not come
        raise Unanswered("the connection broke in the middle of the answer")
    return bytes(data)
