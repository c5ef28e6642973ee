"""Batch files: requests as the live ones, replies read as live ones, damage told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from asking import judge_of, question, questions, quick
from hostile_server import Answer, chose, refused, said, serving

from ppdbench.errors import PpdbenchError
from ppdbench.judges.batch_files import read_replies, request_line, write_requests

KEYS = [bytes([number]) * 8 for number in range(8)]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    quick(monkeypatch)


def line(key: bytes, answer: Answer, **also: Any) -> str:
    response = {"status_code": answer.status, "body": json.loads(answer.body)}
    record = {"id": "b", "custom_id": key.hex(), "response": response, "error": None}
    return json.dumps({**record, **also}) + "\n"


def replies(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "replies.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return path


def read(path: Path, **also: Any) -> dict[bytes, Any]:
    return read_replies(path, **{"model": "tiny", "format_asked": True, **also})


def test_requests_are_the_live_ones(tmp_path: Path) -> None:
    judge = judge_of("http://127.0.0.1:9/v1")
    bodies = [judge.body(question(number)) for number in range(3)]
    [(part, count)] = write_requests(
        tmp_path / "deep" / "out.jsonl", zip(KEYS, bodies, strict=False)
    )
    assert (part.name, count) == ("out-1.jsonl", 3)
    for text, key, body in zip(part.read_text().splitlines(), KEYS, bodies, strict=False):
        record = json.loads(text)
        assert (record["method"], record["url"]) == ("POST", "/v1/chat/completions")
        assert bytes.fromhex(record["custom_id"]) == key
        assert record["body"] == body


def test_parts_hold_as_much_as_they_may_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    requests = [(key, {"n": 1}) for key in KEYS]
    parts = write_requests(path, requests, most_requests=3)
    assert [(part.name, count) for part, count in parts] == [
        ("out-1.jsonl", 3),
        ("out-2.jsonl", 3),
        ("out-3.jsonl", 2),
    ]
    size = len(request_line(*requests[0]))
    parts = write_requests(path, requests, most_bytes=4 * size)
    assert [count for _, count in parts] == [4, 4]
    assert not (tmp_path / "out-3.jsonl").exists()  # it was of the writing before
    assert all(part.stat().st_size == 4 * size for part, _ in parts)
    assert [count for _, count in write_requests(path, requests, most_bytes=4 * size - 1)] == [
        3,
        3,
        2,
    ]


def test_a_key_is_asked_once(tmp_path: Path) -> None:
    [(part, count)] = write_requests(tmp_path / "o.jsonl", [(KEYS[0], {}), (KEYS[0], {})])
    assert count == 1 == len(part.read_text().splitlines())


def test_nothing_to_ask_makes_no_file(tmp_path: Path) -> None:
    assert write_requests(tmp_path / "o.jsonl", []) == []
    assert list(tmp_path.iterdir()) == []


def test_a_request_larger_than_a_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(PpdbenchError, match="one request is"):
        write_requests(tmp_path / "o.jsonl", [(KEYS[0], {"text": "a" * 100})], most_bytes=50)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PpdbenchError):
        write_requests(tmp_path / "file" / "o.jsonl", [(KEYS[0], {})])


ANSWERS = [
    chose("1"),
    said("Answer: 2"),
    said("1 and 2"),
    said(None, refusal="no"),
    chose("1", finish_reason="content_filter"),
    refused(400, "bad", code="content_filter"),
    refused(500, "oh"),
    chose("abstain", usage=None, model="other"),
]


def test_replies_are_read_as_live_ones_are(tmp_path: Path) -> None:
    path = replies(
        tmp_path, *(line(key, answer) for key, answer in zip(KEYS, ANSWERS, strict=True))
    )
    found = read(path, price=(2.5, 10.0))
    with serving(lambda request: ANSWERS[int(request.caption.split()[1])]) as server:
        live = dict(judge_of(server, concurrency=1).judge(questions(len(ANSWERS))))
    for place, key in enumerate(KEYS):
        for name in ("status", "choice", "confidence", "reason", "raw", "error"):
            assert getattr(found[key], name) == getattr(live[place], name)
        told = {
            "model",
            "other_model",
            "tokens_in",
            "finish_reason",
            "parsed_by",
            "requested_model",
        }
        for name in told & set(live[place].details):
            assert found[key].details[name] == live[place].details[name]
    assert found[KEYS[0]].cost == live[0].cost == 0.00035
    assert found[KEYS[7]].cost == 0  # a batch's price is the provider's to tell


def test_requests_that_never_ran_have_failed(tmp_path: Path) -> None:
    error = {"code": "batch_expired", "message": "it took\ntoo long"}
    record = {"custom_id": KEYS[0].hex(), "response": None, "error": error}
    found = read(replies(tmp_path, json.dumps(record) + "\n"))[KEYS[0]]
    assert (found.status, found.error) == ("api_error", "it took too long")


@pytest.mark.parametrize(
    "body", ['{"choices": []}', "null", '"1"', '{"error": {"message": "x"}}', "[]"]
)
def test_a_body_without_a_reply_has_failed(body: str, tmp_path: Path) -> None:
    text = (
        f'{{"custom_id": "00", "error": null, "response": {{"status_code": 200, "body": {body}}}}}'
    )
    assert read(replies(tmp_path, text + "\n"))[b"\0"].status == "api_error"


def test_a_torn_last_line_is_dropped_and_a_whole_one_without_an_end_is_read(tmp_path: Path) -> None:
    whole, torn = line(KEYS[0], chose("1")), line(KEYS[1], chose("2"))
    for cut in (1, 20, len(torn) - 2):
        assert set(read(replies(tmp_path, whole, torn[:cut]))) == {KEYS[0]}
    assert set(read(replies(tmp_path, whole, torn[:-1]))) == {KEYS[0], KEYS[1]}
    assert set(read(replies(tmp_path, whole, "\n", torn.replace("\n", "\r\n")))) == set(KEYS[:2])


@pytest.mark.parametrize(
    "bad",
    ["{", "[]", "1", "{}", '{"custom_id": "00"}', '{"custom_id": "zz", "response": {}}',
     '{"custom_id": "0", "response": {}}', '{"custom_id": 3, "response": {}}',
     '{"custom_id": "request-1", "response": {}, "error": null}'],
)  # fmt: skip
def test_a_damaged_line_is_told_with_its_number(bad: str, tmp_path: Path) -> None:
    path = replies(tmp_path, line(KEYS[0], chose("1")), bad + "\n", line(KEYS[1], chose("1")))
    with pytest.raises(PpdbenchError, match=r"line 2, is no reply") as caught:
        read(path)
    assert "download" in caught.value.fix


def test_a_request_that_is_answered_twice_is_told(tmp_path: Path) -> None:
    one, other = line(KEYS[0], chose("1")), line(KEYS[0], chose("2"))
    assert len(read(replies(tmp_path, one, one))) == 1
    with pytest.raises(PpdbenchError, match="once more"):
        read(replies(tmp_path, one, other))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PpdbenchError, match="cannot be read"):
        read(tmp_path / "none.jsonl")


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_bytes(b"\xff\xfe\n" + line(KEYS[0], chose("1")).encode())
    with pytest.raises(PpdbenchError, match="line 1"):
        read(path)
