"""Texts without the key that calls are made with, should a server have said it back.

A server has the key and can say it in any cipher; what is hidden here is how it gets into a text by
itself: as it is, as URLs and JSON write it, and inside base64, as of a header. Whoever clips a text
hides first: a clipped key is no longer found. Elsewhere: reading the key (`server_address`).
"""

from __future__ import annotations

import base64
import functools
import json
import os
from urllib.parse import quote

SECRET = 8
"""Characters from which on a key is one: some servers want any word."""
HIDDEN = "[key]"


def without_key(text: str, key: str) -> str:
    """A text in which `HIDDEN` stands for the key; a key of fewer than `SECRET` letters is none."""
    for form in _forms(key):
        text = text.replace(form, HIDDEN)
    return text


def without_own_key(text: str) -> str:
    """A text without the key of OPENAI_API_KEY, if there is one."""
    return without_key(text, os.environ.get("OPENAI_API_KEY", "").strip())


@functools.lru_cache(maxsize=8)
def _forms(key: str) -> tuple[str, ...]:
    if len(key) < SECRET:
        return ()
    plain = [key, quote(key, safe=""), quote(key), json.dumps(key)[1:-1], repr(key)[1:-1]]
    data = key.encode()
    for before in range(3):  # bytes that share a group of three with the key's first ones
        whole = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        # Letters that hold bits of what stands before or after it differ from text to text.
        end = len(whole) if (before + len(data)) % 3 == 0 else len(whole) - 1
        inner = whole[(0, 2, 3)[before] : end]
        plain += [inner, inner.translate(str.maketrans("+/", "-_"))]
    return tuple(dict.fromkeys(plain))
