"""From an encoder's name to a `UserEncoder`, by entry point."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from ppdbench import plugins
from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.protocols import GeneratorInfo, LoadContext, UserEncoder
from ppdbench.rewards.sharding import shards
from ppdbench.runs.device import resolve


def make_encoder(name: str, context: LoadContext) -> UserEncoder:
    """Make the encoder that a plug-in registers, for a suite and a device.

    Under `accelerate launch` each process makes its own, on the device it was given.

    Args:
        name: of the entry point: "onehot", "clip-pairs", "llava-onevision".
        context: the suite, and "auto", "cpu", "cuda", "cuda:1", "mps".

    Raises:
        UsageError: no encoder plug-in has that name.
        MissingPrerequisite: its weights, or a module it needs, are not there.
        PpdbenchError: the plug-in is broken.
    """
    device = shards(context.device).device or resolve(context.device)
    called = f"encoder {name!r}"
    encoder = plugins.make(
        "encoders", name, replace(context, device=device), called=called, fix="mend its factory"
    )
    if not isinstance(encoder, UserEncoder):
        raise PpdbenchError(
            f"{called} gives no encoder: `info` or `encode` is missing",
            fix="let it be a function of a LoadContext that returns a UserEncoder",
        )
    try:  # now, not after hours of embedding: all of it is recorded
        json.dumps(asdict(encoder.info), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PpdbenchError(
            f"{called} describes itself by what is not JSON: {error}",
            fix="make its info of text, numbers and plain lists",
        ) from error
    return encoder


def check_revision(info: GeneratorInfo, encoder: UserEncoder) -> None:
    """Check that a generator was trained on what this encoder says of users.

    Raises:
        MissingPrerequisite: on an encoder of the same name with other weights, prompts or settings.
    """
    trained_on, here = info.encoder_revision, encoder.info.revision
    if trained_on is not None and trained_on != here:
        raise MissingPrerequisite(
            f"{info.name} was trained on another {encoder.info.name} (revision {trained_on[:12]}, "
            f"the one here is {here[:12]})",
            fix="give the encoder that it was trained on, or train it anew",
        )
