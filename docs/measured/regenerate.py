"""Every measured number of README and docs, regenerated from the record that it follows from.

`claims.yaml` has, for each sentence or row of a table, the words around its numbers and where these
come from: a run of a command in `commands.yaml` (whose figures are kept in `figures/`), an entry of
leaderboards/, a measurement in perf/results/ or another file. `settled.yaml` has the numbers that
follow from no record: definitions, settings, limits, papers' figures, and what was measured once.

    python docs/measured/regenerate.py                    say which numbers are others now
    python docs/measured/regenerate.py --write            write them into the documents
    python docs/measured/regenerate.py --run [NAME ...]   run the commands again, keep their figures
    python docs/measured/regenerate.py --keep NAME=RUN    keep the figures of a finished run
    python docs/measured/regenerate.py --unclaimed FILE   lines with numbers that nothing is about

Elsewhere: paths into records, and how a number is written (`sources`).
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from sources import FIGURE, Sources, Value, Wrong, at, bound_paths, read_value, spread, written

ROOT = Path(__file__).resolve().parents[2]
REASONS = {
    "definition": "what a thing is: no run would change it",
    "setting": "what was asked for",
    "limit": "a bound, a bar or a tolerance",
    "paper": "somebody else's figure",
    "arithmetic": "follows from other numbers of the document, and says so",
    "example": "worked out by hand, or made up to explain",
    "held elsewhere": "a test of its own holds it against its source",
    "measured once": "hours, another machine or a profiler: the document says by what",
}
FACTS = ("created", "ppdbench", "suite", "suite_version", "suite_digest", "n_ok", "n_expected")
GAP = " ... "


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Words of a document with numbers between them."""

    document: str
    text: str
    """With `{}` in the place of each number."""
    values: tuple[Value, ...]

    def found_in(self, text: str) -> re.Match[str]:
        """Where the document says it, whatever its numbers are.

        Raises:
            Wrong: It does not, or says it twice, or the claim has other values than places.
        """
        parts = [re.escape(part) for part in self.text.split("{}")]
        if len(parts) != len(self.values) + 1:
            raise Wrong(f"{len(parts) - 1} places, {len(self.values)} values")
        found = list(re.finditer(FIGURE.join(parts), text))
        if len(found) != 1:
            raise Wrong(f"the document says it {len(found)} times")
        return found[0]


# --- what is claimed --------------------------------------------------------------------------


def read_yaml(file: Path) -> Any:
    """What a file says; read once, as it takes a second."""
    return _parsed(file.read_text(encoding="utf-8"))


@cache
def _parsed(text: str) -> Any:
    return yaml.safe_load(text)


def read_claims(root: Path = ROOT) -> list[Claim]:
    """All of claims.yaml.

    Raises:
        Wrong: A value in it cannot be read.
    """
    documents = read_yaml(root / "docs/measured/claims.yaml")
    return [
        Claim(
            document=document,
            text=each["text"],
            values=tuple(
                read_value(value, each.get("from", ""))
                for written_so in each["values"]
                for value in spread(written_so)
            ),
        )
        for document, listed in documents.items()
        for each in listed
    ]


