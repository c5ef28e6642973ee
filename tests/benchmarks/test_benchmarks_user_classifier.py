"""The classifier of benchmark `users`: who is told apart, and that noise is chance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ppdbench.benchmarks.users.classifier import identify, plda
from ppdbench.benchmarks.users.classify import permuted_users
from ppdbench.statistics.top_k import TopK, chance, ranks, top_k

Floats = NDArray[np.float64]


def told_apart(embeddings: Floats, *, permuted: bool = False, k: int = 16) -> TopK:
    """Embeddings (N, 5, D): four groups to learn from, one to tell."""
    n, each, _ = embeddings.shape
    users, groups = np.repeat(np.arange(n), each - 1), np.tile(np.arange(each - 1), n)
    if permuted:
        users = permuted_users(users, groups)
    train = embeddings[:, :-1].reshape(n * (each - 1), -1)
    found = identify(train, users, groups, embeddings[:, -1], n)
    return top_k(ranks(found.scores, np.arange(n)), k, n, np.arange(n))


def separable(seed: int, n: int = 150, dim: int = 16, noise: float = 0.05) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 1, dim)) + noise * rng.normal(size=(n, 5, dim))


def test_users_far_apart_are_all_told_apart() -> None:
    assert told_apart(separable(0), k=1).accuracy == 1
    assert told_apart(separable(0, noise=0.0), k=1).accuracy == 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dim", [6, 250])
def test_noise_is_chance(seed: int, dim: int) -> None:
    found = told_apart(np.random.default_rng(seed).normal(size=(60, 5, dim)))
    assert found.accuracy == pytest.approx(chance(16, 60), abs=0.2)  # less than four errors
    assert found.p_value is not None and found.p_value > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_permuted_users_are_chance(seed: int) -> None:
    found = told_apart(separable(seed), permuted=True)
    assert found.ci_low is not None and found.ci_high is not None
    assert found.ci_low <= chance(16, 150) <= found.ci_high


@pytest.mark.parametrize("constant", [0.0, 3.3])
def test_embeddings_that_are_all_alike_are_exactly_chance(constant: float) -> None:
    assert told_apart(np.full((50, 5, 7), constant)).accuracy == pytest.approx(16 / 50)


def test_units_of_dimensions_change_nothing() -> None:
    embeddings = separable(1, n=60, dim=5, noise=0.8)
    scaled = embeddings * [1e-3, 1, 1e4, 7, 0.2] + [0, 1e3, -5, 0, 2]
    assert told_apart(scaled, k=3).accuracy == told_apart(embeddings, k=3).accuracy


def test_a_direction_that_is_all_noise_does_not_drown_the_others() -> None:
    rng = np.random.default_rng(2)
    signal, noise = separable(2, n=80, dim=4, noise=0.2), rng.normal(size=(80, 5, 150))
    found = told_apart(np.concatenate([signal, noise], axis=-1))
    assert found.accuracy is not None and found.accuracy > 0.6


def test_scores_are_those_of_integrating_the_users_mean_out() -> None:
    """Against the joint Gaussian of a user's embeddings, in one dimension."""
    rng = np.random.default_rng(3)
    counts = np.array([1.0, 4.0, 2.0, 0.0])
    means, asked = rng.normal(size=(4, 1)) * 3, rng.normal(size=(5, 1))
    centred = means - means[:3].mean()
    between = float((centred[:3] ** 2).mean() - (1 / counts[:3]).mean())
    expected = np.empty((5, 4))
    for k, n in enumerate(counts.astype(int)):
        # Of n embeddings only the mean matters: put all of them there.
        cov = np.eye(n + 1) + between
        joint = stats.multivariate_normal(np.zeros(n + 1), cov)
        seen = stats.multivariate_normal(np.zeros(n), cov[:n, :n]) if n else None
        for row, x in enumerate(asked[:, 0] - means[:3].mean()):
            known = [float(centred[k, 0])] * n
            before = seen.logpdf(known) if seen else 0.0
            expected[row, k] = joint.logpdf([*known, x]) - before
    found = plda(means, counts, asked)
    np.testing.assert_allclose(found - found[:, :1], expected - expected[:, :1], atol=1e-9)


def test_too_little_to_learn_from_is_refused() -> None:
    one = np.zeros((2, 3))
    with pytest.raises(ValueError, match="two of one"):
        identify(one, np.array([0, 1]), np.array([0, 0]), one, 2)
