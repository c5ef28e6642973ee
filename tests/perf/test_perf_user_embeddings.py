"""What the measurement of embeddings says of a rate: how far it is from chance to the ceiling."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ppdbench.data.images import encode_png
from ppdbench.protocols import PreferencePair, UserCode
from ppdbench.suites.shapes.attributes import ATTRIBUTES
from trainers.shapes.vlm_lessons import dominant_of

SCRIPT = Path(__file__).parents[2] / "perf" / "user_embeddings.py"
PROFILE = "Likes bright images."
USERS = 12


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return runpy.run_path(str(SCRIPT))


class OneLikesBright:
    """People of whom one in twelve likes what every profile says: a guesser at chance."""

    def __init__(self, liked: str) -> None:
        self.liked = liked
        self.truth = self

    def users(self, _split: str) -> list[Any]:
        return [SimpleNamespace(id=str(n), shots=((),), choices=(str(n),)) for n in range(USERS)]

    def pairs(self, ids: list[str]) -> list[PreferencePair]:
        dark, light = (encode_png(Image.new("RGB", (4, 4), (v, v, v))) for v in (9, 200))
        about: Any = {"caption": "a", "image_0": light, "image_1": dark}
        labels: Any = {"label_0": 1.0, "label_1": 0.0}
        return [PreferencePair(id=i, user_id=int(i), **about, **labels) for i in ids]

    def measure(self, images: list[Image.Image]) -> Any:
        return np.array([[np.asarray(image).mean()] for image in images])

    def utility(self, _user: str, attributes: Any) -> Any:
        return attributes[:, 0]

    def dominant(self, user: str) -> str:
        return self.liked if user == "0" else "nothing"

    def ceilings(self, _split: str) -> dict[str, float]:
        return dict.fromkeys(
            ("choice", "choice_expected", "choice_noisy", "dominant", "dominant_expected"), 0.75
        )


def test_chance_is_no_way_and_the_ceiling_all_of_it(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    liked = dominant_of(PROFILE)
    assert liked is not None
    people = OneLikesBright(liked)
    inside = script["measure"].__globals__
    sure = np.where(np.arange(USERS) < 9, 1.0, -1.0)  # nine of twelve right: the ceiling
    monkeypatch.setitem(inside, "log_odds", lambda *_: sure)
    code = UserCode(embedding=np.zeros(2, np.float32), profile=PROFILE)
    monkeypatch.setitem(inside, "embed", lambda *_, **__: [code] * USERS)
    suite, encoder = SimpleNamespace(people=people), SimpleNamespace(vlm=None)
    found = script["measure"](suite, encoder, "unseen")
    assert found["choice"]["rate"] == 0.75
    assert found["choice"]["way_from_chance"] == 1
    assert found["dominant"]["rate"] == pytest.approx(1 / 12)
    assert found["dominant"]["way_from_chance"] == 0  # of six attributes, liked or disliked
    assert found["dominant_chance"] == 1 / (2 * len(ATTRIBUTES))
