"""A Stable Cascade and a suite small enough for tests: real classes, random weights, flat images.

Run as a script it trains and kills itself: `tiny_cascade.py METHOD BASE OUTPUT
STEP|never [KEY=VALUE]...`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from ppdbench.data.images import encode_png
from ppdbench.data.pickapic import write_pairs
from ppdbench.protocols import (
    Caption,
    PaperRow,
    PreferencePair,
    RewardInfo,
    RewardSpec,
    SamplingSpec,
    Split,
)
from trainers.encoded import relabel
from trainers.shapes.tokenizer import write_tokenizer
from trainers.stable_cascade.base_files import FILES
from trainers.stable_cascade.compressor import SemanticCompressor
from trainers.stable_cascade.stage_c import Base
from trainers.training import loop

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 60, 220)}
CAPTIONS = [f"a {colour} square" for colour in COLOURS]
CHANNELS = {"clip": 0, "aesthetic": 1, "hps": 2}
SIDE = 32
"""Of the pictures, in pixels."""
STAGE_C: dict[str, Any] = {
    "in_channels": 4,
    "out_channels": 4,
    "timestep_ratio_embedding_dim": 16,
    "patch_size": 1,
    "conditioning_dim": 16,
    "block_out_channels": (32, 32),
    "num_attention_heads": (2, 2),
    "down_num_layers_per_block": (1, 1),
    "up_num_layers_per_block": (1, 1),
    "down_blocks_repeat_mappers": (1, 1),
    "up_blocks_repeat_mappers": (1, 1),
    "clip_text_in_channels": 16,
    "clip_text_pooled_in_channels": 16,
    "clip_image_in_channels": 16,
    "clip_seq": 2,
    "dropout": (0.1, 0.1),
    "switch_level": (False,),
}


def write_base(folder: Path, *, seed: int = 0) -> Path:
    """Write a base folder with random weights."""
    tokenizer = folder / "tokenizer"
    write_tokenizer([*CAPTIONS, ""], tokenizer, context_length=8)
    vocabulary = json.loads((tokenizer / "vocab.json").read_text())
    text = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "projection_dim": 16,
        "max_position_embeddings": 8,
        "vocab_size": len(vocabulary),
        "bos_token_id": len(vocabulary) - 2,
        "eos_token_id": len(vocabulary) - 1,
        "pad_token_id": len(vocabulary) - 1,
    }
    flat = torch.zeros(1, 3, SIDE, SIDE)
    latents = SemanticCompressor(STAGE_C["in_channels"]).eval().encode(flat)
    config = {"latent_side": latents.shape[-1], "stage_c": STAGE_C, "text_encoder": text}
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    base = Base(config, tokenizer)
    parts = (base.unet, base.text_encoder, base.compressor, base.previewer)
    for name, part in zip(FILES, parts, strict=True):
        tensors = {key: value.contiguous() for key, value in part.state_dict().items()}
        save_file(tensors, folder / f"{name}.safetensors")
    return folder


@dataclass
class TinySuite:
    """A suite of flat pictures; each of its rewards is the mean of one colour channel."""

    folder: Path
    name: str = "tiny"
    version: str = "1"
    digest: str = "0" * 64
    sampling: SamplingSpec = field(
        default_factory=lambda: SamplingSpec(
            width=SIDE,
            height=SIDE,
            steps=2,
            guidance_scale=2.0,
            shift=1.0,
            rescale=0.0,
            clip_x0=3.0,
        )
    )
    baseline: str = "stable-cascade"
    opponents: tuple[str, ...] = ()
    upper_bounds: Mapping[str, str] = field(default_factory=dict)
    paper: tuple[PaperRow, ...] = ()
    notes: tuple[str, ...] = ()

    def captions(self, split: Split) -> Sequence[Caption]:  # noqa: ARG002
        return [Caption(id=str(i), text=text, category="") for i, text in enumerate(CAPTIONS)]

    def rewards(self) -> Sequence[RewardSpec]:
        return [
            RewardSpec(name=f"{name}{suffix}", kind=name, checkpoint=self.folder, gold=gold)
            for gold, suffix in ((False, ""), (True, "-gold"))
            for name in CHANNELS
        ]

    def classifier(self, device: str) -> None:  # noqa: ARG002
        return None

    people = None
    vlm = ""

    def pairs(self, split: Split) -> Path:
        file = self.folder / f"{split}.parquet"
        if not file.is_file():
            write_pairs(file, self._make_pairs())
        return file

    def _make_pairs(self) -> Iterator[PreferencePair]:
        rng = np.random.default_rng(0)
        for number in range(24):
            first, second = (
                encode_png(
                    Image.fromarray(rng.integers(0, 256, (1, 1, 3), np.uint8)).resize((32, 32))
                )
                for _ in range(2)
            )
            label = (0.0, 1.0, 0.5)[number % 3]
            yield PreferencePair(
                id=str(number),
                caption=CAPTIONS[number % len(CAPTIONS)],
                image_0=first,
                image_1=second,
                label_0=1 - label,
                label_1=label,
                user_id=number % 4,
            )


class ChannelReward:
    """The mean of one colour channel."""

    def __init__(self, spec: RewardSpec) -> None:
        if spec.gold:
            raise AssertionError("a gold reward was loaded for training")
        self.info = RewardInfo(
            name=spec.name, kind=spec.kind, checkpoint_sha256=spec.kind, preprocess="mean"
        )

    def score(self, images: Sequence[Image.Image], captions: Sequence[str]) -> NDArray[np.float64]:
        channel = CHANNELS[self.info.kind]
        assert len(images) == len(captions)
        return np.array([np.asarray(image)[..., channel].mean() for image in images])


def use_channel_rewards(patch: Any) -> None:
    """Put `ChannelReward` in place of the entry points; `patch` is `setattr` or a monkeypatch's."""
    patch(relabel, "load_reward", lambda spec, _device: ChannelReward(spec))


