"""From pairs to shots: which image is the preferred one, and which pairs are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from ppdbench.data.images import encode_png
from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.protocols import PreferencePair
from ppdbench.users.contexts import UserContexts, shot_of, user_context


def pair(identity: int, *, first: float = 1.0, **more: Any) -> PreferencePair:
    """A pair of a red and a blue image; `first` is the label of the red one."""
    red, blue = (encode_png(Image.new("RGB", (4, 4), colour)) for colour in ("red", "blue"))
    told = {"image_0": red, "image_1": blue, "label_0": first, "label_1": 1 - first, **more}
    return PreferencePair(id=str(identity), caption=f"caption {identity}", user_id=7, **told)


class Folk:
    """A suite's people, as far as they are asked for pairs."""

    def __init__(self, pairs: Sequence[PreferencePair]) -> None:
        self.asked: list[list[str]] = []
        self._pairs = {each.id: each for each in pairs}

    def pairs(self, ids: Sequence[str]) -> list[PreferencePair]:
        self.asked.append(list(ids))
        if absent := [identity for identity in ids if identity not in self._pairs]:
            raise MissingPrerequisite(f"no pair {absent[0]}", fix="none")
        return [self._pairs[identity] for identity in ids]


def people(*pairs: PreferencePair) -> Any:
    return Folk(pairs)


RED, BLUE = (255, 0, 0), (0, 0, 255)


def test_the_preferred_image_is_the_labels_whichever_slot_it_is_in() -> None:
    folk = people(pair(1), pair(2, first=0.0), pair(3))
    user = user_context(folk, "7", ["2", "3", "1"])
    assert user.id == "7"
    assert [shot.caption for shot in user.shots] == ["caption 2", "caption 3", "caption 1"]
    shown = [(s.preferred.getpixel((0, 0)), s.dispreferred.getpixel((0, 0))) for s in user.shots]
    assert shown == [(BLUE, RED), (RED, BLUE), (RED, BLUE)]
    assert {shot.preferred.mode for shot in user.shots} == {"RGB"}


def test_no_pairs_make_a_user_without_shots() -> None:
    folk = people()
    assert user_context(folk, "7", []).shots == ()
    assert folk.asked == []


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        (pair(9, first=0.5), "the pair 9 is a tie"),
        (pair(9, are_different=False), "the pair 9 shows one picture twice"),
        (pair(9, image_1=b"\x89PNG\r\n\x1a\n cut off"), "image 1 of the pair 9 cannot be decoded"),
    ],
    ids=["tie", "same", "damaged"],
)
def test_a_pair_that_is_no_shot_is_named(bad: PreferencePair, cause: str) -> None:
    with pytest.raises(PpdbenchError, match=cause) as caught:
        user_context(people(pair(1), bad), "7", ["1", "9"])
    assert caught.value.fix


def test_a_pair_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingPrerequisite, match="no pair 4"):
        user_context(people(pair(1)), "7", ["1", "4"])


def test_contexts_are_read_when_they_are_asked_for() -> None:
    folk = people(*(pair(number) for number in range(6)), pair(9, first=0.5))
    contexts = UserContexts(
        folk, [("a", ["0", "1"]), ("b", ["2", "0"]), ("c", ["3"]), ("d", ["9"])]
    )
    assert (len(contexts), folk.asked) == (4, [])
    assert [user.id for user in contexts[0:4:2]] == ["a", "c"]
    assert folk.asked == [["0", "1", "3"]]  # one reading for all of them
    (second,) = contexts[1:2]
    assert [shot.caption for shot in second.shots] == ["caption 2", "caption 0"]
    assert contexts[2].id == contexts[-2].id == "c"
    assert contexts[3:3] == []
    with pytest.raises(PpdbenchError, match="tie"):
        contexts[-1]
    with pytest.raises(IndexError):
        contexts[4]


def test_a_shot_keeps_its_caption_as_it_is() -> None:
    odd = replace(pair(1), caption=" <image> a\ncat ")
    assert shot_of(odd).caption == " <image> a\ncat "
