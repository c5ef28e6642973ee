"""Processes that a launcher started: who joins them, and who leaves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ppdbench.rewards.sharding import Shards, shards


def test_processes_are_joined_on_a_cpu_that_nobody_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Left to itself accelerate joins none there, and each process would do everything.

    Who is joined leaves once, before the interpreter goes: gloo's threads may abort it else.
    """
    asked: dict[str, Any] = {}
    at_exit: list[Any] = []
    left: list[bool] = []

    def join(**how: Any) -> Any:
        asked.update(how)
        return SimpleNamespace(
            process_index=1,
            num_processes=2,
            device="cpu",
            destroy_process_group=lambda: left.append(True),
        )

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("ppdbench.rewards.sharding.resolve", lambda _: "cpu")
    monkeypatch.setattr("accelerate.PartialState", join)
    monkeypatch.setattr("atexit.register", at_exit.append)
    monkeypatch.setattr("atexit.unregister", lambda f: at_exit.remove(f) if f in at_exit else None)
    for _ in range(2):
        assert shards("auto") == Shards(1, 2, "cpu")
    assert asked["cpu"] is True
    (leave,) = at_exit
    leave()
    assert left == [True]
