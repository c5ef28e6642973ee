"""summary.json of an entry: its figures, its coverage, and the hashes that hold its files together.

Elsewhere: the figures (`leaderboard.figures`), its form (`entries.schema`), who writes it
(`leaderboard.add`, `leaderboard.seal`), who disbelieves it (`leaderboard.check`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ppdbench.entries.entry import sealed
from ppdbench.entries.schema import VERSION, EntryYaml
from ppdbench.leaderboard.figures import Computed, Records, compute
from ppdbench.leaderboard.items import Covered, covered
from ppdbench.leaderboard.world import World
from ppdbench.runs.results import FIDELITY, Result


def computed(
    world: World, about: EntryYaml, results: Sequence[Result], baseline: Records | None
) -> tuple[Computed, dict[str, Covered]]:
    """Figures and coverage of an entry.

    Args:
        world: its suite.
        about: its entry.yaml.
        results: its records.
        baseline: the baseline's, where the board has them.
    """
    unserved: dict[str, int] = {str(split): n for split, n in about.unserved.items()}
    found = compute(
        world,
        Records.of(about.name, results),
        baseline,
        is_baseline=about.name == about.baseline.name,
        unserved=unserved,
    )
    return found, covered(world, results, unserved, classified=FIDELITY in about.scorers)


def counts(coverage: Mapping[str, Covered]) -> dict[str, Any]:
    """The part of summary.json that says how much of the suite there is."""
    return {
        "n_ok": sum(own.n_ok for own in coverage.values()),
        "n_expected": sum(own.n_expected for own in coverage.values()),
        "coverage": {
            name: {"n_ok": own.n_ok, "n_expected": own.n_expected} for name, own in coverage.items()
        },
    }


def summary_text(summary: Mapping[str, Any]) -> str:
    """summary.json as it is written."""
    return json.dumps(summary, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def summary_json(
    about: EntryYaml,
    found: Computed,
    coverage: Mapping[str, Covered],
    files: Mapping[str, bytes],
) -> dict[str, Any]:
    """summary.json's content.

    Args:
        about: entry.yaml, as it is in `files`.
        found: the figures.
        coverage: of each benchmark.
        files: name -> content of entry.yaml, scores.jsonl and, where there is one, the gallery.
    """
    return {
        "schema_version": VERSION,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "sealed": sealed(about),
        **counts(coverage),
        "figures": found.figures,
    }
