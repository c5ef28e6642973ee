"""Pictures of one caption for several users: who is drawn, from which noise, what is written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import fake_world
import numpy as np
import people_world
import pytest
from PIL import Image
from typer.testing import CliRunner

from ppdbench import plugins
from ppdbench.benchmarks.side_by_side import side_by_side
from ppdbench.cli import app
from ppdbench.errors import PpdbenchError, UsageError


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(plugins, "entry_points", people_world.entry_points)
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    fake_world.calls.clear()


def draw(model: str = "embedder", caption: str = "a wish", **options: Any) -> Path:
    events = fake_world.Quiet()
    return side_by_side(model, caption, people_world.Town(), device="cpu", events=events, **options)


def listed(folder: Path) -> Any:
    return json.loads((folder / "pictures.json").read_bytes())


def pixels(folder: Path, file: str) -> Any:
    with Image.open(folder / file) as image:
        return np.asarray(image, dtype=float)


def shots_folder(folder: Path, colour: int) -> Path:
    """Somebody who likes one channel."""
    folder.mkdir()
    lines = []
    for number in range(2):
        for name, level in (("liked", 200), ("other", 60)):
            values = [100, 100, 100 + number]
            values[colour] = level
            Image.new("RGB", (4, 4), tuple(values)).save(folder / f"{name}{number}.png")
        lines.append(
            {
                "caption": f"c {number}",
                "preferred": f"liked{number}.png",
                "dispreferred": f"other{number}.png",
            }
        )
    (folder / "shots.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_users_of_any_split_and_a_folder_are_drawn_beside_the_base(tmp_path: Path) -> None:
    somebody = shots_folder(tmp_path / "my friend", 2)
    folder = draw(users=["1001", "1040"], folders=[somebody], samples=2)
    found = listed(folder)
    assert [(p["file"], p["user"], p["sample"]) for p in found["pictures"]] == [
        (f"{who}-{sample}.png", user, sample)
        for who, user in (
            ("base", None),
            ("user-1001", "1001"),
            ("user-1040", "1040"),
            ("shots-my_friend", "my friend"),
        )
        for sample in (0, 1)
    ]
    for picture in found["pictures"]:
        data = (folder / picture["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == picture["sha256"]
    seeds = [picture["seed"] for picture in found["pictures"]]
    assert len(set(seeds)) == 2 and seeds == seeds[:2] * 4  # one noise a sample, for everybody
    assert found["encoder"] == {"name": "pairs", "revision": "1"}
    assert found["pictures"][-1]["profile"] == "likes <blue>"
    base = pixels(folder, "base-0.png")
    for number in (1001, 1040):
        moved = (pixels(folder, f"user-{number}-0.png") - base).mean(axis=(0, 1))
        assert moved @ people_world.taste(number) > 9
    assert (pixels(folder, "shots-my_friend-0.png") - base).mean(axis=(0, 1)).argmax() == 2
    with Image.open(folder / found["sheet"]) as sheet:
        assert sheet.width > 4 * 256 and sheet.height > 2 * 256


def test_the_same_asked_twice_is_the_same_folder_and_the_same_files() -> None:
    first = draw(users=["1001"])
    before = {path.name: path.read_bytes() for path in first.iterdir()}
    assert draw(users=["1001"]) == first
    assert {path.name: path.read_bytes() for path in first.iterdir()} == before
    assert draw(users=["1001"], seed=3) != first
    assert draw(users=["1002"]) != first


def test_a_given_seed_counts_up_and_the_suites_own_is_that_of_the_caption(tmp_path: Path) -> None:
    seeds = [p["seed"] for p in listed(draw(users=["1001"], seed=7, samples=2))["pictures"]]
    assert seeds == [7, 8, 7, 8]
    one, other = (
        listed(draw(users=["1001"], caption=text, out=tmp_path / text))["pictures"][0]["seed"]
        for text in ("a", "b")
    )
    assert one != other


def test_folders_of_one_name_are_files_of_several(tmp_path: Path) -> None:
    places = ["a/friend", "b/friend", "c/friend-1"]
    for place in places:
        (tmp_path / place).parent.mkdir()
    folders = [shots_folder(tmp_path / place, colour) for colour, place in enumerate(places)]
    folder = draw(folders=folders)
    files = [picture["file"] for picture in listed(folder)["pictures"]]
    assert len(files) == len(set(files)) == 4
    base = pixels(folder, "base-0.png")
    for colour, file in enumerate(files[1:]):
        assert (pixels(folder, file) - base).mean(axis=(0, 1)).argmax() == colour


def test_without_users_the_model_draws_for_nobody() -> None:
    found = listed(draw("brighter"))
    assert [p["file"] for p in found["pictures"]] == ["base-0.png", "nobody-0.png"]
    assert found["encoder"] is None
    assert [p["generator"] for p in listed(draw("plain"))["pictures"]] == ["plain"]


def test_a_model_of_shots_and_one_of_words_get_what_they_read() -> None:
    assert [p["shots"] for p in listed(draw("oracle", users=["1001"]))["pictures"]] == [None, 4]
    draw("reader", users=["1001"])  # it asserts itself what it is given


@pytest.mark.parametrize(
    ("options", "cause", "fix"),
    [
        ({"users": ["100"]}, "the id '100'", "did you mean 10"),
        ({"users": ["x"]}, "the id 'x'", "seen: 1000, 1001, 1002"),
        (
            {"model": "brighter", "users": ["1001"]},
            "does not condition on people",
            "choose a model",
        ),
        ({"model": "ider", "users": ["1050"]}, "cannot serve 1050", "gave training pairs"),
        ({"model": "embeder"}, "'embeder'", "did you mean embedder"),
        ({"caption": "  "}, "caption is empty", "a red circle"),
        ({"samples": 0}, "samples is 0", "from 1"),
        ({"seed": -1}, "seed is -1", "from 0"),
        ({"folders": [Path("nowhere")]}, "no such folder", "shots.jsonl"),
    ],
    ids=str,
)
def test_wrong_calls_say_what_to_do_and_write_nothing(
    tmp_path: Path, options: dict[str, Any], cause: str, fix: str
) -> None:
    with pytest.raises(UsageError) as caught:
        draw(**options)
    assert cause in caught.value.cause and fix in caught.value.fix
    assert "\n" not in caught.value.cause + caught.value.fix
    assert not (tmp_path / "pictures").exists()


def test_a_generator_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> None:
        raise ValueError("no such word")

    monkeypatch.setattr(fake_world, "generate_error", fail)
    with pytest.raises(PpdbenchError, match="cannot draw 'a wish': ValueError: no such word"):
        draw(users=["1001"])


def test_the_command_prints_the_list_alone_on_standard_output(tmp_path: Path) -> None:
    line = ["generate", "--model", "embedder", "--user", "1001", "--user", "1040", "a wish"]
    line += ["--suite", "town", "--device", "cpu", "--seed", "5", "--out", str(tmp_path / "o")]
    done = CliRunner().invoke(app, [*line, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == listed(tmp_path / "o")
    done = CliRunner().invoke(app, line)
    assert f"sheet: {tmp_path / 'o' / 'sheet.png'}" in done.stdout
    done = CliRunner().invoke(app, [*line, "--user", "nobody"])
    assert done.exit_code == 2 and "no user of the suite has the id 'nobody'" in done.stderr
