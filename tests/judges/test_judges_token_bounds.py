"""Bounds of tokens: never below what providers are known to bill."""

from __future__ import annotations

import pytest

from ppdbench.judges.token_bounds import image_bound, text_bound


@pytest.mark.parametrize(
    ("size", "model", "billed"),
    [
        # Measured by users of the API (community.openai.com, threads 1262691 and 1230130).
        ((128, 64), "gpt-4o", 255),
        ((128, 64), "gpt-4.1-2025-04-14", 255),
        ((128, 64), "gpt-4o-mini-2024-07-18", 8500),
        ((128, 64), "gpt-4.1-nano", 21),
        ((512, 512), "gpt-4.1-nano", 630),
        ((64, 64), "meta-llama/Llama-3.2-11B-Vision", 1601),
        ((512, 512), "llava-hf/llava-onevision-qwen2-7b-ov-hf", 730),
    ],
)
def test_images_are_bounded_by_what_is_billed(
    size: tuple[int, int], model: str, billed: int
) -> None:
    assert image_bound(*size, model) >= billed


def test_a_known_models_bound_is_near_what_it_bills() -> None:
    assert image_bound(64, 64, "gpt-4o") == image_bound(64, 64, "openai/gpt-4o") == 255
    assert image_bound(512, 512, "gpt-5-nano") == 630


def test_a_name_that_says_nothing_has_the_largest_bound_but_one() -> None:
    assert image_bound(64, 64, "my-model") > image_bound(64, 64, "gpt-4o")


def test_text_is_bounded_by_its_bytes() -> None:
    assert text_bound("é\u4e16", "a") - text_bound() == 6
    assert text_bound("\ud800") > text_bound()  # half a character has a size too
