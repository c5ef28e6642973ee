"""The tiny VLM's lessons: a packed row is exactly the prompts that the public processor makes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from trained import killed_at, place

from ppdbench.suites.shapes.attributes import ATTRIBUTES
from ppdbench.suites.shapes.suite import ShapesSuite
from ppdbench.users.prompts import DESCRIBE
from trainers.shapes import stage, train_vision, train_vlm
from trainers.shapes.stage import StageConfig
from trainers.shapes.vlm_data import PicturePairs, picture_pairs
from trainers.shapes.vlm_lessons import (
    QUERIES,
    SHOT_COUNTS,
    Lesson,
    Lessons,
    corpus,
    dominant_of,
    named,
    profile,
    turn,
)
from trainers.shapes.vlm_parts import IMAGE_TOKENS, new_model, new_processor


@pytest.fixture(scope="module")
def pairs() -> PicturePairs:
    return picture_pairs(120, 5, None)


@pytest.fixture(scope="module")
def processor(pairs: PicturePairs) -> Any:
    return new_processor(corpus(pairs))


@pytest.fixture(scope="module")
def model(processor: Any) -> Any:
    torch.manual_seed(0)
    return new_model(processor).eval()


@pytest.fixture(scope="module")
def lessons(processor: Any, pairs: PicturePairs) -> Lessons:
    return Lessons(processor.tokenizer, pairs)


def asked(processor: Any, model: Any, text: str, images: list[Image.Image]) -> torch.Tensor:
    """The last hidden state at the end of a prompt, by the public way."""
    batch = processor(text=[text], images=[images], return_tensors="pt")
    found: torch.Tensor = model(**batch, output_hidden_states=True).hidden_states[-1][0, -1]
    return found


def pictures(pairs: PicturePairs, rows: list[tuple[int, int]]) -> list[Image.Image]:
    return [Image.fromarray(pairs.pixels[side, row]) for side, row in rows]


@pytest.mark.parametrize("shots", [1, 4])
def test_a_branch_is_what_the_public_processor_makes_of_its_prompt(
    shots: int, processor: Any, model: Any, lessons: Lessons, pairs: PicturePairs
) -> None:
    row = lessons._row(np.random.default_rng(shots), shots)
    lesson = lessons._packed([row, lessons._row(np.random.default_rng(9), shots)])
    with torch.no_grad():
        table = train_vlm.seen(model.model.vision_tower, pairs).float()
        hidden = train_vlm.states(model, lesson, table)[-1][0]
        for number, branch in enumerate(row.branches[1:]):
            said = {"type": "text", "text": row.context + branch.question}
            message = {"role": "user", "content": [said]}
            text = processor.apply_chat_template([message], add_generation_prompt=True)
            assert text == turn(row.context + branch.question)
            public = asked(processor, model, text, pictures(pairs, row.images + branch.images))
            ours = hidden[lesson.choice_at[0, number]]
            torch.testing.assert_close(ours, public, atol=2e-3, rtol=0)  # features are kept in fp16
        text = turn(row.context + DESCRIBE) + row.branches[0].answer
        public = asked(processor, model, text, pictures(pairs, row.images))
        torch.testing.assert_close(hidden[lesson.taste_at[0, 1]], public, atol=2e-3, rtol=0)


def test_branches_see_the_shots_and_themselves_only(lessons: Lessons) -> None:
    lesson = lessons._packed([lessons._row(np.random.default_rng(2), 4)])
    end = int(lesson.taste_at[0, 0])
    sees = lesson.mask[0, 0]
    first, second = (int(at) for at in lesson.choice_at[0, :2])
    assert sees[first, : end + 1].all() and sees[second, : end + 1].all()
    assert not sees[second, first] and not sees[first, second]
    assert not torch.triu(sees, 1).any()
    assert lesson.positions[0, end + 1] == lesson.positions[0, end] + 1
    begins = (lesson.positions[0] == end + 1).nonzero()
    assert len(begins) == 1 + QUERIES  # every branch starts where the shots end


def test_the_answer_is_foretold_token_by_token(lessons: Lessons, processor: Any) -> None:
    row = lessons._row(np.random.default_rng(3), 4)
    lesson = lessons._packed([row])
    spoken = lesson.answer[0][lesson.answer[0] != -100]
    text = processor.tokenizer.decode(spoken[:-1])
    assert text == row.branches[0].answer
    assert spoken[-1] == processor.tokenizer.eos_token_id
    last = int(lesson.taste_at[0, 1])
    assert lesson.answer[0, last] == processor.tokenizer.eos_token_id


def test_what_is_taught_is_what_the_shots_tell(lessons: Lessons) -> None:
    lesson = lessons.draw(np.random.default_rng(4), 24)
    assert 0.3 < float((lesson.choice > 0.5).float().mean()) < 0.7  # no side always wins
    agree = torch.einsum("bqa,ba->bq", lesson.apart, lesson.taste) > 0
    assert float((agree == (lesson.choice > 0.5)).float().mean()) > 0.9
    along = torch.nn.functional.cosine_similarity(
        (lesson.shot[:, :, 0] - lesson.shot[:, :, 1]).mean(1), lesson.taste, dim=-1
    )
    assert float(along.mean()) > 0.6
    assert lesson.taste.norm(dim=-1).max() <= 1  # a mean of unit tastes, never the true one


def test_images_lie_where_the_text_says(lessons: Lessons, processor: Any) -> None:
    lesson: Lesson = lessons.draw(np.random.default_rng(5), 3)
    image = processor.tokenizer.convert_tokens_to_ids("<image>")
    assert int((lesson.ids == image).sum()) == len(lesson.image) * (IMAGE_TOKENS + 1)
    rows, places = lesson.image_at.T
    assert (lesson.ids[rows, places] == image).all()
    assert (lesson.ids[rows, places - 1] != image).all()
    ends = lesson.shot_at
    assert (lesson.ids.gather(1, ends - 1) == image).all()
    assert (lesson.ids.gather(1, ends) != image).all()


@pytest.mark.parametrize("at", range(len(ATTRIBUTES)))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_profile_names_the_dominant_attribute_first(at: int, sign: float) -> None:
    taste = np.full(len(ATTRIBUTES), 0.1)
    taste[at] = sign
    taste[(at + 1) % len(ATTRIBUTES)] = 0.6
    said = profile(named(np.ones(1), taste[None]))
    assert dominant_of(said) == f"{'+' if sign > 0 else '-'}{ATTRIBUTES[at]}"
    assert said.count(",") == 1


def test_the_suite_says_how_many_shots_were_taught() -> None:
    assert ShapesSuite().vlm_max_shots == max(SHOT_COUNTS)


def test_no_profile_names_no_attribute() -> None:
    assert dominant_of("Hello.") is None and dominant_of("") is None


@pytest.mark.parametrize(
    ("module", "name", "call"),
    [(train_vision, "features", 3), (train_vlm, "losses", 3), (train_vlm, "_measured", 1)],
    ids=place,
)
def test_killed_trainings_end_as_undisturbed_ones(
    module: Any,
    name: str,
    call: int,
    tmp_path: Path,
    pairs: PicturePairs,
    processor: Any,
    model: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train_vlm, "HELD_OUT_LESSONS", 1)
    monkeypatch.setattr(stage, "SAVE_EVERY_SECONDS", 0.0)
    config = StageConfig(seed=1, steps=4, batch_size=4, lr=2e-3, warmup=2, ema=0.9)

    def train(work: Path) -> tuple[Any, dict[str, float]]:
        net = copy.deepcopy(model)
        how: dict[str, Any] = {"work": work, "report": lambda _: None, "config": config}
        figures = train_vision.train_vision(net.model.vision_tower, pairs, pairs, **how)
        figures |= train_vlm.train_language(net, processor.tokenizer, pairs, pairs, **how)
        del figures["seconds"]
        return net, figures

    whole, figures = train(tmp_path / "whole")
    with killed_at(module, name, call):
        train(tmp_path / "killed")
    again, after = train(tmp_path / "killed")
    assert after == figures
    moved = set()
    for part, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[part]), part
        if not torch.equal(tensor, model.state_dict()[part]):
            moved.add(part)
    assert "lm_head.weight" in moved and any("vision_tower" in part for part in moved)
