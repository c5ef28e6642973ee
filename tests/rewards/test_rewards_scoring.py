"""`score`: the rewards' own numbers, each thing done once, nothing lost to a failure."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from PIL import Image

from ppdbench.data.images import read_image
from ppdbench.errors import MissingPrerequisite, PpdbenchError, UsageError
from ppdbench.protocols import Reward, RewardInfo, RewardSpec
from ppdbench.rewards import identity, loader, score
from ppdbench.rewards.load import load_reward
from ppdbench.rewards.open_clip_tower import OpenClipTower
from ppdbench.rewards.scoring import DRIFT_IMAGES

KINDS = ("clip", "aesthetic", "hps")

Spec = Callable[[str], RewardSpec]


@pytest.fixture
def specs(spec: Spec) -> list[RewardSpec]:
    return [spec(kind) for kind in KINDS]


@pytest.fixture
def files(images: list[Image.Image], tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{n}.png" for n in range(len(images))]
    for image, path in zip(images, paths, strict=True):
        image.save(path)
    return paths


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache.sqlite"


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each forward pass had."""
    sizes: list[int] = []
    original = OpenClipTower.encode_images

    def counting(self: OpenClipTower, pixels: object) -> object:
        sizes.append(len(pixels))  # type: ignore[arg-type]
        return original(self, pixels)  # type: ignore[arg-type]

    monkeypatch.setattr(OpenClipTower, "encode_images", counting)
    return sizes


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names: list[str] = []
    original = read_image

    def counting(data: bytes, *, name: str) -> Image.Image:
        names.append(Path(name).name)
        return original(data, name=name)

    monkeypatch.setattr(loader, "read_image", counting)
    return names


class Width:
    """A reward of a stranger's own kind."""

    def __init__(self, *, bad: Sequence[int] = ()) -> None:
        self.info = RewardInfo(name="width", kind="own", checkpoint_sha256="0", preprocess="none")
        self.bad = bad

    def score(self, images: Sequence[Image.Image], captions: Sequence[str]) -> NDArray[np.float64]:
        if any(image.width in self.bad for image in images):
            raise RuntimeError("too wide for me")
        return np.array([i.width + len(c) for i, c in zip(images, captions, strict=True)], float)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_size", [2, 64])
def test_scores_are_the_rewards_own(
    workers: int,
    batch_size: int,
    specs: list[RewardSpec],
    files: list[Path],
    images: list[Image.Image],
    captions: list[str],
    cache: Path,
) -> None:
    rewards: list[str | RewardSpec | Reward] = [*specs, Width()]
    table = score(
        files, captions, rewards, device="cpu", batch_size=batch_size, workers=workers, cache=cache
    )
    assert list(table.scores) == [*KINDS, "width"]
    for spec in specs:
        own = load_reward(spec, "cpu").score(images, captions)
        assert_allclose(table.scores[spec.name], own, atol=1e-4)
    widths = [i.width + len(c) for i, c in zip(images, captions, strict=True)]
    assert list(table.scores["width"]) == widths
    assert table.errors == {}
    assert len(set(table.pixel_sha256)) == len(files)
    assert table.images == [str(path) for path in files]


