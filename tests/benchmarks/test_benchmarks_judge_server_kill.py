"""A judge behind a server, killed at random moments: what the server sees and what is on record."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections import Counter
from pathlib import Path

import pytest
import town_command
from hostile_server import Answer, Request, chose, serving
from toy_runs import figures

from ppdbench.runs.records import read_records

CALLS = 4 * 2 * 5 * 2  # users a split, splits, arms, orders
AT_ONCE = 4
SECONDS = 0.08
KILLS = 10


def same(request: Request) -> str:
    """The request as a whole."""
    return hashlib.sha256(json.dumps(request.body, sort_keys=True).encode()).hexdigest()


def by_content(request: Request) -> Answer:
    """A choice that the request alone decides, after a while."""
    return chose("12"[int(same(request), 16) % 2], delay=SECONDS)


def command(url: str) -> list[str]:
    asked = f"judge --suite town --model oracle --limit 4 --device cpu --concurrency {AT_ONCE}"
    return [*asked.split(), "--judge", "openai:tiny", "--base-url", url, "--price", "2,8"]


def judged_folder(folder: Path) -> Path:
    (found,) = folder.glob("town/*-judge-*")
    return found


@pytest.mark.slow
def test_no_received_reply_is_requested_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "whole-cache"))
    with serving(by_content) as server:
        whole = town_command.start(tmp_path / "whole", command(server.base_url))
        _, errors = whole.communicate(timeout=120)
        assert whole.returncode == 0, errors
        assert len({same(request) for request in server.requests}) == len(server.requests)

        server.requests.clear()
        monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "killed-cache"))
        folder, rng, amid = tmp_path / "killed", random.Random(1), 0
        for _ in range(KILLS):
            before = len(server.requests)
            process = town_command.start(folder, command(server.base_url))
            deadline = time.monotonic() + 60
            while len(server.requests) == before and process.poll() is None:
                assert time.monotonic() < deadline, "nothing was asked"
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.35))
            process.kill()
            process.communicate()
            time.sleep(2 * SECONDS)  # the server ends what it was asked
            kept = [r["question"] for r in read_records(judged_folder(folder) / "judgments.jsonl")]
            assert len(kept) == len(set(kept))
            answered = len({same(request) for request in server.requests})
            assert answered - len(kept) <= AT_ONCE
            amid += 0 < len(kept) < CALLS
        process = town_command.start(folder, command(server.base_url))
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        times = Counter(same(request) for request in server.requests)
    assert amid >= 3, "no kill fell into the judging"
    assert times.total() - len(times) <= KILLS * AT_ONCE
    ours, theirs = (figures(judged_folder(tmp_path / name)) for name in ("killed", "whole"))
    for found in (ours, theirs):
        del found["judge"]["seconds_p50"]
    assert ours == theirs
    records = read_records(judged_folder(folder) / "judgments.jsonl")
    assert len(records) == len({record["call"] for record in records}) == CALLS
