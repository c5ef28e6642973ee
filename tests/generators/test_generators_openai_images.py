"""`openai-images:MODEL`: pictures in order, none paid for twice, and servers that refuse."""

from __future__ import annotations

import base64
import json
import threading
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from outside_town import flat, made, pixels, request, run, use_outside_town
from scripted_server import Answer, Came, serving

from ppdbench.data.images import encode_png
from ppdbench.errors import MissingPrerequisite, UsageError
from ppdbench.generators.not_drawn import NotDrawn
from ppdbench.judges import retry
from ppdbench.runs.records import read_records

KEY = "sk-very-secret-key-0123456789"
world = pytest.fixture(autouse=True)(use_outside_town)


@pytest.fixture(autouse=True)
def hurry(world: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short waits, and a key once the town has taken away what there was."""
    assert world is None
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def grey_of(caption: str) -> int:
    return int(caption.rpartition(" ")[2]) if caption[-1].isdigit() else 50


def drawing(came: Came, *, size: tuple[int, int] = (16, 16), **other: Any) -> Answer:
    """A flat picture whose grey is the number at the caption's end."""
    image = flat((grey_of(came.body["prompt"]),) * 3).resize(size)
    data = base64.b64encode(encode_png(image)).decode()
    return Answer(body={"created": 1, "data": [{"b64_json": data}]}, **other)


def refusal(status: int, message: str = "no", code: str | None = None, **other: Any) -> Answer:
    return Answer(body={"error": {"message": message, "code": code}}, status=status, **other)


def asked(*numbers: int) -> list[Any]:
    return [request(n, caption=f"caption {n}") for n in numbers]


def named(url: str, options: str = "") -> str:
    return f"openai-images:tiny,base_url={url}/v1{options}"


def as_the_harness(system: Any, requests: list[Any]) -> list[Any]:
    """Greys, and the words of failures: a batch, and from a failure on one by one."""
    found: list[Any] = []
    try:
        for image in system.generate(requests):
            found.append(int(pixels(image)[0, 0, 0]))
    except NotDrawn as error:
        if len(requests) == 1:
            return [str(error)]
        for each in requests[len(found) :]:
            found += as_the_harness(system, [each])
    return found


def prompts(came: list[Came]) -> Counter[str]:
    return Counter(each.body["prompt"] for each in came)


# --- asking --------------------------------------------------------------------------------------


def test_pictures_come_in_order_whoever_is_first() -> None:
    def script(came: Came) -> Answer:
        return drawing(came, delay=0.05 * (5 - grey_of(came.body["prompt"])))

    with serving(script) as (url, came):
        system = made(named(url, ",concurrency=5"))
        assert as_the_harness(system, asked(0, 1, 2, 3, 4)) == [0, 1, 2, 3, 4]
    assert max(each.at_once for each in came) > 1


def test_no_more_calls_are_in_flight_or_unsaved_than_allowed() -> None:
    with serving(drawing) as (url, came):
        pictures = made(named(url, ",concurrency=3")).generate(asked(*range(9)))
        for taken in range(1, 5):
            next(pictures)
            # What was taken before is saved; this one and two more may be lost by a kill.
            assert len(came) <= taken + 2
    assert max(each.at_once for each in came) <= 3


def test_what_is_sent() -> None:
    with serving(drawing) as (url, came):
        list(made(named(url, ",size=16x16,quality=high")).generate(asked(7)))
    assert came[0].path == "/v1/images/generations"
    assert came[0].body == {
        "model": "tiny",
        "size": "16x16",
        "quality": "high",
        "prompt": "caption 7",
        "n": 1,
        "response_format": "b64_json",
    }
    assert came[0].headers["authorization"] == f"Bearer {KEY}"


def test_a_server_that_knows_no_response_format_is_not_told_one() -> None:
    def script(came: Came) -> Answer:
        if "response_format" in came.body:
            return refusal(400, "Unknown parameter: 'response_format'.")
        return drawing(came)

    with serving(script) as (url, came):
        assert as_the_harness(made(named(url, ",concurrency=1")), asked(1, 2, 3)) == [1, 2, 3]
    assert ["response_format" in each.body for each in came] == [True, False, False, False]


def test_pictures_are_scaled_to_what_is_asked_for() -> None:
    with serving(lambda came: drawing(came, size=(40, 40))) as (url, _):
        (image,) = made(named(url)).generate(asked(9))
    assert image.size == (8, 8)


def test_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    info = made("openai-images:gpt-image-1,size=1024x1024").info
    assert info.name == "openai-images-gpt-image-1-size-1024x1024" and not info.seeded
    assert info.conditions_on == frozenset()
    assert info.settings["base_url"] == "https://api.openai.com/v1"
    seen = {info.revision}
    for name in (
        "openai-images:gpt-image-1",
        "openai-images:gpt-image-2,size=1024x1024",
        "openai-images:gpt-image-1,size=1024x1024,quality=low",
        "openai-images:gpt-image-1,size=1024x1024,base_url=http://127.0.0.1:8000/v1",
    ):
        seen.add(made(name).info.revision)
    assert len(seen) == 5
    quick = made("openai-images:gpt-image-1,size=1024x1024,concurrency=9,timeout=5").info
    assert quick == info
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1/")
    assert made("openai-images:x").info.settings["base_url"] == "http://127.0.0.1:8000/v1"
    assert KEY not in repr(info)


# --- failures ------------------------------------------------------------------------------------


def test_a_refusal_is_one_failure_and_no_answer_is_paid_for_twice() -> None:
    def script(came: Came) -> Answer:
        if came.body["prompt"] == "caption 1":
            return refusal(400, "Your request was rejected", "moderation_blocked")
        return drawing(came)

    with serving(script) as (url, came):
        system = made(named(url, ",concurrency=3"))
        found = as_the_harness(system, asked(*range(8)))
    assert found[:1] + found[2:] == [0, 2, 3, 4, 5, 6, 7]
    assert found[1].startswith("the server refused to draw it: HTTP 400")
    assert set(prompts(came).values()) == {1} and len(came) == 8


def test_after_a_failure_calls_go_on_side_by_side() -> None:
    together = threading.Barrier(3, timeout=5)

    def script(came: Came) -> Answer:
        number = grey_of(came.body["prompt"])
        if number == 0:
            return refusal(400, "no", "content_policy_violation")
        if number >= 3:  # launched when the failed item's fellows are asked for one by one
            together.wait()
        return drawing(came)

    with serving(script) as (url, came):
        found = as_the_harness(made(named(url, ",concurrency=3")), asked(*range(6)))
    assert found[1:] == [1, 2, 3, 4, 5] and len(came) == 6


@pytest.mark.parametrize(
    "first",
    [
        refusal(429, "slow down", headers={"Retry-After": "0.05"}),
        refusal(503),
        Answer(body=b"<html>", status=502),
        Answer(body=b"<html>"),
        Answer(body={"data": []}),
        Answer(body=b"x" * 4000, cut=True),
    ],
    ids=["429", "503", "502", "html", "empty", "cut"],
)
def test_what_may_pass_is_tried_again(first: Answer) -> None:
    with serving(lambda came: first if came.number == 0 else drawing(came)) as (url, came):
        assert as_the_harness(made(named(url)), asked(3)) == [3]
    assert len(came) == 2


@pytest.mark.parametrize(
    ("answer", "attempts", "words"),
    [
        (refusal(500, "oh"), 5, "HTTP 500 of .*: oh"),
        (refusal(400, "prompt too long"), 1, "prompt too long"),
        (
            Answer(body={"data": [{"url": "http://127.0.0.1:9/x.png"}]}),
            1,
            "has a link and no image",
        ),
        (Answer(body={"data": [{"b64_json": "AAAA"}]}), 1, "the image is no picture"),
        (Answer(status=302, headers={"Location": "http://127.0.0.1:9/"}), 1, "is not followed"),
    ],
)
def test_what_does_not_pass_is_a_failure(answer: Answer, attempts: int, words: str) -> None:
    with serving(lambda _: answer) as (url, came):
        with pytest.raises(NotDrawn, match=words) as caught:
            list(made(named(url)).generate(asked(3)))
        assert "\n" not in str(caught.value) and len(came) == attempts


def test_data_urls_and_other_shapes() -> None:
    def script(came: Came) -> Answer:
        image = drawing(came, size=(16, 16 if came.body["prompt"] == "caption 1" else 24)).body
        data = image["data"][0]["b64_json"]
        return Answer(body={"data": [{"url": f"data:image/png;base64,{data}"}]})

    with serving(script) as (url, came):
        found = as_the_harness(made(named(url)), asked(1, 2))
    assert found[0] == 1 and "16 x 24, of another shape" in found[1]
    assert len(came) == 2  # what was drawn badly is paid for too


@pytest.mark.parametrize("refused", [0, 2])
def test_who_needs_several_pictures_for_one_item_pays_once_for_each(refused: int) -> None:
    """As best-of-n asks: the batch, then again all of the item that failed."""

    def script(came: Came) -> Answer:
        if came.body["prompt"] == f"caption {refused}":
            return refusal(400, "no", "moderation_blocked")
        return drawing(came)

    with serving(script) as (url, came):
        system = made(named(url, ",concurrency=2"))
        requests = asked(*range(6))
        for some in (requests, requests[:3]):
            with pytest.raises(NotDrawn, match="refused to draw it"):
                list(system.generate(some))
        assert as_the_harness(system, requests[3:]) == [3, 4, 5]
        assert not system._flight.holds_pictures  # type: ignore[attr-defined]
    assert set(prompts(came).values()) == {1}


def test_what_came_too_late_is_not_paid_for_again_and_many_of_it_stop_the_run() -> None:
    with serving(lambda came: drawing(came, delay=0.5)) as (url, came):
        system = made(named(url, ",timeout=0.1,concurrency=1"))
        assert as_the_harness(system, asked(0, 1)) == ["no answer in 0.1 s"] * 2
        assert len(came) == 2
        with pytest.raises(MissingPrerequisite, match="was late 3 times in a row") as caught:
            list(system.generate(asked(2)))
    assert "timeout=600" in caught.value.fix


# --- what stops a run ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "fix"),
    [
        (refusal(401, f"bad key {KEY}"), "OPENAI_API_KEY"),
        (refusal(404, "no such model"), "most addresses end in /v1"),
        (refusal(429, "quota", "insufficient_quota"), "add credit"),
    ],
)
def test_what_no_call_gets_past_stops_and_tells_no_key(answer: Answer, fix: str) -> None:
    with (
        serving(lambda _: answer) as (url, came),
        pytest.raises(MissingPrerequisite, match="the server refuses 'tiny'") as caught,
    ):
        list(made(named(url, ",concurrency=1")).generate(asked(3)))
    assert fix in caught.value.fix and len(came) == 1
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_what_is_paid_for_is_handed_over_before_a_stop() -> None:
    def script(came: Came) -> Answer:
        if came.body["prompt"] == "caption 0":
            return refusal(402, "no credit", delay=0.3)
        return drawing(came)

    with serving(script) as (url, came):
        system = made(named(url, ",concurrency=3"))
        requests = asked(0, 1, 2, 3)
        found: list[Any] = []
        with pytest.raises(NotDrawn):
            list(system.generate(requests))
        found += as_the_harness(system, [requests[0]])
        found += as_the_harness(system, [requests[1]])
        found += as_the_harness(system, [requests[2]])
        with pytest.raises(MissingPrerequisite, match="no credit"):
            list(system.generate([requests[3]]))
    assert found[1:] == [1, 2] and len(came) == 3


