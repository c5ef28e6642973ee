"""The suite as the harness sees it: its world is frozen, its digest follows its models."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from ppdbench.data.pickapic import count_rows, read_pairs
from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import Suite, SuiteFiles
from ppdbench.suites import shapes
from ppdbench.suites.shapes import pairs, people, renderer
from ppdbench.suites.shapes.suite import ShapesSuite

WORLD = "08a49c6d9c942a9411d2344d9151dd9d5ec7d8f9e70ec64533f53f847ed1e3c1"
"""A change of this value is a new version of the suite, and every row is measured again."""

MODELS = ("clip", "aesthetic", "hps", "clip-gold", "aesthetic-gold", "hps-gold", "classifier")


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Manifests of every model, in place of the shipped ones."""
    for name in MODELS:
        folder = tmp_path / "assets" / name
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(json.dumps({"sha256": {"model.safetensors": name}}))
    # By name: the package's attribute `suite` is the entry point, not the module.
    module = importlib.import_module("ppdbench.suites.shapes.suite")
    monkeypatch.setattr(module, "ASSETS", tmp_path / "assets")
    return tmp_path / "assets"


def test_the_world_is_frozen() -> None:
    assert ShapesSuite().world == WORLD


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (people, "CHOICE_SHARPNESS", 4.7),
        (pairs, "TIE_LOG_ODDS", 0.2),
        (pairs, "PAIRS_PER_PERSON", {"train": 25, "validation": 4}),
        (renderer, "RADII", {"small": 7.1}),
    ],
)
def test_a_change_of_the_world_changes_its_hash(
    module: object, name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, value)
    assert ShapesSuite().world != WORLD


def test_the_entry_point_gives_a_suite() -> None:
    suite = shapes.suite(SuiteFiles())
    assert isinstance(suite, ShapesSuite)
    assert suite.name == "shapes" and suite.baseline in suite.opponents


@pytest.mark.usefixtures("assets")
def test_it_is_a_suite_of_the_harness() -> None:
    assert isinstance(ShapesSuite(), Suite)


def test_sampling_is_small_and_fixed() -> None:
    sampling = ShapesSuite().sampling
    assert (sampling.width, sampling.height) == (64, 64)
    assert 12 <= sampling.steps <= 16


def test_three_rewards_and_their_gold_twins() -> None:
    suite = ShapesSuite()
    specs = suite.rewards()
    assert [spec.name for spec in specs] == list(MODELS[:6])
    assert [spec.gold for spec in specs] == [False] * 3 + [True] * 3
    assert [spec.kind for spec in specs] == ["clip", "aesthetic", "hps"] * 2
    assert len({spec.checkpoint for spec in specs}) == 6
    assert suite.upper_bounds == {name: f"diffusion-dpo-{name}" for name in MODELS[:3]}


@pytest.mark.usefixtures("assets")
def test_the_digest_is_stable() -> None:
    assert ShapesSuite().digest == ShapesSuite().digest
    assert len(ShapesSuite().digest) == 64


@pytest.mark.parametrize("name", MODELS)
def test_the_digest_follows_every_models_hash(assets: Path, name: str) -> None:
    before = ShapesSuite().digest
    manifest = assets / name / "manifest.json"
    manifest.write_text(json.dumps({"sha256": {"model.safetensors": "another"}}))
    assert ShapesSuite().digest != before


def test_the_digest_leaves_out_how_a_model_was_made(assets: Path) -> None:
    before = ShapesSuite().digest
    manifest = assets / "clip" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"figures": {"seconds": 1}}))
    assert ShapesSuite().digest == before


@pytest.mark.usefixtures("assets")
def test_the_digest_follows_world_and_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ShapesSuite().digest
    assert ShapesSuite(version="2").digest != before
    monkeypatch.setattr(people, "CHOICE_SHARPNESS", 5.0)
    assert ShapesSuite().digest != before


@pytest.mark.parametrize("name", MODELS)
def test_a_missing_model_is_named(assets: Path, name: str) -> None:
    (assets / name / "manifest.json").unlink()
    with pytest.raises(MissingPrerequisite, match=f"lacks its model '{name}'") as caught:
        _ = ShapesSuite().digest
    assert caught.value.fix == "reinstall ppdbench"


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_manifest_is_named(assets: Path, text: str) -> None:
    (assets / "hps" / "manifest.json").write_text(text)
    with pytest.raises(MissingPrerequisite, match="'hps'") as caught:
        _ = ShapesSuite().digest
    assert "\n" not in caught.value.cause


def test_pairs_are_made_once_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(pairs, "PAIRS_PER_PERSON", {"train": 1, "validation": 1})
    monkeypatch.setitem(people.GROUP_SIZES, "train", 5)
    people.people.cache_clear()
    try:
        suite = ShapesSuite()
        path = suite.pairs("train")
        assert path.is_relative_to(tmp_path) and count_rows(path) == 5
        assert suite.world[:12] in path.parts[-2]  # another world, another file
        stamp = path.stat().st_mtime_ns
        assert ShapesSuite().pairs("train") == path and path.stat().st_mtime_ns == stamp
        held = [pair.caption for pair in read_pairs(suite.pairs("validation"))]
        assert len(held) == 5 and not set(held) & {pair.caption for pair in read_pairs(path)}
    finally:
        people.people.cache_clear()


def test_a_cache_that_cannot_be_written_is_one_cause_and_one_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "file"))
    suite = ShapesSuite()
    for ask in (lambda: suite.pairs("train"), lambda: suite.people.pairs(["13000000"])):
        with pytest.raises(MissingPrerequisite, match="file/shapes") as caught:
            ask()
        assert "fix" not in caught.value.cause and "\n" not in caught.value.cause
        assert "PPDBENCH_CACHE" in caught.value.fix and "--runs" not in caught.value.fix


def test_the_test_split_has_no_pairs() -> None:
    with pytest.raises(MissingPrerequisite, match="test split of shapes has no pairs"):
        ShapesSuite().pairs("test")
