"""Lessons of the tiny VLM: a user's shots, then several questions about that user in one row.

A row is the prompt's shots once, and after them branches that see the shots but not each other: the
description (`prompts.DESCRIBE`) with its answer, and some choices (`prompts.choice_text`). A branch
reads exactly what the public processor makes of its prompt. Users are drawn fresh each time
(`people.random_person`), nobody of the suite's groups among them.

The answer is a chain of thought: how the preferred picture of each pair differs, then what the
person likes, dominant first. The teacher is an ideal reader of the same shots: it measures the
pictures and knows Bayes' rule (`suites.shapes.beliefs`). Nothing is taught that the shots do not
tell, such as the true taste. Elsewhere: the loss (`train_vlm.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ppdbench.protocols import Shot
from ppdbench.suites.shapes.attributes import ATTRIBUTES
from ppdbench.suites.shapes.beliefs import (
    dominant_posterior,
    posterior,
    predict,
    taste_prior,
)
from ppdbench.suites.shapes.people import (
    CHOICE_SHARPNESS,
    FAVOURITE_WEIGHT,
    Person,
    random_person,
)
from ppdbench.suites.shapes.scenes import COLOURS, SHAPES, Scene
from ppdbench.users.prompts import DESCRIBE, IMAGE, choice_text, preferred_first, shots_text
from trainers.shapes.vlm_data import PicturePairs
from trainers.shapes.vlm_parts import IMAGE_TOKENS

if TYPE_CHECKING:
    from PIL.Image import Image

MORE = ("brighter", "bolder", "more vivid", "warmer", "more centred", "busier")
LESS = ("darker", "softer", "duller", "cooler", "further aside", "plainer")
LIKED = ("bright", "bold", "vivid", "warm", "centred", "busy")
DISLIKED = ("dark", "soft", "dull", "cool", "off-centre", "plain")
"""A word an attribute, in the order of `ATTRIBUTES`."""

SAID_A_PAIR, SAID_FROM = 3, 0.25
"""At most so many differences are said of a pair, each at least this large in within-caption
standard deviations."""
LIKED_FROM = 0.4
"""The answer names attributes whose weight is probably this large, the likeliest dominant first."""
PRIOR_DRAWS = 400
SHOT_COUNTS, SHOT_SHARES = (4, 1, 2, 8), (0.76, 0.08, 0.08, 0.08)
QUERIES = 3
ROUND = 32
"""Rows are padded to a multiple of this: few shapes, where the model is compiled."""
CANDIDATES = 48
"""Pairs a person finds some to ask for among."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """B rows of at most T tokens; I images in all."""

    ids: Tensor
    """(B, T)."""
    positions: Tensor
    """(B, T) place in the prompt that the token's branch makes."""
    mask: Tensor
    """(B, 1, T, T) bool: what each token sees."""
    image_at: Tensor
    """(I, 2) row and place of each image's first token."""
    image: Tensor
    """(I, 2) side and number of each image among the picture pairs."""
    answer: Tensor
    """(B, T) the token that the description's answer goes on with, -100 elsewhere."""
    taste_at: Tensor
    """(B, 2) the end of the shots, and the last token of the answer."""
    taste: Tensor
    """(B, 6) the taste to be expected of who chose so: the posterior mean."""
    preferred: Tensor
    """(B, 2 S) 1 for each preferred image of the shots, 0 for each other, in the prompt's order."""
    shot_image_at: Tensor
    """(B, 2 S) the place of each of those images' first token."""
    shot_at: Tensor
    """(B, S) the end of each shot."""
    shot: Tensor
    """(B, S, 2, 6) attributes of each shot's preferred image, and of the other."""
    choice_at: Tensor
    """(B, Q) the place at which "1" or "2" is said."""
    choice: Tensor
    """(B, Q) probability that the person chooses 1, as far as the shots tell."""
    apart: Tensor
    """(B, Q, 6) attributes of image 1 less those of image 2."""


