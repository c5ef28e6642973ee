"""From a YAML file and `a.b=c` overrides to a `TrainConfig`; what is unknown or unheard is refused.

Elsewhere: the settings themselves (`config.py`), the files that ship (`configs/`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ppdbench.data.plain_yaml import parse_yaml
from ppdbench.errors import UsageError, one_line
from trainers.config import (
    KTO_METHOD,
    LATER,
    OF_USERS,
    POPULATION_METHOD,
    WITH_DISPERSION,
    TrainConfig,
)

CONFIGS = Path(__file__).parent / "configs"


def load_config(path: Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a YAML file and lay overrides such as `optimizer.lr=1e-4` over it.

    Raises:
        UsageError: no such file, not YAML, an unknown key (the nearest ones are named), a value
            of the wrong kind.
    """
    try:
        loaded = parse_yaml(path.read_bytes().replace(b"\r\n", b"\n"))
    except OSError as error:
        raise UsageError(
            f"the configuration {path} cannot be read: {error.strerror or error}",
            fix="give an existing YAML file with --config FILE",
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{path} is not YAML of keys and values: {one_line(error)}", fix="correct that line"
        ) from error
    if not isinstance(loaded, dict):
        raise UsageError(f"{path} is not a mapping of keys to values", fix="see trainers/configs")
    for override in overrides:
        _override(loaded, override)
    return parse_config(loaded, source=str(path))


def parse_config(loaded: Mapping[str, Any], *, source: str) -> TrainConfig:
    """Check a mapping and make the dataclass of it.

    Args:
        loaded: settings, as a configuration's YAML has them.
        source: names them in errors.

    Raises:
        UsageError: a setting is unknown, of another type, or does not go with another.
    """
    known = dict(_keys(TrainConfig))
    for key in _given(loaded, known):
        if key not in known:
            raise _unknown(key, known, source)
    try:
        config = TypeAdapter(TrainConfig).validate_python(loaded)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"{source}: {where}: {first['msg']}", fix=f"give {where} another value"
        ) from error
    _check_together(config, source)
    _check_method(config, source)
    if config.users.encoder is None and config.method in OF_USERS:
        raise UsageError(
            f"{source}: {config.method} hears users, and users.encoder names no encoder",
            fix="give --users ENCODER, or leave its own configuration as it is",
        )
    if config.users.encoder is not None:
        if config.method == POPULATION_METHOD:
            raise _no_users(source)
        if config.data.margin_quantile:
            raise UsageError(
                f"{source}: data.margin_quantile is about margins of rewards, people's choices "
                "have none",
                fix="set data.margin_quantile=0",
            )
    return config


def _check_method(config: TrainConfig, source: str) -> None:
    """See that no setting is given that the method does not look at, and that would go unheard.

    Raises:
        UsageError: one is.
    """
    objective = config.objective
    given: list[tuple[str, tuple[str, ...]]] = []
    if config.reward is not None:
        given.append(("reward", (POPULATION_METHOD,)))
    if objective.dispersion:
        given.append(("objective.dispersion", WITH_DISPERSION))
    for name in ("utility", "desirable_share"):
        if getattr(objective, name) != LATER[f"objective.{name}"]:
            given.append((f"objective.{name}", (KTO_METHOD,)))
    for key, methods in given:
        if config.method not in methods:
            raise UsageError(
                f"{source}: {key} is for {' and '.join(methods)} only, the method is "
                f"{config.method}",
                fix=f"leave {key} out, or give --method {methods[0]}",
            )


