"""Published files are found in every layout that they come in; what is missing is named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants
from published_layout import shard, write_original

from ppdbench.errors import MissingPrerequisite
from trainers.stable_cascade.published import (
    DECODER,
    PRIOR,
    PublishedFiles,
    find_published,
    is_published,
    on_this_machine,
)

COMMIT = "a" * 40


@pytest.fixture
def hub(published_hub: Path, tmp_path: Path) -> Path:
    """A copy to move about in."""
    return copied(published_hub, tmp_path / "hub")


def copied(folder: Path, to: Path) -> Path:
    """The same files, linked: they are large, and tests take away or put files, never change."""
    return Path(shutil.copytree(folder, to, copy_function=os.link))


def cached(folder: Path, cache: Path) -> Path:
    """The hub's cache as `hf download` of both repositories leaves it."""
    for name in (PRIOR, DECODER):
        place = cache / f"models--{name.replace('/', '--')}"
        copied(folder / name.partition("/")[2], place / "snapshots" / COMMIT)
        (place / "refs").mkdir()
        (place / "refs" / "main").write_text(COMMIT)
    return cache


def names(found: PublishedFiles, root: Path) -> dict[str, str]:
    """Where each part lies, relative to a folder."""
    parts = {
        "stage_c": found.stage_c,
        "text_encoder": found.text_encoder,
        "compressor": found.compressor,
        "previewer": found.previewer,
        "stage_b": found.stage_b,
        "stage_a": found.stage_a,
    }
    return {
        name: part.files[0].relative_to(root).as_posix()
        for name, part in parts.items()
        if part is not None
    }


def cause(base: Path) -> str:
    """Why a base is not found: a line, with a fix that says where to look."""
    with pytest.raises(MissingPrerequisite) as caught:
        find_published(base)
    assert "\n" not in caught.value.cause
    assert "docs/model.md" in caught.value.fix or "put" in caught.value.fix
    return caught.value.cause


def test_the_hubs_repositories_are_found_side_by_side(hub: Path) -> None:
    found = find_published(hub)
    assert is_published(hub) and on_this_machine(hub)
    assert names(found, hub) == {
        "stage_c": "stable-cascade-prior/prior/diffusion_pytorch_model.safetensors",
        "text_encoder": "stable-cascade-prior/text_encoder/model.safetensors",
        "compressor": "stable-cascade/effnet_encoder.safetensors",
        "previewer": "stable-cascade/previewer.safetensors",
        "stage_b": "stable-cascade/decoder/diffusion_pytorch_model.safetensors",
        "stage_a": "stable-cascade/vqgan/diffusion_pytorch_model.safetensors",
    }
    assert found.tokenizer == hub / "stable-cascade-prior" / "tokenizer"
    # The repository's folder, and that of one stage in it, name the same.
    for inside in ("stable-cascade-prior", "stable-cascade-prior/prior"):
        assert is_published(hub / inside)
        assert find_published(hub / inside) == found
    file = hub / "stable-cascade-prior/prior/diffusion_pytorch_model.safetensors"
    assert is_published(file) and find_published(file) == found


def test_all_in_one_folder_is_found(hub: Path) -> None:
    together = hub.parent / "together"
    shutil.copytree(hub / "stable-cascade-prior", together, copy_function=os.link)
    shutil.copytree(hub / "stable-cascade", together, copy_function=os.link, dirs_exist_ok=True)
    assert names(find_published(together), together)["stage_b"].startswith("decoder/")


def test_the_originals_files_are_found(published_hub: Path, tmp_path: Path) -> None:
    folder = write_original(tmp_path / "original", published_hub)
    assert is_published(folder)
    assert names(find_published(folder), folder) == {
        "stage_c": "stage_c_bf16.safetensors",
        "text_encoder": "text_encoder/model.safetensors",
        "compressor": "effnet_encoder.safetensors",
        "previewer": "previewer.safetensors",
        "stage_b": "stage_b_bf16.safetensors",
        "stage_a": "stage_a.safetensors",
    }
    lite = folder / "stage_c_lite_bf16.safetensors"
    os.link(folder / "stage_c_bf16.safetensors", lite)
    assert find_published(folder).stage_c.files[0].name == "stage_c_bf16.safetensors"
    assert find_published(lite).stage_c.files == (lite,)  # another than the first is named
    assert find_published(lite).stage_a == find_published(folder).stage_a


