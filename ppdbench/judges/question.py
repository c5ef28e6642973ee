"""A question by its content: what keys, records and replays know it by.

Who the user is, which model drew an image and what files are called have no part in it, so the
same question is one question wherever it comes from. Elsewhere: who asks (`ask`), the judges.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict

from ppdbench.data.images import pixel_sha256
from ppdbench.protocols import Question, Shot
from ppdbench.rewards.preprocess import to_rgb

AT_HAND = 16
"""Sets of shots whose hash is remembered, and which are kept for it: a user's are asked about
several times in a row."""


def question_digest(question: Question) -> str:
    """sha256 over caption, shots, both images in their order, and the number of the asking."""
    facts = [
        question.caption,
        _shots_digest(question.shots),
        pixel_sha256(to_rgb(question.first)),
        pixel_sha256(to_rgb(question.second)),
        question.repeat,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


_known: OrderedDict[int, tuple[tuple[Shot, ...], str]] = OrderedDict()
"""By identity, as images have no hash; the shots are kept, so that no other takes their place."""


def _shots_digest(shots: tuple[Shot, ...]) -> str:
    found = _known.get(id(shots))
    if found is not None and found[0] is shots:
        _known.move_to_end(id(shots))
        return found[1]
    facts = [
        [s.caption, *(pixel_sha256(to_rgb(image)) for image in (s.preferred, s.dispreferred))]
        for s in shots
    ]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    _known[id(shots)] = (shots, digest)
    _known.move_to_end(id(shots))
    while len(_known) > AT_HAND:
        _known.popitem(last=False)
    return digest
