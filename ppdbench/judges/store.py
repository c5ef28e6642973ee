"""The verdicts that all runs share: kept by judge and question, only those that say something.

A failure is no verdict: it is asked again. Elsewhere: the file (`runs.store`), what a verdict is as
JSON (`verdict_records`), who asks (`ask`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Literal

from ppdbench.judges.verdict_records import verdict_of, verdict_record
from ppdbench.protocols import JudgeInfo, Verdict
from ppdbench.runs.cache_folder import cache_folder
from ppdbench.runs.store import KeyStore, key_of


class VerdictStore(KeyStore[Literal["verdict"]]):
    """Verdicts by content."""

    called: ClassVar[str] = "verdict cache"

    def known(self, keys: Iterable[bytes]) -> dict[bytes, Verdict]:
        """The verdicts that are kept under these keys; a damaged one is as none."""
        found = {}
        for key, value in self.get("verdict", keys).items():
            try:
                verdict = verdict_of(json.loads(value))
            except (ValueError, RecursionError, KeyError, TypeError):
                continue
            if verdict.status == "ok":
                found[key] = verdict
        return found

    def keep(self, verdicts: Mapping[bytes, Verdict]) -> None:
        """Keep those that say something, in place of damaged ones."""
        self.replace(
            "verdict",
            {
                key: json.dumps(verdict_record(verdict)).encode()
                for key, verdict in verdicts.items()
                if verdict.status == "ok"
            },
        )


def default_path() -> Path:
    """The store that all commands share."""
    return cache_folder() / "verdicts.sqlite"


def verdict_key(info: JudgeInfo, question: str) -> bytes:
    """Where the verdict of a judge on a question, by its digest, is kept."""
    return key_of(info.name, info.revision, question)
