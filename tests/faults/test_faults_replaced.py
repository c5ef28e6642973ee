"""Files replaced under a command's feet: noticed and named, or harmless; never another number.

Elsewhere: files that were damaged between two runs (`test_benchmarks_damage`), rewards and
vision-language models whose files change while they are read (`test_rewards_weights`,
`test_users_vlm_files`).
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drive import PATIENCE, ROOT, check_clean, ended, kill, run_folder, wait_until_working
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small import EVAL, the_error, undisturbed

from ppdbench.data.pickapic import read_pairs, write_pairs
from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.protocols import GenerationRequest, LoadContext, PreferencePair
from ppdbench.runs.records import RecordWriter, read_records
from ppdbench.suites.shapes.classifier import load_classifier
from ppdbench.suites.shapes.pairs import choices
from ppdbench.suites.shapes.suite import ShapesSuite
from trainers import generator
from trainers.encoded import encoding, listing, relabel
from trainers.encoded.latents import LatentCache, encode_pairs
from trainers.generator import CascadeGenerator
from trainers.stable_cascade.load import load_base
from trainers.stable_cascade.stage_c import Base
from trainers.training.progress import Silence

ASSETS = ROOT / "trainers" / "assets" / "shapes"
MEASURES = ROOT / "ppdbench" / "suites" / "shapes" / "assets"


def replace(file: Path, content: bytes) -> None:
    """Another file of that name, as a copy or a training leaves it."""
    other = file.with_name("other")
    other.write_bytes(content)
    other.replace(file)


def one_more(file: Path) -> bytes:
    """The weights of a file with one number changed."""
    weights = load_file(file)
    name = sorted(weights)[0]
    with safe_open(file, framework="pt") as opened:
        told = opened.metadata()
    save_file(weights | {name: weights[name] + 1}, other := file.with_name("more"), metadata=told)
    content = other.read_bytes()
    other.unlink()
    return content


# Records of a run, while it runs.


@pytest.mark.parametrize("how", ["replaced", "cut", "removed", "written to"])
def test_records_that_something_else_changes(how: str, tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    with RecordWriter(path) as writer:
        writer.write([{"n": n} for n in range(4)])
        lines = path.read_bytes()
        if how == "replaced":
            replace(path, lines)
        elif how == "cut":
            path.write_bytes(lines[:-3])
        elif how == "removed":
            path.unlink()
        else:
            path.write_bytes(lines + lines)
        with pytest.raises(PpdbenchError, match=r"records\.jsonl was replaced, cut or removed"):
            writer.write([{"n": 4}])
    with RecordWriter(path) as writer:  # the same command again
        there = len(read_records(path))
        writer.write([{"n": 4}])
    assert [record["n"] for record in read_records(path)][there:] == [4]


@pytest.mark.slow
def test_a_run_whose_records_are_swapped_goes_on(tmp_path: Path) -> None:
    """The real command stops at the next record; with the former file back it ends as ever."""
    whole = undisturbed(EVAL, tmp_path)
    place = tmp_path / "place"
    EVAL.prepare(place)
    process = EVAL.start(place)
    try:
        assert wait_until_working(EVAL, place, process)
        records = run_folder(place) / "generations.jsonl"
        until = time.monotonic() + PATIENCE
        while not (records.is_file() and records.stat().st_size):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.002)
        process.send_signal(signal.SIGSTOP)
        kept = records.rename(records.with_name("kept"))
        records.write_bytes(b"")
        process.send_signal(signal.SIGCONT)
        done = ended(place, process)
    finally:
        kill(process)
    assert done.code == 1
    cause, fix = the_error(done)
    assert "generations.jsonl was replaced, cut or removed" in cause
    assert "run the same command again" in fix
    kept.replace(records)
    EVAL.finish(place)
    assert EVAL.outcome(place) == whole
    check_clean(place)


# Weights, between being named and being read.


@pytest.fixture
def base_folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ASSETS / "base", tmp_path / "base"))


def drawing(tmp_path: Path, base: Path) -> CascadeGenerator:
    adapter = tmp_path / "adapter"
    if not adapter.exists():
        shutil.copytree(ASSETS / "sft", adapter)
    context = LoadContext(suite=ShapesSuite(), device="cpu")
    return CascadeGenerator(context, None, adapter=adapter, base=base)


def draw(drawer: CascadeGenerator) -> Any:
    size = ShapesSuite().sampling
    asked = GenerationRequest(
        id="1", caption="a red circle", user=None, seed=1, width=size.width, height=size.height
    )
    (image,) = drawer.generate([asked])
    return np.asarray(image)


def test_an_adapter_that_a_training_replaces(tmp_path: Path, base_folder: Path) -> None:
    """Its pictures would stand under the revision of the one before."""
    before, named = drawing(tmp_path, base_folder), drawing(tmp_path, base_folder)
    picture = draw(before)
    file = tmp_path / "adapter" / "adapter.safetensors"
    replace(file, one_more(file))
    with pytest.raises(PpdbenchError, match=r"adapter\.safetensors was changed while") as caught:
        draw(named)
    assert caught.value.fix == "run the same command again"
    assert np.array_equal(draw(before), picture)  # read before: it draws what it is
    after = drawing(tmp_path, base_folder)
    assert after.info.revision != before.info.revision
    assert draw(after).shape == picture.shape


@pytest.mark.parametrize("listed", [True, False])
def test_a_base_whose_weights_are_replaced(
    listed: bool, tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before its run with a manifest that knows better, and between its naming and its reading."""
    monkeypatch.setattr(generator, "_BASES", {})  # one that is in memory is the one that was named
    manifest = base_folder / "manifest.json"
    if not listed:
        manifest.unlink()
    named = drawing(tmp_path, base_folder)
    file = base_folder / "stage_c.safetensors"
    replace(file, one_more(file))
    says = "is not the one that its manifest.json lists" if listed else "was changed while"
    with pytest.raises(PpdbenchError, match=says):
        draw(named)
    if listed:
        with pytest.raises(MissingPrerequisite, match=says):
            load_base(base_folder)


