"""The key, against servers that say it back in all that they send: nobody writes it down.

Real commands as subprocesses, on the embedded suite made small: every byte of what they print and
leave, and the command line of every process that they begin, is searched for the key as it is, as
URLs write it, in base64 and cut in half. Elsewhere: one field after the other
(`tests/judges/test_judges_openai_hostile.py`).
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image, PngImagePlugin

from ppdbench.generators.http_calls import JsonServer, Unanswered
from ppdbench.judges.completion import LONGEST_NAME, read_completion
from ppdbench.judges.hidden_key import without_key
from ppdbench.judges.reply import LONGEST

KEY = "sk-proj-7Hd/Qw+zKp9=xT4vLm2Rb8Ny6Uc3Ej5Ga1"
"""With letters that URLs write otherwise."""
SHORT = 12
"""Letters of a key, in a row, that count as the key."""
ROOT = Path(__file__).resolve().parents[2]


def forms() -> list[bytes]:
    """What no file may hold: any part of the key, and the whole of it in other writings."""
    parts = [KEY[at : at + SHORT] for at in range(len(KEY) - SHORT + 1)]
    inner = [
        base64.b64encode(b"\0" * n + KEY.encode()).decode()[4 * (n > 0) : -5] for n in range(3)
    ]
    made = [*parts, quote(KEY, safe=""), *inner, KEY[::-1]]
    return [each.encode() for each in made]


def require_hidden(data: bytes, where: object) -> None:
    found = next((form for form in forms() if form in data), None)
    assert found is None, f"{where} holds {found!r}"


# --- one text -------------------------------------------------------------------------------------


def test_all_writings_of_a_key_are_hidden() -> None:
    header = base64.b64encode(f"Bearer {KEY}".encode()).decode()
    for before in ("", "a", "ab", "abc"):
        text = base64.b64encode(f"{before}{KEY}z".encode()).decode()
        require_hidden(without_key(f"x{text}y", KEY).encode(), text)
    for text in (KEY, quote(KEY), quote(KEY, safe=""), json.dumps(KEY), repr(KEY), header):
        assert "[key]" in without_key(text, KEY)
        require_hidden(without_key(text, KEY).encode(), text)
    assert without_key("any word", "any") == "any word"


def test_a_key_where_a_text_is_clipped_leaves_no_half() -> None:
    def hide(text: str) -> str:
        return without_key(text, KEY)

    for cut in (SHORT, len(KEY) // 2, len(KEY) - 1):
        name = "m" * (LONGEST_NAME - cut) + KEY
        text = "t" * (LONGEST - cut) + KEY
        choice = {"finish_reason": name, "message": {"content": text}}
        body = {"model": name, "system_fingerprint": name, "choices": [choice]}
        found = read_completion(body, format_asked=True, hide=hide)
        assert found is not None
        told = found.verdict(cost=0.0, details={})
        require_hidden(json.dumps([told.raw, dict(told.details)]).encode(), cut)


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("before", [0, 30, 60, 75, 190, 199, 350, 395])
def test_an_answer_that_is_clipped_leaves_no_half(status: int, before: int) -> None:
    def answer(_: str) -> tuple[int, dict[str, str], bytes]:
        return status, {}, b"x" * before + b" " * before + KEY.encode()

    with echoing(answer) as url, pytest.raises(Unanswered) as caught:
        hide: Callable[[str], str] = lambda text: without_key(text, KEY)  # noqa: E731
        JsonServer(url, timeout=20, hide=hide).post("/x", {}, most=10_000)
    require_hidden(str(caught.value).encode(), before)


# --- whole commands -------------------------------------------------------------------------------


@contextlib.contextmanager
def echoing(answer: Callable[[str], tuple[int, dict[str, str], bytes]]) -> Iterator[str]:
    """A server that answers a path by a status, headers and a body."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, body = answer(self.path)
            self.send_response(status, KEY)
            for name, value in {"X-Key": KEY, **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


TELLING = f"{KEY} {base64.b64encode(KEY.encode()).decode()} {quote(KEY, safe='')}"


def completion(text: str) -> bytes:
    message = {"role": "assistant", "content": text, KEY: KEY}
    body = {
        **{"id": KEY, "model": f"{'m' * 190}{KEY}", "system_fingerprint": TELLING, KEY: TELLING},
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
    }
    return json.dumps(body).encode()


def picture() -> bytes:
    """With the key in its words and beside them."""
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", TELLING)
    words.add_itxt("Key", KEY)
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(file, "PNG", pnginfo=words)
    data = base64.b64encode(file.getvalue() + KEY.encode()).decode()
    told = {"b64_json": data, "revised_prompt": TELLING, KEY: KEY}
    return json.dumps({"created": 1, "data": [told], KEY: KEY}).encode()


def turns(good: bytes) -> Callable[[str], tuple[int, dict[str, str], bytes]]:
    """Errors that tell the key, and between them good answers that tell it too."""
    count = iter(range(10**9))
    error = json.dumps({"error": {"message": f"{'x' * 150} {TELLING}", "code": KEY, "type": KEY}})
    wrong = [
        (400, {}, error.encode()),
        (500, {}, error.encode()),
        (200, {}, b"z" * 55 + KEY.encode()),
        (429, {"Retry-After": KEY}, error.encode()),
        (307, {"Location": f"http://127.0.0.1:9/{KEY}"}, b""),
    ]

    def answer(_: str) -> tuple[int, dict[str, str], bytes]:
        number = next(count)
        return wrong[number // 3 % len(wrong)] if number % 3 == 0 else (200, {}, good)

    return answer


RUNS: dict[str, tuple[bytes, str]] = {
    "judge": (
        completion(json.dumps({"reason": TELLING, "choice": "1", "confidence": 0.5})),
        "judge --model null --judge openai:m --base-url {url} --limit 1 --no-controls --debug",
    ),
    "pictures": (
        picture(),
        "eval --model openai-images:m,base_url={url} --limit 2 --benchmark rewards --debug "
        "--fail-on-error 1",
    ),
    "rewriting": (
        completion(f"a red circle {TELLING}"),
        "eval --model rewritten:null,llm=openai:m,base_url={url} --limit 1 --benchmark personal "
        "--debug --fail-on-error 1",
    ),
}


def command(line: str, folder: Path) -> tuple[bytes, list[bytes]]:
    """What a command prints, and the command lines of it and of all that it began."""
    env = {**os.environ, "OPENAI_API_KEY": KEY, "HF_TOKEN": KEY, "PYTHONPATH": str(ROOT)}
    env |= {"PPDBENCH_CACHE": str(folder / "cache"), "TMPDIR": str(folder / "tmp")}
    (folder / "tmp").mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "ppdbench", *line.split()],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lines: list[bytes] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            for place in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if f"\0TMPDIR={folder / 'tmp'}\0".encode() in (place / "environ").read_bytes():
                        lines.append((place / "cmdline").read_bytes())

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    printed = process.communicate(timeout=900)[0]
    over.set()
    looking.join()
    return printed, lines


@pytest.mark.slow
@pytest.mark.parametrize("run", sorted(RUNS))
def test_nothing_that_a_command_leaves_holds_the_key(run: str, tmp_path: Path) -> None:
    good, line = RUNS[run]
    denied = json.dumps({"error": {"message": TELLING}}).encode()
    answer = turns(good)
    asked: list[str] = []

    def noted(path: str) -> tuple[int, dict[str, str], bytes]:
        asked.append(path)
        if run == "judge" and not may:
            return 401, {}, denied
        return answer(path)

    may: list[bool] = []
    with echoing(noted) as url:
        printed, lines = command(line.format(url=url), tmp_path)
        if run == "judge":  # the first time no call can succeed: an error with its traceback
            assert b"Traceback" in printed and b"[key]" in printed
            may.append(True)
            again, more = command(line.format(url=url), tmp_path)
            printed, lines = printed + again, lines + more
    assert asked, printed.decode()
    require_hidden(printed, "the terminal")
    assert lines
    for each in lines:
        require_hidden(each, "a command line")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    for path in files:
        require_hidden(path.read_bytes(), path)
        require_hidden(str(path.relative_to(tmp_path)).encode(), "a file's name")
    left = b"".join(path.read_bytes() for path in files)
    assert b"[key]" in left, "the server's words got nowhere: the test asks the wrong thing"
