"""Runs sides and keeps their answers, each file named by everything that produced it.

The name covers the code of the side (without comments and docstrings), the versions it ran with,
the checkpoints and the pictures; so what is there is never stale, and a second run asks only for
what is missing. Elsewhere: one answer (`side`), who wants which (`run`).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import checkpoints
from environment import Oracle
from pictures import MANIFEST, Picture
from side import Answer, Job, arguments_of, read_answers
from source import HERE as HERE  # run and speed take it from here
from source import fingerprint, with_imports

HOUSE = HERE.parents[1] / "ppdbench"


@dataclass(frozen=True, slots=True)
class Sides:
    """Starts both sides and remembers."""

    work: Path
    oracle: Oracle
    oracle_versions: Mapping[str, str]
    our_versions: Mapping[str, object]

    def original(self, script: str, variant: str, pictures: Sequence[Picture]) -> dict[str, Answer]:
        """Answers of an original by file name, in the oracle environment."""
        key = self._key(with_imports(HERE / script), self.oracle_versions)
        return self._ask([str(self.oracle.python)], script, variant, key, pictures)

    def ours(self, variant: str, pictures: Sequence[Picture]) -> dict[str, Answer]:
        """Our answers by file name."""
        house = {*(HOUSE / "rewards").rglob("*.py"), *(HOUSE / "data").glob("*.py")}
        key = self._key(house | with_imports(HERE / "ours.py"), self.our_versions)
        return self._ask([sys.executable], "ours.py", variant, key, pictures)

    def _key(self, code: Iterable[Path], versions: Mapping[str, object]) -> str:
        parts = [
            fingerprint(code),
            json.dumps(versions, sort_keys=True),
            json.dumps(checkpoints.hashes(self.work / "checkpoints"), sort_keys=True),
            (self.work / "pictures" / MANIFEST).read_text(encoding="utf-8"),
        ]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def _ask(
        self,
        python: Sequence[str],
        script: str,
        variant: str,
        key: str,
        pictures: Sequence[Picture],
    ) -> dict[str, Answer]:
        out = self.work / "answers" / f"{Path(script).stem}-{variant}-{key}.jsonl"
        out.parent.mkdir(parents=True, exist_ok=True)
        job = Job(self.work, variant, out, tuple(pictures))
        if pending := job.pending():
            print(f"{script} {variant}: {len(pending)} pictures", file=sys.stderr, flush=True)
            command = [*python, HERE / script, *arguments_of(job)]
            subprocess.run(command, check=True, env=self.oracle.variables())
        found = read_answers(out)
        return {picture.file_name: found[picture.file_name] for picture in pictures}