def _check_together(config: TrainConfig, source: str) -> None:
    """See that settings that need each other are there.

    Raises:
        UsageError: they are not.
    """
    if config.steps is None and config.epochs is None:
        raise UsageError(f"{source}: neither steps nor epochs is set", fix="set steps=N")
    if config.reference_cache and config.draws != "pair":
        raise UsageError(
            f"{source}: reference_cache needs noise that is a function of the pair",
            fix="set draws=pair, or reference_cache=false",
        )
    if config.draws == "pair" and config.timesteps.stratified:
        raise UsageError(
            f"{source}: timesteps.stratified spreads a step's timesteps, but draws: pair draws "
            "each pair's alone",
            fix="set timesteps.stratified=false",
        )
    dispersion = config.objective.dispersion
    if dispersion and (config.adapter.user_rank is None or config.shard):
        raise UsageError(
            f"{source}: objective.dispersion keeps learnt embeddings apart, which needs "
            "adapter.user_rank and an adapter that is not split over processes",
            fix="set objective.dispersion=0, or adapter.user_rank=16 shard=false",
        )
    if config.optimizer.kind == "8bit" and config.shard:
        raise UsageError(
            f"{source}: an optimizer in 8 bits cannot be split over processes",
            fix="set shard=false, or optimizer.kind=fused",
        )
    if config.compile and config.shard:
        raise UsageError(
            f"{source}: compile and shard do not go together", fix="set one of them to false"
        )


def resolve(method: str, suite: str, path: Path | None, overrides: Sequence[str]) -> TrainConfig:
    """The configuration of a command: the file given or the suite's own, with overrides.

    The suite's own is `<method>.yaml`, and `<method>-users.yaml` where an override of
    `users.encoder` asks for users; the methods of `OF_USERS` have the first alone.

    Raises:
        UsageError: as `load_config`; none is shipped for the suite; it is another method's; the
            method has no users.
    """
    if path is None:
        users = _asks_for_users(overrides)
        if users and method == POPULATION_METHOD:
            raise _no_users("users.encoder")
        name = f"{method}-users" if users and method not in OF_USERS else method
        path = CONFIGS / suite / f"{name}.yaml"
        if not path.is_file():
            raise UsageError(
                f"no configuration is shipped for {name} on {suite}", fix="give --config FILE"
            )
    config = load_config(path, overrides)
    if config.method != method:
        raise UsageError(
            f"{path} is a configuration of {config.method}, not of {method}",
            fix=f"give --method {config.method}, or another file",
        )
    return config


def _asks_for_users(overrides: Sequence[str]) -> bool:
    given: dict[str, Any] = {}
    for override in overrides:
        _override(given, override)
    users = given.get("users")
    return isinstance(users, dict) and users.get("encoder") is not None


def _no_users(source: str) -> UsageError:
    return UsageError(
        f"{source}: {POPULATION_METHOD} learns what all people prefer, it hears no users",
        fix="leave --users out, or give --method ppd: the same loss for the user it hears",
    )


def _keys(kind: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys of a config dataclass; a section's own key maps to its class."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        name, hint = f"{prefix}{field.name}", hints[field.name]
        if is_dataclass(hint):
            yield name, hint
            yield from _keys(hint, f"{name}.")
        else:
            yield name, None


def _unknown(key: str, known: Mapping[str, Any], source: str) -> UsageError:
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    section = key.rpartition(".")[0]
    beside = [name for name in known if name.rpartition(".")[0] == section]
    place = f"in {section}" if section else "at the top"
    return UsageError(
        f"{source}: unknown key {key}", fix=f"{hint}known {place}: {', '.join(beside)}"
    )


def _given(loaded: Mapping[str, Any], known: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in loaded.items():
        name = f"{prefix}{key}"
        yield name
        if known.get(name) is not None and isinstance(value, dict):
            yield from _given(value, known, f"{name}.")


def _override(loaded: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"{text!r} is no override", fix="write key=value, as in optimizer.lr=1e-4")
    *sections, last = key.split(".")
    place = loaded
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise UsageError(f"{key}: {section} holds a value, no keys", fix="see trainers/configs")
    try:
        place[last] = parse_yaml(value.encode())
    except ValueError as error:
        raise UsageError(f"the value of {text[:200]!r} is not YAML", fix="quote it") from error