class Log:
    """Remembers what a trainer said."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, name: str, total: int) -> None: ...

    def advance(self, n: int = 1) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


OVERRIDES = [
    "steps=6",
    "batch_size=4",
    "optimizer.lr=1e-2",
    "optimizer.warmup=2",
    "checkpoint_every=2",
    "log_every=2",
    "validation.captions=2",
    "validation.every=0",
    "objective.user_dropout=0.2",
    "data.caption_dropout=0.2",
]


def run_training(method: str, base: Path, output: Path, overrides: Sequence[str] = ()) -> Path:
    """Train a method on the tiny suite, whose pairs lie beside the output."""
    from trainers import diffusion_dpo, diffusion_kto, ppd, sft
    from trainers.config_file import CONFIGS

    recipes: dict[str, Any] = {
        "ppd": ppd,
        "sft": sft,
        "diffusion-dpo": diffusion_dpo,
        "diffusion-kto": diffusion_kto,
    }
    recipe = recipes[method]
    suite = TinySuite(output.parent)
    result: Path = recipe.train(
        suite,
        output=output,
        config=CONFIGS / "shapes" / f"{method}.yaml",
        overrides=[*OVERRIDES, f"base={base}", *overrides],
        device="cpu",
        events=Log(),
    )
    return result


def at_step(step: int, act: Callable[[], None]) -> Callable[..., None]:
    """In place of `loop._tell`: acts once a step is done, before its state is saved."""
    tell = loop._tell

    def told(job: Any, log: Any, row: Any, state: Any, started: Any) -> None:
        tell(job, log, row, state, started)
        if state.step == step:
            act()

    return told


if __name__ == "__main__":
    method, base, output, step, *settings = sys.argv[1:]
    use_channel_rewards(setattr)
    torch.set_num_threads(1)
    if step != "never":
        loop._tell = at_step(int(step), lambda: os.kill(os.getpid(), signal.SIGKILL))
    run_training(method, Path(base), Path(output), settings)
