"""What a run measured of an adapter, into the metadata of its model card.

Win rates by rewards and by true preference, with their intervals and n, from a run's summary.json,
where the run is of this very adapter; a figure that is null there is left out. Elsewhere: what the
training itself measured (`card_metadata.py`), what the figures mean (docs/summary.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ppdbench.data.plain_yaml import parse_yaml
from ppdbench.errors import MissingPrerequisite, UsageError, one_line

SUMMARY = "summary.json"
INDEX = "model-index"
FENCE = "---\n"


def with_run(card: str, run: Path, revision: str) -> str:
    """A card whose index has a run's figures, in the place of those of an earlier run.

    Args:
        card: README.md of the adapter.
        run: the run's folder.
        revision: of the generator, as `GeneratorInfo.revision` has it.

    Raises:
        MissingPrerequisite: the run has no summary that can be read.
        UsageError: the run is of another model, its figures are withheld, or it has none of these;
            or the card's own metadata cannot be read.
    """
    summary = _read(run / SUMMARY)
    model = summary["model"]
    measured = summary["generators"].get(model, {}).get("revision")
    if measured != revision:
        raise UsageError(
            f"{run} measured {model} of another revision ({str(measured)[:12]}, this one is "
            f"{revision[:12]})",
            fix="name a run of this adapter, with its base and the suite's sampling",
        )
    if summary["withheld"] is not None:
        raise UsageError(
            f"the figures of {run} are withheld: {summary['withheld']}",
            fix="complete the run with the same command again",
        )
    metrics = list(_metrics(summary["benchmarks"]))
    if not metrics:
        raise UsageError(
            f"{run} has no win rates", fix="run ppdbench eval with benchmark rewards or personal"
        )
    try:
        return _with_result(card, _result(summary, metrics))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(
            f"the metadata at the head of the adapter's README.md cannot be read: {error!r}",
            fix="restore the card that its training wrote",
        ) from error


def _metrics(benchmarks: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every known win rate of a summary."""
    for kind, words in (("rewards", "by"), ("rewards_gold", "by"), ("personal", "true, users:")):
        for opponent, rows in benchmarks.get(kind, {}).items():
            for name, row in rows.items():
                if row["win_rate"] is None:
                    continue
                yield {
                    "type": "win_rate",
                    "name": f"win rate over {opponent}, {words} {name}",
                    "value": row["win_rate"],
                    "args": {key: row[key] for key in ("ci_low", "ci_high", "n")},
                    "verified": False,
                }


def _result(summary: Mapping[str, Any], metrics: list[dict[str, Any]]) -> dict[str, Any]:
    suite, version = summary["suite"], summary["suite_version"]
    return {
        "task": {"type": "text-to-image", "name": f"ppdbench {summary['ppdbench']} eval"},
        "dataset": {
            "type": f"ppdbench/{suite}",
            "name": f"{suite} {version}, test captions",
            "split": "test",
            "revision": summary["suite_digest"],
        },
        "metrics": metrics,
    }


def _with_result(card: str, result: Mapping[str, Any]) -> str:
    head, _, text = card.removeprefix(FENCE).partition(FENCE)
    about = parse_yaml(head.encode())
    index = about.setdefault(INDEX, [{"name": text.lstrip().partition("\n")[0].strip("# ")}])
    results = index[0].setdefault("results", [])
    same = result["dataset"]["type"], result["dataset"]["split"]
    kept = [one for one in results if (one["dataset"]["type"], one["dataset"].get("split")) != same]
    index[0]["results"] = [*kept, result]
    dumped = yaml.safe_dump(about, sort_keys=False, allow_unicode=True, width=1000)
    return f"{FENCE}{dumped}{FENCE}{text}"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MissingPrerequisite(
            f"{path} cannot be read: {one_line(error)}",
            fix="name a run folder that ppdbench eval made; the same command again writes it anew",
        ) from error
