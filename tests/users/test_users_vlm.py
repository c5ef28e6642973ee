"""The vision-language model: which position is read, what padding may not do, which files count."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_vlm import END, IMAGE, IMAGE_TOKENS, library

from ppdbench.errors import MissingPrerequisite, PpdbenchError, UsageError
from ppdbench.protocols import UserContext
from ppdbench.users import prompts, vlm_load
from ppdbench.users.vlm import Answer, Prompts, Vlm
from ppdbench.users.vlm_files import find_vlm
from ppdbench.users.vlm_load import load_vlm

Users = Callable[..., list[UserContext]]


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
    vlm: Vlm, vlm_folder: Path, users: Users, tmp_path: Path
) -> None:
    folder = copied(vlm_folder, tmp_path)
    file = folder / "generation_config.json"
    settings = json.loads(file.read_text())
    settings |= {"do_sample": True, "temperature": 9.0, "repetition_penalty": 5.0, "min_length": 9}
    file.write_text(json.dumps(settings))
    other = load_vlm(find_vlm(str(folder)), "cpu")
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


def test_one_model_is_loaded_once(vlm: Vlm, vlm_folder: Path) -> None:
    assert load_vlm(find_vlm(str(vlm_folder)), "cpu") is vlm
    with pytest.raises(UsageError, match="fp64"):
        load_vlm(find_vlm(str(vlm_folder)), "cpu", "fp64")  # type: ignore[arg-type]


# --- files --------------------------------------------------------------------------------------


def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_the_hash_is_over_all_that_is_read(vlm_folder: Path, tmp_path: Path) -> None:
    folder = copied(vlm_folder, tmp_path)
    before = find_vlm(str(vlm_folder)).sha256
    assert find_vlm(str(folder)).sha256 == before  # wherever it lies
    (folder / "README.md").write_text("a model")
    assert find_vlm(str(folder)).sha256 == before
    for name in (
        "model.safetensors",
        "config.json",
        "generation_config.json",
        "processor_config.json",
        "tokenizer.json",
        "chat_template.jinja",
    ):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data + b"\n")
        assert find_vlm(str(folder)).sha256 != before, name
        (folder / name).write_bytes(data)


def test_the_layout_of_older_repositories_is_read(
    vlm: Vlm, vlm_folder: Path, users: Users, tmp_path: Path
) -> None:
    """As the published 7B has it: image processor and template in files of their own."""
    folder = copied(vlm_folder, tmp_path)
    processor = json.loads((folder / "processor_config.json").read_text())
    images = processor.pop("image_processor")
    del processor["video_processor"]
    template = {"chat_template": (folder / "chat_template.jinja").read_text()}
    (folder / "chat_template.jinja").unlink()
    for name, content in (
        ("processor_config.json", processor),
        ("preprocessor_config.json", images),
        ("chat_template.json", template),
    ):
        (folder / name).write_text(json.dumps(content))
    older = load_vlm(find_vlm(str(folder)), "cpu")
    assert older is not vlm
    ready = prepared(older, users(2))
    torch.testing.assert_close(older.last_states(ready), vlm.last_states(prepared(vlm, users(2))))


def test_a_missing_model_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("PPDBENCH_WEIGHTS", str(tmp_path / "weights"))
    name = "llava-hf/llava-onevision-qwen2-7b-ov-chat-hf"
    with pytest.raises(MissingPrerequisite, match="is not here") as caught:
        find_vlm(name)
    assert f"hf download {name}" in caught.value.fix
    for path in (tmp_path / "nowhere", tmp_path / "a" / "b", Path("~nobody-here/vlm")):
        with pytest.raises(MissingPrerequisite, match="no such folder"):
            find_vlm(str(path))
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(MissingPrerequisite, match="no such folder"):
        find_vlm(str(file))
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingPrerequisite, match=r"lacks .*config\.json"):
        find_vlm(str(tmp_path / "empty"))


def test_a_model_of_the_hub_is_found_in_the_weights_folder_and_the_hubs_cache(
    vlm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PPDBENCH_WEIGHTS", str(tmp_path / "weights"))
    hub = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(hub))
    snapshot = hub / "models--owner--tiny" / "snapshots" / ("a" * 40)
    shutil.copytree(vlm_folder, snapshot)
    (hub / "models--owner--tiny" / "refs").mkdir()
    (hub / "models--owner--tiny" / "refs" / "main").write_text("a" * 40)
    assert find_vlm("owner/tiny").path == snapshot
    (snapshot / "model.safetensors").unlink()  # a download that was stopped
    with pytest.raises(MissingPrerequisite, match=r"lacks .*model\.safetensors") as caught:
        find_vlm("owner/tiny")
    assert "hf download owner/tiny" in caught.value.fix
    shutil.copytree(vlm_folder, tmp_path / "weights" / "tiny")
    assert find_vlm("owner/tiny").path == tmp_path / "weights" / "tiny"


def cut_in_half(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def other_width(folder: Path) -> None:
    edit(folder / "config.json", lambda config: config["text_config"].update(hidden_size=48))


def more_layers(folder: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["text_config"].update(num_hidden_layers=4, layer_types=["full_attention"] * 4)

    edit(folder / "config.json", change)


def other_type(folder: Path) -> None:
    edit(folder / "config.json", lambda config: config.update(model_type="llava_next"))


def no_width(folder: Path) -> None:
    edit(folder / "config.json", lambda config: config["text_config"].pop("hidden_size"))


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')


def no_processor(folder: Path) -> None:
    (folder / "processor_config.json").unlink()


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def no_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def missing_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = {"weight_map": {str(at): name for at, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def shard_elsewhere(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"weight_map": {"a": "../other/model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def manifest_of_another(folder: Path) -> None:
    hashes = {"sha256": {"model.safetensors": "0" * 64}}
    (folder / "manifest.json").write_text(json.dumps(hashes))


def edit(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads(file.read_text())
    change(config)
    file.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (cut_in_half, "cannot be loaded"),
        (other_width, "cannot be loaded|lack"),
        (more_layers, "lack 12 tensors"),
        (other_type, "'llava_next'"),
        (no_width, "text_config.hidden_size"),
        (broken_config, r"config\.json cannot be read"),
        (broken_tokenizer, "cannot be loaded"),
        (no_processor, "processor_config.json"),
        (no_tokenizer, "tokenizer.json"),
        (no_template, "no chat template"),
        (missing_shard, "lacks .*model-00002-of-00002"),
        (shard_elsewhere, "lists no weights beside it"),
        (manifest_of_another, "is damaged"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_damaged_folder_is_a_missing_prerequisite(
    damage: Callable[[Path], None], cause: str, vlm_folder: Path, tmp_path: Path
) -> None:
    folder = copied(vlm_folder, tmp_path)
    damage(folder)
    with pytest.raises(MissingPrerequisite, match=cause) as caught:
        load_vlm(find_vlm(str(folder)), "cpu")
    assert caught.value.fix
    assert "\n" not in caught.value.cause + caught.value.fix


def test_pickled_weights_are_not_read(vlm_folder: Path, tmp_path: Path) -> None:
    folder = copied(vlm_folder, tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(MissingPrerequisite, match=r"lacks .*model\.safetensors"):
        find_vlm(str(folder))


def test_files_that_change_while_they_are_read_are_noticed(
    vlm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copied(vlm_folder, tmp_path)
    edit(folder / "config.json", lambda config: config.update(note="not loaded before"))
    files = find_vlm(str(folder))
    read = vlm_load._read

    def meanwhile(*asked: Any) -> Vlm:
        (folder / "chat_template.jinja").write_text("another")
        return read(*asked)

    monkeypatch.setattr(vlm_load, "_read", meanwhile)
    with pytest.raises(PpdbenchError, match="changed while it was read"):
        load_vlm(files, "cpu")
