"""Names of files made of any text."""

from __future__ import annotations

import pytest

from ppdbench.runs.file_names import file_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ppd-onehot", "ppd-onehot"),
        ("my.models:load", "my.models_load"),
        ("llava-onevision:layer=-2", "llava-onevision_layer_-2"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("...", "_"),
        ("", "_"),
        ("x" * 300, "x" * 150),
    ],
)
def test_any_text_gives_a_name_that_is_neither_hidden_nor_elsewhere(text: str, name: str) -> None:
    assert file_name(text) == name
