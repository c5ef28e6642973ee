"""Benchmark `users` on real pairs, by the command: no generator, no captions, no weights."""

from __future__ import annotations

import json
import runpy
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from ppdbench import plugins
from ppdbench.cli import app
from ppdbench.protocols import EncoderInfo, LoadContext, UserCode, UserContext

MADE = runpy.run_path(str(Path(__file__).parents[1] / "data" / "made_pairs.py"))
crowd, write = MADE["crowd"], MADE["write"]


class Tones:
    """The mean colours of what is shown."""

    info = EncoderInfo(name="tones", revision="1", dim=3, uses="shots")

    def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
        shown = [
            np.mean([np.asarray(s.preferred, np.float32).mean((0, 1)) for s in user.shots], axis=0)
            for user in users
        ]
        return [UserCode(embedding=found) for found in shown]


def tones(_: LoadContext) -> Tones:
    return Tones()


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command that measures encoders on a small crowd."""
    known = plugins.entry_points
    own = EntryPoint(name="tones", value=f"{__name__}:tones", group="ppdbench.encoders")

    def entry_points(group: Any) -> list[EntryPoint]:
        return [*known(group), *([own] if group == "encoders" else [])]

    monkeypatch.setattr(plugins, "entry_points", entry_points)
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "cache"))
    source = write(tmp_path / "pairs" / "p.parquet", crowd(24, captions=40)).parent
    runs = ["--device", "cpu", "--runs", str(tmp_path / "runs")]
    return ["eval", "--suite", "pickapic", "--pairs", str(source), *runs]


def test_encoders_are_measured_on_pairs_alone(tmp_path: Path, line: list[str]) -> None:
    command = [*line, "--benchmark", "users", "--encoder", "tones", "--encoder", "onehot"]
    done = CliRunner().invoke(app, [*command, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["suite"], found["model"]) == ("pickapic", "tones+onehot")
    figures = found["benchmarks"]["users"]
    assert figures["tones"]["n_users"] > 1 and figures["tones"]["n_test"] > 1
    assert figures["onehot"]["top16"] is None
    assert any("unseen has" in note for note in found["notes"])
    (folder,) = (tmp_path / "runs" / "pickapic").iterdir()
    assert "tones" in (folder / "report.html").read_text()
    records = (folder / "users.jsonl").read_bytes()
    assert CliRunner().invoke(app, command).exit_code == 0
    assert (folder / "users.jsonl").read_bytes() == records


@pytest.mark.parametrize(
    "options",
    [
        ["--benchmark", "users", "--encoder", "nobody"],
        ["--benchmark", "users"],
        ["--encoder", "tones", "--benchmark", "personal"],
    ],
)
def test_what_cannot_be_made_is_refused_before_pairs_are_read(
    tmp_path: Path, line: list[str], options: list[str]
) -> None:
    done = CliRunner().invoke(app, [*line, *options])
    assert done.exit_code == 2
    assert not (tmp_path / "cache").exists() and not (tmp_path / "runs").exists()
