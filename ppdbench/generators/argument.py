"""What follows the colon of a built-in generator's name: a target, then options after commas.

    diffusers:DIR,steps=30        best-of-n:ppd,n=4        best-of-n:diffusers:DIR,steps=30,n=4

Options are taken off the end as long as their names are this generator's own, so that a target may
have commas and options of its own, as another generator's name has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from ppdbench import plugins
from ppdbench.errors import UsageError, unknown_name


def target_and_options(
    name: str, argument: str, types: Mapping[str, Any], *, nested: bool = False
) -> tuple[str, dict[str, Any]]:
    """The target of an argument, and the options given with it, read as their types say.

    Args:
        name: the generator's, for errors.
        argument: `LoadContext.argument`.
        types: option -> type of its value, as pydantic understands it.
        nested: the target is another generator's name, whose options are its own affair.

    Raises:
        UsageError: an option is unknown, given twice, or has a value of another type.
    """
    target, found = argument, {}
    while True:
        rest, comma, last = target.rpartition(",")
        option, equals, value = (part.strip() for part in last.partition("="))
        if equals and option in types:
            if option in found:
                raise UsageError(f"{name}: {option} is given twice", fix="give it once")
            found[option] = plugins.read_option(name, option, value, TypeAdapter(types[option]))
            target = rest if comma else ""
            continue
        if comma and equals and option.isidentifier() and not nested:
            raise unknown_name(f"option of {name}", option, types)
        return target, found
