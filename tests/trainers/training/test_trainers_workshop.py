"""The command that a training leaves on record: typed again, it asks for the same."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator, DistributedType
from tiny_cascade import Log, TinySuite, run_training
from typer.testing import CliRunner

from ppdbench import plugins
from ppdbench.cli import app
from ppdbench.errors import UsageError
from ppdbench.protocols import Suite, SuiteFiles
from ppdbench.suites import pickapic, shapes
from trainers.config_file import CONFIGS
from trainers.training import opening
from trainers.training.opening import _command, open_workshop


@dataclass
class SuppliedSuite(TinySuite):
    """One that was given files."""

    files: SuiteFiles = field(default_factory=SuiteFiles)


def test_the_command_typed_again_asks_for_the_same(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = SuiteFiles(pairs=tmp_path / "my pairs", vlm="owner/model")
    shutil.copy(CONFIGS / "shapes" / "ppd.yaml", tmp_path / "mine.yaml")
    with open_workshop(
        "ppd",
        SuppliedSuite(tmp_path, files=files),
        output=tmp_path / "out",
        config=tmp_path / "mine.yaml",
        overrides=["optimizer.betas=[0.9, 0.99]", f"base={tiny_base_folder}"],
        device="cpu",
        events=Log(),
    ) as shop:
        command = shop.command
    assert str(tmp_path) not in command and str(tiny_base_folder.parent) not in command

    asked: dict[str, Any] = {}

    def train(suite: str, *, output: Path, **request: Any) -> Path:
        asked.update(request, suite=suite)
        return output

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plugins, "load", lambda group, name: {"trainersppd": train}[group + name])
    monkeypatch.setattr(plugins, "make_suite", lambda name, files: (name, files))
    done = CliRunner().invoke(app, shlex.split(command)[1:])
    assert done.exit_code == 0, done.output
    assert asked["suite"] == ("tiny", SuiteFiles(pairs=Path("my pairs"), vlm="owner/model"))
    assert asked["config"] == Path("mine.yaml")
    assert asked["overrides"] == ["optimizer.betas=[0.9, 0.99]", f"base={tiny_base_folder.name}"]


@pytest.mark.parametrize(
    ("suite", "overrides", "said"),
    [
        (shapes.suite(SuiteFiles()), ["users.encoder=onehot:a=-2"], " users.encoder=onehot:a=-2"),
        (pickapic.suite(SuiteFiles()), [], ""),
        (
            pickapic.suite(SuiteFiles(pairs=Path("/data/pairs"), vlm="/models/vlm")),
            ["steps=3"],
            " --pairs pairs --vlm vlm steps=3",
        ),
        (pickapic.suite(SuiteFiles(pairs=Path("a/splits"))), [], " --pairs a/splits"),
    ],
)
def test_the_command_names_what_the_suite_was_given(
    suite: Suite, overrides: Sequence[str], said: str
) -> None:
    start = f"ppdbench train-reference --method ppd --suite {suite.name}"
    assert _command("ppd", suite, None, overrides) == start + said


def test_a_batch_that_does_not_divide_is_refused_before_anything_is_loaded(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "load_base", lambda *_, **__: pytest.fail("loaded first"))
    for settings, said in (
        (["micro_batch=3"], "batch_size 4 does not divide into micro-batches of 3 on 1 process"),
        (["micro_batch=8"], "micro-batches of 8"),
    ):
        with pytest.raises(UsageError, match=said):
            run_training("sft", tiny_base_folder, tmp_path / "out", settings)
    assert not (tmp_path / "out").exists()


def test_a_launcher_that_would_split_the_model_itself_is_refused(
    tmp_path: Path, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Accelerator, "distributed_type", DistributedType.FSDP)
    with pytest.raises(UsageError, match="split models by FSDP") as caught:
        run_training("sft", tiny_base_folder, tmp_path / "out")
    assert "shard=true" in caught.value.fix
