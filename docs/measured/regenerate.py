"""Every measured number of README and docs, regenerated from the record that it follows from.

`claims.yaml` has, for each sentence or row of a table, the words around its numbers and where these
come from: a run of a command in `commands.yaml` (whose figures are kept in `figures/`), an entry of
leaderboards/ or a measurement in perf/results/.

    python docs/measured/regenerate.py                    say which numbers are others now
    python docs/measured/regenerate.py --write            write them into the documents
    python docs/measured/regenerate.py --run [NAME ...]   run the commands again, keep their figures
    python docs/measured/regenerate.py --keep NAME=RUN    keep the figures of a finished run
    python docs/measured/regenerate.py --unclaimed FILE   lines with numbers that no claim is about
"""

from __future__ import annotations

import argparse
import json
import operator
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"
NUMBER = rf"[+{MINUS}]?\d[\d,]*(?:\.\d+)?"
FIGURE = rf"({NUMBER}(?: \[{NUMBER}(?:{DASH}| to ){NUMBER}\]| \({NUMBER}{DASH}{NUMBER}\))?)"
"""A number, with its interval or its range."""
SCALES = {"percent": 100.0, "points": 100.0, "plain": 1.0, "signed": 1.0, "count": 1.0}
SIGNED = ("points", "signed")
STEPS = {" - ": operator.sub, " / ": operator.truediv}


class Wrong(Exception):
    """A claim that cannot be held against its document or its source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """Where a number comes from, and how it is written."""

    scale: str
    """Of `SCALES`."""
    places: int
    """Behind the point."""
    with_: str
    """"ci", "range" or "": what stands in brackets behind it."""
    path: str
    """Keys joined by dots; two such paths with " - " or " / " between them."""
    source: str
    """"run:NAME", "entry:NAME" or "perf:NAME"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Words of a document with numbers between them."""

    document: str
    text: str
    """With `{}` in the place of each number."""
    values: tuple[Value, ...]

    def found_in(self, text: str) -> re.Match[str]:
        """Where the document says it, whatever its numbers are."""
        parts = [re.escape(part) for part in self.text.split("{}")]
        if len(parts) != len(self.values) + 1:
            raise Wrong(f"{self.document}: {self.text!r}: {len(self.values)} values")
        found = list(re.finditer(FIGURE.join(parts), text))
        if len(found) != 1:
            raise Wrong(f"{self.document} says {len(found)} times: {self.text}")
        return found[0]


# --- what is claimed --------------------------------------------------------------------------


def read_claims() -> list[Claim]:
    """All of claims.yaml."""
    documents = yaml.safe_load((HERE / "claims.yaml").read_text(encoding="utf-8"))
    return [
        Claim(
            document=document,
            text=each["text"],
            values=tuple(
                read_value(value, each.get("from", ""))
                for written in each["values"]
                for value in spread(written)
            ),
        )
        for document, listed in documents.items()
        for each in listed
    ]


def read_value(text: str, source: str) -> Value:
    """`percent1_ci PATH` or `percent1 PATH @ SOURCE`."""
    written, _, path = text.partition(" ")
    path, _, other = path.partition(" @ ")
    found = re.fullmatch(r"([a-z]+)(\d)(?:_(ci|range))?", written)
    if found is None or found[1] not in SCALES or not (other or source):
        raise Wrong(f"claims.yaml: {text!r} is no value")
    return Value(
        scale=found[1],
        places=int(found[2]),
        with_=found[3] or "",
        path=path.strip(),
        source=other or source,
    )


def spread(text: str) -> Iterator[str]:
    """`a.{b,c}` as `a.b` and `a.c`."""
    parts = re.split(r"[{}]", text)
    choices = [part.split(",") if at % 2 else [part] for at, part in enumerate(parts)]
    return ("".join(chosen) for chosen in product(*choices))


# --- where numbers come from -------------------------------------------------------------------


def source_file(source: str) -> Path:
    """The record that a source names."""
    kind, _, name = source.partition(":")
    files = {
        "run": HERE / "figures" / f"{name}.json",
        "entry": ROOT / "leaderboards/shapes" / name / "summary.json",
        "perf": ROOT / "perf/results" / f"{name}.json",
    }
    if kind not in files:
        raise Wrong(f"claims.yaml: {source!r} is no source")
    return files[kind]


class Sources:
    """The records, each read once."""

    def __init__(self) -> None:
        self._read: dict[str, Mapping[str, Any]] = {}

    def number(self, source: str, path: str) -> float:
        """The number at a path, or the difference or ratio of two."""
        for sign, step in STEPS.items():
            if sign in path:
                left, right = path.split(sign)
                found: float = step(self.number(source, left), self.number(source, right))
                return found
        if source not in self._read:
            self._read[source] = json.loads(source_file(source).read_bytes())
        found = at(self._read[source], path)
        if not isinstance(found, int | float):
            raise Wrong(f"{source}: {path} is no number")
        return found

    def bounds(self, source: str, path: str, with_: str) -> tuple[float, float]:
        """Those of an interval or a range."""
        low, high = bound_paths(self._read[source], path, with_)
        return self.number(source, low), self.number(source, high)


def bound_paths(record: Mapping[str, Any], path: str, with_: str) -> tuple[str, str]:
    """Where the bounds of a number stand: beside it, under a name that goes with its own."""
    parent, _, last = path.rpartition(".")
    if with_ == "range":
        return f"{parent}.min", f"{parent}.max"
    for stem in (f"{last}_ci", last.replace("win_rate", "ci"), "ci"):
        low, high = (f"{parent}.{stem}_{side}" for side in ("low", "high"))
        if has(record, low) and has(record, high):
            return low, high
    raise Wrong(f"{path} has no interval")


def has(record: Mapping[str, Any], path: str) -> bool:
    """Whether something lies at a path."""
    try:
        at(record, path)
    except Wrong:
        return False
    return True


def at(found: Any, path: str) -> Any:
    """What lies at a path.

    Keys may have dots in them: of those that fit, the longest one is taken. Of a list `field=value`
    takes the only element of which that is so.
    """
    rest = path.split(".")
    while rest:
        for end in range(len(rest), 0, -1):
            key = ".".join(rest[:end])
            chosen = _chosen(found, key)
            if len(chosen) == 1:
                found, rest = chosen[0], rest[end:]
                break
        else:
            raise Wrong(f"there is no {path}")
    return found


def _chosen(found: Any, key: str) -> list[Any]:
    if isinstance(found, dict):
        return [found[key]] if key in found else []
    if isinstance(found, list):
        field, _, value = key.partition("=")
        return [each for each in found if isinstance(each, dict) and str(each.get(field)) == value]
    return []


# --- how they are written ----------------------------------------------------------------------


def written(value: Value, sources: Sources) -> str:
    """The number as the documents write it, with its interval or range behind it."""
    scale = SCALES[value.scale]
    number = scale * sources.number(value.source, value.path)
    text = shown(number, value.places, signed=value.scale in SIGNED)
    if not value.with_:
        return text
    low, high = (scale * each for each in sources.bounds(value.source, value.path, value.with_))
    signed = value.scale in SIGNED and low < 0
    between = " to " if signed else DASH
    inside = between.join(shown(each, value.places, signed=signed) for each in (low, high))
    return f"{text} ({inside})" if value.with_ == "range" else f"{text} [{inside}]"


def shown(number: float, places: int, *, signed: bool) -> str:
    """With a true minus, and commas between thousands."""
    text = f"{abs(number):,.{places}f}"
    if not text.strip("0.,"):
        return text
    return f"{MINUS if number < 0 else '+' if signed else ''}{text}"


# --- documents -----------------------------------------------------------------------------------


def check(*, write: bool) -> list[str]:
    """Numbers that are others than their source's; put right where `write`."""
    sources, wrong = Sources(), []
    texts: dict[str, str] = {}
    for claim in read_claims():
        text = texts.setdefault(claim.document, (ROOT / claim.document).read_text(encoding="utf-8"))
        try:
            found = claim.found_in(text)
            right = [written(value, sources) for value in claim.values]
        except (Wrong, KeyError, OSError) as error:
            wrong.append(f"{claim.document}: {claim.text}: {error}")
            continue
        said = claim.text.format(*found.groups())
        true = claim.text.format(*right)
        if said != true:
            wrong.append(
                f"{claim.document} says: {said}\n{' ' * len(claim.document)}    now: {true}"
            )
            texts[claim.document] = text[: found.start()] + true + text[found.end() :]
    if write:
        for document, text in texts.items():
            (ROOT / document).write_text(text, encoding="utf-8")
    return wrong