def test_a_classifier_that_is_not_its_manifests(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(MEASURES / "classifier", tmp_path / "classifier"))
    assert load_classifier(folder, "cpu").sha256
    file = folder / "model.safetensors"
    replace(file, one_more(file))
    with pytest.raises(MissingPrerequisite, match="its manifest says"):
        load_classifier(folder, "cpu")


# Pairs, between being hashed and being read.


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base(ASSETS / "base")


def some_pairs(first: int) -> Iterator[PreferencePair]:
    return islice(choices("train", "validation", 4), first, first + 12)


def encoded(file: Path, base: Base) -> LatentCache:
    return encode_pairs(
        file, base, cache=file.parent / "cache", size=(64, 64), limit=None, events=Silence()
    )


def replacing(call: Callable[..., Any], file: Path, content: bytes) -> Callable[..., Any]:
    """The same call, before which the file is replaced."""

    def replaced(*args: Any, **kwargs: Any) -> Any:
        replace(file, content)
        return call(*args, **kwargs)

    return replaced


@pytest.fixture
def pairs(tmp_path: Path) -> tuple[Path, bytes, bytes]:
    """A file of pairs, its content, and that of another."""
    file = tmp_path / "pairs.parquet"
    write_pairs(file, some_pairs(12))
    other = file.read_bytes()
    write_pairs(file, some_pairs(0))
    return file, file.read_bytes(), other


@pytest.mark.parametrize("when", ["every_pair", "encoded_images"])
def test_pairs_replaced_while_they_are_encoded(
    when: str,
    pairs: tuple[Path, bytes, bytes],
    base: Base,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing of the new file is kept under the name of the old one."""
    file, own, other = pairs
    module = encoding if when == "encoded_images" else listing
    with monkeypatch.context() as patch:
        patch.setattr(module, when, replacing(getattr(module, when), file, other))
        with pytest.raises(PpdbenchError, match="were changed while they were read"):
            encoded(file, base)
    (folder,) = (file.parent / "cache").iterdir()
    assert not list(folder.glob("images-*")) and not (folder / "index.json").exists()
    replace(file, own)
    cache = encoded(file, base)
    assert cache.folder == folder
    assert [str(n) for n in (cache.id if cache.id is not None else ())] == [
        pair.id for pair in read_pairs(file)
    ]
    latents = cache.latents(np.arange(12), np.zeros(12, np.int64))
    replace(file, other)
    assert encoded(file, base).folder != folder
    assert torch.equal(cache.latents(np.arange(12), np.zeros(12, np.int64))[0], latents[0])


def test_pairs_replaced_before_they_are_scored(
    pairs: tuple[Path, bytes, bytes], base: Base
) -> None:
    file, own, other = pairs
    cache = encoded(file, base)
    specs = [spec for spec in ShapesSuite().rewards() if spec.name == "clip"]

    def margins() -> Any:
        return relabel.reward_margins(specs, file, cache, device="cpu", events=Silence())

    replace(file, other)
    with pytest.raises(PpdbenchError, match="were changed while they were read"):
        margins()
    assert not list(cache.folder.glob("reward-*"))
    replace(file, own)  # another file of the same content: read anew, it is another inode
    cache = encoded(file, base)
    assert len(margins()["clip"]) == 12


# Runs that are compared.


@pytest.mark.parametrize("name", ["summary.json", "scores.jsonl"])
def test_a_run_that_is_worked_on_while_it_is_compared(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old figures would be kept for the new files, and pass for theirs from then on."""
    from ppdbench.benchmarks.compare import run as compared

    folders = [tmp_path / each for each in "ab"]
    for folder in folders:
        folder.mkdir()
        for file in ("summary.json", "scores.jsonl"):
            (folder / file).write_text("{}\n")

    class Read:
        def __init__(self, path: Path) -> None:
            self.path, self.label, self.model = path, path.name, path.name
            self.spec: dict[str, Any] = {}

    made: list[int] = []

    def summarise(runs: Sequence[Read], _events: object) -> dict[str, Any]:
        made.append(len(made))
        if len(made) == 1:
            (runs[1].path / name).write_text('{"later": true}\n')
        return {"figure": (runs[1].path / name).read_text()}

    monkeypatch.setattr(compared, "read_runs", lambda places: [Read(place) for place in places])
    monkeypatch.setattr(compared, "summarise_comparison", summarise)

    def compare() -> Any:
        out = compared.compare(folders, out=tmp_path / "out", events=Silence())
        return json.loads((out / "summary.json").read_bytes())["figure"]

    with pytest.raises(PpdbenchError, match="b was changed while it was compared"):
        compare()
    assert not (tmp_path / "out").exists()
    assert "later" in compare()
    assert "later" in compare() and len(made) == 2  # nothing changed: nothing computed
