"""The published sizes, on the meta device: parameters, attention blocks, adapters, key names.

What a part's keys are was taken from the original's own code (`perf/parity/stable_cascade.py`),
which leaves a hash a part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from published_layout import original_unet
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from trainers.stable_cascade import sizes
from trainers.stable_cascade.adapter_shape import AdapterShape
from trainers.stable_cascade.decoder import paella
from trainers.stable_cascade.efficientnet_compressor import EfficientNetCompressor
from trainers.stable_cascade.full_previewer import FullPreviewer
from trainers.stable_cascade.original_files import (
    stage_a_sizes,
    stage_a_tensors,
    stage_b_sizes,
    stage_c_sizes,
    unet_tensors,
)
from trainers.stable_cascade.stage_c import quicken_norms
from trainers.stable_cascade.unet import CascadeUNet
from trainers.stable_cascade.user_attention import UserAdapter, attention_blocks

PARITY = Path(__file__).parents[3] / "perf" / "results" / "stable_cascade_parity.json"
STAGE_A = {
    "bottleneck_blocks": 12,
    "embed_dim": 384,
    "latent_channels": 4,
    "num_vq_embeddings": 8192,
    "scale_factor": sizes.STAGE_A_SCALE,
}


def on_meta(name: str) -> nn.Module:
    """A part at its full size; it takes no memory."""
    part, _, size = name.partition(" ")
    made: dict[str, Callable[[], nn.Module]] = {
        "stage_c": lambda: CascadeUNet(**sizes.stage_c(cast(sizes.StageCSize, size))),
        "stage_b": lambda: CascadeUNet(**sizes.stage_b(cast(sizes.StageBSize, size))),
        "stage_a": lambda: paella()(**STAGE_A),
        "effnet_encoder": EfficientNetCompressor,
        "previewer": FullPreviewer,
    }
    with torch.device("meta"):
        return made[part]()


def count(module: nn.Module) -> int:
    return sum(tensor.numel() for tensor in module.parameters())


@pytest.mark.parametrize(
    ("size", "parameters", "blocks", "widest", "bottleneck"),
    [
        # K' and V' of every block: 2 c^2 at d_u = c, and 2 c d_u at d_u = 512.
        ("3.6b", 3_589_103_632, 64, 536_870_912, 134_217_728),
        ("1b", 1_030_785_040, 32, 150_994_944, 50_331_648),
    ],
)
def test_stage_c_and_its_adapter_have_their_published_size(
    size: sizes.StageCSize, parameters: int, blocks: int, widest: int, bottleneck: int
) -> None:
    unet = on_meta(f"stage_c {size}")
    found = attention_blocks(unet)
    width = sizes.stage_c(size)["conditioning_dim"]
    assert count(unet) == parameters and len(found) == blocks
    assert {int(block.to_q.out_features) for block in found.values()} == {width}
    assert {block.heads for block in found.values()} == {width // sizes.HEAD}
    for token_dim, wanted in ((width, widest), (512, bottleneck)):
        with torch.device("meta"):
            adapter = UserAdapter(
                AdapterShape(user_dim=3584, token_dim=token_dim), dict.fromkeys(found, width)
            )
        assert count(adapter.blocks) == wanted


def test_an_adapter_is_attached_to_the_full_size() -> None:
    """Every block hears it, and the norms that `Base` puts in change no key."""
    unet = on_meta("stage_c 1b")
    before = {name: tensor.shape for name, tensor in unet.state_dict().items()}
    quicken_norms(unet)
    assert {name: tensor.shape for name, tensor in unet.state_dict().items()} == before
    with torch.device("meta"):
        adapter = UserAdapter(
            AdapterShape(user_dim=3584, token_dim=512), dict.fromkeys(attention_blocks(unet), 1536)
        )
    adapter.attach(unet)
    named = {name.rpartition(".to_")[0] for name in adapter.tensors() if ".to_" in name}
    assert named == set(attention_blocks(unet))
    with pytest.raises(ValueError, match="another UNet"):
        adapter.attach(on_meta("stage_c 3.6b"))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("stage_b 3b", 1_562_941_136),
        ("stage_b 700m", 699_471_248),
        ("stage_a", 18_406_894),
        ("effnet_encoder", 20_197_968),
        ("previewer", 3_979_651),
    ],
)
def test_the_other_parts_have_their_published_size(name: str, parameters: int) -> None:
    assert count(on_meta(name)) == parameters


def test_the_text_encoder_is_clip_bigg() -> None:
    with torch.device("meta"):
        text = CLIPTextModelWithProjection(CLIPTextConfig(**sizes.TEXT_ENCODER))
    keys = text.state_dict()
    assert count(text) == 694_659_840 and len(keys) == 517
    assert keys["text_projection.weight"].shape == (1280, 1280)
    assert keys["text_model.encoder.layers.31.mlp.fc1.weight"].shape == (5120, 1280)
    assert keys["text_model.embeddings.position_embedding.weight"].shape == (77, 1280)


def original_names(name: str, module: nn.Module) -> dict[str, Tensor]:
    """A part's tensors as the original saves them."""
    tensors: dict[str, Tensor] = module.state_dict()
    if name.startswith("stage_c"):
        return original_unet(tensors)
    if name.startswith("stage_b"):
        return original_unet(tensors, clip="clip_mapper")
    if name == "stage_a":
        tensors = dict(tensors)
        tensors["vquantizer.codebook.weight"] = tensors.pop("vquantizer.embedding.weight")
    return tensors


