"""The encoder that writes: what of a user it reads, and what its revision covers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ppdbench.errors import MissingPrerequisite, UsageError
from ppdbench.protocols import LoadContext, Shot, UserContext, UserEncoder
from ppdbench.users import llava_onevision, prompts
from ppdbench.users.llava_onevision import LlavaOnevisionEncoder, last_line
from ppdbench.users.load import make_encoder
from ppdbench.users.vlm_files import find_vlm

Users = Callable[..., list[UserContext]]


@pytest.fixture(scope="module")
def encoder(vlm_folder: Path) -> LlavaOnevisionEncoder:
    return LlavaOnevisionEncoder(find_vlm(str(vlm_folder)))


def of(encoder: UserEncoder, user: UserContext) -> np.ndarray[Any, np.dtype[np.float32]]:
    (code,) = encoder.encode([user])
    assert code is not None
    return code.embedding


def turned(user: UserContext) -> UserContext:
    """The user who prefers the other image of every pair."""
    return replace(
        user,
        shots=tuple(
            Shot(caption=s.caption, preferred=s.dispreferred, dispreferred=s.preferred)
            for s in user.shots
        ),
    )


def test_an_embedding_is_the_state_at_the_answers_end_and_a_profile_its_last_line(
    encoder: LlavaOnevisionEncoder, users: Users
) -> None:
    people = users(1, 4, 2)
    vlm = encoder.vlm
    ready = vlm.prepare(
        [prompts.shots_text(user.shots) + prompts.DESCRIBE for user in people],
        [prompts.shots_images(user.shots) for user in people],
    )
    answers = vlm.answer(ready, max_new_tokens=12)
    states = vlm.last_states(ready, answers)
    for code, state, answer in zip(encoder.encode(people), states, answers, strict=True):
        assert code is not None
        assert code.embedding.dtype == np.float32
        torch.testing.assert_close(torch.from_numpy(code.embedding), state, atol=1e-4, rtol=0)
        assert code.profile == last_line(answer.text)
    assert encoder.info.dim == 32


def test_it_does_not_depend_on_the_batch_or_on_who_is_asked(
    encoder: LlavaOnevisionEncoder, users: Users
) -> None:
    people = users(1, 4, 2)
    for code, user in zip(encoder.encode(people), people, strict=True):
        assert code is not None
        alone = of(encoder, replace(user, id="another"))
        np.testing.assert_allclose(alone, code.embedding, atol=1e-4)


def test_it_reads_preferences_captions_and_their_order(
    encoder: LlavaOnevisionEncoder, users: Users
) -> None:
    (user,) = users(3)
    own = of(encoder, user)
    others = {
        "the other way round": turned(user),
        "in another order": replace(user, shots=user.shots[::-1]),
        "another caption": replace(
            user, shots=(replace(user.shots[0], caption="a cat"), *user.shots[1:])
        ),
        "fewer": replace(user, shots=user.shots[:2]),
    }
    for what, other in others.items():
        assert np.abs(of(encoder, other) - own).max() > 0.01, what


def test_a_user_without_shots_has_none(encoder: LlavaOnevisionEncoder, users: Users) -> None:
    nobody = UserContext(id="0")
    (user,) = users(1)
    assert encoder.encode([]) == []
    assert encoder.encode([nobody, nobody]) == [None, None]
    first, code, last = encoder.encode([nobody, user, nobody])
    assert first is last is None
    assert code is not None
    np.testing.assert_allclose(code.embedding, of(encoder, user), atol=1e-4)


def test_a_revision_covers_model_prompt_layer_and_length(
    encoder: LlavaOnevisionEncoder,
    vlm_folder: Path,
    vlm_copy: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = find_vlm(str(vlm_folder))
    revisions = [encoder.info.revision]
    assert LlavaOnevisionEncoder(files, layer=3).info.revision == revisions[0]  # it is the last
    assert LlavaOnevisionEncoder(files, max_new_tokens=12).info.revision == revisions[0]
    revisions.append(LlavaOnevisionEncoder(files, layer=-2).info.revision)
    revisions.append(LlavaOnevisionEncoder(files, max_new_tokens=5).info.revision)
    file = vlm_copy / "processor_config.json"
    settings = json.loads(file.read_text())
    settings["image_processor"]["image_mean"] = [0.4, 0.5, 0.5]
    file.write_text(json.dumps(settings))
    revisions.append(LlavaOnevisionEncoder(find_vlm(str(vlm_copy))).info.revision)
    for constant in ("VERSION", "DESCRIBE"):
        with monkeypatch.context() as patch:
            patch.setattr(prompts, constant, "another")
            revisions.append(LlavaOnevisionEncoder(files).info.revision)
    assert len(set(revisions)) == len(revisions)
    bf16 = LlavaOnevisionEncoder(files, "cuda").info  # on whatever it runs: the same encoder
    assert bf16.revision == revisions[0]
    assert (encoder.info.settings["precision"], bf16.settings["precision"]) == ("fp32", "bf16")


def test_the_longest_answer_is_the_models_own_limit(vlm_copy: Path) -> None:
    assert LlavaOnevisionEncoder(find_vlm(str(vlm_copy))).info.settings["max_new_tokens"] == 12
    (vlm_copy / "generation_config.json").unlink()
    info = LlavaOnevisionEncoder(find_vlm(str(vlm_copy))).info
    assert info.settings["max_new_tokens"] == llava_onevision.MAX_NEW_TOKENS


def test_settings_that_cannot_be_are_refused(vlm_folder: Path) -> None:
    files = find_vlm(str(vlm_folder))
    for layer in (4, -5):
        with pytest.raises(UsageError, match=f"no hidden state {layer}"):
            LlavaOnevisionEncoder(files, layer=layer)
    with pytest.raises(UsageError, match="0 tokens"):
        LlavaOnevisionEncoder(files, max_new_tokens=0)


def test_bf16_is_the_same_encoder_less_exactly(vlm_folder: Path, users: Users) -> None:
    rough = LlavaOnevisionEncoder(
        find_vlm(str(vlm_folder)), layer=0, max_new_tokens=1, precision="bf16"
    )
    exact = LlavaOnevisionEncoder(find_vlm(str(vlm_folder)), layer=0, max_new_tokens=1)
    (user,) = users(2)
    found = of(rough, user)
    assert found.dtype == np.float32
    assert rough.vlm.model.dtype is torch.bfloat16
    np.testing.assert_allclose(found, of(exact, user), rtol=0.01)


def test_it_is_made_by_name_for_a_suite(vlm_folder: Path, users: Users) -> None:
    suite: Any = SimpleNamespace(vlm=str(vlm_folder), name="toy")
    made = make_encoder("llava-onevision", LoadContext(suite=suite, device="cpu"))
    (user,) = users(2)
    assert of(made, user).shape == (32,)
    other = make_encoder("llava-onevision:layer=-2", LoadContext(suite=suite, device="cpu"))
    asked = LlavaOnevisionEncoder(find_vlm(str(vlm_folder)), layer=-2)
    assert other.info == replace(asked.info, name="llava-onevision:layer=-2")
    refused = {"layer=9": "no hidden state 9", "layers=1": "no option", "layer=x": "cannot be"}
    for wrong, what in refused.items():
        with pytest.raises(UsageError, match=what):
            make_encoder(f"llava-onevision:{wrong}", LoadContext(suite=suite, device="cpu"))
    assert made.info.max_shots is None
    suite.vlm_max_shots = 2
    limited = make_encoder("llava-onevision", LoadContext(suite=suite, device="cpu"))
    assert limited.info == replace(made.info, max_shots=2)  # and of the same revision
    suite.vlm = str(vlm_folder / "nowhere")
    with pytest.raises(MissingPrerequisite, match="no such folder"):
        make_encoder("llava-onevision", LoadContext(suite=suite, device="cpu"))


@pytest.mark.parametrize(
    ("text", "line"),
    [("a\n\n likes red \n\n", "likes red"), ("one", "one"), (" \n\t\n", None), ("", None)],
)
def test_a_profile_is_the_last_line_that_holds_something(text: str, line: str | None) -> None:
    assert last_line(text) == line
