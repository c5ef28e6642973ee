from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ppdbench.errors import PpdbenchError
from ppdbench.runs.records import RecordWriter
from ppdbench.runs.results import read_results, read_scorers, write_scorers


def drawn(item: str, image: str | None, error: str | None = None) -> dict[str, Any]:
    return {
        "item": item,
        "generator": "g",
        "caption_id": item,
        "user": None,
        "sample": 0,
        "seed": 7,
        "image": image,
        "status": "ok" if image else "failed",
        "error": error,
    }


def scored(item: str, image: str, identity: str, **value: Any) -> dict[str, Any]:
    scorer = "fidelity" if "facts" in value else "reward:r"
    return {"item": item, "image": image, "scorer": scorer, "identity": identity, **value}


def write(folder: Path, generations: list[Any], scores: list[Any]) -> None:
    write_scorers(folder, {"reward:r": {"identity": "now"}, "fidelity": {"identity": "eye"}})
    for name, records in (("generations", generations), ("scores", scores)):
        with RecordWriter(folder / f"{name}.jsonl") as writer:
            writer.write(records)


def test_a_score_counts_for_its_image_and_the_scorer_in_force(tmp_path: Path) -> None:
    write(
        tmp_path,
        [drawn("a", "i1"), drawn("b", "i2"), drawn("a", "i3"), drawn("c", None, "boom")],
        [
            scored("a", "i1", "now", score=1.0),  # of an image that was drawn anew
            scored("b", "i2", "old", score=2.0),  # by a scorer that is no longer used
            scored("a", "i3", "now", score=3.0),
            scored("a", "i3", "eye", facts={"all": True}),
        ],
    )
    found = read_results(tmp_path)
    assert list(found) == ["a", "b", "c"]
    assert found["a"].scores == {"r": 3.0}
    assert found["a"].facts == {"all": True}
    assert found["b"].scores == {}
    assert found["b"].facts is None
    assert found["c"].image is None
    assert found["c"].errors == ("drawing failed: boom",)


def test_a_score_after_an_error_replaces_it(tmp_path: Path) -> None:
    failed = scored("a", "i1", "now", score=None, error="blind")
    write(tmp_path, [drawn("a", "i1")], [failed])
    assert read_results(tmp_path)["a"].scores == {}
    assert read_results(tmp_path)["a"].errors == ("reward:r failed: blind",)
    write(tmp_path, [], [scored("a", "i1", "now", score=4.0)])
    assert read_results(tmp_path)["a"].scores == {"r": 4.0}
    assert read_results(tmp_path)["a"].errors == ()


def test_damaged_scorers_are_named(tmp_path: Path) -> None:
    assert read_scorers(tmp_path) == {}
    (tmp_path / "scorers.json").write_text('{"schema_version": 1, "scorers": {"reward:r": {}}}')
    with pytest.raises(PpdbenchError, match=r"scorers\.json"):
        read_scorers(tmp_path)
