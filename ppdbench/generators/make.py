"""From names to generators: the models that a command names, and the suite's baseline."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ppdbench import plugins
from ppdbench.errors import PpdbenchError, UsageError
from ppdbench.protocols import Generator, LoadContext, Suite

BASE = "base"
"""What the baseline of any suite may be called."""
OF = "of"
"""Setting by which a generator that wraps another one names it."""


def make_generators(models: Sequence[str], suite: Suite, device: str) -> dict[str, Generator]:
    """The models and the suite's baseline, by the names in records; no weights are loaded.

    Args:
        models: registered names, one that takes an argument with it after a colon (adapter:DIR), or
            package.module:attr; "base" is the baseline; of none there is no baseline either.
        suite: what they draw for.
        device: where.

    Raises:
        UsageError: no generator has a name, or two are the same one.
        MissingPrerequisite: weights, or a module, are not there.
        PpdbenchError: a plug-in is broken, or describes itself by what is not JSON.
    """
    return make_named([*models, suite.baseline] if models else [], suite, device)


def make_named(names: Sequence[str], suite: Suite, device: str) -> dict[str, Generator]:
    """These generators and no other, each once, in order; arguments as of `make_generators`.

    Raises:
        UsageError: no generator has a name, or two are the same one.
        MissingPrerequisite: weights, or a module, are not there.
        PpdbenchError: a plug-in is broken, or describes itself by what is not JSON.
    """
    wanted = list(dict.fromkeys(suite.baseline if name == BASE else name for name in names))
    found = dict(_make(name, suite, device) for name in wanted)
    if len(found) != len(wanted):
        raise UsageError(
            f"two of {', '.join(wanted)} have one name in records",
            fix="name each once; of adapters that are alike in method, beta, step and seed, "
            "give one a name of its own (docs/plug-in.md)",
        )
    return found


def _make(name: str, suite: Suite, device: str) -> tuple[str, Generator]:
    """A generator under the name it has in records.

    That is its own where more than a name was given, and where it wraps another generator, of which
    the name alone says nothing: `best-of-n` may be of any model and any n.
    """
    plain, argument = _parted(name)
    generator = plugins.make(
        "generators",
        plain,
        LoadContext(suite=suite, device=device, argument=argument),
        called=f"generator {name!r}",
        fix="mend its factory",
    )
    if not isinstance(generator, Generator):
        raise PpdbenchError(
            f"{name!r} gives no generator: `info` or `generate` is missing",
            fix="let it be a function of a LoadContext that returns a Generator",
        )
    info = generator.info
    if argument and info.name == plain:  # it did not listen
        raise UsageError(f"generator {plain!r} takes no argument", fix=f"name it as {plain}")
    try:  # now, not after hours of drawing: all of it goes into spec.json and summary.json
        json.dumps(
            [info.version, info.revision, info.licence, dict(info.settings)], allow_nan=False
        )
    except (TypeError, ValueError) as error:
        raise PpdbenchError(
            f"generator {name!r} describes itself by what is not JSON: {error}",
            fix="let its `info` hold text, numbers, lists and dicts only",
        ) from error
    wraps = OF in info.settings
    return (info.name if wraps or ":" in name else name), generator


def _parted(name: str) -> tuple[str, str]:
    """A registered name and what follows its colon; package.module:attr is a name as it is."""
    plain, _, argument = name.partition(":")
    return (plain, argument) if plain in plugins.names("generators") else (name, "")


def base(context: LoadContext) -> Generator:
    """Entry point `ppdbench.generators: base`: the suite's baseline, under its own name.

    Raises:
        UsageError: something follows its name.
    """
    if context.argument:
        raise UsageError(f"{BASE} takes no argument", fix=f"name it as {BASE}")
    return _make(context.suite.baseline, context.suite, context.device)[1]
