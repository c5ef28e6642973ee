"""Weights in transformers' names give the embeddings that transformers gives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

from ppdbench.errors import PpdbenchError
from ppdbench.protocols import RewardSpec
from ppdbench.rewards import clip, pickscore
from ppdbench.rewards.hf_clip import is_hf_clip, to_open_clip
from ppdbench.rewards.preprocess import ClipRecipe

CONTEXT = 77
CAPTIONS = [
    "a small red circle on a teal background",
    "salt &amp; pepper",
    " ".join(["a very long caption"] * 30),
]
CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {
        "image_size": 32,
        "patch_size": 8,
        "width": 32,
        "layers": 2,
        "head_width": 16,
    },
    "text_cfg": {
        "context_length": CONTEXT,
        "vocab_size": 49408,
        "width": 32,
        "heads": 2,
        "layers": 2,
    },
}


@pytest.fixture(scope="module")
def original() -> CLIPModel:
    shared = {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 128}
    torch.manual_seed(3)
    model: CLIPModel = CLIPModel(
        CLIPConfig(
            text_config={
                **shared,
                "num_attention_heads": 2,
                "vocab_size": 49408,
                "hidden_act": "gelu",
                "projection_dim": 24,
            },
            vision_config={
                **shared,
                "num_attention_heads": 2,
                "image_size": 32,
                "patch_size": 8,
                "hidden_act": "gelu",
                "projection_dim": 24,
            },
            projection_dim=24,
        )
    )
    model.eval()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        model.logit_scale.fill_(3.0)
    return model


@pytest.fixture
def folder(original: CLIPModel, tmp_path: Path) -> Path:
    save_file(
        {name: tensor.contiguous() for name, tensor in original.state_dict().items()},
        tmp_path / "model.safetensors",
    )
    (tmp_path / "config.json").write_text(json.dumps({"model_cfg": CONFIG}))
    return tmp_path


def features(found: object) -> torch.Tensor:
    """transformers 5 wraps what transformers 4 returned."""
    pooled = getattr(found, "pooler_output", found)
    assert isinstance(pooled, torch.Tensor)
    return torch.nn.functional.normalize(pooled, dim=-1)


def test_pickscore_is_transformers_recipe(original: CLIPModel, folder: Path) -> None:
    pictures = [Image.effect_noise((40, 31), 80).convert("RGB") for _ in range(3)]
    reward = pickscore.load(RewardSpec(name="p", kind="pickscore", checkpoint=folder), "cpu")
    assert isinstance(reward.recipe, ClipRecipe)
    pixels = reward.recipe(pictures)
    tokens = reward.tower.tokenizer(CAPTIONS)
    with torch.no_grad():
        image = features(original.get_image_features(pixel_values=pixels))
        text = features(original.get_text_features(input_ids=tokens))
        expected = original.logit_scale.exp() * (image * text).sum(dim=-1)
    torch.testing.assert_close(reward.tower.encode_images(pixels), image, atol=1e-6, rtol=0)
    torch.testing.assert_close(reward.tower.encode_texts(CAPTIONS), text, atol=1e-6, rtol=0)
    scores = torch.from_numpy(reward.score(pictures, CAPTIONS))
    torch.testing.assert_close(scores, expected.double(), atol=1e-4, rtol=0)
    assert scores.abs().max() > 0.5  # the scale of 20 is in it


def test_every_weight_has_its_place(original: CLIPModel) -> None:
    state = original.state_dict()
    assert is_hf_clip(state)
    renamed = to_open_clip(state)
    assert not is_hf_clip(renamed)
    counted = sum(tensor.numel() for name, tensor in state.items() if "position_ids" not in name)
    assert sum(tensor.numel() for tensor in renamed.values()) == counted
    assert to_open_clip(renamed).keys() == renamed.keys()


def test_incomplete_weights_are_refused(original: CLIPModel, folder: Path) -> None:
    spec = RewardSpec(name="c", kind="clip", checkpoint=folder)
    for lost in ("vision_model.encoder.layers.1.self_attn.k_proj.bias", "text_projection.weight"):
        state = {name: tensor.contiguous() for name, tensor in original.state_dict().items()}
        del state[lost]
        save_file(state, folder / "model.safetensors")
        with pytest.raises(PpdbenchError, match="another model's weights"):
            clip.load(spec, "cpu").score([Image.new("RGB", (8, 8))], ["a"])


@pytest.mark.parametrize("side", [41, 43, 62])
def test_pickscore_crops_where_transformers_does(side: int, folder: Path) -> None:
    try:  # transformers 5 keeps the Pillow form beside its torchvision one
        from transformers.models.clip.image_processing_pil_clip import (
            CLIPImageProcessorPil as Processor,
        )
    except ModuleNotFoundError:
        from transformers import CLIPImageProcessor as Processor  # type: ignore[assignment]

    reward = pickscore.load(RewardSpec(name="p", kind="pickscore", checkpoint=folder), "cpu")
    assert isinstance(reward.recipe, ClipRecipe)
    processor = Processor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    for size in ((side, 32), (32, side), (side, side), (3 * side, 97)):
        picture = Image.effect_noise(size, 90).convert("RGB")
        expected = processor(picture, return_tensors="pt")["pixel_values"][0]
        torch.testing.assert_close(reward.recipe([picture])[0], expected, atol=1e-6, rtol=0)
    odd = Image.effect_noise((35, 32), 90).convert("RGB")  # 3 columns are cut off: 1 or 2 left
    rounding = replace(reward.recipe, crop="round")
    assert (reward.recipe([odd]) - rounding([odd])).abs().max() > 0.1
    assert reward.recipe.identity != rounding.identity
