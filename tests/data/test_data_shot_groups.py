"""Few-shot groups: disjoint, and never holding the pair that is learnt from."""

from __future__ import annotations

import random
from itertools import chain

from ppdbench.data.shot_groups import disjoint_groups, group_for
from ppdbench.protocols import PreferencePair


def pair(number: int, user: int = 1, **facts: object) -> PreferencePair:
    known: dict[str, object] = {
        "id": str(number),
        "caption": f"caption {number}",
        "image_0": f"{number} a".encode(),
        "image_1": f"{number} b".encode(),
        "label_0": 1.0,
        "label_1": 0.0,
        "user_id": user,
    }
    return PreferencePair(**(known | facts))  # type: ignore[arg-type]


def test_groups_are_full_disjoint_and_each_users_own() -> None:
    pairs = [pair(number, user=number % 2) for number in range(22)]
    groups = disjoint_groups(pairs, 4)
    assert {user: [len(g) for g in own] for user, own in groups.items()} == {
        "0": [4, 4],
        "1": [4, 4],
    }
    used = list(chain.from_iterable(chain.from_iterable(groups.values())))
    assert len(used) == len(set(used))
    assert all(int(i) % 2 == int(user) for user, own in groups.items() for g in own for i in g)


def test_ties_equal_images_repeated_captions_and_repeated_images_are_in_no_group() -> None:
    pairs = [
        pair(0),
        pair(1, label_0=0.5, label_1=0.5),
        pair(2, image_1=b"2 a"),
        pair(3, caption="caption 0"),
        pair(4, image_0=b"0 b"),
        pair(5, are_different=False),
        pair(6),
    ]
    assert disjoint_groups(pairs, 2) == {"1": (("0", "6"),)}


def test_the_order_of_the_pairs_does_not_matter() -> None:
    pairs = [pair(number, user=number % 3) for number in range(60)]
    pairs += [pair(number, user=number % 3, caption=f"Caption  {number - 30}")
              for number in range(60, 90)]  # fmt: skip
    groups = disjoint_groups(pairs, 4)
    for seed in range(3):
        assert disjoint_groups(random.Random(seed).sample(pairs, len(pairs)), 4) == groups
    # In the order of ids as numbers, and captions count once whatever their case and white space.
    assert groups["0"][0] == ("0", "3", "6", "9") and groups["0"][-1] == ("48", "51", "54", "57")


def test_a_user_with_too_few_pairs_has_no_group() -> None:
    assert disjoint_groups([pair(0), pair(1), pair(2)], 4) == {"1": ()}


def test_a_pair_is_never_among_the_shots_it_is_learnt_under() -> None:
    groups = disjoint_groups([pair(number) for number in range(12)], 4)["1"]
    for own in chain.from_iterable(groups):
        allowed = group_for(own, groups)
        assert len(allowed) == 2 and all(own not in groups[number] for number in allowed)
    assert group_for("99", groups) == [0, 1, 2]