def test_what_another_process_keeps_meanwhile_parts_no_batch(
    specs: list[RewardSpec],
    files: list[Path],
    captions: list[str],
    cache: Path,
    embedded: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Found half in the one moment and half in another, it is found whole: the same scores."""
    others = cache.with_name("others.sqlite")
    alone = score(files, captions, specs, device="cpu", cache=others)
    embedded.clear()
    original = read_image

    def meanwhile(data: bytes, *, name: str) -> Image.Image:
        if name == str(files[2]):
            with sqlite3.connect(cache) as connection:
                connection.execute("ATTACH ? AS others", (str(others),))
                connection.execute("INSERT OR IGNORE INTO kept SELECT * FROM others.kept")
        return original(data, name=name)

    monkeypatch.setattr(loader, "read_image", meanwhile)
    found = score(files, captions, specs, device="cpu", cache=cache)
    assert embedded == []
    for name in KINDS:
        assert_array_equal(found.scores[name], alone.scores[name])


def test_a_picture_and_its_file_are_the_same_image(
    specs: list[RewardSpec], files: list[Path], images: list[Image.Image], cache: Path
) -> None:
    captions = ["a small red circle"] * len(files)
    by_file = score(files, captions, specs, device="cpu", cache=cache)
    by_picture = score(images, captions, specs, device="cpu", cache=None)
    assert by_picture.pixel_sha256 == by_file.pixel_sha256
    assert_allclose(by_picture.scores["clip"], by_file.scores["clip"], atol=1e-4)


def test_each_thing_is_done_once(
    specs: list[RewardSpec],
    files: list[Path],
    captions: list[str],
    cache: Path,
    embedded: list[int],
    decoded: list[str],
) -> None:
    first = score(files, captions, specs, device="cpu", cache=cache)
    assert sorted(decoded) == sorted(path.name for path in files)
    assert embedded == [len(files)] * 2  # clip's tower, which is aesthetic's, and hps's
    decoded.clear()
    embedded.clear()
    again = score(files, captions, specs, device="cpu", cache=cache)
    assert (decoded, embedded) == ([], [])
    for name in KINDS:
        assert_array_equal(again.scores[name], first.scores[name])
    other = score(files, ["another caption"] * len(files), specs, device="cpu", cache=cache)
    assert (decoded, embedded) == ([], [])  # embeddings are the pictures' own
    assert not np.isclose(other.scores["clip"], first.scores["clip"]).any()
    assert_array_equal(other.scores["aesthetic"], first.scores["aesthetic"])


def test_texts_are_kept(
    specs: list[RewardSpec],
    files: list[Path],
    images: list[Image.Image],
    captions: list[str],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    score(files, captions, specs[:1], device="cpu", cache=cache)
    encoded: list[int] = []
    original = OpenClipTower._encode

    def counting(self: OpenClipTower, new: Sequence[object], wanted: Sequence[object]) -> None:
        encoded.append(len(new))
        original(self, new, wanted)  # type: ignore[arg-type]

    monkeypatch.setattr(OpenClipTower, "_encode", counting)
    turned = [image.rotate(180) for image in images]
    score(turned, captions, specs[:1], device="cpu", cache=cache)
    assert sum(encoded) == 0


def test_another_library_computes_anew(
    specs: list[RewardSpec],
    files: list[Path],
    captions: list[str],
    cache: Path,
    embedded: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = score(files, captions, specs[:1], device="cpu", cache=cache)
    newer = identity.libraries() | {"pillow": "99"}
    for module in ("identity", "embedding_reward"):
        monkeypatch.setattr(f"ppdbench.rewards.{module}.libraries", lambda: newer)
    after = score(files, captions, specs[:1], device="cpu", cache=cache)
    assert embedded == [len(files)] * 2
    assert before.identities["clip"].id != after.identities["clip"].id


def test_what_cannot_be_read_is_named_and_stops_nothing(
    specs: list[RewardSpec], files: list[Path], captions: list[str], cache: Path
) -> None:
    whole = score(files, captions, specs, device="cpu", cache=None)
    files[0].write_bytes(b"")
    files[1].write_bytes(files[1].read_bytes()[:200])
    files[2].write_text("no image")
    files[3].unlink()
    Image.new("1", (10_000, 10_000)).save(files[4])  # 100 megapixels in 12 kB
    table = score(files, captions, specs, device="cpu", cache=cache)
    assert set(table.errors) == {0, 1, 2, 3, 4}
    for row, said in ((0, "is empty"), (1, "truncated"), (2, "none of PNG"), (3, "no such file")):
        assert all(said in error for error in table.errors[row].values())
        assert all(files[row].name in error for error in table.errors[row].values())
    assert "100 megapixels" in table.errors[4]["clip"]
    for name in KINDS:
        assert np.isnan(table.scores[name][:5]).all()
        assert_allclose(table.scores[name][5:], whole.scores[name][5:], atol=1e-4)
    assert table.summary()["clip"]["n"] == 2
    assert table.summary()["clip"]["n_expected"] == 7
    Image.new("RGB", (64, 64), "red").save(files[0])  # mended: a failure is not kept
    assert 0 not in score(files, captions, specs, device="cpu", cache=cache).errors


def test_an_image_without_caption(
    specs: list[RewardSpec], files: list[Path], captions: list[str], cache: Path
) -> None:
    some: list[str | None] = [*captions]
    some[2] = some[3] = None
    table = score(files, some, specs, device="cpu", cache=cache, problems={3: "not UTF-8"})
    no = "it has no caption"
    assert table.errors == {
        2: {"clip": no, "hps": no},
        3: {"clip": "not UTF-8", "hps": "not UTF-8"},
    }
    assert np.isfinite(table.scores["aesthetic"]).all()
    alone = score(files, None, specs[1:2], device="cpu", cache=None)
    assert alone.errors == {}
    assert_allclose(alone.scores["aesthetic"][2], table.scores["aesthetic"][2], atol=1e-5)
    broken = score(files[:2], ["\udcff", "a"], specs[:1], device="cpu", cache=cache)
    assert broken.errors == {0: {"clip": "its caption is not Unicode"}}
    empty = score(files[:1], [""], specs[:1], device="cpu", cache=cache)
    assert np.isfinite(empty.scores["clip"][0])  # an empty caption is a caption


def test_a_reward_that_fails_on_one_image_fails_on_that_one(
    spec: Spec, files: list[Path], images: list[Image.Image], captions: list[str], cache: Path
) -> None:
    table = score(files, captions, [Width(bad=[100]), spec("clip")], device="cpu", cache=cache)
    wide = [row for row, image in enumerate(images) if image.width == 100]
    assert wide
    assert table.errors == {row: {"width": "RuntimeError: too wide for me"} for row in wide}
    assert np.isfinite(table.scores["clip"]).all()
    mended = score(files, captions, [Width()], device="cpu", cache=cache)
    assert mended.errors == {}

    class Undefined(Width):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.info = replace(self.info, checkpoint_sha256=str(value))
            self.value = value

        def score(
            self, images: Sequence[Image.Image], captions: Sequence[str]
        ) -> NDArray[np.float64]:
            return super().score(images, captions) * self.value

    for value in (np.nan, np.inf):
        undefined = score(files, captions, [Undefined(value)], device="cpu", cache=cache)
        said = {text for row in undefined.errors.values() for text in row.values()}
        assert said == {f"the score is {value}"}
        assert json.loads(undefined.as_json())["images"][0]["scores"] == {"width": None}


def test_a_strangers_scores_are_not_kept(
    files: list[Path], captions: list[str], cache: Path
) -> None:
    """Nothing in a key tells that a stranger's code was changed."""

    class Changed(Width):
        def score(
            self, images: Sequence[Image.Image], captions: Sequence[str]
        ) -> NDArray[np.float64]:
            return super().score(images, captions) + 1

    before = score(files, captions, [Width()], device="cpu", cache=cache)
    after = score(files, captions, [Changed()], device="cpu", cache=cache)
    assert_array_equal(after.scores["width"], before.scores["width"] + 1)


def test_a_worker_that_dies_is_named(
    specs: list[RewardSpec],
    files: list[Path],
    captions: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(loader, "prepare_batch", killed)
    with pytest.raises(PpdbenchError, match="a process that reads images was killed"):
        score(files, captions, specs, device="cpu", cache=None, workers=1)


def test_bf16_without_captions_and_without_memory(
    specs: list[RewardSpec], files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rough = score(files, None, specs, device="cpu", precision="bf16", cache=None)
    assert rough.drift["aesthetic"]["n"] == len(files)
    assert rough.drift["clip"]["n"] == 0
    assert rough.drift["clip"]["reason"]
    original = OpenClipTower.encode_images

    def too_little(self: OpenClipTower, pixels: torch.Tensor) -> torch.Tensor:
        if self.precision == "fp32":
            raise PpdbenchError("too little memory", fix="buy some")
        return original(self, pixels)

    monkeypatch.setattr(OpenClipTower, "encode_images", too_little)
    table = score(files, None, specs[1:2], device="cpu", precision="bf16", cache=None)
    assert np.isfinite(table.scores["aesthetic"]).all()
    assert table.drift["aesthetic"] == {"n": 0, "reason": "too little memory"}
    first = next(csv.DictReader(io.StringIO(table.as_csv())))
    assert first["precision_drift_max"] == ""


def test_bf16_says_how_far_it_moves_scores(
    specs: list[RewardSpec], captions: list[str], cache: Path
) -> None:
    pictures = [Image.effect_noise((64, 64), 10 + 5 * n).convert("RGB") for n in range(20)]
    texts = [captions[n % 3] for n in range(20)]
    exact = score(pictures, texts, specs, device="cpu", cache=cache)
    rough = score(pictures, texts, specs, device="cpu", precision="bf16", cache=cache)
    assert exact.drift == {}
    for name in KINDS:
        moved = np.abs(rough.scores[name] - exact.scores[name])
        assert 0 < moved.max() < 5
        said = rough.drift[name]
        assert said["n"] == DRIFT_IMAGES < 20
        assert said["max_abs"] == pytest.approx(moved[:DRIFT_IMAGES].max(), abs=1e-4)
        assert said["mean_abs"] == pytest.approx(moved[:DRIFT_IMAGES].mean(), abs=1e-4)
        assert rough.identities[name].precision == "bf16"
        assert rough.identities[name].id != exact.identities[name].id
    assert json.loads(rough.as_json())["precision_drift"]["clip"]["n"] == DRIFT_IMAGES


def test_identity_stands_beside_every_score(
    specs: list[RewardSpec], files: list[Path], captions: list[str]
) -> None:
    files[1].write_bytes(b"")
    table = score(files, captions, specs, device="cpu", cache=None)
    document = json.loads(table.as_json())
    assert document["n_failed"] == 1
    for name in KINDS:
        about = document["rewards"][name]
        assert len(about["checkpoint_sha256"]) == 64
        assert about["preprocess"]
        assert about["precision"] == "fp32"
        assert {"torch", "pillow", "open_clip_torch", "ppdbench"} <= about["libraries"].keys()
    assert document["images"][1]["scores"] == dict.fromkeys(KINDS)  # null, never a zero
    assert "is empty" in document["images"][1]["errors"]["clip"]
    rows = list(csv.DictReader(io.StringIO(table.as_csv())))
    assert len(rows) == len(files) * len(KINDS)
    for row in rows:
        about = document["rewards"][row["reward"]]
        assert row["score_id"] == about["id"]
        assert row["checkpoint_sha256"] == about["checkpoint_sha256"]
        failed = row["image"] == str(files[1])
        assert (row["score"] == "") == bool(row["error"]) == failed
    assert float(rows[0]["score"]) == table.scores["clip"][0]  # to the last digit


def test_summary_counts_captions_not_images(specs: list[RewardSpec]) -> None:
    pictures = [Image.effect_noise((64, 64), 5 * n + 5).convert("RGB") for n in range(24)]
    table = score(pictures, [str(n % 12) for n in range(24)], specs[1:2], device="cpu", cache=None)
    found = table.summary()["aesthetic"]
    assert (found["n"], found["n_clusters"]) == (24, 12)
    assert found["ci_low"] < found["mean"] < found["ci_high"]
    lone = score(pictures[:1], ["a"], specs[1:2], device="cpu", cache=None).summary()["aesthetic"]
    assert (lone["ci_low"], lone["sd"]) == (None, None)
    assert lone["reason"]


def test_refusals(
    specs: list[RewardSpec], files: list[Path], captions: list[str], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="7 images but 1 captions"):
        score(files, ["a"], specs)
    with pytest.raises(ValueError, match="7 images but 1 names"):
        score(files, captions, specs, names=["a"])
    with pytest.raises(ValueError, match="a caption is nan"):
        score(files, [float("nan")] * 7, specs)  # type: ignore[list-item]
    with pytest.raises(UsageError, match="no reward is named"):
        score(files, captions, [])
    with pytest.raises(UsageError, match="two rewards are called 'clip'"):
        score(files, captions, [specs[0], specs[0]], device="cpu")
    with pytest.raises(UsageError, match="no precision is called 'fp8'"):
        score(files, captions, specs, precision="fp8")  # type: ignore[arg-type]
    nowhere = [RewardSpec(name=n, kind="clip", checkpoint=tmp_path / n) for n in ("one", "two")]
    with pytest.raises(MissingPrerequisite) as caught:
        score(files, captions, nowhere, device="cpu")
    assert "'one'" in caught.value.cause
    assert "'two'" in caught.value.cause


def test_a_checkpoint_with_code_in_it_is_refused(
    spec: Spec, files: list[Path], captions: list[str], tmp_path: Path
) -> None:
    import shutil

    class Bomb:
        def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
            return Path.touch, (tmp_path / "ran",)

    folder = tmp_path / "clip"
    shutil.copytree(spec("clip").checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"weights": "model.pt"}))
    torch.save({"state_dict": {"visual.proj": torch.zeros(1), "code": Bomb()}}, folder / "model.pt")
    with pytest.raises(PpdbenchError, match=r"model\.pt cannot be read") as caught:
        score(
            files,
            captions,
            [RewardSpec(name="clip", kind="clip", checkpoint=folder)],
            device="cpu",
            cache=None,
        )
    assert "more than tensors" in caught.value.fix
    assert not (tmp_path / "ran").exists()
