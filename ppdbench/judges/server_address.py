"""Where an OpenAI-compatible server is and the key that it is asked with, as a user gives them.

Elsewhere: calls (`openai_calls` for judges, `generators.chat_server` for rewriting).
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from ppdbench.errors import MissingPrerequisite, UsageError

DEFAULT_URL = "https://api.openai.com/v1"
NO_KEY = "no-key-was-given"
"""Sent where no key is set: servers without keys ignore it, but the client wants one."""


def find_url(given: str | None, example: str) -> tuple[str, bool]:
    """The address that was given, that of OPENAI_BASE_URL or OpenAI's; whether it needs a key.

    Args:
        given: by the user.
        example: how an address is given, for errors: "--base-url http://127.0.0.1:8000/v1".

    Raises:
        UsageError: it is no address, or has more in it than one.
    """
    found = given or os.environ.get("OPENAI_BASE_URL")
    return read_url(found or DEFAULT_URL, example), not found


def read_url(text: str, example: str) -> str:
    """A base URL without the slash at its end, as it goes into a revision.

    Args:
        text: the address.
        example: of a right one, for the error.

    Raises:
        UsageError: it is no address of http or https, or says more than where the server is.
    """
    try:
        found = urlsplit(text.strip())
        host, port = found.hostname, found.port
    except ValueError:
        host, port = None, None
    if not host or found.scheme not in ("http", "https"):
        raise UsageError("the base URL is none", fix=f"give one as in {example}")
    if found.username is not None or found.query or found.fragment:
        raise UsageError(
            f"the base URL of {host} has more than an address",
            fix="give no password or query in it; a key belongs into OPENAI_API_KEY",
        )
    place = f"[{host}]" if ":" in host else host
    place += "" if port is None else f":{port}"
    return f"{found.scheme}://{place}{found.path.rstrip('/')}"


def read_key(who: str, option: str, *, needed: bool) -> str:
    """The key of OPENAI_API_KEY, or what is sent for one.

    Args:
        who: wants it, for errors: "the judge openai".
        option: names another server: "--base-url".
        needed: whether the server is one that needs a key.

    Raises:
        MissingPrerequisite: there is none, and it is needed; or it is no key.
    """
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key:
        if needed:
            raise MissingPrerequisite(
                f"{who} needs a key",
                fix=f"set OPENAI_API_KEY, or {option} to a server that needs none",
            )
        return NO_KEY
    if not (key.isascii() and key.isprintable() and " " not in key):  # it would be in the error
        raise MissingPrerequisite(
            "OPENAI_API_KEY has characters that no key has", fix="copy the key once more"
        )
    return key
