"""The `pickapic` suite as the harness sees it: captions by path, the published rewards by name."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ppdbench import plugins
from ppdbench.benchmarks.rows import gold_of
from ppdbench.data import parti_prompts
from ppdbench.errors import MissingPrerequisite, PpdbenchError, UsageError
from ppdbench.protocols import Suite, SuiteFiles
from ppdbench.rewards import catalogue
from ppdbench.suites.pickapic import PickapicSuite, suite

REWARDS = ("clip", "aesthetic", "hpsv2.1", "hpsv2")
PROMPTS = (
    "Prompt\tCategory\tChallenge\tNote\n"
    "bond\tAbstract\tBasic\t\n"
    "a fox \tAnimals\tBasic\t\n"
    '"a" sign\tArts\tBasic\t\n'
)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.tsv"
    path.write_text(PROMPTS)
    return path


@pytest.fixture
def definitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The published rewards' folders, free to change."""
    shutil.copytree(catalogue.FOLDER, tmp_path / "published")
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path / "published")
    return tmp_path / "published"


def of(path: Path | None) -> PickapicSuite:
    return suite(SuiteFiles(captions=path))


def change(config: Path) -> None:
    found = json.loads(config.read_text())
    config.write_text(json.dumps({**found, "preprocess_cfg": {"antialias": "otherwise"}}))


def test_the_entry_point_gives_a_suite_of_the_harness(prompts: Path) -> None:
    found = plugins.make_suite("pickapic", SuiteFiles(captions=prompts))
    assert isinstance(found, PickapicSuite) and isinstance(found, Suite)
    assert [caption.text for caption in found.captions("test")] == ["bond", "a fox ", '"a" sign']
    assert [caption.category for caption in found.captions("test")] == [
        "Abstract",
        "Animals",
        "Arts",
    ]


def test_it_can_be_made_and_described_without_captions() -> None:
    found = plugins.make_suite("pickapic")
    assert (found.name, found.notes, found.classifier("cpu")) == ("pickapic", (), None)
    assert len(found.rewards()) == 4 and found.paper


@pytest.mark.parametrize("wanted", ["captions", "digest"])
def test_without_captions_the_option_is_the_fix(wanted: str) -> None:
    with pytest.raises(MissingPrerequisite, match="needs its captions") as caught:
        of(None).captions("test") if wanted == "captions" else of(None).digest
    assert "--captions FILE" in caught.value.fix


def test_a_missing_caption_file_is_named_when_it_is_read(tmp_path: Path) -> None:
    found = of(tmp_path / "gone.tsv")
    for read in (lambda: found.captions("test"), lambda: found.digest, lambda: found.notes):
        with pytest.raises(MissingPrerequisite, match=r"gone\.tsv is not there"):
            read()


def test_an_unusable_caption_file_is_named_by_line(prompts: Path) -> None:
    prompts.write_text(PROMPTS + "one field\n")
    with pytest.raises(PpdbenchError, match="line 5: 1 fields"):
        of(prompts).captions("test")


@pytest.mark.parametrize("split", ["train", "validation"])
def test_only_the_test_split_has_captions_and_none_has_pairs(prompts: Path, split: Any) -> None:
    with pytest.raises(MissingPrerequisite, match=f"no {split} captions"):
        of(prompts).captions(split)
    for any_split in (split, "test"):
        with pytest.raises(MissingPrerequisite, match=f"{any_split} pairs of pickapic"):
            of(prompts).pairs(any_split)


def test_the_rewards_are_the_papers_and_a_gold_twin_of_hps() -> None:
    specs = of(None).rewards()
    assert tuple(spec.name for spec in specs) == REWARDS
    assert [spec.kind for spec in specs] == ["clip", "aesthetic", "hps", "hps"]
    assert [spec.gold for spec in specs] == [False, False, False, True]
    assert all((spec.checkpoint / "config.json").is_file() and spec.title for spec in specs)
    assert gold_of({s.name: {"kind": s.kind, "gold": s.gold} for s in specs}) == {
        "hpsv2.1": "hpsv2"
    }


def test_the_catalogues_own_entries_are_not_gold() -> None:
    assert of(None).rewards()[3].gold
    assert not catalogue.published()["hpsv2"].gold


def test_all_it_names_is_registered() -> None:
    found = of(None)
    own = {spec.name for spec in found.rewards() if not spec.gold}
    assert set(found.upper_bounds) == own
    assert set(found.paper[0].values) == own
    assert found.baseline in found.opponents
    assert {*found.opponents, *found.upper_bounds.values()} <= set(plugins.names("generators"))
    assert {spec.kind for spec in found.rewards()} <= set(plugins.names("rewards"))


def test_the_papers_setting() -> None:
    sampling = of(None).sampling
    assert (sampling.width, sampling.height, sampling.steps) == (1024, 1024, 30)
    assert sampling.clip_x0 is None


def test_other_captions_than_the_published_are_noted(
    prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = hashlib.sha256(prompts.read_bytes()).hexdigest()
    (note,) = of(prompts).notes
    assert "3 instead of 1632" in note and sha256[:12] in note and "\n" not in note
    monkeypatch.setattr(parti_prompts, "PUBLISHED_SHA256", sha256)
    assert of(prompts).notes == ()


def test_the_digest_is_of_what_is_frozen_not_of_where_it_lies(
    prompts: Path, tmp_path: Path
) -> None:
    digest = of(prompts).digest
    assert len(digest) == 64 and of(prompts).digest == digest
    elsewhere = tmp_path / "elsewhere.txt"
    shutil.copy(prompts, elsewhere)
    assert of(elsewhere).digest == digest
    elsewhere.write_text(PROMPTS.replace("a fox ", "a fox"))
    assert of(elsewhere).digest != digest


@pytest.mark.parametrize(
    "changed",
    [{"steps": 29}, {"shift": 1.0}, {"guidance_scale": 4.5}, {"width": 512}, {"clip_x0": 4.0}],
    ids=str,
)
def test_the_digest_follows_sampling(prompts: Path, changed: dict[str, Any]) -> None:
    found = of(prompts)
    other = replace(found, sampling=replace(found.sampling, **changed))
    assert other.digest != found.digest
    assert replace(found, version="2").digest != found.digest


@pytest.mark.parametrize("name", REWARDS)
def test_the_digest_follows_each_rewards_definition(
    prompts: Path, definitions: Path, name: str
) -> None:
    before = of(prompts).digest
    change(definitions / name / "config.json")
    assert of(prompts).digest != before


def test_the_digest_follows_the_aesthetics_tower(prompts: Path, definitions: Path) -> None:
    before = of(prompts).digest
    change(definitions / "openai-l14" / "config.json")
    assert of(prompts).digest != before


def test_the_digest_leaves_out_rewards_that_it_does_not_use(
    prompts: Path, definitions: Path
) -> None:
    before = of(prompts).digest
    change(definitions / "pickscore" / "config.json")
    change(definitions / "hpsv2.1-no-antialias" / "config.json")
    assert of(prompts).digest == before


def test_a_suite_with_captions_of_its_own_takes_no_file(prompts: Path) -> None:
    for option, files, said in (
        ("captions", SuiteFiles(captions=prompts), "shapes suite has captions of its own"),
        ("pairs", SuiteFiles(pairs=prompts), "shapes suite has pairs of its own"),
        ("vlm", SuiteFiles(vlm="a/name"), "has a vision-language model of its own"),
    ):
        with pytest.raises(UsageError, match=said) as caught:
            plugins.make_suite("shapes", files)
        assert caught.value.fix == f"leave out --{option}"
