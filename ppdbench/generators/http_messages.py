"""The JSON of `http:URL`: what a server is told of itself, sent, and gives back.

docs/generators.md is the contract in words, docs/examples/http_server.py a server of it. Elsewhere:
the transport (`http_calls`), the generator (`http`).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from ppdbench.data.images import encode_png
from ppdbench.errors import one_line
from ppdbench.generators.http_calls import Unanswered
from ppdbench.generators.not_drawn import NotDrawn
from ppdbench.generators.pictures import read_picture
from ppdbench.protocols import GenerationRequest, UserContext

if TYPE_CHECKING:
    from PIL.Image import Image

    from ppdbench.generators.not_drawn import Outcome

Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
BYTES_A_PIXEL = 12
"""Of a picture in an answer at most: four channels of 16 bits, in base64."""
DEEPEST = 20
"""Levels of lists and objects in what a server says of its settings."""
BYTES_BESIDE = 65_536
"""Of an answer, and of each picture in it, beside the pixels."""


class Info(BaseModel):
    """What GET /info answers; fields that are not known here are left to the server."""

    model_config = ConfigDict(strict=True)

    name: Text
    version: Text
    revision: Text
    licence: Text
    conditions_on: list[Literal["reward_weights", "shots", "embeddings", "profile"]]
    seeded: bool = True
    encoder: Text | None = None
    encoder_revision: Text | None = None
    training_users_digest: Text | None = None
    batch: Annotated[int, Field(ge=1, le=1024)] = 8
    """Requests that it takes at once."""
    settings: dict[str, Any] = Field(default_factory=dict)

    @field_validator("settings")
    @classmethod
    def _can_be_recorded(cls, found: dict[str, Any]) -> dict[str, Any]:
        """Refuse what Python reads and no record holds: NaN, half a character, deep nesting."""
        if not _is_flat(found, DEEPEST):
            raise ValueError(f"nested deeper than {DEEPEST} levels")
        json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
        return found


def _is_flat(found: object, levels: int) -> bool:
    """Whether lists and objects lie in each other at most so many levels deep."""
    if not isinstance(found, dict | list):
        return True
    inner = found.values() if isinstance(found, dict) else found
    return levels > 0 and all(_is_flat(each, levels - 1) for each in inner)


def read_info(found: object) -> Info:
    """What a server says of itself.

    Raises:
        Unanswered: it does not; the field is named.
    """
    try:
        return Info.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the answer"
        raise Unanswered(f"/info: {place}: {one_line(Exception(first['msg']))}") from error


def request_json(request: GenerationRequest) -> dict[str, Any]:
    """A request as it is sent."""
    return {
        "id": request.id,
        "caption": request.caption,
        "seed": request.seed,
        "width": request.width,
        "height": request.height,
        "user": None if request.user is None else user_json(request.user),
    }


def user_json(user: UserContext) -> dict[str, Any]:
    """A user as they are sent: what the server declared, which is all that the context has."""
    told: dict[str, Any] = {"id": user.id}
    if user.shots:
        told["shots"] = [
            {
                "caption": shot.caption,
                "preferred": base64.b64encode(encode_png(shot.preferred)).decode(),
                "dispreferred": base64.b64encode(encode_png(shot.dispreferred)).decode(),
            }
            for shot in user.shots
        ]
    if user.reward_weights is not None:
        told["reward_weights"] = dict(user.reward_weights)
    if user.embeddings:
        told["embeddings"] = {name: each.tolist() for name, each in user.embeddings.items()}
    if user.profile is not None:
        told["profile"] = user.profile
    return told


def most_bytes(requests: Sequence[GenerationRequest]) -> int:
    """Bytes that the answer to these requests may have."""
    pixels = sum(request.width * request.height for request in requests)
    return BYTES_A_PIXEL * pixels + BYTES_BESIDE * (len(requests) + 1)


def read_answer(found: object, requests: Sequence[GenerationRequest]) -> list[Outcome]:
    """A picture a request, or why there is none.

    Raises:
        Unanswered: the answer is not one to these requests.
    """
    images = found.get("images") if isinstance(found, dict) else None
    if not isinstance(images, list):
        raise Unanswered('the answer has no list "images"')
    if len(images) != len(requests):
        raise Unanswered(f"{len(images)} images came for {len(requests)} requests")
    return [_outcome(each, request) for each, request in zip(images, requests, strict=True)]


def _outcome(found: object, request: GenerationRequest) -> Outcome:
    if isinstance(found, dict) and isinstance(found.get("error"), str):
        return NotDrawn(f"the server says: {one_line(Exception(found['error']))}")
    if not isinstance(found, str):
        return NotDrawn("the image is neither base64 nor an error")
    return decoded(found, (request.width, request.height))


def decoded(text: str, size: tuple[int, int] | None) -> Image | NotDrawn:
    """The picture that base64 holds."""
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        return NotDrawn(f"the image is no base64: {one_line(error)}")
    try:
        return read_picture(data, name="the image", size=size)
    except NotDrawn as error:
        return error
