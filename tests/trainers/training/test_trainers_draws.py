"""Chance in training: a function of (seed, step, row), with the wanted distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

from trainers.config import TimestepConfig
from trainers.training.draws import Draws, draw, for_pairs

SHAPE = (2, 3, 3)


def draws(step: int = 0, rows: range = range(8), **options: Any) -> Draws:
    settings: dict[str, Any] = {
        "seed": 3,
        "batch_size": 8,
        "examples": 20,
        "latent_shape": SHAPE,
        "timesteps": TimestepConfig(),
        "user_dropout": 0.3,
        "caption_dropout": 0.3,
    }
    return draw(step=step, rows=rows, **(settings | options))


def test_rows_do_not_depend_on_how_a_batch_is_split() -> None:
    whole = draws(5)
    for rows in (range(0, 8, 2), range(1, 8, 2), range(4, 8)):
        part = draws(5, rows)
        for name in ("example", "timestep", "drop_user", "drop_caption", "noise", "vector"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[list(rows)])


def test_steps_and_seeds_differ() -> None:
    assert not np.array_equal(draws(0).noise, draws(1).noise)
    assert not np.array_equal(draws(0).noise, draws(0, seed=4).noise)
    assert len(np.unique(draws(0).noise[:, 0])) == 8 * np.prod(SHAPE)


def test_an_epoch_holds_every_example_once_and_the_next_another_order() -> None:
    seen = np.concatenate([draws(step, range(4), batch_size=4).example for step in range(10)])
    first, second = seen[:20], seen[20:]
    assert sorted(first) == sorted(second) == list(range(20))
    assert list(first) != list(second)


def test_noise_is_shared_or_not_and_the_winner_keeps_its_own() -> None:
    shared, separate = draws(), draws(share_noise=False)
    np.testing.assert_array_equal(shared.noise[:, 0], shared.noise[:, 1])
    np.testing.assert_array_equal(shared.noise[:, 0], separate.noise[:, 0])
    assert not np.isclose(separate.noise[:, 0], separate.noise[:, 1]).any()


@pytest.mark.parametrize("stratified", [True, False])
def test_timestep_distributions(stratified: bool) -> None:
    options: dict[str, Any] = {"rows": range(2000), "batch_size": 2000, "latent_shape": (1,)}
    uniform = draws(timesteps=TimestepConfig(stratified=stratified), **options).timestep
    assert kstest(uniform, "uniform").pvalue > 0.01
    skewed = TimestepConfig(distribution="logit-normal", mean=0.4, std=1.2, stratified=stratified)
    timestep = draws(timesteps=skewed, **options).timestep.astype(float)
    assert kstest(np.log(timestep / (1 - timestep)), "norm", args=(0.4, 1.2)).pvalue > 0.01
    if stratified:  # every slice of probability is hit once
        assert sorted((uniform * 2000).astype(int))[10:20] == list(range(10, 20))


def test_dropout_rates_and_range() -> None:
    many = draws(rows=range(4000), batch_size=4000, latent_shape=(1,))
    assert many.drop_user.mean() == pytest.approx(0.3, abs=0.03)
    assert many.drop_caption.mean() == pytest.approx(0.3, abs=0.03)
    assert np.corrcoef(many.drop_user, many.drop_caption)[0, 1] == pytest.approx(0, abs=0.06)
    assert kstest(many.vector, "uniform").pvalue > 0.01
    assert np.corrcoef(many.drop_user, many.vector)[0, 1] == pytest.approx(0, abs=0.06)
    assert many.timestep.min() >= np.float32(1e-3) and many.timestep.max() <= 1
    assert not draws(user_dropout=0.0).drop_user.any()


PAIRS = np.array([7, 3, 12, 7, 0, 5, 9, 3])
WINNERS = np.array([0, 1, 0, 1, 1, 0, 1, 1])


def of_pairs(rows: slice = slice(None), **options: Any) -> Draws:
    """The first step's rows, as if these were their pairs."""
    settings: dict[str, Any] = {
        "seed": 3,
        "latent_shape": SHAPE,
        "timesteps": TimestepConfig(stratified=False),
        "caption_dropout": 0.5,
    }
    step = options.pop("step", 0)
    drawn = draws(step, range(8)[rows], latent_shape=(0,), examples=options.pop("examples", 20))
    pair, winner = options.pop("pair", PAIRS)[rows], options.pop("winner", WINNERS)[rows]
    return for_pairs(drawn, pair=pair, winner=winner, **(settings | options))


def test_a_pairs_draws_are_its_own_whatever_the_row_and_the_batch() -> None:
    whole = of_pairs()
    for name in ("timestep", "drop_caption", "noise"):
        values = getattr(whole, name)
        np.testing.assert_array_equal(values[0], values[3])  # pair 7, twice in the batch
        np.testing.assert_array_equal(getattr(of_pairs(slice(2, 6)), name), values[2:6])
        np.testing.assert_array_equal(getattr(of_pairs(step=1), name), values)  # the same epoch
        moved = getattr(of_pairs(pair=PAIRS[::-1], winner=WINNERS[::-1]), name)
        np.testing.assert_array_equal(moved[::-1], values)
    np.testing.assert_array_equal(whole.drop_user, draws().drop_user)
    np.testing.assert_array_equal(whole.example, draws().example)
    assert len(np.unique(whole.timestep)) == len(np.unique(PAIRS))


def test_a_pairs_draws_change_with_seed_and_visit() -> None:
    first, later, other = of_pairs(), of_pairs(step=9, examples=8), of_pairs(seed=4)
    assert set(first.epoch) == {0} and set(later.epoch) == {9}
    for another in (later, other):
        assert not np.isclose(first.timestep, another.timestep).any()
        assert not np.isclose(first.noise, another.noise).any()


def test_a_noise_belongs_to_an_image_and_not_to_who_prefers_it() -> None:
    one, swapped = (of_pairs(share_noise=False, winner=w) for w in (WINNERS, 1 - WINNERS))
    np.testing.assert_array_equal(one.noise[:, 0], swapped.noise[:, 1])
    np.testing.assert_array_equal(one.noise[:, 1], swapped.noise[:, 0])
    assert not np.isclose(one.noise[:, 0], one.noise[:, 1]).any()
    shared = of_pairs()
    np.testing.assert_array_equal(shared.noise[:, 0], shared.noise[:, 1])


def test_pairs_draws_have_the_wanted_distributions() -> None:
    pair = np.arange(4000)
    drawn = for_pairs(
        draws(rows=range(4000), batch_size=4000, latent_shape=(0,), examples=4000),
        seed=3,
        pair=pair,
        winner=pair % 2,
        latent_shape=(1,),
        timesteps=TimestepConfig(distribution="logit-normal", mean=0.4, std=1.2, stratified=False),
        caption_dropout=0.2,
    )
    timestep = drawn.timestep.astype(float)
    assert kstest(np.log(timestep / (1 - timestep)), "norm", args=(0.4, 1.2)).pvalue > 0.01
    assert drawn.drop_caption.mean() == pytest.approx(0.2, abs=0.03)
    assert kstest(drawn.noise[:, 0].ravel(), "norm").pvalue > 0.01
    assert np.corrcoef(drawn.drop_caption, timestep)[0, 1] == pytest.approx(0, abs=0.06)