def test_of_several_the_large_and_the_halved_come_first(hub: Path) -> None:
    prior = hub / "stable-cascade-prior"
    copied(prior / "prior", prior / "prior_lite")
    file = prior / "prior" / "diffusion_pytorch_model.safetensors"
    os.link(file, halved := prior / "prior" / "diffusion_pytorch_model.bf16.safetensors")
    assert find_published(hub).stage_c.files == (halved,)
    lite = prior / "prior_lite"
    assert find_published(lite).stage_c.files[0].parent == lite
    assert find_published(file).stage_c.files == (file,)
    shutil.rmtree(prior / "prior")
    assert find_published(hub).stage_c.files[0].parent == lite


@pytest.mark.parametrize("variant", ["", ".bf16"])
def test_shards_are_read_by_their_index(hub: Path, variant: str) -> None:
    prior = hub / "stable-cascade-prior" / "prior"
    whole = prior / "diffusion_pytorch_model.safetensors"
    whole = whole.rename(prior / f"diffusion_pytorch_model{variant}.safetensors")
    shard(whole)
    files = find_published(hub).stage_c.files
    assert len(files) == 2 and all("-of-00002" in file.name for file in files)
    files[1].unlink()
    assert files[1].name in cause(hub)
    (index,) = prior.glob("*.index*")
    for text in ("{", "{}", '{"weight_map": []}', '{"weight_map": {"a": "../elsewhere"}}'):
        index.write_text(text)
        assert index.name in cause(hub)


@pytest.mark.parametrize("name", [PRIOR, f"{PRIOR}/prior"])
def test_a_name_is_looked_for_in_the_hubs_cache(
    published_hub: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    assert is_published(Path(name)) and not on_this_machine(Path(name))
    assert "not in the hub's cache" in cause(Path(name))
    cached(published_hub, tmp_path / "cache")
    assert on_this_machine(Path(name))
    found = names(find_published(Path(name)), tmp_path / "cache")
    prior, cascade = (
        f"models--stabilityai--{repository}/snapshots/{COMMIT}"
        for repository in ("stable-cascade-prior", "stable-cascade")
    )
    assert found["stage_c"] == f"{prior}/prior/diffusion_pytorch_model.safetensors"
    assert found["compressor"] == f"{cascade}/effnet_encoder.safetensors"
    assert found["stage_a"] == f"{cascade}/vqgan/diffusion_pytorch_model.safetensors"
    snapshot = tmp_path / "cache" / prior
    assert names(find_published(snapshot), tmp_path / "cache") == found


def test_the_cache_is_where_hf_home_says(published_hub: Path, tmp_path: Path) -> None:
    cached(published_hub, tmp_path / "home" / "hub")
    program = (
        "from pathlib import Path; from trainers.stable_cascade.published import *;"
        "print(find_published(Path(PRIOR)).stage_c.files[0])"
    )
    told = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    told = {key: value for key, value in told.items() if key != "HF_HUB_CACHE"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=told, check=True, capture_output=True, text=True
    )
    assert (tmp_path / "home").as_posix() in done.stdout and "prior/" in done.stdout


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("stable-cascade-prior/prior", "Stage C"),
        ("stable-cascade-prior/text_encoder", "the text encoder"),
        ("stable-cascade-prior/tokenizer", "the tokenizer"),
        ("stable-cascade/effnet_encoder.safetensors", "effnet_encoder.safetensors"),
        ("stable-cascade/previewer.safetensors", "previewer.safetensors"),
    ],
)
def test_what_is_missing_is_named(hub: Path, gone: str, said: str) -> None:
    place = hub / gone
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    assert said in cause(hub)


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "prior").mkdir()
    assert is_published(tmp_path)
    said = cause(tmp_path)
    for part in ("Stage C", "text encoder", "compressor", "previewer", "tokenizer"):
        assert part in said


def test_a_config_without_weights_is_named(hub: Path) -> None:
    prior = hub / "stable-cascade-prior" / "prior"
    (prior / "diffusion_pytorch_model.safetensors").unlink()
    assert "no weights" in cause(prior)


def test_without_a_decoder_the_rest_is_found(hub: Path) -> None:
    shutil.rmtree(hub / "stable-cascade" / "decoder")
    shutil.rmtree(hub / "stable-cascade" / "vqgan")
    found = find_published(hub)
    assert found.stage_b is None and found.stage_a is None


def test_our_own_layout_is_not_a_published_one(tiny_base_folder: Path, tmp_path: Path) -> None:
    assert not is_published(tiny_base_folder)
    assert not is_published(tmp_path)
    assert not is_published(tmp_path / "nowhere")  # absolute: no name on the hub
    (tmp_path / "config.json").write_text(json.dumps([1]))
    assert not is_published(tmp_path)
    (tmp_path / "config.json").write_text("{")
    assert not is_published(tmp_path)
