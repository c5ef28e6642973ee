"""The base's losses, kept: the same training with them, filled, read, half filled and damaged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_cascade import Log, TinySuite, run_training
from trained import killed_at, metrics_of

from ppdbench.errors import UsageError
from trainers.config_file import CONFIGS, load_config
from trainers.encoded.latents import LatentCache, encode_pairs
from trainers.stable_cascade.stage_c import Base
from trainers.training import loop
from trainers.training.policy import Policy
from trainers.training.reference_cache import ReferenceCache, Visits, reference_key

pytestmark = pytest.mark.usefixtures("channel_rewards")
BY_PAIR = ["draws=pair", "timesteps.stratified=false", "validation.pairs=0"]
CACHED = [*BY_PAIR, "reference_cache=true"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each forward of the base."""
    rows: list[int] = []
    real = Policy.reference

    def reference(self: Policy, *inputs: Any) -> Any:
        rows.append(len(inputs[0]))
        return real(self, *inputs)

    monkeypatch.setattr(Policy, "reference", reference)
    return rows


def without_divergence(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if k != "divergence"} for row in metrics_of(folder)]


def close(one: Path, other: Path) -> bool:
    rows = zip(without_divergence(one), without_divergence(other), strict=True)
    for mine, theirs in rows:
        for name in ("loss", "win_term", "lose_term", "reference_error", "grad_norm"):
            if name in mine:
                assert mine[name] == pytest.approx(theirs[name], rel=1e-3, abs=2e-5)
    return True


def test_a_run_that_fills_is_the_run_without(tmp_path: Path, tiny_base_folder: Path) -> None:
    plain = run_training("ppd", tiny_base_folder, tmp_path / "plain", BY_PAIR)
    filled = run_training("ppd", tiny_base_folder, tmp_path / "filled", CACHED)
    assert (plain / "adapter.safetensors").read_bytes() != b""
    assert close(plain, filled)
    assert metrics_of(plain)[0]["loss"] == metrics_of(filled)[0]["loss"]


@pytest.mark.parametrize(
    ("method", "settings"),
    [("ppd", []), ("ppd", ["objective.beta=3"]), ("sft", []), ("ppd", ["micro_batch=2"])],
    ids=["same", "beta", "sft", "micro-batch"],
)
def test_the_next_run_asks_the_base_nothing(
    method: str,
    settings: list[str],
    tmp_path: Path,
    tiny_base_folder: Path,
    asked: list[int],
) -> None:
    """The first meets all pairs on three visits: 60 steps of 4, three walks over 72 examples."""
    steps = ["steps=12", "optimizer.lr=1e-3"]
    all_pairs = ["steps=60", "data.margin_quantile=0"]
    run_training("ppd", tiny_base_folder, tmp_path / "first", [*CACHED, *all_pairs])
    asked.clear()
    second = run_training(method, tiny_base_folder, tmp_path / "b", [*CACHED, *steps, *settings])
    told = asked.copy()
    asked.clear()
    plain = run_training(method, tiny_base_folder, tmp_path / "c", [*BY_PAIR, *steps, *settings])
    assert asked
    assert told == []
    assert close(second, plain)
    assert all("divergence" not in row for row in metrics_of(second))
    assert all(row["divergence"] >= 0 for row in metrics_of(plain))
    assert "steps of" in (second / "README.md").read_text()


@pytest.mark.parametrize("step", [2, 3, 5])
def test_a_stopped_filling_goes_on_and_ends_the_same(
    step: int, tmp_path: Path, tiny_base_folder: Path
) -> None:
    whole = run_training("ppd", tiny_base_folder, tmp_path / "a" / "out", CACHED)
    with killed_at(loop, "_tell", step):
        run_training("ppd", tiny_base_folder, tmp_path / "b" / "out", CACHED)
    run_training("ppd", tiny_base_folder, tmp_path / "b" / "out", CACHED)
    assert same_learning(whole, tmp_path / "b" / "out")
    files = [next((tmp_path / x / "cache").glob("*/reference-*/visit-00000.npy")) for x in "ab"]
    one, other = (np.load(file) for file in files)
    np.testing.assert_array_equal(one, other)
    assert 0 < np.isfinite(one).all(1).sum() < len(one)


