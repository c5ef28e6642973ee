"""The log is cut back to the saved step; the watch warns of both errors rising, and only then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from trainers.config import OptimizerConfig
from trainers.training.metrics import DriftWatch, open_metrics, read_metrics
from trainers.training.optimizer import learning_rate


def test_log_is_cut_back_to_the_saved_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with open_metrics(path, step=0) as log:
        log.write([{"step": step, "loss": step / 10} for step in (1, 2, 3)])
    with path.open("a") as file:
        file.write('{"step": 4, "lo')  # killed here; the state was saved at step 2
    with open_metrics(path, step=2) as log:
        log.write([{"step": 3, "loss": 9.0}])
    assert [(row["step"], row["loss"]) for row in read_metrics(path)] == [
        (1, 0.1),
        (2, 0.2),
        (3, 9.0),
    ]
    with open_metrics(path, step=0):
        pass
    assert read_metrics(path) == []


@pytest.mark.parametrize(
    ("win", "lose", "warns"),
    [
        (lambda t: 0.001 * t, lambda t: 0.002 * t, True),
        (lambda t: -0.001 * t, lambda t: 0.002 * t, False),  # as it should be
        (lambda t: 0.00001 * t, lambda t: 0.002 * t, False),  # too little to matter
        (lambda t: 0.1 + 0 * t, lambda t: 0.2 + 0 * t, False),  # high, but no longer rising
    ],
)
def test_drift_watch(
    win: Callable[[int], float], lose: Callable[[int], float], warns: bool
) -> None:
    watch = DriftWatch()
    said = [
        watch.see({"win_term": win(t), "lose_term": lose(t), "reference_error": 0.5})
        for t in range(200)
    ]
    assert sum(text is not None for text in said) == int(warns)  # and never twice
    assert watch.warned is warns


def test_drift_watch_warns_where_it_would_have_without_a_stop() -> None:
    rows = [
        {"win_term": 0.0003 * t, "lose_term": 0.002 * t, "reference_error": 0.5} for t in range(120)
    ]
    whole = DriftWatch()
    said = [whole.see(row) for row in rows]
    at = next(step for step, text in enumerate(said) if text)
    resumed = DriftWatch()
    resumed.recall(rows[: at - 3], warned=False)
    assert [resumed.see(row) for row in rows[at - 3 :]] == said[at - 3 :]
    after = DriftWatch()
    after.recall(rows[: at + 5], warned=True)
    assert not any(after.see(row) for row in rows[at + 5 :])


def test_drift_watch_has_nothing_to_say_of_sft() -> None:
    watch = DriftWatch(window=2)
    assert [watch.see({"win_term": float(t), "reference_error": 0.1}) for t in range(9)] == [
        None
    ] * 9


def test_learning_rate() -> None:
    cosine = OptimizerConfig(lr=2.0, warmup=4, schedule="cosine", final_lr=0.1)
    rates = [learning_rate(step, 104, cosine) for step in (0, 3, 4, 54, 104)]
    assert rates == pytest.approx([0.5, 2.0, 2.0, 1.1, 0.2])
    constant = OptimizerConfig(lr=2.0, warmup=0, schedule="constant")
    assert {learning_rate(step, 10, constant) for step in range(10)} == {2.0}
