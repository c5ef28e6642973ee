"""Training configurations: frozen dataclasses, a docstring under each setting.

What a run used is saved whole beside its adapter as `config.yaml`, and loads again. Elsewhere: from
YAML and overrides to these, and what does not go together (`config_file.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from trainers.objectives import LossWeight, Reduction, Utility
from trainers.stable_cascade.adapter_shape import UnconditionalUser

POPULATION_METHOD = "diffusion-dpo"
"""The method that hears no users."""
OF_USERS = ("ip-adapter", "ppd-learnt")
"""Methods that hear users always: their own configuration names the encoder."""
KTO_METHOD = "diffusion-kto"
"""The method whose loss depends on which rows are in one forward."""
WITH_DISPERSION = ("ppd", "ppd-learnt")
"""Methods that can keep learnt embeddings of users apart."""

LATER: Mapping[str, Any] = {
    "epochs": None,
    "base_precision": None,
    "draws": "step",
    "reference_cache": False,
    "compile": False,
    "shard": False,
    "optimizer.kind": "adamw",
    "adapter.user_rank": None,
    "objective.dispersion": 0.0,
    "objective.utility": "kahneman-tversky",
    "objective.desirable_share": 0.5,
}
"""Settings that came after runs were recorded -> what those had."""

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]
_settings = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, kw_only=True, config=_settings)
class AdapterConfig:
    """The added layers (`stable_cascade/user_attention.py`)."""

    user_dim: Positive | None = None
    """Length of the user vector: that of the users' embeddings, or without users as many as the
    suite has rewards. None takes it from them; another number is refused."""
    tokens: Annotated[int, Field(ge=2)] = 4
    """User tokens; one alone would leave K' without a gradient."""
    token_dim: Positive = 64
    scale: float = 1.0
    user_rank: Positive | None = None
    """Length of a learnt embedding of each entry of the user vector, from which tokens are made;
    None makes them from the vector itself."""


@dataclass(frozen=True, kw_only=True, config=_settings)
class DataConfig:
    """Which pairs are learnt from."""

    margin_quantile: Share = 0.0
    """Pairs whose reward margin is below this quantile of its reward's margins are left out."""
    caption_dropout: Share = 0.0
    limit: Positive | None = None
    """The first so many pairs only; for trying things out."""


@dataclass(frozen=True, kw_only=True, config=_settings)
class UsersConfig:
    """Whose preferences are learnt: people, by embeddings of what they chose (`people.py`)."""

    encoder: str | None = None
    """The user encoder, options after a colon ("llava-onevision:layer=-2"); None learns from no
    person, but as the method's own labels have it."""
    shots: Positive = 4
    """Pairs in a group that an embedding is made of."""
    groups: Positive | Literal["all"] = "all"
    """Groups a person, the first ones; one of them is drawn each time a pair is learnt from."""


@dataclass(frozen=True, kw_only=True, config=_settings)
class ObjectiveConfig:
    """The loss (`objectives.py`)."""

    beta: Annotated[float, Field(gt=0)] = 0.5
    """The paper's beta."""
    timestep_scale: Annotated[float, Field(gt=0)] = 1000.0
    """The number of timesteps that the paper's loss has beside beta: beta_eff = beta * this."""
    reduction: Reduction = "mean"
    """Whether beta is meant for errors that are means or sums over a latent."""
    share_noise: bool = True
    """One noise for winner and loser (published practice), or two (PPD Eq. 6)."""
    loss_weight: LossWeight = "constant"
    user_dropout: Share = 0.0
    """Share of draws in which the null user stands in for the user."""
    dispersion: Annotated[float, Field(ge=0)] = 0.0
    """ppd and ppd-learnt, with `adapter.user_rank`: weight of a loss that keeps the learnt
    embeddings of a batch's users apart (`objectives.dispersion_loss`)."""
    utility: Utility = "kahneman-tversky"
    """diffusion-kto only: of what an image gains over the reference point."""
    desirable_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """diffusion-kto only: weight of the preferred images, as if they were drawn this often."""


@dataclass(frozen=True, kw_only=True, config=_settings)
class TimestepConfig:
    """How timesteps are drawn, 1 = noise."""

    distribution: Literal["uniform", "logit-normal"] = "uniform"
    mean: float = 0.0
    std: Annotated[float, Field(gt=0)] = 1.0
    stratified: bool = True
    """One timestep in each of batch_size equal slices of probability: less noise, same mean."""


@dataclass(frozen=True, kw_only=True, config=_settings)
class OptimizerConfig:
    """AdamW, warm-up, then a constant or cosine learning rate."""

    kind: Literal["adamw", "fused", "8bit"] = "adamw"
    """torch's AdamW; the same in one kernel, where the device has it; or bitsandbytes' with its
    two moments in 8 bits (`training/optimizer.py`)."""
    lr: Annotated[float, Field(gt=0)] = 3e-4
    betas: tuple[Share, Share] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    warmup: Annotated[int, Field(ge=0)] = 20
    schedule: Literal["constant", "cosine"] = "cosine"
    final_lr: Share = 0.1
    """The cosine's end, as a share of lr."""
    grad_clip: Annotated[float, Field(gt=0)] | None = 1.0
    ema: Share | None = None
    """Decay of the adapter's moving average, which is then what is saved and drawn with."""


