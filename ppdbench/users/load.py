"""From an encoder's name to a `UserEncoder`, by entry point; options may follow the name.

    llava-onevision:layer=-2,max_new_tokens=64

An option is a keyword-only argument of the factory, its value read as the annotation says. The
whole name is the encoder's, whatever it calls itself, so that whoever is told it (an adapter's
header) makes the same again.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_type_hints

from ppdbench import plugins
from ppdbench.errors import MissingPrerequisite, PpdbenchError, UsageError, one_line, unknown_name
from ppdbench.protocols import GeneratorInfo, LoadContext, UserEncoder
from ppdbench.rewards.sharding import shards
from ppdbench.runs.device import resolve

if TYPE_CHECKING:
    from pydantic import TypeAdapter


def make_encoder(name: str, context: LoadContext) -> UserEncoder:
    """Make the encoder that a plug-in registers, for a suite and a device.

    Under `accelerate launch` each process makes its own, on the device it was given.

    Args:
        name: of the entry point: "onehot", "clip-pairs", "llava-onevision"; with options after a
            colon: "llava-onevision:layer=-2".
        context: the suite, and "auto", "cpu", "cuda", "cuda:1", "mps".

    Raises:
        UsageError: no encoder plug-in has that name, or it has no such option or value.
        MissingPrerequisite: its weights, or a module it needs, are not there.
        PpdbenchError: the plug-in is broken.
    """
    device = shards(context.device).device or resolve(context.device)
    called = f"encoder {name!r}"
    plain, _, asked = name.partition(":")
    encoder = plugins.make(
        "encoders",
        plain,
        replace(context, device=device),
        called=called,
        fix="mend its factory",
        options=_options(plain, asked) if plain != name else None,
    )
    if not isinstance(encoder, UserEncoder):
        raise PpdbenchError(
            f"{called} gives no encoder: `info` or `encode` is missing",
            fix="let it be a function of a LoadContext that returns a UserEncoder",
        )
    try:
        if encoder.info.name != name:
            encoder.info = replace(encoder.info, name=name)
    except (AttributeError, TypeError) as error:  # frozen, or no EncoderInfo
        raise PpdbenchError(
            f"{called} cannot be given that name: {one_line(error)}",
            fix="let its `info` be an EncoderInfo, and an attribute that can be set",
        ) from error
    try:  # now, not after hours of embedding: all of it is recorded
        json.dumps(asdict(encoder.info), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PpdbenchError(
            f"{called} describes itself by what is not JSON: {error}",
            fix="make its info of text, numbers and plain lists",
        ) from error
    return encoder


def _options(name: str, asked: str) -> dict[str, Any]:
    """What "layer=-2,max_new_tokens=64" says, as arguments of an encoder's factory.

    Raises:
        UsageError: it is no list of options, or the factory has no such option or value.
        PpdbenchError: the plug-in is broken.
    """
    known = _known_options(name)
    if not known:
        raise UsageError(f"encoder {name!r} has no options", fix=f"write {name} alone")
    found: dict[str, Any] = {}
    for text in asked.split(","):
        option, equals, value = (part.strip() for part in text.partition("="))
        if not option or not equals or option in found:
            wrong = "is given twice" if option in found else "is no option with a value"
            raise UsageError(
                f"encoder {name!r}: {text!r} {wrong}",
                fix=f"write {name}:option=value, with commas between; options: {', '.join(known)}",
            )
        if option not in known:
            raise unknown_name(f"option of encoder {name!r}", option, known)
        found[option] = plugins.read_option(f"encoder {name!r}", option, value, known[option])
    return found


def _known_options(name: str) -> Mapping[str, TypeAdapter[Any]]:
    """The options of an encoder's factory, and what reads their values."""
    from pydantic import TypeAdapter

    factory = plugins.load("encoders", name)
    try:
        told = {
            each.name: str if each.annotation is each.empty else each.annotation
            for each in inspect.signature(factory).parameters.values()
            if each.kind is each.KEYWORD_ONLY
        }
        # Of these alone: the others are often imported for the type checker only.
        types = get_type_hints(
            SimpleNamespace(__annotations__=told), globalns=getattr(factory, "__globals__", {})
        )
        return {option: TypeAdapter(types[option]) for option in told}
    except Exception as error:  # a stranger's annotations may be anything
        raise PpdbenchError(
            f"the options of encoder {name!r} cannot be read: {one_line(error)}",
            fix="mend the annotations of its factory: importable names of plain types",
        ) from error


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
