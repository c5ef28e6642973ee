"""How the pictures of pairs differ in the attributes: measured once, damage only costs time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_people import SmallWorld, small_world

from ppdbench.protocols import UserSplit
from ppdbench.suites.shapes import attributes
from ppdbench.suites.shapes.differences import differences, measure_differences
from ppdbench.suites.shapes.evaluated import ShapesPeople
from ppdbench.suites.shapes.people import ATTRIBUTE_SCALE, person_of


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallWorld]:
    with small_world(tmp_path_factory.mktemp("cache")) as small:
        yield small


def ids_of(world: ShapesPeople, split: UserSplit, users: int = 12) -> list[str]:
    found = world.users(split)[:users]
    return [i for user in found for group in (*user.shots, user.choices) for i in group]


def test_differences_are_preferred_minus_other_in_the_attributes_scale(world: SmallWorld) -> None:
    ids = ids_of(world, "seen", 2)
    shown = world.pairs(ids)
    measured = measure_differences(shown)
    np.testing.assert_allclose(differences(world, ids), measured / ATTRIBUTE_SCALE)
    # The person themselves, asked by utility, mostly agrees with the labels.
    tastes = np.array([person_of(str(pair.user_id)).taste for pair in shown])
    utility = (measured / ATTRIBUTE_SCALE * tastes).sum(1)
    assert (utility > 0).mean() > 0.75
    turned = [replace(pair, label_0=pair.label_1, label_1=pair.label_0) for pair in shown]
    np.testing.assert_allclose(measure_differences(turned), -measured)


def test_differences_are_measured_once(world: SmallWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ids_of(world, "seen", 2)
    first = differences(world, ids)

    def fails(images: object) -> None:
        raise AssertionError(f"measured again: {images}")

    monkeypatch.setattr(attributes, "measure", fails)
    np.testing.assert_array_equal(differences(world, ids), first)
    with pytest.raises(AssertionError):
        differences(world, ids[:-1])


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"no array"])
def test_a_damaged_file_of_differences_is_measured_again(
    world: SmallWorld, tmp_path: Path, damage: bytes
) -> None:
    ids = ids_of(world, "seen", 1)
    elsewhere = replace(world, cache=lambda: tmp_path)
    elsewhere.__dict__["_stores"] = world._stores  # the same pairs
    first = differences(elsewhere, ids)
    (path,) = tmp_path.glob("differences-*.npy")
    path.write_bytes(damage)
    np.testing.assert_array_equal(differences(elsewhere, ids), first)
    assert path.read_bytes() != damage
    np.save(path, first[:3])
    np.testing.assert_array_equal(differences(elsewhere, ids), first)


def test_a_cache_that_cannot_be_written_only_costs_time(world: SmallWorld, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    ids = ids_of(world, "seen", 1)
    shown = world.pairs(ids)

    elsewhere = replace(world, cache=lambda: blocked / "folder")
    elsewhere.__dict__["_stores"] = world._stores  # the same pairs
    found = differences(elsewhere, ids)
    np.testing.assert_allclose(found, measure_differences(shown) / ATTRIBUTE_SCALE)
