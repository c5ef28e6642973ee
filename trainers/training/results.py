"""What a training leaves in its folder: adapter, model card, loss plot, pictures, manifest.

The manifest is taken away first and written last: with it the folder is this run's, to the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppdbench.protocols import Suite
from ppdbench.runs.atomic import write_atomic, write_json
from ppdbench.runs.fingerprint import fingerprint
from trainers.adapters.checkpoints import save_adapter
from trainers.adapters.header import ADAPTER_FILE, AdapterHeader, Embedding, UserVector
from trainers.adapters.model_card import model_card
from trainers.config import TrainConfig, as_mapping, to_yaml
from trainers.encoded.latents import file_sha256
from trainers.stable_cascade.user_attention import attention_blocks
from trainers.training.job import METRICS_FILE, TOLERATED, Job
from trainers.training.loss_plot import plot_losses
from trainers.training.metrics import read_metrics
from trainers.training.sharding import whole

MANIFEST_FILE = "manifest.json"


def has_results(folder: Path) -> bool:
    """Whether a training to the end left its results in the folder."""
    return all((folder / name).is_file() for name in (ADAPTER_FILE, MANIFEST_FILE))


def begin_results(job: Job) -> None:
    """Before the first step: write the configuration, take away what another run left.

    With an old manifest, a kill after the last step would pass another run's adapter for this
    one's.
    """
    (job.output / MANIFEST_FILE).unlink(missing_ok=True)
    write_atomic(job.output / "config.yaml", to_yaml(job.config))


def write_results(
    job: Job,
    suite: Suite,
    header: AdapterHeader,
    command: str,
    held_out: Mapping[str, float],
    seconds: float,
) -> None:
    """After the last step: write everything that a run leaves; the main process writes.

    Args:
        job: the finished run; its policy holds the adapter to keep.
        suite: what it was trained on.
        header: what the adapter's file says of itself.
        command: what was asked for, for the manifest.
        held_out: figures on validation pairs.
        seconds: time spent on steps.
    """
    config, adapter = job.config, job.policy.adapter
    tensors = whole(adapter.tensors())
    adapter.eval()
    job.validate(job.total_steps)
    if not job.accelerator.is_main_process:
        return
    metrics = read_metrics(job.output / METRICS_FILE)
    plot_losses(job.output / "loss.png", metrics)
    save_adapter(job.output, tensors, header)
    published = job.policy.base.published
    held_out = {name: round(value, 6) for name, value in held_out.items()}  # card and manifest
    card = model_card(header, config, metrics, held_out, seconds, published=published)
    write_atomic(job.output / "README.md", card)
    write_json(
        job.output / MANIFEST_FILE,
        {
            "schema_version": 1,
            "sha256": {ADAPTER_FILE: file_sha256(job.output / ADAPTER_FILE)},
            "command": command,
            "seed": config.seed,
            "steps": job.total_steps,
            "data": {
                "suite": suite.name,
                "version": suite.version,
                "pairs_sha256": job.cache.pairs_sha256,
            },
            "base_sha256": job.policy.base.sha256,
            "seconds": round(seconds, 1),
            "figures": held_out,
        },
    )


def adapter_header(
    job: Job,
    suite: Suite,
    rewards: tuple[str, ...],
    user_vector: UserVector,
    embedding: Embedding | None,
    facts: Mapping[str, Any],
) -> AdapterHeader:
    """What the adapter's file says of itself.

    Args:
        job: the run.
        suite: what it was trained on.
        rewards: names of the user vector's entries, in order.
        user_vector: what the adapter's user vector means.
        embedding: of what it is made, where it is an embedding.
        facts: further facts of the method.
    """
    config, base, train = job.config, job.policy.base, job.examples
    blocks = attention_blocks(base.unet)
    return AdapterHeader(
        method=config.method,
        base_sha256=base.sha256,
        shape=job.policy.adapter.shape,
        width=max(int(block.to_q.out_features) for block in blocks.values()),
        user_vector=user_vector,
        rewards=rewards,
        unconditional_user=config.sampling.unconditional_user,
        embedding=embedding,
        facts={
            "suite": suite.name,
            "suite_version": suite.version,
            "seed": config.seed,
            "settings": _settings_digest(config),
            "steps": job.total_steps,
            "batch_size": config.batch_size,
            "reward": config.reward,
            "examples": len(train),
            "left_out": {name: dict(why) for name, why in train.left_out.items()},
            "pairs_sha256": job.cache.pairs_sha256,
            **facts,
        },
    )


def _settings_digest(config: TrainConfig) -> str:
    """12 hex digits over all settings that decide what is learnt, but for the seed."""
    settings = as_mapping(config)
    for key in (*TOLERATED, "config.seed"):
        *path, last = key.removeprefix("config.").split(".")
        inner = settings
        for name in path:
            inner = inner[name]
        inner.pop(last, None)  # a later setting is not there at its default
    return fingerprint(settings)
