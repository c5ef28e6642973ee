"""A base from published files: whole, of the right precision, the same from every layout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from published_layout import (
    PIXELS,
    SIDE,
    original_tensors,
    shard,
    write_hub,
    write_original,
)
from safetensors.torch import load_file, save_file
from tiny_cascade import CAPTIONS
from torch import Tensor

from ppdbench.errors import MissingPrerequisite
from trainers.stable_cascade.base_files import base_sha256
from trainers.stable_cascade.decoder import paella
from trainers.stable_cascade.efficientnet_compressor import EfficientNetCompressor
from trainers.stable_cascade.full_previewer import FullPreviewer
from trainers.stable_cascade.load import load_base
from trainers.stable_cascade.original_files import (
    stage_a_sizes,
    stage_a_tensors,
    stage_b_sizes,
    stage_c_sizes,
    unet_tensors,
)
from trainers.stable_cascade.published import Part
from trainers.stable_cascade.published_base import decoder_sha256
from trainers.stable_cascade.stage_c import Base
from trainers.stable_cascade.unet import CascadeUNet
from trainers.stable_cascade.weights import take_weights

pytestmark = pytest.mark.usefixtures("small_side")
PRIOR, CASCADE = "stable-cascade-prior", "stable-cascade"
FILES = {
    "stage_c": f"{PRIOR}/prior/diffusion_pytorch_model.safetensors",
    "text_encoder": f"{PRIOR}/text_encoder/model.safetensors",
    "compressor": f"{CASCADE}/effnet_encoder.safetensors",
    "previewer": f"{CASCADE}/previewer.safetensors",
    "stage_b": f"{CASCADE}/decoder/diffusion_pytorch_model.safetensors",
    "stage_a": f"{CASCADE}/vqgan/diffusion_pytorch_model.safetensors",
}


@pytest.fixture
def base(published_hub: Path) -> Base:
    return load_base(published_hub, dtype=torch.float32, decoder=True)


@pytest.fixture
def hub(published_hub: Path, tmp_path: Path) -> Path:
    """A copy whose files may be replaced, but not written into: they are links."""
    return Path(shutil.copytree(published_hub, tmp_path / "hub", copy_function=os.link))


def replaced(file: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    """Put changed tensors in the place of a file."""
    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    file.unlink()
    save_file(change(tensors), file)


def cause(folder: Path, *, decoder: bool = True) -> str:
    """Why a base cannot be loaded: one line, and what to do."""
    with pytest.raises(MissingPrerequisite) as caught:
        load_base(folder, decoder=decoder)
    assert "\n" not in caught.value.cause and len(caught.value.cause) < 800
    assert "docs/model.md" in caught.value.fix
    return caught.value.cause


def test_a_published_base_is_the_same_thing(base: Base) -> None:
    assert base.published and base.decoder is not None
    assert isinstance(base.unet, CascadeUNet)
    assert isinstance(base.compressor, EfficientNetCompressor)
    assert isinstance(base.previewer, FullPreviewer)
    assert not any(module.training for module in base.modules())
    assert not any(parameter.requires_grad for parameter in base.parameters())
    assert not any(tensor.is_meta for tensor in (*base.parameters(), *base.buffers()))
    assert base.latent_shape == (4, SIDE, SIDE) and base.image_size == 32 * SIDE
    assert base.sha256 and set(base.parts) == set(FILES) - {"stage_b", "stage_a"}


def test_pictures_become_latents_of_the_size_that_is_drawn(base: Base) -> None:
    """768 px in, 24 x 24 latents, 1024 px out at full size; here 96, 3 x 3 and 128."""
    pictures = torch.rand(2, 3, base.image_size, base.image_size)
    latents = base.compressor.encode(pictures)
    assert latents.shape == (2, *base.latent_shape) and latents.dtype == torch.float32
    assert latents.std() > 0.1 and (latents[0] - latents[1]).abs().max() > 0.01
    text = base.encode_text(["a red square"] * 4)
    assert base.pictures(latents, text, [1, 2]).shape == (2, 3, PIXELS, PIXELS)
    base.decoder = None
    assert base.pictures(latents, text, [1, 2]).shape == (2, 3, 8 * SIDE, 8 * SIDE)


def test_the_compressor_normalises_as_imagenet_was(base: Base) -> None:
    compressor = base.compressor
    assert isinstance(compressor, EfficientNetCompressor)
    picture = torch.rand(1, 3, 64, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    given = (picture - mean[:, None, None]) / std[:, None, None]
    by_hand = compressor.mapper(compressor.backbone(given))
    assert torch.equal(compressor.encode(picture), by_hand)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(compressor.encode(picture), by_hand)
    with pytest.raises(RuntimeError, match="eval mode"):
        compressor.train().encode(picture)


def test_precision_is_chosen_for_the_large_parts_alone(published_hub: Path) -> None:
    for dtype, wanted in ((None, torch.bfloat16), (torch.float32, torch.float32)):
        base = load_base(published_hub, dtype=dtype, decoder=True)
        assert base.decoder is not None and base.dtype == wanted
        large = (base.unet, base.text_encoder, base.decoder.stage_b)
        small = (base.compressor, base.previewer, base.decoder.stage_a)
        assert {p.dtype for part in large for p in part.parameters()} == {wanted}
        assert {p.dtype for part in small for p in part.parameters()} == {torch.float32}


@torch.no_grad()
def test_in_bfloat16_times_are_told_apart_and_latents_stay_in_float32(published_hub: Path) -> None:
    base, exact = load_base(published_hub), load_base(published_hub, dtype=torch.float32)
    latents, text = torch.randn(2, *base.latent_shape), base.encode_text(CAPTIONS[:2])
    times = torch.tensor([0.9001, 0.9004])  # one and the same number in bfloat16
    assert text.hidden.dtype == torch.bfloat16
    embed = base.unet.get_timestep_ratio_embedding, exact.unet.get_timestep_ratio_embedding
    rough, fine = (one(times) for one in embed)  # type: ignore[operator]
    torch.testing.assert_close(rough.float(), fine, rtol=0, atol=4e-3)
    assert (fine[0] - fine[1]).abs().max() > 0.1
    noise = base.predict_noise(latents, times, text)
    assert noise.dtype == torch.float32 and torch.isfinite(noise).all()
    wanted = exact.predict_noise(latents, times, exact.encode_text(CAPTIONS[:2]))
    assert (noise - wanted).abs().max() < 0.1 * wanted.abs().max()


def test_captions_are_encoded_with_their_padding_masked(base: Base) -> None:
    """As the original calls transformers: all that the tokenizer gives, its mask included."""
    captions = ["", "a red square", "a red square " * 9]
    tokens = base.tokenizer(
        captions, padding="max_length", max_length=8, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        output = base.text_encoder(**tokens, output_hidden_states=True)
        unmasked = base.text_encoder(input_ids=tokens.input_ids, output_hidden_states=True)
    text = base.encode_text(captions)
    assert torch.equal(text.hidden, output.hidden_states[-1])
    assert torch.equal(text.pooled, output.text_embeds[:, None])
    assert not torch.allclose(text.hidden[0], unmasked.hidden_states[-1][0])


@pytest.mark.parametrize("layout", ["sharded", "variant", "original"])
def test_every_layout_is_the_same_base(hub: Path, base: Base, layout: str) -> None:
    if layout == "original":
        folder = write_original(hub.parent / "original", hub)
    else:
        folder = hub
        for name in ("stage_c", "stage_b"):
            file = hub / FILES[name]
            if layout == "sharded":
                shard(file)
            else:
                file.rename(file.with_name("diffusion_pytorch_model.bf16.safetensors"))
    other = load_base(folder, dtype=torch.float32, decoder=True)
    theirs = base.state_dict()
    assert set(other.state_dict()) == set(theirs)
    for name, tensor in other.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name
    assert other.decoder is not None and base.decoder is not None
    assert other.decoder.stage_a.config.scale_factor == base.decoder.stage_a.config.scale_factor


@pytest.mark.parametrize("name", list(FILES))
def test_a_missing_and_an_unexpected_key_are_named(hub: Path, name: str) -> None:
    file = hub / FILES[name]
    gone = next(key for key in load_file(file) if key.endswith("weight"))
    replaced(file, lambda tensors: {k: t for k, t in tensors.items() if k != gone})
    said = cause(hub)
    assert file.name in said and f"keys are missing: {gone}" in said
    replaced(file, lambda tensors: tensors | {"stray.weight": torch.zeros(1)})
    assert "keys are unexpected: stray.weight" in cause(hub)


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("stage_c_bf16", "clip_txt_mapper.weight"),  # tells a size
        ("stage_c_bf16", "down_blocks.1.5.attention.attn.in_proj_bias"),
        ("stage_b_bf16", "clip_mapper.weight"),
        ("stage_b_bf16", "down_blocks.1.0.channelwise.2.gamma"),
        ("stage_a", "vquantizer.codebook.weight"),
        ("stage_a", "out_block.0.bias"),
    ],
)
def test_an_originals_file_without_a_key_is_refused(hub: Path, name: str, gone: str) -> None:
    folder = write_original(hub.parent / "original", hub)
    file = folder / f"{name}.safetensors"
    replaced(file, lambda tensors: {k: t for k, t in tensors.items() if k != gone})
    said = cause(folder)
    assert "keys are missing" in said and file.name in said


@pytest.mark.parametrize("name", ["stage_c", "stage_b", "stage_a"])
def test_whichever_key_an_original_lacks_it_is_no_model(name: str) -> None:
    """Sizes are read from what is there, so that a gap could pass for a smaller model."""
    whole = original_tensors(name)
    kinds: dict[str, tuple[Any, Any, Any]] = {
        "stage_c": (CascadeUNet, unet_tensors, stage_c_sizes),
        "stage_b": (CascadeUNet, unet_tensors, stage_b_sizes),
        "stage_a": (paella(), stage_a_tensors, stage_a_sizes),
    }
    kind, renamed, sizes_of = kinds[name]
    part = Part(name=name, files=(Path(f"{name}.safetensors"),))

    def load(tensors: dict[str, Tensor]) -> None:
        given = renamed(tensors)
        told = sizes_of({key: tuple(tensor.shape) for key, tensor in given.items()})
        with torch.device("meta"):
            module = kind(**told)
        take_weights(module, given, part, device="meta", dtype=torch.float32)

    load(whole)
    for gone in list(whole)[:: 1 if name == "stage_a" else 3]:
        left = {key: tensor for key, tensor in whole.items() if key != gone}
        if gone.endswith("num_batches_tracked"):  # counts batches of a training that is over
            load(left)
            continue
        with pytest.raises((MissingPrerequisite, KeyError)):
            load(left)


@pytest.mark.parametrize("name", list(FILES))
@pytest.mark.parametrize("keep", [0, 100, -7])
def test_a_cut_file_is_named(hub: Path, name: str, keep: int) -> None:
    file = hub / FILES[name]
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[:keep])
    said = cause(hub)
    assert str(file) in said and "cannot be read" in said


def test_two_shards_of_one_name_are_refused(hub: Path) -> None:
    shard(hub / FILES["stage_c"])
    first, second = sorted((hub / PRIOR / "prior").glob("*-of-00002*"))
    own = load_file(first)
    name = next(iter(own))
    replaced(second, lambda tensors: tensors | {name: own[name]})
    assert f"two of its files hold {name}" in cause(hub)


@pytest.mark.parametrize("name", ["stage_c", "stage_b", "stage_a", "text_encoder"])
def test_the_config_of_another_size_is_refused(hub: Path, name: str) -> None:
    config = (hub / FILES[name]).parent / "config.json"
    told = json.loads(config.read_text())
    changed = {
        "stage_c": {"conditioning_dim": 128},
        "stage_b": {"conditioning_dim": 32},
        "stage_a": {"num_vq_embeddings": 64},
        "text_encoder": {"intermediate_size": 64},
    }[name]
    config.unlink()
    config.write_text(json.dumps(told | changed))
    assert "tensors of another shape: " in cause(hub)


@pytest.mark.parametrize("name", ["stage_c", "stage_b", "stage_a", "text_encoder"])
@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_config_is_named(hub: Path, name: str, text: str) -> None:
    config = (hub / FILES[name]).parent / "config.json"
    config.unlink()
    config.write_text(text)
    assert f"{config} is damaged" in cause(hub)


def test_a_config_that_its_class_does_not_know_is_named(hub: Path) -> None:
    """The first revisions of the hub's files had the original's names of arguments."""
    config = hub / PRIOR / "prior" / "config.json"
    told = json.loads(config.read_text())
    config.unlink()
    config.write_text(json.dumps(told | {"c_cond": 64}))
    assert "keys that StableCascadeUNet does not know: c_cond" in cause(hub)


def test_stage_b_is_not_taken_for_stage_c(hub: Path) -> None:
    """Both are of one class in diffusers, and a folder of either may be named."""
    for name in (hub / FILES["stage_b"]).parent, hub / FILES["stage_b"]:
        assert "reads no text" in cause(name)


def test_without_a_decoder_a_base_loads_and_does_not_draw(hub: Path) -> None:
    shutil.rmtree(hub / CASCADE / "vqgan")
    assert load_base(hub).decoder is None  # training needs none
    assert "lacks Stage A" in cause(hub)


def test_the_hash_is_of_the_files(hub: Path, base: Base) -> None:
    assert base_sha256(hub) == base.sha256 == load_base(hub).sha256
    decoder = decoder_sha256(hub)
    for name, file in FILES.items():
        before = base_sha256(hub), decoder_sha256(hub)
        replaced(hub / file, lambda tensors: changed_first(tensors))
        moved = [
            a != b for a, b in zip(before, (base_sha256(hub), decoder_sha256(hub)), strict=True)
        ]
        assert moved == [name in base.parts, name not in base.parts], name
    assert decoder_sha256(hub) != decoder


def changed_first(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    return tensors | {name: tensors[name] + 1}


def test_other_weights_are_another_base(published_hub: Path, tmp_path: Path) -> None:
    other = write_hub(tmp_path / "other", seed=1)
    assert base_sha256(other) != base_sha256(published_hub)
    assert decoder_sha256(other) != decoder_sha256(published_hub)


def test_loading_says_nothing(published_hub: Path, tiny_base_folder: Path) -> None:
    """No warning of a library that nobody can act on, in a process of its own."""
    program = (
        "import sys; from pathlib import Path; import torch;"
        "from trainers.stable_cascade import sizes; sizes.LATENT_SIDE = 3;"
        "from trainers.stable_cascade.load import load_base;"
        "[load_base(Path(each), dtype=dtype, decoder=True)"
        " for each in sys.argv[1:] for dtype in (None, torch.bfloat16)]"
    )
    words = [sys.executable, "-c", program]
    done = subprocess.run(
        [*words, str(published_hub), str(tiny_base_folder)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == done.stderr == ""


@torch.no_grad()
def test_stage_c_is_told_the_time_as_it_learnt_it(base: Base, tiny_base: Base) -> None:
    """Beyond the schedule's clamp the published one saw one time only; ours saw them all."""
    for one, alike in ((base, True), (tiny_base, False)):
        latents, text = torch.randn(1, *one.latent_shape), one.encode_text(CAPTIONS[:1])
        noises = [one.predict_noise(latents, torch.tensor([t]), text) for t in (0.995, 1.0)]
        assert torch.equal(*noises) == alike
        earlier = one.predict_noise(latents, torch.tensor([0.99]), text)
        assert not torch.equal(earlier, noises[0])
