"""`ppdbench score` as people run it: a folder, a manifest, several processes, a kill in between."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ppdbench.cli import app
from ppdbench.errors import PpdbenchError
from ppdbench.rewards.sharding import shards
from ppdbench.rewards.store import Store

REWARDS = ["--suite", "shapes", "--reward", "clip", "--reward", "aesthetic", "--reward", "hps"]
ALONE = [sys.executable, "-m", "ppdbench", "score"]
LAUNCHED = [
    # With --cpu accelerate starts one process whatever --num_processes says; this starts two, and
    # --device cpu keeps them there.
    *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
    *("-m", "ppdbench", "score"),
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path / "cache" / "rewards.sqlite"


def pictures(folder: Path, n: int, size: int = 64) -> Path:
    """A folder of n noise images with captions in metadata.jsonl."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    with (folder / "metadata.jsonl").open("w") as manifest:
        for number in range(n):
            pixels = rng.integers(0, 256, (size, size, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
            caption = f"a small red circle on a {('teal', 'grey')[number % 2]} background"
            line = {"file_name": f"{number}.png", "caption": caption}
            manifest.write(json.dumps(line) + "\n")
    return folder


def run(*arguments: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["score", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.stdout


def test_a_folder_on_the_terminal_as_json_and_as_csv(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "images", 3)
    shown = run(folder, *REWARDS)
    document = json.loads(run(folder, *REWARDS, "--json"))
    assert [image["image"] for image in document["images"]] == ["0.png", "1.png", "2.png"]
    for name in ("clip", "aesthetic", "hps"):
        assert f"{document['images'][1]['scores'][name]:.4f}" in shown
        assert document["summary"][name]["n"] == 3
        assert document["rewards"][name]["id"] in shown
    rows = list(csv.DictReader(io.StringIO(run(folder, *REWARDS, "--csv"))))
    assert [row["reward"] for row in rows[:3]] == ["clip", "aesthetic", "hps"]
    assert float(rows[3]["score"]) == document["images"][1]["scores"]["clip"]


def test_failures_are_shown_and_decide_the_exit_code(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "images", 4)
    (folder / "1.png").write_bytes(b"")
    document = json.loads(run(folder, *REWARDS, "--json", code=1))
    assert document["n_failed"] == 1
    assert document["images"][1]["scores"]["clip"] is None
    assert document["images"][2]["scores"]["clip"] is not None
    run(folder, *REWARDS, "--fail-on-error", "0.25")
    done = CliRunner().invoke(app, ["score", str(folder), *REWARDS])
    assert "1 of 4 images lack a score" in done.stderr
    assert "1.png is empty" in done.stderr


def test_one_caption_for_all_and_none(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "images", 2)
    (folder / "metadata.jsonl").unlink()
    assert "it has no caption" in CliRunner().invoke(app, ["score", str(folder), *REWARDS]).stderr
    run(folder, *REWARDS[:2], "--reward", "aesthetic")  # looks at pictures alone
    document = json.loads(run(folder, *REWARDS, "--caption", "a circle", "--json"))
    assert {image["caption"] for image in document["images"]} == {"a circle"}
    run(folder / "0.png", *REWARDS, "--caption", "a circle")


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["nowhere", "--reward", "clip"], "no such file or folder", 2),
        (["images", "--reward", "clp"], "did you mean clip", 2),
        (["images", "--suite", "shapes", "--reward", "hpsv2"], "known: aesthetic", 2),
        (["images", "--suite", "shape", "--reward", "clip"], "did you mean shapes", 2),
        (["images", "--reward", "clip"], "9a78ef8e8c73fd0df", 3),
        (["images", "--reward", "clip=nowhere"], "no such file or folder", 3),
        (["images", *REWARDS, "--precision", "fp8"], "no precision is called", 2),
        (["images", *REWARDS, "--device", "gpu"], "no device is called", 2),
        (["images", *REWARDS, "--json", "--csv"], "exclude each other", 2),
    ],
)
def test_refusals(
    arguments: list[str], said: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(tmp_path / "images", 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    done = CliRunner().invoke(app, ["score", *arguments])
    assert done.exit_code == code, done.output
    assert said in done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n  fix: ") == 1


def scores_of(document: str) -> list[dict[str, float]]:
    return [image["scores"] for image in json.loads(document)["images"]]


def test_two_processes_under_accelerate_share_the_work(tmp_path: Path, cache: Path) -> None:
    folder = pictures(tmp_path / "images", 7)
    (folder / "5.png").write_bytes(b"")
    what = [str(folder), *REWARDS, "--device", "cpu", "--json", "--batch-size", "2"]
    several = subprocess.run(
        [*LAUNCHED, *what, "--fail-on-error", "0.5"], capture_output=True, text=True, check=False
    )
    assert several.returncode == 0, several.stderr
    alone = json.loads(run(*what, "--no-cache", "--fail-on-error", "0.5"))
    found = json.loads(several.stdout)  # one document, from one process
    assert (found["n_processes"], alone["n_processes"]) == (2, 1)
    assert found["n_failed"] == 1
    assert found["images"][5]["errors"] == alone["images"][5]["errors"]
    for ours, theirs in zip(found["images"], alone["images"], strict=True):
        assert ours["pixel_sha256"] == theirs["pixel_sha256"]
        for name, value in theirs["scores"].items():
            assert ours["scores"][name] == pytest.approx(value, abs=1e-4)
    assert found["summary"]["clip"]["n"] == 6
    assert kept(cache) == 3 * 6


def test_more_processes_than_images_and_one_device_for_two(tmp_path: Path) -> None:
    what = [str(pictures(tmp_path / "images", 1)), *REWARDS, "--json"]
    done = subprocess.run(
        [*LAUNCHED, *what, "--device", "cpu"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["n_processes"], found["summary"]["clip"]["n"]) == (2, 1)


@pytest.mark.parametrize(("variable", "value"), [("RANK", "3"), ("WORLD_SIZE", ""), ("RANK", "x")])
def test_some_other_programs_variables_silence_nothing(
    variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert "clip" in run(pictures(tmp_path / "images", 1), *REWARDS)


@pytest.mark.parametrize("device", ["cuda:0", "cpu:1", "nonsense"])
def test_one_device_is_not_for_several_processes(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(PpdbenchError):
        shards(device)


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*ALONE, str(folder), *REWARDS, "--device", "cpu", "--json", "--batch-size", "4", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kept(cache: Path) -> int:
    """Scores in the cache now."""
    store = Store(cache)
    counted = store._with_connection(
        lambda opened: opened.execute("SELECT count(*) FROM kept WHERE kind='score'").fetchone()[0]
    )
    return int(counted or 0)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killed_and_run_again(tmp_path: Path, cache: Path, how: signal.Signals) -> None:
    folder = pictures(tmp_path / "images", 240, size=256)
    undisturbed = json.loads(run(folder, *REWARDS, "--device", "cpu", "--no-cache", "--json"))
    process = start(folder)
    deadline = time.monotonic() + 60
    while not cache.is_file() or kept(cache) < 12:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(how)
    _, said = process.communicate()
    assert process.returncode == (-how if how is signal.SIGKILL else 130), said
    before = kept(cache)
    assert 12 <= before < 3 * 240
    again = start(folder)
    document, said = again.communicate()
    assert again.returncode == 0, said
    for ours, theirs in zip(scores_of(document), scores_of(json.dumps(undisturbed)), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
    assert kept(cache) == 3 * 240


def test_two_at_once_share_one_cache(tmp_path: Path, cache: Path) -> None:
    folder = pictures(tmp_path / "images", 40)
    both = [start(folder), start(folder)]
    documents = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], documents
    first, second = (scores_of(document) for document, _ in documents)
    for ours, theirs in zip(first, second, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)
    assert "not used" not in documents[0][1] + documents[1][1]
    assert kept(cache) == 3 * 40


def test_a_cache_that_cannot_be_written_costs_no_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pictures(tmp_path / "images", 2)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "file"))
    done = CliRunner().invoke(app, ["score", str(folder), *REWARDS, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["summary"]["hps"]["n"] == 2
    assert done.stderr.count("the score cache") == 1
