"""`ppdbench generate --shots`: somebody's own pictures beside the base's, at both scales."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from published_layout import PIXELS
from tiny_adapters import write_adapter
from toy_encoder import ToyEncoder
from typer.testing import CliRunner

from ppdbench import plugins
from ppdbench.cli import app
from ppdbench.protocols import LoadContext, Suite, SuiteFiles
from trainers.adapters.header import Embedding
from trainers.pipeline import PersonalizedStableCascade
from trainers.stable_cascade.load import load_base

TOY = Embedding(encoder="toy", revision="1", mean=(0.0,) * 3, std=(100.0,) * 3)


def toy(_: LoadContext) -> ToyEncoder:
    return ToyEncoder()


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "cache"))


def shots_folder(folder: Path, colour: tuple[int, int, int], side: int) -> Path:
    """Somebody who likes one colour."""
    folder.mkdir()
    lines = []
    for number in range(4):
        grey = 90 + 10 * number
        Image.new("RGB", (side, side), colour).save(folder / f"{number}a.png")
        Image.new("RGB", (side, side), (grey, grey, grey)).save(folder / f"{number}b.png")
        line = {"caption": f"picture {number}", "preferred": f"{number}a.png"}
        lines.append(json.dumps(line | {"dispreferred": f"{number}b.png"}) + "\n")
    (folder / "shots.jsonl").write_text("".join(lines))
    return folder


def generated(*words: str) -> tuple[Path, dict[str, Any]]:
    """What the command wrote: the folder, and pictures by who they are for."""
    done = CliRunner().invoke(app, ["generate", *words, "--device", "cpu", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    (folder,) = Path("pictures").iterdir()
    return folder, {each["user"] or "base": each for each in told["pictures"]}


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image).astype(int)


def test_shapes_draws_for_somebodys_shots_beside_the_base(tmp_path: Path) -> None:
    """The shipped adapter for people and its encoder; and the pipeline draws the same."""
    likes = [
        shots_folder(tmp_path / name, colour, 64)
        for name, colour in (("red", (230, 30, 30)), ("blue", (30, 30, 230)))
    ]
    words = ["--model", "ppd", "--seed", "7", "a large circle on a grey background"]
    folder, found = generated(*words, *(f"--shots={each}" for each in likes))
    assert set(found) == {"base", "red", "blue"} and {each["seed"] for each in found.values()} == {
        7
    }
    drawn = {name: pixels(folder / each["file"]) for name, each in found.items()}
    assert all(picture.shape == (64, 64, 3) for picture in drawn.values())
    for one, other in (("base", "red"), ("base", "blue"), ("red", "blue")):
        assert np.abs(drawn[one] - drawn[other]).max() > 8, f"{one} and {other} are alike"
    shipped = Path(__file__).parents[2] / "trainers" / "assets" / "shapes" / "ppd"
    pipe = PersonalizedStableCascade.from_pretrained(shipped, device="cpu")
    (same,) = pipe(words[-1], user=likes[0], seed=7)
    assert np.abs(np.asarray(same).astype(int) - drawn["red"]).max() <= 1


@pytest.fixture
def small_pickapic(monkeypatch: pytest.MonkeyPatch, small_side: None) -> None:  # noqa: ARG001
    """The suite as it is, but for the size that a tiny base draws; and the toy encoder."""
    make = plugins.make_suite

    def made(name: str, files: SuiteFiles) -> Suite:
        suite: Any = make(name, files)
        small = replace(suite.sampling, width=PIXELS, height=PIXELS, steps=2)
        return replace(suite, sampling=small)  # type: ignore[no-any-return]

    known = plugins.entry_points
    own = EntryPoint(name="toy", value=f"{__name__}:toy", group="ppdbench.encoders")

    def entry_points(group: Any) -> list[EntryPoint]:
        return [*known(group), *([own] if group == "encoders" else [])]

    monkeypatch.setattr(plugins, "make_suite", made)
    monkeypatch.setattr(plugins, "entry_points", entry_points)


@pytest.mark.usefixtures("small_pickapic")
def test_a_published_base_draws_for_somebodys_shots(published_hub: Path, tmp_path: Path) -> None:
    """Trained by one's own command, found where that leaves it, through Stage B and Stage A."""
    base = load_base(published_hub)
    adapter = Path("trained") / "pickapic" / "ppd"
    write_adapter(adapter, base, hears="embedding", embedding=TOY, facts={"suite": "pickapic"})
    likes = shots_folder(tmp_path / "red", (230, 30, 30), 16)
    words = ["--suite", "pickapic", "--base", str(published_hub), "--model", "ppd"]
    folder, found = generated(*words, "--shots", str(likes), "--seed", "7", "a red square")
    assert set(found) == {"base", "red"}
    drawn = {name: pixels(folder / each["file"]) for name, each in found.items()}
    assert all(picture.shape == (PIXELS, PIXELS, 3) for picture in drawn.values())
    assert np.abs(drawn["base"] - drawn["red"]).max() > 3
    told = json.loads((folder / "pictures.json").read_text())
    revisions = {one["revision"] for one in told["generators"].values()}
    assert len(revisions) == 2


@pytest.mark.usefixtures("small_pickapic")
@pytest.mark.parametrize(
    ("base", "said", "fix"),
    [
        ("nowhere", "there is none at nowhere", "docs/model.md"),
        ("other", "was trained on another base", "train it anew"),
    ],
)
def test_a_base_that_is_not_there_or_another_is_said(
    published_hub: Path, tiny_base_folder: Path, tmp_path: Path, base: str, said: str, fix: str
) -> None:
    adapter = Path("trained") / "pickapic" / "ppd"
    write_adapter(adapter, load_base(published_hub), hears="embedding", embedding=TOY)
    likes = shots_folder(tmp_path / "red", (230, 30, 30), 16)
    place = str(tiny_base_folder) if base == "other" else base
    words = ["generate", "--suite", "pickapic", "--base", place, "--model", "ppd"]
    done = CliRunner().invoke(app, [*words, "--shots", str(likes), "a red square"])
    assert done.exit_code == 3, done.output
    assert said in done.stderr and fix in done.stderr
    assert not Path("pictures").exists()
