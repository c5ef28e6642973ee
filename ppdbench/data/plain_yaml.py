"""YAML as plain data: a stranger's text that can name nothing, repeat nothing and grow nothing.

Anchors, aliases and tags are refused, and so are deep nesting, many nodes and a key that is there
twice; dates stay text. Read with libyaml where PyYAML has it. Elsewhere: what an entry.yaml must
say (`entries.schema`), and the info.yaml of a folder of pictures (`generators.images_info`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

DEEPEST = 24
MOST_NODES = 60_000
LARGEST = 10**300
"""Of a whole number; Python itself refuses to print one of more than 4,300 digits."""
_TIMESTAMP = "tag:yaml.org,2002:timestamp"

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Loader(_Base):  # type: ignore[misc]  # one of two, by what PyYAML was built with
    """Safe, and a date is a text."""


def _bounded_int(loader: Any, node: Any) -> int:
    """A whole number that can be written again, and be a float."""
    number: int = loader.construct_yaml_int(node)
    if abs(number) >= LARGEST:
        raise ValueError(f"line {node.start_mark.line + 1}: a number of more than 300 digits")
    return number


_Loader.add_constructor("tag:yaml.org,2002:int", _bounded_int)
_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for letter, resolvers in _Base.yaml_implicit_resolvers.items()
}


def parse_yaml(data: bytes) -> Any:
    """What a document says, as dicts, lists, text and numbers.

    Raises:
        ValueError: it is not UTF-8, no YAML, or uses what plain data does not; names the line.
    """
    text = data.decode("utf-8")
    if "\r" in text:
        raise ValueError("its lines end in carriage returns; a line ends in a newline alone")
    try:
        _require_plain(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            _require_distinct(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        said = getattr(error, "problem", None) or getattr(error, "reason", None) or "it is no YAML"
        raise ValueError(f"{place}{said}") from error


def write_yaml(value: Any) -> str:
    """`value` as a document that `parse_yaml` reads back to the last bit; keys in their order."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, indent=2
    )
    return text


def _require_plain(text: str) -> None:
    """Refuse by events alone, before a node is made."""
    depth = nodes = 0
    events: Iterable[Any] = yaml.parse(text, Loader=_Loader)
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"line {line}: an alias; write it out")
        if isinstance(event, yaml.NodeEvent):
            nodes += 1
            if event.anchor is not None:
                raise ValueError(f"line {line}: an anchor; write it out")
            if getattr(event, "tag", None) is not None:
                raise ValueError(f"line {line}: a tag; values are text and numbers")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise ValueError(f"line {line}: nested deeper than {DEEPEST}")
        if nodes > MOST_NODES:
            raise ValueError(f"line {line}: more than {MOST_NODES:,} values")


def _require_distinct(node: Any) -> None:
    """Refuse a key that one mapping has twice: readers would differ in which of them counts."""
    if isinstance(node, yaml.MappingNode):
        known = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError(f"line {line}: a key is no text")
            if key.value in known:
                raise ValueError(f"line {line}: the key {key.value[:60]!r} is there twice")
            known.add(key.value)
            _require_distinct(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _require_distinct(value)
