"""Verdicts as JSON and back."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest

from ppdbench.judges.verdict_records import verdict_of, verdict_record
from ppdbench.protocols import Verdict

FULL = Verdict(
    status="ok",
    choice="second",
    log_odds=-0.1 + 1e-17,
    confidence=1 / 3,
    reason='colours: "Zürich" <|im_end|>',
    raw="{\n\t\ud800 half a surrogate \x00}",
    error=None,
    cost=0.00012345678901234567,
    details={"tokens_in": 12, "models": ["a", "b"], "seconds": None, "deep": {"x": [1.5, True]}},
)
FAILED = Verdict(status="refusal", error="I cannot help", raw="I cannot help", cost=0.1)


@pytest.mark.parametrize(
    "verdict", [FULL, FAILED, Verdict(status="api_error"), Verdict(status="ok", choice="abstain")]
)
def test_nothing_is_lost_on_the_way_through_json(verdict: Verdict) -> None:
    record = json.loads(json.dumps(verdict_record(verdict), allow_nan=False).encode())
    assert record.keys() == {field.name for field in fields(Verdict)}
    assert verdict_of(record) == verdict
    more = {**record, "call": "1", "schema_version": 1, "cached": False}
    assert verdict_of(more) == verdict  # a run's records say more
    assert verdict_record(verdict_of(record)) == record


def test_numbers_come_back_as_floats() -> None:
    verdict = verdict_of({"status": "ok", "choice": "first", "log_odds": 2, "cost": 0})
    assert (type(verdict.log_odds), type(verdict.cost)) == (float, float)


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "fine"},
        {"choice": None},
        {"choice": "third"},
        {"status": "refusal"},  # with a choice
        {"log_odds": float("nan")},
        {"confidence": float("inf")},
        {"log_odds": True},
        {"cost": None},
        {"cost": "0.1"},
        {"reason": 3},
        {"details": None},
    ],
    ids=str,
)
def test_what_is_no_verdict_is_refused_both_ways(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="verdict"):
        verdict_of({**verdict_record(FULL), **wrong})
    if "details" not in wrong:
        with pytest.raises(ValueError, match="verdict"):
            verdict_record(replace(FULL, **wrong))


def test_a_record_without_status_and_details_without_json_are_refused() -> None:
    with pytest.raises(ValueError, match="without status"):
        verdict_of({"choice": "first"})
    for details in ({"x": object()}, {"x": float("nan")}):
        with pytest.raises(ValueError, match="are not JSON"):
            verdict_record(replace(FULL, details=details))