@dataclass(frozen=True, kw_only=True, config=_settings)
class SamplingConfig:
    """What sampling needs to know beside the suite's own settings; saved with the adapter."""

    unconditional_user: UnconditionalUser = "null-user"
    """Who the empty-caption half of guidance is drawn for: the null user, the user, or nobody,
    by the base with the adapter off."""


@dataclass(frozen=True, kw_only=True, config=_settings)
class ValidationConfig:
    """Pictures on validation captions, base beside every user, and figures on validation pairs."""

    every: Annotated[int, Field(ge=0)] = 0
    """Steps between two grids; 0 draws one at the end only."""
    captions: Annotated[int, Field(ge=0)] = 6
    """Rows of the grid; 0 draws none."""
    pairs: Annotated[int, Field(ge=0)] = 512
    """Pairs of the validation split on which the trained adapter is measured; 0 measures none."""


@dataclass(frozen=True, kw_only=True, config=_settings)
class TrainConfig:
    """One training run, whole."""

    method: Literal["ppd", "sft", "diffusion-dpo", "diffusion-kto", "ip-adapter", "ppd-learnt"]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    steps: Positive | None = None
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Walks over the table of examples, in place of `steps`, which has the last word."""
    batch_size: Positive
    """Pairs a step (images, for sft), over all processes."""
    micro_batch: Positive | None = None
    """Pairs a forward on one process; the rest of the batch is accumulated. None: all at once."""
    base: Path | None = None
    """Folder or hub name of the base model; None is the one shipped for the suite, or else the
    published weights where they lie on this machine (`bases.py`)."""
    base_precision: Literal["float32", "bfloat16"] | None = None
    """How the frozen base is held; None is bfloat16 for a published one and float32 for ours. What
    encodes and decodes pictures, and the adapter, are in float32 always."""
    draws: Literal["step", "pair"] = "step"
    """What timestep, noise and caption dropout are a function of: the step and row, or the pair
    and how often it was met, whatever the method, the batch and the number of processes."""
    reference_cache: bool = False
    """Keep the base's losses beside the encoded pairs and read those that are there; needs
    `draws: pair` (`training/reference_cache.py`)."""
    reward: str | None = None
    """diffusion-dpo only: relabel by this reward, instead of the population's labels."""
    reward_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """With `reward`, the share of `steps` taken: as many pairs of it as PPD sees of it."""
    adapter: AdapterConfig = Field(default_factory=AdapterConfig)
    users: UsersConfig = Field(default_factory=UsersConfig)
    data: DataConfig = Field(default_factory=DataConfig)
    objective: ObjectiveConfig = Field(default_factory=ObjectiveConfig)
    timesteps: TimestepConfig = Field(default_factory=TimestepConfig)
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    sampling: SamplingConfig = Field(default_factory=SamplingConfig)
    validation: ValidationConfig = Field(default_factory=ValidationConfig)
    precision: Literal["float32", "bfloat16"] = "float32"
    gradient_checkpointing: bool = False
    compile: bool = False
    """Compile the UNet's blocks (`training/compiled.py`)."""
    shard: bool = False
    """Split base, adapter and optimizer over the processes, FSDP (`training/sharding.py`)."""
    checkpoint_every: Positive = 50
    keep_every: Annotated[int, Field(ge=0)] = 0
    """Steps between two adapters that are kept, under `steps/`; 0 keeps the last one alone."""
    log_every: Positive = 50
    tracker: Literal["tensorboard", "wandb"] | None = None
    """Sends the metrics there too, through accelerate; metrics.jsonl is always written."""

    @property
    def total_steps(self) -> int:
        """Steps really taken, of a run whose `steps` are set."""
        return self.steps_over(0)

    def steps_over(self, examples: int) -> int:
        """Steps really taken over a table: `steps` or `epochs`, of one reward `reward_share`."""
        steps = self.steps
        if steps is None:
            steps = math.ceil((self.epochs or 0) * examples / self.batch_size)
        return steps if self.reward is None else max(1, round(steps * self.reward_share))


def as_mapping(config: TrainConfig) -> dict[str, Any]:
    """Plain nested values of a configuration, as YAML and JSON know them.

    Without users it has no section of them, and a setting of `LATER` is in it only where it is
    not as it was before there was one: a run's identity is then what it was.
    """
    plain = asdict(config)
    if config.users.encoder is None:
        del plain["users"]
    for key, default in LATER.items():
        *path, last = key.split(".")
        inner = plain
        for name in path:
            inner = inner[name]
        if inner[last] == default:
            del inner[last]
    plain["base"] = None if config.base is None else str(config.base)
    plain["optimizer"]["betas"] = list(config.optimizer.betas)
    return plain


def to_yaml(config: TrainConfig) -> str:
    """The configuration as YAML that `load_config` reads back."""
    return yaml.safe_dump(as_mapping(config), sort_keys=False)
