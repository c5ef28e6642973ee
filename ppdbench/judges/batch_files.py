"""Providers' batch files: the same requests as live calls, and their replies read the same way.

A request is a line `{"custom_id", "method", "url", "body"}`, its `custom_id` the hex of the key
that its verdict is kept by. Replies come back in any order, in a file of replies and one of errors:
`{"custom_id", "response": {"status_code", "body"}, "error"}`. Formats:
https://platform.openai.com/docs/guides/batch. Elsewhere: which requests are missing, and where
verdicts go (`ask`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ppdbench.data.plain_json import json_or_none
from ppdbench.errors import PpdbenchError, from_os_error
from ppdbench.judges.budget import dollars
from ppdbench.judges.completion import error_words, is_refusal, read_completion, read_usage
from ppdbench.protocols import Verdict

URL = "/v1/chat/completions"
MOST_REQUESTS = 50_000
"""Requests that providers take in one file."""
MOST_BYTES = 180_000_000
"""Bytes of one file; providers take 200 MB."""


def write_requests(
    path: Path,
    requests: Iterable[tuple[bytes, Mapping[str, Any]]],
    *,
    most_requests: int = MOST_REQUESTS,
    most_bytes: int = MOST_BYTES,
) -> list[tuple[Path, int]]:
    """Write requests to numbered files, each small enough to be taken.

    Args:
        path: "judge.jsonl" becomes judge-1.jsonl, judge-2.jsonl and so on; parts with these names
            from before are removed.
        requests: each with its key, made as they are written; a key that comes again is left out.
        most_requests: in a file.
        most_bytes: in a file.

    Returns:
        The files and how many requests each has.

    Raises:
        PpdbenchError: a file cannot be written, or one request is larger than a file may be.
    """
    parts: list[tuple[Path, int]] = []
    size, seen, file = 0, set[bytes](), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in _parts(path):
            old.unlink()
        with ExitStack() as opened:
            for key, body in requests:
                if key in seen:
                    continue
                seen.add(key)
                line = request_line(key, body)
                if len(line) > most_bytes:
                    raise PpdbenchError(
                        f"one request is {len(line):,} bytes, and a batch file {most_bytes:,}",
                        fix="judge with fewer shots or smaller images, or without --batch-out",
                    )
                if file is None or parts[-1][1] == most_requests or size + len(line) > most_bytes:
                    opened.close()
                    name = path.with_name(f"{path.stem}-{len(parts) + 1}{path.suffix or '.jsonl'}")
                    file, size = opened.enter_context(name.open("wb")), 0
                    parts.append((name, 0))
                size += file.write(line)
                parts[-1] = (parts[-1][0], parts[-1][1] + 1)
    except OSError as error:
        raise from_os_error(error, parts[-1][0] if parts else path) from error
    return parts


def request_line(key: bytes, body: Mapping[str, Any]) -> bytes:
    """A request as a line of a batch file."""
    record = {"custom_id": key.hex(), "method": "POST", "url": URL, "body": body}
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def read_replies(
    path: Path,
    *,
    model: str,
    format_asked: bool,
    first_token: bool = False,
    price: tuple[float, float] | None = None,
    hide: Callable[[str], str] = str,
) -> dict[bytes, Verdict]:
    """Read a file of replies or of errors; verdicts by key, as a live call would have them.

    A last line that has no end is dropped: the download was cut, and the rest is still good.

    Args:
        path: as downloaded.
        model: as it was asked for.
        format_asked: whether the requests had the reply's format.
        first_token: whether they asked for one token.
        price: US dollars a million tokens, read and written.
        hide: takes out of a text what is not to be kept, before the text is clipped.

    Raises:
        PpdbenchError: the file cannot be read, or a line before the last is not of a batch's
            replies, or answers a request twice in different ways.
    """
    details = {
        "requested_model": model,
        "format_asked": format_asked,
        "batch": True,
        "attempts": 1,
        "seconds": None,
    }
    verdicts: dict[bytes, Verdict] = {}
    lines: dict[bytes, bytes] = {}
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PpdbenchError(
            f"{path} cannot be read: {error.strerror or error}",
            fix="give the file that the provider gave back",
        ) from error
    whole = data.split(b"\n")
    torn = len(whole) if whole[-1] else 0
    for number, line in enumerate(whole, start=1):
        if not line.strip():
            continue
        record = json_or_none(line)
        key = _key(record)
        if key is None:
            if number == torn:
                break
            raise _damaged(path, number, "is no reply of a batch")
        if key in verdicts:
            if lines[key] == line:
                continue
            raise _damaged(path, number, "answers a request once more")
        lines[key] = line
        verdicts[key] = _verdict(record, details, first_token, price, hide)
    return verdicts


def _verdict(
    record: Mapping[str, Any],
    details: Mapping[str, Any],
    first_token: bool,
    price: tuple[float, float] | None,
    hide: Callable[[str], str],
) -> Verdict:
    response = record.get("response")
    response = response if isinstance(response, Mapping) else {}
    status, body = response.get("status_code"), response.get("body")
    cost = dollars(price, read_usage(body))
    if status == 200 and not record.get("error"):
        completion = read_completion(
            body,
            format_asked=bool(details["format_asked"]),
            first_token=first_token,
            hide=hide,
        )
        if completion is not None:
            return completion.verdict(cost=cost, details=details)
        cause = "the answer has no choices"
    elif isinstance(status, int):
        cause = f"HTTP {status}: {error_words(body)}"
    else:
        cause = error_words(record)
    refused = isinstance(status, int) and is_refusal(status, body)
    return Verdict(
        status="refusal" if refused else "api_error",
        error=" ".join(hide(cause).split())[:300],
        cost=cost,
        details=details,
    )


def _key(record: object) -> bytes | None:
    """The key in a reply's `custom_id`; None of anything else."""
    if not isinstance(record, Mapping) or not ("response" in record or "error" in record):
        return None
    name = record.get("custom_id")
    if not isinstance(name, str) or not re.fullmatch(r"(?:[0-9a-f]{2})+", name):
        return None
    return bytes.fromhex(name)


def _parts(path: Path) -> list[Path]:
    """The files that an earlier writing left."""
    pattern = re.compile(rf"{re.escape(path.stem)}-\d+{re.escape(path.suffix or '.jsonl')}")
    return [each for each in path.parent.iterdir() if pattern.fullmatch(each.name)]


def _damaged(path: Path, number: int, what: str) -> PpdbenchError:
    return PpdbenchError(
        f"{path}, line {number}, {what}", fix="download the file from the provider once more"
    )
