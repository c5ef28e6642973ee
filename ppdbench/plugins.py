"""Plug-ins by entry point: listed without importing, loaded when used, named when broken.

Groups are `ppdbench.encoders`, `ppdbench.generators`, `ppdbench.judges`, `ppdbench.preparers`,
`ppdbench.rewards`, `ppdbench.suites` and `ppdbench.trainers`; what each entry point must name is
said in `protocols`.
A generator may also be given as "package.module:attr"; what comes after the colon of a registered
name, as of "adapter:DIR", its caller parts from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

from ppdbench.errors import PpdbenchError, UsageError, missing_module, unknown_name
from ppdbench.protocols import SuiteFiles

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Group = Literal[
    "encoders", "generators", "judges", "preparers", "rewards", "suites", "trainers"
]  # fmt: skip


def names(group: Group) -> list[str]:
    """Registered names of a group, sorted; imports no plug-in."""
    return sorted({entry.name for entry in entry_points(group)})


def load(group: Group, name: str) -> Any:
    """What the entry point of that name names: a factory, a loader, a function.

    Raises:
        UsageError: no plug-in has that name, or two distributions claim it for different things.
        MissingPrerequisite: it needs a module that is not installed.
        PpdbenchError: importing it failed in another way; the plug-in and its distribution are
            named, and the exception is the cause.
    """
    entry = _find(group, name)
    kind = group.removesuffix("s")
    origin = f"{kind} {name!r} of {entry.dist.name if entry.dist else entry.module}"
    try:
        return entry.load()
    except PpdbenchError:
        raise
    except ModuleNotFoundError as error:
        if entry.dist is None and error.name and f"{entry.module}.".startswith(f"{error.name}."):
            raise UsageError(
                f"no module is called {error.name!r}",
                fix=f"mend {name!r}, or install its package (or put its folder in PYTHONPATH)",
            ) from error
        raise missing_module(origin, error) from error
    except Exception as error:  # a stranger's module may raise anything when imported
        raise PpdbenchError(
            f"{origin} cannot be imported: {type(error).__name__}: {error}",
            fix=f"mend {entry.value}, or uninstall it; --debug shows the traceback",
        ) from error


def make(
    group: Group,
    name: str,
    *arguments: Any,
    called: str,
    fix: str,
    options: Mapping[str, Any] | None = None,
) -> Any:
    """What a plug-in's factory or loader returns for these arguments.

    Args:
        group: the plug-in's group.
        name: the entry point's name.
        arguments: passed on.
        called: what is made, as an error calls it: "reward 'clip'".
        fix: what to do where making it fails.
        options: passed on by name.

    Raises:
        PpdbenchError: as `load`, or what the plug-in raised, whatever it was, with `called` before
            it and the exception as cause.
    """
    factory = load(group, name)
    try:
        return factory(*arguments, **(options or {}))
    except PpdbenchError:
        raise
    except ModuleNotFoundError as error:
        raise missing_module(called, error) from error
    except Exception as error:  # a stranger's code may raise anything; it is named as its own
        raise PpdbenchError(
            f"{called} cannot be made: {type(error).__name__}: {error}",
            fix=f"{fix}; --debug shows the traceback",
        ) from error


def read_option(owner: str, option: str, text: str, reader: TypeAdapter[Any]) -> Any:
    """The value of an option that follows a plug-in's name: -2 of "llava-onevision:layer=-2".

    Args:
        owner: whose option, as an error calls it: "encoder 'llava-onevision'".
        option: its name.
        text: its value, as it was typed.
        reader: reads it as its type says.

    Raises:
        UsageError: it is no such value.
    """
    from pydantic import ValidationError

    try:
        return reader.validate_strings(text)
    except ValidationError as error:
        raise UsageError(
            f"{owner}: {option} cannot be {text!r}: {error.errors()[0]['msg']}",
            fix=f"give {option} another value, or leave it out",
        ) from error


def make_suite(name: str, files: SuiteFiles | None = None) -> Any:
    """The suite of that name, with the files that the user supplies; raises as `make`."""
    supplied = files or SuiteFiles()
    return make("suites", name, supplied, called=f"suite {name!r}", fix="mend its factory")


def origin(group: Group, name: str) -> str:
    """Distribution and version a plug-in comes from, without importing it; raises as `load`."""
    entry = _find(group, name)
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module


def entry_points(group: Group) -> list[metadata.EntryPoint]:
    """The installed entry points of a group; the one door to them, which tests replace."""
    return list(metadata.entry_points(group=f"ppdbench.{group}"))


def _find(group: Group, name: str) -> metadata.EntryPoint:
    if group == "generators" and ":" in name:
        _, _, attribute = name.partition(":")
        if not attribute or not metadata.EntryPoint.pattern.fullmatch(name):
            raise UsageError(
                f"{name!r} is no package.module:attr", fix="write it as package.module:attr"
            )
        return metadata.EntryPoint(name=name, value=name, group="ppdbench.generators")
    found = {entry.value: entry for entry in entry_points(group) if entry.name == name}
    if not found:
        raise unknown_name(group.removesuffix("s"), name, names(group))
    if len(found) > 1:
        raise UsageError(
            f"{len(found)} plug-ins are called {name!r}: {', '.join(sorted(found))}",
            fix="uninstall all but one of them",
        )
    return next(iter(found.values()))