def same_learning(one: Path, other: Path) -> bool:
    adapters = [(folder / "adapter.safetensors").read_bytes() for folder in (one, other)]
    return adapters[0] == adapters[1] and without_divergence(one) == without_divergence(other)


def test_it_may_be_switched_on_and_off_when_a_run_goes_on(
    tmp_path: Path, tiny_base_folder: Path
) -> None:
    whole = run_training("ppd", tiny_base_folder, tmp_path / "whole", BY_PAIR)
    with killed_at(loop, "_tell", 4):
        run_training("ppd", tiny_base_folder, tmp_path / "out", CACHED)
    assert same_learning(whole, run_training("ppd", tiny_base_folder, tmp_path / "out", BY_PAIR))


def test_the_key_is_of_what_the_losses_depend_on(tmp_path: Path, tiny_base_folder: Path) -> None:
    def folders(*settings: str, method: str = "ppd") -> set[str]:
        name = "-".join([method, *settings]).replace("/", "")
        run_training(method, tiny_base_folder, tmp_path / name, [*CACHED, "steps=1", *settings])
        return {path.name for path in (tmp_path / "cache").glob("*/reference-*")}

    first = folders()
    assert len(first) == 1
    for same in ("objective.beta=2", "optimizer.lr=1e-3", "batch_size=2", "data.margin_quantile=0"):
        assert folders(same) == first
    assert folders(method="sft") == folders(method="diffusion-dpo") == first
    others = ("seed=1", "data.caption_dropout=0", "objective.share_noise=false", "timesteps.mean=0")
    for number, other in enumerate(others, start=2):
        assert len(folders(other)) == number


VISITS = Visits(np.array([2, 0]), np.array([0, 1]), np.array([1, 0]))
ERRORS = np.array([[1, 2], [3, 4]], np.float32)


def opened(folder: Path, log: Log | None = None, **key: Any) -> ReferenceCache:
    return ReferenceCache(folder, key, 3, main=True, events=log or Log())


