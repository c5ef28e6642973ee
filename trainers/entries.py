"""The reference entries by their names, as the entry points of pyproject.toml find them.

Elsewhere: the generator that each of them is (`generator.py`), how each was trained (`ppd.py` and
its siblings).
"""

from __future__ import annotations

import math
from pathlib import Path

from ppdbench.errors import MissingPrerequisite, UsageError
from ppdbench.protocols import Generator, LoadContext
from trainers.adapters.header import ADAPTER_FILE
from trainers.assets import model_folder
from trainers.generator import CascadeGenerator


def _trained(context: LoadContext, name: str, how: str, *, scale: float | None = None) -> Generator:
    """An entry with the weights that ship, or else those that its own command left.

    Args:
        context: for whom.
        name: of the entry and of its folder.
        how: what trains it, after `ppdbench train-reference`.
        scale: as `CascadeGenerator` has it; it is part of the name then.

    Raises:
        MissingPrerequisite: neither is there.
    """
    suite = context.suite.name
    shipped, own = model_folder(suite, name), Path("trained") / suite / name
    for folder in (shipped, own):
        if (folder / ADAPTER_FILE).is_file():
            called = name if scale is None else f"{name}-scale-{scale:g}"
            return CascadeGenerator(context, called, adapter=folder, scale=scale)
    raise MissingPrerequisite(
        f"{name} does not ship its weights for the suite {suite!r}, and {own} does not hold them",
        fix=f"train it: ppdbench train-reference --suite {suite} {how} --output {own}; "
        "or name the folder of an adapter: --model adapter:DIR",
    )


def _for_reward(context: LoadContext, name: str) -> Generator:
    """Diffusion-DPO for the reward whose upper bound the suite says that this entry is."""
    bounds = context.suite.upper_bounds
    reward = next((reward for reward, entry in bounds.items() if entry == name), "REWARD")
    return _trained(context, name, f"--method diffusion-dpo reward={reward}")


def adapter(context: LoadContext) -> Generator:
    """The adapter of any folder, `adapter:DIR`: a training's, or one that was kept on the way.

    Raises:
        UsageError: no folder is named.
        MissingPrerequisite: there is no adapter in it.
    """
    if not context.argument:
        raise UsageError("adapter names no folder", fix="write it as adapter:DIR")
    folder = Path(context.argument).expanduser()
    if not (folder / ADAPTER_FILE).is_file():
        raise MissingPrerequisite(
            f"no adapter can be read from {folder}: it has no {ADAPTER_FILE}",
            fix="name what ppdbench train-reference wrote: its --output, or a folder in its steps/",
        )
    return CascadeGenerator(context, None, adapter=folder)


def stable_cascade(context: LoadContext) -> Generator:
    """The base alone: what every adapter is compared with."""
    return CascadeGenerator(context, "stable-cascade", adapter=None)


def ppd(context: LoadContext) -> Generator:
    """PPD; hears reward weights, and people by their embeddings."""
    return _trained(context, "ppd", "--method ppd")


def ppd_onehot(context: LoadContext) -> Generator:
    """PPD for training people by their ids: it cannot serve anyone else."""
    return _trained(context, "ppd-onehot", "--method ppd --users onehot")


def ppd_clip_pairs(context: LoadContext) -> Generator:
    """PPD for people by differences of their shots' CLIP embeddings."""
    return _trained(context, "ppd-clip-pairs", "--method ppd --users clip-pairs")


def sft_llava_onevision(context: LoadContext) -> Generator:
    """Supervised fine-tuning on each person's own preferred images, heard by embeddings."""
    return _trained(context, "sft-llava-onevision", "--method sft --users llava-onevision")


def sft(context: LoadContext) -> Generator:
    """Supervised fine-tuning on the population's preferred images."""
    return _trained(context, "sft", "--method sft")


def diffusion_dpo(context: LoadContext) -> Generator:
    """Diffusion-DPO on the population's labels."""
    return _trained(context, "diffusion-dpo", "--method diffusion-dpo")


def diffusion_dpo_clip(context: LoadContext) -> Generator:
    """Diffusion-DPO on the labels of CLIP alone, its upper bound."""
    return _for_reward(context, "diffusion-dpo-clip")


def diffusion_dpo_aesthetic(context: LoadContext) -> Generator:
    """Diffusion-DPO on the labels of the aesthetic reward alone, its upper bound."""
    return _for_reward(context, "diffusion-dpo-aesthetic")


def diffusion_dpo_hps(context: LoadContext) -> Generator:
    """Diffusion-DPO on the labels of HPS alone, its upper bound."""
    return _for_reward(context, "diffusion-dpo-hps")


def diffusion_kto(context: LoadContext) -> Generator:
    """Diffusion-KTO on the population's labels."""
    return _trained(context, "diffusion-kto", "--method diffusion-kto")


def kto_llava_onevision(context: LoadContext) -> Generator:
    """Diffusion-KTO on what each person prefers and does not, heard by embeddings."""
    how = "--method diffusion-kto --users llava-onevision"
    return _trained(context, "kto-llava-onevision", how)


def ip_adapter(context: LoadContext) -> Generator:
    """IP-Adapter on the pictures that a person likes; `ip-adapter:scale=0.5` hears them less.

    Raises:
        UsageError: something else follows its name.
        MissingPrerequisite: its weights are not there.
    """
    scale = None
    if context.argument:
        option, _, value = context.argument.partition("=")
        try:
            scale = float(value)
        except ValueError:
            scale = math.nan
        if option.strip() != "scale" or not 0 <= scale <= 2:
            raise UsageError(
                f"ip-adapter takes a scale from 0 to 2, not {context.argument!r}",
                fix="write it as ip-adapter:scale=0.5, or ip-adapter alone",
            )
    return _trained(context, "ip-adapter", "--method ip-adapter", scale=scale)


def ppd_learnt(context: LoadContext) -> Generator:
    """PPD with a learnt embedding of each training person; others are combinations of these."""
    return _trained(context, "ppd-learnt", "--method ppd-learnt")
