"""The vision-language model: which position is read, what padding may not do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tiny_vlm import END, IMAGE, IMAGE_TOKENS

from ppdbench.errors import UsageError
from ppdbench.protocols import UserContext
from ppdbench.users import prompts
from ppdbench.users.vlm import Answer, Prompts, Vlm
from ppdbench.users.vlm_files import find_vlm
from ppdbench.users.vlm_load import load_vlm

Users = Callable[..., list[UserContext]]
library: Any = transformers


@pytest.fixture(scope="module")
def vlm(vlm_folder: Path) -> Vlm:
    return load_vlm(find_vlm(str(vlm_folder)), "cpu")


def prepared(vlm: Vlm, users: list[UserContext], question: str = prompts.DESCRIBE) -> Prompts:
    return vlm.prepare(
        [prompts.shots_text(user.shots) + question for user in users],
        [prompts.shots_images(user.shots) for user in users],
    )


def full_pass(vlm: Vlm, ready: Prompts, row: int, more: tuple[int, ...]) -> Any:
    """All hidden states and logits of one prompt and `more`, by transformers alone, unpadded."""
    shown = sum(int(n) for n in ready.images["batch_num_images"][:row])
    count = int(ready.images["batch_num_images"][row])
    images = {k: v[shown : shown + count] for k, v in ready.images.items()}
    images["batch_num_images"] = torch.tensor([count])
    ids = torch.cat([ready.rows[row], torch.tensor(more, dtype=torch.long)])[None]
    with torch.inference_mode():
        return vlm.model(input_ids=ids, **images, output_hidden_states=True, use_cache=False)


def test_it_is_a_model_of_the_public_classes(vlm: Vlm, vlm_folder: Path, users: Users) -> None:
    model = library.AutoModelForImageTextToText.from_pretrained(vlm_folder, local_files_only=True)
    processor = library.AutoProcessor.from_pretrained(vlm_folder, local_files_only=True)
    ready = prepared(vlm, users(2))
    theirs = Vlm(model.eval(), processor)
    assert torch.equal(prepared(theirs, users(2)).rows[0], ready.rows[0])
    torch.testing.assert_close(theirs.last_states(ready), vlm.last_states(ready))


def test_an_image_is_its_patches_and_a_newline_where_its_text_has_it(
    vlm: Vlm, users: Users
) -> None:
    (user,) = users(4)
    (row,) = prepared(vlm, [user]).rows
    seen = vlm.processor.tokenizer.decode(row)
    image = IMAGE * (IMAGE_TOKENS + 1)
    assert seen.count(IMAGE) == 8 * (IMAGE_TOKENS + 1)
    assert seen.startswith("<|im_start|>user\nPair 1: a red circle 0\n")
    assert seen.count(f"Preferred: {image}\n") == seen.count(f"Other: {image}\n") == 4
    assert seen.endswith(f"{prompts.DESCRIBE}{END}\n<|im_start|>assistant\n")


def test_prompts_do_not_depend_on_their_neighbours(vlm: Vlm, users: Users) -> None:
    batch = users(1, 4, 2)
    together = prepared(vlm, batch)
    answers = vlm.answer(together, max_new_tokens=12)
    assert len({len(answer.ids) for answer in answers}) > 1  # so that answers are padded too
    states = vlm.last_states(together, answers)
    odds = vlm.choice_log_odds(together)
    for at, user in enumerate(batch):
        alone = prepared(vlm, [user])
        assert torch.equal(alone.rows[0], together.rows[at])
        assert vlm.answer(alone, max_new_tokens=12) == [answers[at]]
        torch.testing.assert_close(
            vlm.last_states(alone, [answers[at]])[0], states[at], atol=1e-4, rtol=0
        )
        torch.testing.assert_close(vlm.choice_log_odds(alone)[0], odds[at], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("layer", "index"), [(-1, 3), (3, 3), (-2, 2), (1, 1), (0, 0), (-4, 0)])
def test_the_state_is_that_of_the_answers_last_token(
    vlm: Vlm, users: Users, layer: int, index: int
) -> None:
    ready = prepared(vlm, users(2, 3))
    answers = vlm.answer(ready, max_new_tokens=12)
    states = vlm.last_states(ready, answers, layer=layer)
    end = vlm.processor.tokenizer.convert_tokens_to_ids(END)
    for at, answer in enumerate(answers):
        assert answer.finished
        assert end not in answer.ids
        by_hand = full_pass(vlm, ready, at, (*answer.ids, end)).hidden_states[index][0]
        last = len(ready.rows[at]) + len(answer.ids) - 1
        torch.testing.assert_close(states[at], by_hand[last], atol=1e-4, rtol=0)
        for wrong in (last - 1, last + 1):  # what `generate` saw last, and the mark of the end
            assert (states[at] - by_hand[wrong]).abs().max() > 0.1


def test_an_answer_is_the_likeliest_tokens_up_to_the_end(vlm: Vlm, users: Users) -> None:
    ready = prepared(vlm, users(2))
    (answer,) = vlm.answer(ready, max_new_tokens=12)
    images = [vlm.processor.image_token_id, vlm.processor.video_token_id]
    for at in range(len(answer.ids) + 1):
        logits = full_pass(vlm, ready, 0, answer.ids[:at]).logits[0, -1].clone()
        logits[images] = -torch.inf  # never written: there would be no pixels for it
        (mark,) = logits.argmax()[None].tolist()
        assert mark == (answer.ids[at] if at < len(answer.ids) else vlm._ends[-1])
    cut = vlm.answer(ready, max_new_tokens=len(answer.ids) - 1)[0]
    assert (cut.ids, cut.finished) == (answer.ids[:-1], False)


def test_an_image_is_never_written(vlm: Vlm, users: Users) -> None:
    """The tiny model would like to: when its answer was read again, there would be no pixels."""
    ready = prepared(vlm, users(1, 4, 2, 3))
    liked = []
    for at, answer in enumerate(vlm.answer(ready, max_new_tokens=12)):
        assert vlm.processor.image_token_id not in answer.ids
        liked += full_pass(vlm, ready, at, answer.ids).logits[0].argmax(dim=-1).tolist()
    assert vlm.processor.image_token_id in liked


def test_without_answer_it_is_the_prompts_last_token(vlm: Vlm, users: Users) -> None:
    ready = prepared(vlm, users(2))
    by_hand = full_pass(vlm, ready, 0, ()).hidden_states[-1][0, -1]
    for answers in (None, [Answer((), "", True)]):
        torch.testing.assert_close(vlm.last_states(ready, answers)[0], by_hand, atol=1e-4, rtol=0)


def test_a_choice_is_the_difference_of_two_logits(vlm: Vlm, users: Users) -> None:
    (user, other) = users(4, 1)
    new = [other.shots[0].preferred, other.shots[0].dispreferred]
    text = prompts.shots_text(user.shots) + prompts.choice_text("a blue square")
    shown = prompts.shots_images(user.shots)
    ready = vlm.prepare([text, text], [[*shown, *new], [*shown, *reversed(new)]])
    odds = vlm.choice_log_odds(ready)
    one, two = vlm.processor.tokenizer.convert_tokens_to_ids(["1", "2"])
    for at in range(2):
        logits = full_pass(vlm, ready, at, ()).logits[0, -1]
        torch.testing.assert_close(odds[at], logits[one] - logits[two], atol=1e-3, rtol=0)
    assert (odds[0] - odds[1]).abs() > 0.005  # the order is seen, beyond float noise
    assert odds.dtype == torch.float32


def test_sampling_settings_of_the_folder_are_not_used(
    vlm: Vlm, vlm_copy: Path, users: Users
) -> None:
    file = vlm_copy / "generation_config.json"
    settings = json.loads(file.read_text())
    settings |= {"do_sample": True, "temperature": 9.0, "repetition_penalty": 5.0, "min_length": 9}
    file.write_text(json.dumps(settings))
    other = load_vlm(find_vlm(str(vlm_copy)), "cpu")
    assert other is not vlm
    ready = prepared(vlm, users(1, 4, 2))
    assert other.answer(ready, max_new_tokens=12) == vlm.answer(ready, max_new_tokens=12)
    assert other.model.generation_config.temperature == 9.0  # left as it was


def test_bad_prompts_are_refused(vlm: Vlm, users: Users) -> None:
    (user,) = users(1)
    shown = prompts.shots_images(user.shots)
    with pytest.raises(ValueError, match="1 marks for 2 images"):
        vlm.prepare(["look: <image>"], [shown])
    with pytest.raises(ValueError, match="the model takes 1024"):
        vlm.prepare(["x" * 2000], [[]])
    with pytest.raises(UsageError, match="no hidden state 4"):
        vlm.last_states(prepared(vlm, [user]), layer=4)
    with pytest.raises(UsageError, match="no hidden state -5"):
        vlm.last_states(prepared(vlm, [user]), layer=-5)
    assert vlm.prepare([], []).rows == ()
    assert vlm.last_states(vlm.prepare([], [])).shape == (0, 32)


def test_prompts_without_images_and_with_one_go_together(vlm: Vlm, users: Users) -> None:
    (user,) = users(1)
    image = user.shots[0].preferred
    mixed = vlm.prepare(
        ["no image", "one: <image>", "two: <image> <image>"], [[], [image], [image] * 2]
    )
    states = vlm.last_states(mixed)
    for at, (text, shown) in enumerate([("no image", []), ("one: <image>", [image])]):
        alone = vlm.last_states(vlm.prepare([text], [shown]))
        torch.testing.assert_close(alone[0], states[at], atol=1e-4, rtol=0)