def test_errors_belong_to_images_and_what_is_known_stays(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    assert np.isnan(cache.known(VISITS)).all()
    cache.learn(VISITS, np.array([[1, np.nan], [np.nan, np.nan]], np.float32))
    cache.learn(VISITS, ERRORS * 10)
    np.testing.assert_array_equal(cache.known(VISITS), [[1, 20], [30, 40]])
    others = Visits(VISITS.pair, VISITS.visit, 1 - VISITS.winner)
    np.testing.assert_array_equal(opened(tmp_path).known(others), [[20, 1], [40, 30]])
    unmet = Visits(VISITS.pair, 1 - VISITS.visit, VISITS.winner)
    assert np.isnan(opened(tmp_path).known(unmet)).all()


def test_of_a_pair_met_twice_the_first_counts_for_each_image(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    twice = Visits(np.array([1, 1, 1]), np.array([0, 0, 0]), np.array([0, 1, 0]))
    cache.learn(twice, np.array([[1, np.nan], [2, 3], [4, 5]], np.float32))
    # As images: (1, -), (3, 2), (4, 5).
    np.testing.assert_array_equal(cache.known(twice), [[1, 2], [2, 1], [1, 2]])


def test_what_a_killed_run_left_goes(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    (cache.folder / ".visit-00000.npy.99.part").touch()
    cache.known(VISITS)
    assert not [*cache.folder.glob(".*.part")]


def test_another_process_learns_the_same_and_writes_nothing(tmp_path: Path) -> None:
    main = opened(tmp_path)
    other = ReferenceCache(tmp_path, {}, 3, main=False, events=Log())
    other.learn(VISITS, ERRORS)
    np.testing.assert_array_equal(other.known(VISITS), ERRORS)
    assert np.isnan(main.known(VISITS)).all()
    assert np.isnan(opened(tmp_path).known(VISITS)).all()


@pytest.mark.parametrize("harm", ["cut", "other size", "key", "no key"])
def test_damage_and_another_key_are_noted_and_made_anew(harm: str, tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.learn(VISITS, ERRORS)
    cache.flush()
    file, key = cache.folder / "visit-00000.npy", cache.folder / "key.json"
    del cache
    if harm == "cut":
        file.write_bytes(file.read_bytes()[:-3])
    elif harm == "other size":
        np.save(file, np.zeros((2, 2), np.float32))
    elif harm == "key":
        key.write_text('{"base": "another"}')
    else:
        key.unlink()
    log = Log()
    again = opened(tmp_path, log)
    assert np.isnan(
        again.known(Visits(*(x[:1] for x in (VISITS.pair, VISITS.visit, VISITS.winner))))
    ).all()
    assert "made anew" in log.notes[0]
    again.learn(VISITS, ERRORS)
    again.flush()
    quiet = Log()
    np.testing.assert_array_equal(opened(tmp_path, quiet).known(VISITS), ERRORS)
    assert not quiet.notes


@pytest.mark.parametrize("settings", [["draws=step"], ["timesteps.stratified=true"]])
def test_it_needs_noise_by_pair(settings: list[str]) -> None:
    with pytest.raises(UsageError, match="draws"):
        load_config(CONFIGS / "shapes" / "ppd.yaml", [*CACHED, *settings])


def key_of(base: Base, cache: LatentCache, *overrides: str) -> dict[str, Any]:
    config = load_config(CONFIGS / "shapes" / "ppd.yaml", [*CACHED, *overrides])
    return reference_key(config, base, cache)


def test_another_base_latents_or_precision_have_another_key(
    tmp_path: Path, tiny_base: Base
) -> None:
    cache = encode_pairs(
        TinySuite(tmp_path).pairs("train"),
        tiny_base,
        cache=tmp_path / "cache",
        size=(32, 32),
        limit=None,
        events=Log(),
    )
    keys = [
        key_of(tiny_base, cache),
        key_of(tiny_base, replace(cache, pairs_sha256="other")),
        key_of(tiny_base, replace(cache, base_sha256="other")),
        key_of(tiny_base, replace(cache, dtypes=("float32", "bfloat16"))),
        key_of(tiny_base, replace(cache, dtypes=("float16", "float32"))),
        key_of(tiny_base, cache, "precision=bfloat16"),
    ]
    assert key_of(tiny_base, cache, "objective.beta=2", "micro_batch=2", "compile=true") == keys[0]
    tiny_base.sha256 = "other"
    keys.append(key_of(tiny_base, cache))
    tiny_base.unet.bfloat16()
    keys.append(key_of(tiny_base, cache))
    folders = {ReferenceCache(tmp_path, k, 3, main=True, events=Log()).folder for k in keys}
    assert len(folders) == len(keys) == 8


def test_two_runs_at_once_fill_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find no file, and both make one: what either learns, the other knows."""
    one, other = opened(tmp_path), opened(tmp_path)
    real = ReferenceCache._open
    monkeypatch.setattr(ReferenceCache, "_open", lambda *_: None)
    for cache, pair in ((one, 2), (other, 1)):
        cache.learn(Visits(np.array([pair]), np.array([0]), np.array([1])), ERRORS[:1])
    monkeypatch.setattr(ReferenceCache, "_open", real)
    both = Visits(np.array([2, 1]), np.array([0, 0]), np.array([1, 1]))
    for cache in (one, other, opened(tmp_path)):
        np.testing.assert_array_equal(cache.known(both), ERRORS[[0, 0]])
    assert not [*one.folder.glob(".*.part")]