def settled(document: str, root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """Reason -> words of a document whose numbers follow from no record.

    Raises:
        Wrong: A reason is none of `REASONS`.
    """
    listed = read_yaml(root / "docs/measured/settled.yaml")
    for where in ("everywhere", document):
        for reason, fragments in listed.get(where, {}).items():
            if reason not in REASONS:
                raise Wrong(f"settled.yaml: {reason!r} is none of {', '.join(REASONS)}")
            for fragment in fragments:
                if not isinstance(fragment, str):
                    raise Wrong(f"settled.yaml, {where}: {fragment!r} is no text: quote it")
                yield reason, fragment


def pattern_of(fragment: str) -> re.Pattern[str]:
    """Of words whose numbers are whole ones; ` ... ` stands for anything between.

    Between slashes it is a regular expression.
    """
    if fragment[0] == fragment[-1] == "/":
        return re.compile(fragment[1:-1], flags=re.MULTILINE)
    parts = [re.escape(part) for part in fragment.split(GAP)]
    before = r"(?<![\d.,])" if fragment[0].isdigit() else ""
    after = r"(?![\d]|[.,]\d)" if fragment[-1].isdigit() else ""
    return re.compile(before + r".*?".join(parts) + after, flags=re.DOTALL)


# --- documents -----------------------------------------------------------------------------------


def check(*, write: bool, root: Path = ROOT) -> list[str]:
    """Numbers that are others than their source's; put right where `write`."""
    sources, wrong = Sources(root), []
    texts: dict[str, str] = {}
    for claim in read_claims(root):
        if claim.document not in texts:
            texts[claim.document] = (root / claim.document).read_text(encoding="utf-8")
        text = texts[claim.document]
        try:
            found = claim.found_in(text)
            right = [written(value, sources) for value in claim.values]
        except Wrong as error:
            wrong.append(f"{claim.document}: {claim.text.strip()}: {error}")
            continue
        said = claim.text.format(*found.groups())
        true = claim.text.format(*right)
        if said != true:
            gap = " " * len(claim.document)
            wrong.append(f"{claim.document} says: {said.strip()}\n{gap}  now: {true.strip()}")
            texts[claim.document] = text[: found.start()] + true + text[found.end() :]
    if write:
        for document, text in texts.items():
            (root / document).write_text(text, encoding="utf-8")
    return wrong


def unclaimed(document: str, root: Path = ROOT) -> list[str]:
    """Lines of a document, each with what nothing is about, where numbers are left in it.

    Raises:
        Wrong: A claim about it, or words that settled.yaml has of it, are not in it.
    """
    text = (root / document).read_text(encoding="utf-8")
    rest = list(text)
    for claim in read_claims(root):
        if claim.document == document:
            found = claim.found_in(text)
            for group in range(1, len(claim.values) + 1):
                rest[found.start(group) : found.end(group)] = "_" * len(found[group])
    for _, fragment in settled(document, root):
        for match in pattern_of(fragment).finditer(text):
            for place in range(match.start(), match.end()):
                rest[place] = "_" if rest[place].isdigit() else rest[place]
    apart = r"^```.*?^```$|\]\([^)]*\)|`[^`\n]*`|https?://\S+|<!--.*?-->"
    lines = re.sub(apart, "", "".join(rest), flags=re.DOTALL | re.MULTILINE)
    numbered = re.compile(r"(?<![\w.-])\d")  # not the name of a thing, such as L1 or ViT-H-14
    return [
        line for line in lines.splitlines() if numbered.search(re.sub(r"^(?:#+ )?\d+\. ", "", line))
    ]


def stale(document: str, root: Path = ROOT) -> list[str]:
    """Words that settled.yaml has of a document and that are not in it."""
    text = (root / document).read_text(encoding="utf-8")
    everywhere = dict.fromkeys(each for _, each in settled("", root))
    return [
        fragment
        for _, fragment in settled(document, root)
        if fragment not in everywhere and not pattern_of(fragment).search(text)
    ]


# --- running --------------------------------------------------------------------------------------


def commands(root: Path = ROOT) -> dict[str, str]:
    """Name -> command of the runs that claims are about."""
    found: dict[str, str] = read_yaml(root / "docs/measured/commands.yaml")
    return found


def command_of(name: str, root: Path = ROOT) -> str:
    """Raises `Wrong` where commands.yaml has none of this name."""
    listed = commands(root)
    if name not in listed:
        raise Wrong(f"commands.yaml has no {name!r}; it has {', '.join(listed)}")
    return listed[name]


def run(names: Iterable[str], root: Path = ROOT) -> None:
    """Run commands as they are written and keep their figures; a killed one goes on.

    Raises:
        Wrong: There is no such command, or it fails.
    """
    for name, command in [(name, command_of(name, root)) for name in names]:
        sys.stderr.write(f"{name}: {command}\n")
        done = subprocess.run([*shlex.split(command), "--json"], stdout=subprocess.PIPE)
        if done.returncode:
            raise Wrong(f"{name}: exit code {done.returncode}: {command}")
        keep(name, json.loads(done.stdout), root)


def keep_run(name: str, folder: Path, root: Path = ROOT) -> None:
    """Keep of a finished run's folder what claims are about.

    Raises:
        Wrong: It is no run, or one of fewer captions or users than the command asks for.
    """
    try:
        spec, summary = (
            json.loads((folder / file).read_bytes()) for file in ("spec.json", "summary.json")
        )
    except (OSError, ValueError) as error:
        raise Wrong(f"{folder} is no finished run: {error}") from error
    if spec.get("limit") is not None and "--limit" not in command_of(name, root):
        raise Wrong(f"{folder} has --limit {spec['limit']}: {command_of(name, root)}")
    keep(name, summary, root)


def keep(name: str, summary: Mapping[str, Any], root: Path = ROOT) -> None:
    """Keep of a run what claims are about.

    Raises:
        Wrong: There is no such command, the run is not whole, or lacks something of it.
    """
    command = command_of(name, root)
    if summary.get("withheld") or summary.get("n_ok") != summary.get("n_expected"):
        raise Wrong(f"{name}: {summary.get('n_ok')} of {summary.get('n_expected')} items")
    figures: Mapping[str, Any] = summary["benchmarks"]
    kept: dict[str, Any] = {"command": command}
    kept |= {fact: summary[fact] for fact in FACTS if fact in summary}
    wanted: dict[str, Any] = {}
    missing = []
    for value in (each for claim in read_claims(root) for each in claim.values):
        paths = [path for source, path in value.terms if source == f"run:{name}"]
        try:
            if paths and value.with_:
                paths += bound_paths(figures, paths[0], value.with_)
            wanted |= {path: at(figures, path) for path in paths}
        except Wrong as error:
            missing.append(str(error))
    if missing:
        raise Wrong("\n".join(f"{name}: {each}" for each in missing))
    file = root / "docs/measured/figures" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    kept |= dict(sorted(wanted.items()))
    file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 where a number is another one now, 2 where something is not there."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--run", nargs="*", metavar="NAME")
    parser.add_argument("--keep", action="append", default=[], metavar="NAME=RUN")
    parser.add_argument("--unclaimed", metavar="FILE")
    asked = parser.parse_args(arguments)
    try:
        if asked.run is not None:
            run(asked.run or commands())
        for each in asked.keep:
            name, _, folder = each.partition("=")
            keep_run(name, Path(folder))
        if asked.unclaimed:
            sys.stdout.writelines(f"{line}\n" for line in unclaimed(asked.unclaimed))
            return 0
        wrong = check(write=asked.write)
    except (Wrong, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong and not asked.write else 0


if __name__ == "__main__":
    sys.exit(main())