class Lessons:
    """Makes lessons of picture pairs."""

    def __init__(self, tokenizer: Any, pairs: PicturePairs) -> None:
        self.tokenizer = tokenizer
        self.pairs = pairs
        self._mean = pairs.attributes.mean((0, 1))
        self._liking = _scene_words(pairs.scenes)
        self._image = tokenizer.convert_tokens_to_ids(IMAGE)
        self._pad = tokenizer.pad_token_id

    def draw(self, rng: np.random.Generator, batch_size: int) -> Lesson:
        """A batch of rows, each of another person; all have the same number of shots."""
        shots = int(rng.choice(SHOT_COUNTS, p=SHOT_SHARES))
        return self._packed([self._row(rng, shots) for _ in range(batch_size)])

    def _row(self, rng: np.random.Generator, shots: int) -> _Row:
        person = random_person(rng)
        rows = self._asked(person, rng, shots + QUERIES)
        taste = np.array(person.taste)
        attributes = self.pairs.attributes[:, rows]
        apart = attributes[0] - attributes[1]
        chance = 1 / (1 + np.exp(-CHOICE_SHARPNESS * (apart @ taste)))
        wins = rng.random(len(rows)) < chance
        captions = [self.pairs.captions[row] for row in rows]
        shown = [Shot(caption=c, preferred=_NONE, dispreferred=_NONE) for c in captions[:shots]]
        images, said, preferred = [], [], []
        for number, shot in enumerate(shown, start=1):
            at = number - 1
            won = 0 if wins[at] else 1
            first = won if preferred_first(shot, number) else 1 - won
            images += [(first, rows[at]), (1 - first, rows[at])]
            preferred += [float(first == won), float(first != won)]
            said.append(_differences(apart[at] if wins[at] else -apart[at]))
        context = shots_text(shown)
        lines = [f"{number}: {words}" for number, words in enumerate(said, start=1)]
        shown_as = attributes[:, :shots].swapaxes(0, 1) - self._mean
        evidence = np.where(wins[:, None], apart, -apart)[:shots]
        prior = taste_prior(PRIOR_DRAWS)
        weights = posterior(evidence, prior)
        answer = "\n".join([*lines, profile(named(weights, prior))])
        branches = [_Branch(DESCRIBE, answer, [])]
        flips = rng.random(QUERIES) < 0.5
        for at, flip in zip(range(shots, shots + QUERIES), flips, strict=True):
            sides = [(int(flip), rows[at]), (1 - int(flip), rows[at])]
            branches.append(_Branch(choice_text(captions[at]), "1", sides))
        sign = np.where(flips, -1.0, 1.0)
        asked = apart[shots:] * sign[:, None]
        return _Row(
            context=context,
            images=images,
            branches=branches,
            taste=weights @ prior,
            preferred=preferred,
            shots=np.where(wins[:shots, None, None], shown_as, shown_as[:, ::-1]),
            apart=asked,
            choice=predict(weights, asked, prior).chosen,
        )

    def _asked(self, person: Person, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Rows of pairs that this person asks for: their favourites are likelier."""
        offered = rng.choice(len(self.pairs), size=CANDIDATES, replace=False)
        colours = np.isin(
            np.arange(len(COLOURS)), [COLOURS.index(c) for c in person.favourite_colours]
        )
        shapes = np.isin(np.arange(len(SHAPES)), [SHAPES.index(s) for s in person.favourite_shapes])
        colour, shape, things = (table[offered] for table in self._liking)
        liked = (colour @ colours + shape @ shapes) / things
        weight = FAVOURITE_WEIGHT**liked
        return np.asarray(rng.choice(offered, size=count, replace=False, p=weight / weight.sum()))

    def _tokens(self, text: str) -> list[int]:
        widened = text.replace(IMAGE, IMAGE * (IMAGE_TOKENS + 1))
        return list(self.tokenizer(widened, add_special_tokens=False)["input_ids"])

    def _packed(self, rows: Sequence[_Row]) -> Lesson:
        packed = [self._laid_out(row) for row in rows]
        longest = max(len(row.ids) for row in packed)
        length = -(-longest // ROUND) * ROUND
        size = len(rows)
        ids = torch.full((size, length), self._pad)
        positions = torch.zeros(size, length, dtype=torch.long)
        branch = torch.full((size, length), -1)
        answer = torch.full((size, length), -100)
        image_at, image, shot_image_at, shot_at = [], [], [], []
        for number, row in enumerate(packed):
            n = len(row.ids)
            ids[number, :n] = torch.tensor(row.ids)
            positions[number, :n] = torch.tensor(row.positions)
            branch[number, :n] = torch.tensor(row.branch)
            answer[number, :n] = torch.tensor(row.answer)
            starts = [at for at, token in enumerate(row.ids) if token == self._image]
            starts = starts[:: IMAGE_TOKENS + 1]
            image_at += [(number, at) for at in starts]
            shot_image_at.append(starts[: 2 * len(rows[number].shots)])
            shot_at.append([at + IMAGE_TOKENS + 1 for at in shot_image_at[-1][1::2]])
            image += row.images
        sees = (branch[:, None, :] == 0) & (branch[:, :, None] >= 0)
        sees |= branch[:, None, :] == branch[:, :, None]
        return Lesson(
            ids=ids,
            positions=positions,
            mask=(sees & torch.ones(length, length, dtype=torch.bool).tril())[:, None],
            image_at=torch.tensor(image_at),
            image=torch.tensor(np.array(image)),
            answer=answer,
            taste_at=torch.tensor([row.taste_at for row in packed]),
            taste=torch.tensor(np.array([row.taste for row in rows]), dtype=torch.float32),
            preferred=torch.tensor([row.preferred for row in rows], dtype=torch.float32),
            shot_image_at=torch.tensor(shot_image_at),
            shot_at=torch.tensor(shot_at),
            shot=torch.tensor(np.array([row.shots for row in rows]), dtype=torch.float32),
            choice_at=torch.tensor([row.choice_at for row in packed]),
            choice=torch.tensor(np.array([row.choice for row in rows]), dtype=torch.float32),
            apart=torch.tensor(np.array([row.apart for row in rows]), dtype=torch.float32),
        )

    def _laid_out(self, row: _Row) -> _Tokens:
        """One row's tokens: the shots, then each branch from where the shots end."""
        head = self._tokens(turn(row.context, open_ended=True))
        ids, branch, positions = list(head), [0] * len(head), list(range(len(head)))
        answer, choice_at, images = [-100] * len(head), [], list(row.images)
        last = 0
        for number, part in enumerate(row.branches, start=1):
            prompt = self._tokens(turn(row.context + part.question))
            if prompt[: len(head)] != head:
                raise ValueError("the tokenizer joins the shots' end with the question")
            prompt = prompt[len(head) :]
            reply = self._tokens(part.answer)
            tokens = prompt + (reply if number == 1 else [])
            first = len(ids)
            ids += tokens
            branch += [number] * len(tokens)
            positions += range(len(head), len(head) + len(tokens))
            images += part.images
            said = first + len(prompt) - 1  # what is said first is foretold by the prompt's end
            if number == 1:
                last = len(ids) - 1
                answer += [-100] * (len(prompt) - 1) + reply + [self.tokenizer.eos_token_id]
            else:
                choice_at.append(said)
                answer += [-100] * len(tokens)
        return _Tokens(ids, branch, positions, answer, images, (len(head) - 1, last), choice_at)


def turn(text: str, *, open_ended: bool = False) -> str:
    """The user's turn as the chat template writes it, and the beginning of the answer's."""
    said = f"<|im_start|>user\n{text}"
    return said if open_ended else f"{said}<|im_end|>\n<|im_start|>assistant\n"


def named(weights: NDArray[np.float64], tastes: NDArray[np.float64]) -> list[int]:
    """What the answer names of weighted tastes (T, 6): 0-5 liked, 6-11 disliked attributes."""
    chances = dominant_posterior(weights, tastes)
    first = int(chances.argmax())
    strong = np.concatenate([weights @ (tastes > LIKED_FROM), weights @ (tastes < -LIKED_FROM)])
    others = [int(at) for at in np.argsort(-strong) if strong[at] > 0.5]
    return [first, *(at for at in others if at % len(ATTRIBUTES) != first % len(ATTRIBUTES))]


def profile(attributes: Sequence[int]) -> str:
    """Attributes as `named` gives them, in words: "Likes warm, plain images."."""
    return f"Likes {', '.join((LIKED + DISLIKED)[at] for at in attributes)} images."


def dominant_of(text: str) -> str | None:
    """The signed attribute that a profile names first ("+warmth"); None where it names none."""
    words = text.removeprefix("Likes ").split(",")[0].split()
    for sign, known in (("+", LIKED), ("-", DISLIKED)):
        for attribute, word in zip(ATTRIBUTES, known, strict=True):
            if words and words[0] == word:
                return f"{sign}{attribute}"
    return None


def corpus(pairs: PicturePairs) -> list[str]:
    """Text whose words the tokenizer should know."""
    words = [", ".join([*MORE, *LESS]), *(f"Likes {word} images." for word in LIKED + DISLIKED)]
    shot = Shot(caption="", preferred=_NONE, dispreferred=_NONE)
    frame = [
        shots_text([shot] * 8).replace(IMAGE, ""),
        DESCRIBE,
        choice_text("").replace(IMAGE, ""),
    ]
    answer = [f"{number}: {', '.join(words)}" for number in range(1, 9)]
    return [*pairs.captions[:4000], *(frame + words + answer) * 200]


@dataclass(frozen=True, slots=True)
class _Branch:
    question: str
    answer: str
    images: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Row:
    context: str
    images: list[tuple[int, int]]
    branches: list[_Branch]
    taste: NDArray[np.float64]
    preferred: list[float]
    shots: NDArray[np.float64]
    apart: NDArray[np.float64]
    choice: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Tokens:
    ids: list[int]
    branch: list[int]
    positions: list[int]
    answer: list[int]
    images: list[tuple[int, int]]
    taste_at: tuple[int, int]
    choice_at: list[int]


_NONE: Image = None  # type: ignore[assignment]  # the text of a shot needs no pictures


def _differences(apart: NDArray[np.float64]) -> str:
    """How a preferred picture differs, largest first: "warmer, plainer"."""
    order = np.argsort(-np.abs(apart))[:SAID_A_PAIR]
    words = [(MORE if apart[at] > 0 else LESS)[at] for at in order if abs(apart[at]) > SAID_FROM]
    return ", ".join(words) or "the same"


def _scene_words(
    scenes: Sequence[Scene],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """How often each colour (N, 8) and each shape (N, 6) is in a scene, and its things (N,)."""
    colours = np.array([[sum(t.colour == c for t in s.things) for c in COLOURS] for s in scenes])
    shapes = np.array([[sum(t.shape == x for t in s.things) for x in SHAPES] for s in scenes])
    return colours, shapes, np.array([float(len(scene.things)) for scene in scenes])