ALL = [
    "stage_c 3.6b",
    "stage_c 1b",
    "stage_b 3b",
    "stage_b 700m",
    "stage_a",
    "effnet_encoder",
    "previewer",
]


@pytest.mark.parametrize("name", ALL)
def test_keys_and_shapes_are_those_that_the_originals_code_saves(name: str) -> None:
    golden = json.loads(PARITY.read_text())["full_size"]
    assert set(golden) == set(ALL)
    named = original_names(name, on_meta(name))
    lines = sorted(f"{key} {'x'.join(map(str, tensor.shape))}" for key, tensor in named.items())
    assert len(lines) == golden[name]["keys"]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == golden[name]["sha256"]


@pytest.mark.parametrize("name", ALL[:5])
def test_an_originals_file_tells_the_size_of_its_model(name: str) -> None:
    """Sizes read from the tensors' shapes make the very model, though no config came with them."""
    module = on_meta(name)
    saved = original_names(name, module)
    if name == "stage_a":
        renamed = stage_a_tensors(saved)
        told = stage_a_sizes(shapes(renamed))
        assert told == STAGE_A
        return
    renamed = unet_tensors(saved)
    told = (stage_c_sizes if name.startswith("stage_c") else stage_b_sizes)(shapes(renamed))
    with torch.device("meta"):
        again = CascadeUNet(**told)
    assert shapes(again.state_dict()) == shapes(module.state_dict()) == shapes(renamed)
    written: dict[str, Any] = dict(module.config)  # type: ignore[arg-type]
    heads = "num_attention_heads"
    differing = {key for key in told if tuple_of(told[key]) != tuple_of(written[key])}
    assert differing <= {heads, "dropout"} and tuple_of(told[heads])[-1] == written[heads][-1]


def shapes(tensors: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def tuple_of(value: Any) -> Any:
    return tuple(map(tuple_of, value)) if isinstance(value, list | tuple) else value


def test_the_measured_parity_is_of_these_models() -> None:
    """What perf/parity found is whole: every part, nothing missed, errors seen."""
    found = json.loads(PARITY.read_text())
    assert found["passed"] and set(found["tiny_width"]) == {name.split()[0] for name in ALL}
    for part in found["tiny_width"].values():
        assert part["relative"] <= found["tolerance_relative"] <= 1e-5
        assert min(part["errors"].values()) >= 1e-4
