"""A generator of a finished run on record, with the two files alone that other runs read of it."""

from __future__ import annotations

from pathlib import Path

from ppdbench.data.plain_yaml import write_yaml
from ppdbench.entries.files import ENTRY, SCORES
from ppdbench.entries.lines import write_lines
from ppdbench.entries.record import entry_yaml, gather


def record_entry(run: Path, name: str, out_dir: Path) -> Path:
    """Write entry.yaml and scores.jsonl from a run; returns `out_dir/<name>`."""
    gathered = gather([run], name)
    out = out_dir / name
    out.mkdir(parents=True, exist_ok=True)
    (out / SCORES).write_bytes(write_lines(gathered.results))
    (out / ENTRY).write_text(write_yaml(entry_yaml(gathered, {}, {})), encoding="utf-8")
    return out
