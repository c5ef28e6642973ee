from __future__ import annotations

import json
import time

import pytest

from ppdbench.data.plain_json import json_or_none, parse_json


def test_plain_json_is_read_as_python_reads_it() -> None:
    text = '{"a": [1, 2.5, null, "é"], "b": {"a": false}}'
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": NaN}', "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ('[{"b": {"a": 1, "c": 2, "a": 1}}]', "the key 'a' is there twice"),
    ],
)
def test_what_other_readers_would_take_otherwise_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_json(text)


def test_an_object_of_many_keys_is_refused_in_time_that_grows_with_it() -> None:
    def seconds(count: int) -> float:
        keys = ",".join(f'"{number}": 0' for number in range(count))
        begin = time.process_time()
        with pytest.raises(ValueError, match="is there twice"):
            parse_json(f'{{{keys}, "{count - 1}": 0}}')
        return time.process_time() - begin

    few = min(seconds(10_000) for _ in range(3))
    assert seconds(80_000) < 8 * 6 * few  # were it the square, 64 times


@pytest.mark.parametrize("content", ["", "{", b"\xff", "[" * 200_000])
def test_what_is_no_json_is_none(content: str | bytes) -> None:
    assert json_or_none(content) is None
