"""Atomic files, seeds, fingerprints and images."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.runs.atomic import remove_leftovers, write_atomic, write_json
from ppdbench.runs.cache_folder import cache_folder
from ppdbench.runs.environment import environment
from ppdbench.runs.fingerprint import differences, fingerprint
from ppdbench.runs.images import ImageStore
from ppdbench.runs.profiles import FILE, add_profiles, read_profiles
from ppdbench.runs.seeds import noise_seed


def test_a_refused_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MissingPrerequisite, match="no space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_killed_writers_go_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    for name in (".summary.json.99.part", "figures/.a.svg.99.part", "summary.json", ".lock"):
        (tmp_path / name).touch()
    (tmp_path / ".film.mp4.part").touch()  # not of ours
    remove_leftovers(tmp_path)
    left = sorted(path.name for path in tmp_path.rglob("*"))
    assert left == [".film.mp4.part", ".lock", "figures", "summary.json"]


def test_what_a_killed_writer_left_goes_with_the_next_write_and_a_live_one_s_stays(
    tmp_path: Path,
) -> None:
    (tmp_path / ".file[1].99.part").touch()
    (tmp_path / ".other.99.part").touch()
    live = tmp_path / ".file[1].98.part"
    with live.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_atomic(tmp_path / "file[1]", "new")
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            *(".file[1].98.part", ".other.99.part", "file[1]"),
        ]
        remove_leftovers(tmp_path)
        assert live.exists()
    write_atomic(tmp_path / "file[1]", "newer")
    assert [path.name for path in tmp_path.iterdir()] == ["file[1]"]


def test_two_writers_of_one_process_id_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads, or containers that share a folder: one begins and ends while the other writes."""
    path, sync = tmp_path / "file", os.fsync

    def other_first(file: int) -> None:
        sync(file)
        monkeypatch.setattr(os, "fsync", sync)
        write_atomic(path, "the other's")
        assert path.read_text() == "the other's"

    monkeypatch.setattr(os, "fsync", other_first)
    write_atomic(path, "ours")
    assert path.read_text() == "ours"
    assert list(tmp_path.iterdir()) == [path]


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert json.loads((tmp_path / "x.json").read_bytes()) == {"a": 1}


def test_seeds_are_stable_and_depend_on_each_part() -> None:
    # Frozen: another value would draw other noise for every recorded row.
    digest = hashlib.sha256(b"1/test-001/0").digest()
    assert noise_seed("1", "test-001", 0) == int.from_bytes(digest[:8], "big") >> 1
    seeds = {noise_seed(v, i, s) for v in "12" for i in ("a", "b") for s in (0, 1)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_fingerprints_ignore_order_and_nothing_else() -> None:
    spec = {"suite": "toy", "sampling": {"steps": 12, "guidance": 4.0}, "limit": None}
    turned = {"limit": None, "sampling": {"guidance": 4.0, "steps": 12}, "suite": "toy"}
    assert fingerprint(spec) == fingerprint(turned)
    changed = {**spec, "sampling": {"steps": 13, "guidance": 4.0}}
    assert fingerprint(changed) != fingerprint(spec)
    assert len(fingerprint(spec)) == 12
    assert differences(spec, changed) == ["sampling.steps"]
    assert differences(spec, {"suite": "toy"}) == ["limit", "sampling.guidance", "sampling.steps"]
    assert differences(spec, turned) == []
    with pytest.raises(ValueError, match="JSON"):
        fingerprint({"x": float("inf")})


def test_images_come_back_pixel_for_pixel(tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "images")
    image = Image.effect_noise((9, 7), 80).convert("RGB")
    sha256 = store.put(image)
    assert hashlib.sha256(store.path(sha256).read_bytes()).hexdigest() == sha256
    assert store.get(sha256).tobytes() == image.tobytes()
    assert store.put(image) == sha256
    assert len(list((tmp_path / "images").iterdir())) == 1
    assert store.put(image.convert("RGBA")) == sha256  # stored as RGB, whatever came
    assert not store.has("0" * 64)


def test_a_file_is_kept_as_it_is(tmp_path: Path) -> None:
    """Whatever wrote it: coded anew, it would have another name."""
    image = Image.effect_noise((9, 7), 80).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    store = ImageStore(tmp_path / "images")
    sha256 = store.put_file(buffer.getvalue())
    assert store.read(sha256) == buffer.getvalue() and sha256 != store.put(image)
    assert store.get(sha256).tobytes() == image.tobytes()


def test_a_panorama_comes_back_and_a_bomb_does_not(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    assert store.get(store.put(Image.new("RGB", (12_000, 2)))).size == (12_000, 2)
    with pytest.raises(PpdbenchError, match="would decode to 70000 x 1"):
        store.get(store.put(Image.new("RGB", (70_000, 1))))


def test_a_damaged_image_is_refused_and_put_mends_it(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    image = Image.new("RGB", (4, 4), "teal")
    sha256 = store.put(image)
    path = store.path(sha256)
    path.write_bytes(path.read_bytes().replace(b"IEND", b"IENE"))
    with pytest.raises(PpdbenchError, match="corrupt") as caught:
        store.get(sha256)
    assert caught.value.exit_code == 1
    assert str(path) in caught.value.cause
    assert store.put(image) == sha256
    assert store.get(sha256).getpixel((0, 0)) == (0, 128, 128)


def test_the_environment_names_no_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "someone")
    found = environment()
    text = json.dumps(found)
    assert found["libraries"]["numpy"]
    assert found["cpu_count"] == os.cpu_count()
    for private in ("someone", str(Path.home()), str(Path.cwd()), os.uname().nodename):
        assert private not in text


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPDBENCH_CACHE", "given")
    assert cache_folder() == Path("given")
    monkeypatch.delenv("PPDBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "xdg")
    assert cache_folder() == Path("xdg/ppdbench")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "ppdbench"


def test_profiles_gather_and_newer_words_replace_older_ones(tmp_path: Path) -> None:
    assert read_profiles(tmp_path) == {}
    add_profiles(tmp_path, {})
    assert not (tmp_path / FILE).exists()
    add_profiles(tmp_path, {"vlm": {"1": "likes red", "2": "likes warmth"}})
    add_profiles(tmp_path, {"vlm": {"2": "likes détail"}, "other": {"1": "big"}})
    found = {"vlm": {"1": "likes red", "2": "likes détail"}, "other": {"1": "big"}}
    assert read_profiles(tmp_path) == found
    stamp = (tmp_path / FILE).stat().st_mtime_ns
    add_profiles(tmp_path, {"vlm": {"1": "likes red"}})
    assert (tmp_path / FILE).stat().st_mtime_ns == stamp
    for damage in (b"{", b"[]", b'{"profiles": {"vlm": 3}}'):
        (tmp_path / FILE).write_bytes(damage)
        assert read_profiles(tmp_path) == {}
