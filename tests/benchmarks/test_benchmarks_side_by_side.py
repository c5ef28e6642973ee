"""Pictures of one caption for several users: who is drawn, from which noise, what is written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import fake_world
import numpy as np
import people_world
import pytest
import town_runs
from PIL import Image
from typer.testing import CliRunner

from ppdbench import plugins
from ppdbench.benchmarks.side_by_side import side_by_side
from ppdbench.cli import app
from ppdbench.errors import FingerprintMismatch, PpdbenchError, UsageError
from ppdbench.protocols import EvaluatedUser
from ppdbench.runs.lock import RunLock
from ppdbench.runs.records import read_records
from ppdbench.runs.seeds import noise_seed


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


def test_a_users_own_caption_is_drawn_as_eval_draws_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # User 1001 has other shots and captions on validation; the test split's are eval's.
    town_runs.use_town(monkeypatch, tmp_path)
    run = town_runs.run(tmp_path, "embedder")
    drawn = {
        (record["generator"], record["user"], record["caption_id"]): record
        for record in read_records(run / "generations.jsonl")
        if record["sample"] == 0 and record["arm"] == "own"
    }
    folder = draw(users=["1002", "1001"], caption="wish 1001 0")
    own = drawn["embedder", "user:1001", "seen-1001-0"]
    pictures = {picture["user"]: picture for picture in listed(folder)["pictures"]}
    assert {picture["seed"] for picture in pictures.values()} == {own["seed"]}
    assert pictures["1001"]["sha256"] == own["image"]
    assert listed(folder)["users"][1] == {"name": "1001", "split": "seen", "context": "1001"}


def test_captions_of_one_text_share_the_noise_of_the_first_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shared(number: int, split: str) -> EvaluatedUser:
        user = people_user(number, split)
        return replace(user, captions=(replace(user.captions[0], text="a wish"),))

    people_user = people_world._user
    monkeypatch.setattr(people_world, "_user", shared)
    seeds = [
        {picture["seed"] for picture in listed(draw(users=users))["pictures"]}
        for users in (["1001", "1002"], ["1002", "1001"])
    ]
    assert seeds == [{noise_seed("1", f"seen-{number}-0", 0)} for number in (1001, 1002)]


def test_a_folder_of_other_pictures_is_refused_and_left_alone(tmp_path: Path) -> None:
    folder = draw(users=["1001"], out=tmp_path / "o")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for other in (
        {"users": ["1001"], "seed": 1},
        {"users": ["1002"]},
        {"users": ["1001"], "samples": 2},
        {"users": ["1001"], "caption": "another wish"},
    ):
        with pytest.raises(FingerprintMismatch, match="pictures of other settings"):
            draw(**other, out=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_where_another_process_draws_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "o"
    folder.mkdir()
    lock = RunLock(folder)
    with pytest.raises(PpdbenchError, match="another process") as caught:
        draw(users=["1001"], out=folder)
    assert "--out" in caught.value.fix and not (folder / "pictures.json").exists()
    lock.release()
    draw(users=["1001"], out=folder)


@pytest.mark.parametrize("name", ["base-0.png", "notes.txt"])
def test_a_folder_of_somebodys_files_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(UsageError, match="holds other files"):
        draw(users=["1001"], out=tmp_path)
    assert (tmp_path / name).read_bytes() == b"mine"
    with pytest.raises(UsageError, match="no folder"):
        draw(users=["1001"], out=tmp_path / name)


@pytest.mark.parametrize("text", ["{", "[]", "[5]", "{}", '{"pictures": [1], "sheet": null}'])
def test_a_damaged_list_is_an_error_of_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "pictures.json").write_text(text)
    with pytest.raises(PpdbenchError) as caught:
        draw(users=["1001"], out=tmp_path)
    assert "pictures.json" in caught.value.cause and "--out" in caught.value.fix
    assert (tmp_path / "pictures.json").read_text() == text


def test_what_a_stopped_call_left_is_kept_and_only_the_rest_is_drawn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = draw(users=["1001", "1002"], samples=2, out=tmp_path / "whole")

    def stop(requests: Any) -> None:
        if requests[0].user and requests[0].user.id == "1002":
            raise KeyboardInterrupt

    with monkeypatch.context() as stopping, pytest.raises(KeyboardInterrupt):
        stopping.setattr(fake_world, "generate_error", stop)
        draw(users=["1001", "1002"], samples=2, out=tmp_path / "o")
    assert len(listed(tmp_path / "o")["pictures"]) == 4 and listed(tmp_path / "o")["sheet"] is None
    fake_world.calls.clear()
    folder = draw(users=["1001", "1002"], samples=2, out=tmp_path / "o")
    assert [call for call in fake_world.calls if "draws" in call] == ["embedder draws 2"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }


def test_a_finished_folder_is_said_to_be_and_a_damaged_picture_is_drawn_again(
    tmp_path: Path,
) -> None:
    folder = draw(users=["1001"], out=tmp_path / "o")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    fake_world.calls.clear()
    events = fake_world.Quiet()
    side_by_side(
        "embedder",
        "a wish",
        people_world.Town(),
        users=["1001"],
        out=folder,
        device="cpu",
        events=events,
    )
    assert not [call for call in fake_world.calls if "draws" in call or "encodes" in call]
    assert any("is complete" in note for note in events.notes)
    (folder / "user-1001-0.png").write_bytes(b"")
    (folder / "sheet.png").unlink()
    draw(users=["1001"], out=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_more_shots_than_the_encoder_takes_are_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    info = people_world.PairEncoder.info
    monkeypatch.setattr(people_world.PairEncoder, "info", replace(info, max_shots=2))
    somebody = shots_folder(tmp_path / "somebody", 0)
    draw(folders=[somebody])  # two
    monkeypatch.setattr(people_world.PairEncoder, "info", replace(info, max_shots=1))
    fake_world.calls.clear()
    with pytest.raises(UsageError) as caught:
        draw(folders=[somebody])
    assert caught.value.cause == "somebody is shown by 2 shots, and pairs takes 1 at most"
    assert "keep the 1 " in caught.value.fix
    assert not [call for call in fake_world.calls if "encodes" in call]


def test_what_an_encoder_failed_of_is_the_cause(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("1323 tokens, more than 1024")

    def nothing(_: Any, users: Any) -> list[None]:
        return [None for _ in users]

    somebody = shots_folder(tmp_path / "somebody", 0)
    for encode, cause in (
        (fail, "ValueError: 1323 tokens, more than 1024"),
        (nothing, "cannot serve somebody by pairs: it says nothing of them"),
    ):
        monkeypatch.setattr(people_world.PairEncoder, "encode", encode)
        with pytest.raises(UsageError) as caught:
            draw(folders=[somebody])
        assert cause in caught.value.cause and "training pairs" not in caught.value.fix
    assert not (tmp_path / "pictures").exists()


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
    done = CliRunner().invoke(app, [*line, "--seed", "6"])
    assert done.exit_code == 4 and "pictures of other settings: seeds differ" in done.stderr
    done = CliRunner().invoke(app, [*line, "--user", "nobody"])
    assert done.exit_code == 2 and "no user of the suite has the id 'nobody'" in done.stderr
