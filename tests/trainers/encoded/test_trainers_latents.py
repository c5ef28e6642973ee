"""The latent cache: what the base encodes, winner first, made once, in parts, and by hash."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_cascade import CAPTIONS, Log, TinySuite, use_channel_rewards

from ppdbench.data.images import decode_image
from ppdbench.data.pickapic import read_pairs, write_pairs
from ppdbench.errors import PpdbenchError
from trainers.encoded import encoding, pair_shards
from trainers.encoded.embeddings import ShotGroup, _Contexts
from trainers.encoded.encoding import encode_share, encoding_of
from trainers.encoded.latents import LatentCache, as_tensor, encode_pairs
from trainers.encoded.relabel import reward_margins, trainable
from trainers.people import choices_of
from trainers.stable_cascade.stage_c import Base


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_shards, "SHARD_PAIRS", 7)
    monkeypatch.setattr(encoding, "SHARD_CAPTIONS", 2)


def encode(
    folder: Path, base: Base, *, limit: int | None = None, share: tuple[int, int] = (0, 1)
) -> LatentCache:
    pairs = TinySuite(folder).pairs("train")
    return encode_pairs(
        pairs, base, cache=folder / "cache", size=(32, 32), limit=limit, events=Log(), share=share
    )


def test_rows_are_the_bases_own_encodings(tmp_path: Path, tiny_base: Base) -> None:
    cache = encode(tmp_path, tiny_base)
    assert len(cache) == 24
    assert len(list(cache.folder.glob("images-*"))) == 4
    pairs = list(read_pairs(tmp_path / "train.parquet"))
    rows, winner = np.array([1, 22, 8]), np.array([1, 0, 1])
    preferred, other = cache.latents(rows, winner)
    for index, (row, side) in enumerate(zip(rows, winner, strict=True)):
        both = (pairs[row].image_0, pairs[row].image_1)
        images = torch.stack([as_tensor(decode_image(data), (32, 32)) for data in both])
        wanted = tiny_base.compressor.encode(images)
        torch.testing.assert_close(preferred[index], wanted[side])
        torch.testing.assert_close(other[index], wanted[1 - side])
    assert cache.label_margin[:3].tolist() == [-1, 1, 0]


def test_text_is_the_captions_or_the_empty_ones(tmp_path: Path, tiny_base: Base) -> None:
    cache = encode(tmp_path, tiny_base)
    text = cache.text(np.array([0, 5, 5]), np.array([False, False, True]))
    wanted = tiny_base.encode_text([CAPTIONS[0], CAPTIONS[5 % 3], ""])
    torch.testing.assert_close(text.hidden, wanted.hidden)
    torch.testing.assert_close(text.pooled, wanted.pooled)


def test_made_once(tmp_path: Path, tiny_base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    first = encode(tmp_path, tiny_base)
    for name in ("encoded_images", "encoded_texts"):
        monkeypatch.setattr(encoding, name, lambda *_: pytest.fail("encoded again"))
    again = encode(tmp_path, tiny_base)
    rows = np.arange(24)
    assert torch.equal(first.image_1.rows(rows), again.image_1.rows(rows))


def test_another_base_or_limit_has_another_folder(tmp_path: Path, tiny_base: Base) -> None:
    whole, part = encode(tmp_path, tiny_base), encode(tmp_path, tiny_base, limit=9)
    assert (len(whole), len(part)) == (24, 9)
    tiny_base.sha256 = "f" * 64
    assert len({encode(tmp_path, tiny_base).folder, whole.folder, part.folder}) == 3


def test_processes_share_the_shards(tmp_path: Path, tiny_base: Base) -> None:
    """The second process, of two, makes every other shard; the first then makes the rest."""
    pairs = TinySuite(tmp_path).pairs("train")
    work = encoding_of(pairs, tiny_base, cache=tmp_path / "x", size=(32, 32), limit=None)
    encode_share(work, Log(), (1, 2))
    made = sorted(file.name for file in work.folder.glob("*-0*"))
    assert [name.removesuffix(".safetensors") for name in made] == [
        "captions-00001", "images-00001", "images-00003"
    ]  # fmt: skip
    times = {name: (work.folder / name).stat().st_mtime_ns for name in made}
    assert not work.complete and len(work.missing) == 3
    encode_share(work, Log(), (0, 2))
    assert work.missing == [] and not work.complete
    assert {name: (work.folder / name).stat().st_mtime_ns for name in made} == times


def test_progress_counts_pairs_and_those_that_are_there(tmp_path: Path, tiny_base: Base) -> None:
    pairs = TinySuite(tmp_path).pairs("train")
    work = encoding_of(pairs, tiny_base, cache=tmp_path / "x", size=(32, 32), limit=None)
    stages: dict[str, list[int]] = {}

    class Counted(Log):
        def stage(self, name: str, total: int) -> None:
            stages[name] = [total]

        def advance(self, n: int = 1) -> None:
            stages[next(reversed(stages))].append(n)

    encode_share(work, Counted(), (0, 1))
    assert stages == {"encode pairs": [24] + [1] * 24, "encode captions": [2, 1, 1]}
    stages.clear()
    work.file("images", 1).unlink()
    encode_share(work, Counted(), (0, 1))
    assert stages["encode pairs"] == [24, 7] + [1] * 7 + [7, 3]


def test_rewards_are_scored_once_and_without_gold(
    tmp_path: Path, tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_channel_rewards(monkeypatch.setattr)
    suite, cache = TinySuite(tmp_path), encode(tmp_path, tiny_base)
    specs = trainable(suite)
    assert [spec.name for spec in specs] == ["clip", "aesthetic", "hps"]
    pairs = suite.pairs("train")
    margins = reward_margins(specs, pairs, cache, device="cpu", events=Log())
    for row, pair in enumerate(read_pairs(pairs)):
        first, second = (np.asarray(decode_image(d)) for d in (pair.image_0, pair.image_1))
        difference = second[..., 2].mean() - first[..., 2].mean()
        assert margins["hps"][row] == pytest.approx(difference)
    monkeypatch.setattr("trainers.encoded.relabel._score", lambda *_: pytest.fail("scored again"))
    again = reward_margins(specs, pairs, cache, device="cpu", events=Log())
    assert all(np.array_equal(margins[name], again[name]) for name in margins)


def test_pairs_that_cannot_be_read_are_left_out_and_counted(
    tmp_path: Path, tiny_base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_channel_rewards(monkeypatch.setattr)
    suite = TinySuite(tmp_path)
    pairs = list(read_pairs(suite.pairs("train")))
    sound: dict[str, Any] = {}
    for bad in ((), (3, 4, 20)):
        folder = tmp_path / f"{len(bad)}"
        spoilt = [
            replace(pair, image_1=pair.image_1[:60]) if number in bad else pair
            for number, pair in enumerate(pairs)
        ]
        write_pairs(folder / "train.parquet", spoilt)
        log, path = Log(), folder / "train.parquet"
        cache = encode_pairs(
            path, tiny_base, cache=folder / "c", size=(32, 32), limit=None, events=log
        )
        assert len(cache) == 24 - len(bad) and cache.skipped == set(bad)
        kept = [number for number in range(24) if number not in bad]
        margins = reward_margins(trainable(suite), path, cache, device="cpu", events=Log())
        found = {
            "label_margin": cache.label_margin,
            "latents": cache.image_1.rows(
                np.arange(24) if cache.stored is None else cache.stored
            ).numpy(),
            "hps": margins["hps"],
        }
        if not bad:
            sound = found
        for name, values in found.items():
            np.testing.assert_array_equal(values, sound[name][kept], err_msg=name)
        rows = np.arange(len(cache))
        preferred, _ = cache.latents(rows, np.ones_like(rows))
        np.testing.assert_array_equal(preferred.numpy(), found["latents"])
        assert [cache.captions[row] for row in cache.caption] == [pairs[n].caption for n in kept]
        shots = [ShotGroup("0", (row,)) for row in rows.tolist() if cache.label_margin[row]]
        contexts = _Contexts(shots, path, None, cache.skipped)
        assert [context.shots[0].caption for context in contexts[:]] == [
            pairs[n].caption for n in kept if not pairs[n].tie
        ]
        assert len(choices_of(cache, 4).users) == len(cache)
        index = json.loads((cache.folder / "index.json").read_text())
        assert index.get("left_out", {}) == ({"unreadable image": 3} if bad else {})
        assert [note for note in log.notes if "unreadable" in note] == (
            ["3 pairs of train.parquet left out: unreadable image"] if bad else []
        )


@pytest.mark.parametrize("name", ["images-00001.safetensors", "captions-00000.safetensors"])
def test_a_damaged_shard_is_named(tmp_path: Path, tiny_base: Base, name: str) -> None:
    shard = encode(tmp_path, tiny_base).folder / name
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PpdbenchError, match=f"{name} is damaged") as met:
        encode(tmp_path, tiny_base)
    assert "delete it and run the same command again" in met.value.fix
    shard.unlink()
    encode(tmp_path, tiny_base)
    assert shard.read_bytes() == whole


def test_other_sizes_are_cropped_to_cover() -> None:
    wide = Image.new("RGB", (60, 30), "white")
    wide.paste("black", (0, 0, 15, 30))
    wide.paste("black", (45, 0, 60, 30))
    tensor = as_tensor(wide, (16, 16))
    assert tensor.shape == (3, 16, 16)
    assert tensor[:, :, 2:-2].min() > 0.9  # the black margins are cropped away
