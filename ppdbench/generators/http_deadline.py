"""Connections whose answer has one time for all of it: its first line, its headers and its body.

urllib's timeout counts each read of a socket anew, and a server that sends a header a second is
never late by it. Here each read has what is left. Elsewhere: what is asked (`http_calls`).
"""

from __future__ import annotations

import functools
import http.client
import io
import socket
import ssl
import time
import urllib.request
from typing import Any


class _Left(io.RawIOBase):
    """A socket's bytes, for as long as there is time."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        self._socket = sock
        self._bytes = sock.makefile("rb", buffering=0)
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left)
        return self._bytes.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._bytes.close()
        super().close()


class _Answer(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, until: float, **also: Any) -> None:
        super().__init__(sock, *args, **also)
        self.fp.close()
        self.fp = io.BufferedReader(_Left(sock, until))


class _Timed(http.client.HTTPConnection):
    """Its time begins when it is made; urllib makes one a request."""

    def __init__(self, *args: Any, **also: Any) -> None:
        super().__init__(*args, **also)
        until = time.monotonic() + float(self.timeout or 0)
        made: Any = functools.partial(_Answer, until=until)
        self.response_class = made


class _TimedTls(_Timed, http.client.HTTPSConnection):
    pass


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Timed, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self) -> None:
        self._verified = ssl.create_default_context()
        super().__init__(context=self._verified)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_TimedTls, req, context=self._verified)


def handlers() -> list[urllib.request.BaseHandler]:
    """For `urllib.request.build_opener`, in place of its own for http and https."""
    return [_Http(), _Https()]
