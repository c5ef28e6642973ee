"""The files of the vision-language model: where they are found, which count, what damage does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ppdbench.errors import MissingPrerequisite, PpdbenchError, UsageError
from ppdbench.protocols import UserContext
from ppdbench.users import prompts, vlm_load
from ppdbench.users.vlm import Vlm
from ppdbench.users.vlm_files import find_vlm
from ppdbench.users.vlm_load import load_vlm

Users = Callable[..., list[UserContext]]


def test_one_model_is_loaded_once(vlm_folder: Path) -> None:
    vlm = load_vlm(find_vlm(str(vlm_folder)), "cpu")
    assert load_vlm(find_vlm(str(vlm_folder)), "cpu") is vlm
    with pytest.raises(UsageError, match="fp64"):
        load_vlm(find_vlm(str(vlm_folder)), "cpu", "fp64")  # type: ignore[arg-type]  # what a user may type


def test_the_hash_is_over_all_that_is_read(vlm_folder: Path, vlm_copy: Path) -> None:
    folder = vlm_copy
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
    vlm_folder: Path, vlm_copy: Path, users: Users
) -> None:
    """As the published 7B has it: image processor and template in files of their own."""
    folder = vlm_copy
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
    vlm, older = (load_vlm(find_vlm(str(each)), "cpu") for each in (vlm_folder, folder))
    assert older is not vlm
    shots = users(2)[0].shots
    asked = [prompts.shots_text(shots) + prompts.DESCRIBE], [prompts.shots_images(shots)]
    torch.testing.assert_close(
        older.last_states(older.prepare(*asked)), vlm.last_states(vlm.prepare(*asked))
    )


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
        (broken_config, r"config\.json is damaged"),
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
    damage: Callable[[Path], None], cause: str, vlm_copy: Path
) -> None:
    damage(vlm_copy)
    with pytest.raises(MissingPrerequisite, match=cause) as caught:
        load_vlm(find_vlm(str(vlm_copy)), "cpu")
    assert caught.value.fix
    assert "\n" not in caught.value.cause + caught.value.fix


def test_pickled_weights_are_not_read(vlm_copy: Path) -> None:
    (vlm_copy / "model.safetensors").rename(vlm_copy / "pytorch_model.bin")
    with pytest.raises(MissingPrerequisite, match=r"lacks .*model\.safetensors"):
        find_vlm(str(vlm_copy))


def test_files_that_change_while_they_are_read_are_noticed(
    vlm_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(vlm_copy / "config.json", lambda config: config.update(note="not loaded before"))
    files = find_vlm(str(vlm_copy))
    read = vlm_load._read

    def meanwhile(*asked: Any) -> Vlm:
        (vlm_copy / "chat_template.jinja").write_text("another")
        return read(*asked)

    monkeypatch.setattr(vlm_load, "_read", meanwhile)
    with pytest.raises(PpdbenchError, match="changed while it was read"):
        load_vlm(files, "cpu")
