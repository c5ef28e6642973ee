"""One seed an item: a function of what is drawn, never of who draws it or for whom."""

from __future__ import annotations

import hashlib


def noise_seed(suite_version: str, item: str, sample: int) -> int:
    """The seed of an item's initial noise, in [0, 2**63).

    Args:
        suite_version: a new version of a suite draws new noise.
        item: the caption's id.
        sample: number of the image of that caption, from 0.
    """
    # No generator and no user: compared systems share their noise, and neither the order of the
    # items nor a resumed run can change an image.
    digest = hashlib.sha256(f"{suite_version}/{item}/{sample}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
