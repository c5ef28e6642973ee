"""`ppdbench data prepare`: encoded once as the base itself encodes, pinned, counted, refused."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from published_layout import SIDE, write_hub
from tiny_cascade import Log, use_channel_rewards, write_base
from tiny_prepare import SHARD_PAIRS, small_shards, write_source
from typer.testing import CliRunner

from ppdbench import plugins
from ppdbench.cli import app
from ppdbench.data.images import decode_image
from ppdbench.data.pickapic import read_pairs
from ppdbench.data.selection import read_selection
from ppdbench.data.split_files import read_splits
from ppdbench.protocols import PreferencePair, SuiteFiles
from trainers.encoded import encoding
from trainers.encoded.decoding import as_tensor
from trainers.encoded.encoded_shards import encoded_images
from trainers.encoded.latents import LatentCache, encode_pairs
from trainers.encoded.relabel import reward_margins, trainable
from trainers.stable_cascade import sizes
from trainers.stable_cascade.load import load_base
from trainers.stable_cascade.stage_c import Base


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PPDBENCH_WEIGHTS", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    small_shards(monkeypatch.setattr)
    return tmp_path


@pytest.fixture
def prepare(tiny_base_folder: Path) -> Callable[..., Any]:
    """Run the command on p.parquet into out; what --json printed, or what was said on stderr."""

    def run(*more: str | Path, code: int = 0, base: Path = tiny_base_folder) -> Any:
        words = ["data", "prepare", "p.parquet", "--out", "out", "--base", base, "--json", *more]
        done = CliRunner().invoke(app, list(map(str, words)))
        assert done.exit_code == code, done.output
        return done.stderr if code else json.loads(done.stdout)

    return run


def cache_of(base: Base, split: str = "train", limit: int | None = None) -> LatentCache:
    """What a training finds; it would fail where anything was left to encode."""
    log, side = Log(), base.image_size
    cache = encode_pairs(
        Path("out") / f"{split}.rows.parquet",
        base,
        cache=Path("never"),
        size=(side, side),
        limit=limit,
        events=log,
    )
    assert "is encoded already" in log.notes[0] and not Path("never").exists()
    return cache


def shards() -> dict[str, int]:
    """Every shard there is, and when it was written."""
    files = [*Path("out").rglob("images-*"), *Path("out").rglob("captions-*")]
    return {file.as_posix(): file.stat().st_mtime_ns for file in files}


def test_every_row_is_the_published_bases_own_encoding(
    place: Path, prepare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held against a slow twin: rows of the source by the splits' numbers, encoded one by one."""
    monkeypatch.setattr(sizes, "LATENT_SIDE", SIDE)
    hub = write_hub(place) / "stable-cascade-prior"
    write_source(place / "p.parquet", 7)
    facts = prepare("--users", "onehot", base=hub)
    base = load_base(hub)
    cache, splits = cache_of(base), read_splits(Path("out"))
    train = splits.assignment.pair[splits.assignment.of("train")]
    assert cache.id is not None and cache.user is not None
    assert sorted(cache.id.tolist()) == sorted(train.tolist()) and len(cache) > SHARD_PAIRS
    assert cache.dtypes == ("float16", "bfloat16")  # as the text encoder's
    assert cache.latent_shape == (4, SIDE, SIDE) == base.latent_shape
    table = pq.read_table("p.parquet").to_pylist()
    row_of = dict(zip(splits.assignment.pair.tolist(), splits.assignment.row, strict=True))
    for row, identity in enumerate(cache.id.tolist()):
        source = table[row_of[identity]]
        assert cache.captions[int(cache.caption[row])] == source["caption"]
        assert cache.label_margin[row] == source["label_1"] - source["label_0"]
        assert cache.user[row] == source["user_id"]
        if row % 16:  # of the images every sixteenth, as each takes a pass
            continue
        winner = int(source["label_1"] > source["label_0"])
        preferred, other = cache.latents(np.array([row]), np.array([winner]))
        for side, stored in ((winner, preferred), (1 - winner, other)):
            image = as_tensor(decode_image(source[f"jpg_{side}"]), (32 * SIDE, 32 * SIDE))
            wanted = base.compressor.encode(image[None])
            torch.testing.assert_close(stored, wanted, rtol=2e-3, atol=2e-3)
        text = cache.text(np.array([row, row]), np.array([False, True]))
        for place_, caption in enumerate((source["caption"], "")):
            whole = base.encode_text([caption])
            torch.testing.assert_close(text.hidden[place_], whole.hidden[0].float(), rtol=0.02,
                                       atol=0.02)  # fmt: skip
            torch.testing.assert_close(text.pooled[place_], whole.pooled[0].float(), rtol=0.02,
                                       atol=0.02)  # fmt: skip
    assert text.hidden.dtype == torch.float32 and text.pooled.shape == (2, 1, 16)
    assert facts["complete"] and facts["splits"]["train"]["users"]["onehot"]["embeddings"] > 0
    assert facts["splits"]["train"]["base_sha256"] == base.sha256


