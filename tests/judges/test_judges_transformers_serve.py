"""Against a server that no one here wrote: `transformers serve` with the suite's tiny VLM.

Its chat template prints text parts only, as ours marks images inside the text; a server is sent
images as parts, so the folder that it serves has a template that marks these too.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from asking import judge_of, quick

from ppdbench.data.images import decode_image
from ppdbench.errors import MissingPrerequisite
from ppdbench.judges.prompt import question_images, question_text
from ppdbench.judges.vlm_judge import VlmJudge
from ppdbench.protocols import Question
from ppdbench.suites.shapes.suite import ShapesSuite
from ppdbench.users.contexts import UserContexts
from ppdbench.users.vlm_files import find_vlm

pytestmark = pytest.mark.slow

USERS = 10
CHOICES = 4
"""Held-out pairs of each user."""
START_SECONDS = 120

TEXT_PART = "{{ part['text'] }}"
ANY_PART = "{% if part['type'] == 'image' %}<image>{% else %}" + TEXT_PART + "{% endif %}"


@pytest.fixture(scope="module")
def suite() -> ShapesSuite:
    return ShapesSuite()


@pytest.fixture(scope="module")
def asked(suite: ShapesSuite) -> list[Question]:
    """Held-out choices of unseen users, each pair in both orders."""
    people = suite.people
    users = people.users("unseen")[:USERS]
    found = []
    for user, context in zip(
        users, UserContexts(people, [(u.id, u.shots[0]) for u in users]), strict=True
    ):
        for pair in people.pairs(user.choices[:CHOICES]):
            sides = [decode_image(pair.image_0), decode_image(pair.image_1)]
            found += [
                Question(caption=pair.caption, shots=context.shots, first=a, second=b)
                for a, b in (sides, sides[::-1])
            ]
    assert len(found) == 2 * USERS * CHOICES and len(found[0].shots) == 4
    return found


@pytest.fixture(scope="module")
def served(
    suite: ShapesSuite, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """The model's name and the base URL of a server of it."""
    for module in ("fastapi", "uvicorn"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"transformers serve needs {module}: pip install 'transformers[serving]'")
    folder = tmp_path_factory.mktemp("served") / "tiny-vlm"
    shutil.copytree(suite.vlm, folder)
    template = folder / "chat_template.jinja"
    text = template.read_text(encoding="utf-8")
    assert text.count(TEXT_PART) == 1
    template.write_text(text.replace(TEXT_PART, ANY_PART), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder.parent / "log.txt"
    command = Path(sys.executable).parent / "transformers"
    words = [str(command), "serve", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    words += ["--device", "cpu", "--dtype", "float32"]
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder.parent / "hub")}
    with log.open("wb") as file:
        server = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT, env=env)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", server, log)
        yield str(folder), f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        try:
            server.wait(timeout=15)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - the loopback
                return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"transformers serve did not start: {log.read_text(errors='replace')[-2000:]}")


def local(suite: ShapesSuite, asked: Sequence[Question]) -> list[tuple[Any, str]]:
    """What the judge `vlm` chooses, and the first token that its model writes."""
    judge = VlmJudge(find_vlm(suite.vlm))
    chosen = dict(judge.judge(asked))
    ready = judge.vlm.prepare(
        [question_text(question) for question in asked],
        [question_images(question) for question in asked],
    )
    written = judge.vlm.answer(ready, max_new_tokens=1)
    return [(chosen[place].choice, answer.text) for place, answer in enumerate(written)]


def test_it_gives_the_verdicts_of_the_judge_vlm(
    suite: ShapesSuite,
    asked: list[Question],
    served: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick(monkeypatch, key=None)
    model, url = served
    judge = judge_of(url, f"{model},reply=digit", concurrency=2, timeout=60.0, price=None)
    found = dict(judge.judge(asked))
    here = local(suite, asked)
    assert [found[place].status for place in range(len(asked))] == ["ok"] * len(asked)
    assert [found[place].raw for place in range(len(asked))] == [text for _, text in here]
    assert [found[place].choice for place in range(len(asked))] == [choice for choice, _ in here]
    assert {choice for choice, _ in here} == {"first", "second"}
    for verdict in found.values():
        assert verdict.details["attempts"] == 1 and verdict.details["parsed_by"] == "last_line"
        assert verdict.details["tokens_in"] > 100


def test_its_count_of_tokens_is_within_the_bound(
    asked: list[Question], served: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch, key=None)
    model, url = served
    judge = judge_of(url, f"{model},reply=digit", price=None)
    [(_, verdict)] = judge.judge(asked[:1])
    bound = judge.estimate(asked[0])
    assert verdict.details["tokens_in"] <= bound.tokens_in
    assert verdict.details["tokens_out"] <= bound.tokens_out


def test_a_model_that_is_not_there_is_no_verdict(
    asked: list[Question], served: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch, key=None)
    _, url = served
    found = []
    try:
        for answer in judge_of(url, "another/model,reply=digit", price=None).judge(asked[:2]):
            found.append(answer)
    except MissingPrerequisite:
        return
    assert [verdict.status for _, verdict in found] == ["api_error"] * 2