def unclaimed(document: str) -> list[str]:
    """Lines of a document, each with what no claim is about, where numbers are left in it."""
    text = (ROOT / document).read_text(encoding="utf-8")
    rest = list(text)
    for claim in read_claims():
        if claim.document == document:
            found = claim.found_in(text)
            for group in range(1, len(claim.values) + 1):
                rest[found.start(group) : found.end(group)] = "_" * len(found[group])
    lines = re.sub(
        r"^```.*?^```$|\]\([^)]*\)|`[^`]*`|https?://\S+", "", "".join(rest), flags=re.S | re.M
    )
    return [line for line in lines.splitlines() if re.search(r"\d", line)]


# --- running --------------------------------------------------------------------------------------


def commands() -> dict[str, str]:
    """Name -> command of the runs that claims are about."""
    found: dict[str, str] = yaml.safe_load((HERE / "commands.yaml").read_text(encoding="utf-8"))
    return found


def run(names: Iterable[str]) -> None:
    """Run commands as they are written and keep their figures; a killed one goes on."""
    for name in names:
        command = commands()[name]
        sys.stderr.write(f"{name}: {command}\n")
        done = subprocess.run([*shlex.split(command), "--json"], stdout=subprocess.PIPE, check=True)
        keep(name, json.loads(done.stdout))


def keep(name: str, summary: Mapping[str, Any]) -> None:
    """Keep of a run what claims are about."""
    figures: Mapping[str, Any] = summary["benchmarks"]
    wanted: set[str] = set()
    for value in (each for claim in read_claims() for each in claim.values):
        if value.source == f"run:{name}":
            paths = re.split("|".join(map(re.escape, STEPS)), value.path)
            wanted.update(paths)
            if value.with_:
                wanted.update(bound_paths(figures, paths[0], value.with_))
    facts = ("created", "ppdbench", "suite", "suite_version", "suite_digest", "n_ok", "n_expected")
    kept: dict[str, Any] = {"command": commands()[name]}
    kept |= {fact: summary[fact] for fact in facts if fact in summary}
    kept |= {path: at(figures, path) for path in sorted(wanted)}
    file = HERE / "figures" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 where a number is another one now."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--run", nargs="*", metavar="NAME")
    parser.add_argument("--keep", action="append", default=[], metavar="NAME=RUN")
    parser.add_argument("--unclaimed", metavar="FILE")
    asked = parser.parse_args(arguments)
    if asked.run is not None:
        run(asked.run or commands())
    for each in asked.keep:
        name, _, folder = each.partition("=")
        keep(name, json.loads((Path(folder) / "summary.json").read_bytes()))
    if asked.unclaimed:
        sys.stdout.writelines(f"{line}\n" for line in unclaimed(asked.unclaimed))
        return 0
    wrong = check(write=asked.write)
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong and not asked.write else 0


if __name__ == "__main__":
    sys.exit(main())