def test_what_is_left_out_is_counted(place: Path, prepare: Callable[..., Any]) -> None:
    """Users with few pairs where pairs are split, images that do not decode where they are met."""

    def spoil(rows: list[dict[str, Any]]) -> None:
        for row in rows[::50]:
            data = row["jpg_1"]
            row["jpg_1"] = data[:50] + b"what" + data[54:]  # its ends are those of a PNG

    write_source(place / "p.parquet", 20, spoil)
    facts = prepare()
    dropped = {why: n for step in facts["source"]["funnel"] for why, n in step["left_out"].items()}
    assert dropped["of a user with fewer than 4 pairs"] == 3
    train = facts["splits"]["train"]
    selected = read_selection(Path("out") / "train.rows.parquet").rows
    bad = int((selected % 50 == 0).sum())
    assert train["left_out"] == {"unreadable image": bad} and bad > 3
    assert train["pairs"] == len(selected) - bad


def test_pairs_whose_latents_are_not_finite_are_left_out(
    place: Path, prepare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tiny_base: Base
) -> None:
    write_source(place / "p.parquet")
    real = type(tiny_base.compressor).encode
    calls: list[int] = []

    def encode(self: Any, images: torch.Tensor) -> torch.Tensor:
        latents: torch.Tensor = real(self, images)
        calls.append(len(images))
        if len(calls) in (1, 2):  # both sides of the first shard: row 3 of both, row 5 of one
            latents[3, 0, 0, 0] = torch.nan
        if len(calls) == 2:
            latents[5] = torch.inf
        return latents

    monkeypatch.setattr(type(tiny_base.compressor), "encode", encode)
    train = prepare()["splits"]["train"]
    assert train["left_out"] == {"latents not finite": 2}
    cache = cache_of(tiny_base)
    assert cache.skipped == {3, 5} and len(cache) == train["pairs"] == 310
    everything = np.arange(len(cache))
    assert all(part.isfinite().all() for part in cache.latents(everything, everything % 2))
    assert cache_of(tiny_base, limit=5).left_out == {"latents not finite": frozenset({3})}


def test_a_compressor_that_makes_nothing_finite_is_refused(
    place: Path, prepare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tiny_base: Base
) -> None:
    write_source(place / "p.parquet")
    monkeypatch.setattr(
        type(tiny_base.compressor),
        "encode",
        lambda _self, images: torch.full((len(images), 4, 4, 4), torch.nan),
    )
    said = prepare(code=1)
    assert "the latents of 40 of 40 pairs are not finite" in said and "compressor" in said
    assert not shards()


def test_a_full_disk_keeps_what_is_there(
    place: Path, prepare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tiny_base: Base
) -> None:
    write_source(place / "p.parquet")
    written = 0

    def fsync(_file: int) -> None:
        nonlocal written
        written += len(list(Path("out").rglob(".images-*.part")))
        if written == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("ppdbench.runs.atomic.os.fsync", fsync)
        said = prepare(code=3)
    before = shards()
    assert "no space left while writing" in said and "images-00003" in said
    assert len(before) == 3 and not [*Path("out").rglob("*.part")]
    assert prepare()["complete"]
    after = shards()
    assert {name: after[name] for name in before} == before and len(after) > 10
    assert len(cache_of(tiny_base)) == 312


