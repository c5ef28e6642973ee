"""The base: damaged folders in one line, captions that matter, always the same picture."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_cascade import CAPTIONS

from ppdbench.errors import MissingPrerequisite
from trainers.stable_cascade.base_files import FILES, base_sha256, read_config
from trainers.stable_cascade.load import load_base
from trainers.stable_cascade.stage_c import Base, QuickResponseNorm, TextConditioning, quicken_norms


@pytest.fixture
def folder(tiny_base_folder: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(tiny_base_folder, tmp_path / "base"))


def cause(load: Callable[[], object]) -> str:
    """What a user is told: one line, with a fix."""
    with pytest.raises(MissingPrerequisite) as caught:
        load()
    assert "\n" not in caught.value.cause and len(caught.value.cause) < 600
    assert "reinstall ppdbench" in caught.value.fix
    return caught.value.cause


def test_an_empty_folder_has_no_base(tmp_path: Path) -> None:
    assert "no base model" in cause(lambda: load_base(tmp_path))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / f"{name}.safetensors").unlink()
    assert f"{name}.safetensors is missing" in cause(lambda: load_base(folder))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [0, 5, 200, -7])
def test_a_truncated_file_is_named(folder: Path, name: str, keep: int) -> None:
    path = folder / f"{name}.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    assert f"{name}.safetensors cannot be read" in cause(lambda: load_base(folder))


@pytest.mark.parametrize("name", FILES)
def test_missing_and_unexpected_keys_are_named(folder: Path, name: str) -> None:
    path = folder / f"{name}.safetensors"
    weights = load_file(path)
    # torch forgives a batch norm without its counter, which does nothing here.
    gone = next(key for key, value in weights.items() if value.is_floating_point())
    left = {key: value for key, value in weights.items() if key != gone}
    save_file(left, path)
    assert gone in cause(lambda: load_base(folder))
    save_file(weights | {"stray": torch.zeros(1)}, path)
    assert "stray" in cause(lambda: load_base(folder))


def test_a_tensor_of_another_shape_is_refused(folder: Path) -> None:
    path = folder / "stage_c.safetensors"
    weights = load_file(path)
    name = next(key for key, value in weights.items() if value.ndim == 2)
    save_file(weights | {name: torch.zeros(3, 3)}, path)
    assert name in cause(lambda: load_base(folder))


def test_a_damaged_config_is_named(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    assert "config.json is damaged" in cause(lambda: read_config(folder))
    (folder / "config.json").write_text("{}")
    assert "config.json" in cause(lambda: load_base(folder))


def test_a_missing_tokenizer_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "tokenizer")
    assert "tokenizer" in cause(lambda: load_base(folder))


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"sha256": null}'])
def test_a_damaged_manifest_is_named(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    assert "manifest.json is damaged" in cause(lambda: base_sha256(folder))


def test_a_loaded_base_is_frozen_and_whole(tiny_base: Base) -> None:
    assert not tiny_base.training and not any(m.training for m in tiny_base.modules())
    assert not any(p.requires_grad for p in tiny_base.parameters())
    assert {p.dtype for p in tiny_base.parameters()} == {torch.float32}
    assert tuple(tiny_base.parts) == FILES
    picture = torch.zeros(1, 3, 32, 32)
    assert tiny_base.latent_shape == tiny_base.compressor.encode(picture).shape[1:]


def test_half_precision_files_are_widened(folder: Path) -> None:
    for name in FILES:
        path = folder / f"{name}.safetensors"
        save_file(
            {k: t.half() if t.is_floating_point() else t for k, t in load_file(path).items()}, path
        )
    assert {p.dtype for p in load_base(folder).parameters()} == {torch.float32}


def test_the_hash_is_of_the_weights(folder: Path) -> None:
    before = base_sha256(folder)
    assert load_base(folder).sha256 == before
    hashes = {
        f"{name}.safetensors": hashlib.sha256(
            (folder / f"{name}.safetensors").read_bytes()
        ).hexdigest()
        for name in FILES
    }
    (folder / "manifest.json").write_text(json.dumps({"sha256": hashes}))
    assert base_sha256(folder) == before  # recorded or computed, the same hash
    (folder / "manifest.json").unlink()
    path = folder / "previewer.safetensors"
    weights = load_file(path)
    first = next(iter(weights))
    save_file(weights | {first: weights[first] + 1}, path)
    assert base_sha256(folder) != before


def test_tokens_are_padded_and_cut(tiny_base: Base) -> None:
    tokens = tiny_base.tokenize(["", "a red square", "a red square " * 9])
    assert tokens.shape == (3, 8)
    assert len({tuple(row.tolist()) for row in tokens}) == 3


def test_text_has_the_shapes_stage_c_wants(tiny_base: Base) -> None:
    text = tiny_base.encode_text([*CAPTIONS, ""])
    assert text.hidden.shape == (4, 8, 16) and text.pooled.shape == (4, 1, 16)
    assert not text.hidden.requires_grad
    part = text[slice(1, 3)]
    assert torch.equal(part.hidden, text.hidden[1:3]) and torch.equal(part.pooled, text.pooled[1:3])
    chosen = text[torch.tensor([2, 0])]
    assert torch.equal(chosen.hidden, text.hidden[[2, 0]])


def test_a_captions_text_does_not_depend_on_its_batch(tiny_base: Base) -> None:
    together, alone = tiny_base.encode_text(CAPTIONS), tiny_base.encode_text(CAPTIONS[1:2])
    torch.testing.assert_close(together.hidden[1:2], alone.hidden)
    torch.testing.assert_close(together.pooled[1:2], alone.pooled)


@pytest.fixture
def inputs(tiny_base: Base) -> tuple[torch.Tensor, torch.Tensor, TextConditioning]:
    draws = torch.Generator().manual_seed(0)
    latents = torch.randn(2, *tiny_base.latent_shape, generator=draws)
    return latents, torch.tensor([0.5, 0.5]), tiny_base.encode_text(CAPTIONS[:2])


@torch.no_grad()
def test_noise_depends_on_all_that_is_given(
    tiny_base: Base, inputs: tuple[torch.Tensor, torch.Tensor, TextConditioning]
) -> None:
    latents, time, text = inputs
    noise = tiny_base.predict_noise(latents, time, text)
    assert noise.shape == latents.shape
    assert torch.equal(noise, tiny_base.predict_noise(latents, time, text))
    others = {
        "latents": tiny_base.predict_noise(latents + 1, time, text),
        "time": tiny_base.predict_noise(latents, time + 0.3, text),
        "hidden": tiny_base.predict_noise(
            latents, time, TextConditioning(text.hidden.flip(0), text.pooled)
        ),
        "pooled": tiny_base.predict_noise(
            latents, time, TextConditioning(text.hidden, text.pooled.flip(0))
        ),
    }
    for name, other in others.items():
        assert (other - noise).abs().max() > 1e-5, f"{name} changes nothing"


@torch.no_grad()
def test_a_rows_noise_is_its_own(
    tiny_base: Base, inputs: tuple[torch.Tensor, torch.Tensor, TextConditioning]
) -> None:
    latents, time, text = inputs
    together = tiny_base.predict_noise(latents, time, text)
    alone = tiny_base.predict_noise(latents[1:], time[1:], text[slice(1, 2)])
    torch.testing.assert_close(together[1:], alone, rtol=1e-4, atol=1e-5)


def test_tokens_can_be_learnt_through(tiny_base_folder: Path) -> None:
    """`encode_tokens` keeps gradients: the world's own training learns its text encoder."""
    base = load_base(tiny_base_folder).requires_grad_(True)
    base.encode_tokens(base.tokenize(CAPTIONS)).pooled.sum().backward()  # type: ignore[no-untyped-call]
    assert any(p.grad is not None for p in base.text_encoder.parameters())


def test_the_quick_norm_is_diffusers_norm() -> None:
    """Values and gradients, a channel of zeros included, where a bare root would give NaN."""
    from diffusers.models.unets.unet_stable_cascade import GlobalResponseNorm

    torch.manual_seed(0)
    original = GlobalResponseNorm(12)  # type: ignore[no-untyped-call]
    for parameter in original.parameters():
        torch.nn.init.normal_(parameter)
    holder = torch.nn.Sequential(original)
    quicken_norms(holder)
    assert isinstance(holder[0], QuickResponseNorm)

    def run(norm: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.randn(3, 4, 4, 12, generator=torch.Generator().manual_seed(1))
        x[..., 5] = 0
        x.requires_grad_()
        output = norm(x)
        (gradient,) = torch.autograd.grad(output.square().sum(), x)
        return output.detach(), gradient

    for ours, theirs in zip(run(holder), run(original), strict=True):
        assert torch.isfinite(ours).all()
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_every_response_norm_of_a_base_is_quick(tiny_base_folder: Path) -> None:
    names = [type(module).__name__ for module in load_base(tiny_base_folder).unet.modules()]
    assert "QuickResponseNorm" in names and "GlobalResponseNorm" not in names