def test_no_server_no_key_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingPrerequisite, match="no server answers at"):
        list(made("openai-images:x,base_url=http://127.0.0.1:9/v1").generate(asked(1)))
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(MissingPrerequisite, match="openai-images needs a key"):
        made("openai-images:x")
    for name, words in {
        "openai-images": "names no model",
        "openai-images:x,size=big": "size cannot be 'big'",
        "openai-images:x,base_url=http://a:b@host": "has more than an address",
    }.items():
        with pytest.raises(UsageError, match=words):
            made(name)


def test_a_whole_run_goes_on_where_it_failed(tmp_path: Path) -> None:
    refuses = True

    def script(came: Came) -> Answer:
        if refuses and came.body["prompt"].endswith("1001 0"):
            return refusal(400, f"unsafe {KEY}", "content_filter")
        return drawing(came)

    with serving(script) as (url, came):
        found = run(tmp_path, named(url), benchmarks=["personal"])
        failed = [r for r in read_records(found / "generations.jsonl") if r["status"] == "failed"]
        assert len(failed) == 1 and "refused to draw it" in failed[0]["error"]
        before = len(came)
        refuses = False
        assert run(tmp_path, named(url), benchmarks=["personal"]) == found
        assert len(came) == before + 1
    summary = json.loads((found / "summary.json").read_bytes())
    assert summary["complete"] and summary["generators"]["openai-images-tiny"]["seeded"] is False
    assert not any(KEY in path.read_text() for path in found.glob("*.json*"))