def test_space_is_looked_for_before_anything_is_encoded(
    place: Path, prepare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_source(place / "p.parquet")
    planned = prepare("--dry-run")
    assert not shards() and not Path("out/pinned.json").exists() and not planned["complete"]
    gb = [sum(made["gb"].values()) for made in planned["splits"].values()]
    free = shutil.disk_usage(place)._replace(free=int(sum(gb) * 1e9) - 1)
    monkeypatch.setattr("trainers.prepare.shutil.disk_usage", lambda _path: free)
    assert "GB are free" in prepare(code=3) and not shards()
    monkeypatch.undo()
    small_shards(monkeypatch.setattr)
    monkeypatch.chdir(place)
    made = prepare()
    for split, plan in planned["splits"].items():
        assert plan["pairs"] == made["splits"][split]["pairs"]
        assert plan["captions"] == made["splits"][split]["captions"]
    tensors = sum(Path(file).stat().st_size for file in shards())
    assert sum(gb) * 1e9 < tensors < sum(gb) * 1e9 * 1.3  # headers, and hashes of pictures


def test_parquet_cut_short_is_named_and_costs_nothing(
    place: Path, prepare: Callable[..., Any]
) -> None:
    source = write_source(place / "p.parquet")
    whole = source.read_bytes()
    source.write_bytes(whole[:-100])
    said = prepare(code=1)
    assert "p.parquet is not a readable Parquet file" in said and not Path("out/latents").exists()
    source.write_bytes(whole)
    prepare()
    before = shards()
    source.write_bytes(whole[: len(whole) // 2])
    assert "p.parquet is not a readable Parquet file" in prepare(code=1)
    source.write_bytes(whole)
    prepare()
    assert shards() == before


@pytest.mark.parametrize("name", ["pinned.json", "prepared.json", "index.json", "captions.arrow"])
@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_file_is_named_and_made_anew_once_it_is_gone(
    name: str, text: str, place: Path, prepare: Callable[..., Any], tiny_base: Base
) -> None:
    write_source(place / "p.parquet", 10)
    prepare()
    before = shards()
    train = json.loads(Path("out/prepared.json").read_text())["splits"]["train"]["folder"]
    file = Path("out", *([] if name.startswith("p") else [train]), name)
    file.write_text(text)
    said = prepare(code=1)
    assert f"{name} is damaged" in said and "delete it" in said
    file.unlink()
    assert prepare()["complete"] and shards() == before
    cache_of(tiny_base)


def test_splits_that_were_lost_are_made_anew(place: Path, prepare: Callable[..., Any]) -> None:
    write_source(place / "p.parquet", 10)
    prepare()
    before = shards()
    for name in ("splits.json", "train.rows.parquet"):
        Path("out", name).unlink()
        assert prepare()["complete"] and shards() == before


def test_the_index_stays_for_who_reads_it(
    place: Path, prepare: Callable[..., Any], tiny_base: Base
) -> None:
    """One of two commands that end at the same time finds the other's index, and half of it all."""
    write_source(place / "p.parquet", 10)
    prepare()
    cache = cache_of(tiny_base)
    index, pairs = cache.folder / "index.json", cache.folder / "pairs.safetensors"
    another = cache.folder / ".reward-clip-00000.safetensors.1.part"
    another.touch()
    inode = index.stat().st_ino
    pairs.unlink()
    prepare()
    assert index.stat().st_ino == inode and pairs.is_file() and another.exists()


def test_a_training_says_that_what_was_prepared_is_not_complete(
    place: Path, prepare: Callable[..., Any], tiny_base: Base
) -> None:
    write_source(place / "p.parquet", 10)
    prepare("--shard", "1/2")
    side, log = tiny_base.image_size, Log()
    pairs = Path("out/train.rows.parquet")
    how: dict[str, Any] = {"cache": Path("own"), "size": (side, side), "limit": 8, "events": log}
    assert len(encode_pairs(pairs, tiny_base, **how)) == 8
    assert "is not complete" in log.notes[0] and "is encoded in own" in log.notes[0]


def test_rows_that_cannot_be_read_any_more_are_named(
    place: Path, prepare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of images lost on disk after the pairs were split, the footer whole."""
    source = write_source(place / "p.parquet")
    prepare("--dry-run")
    whole = source.read_bytes()
    column = pq.ParquetFile(source).metadata.row_group(4).column(9)
    assert column.path_in_schema == "jpg_0"
    start = column.dictionary_page_offset or column.data_page_offset
    source.write_bytes(whole[:start] + bytes(200) + whole[start + 200 :])
    sha = hashlib.sha256(whole).hexdigest()
    # Known by its size and time as the file that was split; the hash is another test's.
    monkeypatch.setattr("ppdbench.rewards.file_hash.read_sha256", lambda _path: sha)
    said = prepare(code=3)
    assert f"pairs of {source} cannot be read" in said
    before = shards()
    assert len(before) >= 1
    source.write_bytes(whole)
    assert prepare()["complete"]
    after = shards()
    assert {name: after[name] for name in before} == before


def test_another_base_or_source_is_refused(
    place: Path, prepare: Callable[..., Any], tmp_path: Path
) -> None:
    source = write_source(place / "p.parquet")
    prepare()
    before = shards()
    (tmp_path / "other").mkdir()
    other = write_base(tmp_path / "other", seed=1)
    said = prepare(code=4, base=other)
    assert "was prepared with another base" in said and "choose another --out" in said
    whole = source.read_bytes()
    write_source(source, spoil=lambda rows: rows[9].update(caption="another"))
    assert "was prepared with another source" in prepare(code=4)
    source.write_bytes(whole)
    assert prepare()["complete"] and shards() == before


def test_shares_are_made_apart_and_ended_together(
    place: Path, prepare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tiny_base: Base
) -> None:
    write_source(place / "p.parquet")
    first = prepare("--shard", "2/3")
    assert not first["complete"] and first["missing"]
    before = shards()
    assert "images-00001" in str(before) and "images-00000" not in str(before)
    made: list[str] = []

    def counted(pairs: Iterable[PreferencePair], *how: Any) -> Any:
        shard = list(pairs)
        made.append(shard[0].id)
        return encoded_images(shard, *how)

    monkeypatch.setattr(encoding, "encoded_images", counted)
    for share in ("1/3", "3/3"):
        assert not prepare("--shard", share)["complete"]
    assert len(set(made)) == len(made) == 6  # of 8, and validation's one
    assert prepare()["complete"] and len(made) == 6
    assert {name: shards()[name] for name in before} == before
    assert len(cache_of(tiny_base)) == 312


def test_rewards_score_every_pair_once(
    place: Path, prepare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tiny_base: Base
) -> None:
    """Added later, by the same command; what was missing is named before anything is encoded."""
    write_source(place / "p.parquet")
    assert "clip" in prepare("--rewards", "clip", code=3) and not shards()
    use_channel_rewards(monkeypatch.setattr)
    assert "rewards" not in prepare()["splits"]["train"]
    before = shards()
    for names in (["clip"], ["hpsv2.1", "clip"]):
        facts = prepare(*(word for name in names for word in ("--rewards", name)))
        assert facts["splits"]["validation"]["rewards"] == sorted(names)
    assert prepare()["splits"]["train"]["rewards"] == ["clip", "hpsv2.1"]
    assert shards() == before
    monkeypatch.setattr("trainers.encoded.relabel._score", lambda *_: pytest.fail("scored again"))
    suite = plugins.make_suite("pickapic", SuiteFiles(pairs=Path("out")))
    specs = [spec for spec in trainable(suite) if spec.name == "hpsv2.1"]
    cache, pairs = cache_of(tiny_base), Path("out/train.rows.parquet")
    margins = reward_margins(specs, pairs, cache, device="cpu", events=Log())["hpsv2.1"]
    assert len(margins) == len(cache) == 312
    for row, pair in list(enumerate(read_pairs(pairs)))[::37]:
        first, second = (np.asarray(decode_image(d)) for d in (pair.image_0, pair.image_1))
        assert margins[row] == pytest.approx(second[..., 2].mean() - first[..., 2].mean())


def test_first_pairs_come_from_what_was_prepared(
    place: Path, prepare: Callable[..., Any], tiny_base: Base
) -> None:
    write_source(place / "p.parquet")
    prepare()
    whole, part = cache_of(tiny_base), cache_of(tiny_base, limit=50)
    assert (len(whole), len(part)) == (312, 50)
    rows = np.arange(50)
    assert torch.equal(part.image_0.rows(rows), whole.image_0.rows(rows))
    assert list(part.captions) == list(whole.captions)[: len(part.captions)]
    drop = np.ones(50, bool)
    assert torch.equal(part.text(rows, drop).hidden, whole.text(rows, drop).hidden)


def test_first_pairs_and_all_of_them_are_scored_in_any_order(
    place: Path, prepare: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tiny_base: Base
) -> None:
    """A shard that the first pairs end in holds fewer scores than all of them need."""
    write_source(place / "p.parquet")
    use_channel_rewards(monkeypatch.setattr)
    prepare()
    pairs = Path("out/train.rows.parquet")
    suite = plugins.make_suite("pickapic", SuiteFiles(pairs=Path("out")))
    specs = [spec for spec in trainable(suite) if spec.name == "clip"]

    def margins(limit: int | None) -> Any:
        cache = cache_of(tiny_base, limit=limit)
        (found,) = reward_margins(specs, pairs, cache, device="cpu", events=Log()).values()
        assert len(found) == len(cache)
        return found

    first, everything = margins(50), margins(None)
    assert first.tolist() == everything[:50].tolist() == margins(50).tolist()
    assert len(set(everything.tolist())) > 100


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["--users", "onehott"], "no encoder is called 'onehott'", 2),
        (["--rewards", "clipp"], "clipp", 2),
        (["--shard", "0/2"], "--shard 0/2 is no share", 2),
        (["--shard", "3/2"], "--shard 3/2 is no share", 2),
        (["--preparer", "nobody"], "nobody", 2),
        (["--base", "nowhere"], "nowhere", 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_refusals_come_before_the_work(
    arguments: list[str], said: str, code: int, place: Path, prepare: Callable[..., Any]
) -> None:
    write_source(place / "p.parquet", 10)
    assert said in prepare(*arguments, code=code)
    assert not shards() and not Path("out/pinned.json").exists()
