"""The sign-flip permutation test: is the mean of clustered differences zero?

Under the null a cluster's difference is as likely to carry the other sign. With few clusters all
2^m signings are counted; with many, seeded ones are drawn and the observed one is counted in.

Source: Phipson and Smyth (2010), "Permutation p-values should never be zero", SAGMB 9(1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

DISTINCT_SIZES = 64
"""Up to this many distinct sizes one binomial draw a size is the cheaper way to flip signs."""
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SignFlip:
    """A two-sided p-value and how it was found."""

    p_value: float
    exact: bool
    resamples: int
    """Signings looked at: 2^m for m clusters that differ from 0 when exact."""

    @property
    def test(self) -> str:
        """The test's name, as printed beside the number."""
        how = "exact" if self.exact else f"{self.resamples} draws"
        return f"sign-flip permutation by cluster, {how}"


def sign_flip_test(differences: ArrayLike, *, resamples: int = 10_000, seed: int = 0) -> SignFlip:
    """Test the sum of the clusters' differences against 0, two-sided.

    Args:
        differences: total difference of each cluster, shape (G,), finite.
        resamples: random signings; all 2^m are counted where they are no more than this.
        seed: seeds them.

    Returns:
        p = share of signings at least as far from 0 as the observed one; (k + 1) / (B + 1) when
        drawn; 1 where no cluster differs from 0.

    Raises:
        ValueError: a difference is not finite.
    """
    array = np.asarray(differences, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError("differences must be one finite number a cluster")
    sizes = np.abs(array[array != 0])
    observed = abs(float(array.sum()))
    # Equal sums in another order differ by rounding; a tie counts as "at least as far".
    threshold = observed - 1e-9 * max(1.0, float(sizes.sum()))
    if len(sizes) < 63 and 1 << len(sizes) <= resamples:
        signings = 1 << len(sizes)
        bits = (np.arange(signings)[:, None] >> np.arange(len(sizes))) & 1
        far = np.abs((2.0 * bits - 1) @ sizes) >= threshold
        return SignFlip(p_value=float(far.mean()), exact=True, resamples=signings)
    far = np.abs(_random_sums(sizes, resamples, seed)) >= threshold
    p_value = (int(far.sum()) + 1) / (resamples + 1)
    return SignFlip(p_value=p_value, exact=False, resamples=resamples)


def _random_sums(sizes: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Sums of randomly signed sizes, shape (resamples,)."""
    rng = np.random.default_rng(seed)
    distinct, counts = np.unique(sizes, return_counts=True)
    if len(distinct) <= DISTINCT_SIZES:
        plus = rng.binomial(counts, 0.5, size=(resamples, len(distinct)))
        return np.asarray((2.0 * plus - counts) @ distinct, dtype=np.float64)
    sums = np.empty(resamples)
    block = max(1, BLOCK // len(sizes))
    for start in range(0, resamples, block):
        stop = min(start + block, resamples)
        packed = rng.integers(0, 256, size=(stop - start, (len(sizes) + 7) // 8), dtype=np.uint8)
        signs = np.unpackbits(packed, axis=1, count=len(sizes)).astype(np.float32)
        sums[start:stop] = 2.0 * (signs @ sizes) - sizes.sum()
    return sums
