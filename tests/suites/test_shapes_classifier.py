"""The caption classifier: what a caption claims, which facts count as right, and loading it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from ppdbench.errors import MissingPrerequisite
from ppdbench.protocols import CaptionClassifier
from ppdbench.suites.shapes.classifier import (
    HEADS,
    NOT_SAID,
    ClassifierNet,
    ShapesClassifier,
    load_classifier,
    targets,
)
from ppdbench.suites.shapes.scenes import double_scenes, parse, single_scenes

SINGLE = "a large green ring on a navy background"
DOUBLE = "a blue square right of a pink cross on an olive background"


class Says(ClassifierNet):
    """Answers the classes it was told, whatever it is shown."""

    def __init__(self, *answers: Mapping[str, int]) -> None:
        nn.Module.__init__(self)
        self.answers = answers

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        assert images.shape == (len(self.answers), 3, 64, 64)
        assert images.min() >= 0 and images.max() <= 1
        return {
            name: nn.functional.one_hot(
                torch.tensor([max(answer[name], 0) for answer in self.answers]), classes
            ).float()
            for name, classes in HEADS.items()
        }


def facts(caption: str, said: Mapping[str, int]) -> dict[str, bool]:
    (row,) = ShapesClassifier(Says(said), "", "cpu").check([blank()], [caption])
    return row


def blank(mode: str = "RGB", side: int = 64) -> Image.Image:
    return Image.new(mode, (side, side), 200 if mode == "L" else (9, 200, 30))


def test_targets_of_one_object() -> None:
    assert targets(parse(SINGLE)) == {
        "layout": 0,
        "background": 3,
        "size": 2,
        "colour_0": 3,
        "shape_0": 5,
        "colour_1": NOT_SAID,
        "shape_1": NOT_SAID,
    }


def test_targets_of_two_objects_are_in_canonical_order() -> None:
    """The left one first, though the caption names the right one first."""
    assert targets(parse(DOUBLE)) == {
        "layout": 1,
        "background": 5,
        "size": NOT_SAID,
        "colour_0": 6,
        "shape_0": 4,
        "colour_1": 4,
        "shape_1": 1,
    }


def test_every_target_is_a_class_of_its_head_and_no_two_scenes_share_all() -> None:
    scenes = [*single_scenes(), *list(double_scenes())[::7]]
    rows = [targets(scene) for scene in scenes]
    for row in rows:
        assert row.keys() == HEADS.keys()
        assert all(NOT_SAID <= row[name] < classes for name, classes in HEADS.items())
    assert len({tuple(row.values()) for row in rows}) == len(scenes)


@pytest.mark.parametrize("caption", [SINGLE, DOUBLE])
def test_a_faithful_picture_is_right_in_everything(caption: str) -> None:
    told = facts(caption, targets(parse(caption)))
    names = {"colour", "shape", "background", "layout", "all"}
    assert told == dict.fromkeys(names | ({"size"} if caption == SINGLE else set()), True)


@pytest.mark.parametrize(
    ("caption", "head", "fact"),
    [
        (SINGLE, "size", "size"),
        (SINGLE, "colour_0", "colour"),
        (SINGLE, "shape_0", "shape"),
        (SINGLE, "background", "background"),
        (SINGLE, "layout", "layout"),
        (DOUBLE, "colour_0", "colour"),
        (DOUBLE, "colour_1", "colour"),
        (DOUBLE, "shape_1", "shape"),
        (DOUBLE, "layout", "layout"),
    ],
)
def test_one_thing_wrong_is_that_fact_and_all(caption: str, head: str, fact: str) -> None:
    right = targets(parse(caption))
    told = facts(caption, right | {head: (right[head] + 1) % HEADS[head]})
    assert {name for name, value in told.items() if not value} == {fact, "all"}


@pytest.mark.parametrize(
    ("caption", "heads"), [(SINGLE, ("colour_1", "shape_1")), (DOUBLE, ("size",))]
)
def test_what_the_caption_does_not_say_cannot_be_wrong(
    caption: str, heads: tuple[str, ...]
) -> None:
    told = facts(caption, targets(parse(caption)) | dict.fromkeys(heads, 2))
    assert all(told.values())
    assert ("size" in told) == (caption == SINGLE)


def test_objects_that_changed_places_are_wrong() -> None:
    swapped = "a pink cross right of a blue square on an olive background"
    told = facts(DOUBLE, targets(parse(swapped)))
    assert {name for name, value in told.items() if not value} == {"colour", "shape", "all"}


def test_rows_belong_to_their_pictures() -> None:
    right, wrong = targets(parse(SINGLE)), targets(parse(DOUBLE))
    judge = ShapesClassifier(Says(right, wrong, right), "", "cpu")
    told = judge.check([blank(), blank("L"), blank("RGBA")], [SINGLE, SINGLE, SINGLE])
    assert [row["all"] for row in told] == [True, False, True]


def test_other_sizes_and_captions_are_refused() -> None:
    judge = ShapesClassifier(Says(targets(parse(SINGLE))), "", "cpu")
    with pytest.raises(ValueError, match="64 x 64"):
        judge.check([blank(side=32)], [SINGLE])
    with pytest.raises(ValueError, match="not a caption"):
        judge.check([blank()], ["a photo of a cat"])
    with pytest.raises(ValueError, match="1 pictures but 2 captions"):
        judge.check([blank()], [SINGLE, SINGLE])


def write(folder: Path, net: ClassifierNet) -> str:
    file = folder / "model.safetensors"
    save_file({name: t.contiguous() for name, t in net.state_dict().items()}, file)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({"sha256": {file.name: sha256}}))
    return sha256


def test_a_saved_classifier_answers_as_before(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = ClassifierNet().half().float()
    sha256 = write(tmp_path, net.half())
    loaded = load_classifier(tmp_path, "cpu")
    assert isinstance(loaded, CaptionClassifier) and loaded.sha256 == sha256
    images = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        wanted, got = net.float().eval()(images), loaded.net(images)
    for name, classes in HEADS.items():
        assert got[name].shape == (3, classes) and got[name].dtype == torch.float32
        torch.testing.assert_close(got[name], wanted[name])


def test_eval_mode_makes_pictures_independent(tmp_path: Path) -> None:
    torch.manual_seed(0)
    write(tmp_path, ClassifierNet())
    net = load_classifier(tmp_path, "cpu").net
    images = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        together, alone = net(images), net(images[2:3])
    for name in HEADS:
        torch.testing.assert_close(together[name][2:3], alone[name])


@pytest.mark.parametrize("damage", ["folder", "weights", "manifest", "cut", "keys", "unlisted"])
def test_damaged_files_are_one_line_with_a_fix(tmp_path: Path, damage: str) -> None:
    net = ClassifierNet()
    write(tmp_path, net)
    weights, manifest = tmp_path / "model.safetensors", tmp_path / "manifest.json"
    folder = tmp_path
    if damage == "folder":
        folder = tmp_path / "absent"
    elif damage == "weights":
        weights.unlink()
    elif damage == "manifest":
        manifest.write_text("{")
    elif damage == "unlisted":
        manifest.write_text(json.dumps({"sha256": {}}))
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "keys":
        save_file({"other": torch.zeros(1)}, weights)
    with pytest.raises(MissingPrerequisite) as caught:
        load_classifier(folder, "cpu")
    assert "\n" not in caught.value.cause and str(folder) in caught.value.cause
    assert caught.value.fix == "reinstall ppdbench"
    if damage == "keys":
        assert "other" in caught.value.cause or "features" in caught.value.cause
