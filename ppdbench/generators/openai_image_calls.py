"""Calls to an OpenAI-compatible images endpoint: a caption in, an image file's bytes out.

Each call is of at most five attempts, by the rules of the judges' calls (`judges.retry`). What a
failed attempt means is decided here: whether it is made again, whether it is the item's failure,
and whether any call can succeed at all. Nothing of the key is ever told. Elsewhere: which calls are
in flight (`image_flight`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ppdbench.errors import MissingPrerequisite
from ppdbench.generators.http_calls import JsonServer, Unanswered
from ppdbench.generators.http_messages import decoded
from ppdbench.generators.not_drawn import NotDrawn
from ppdbench.judges.completion import error_code, is_refusal
from ppdbench.judges.openai_calls import Server
from ppdbench.judges.retry import TRIES, no_call_can_succeed, wait, worth_another

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_BYTES = 100_000_000
"""Of an answer: no picture that is paid for is larger."""
LATE = 3
"""Calls in a row that came too late, of at least as many as are in flight, that stop a run."""
FORMAT = "response_format"
"""Some servers answer with a link unless they are asked not to, others know no such field."""


class ImageCalls:
    """The calls of one model; may be used from several threads."""

    def __init__(self, server: Server, body: Mapping[str, Any]) -> None:
        """Note where to.

        Args:
            server: where, with which key.
            body: what is sent with every caption: model, size, quality.
        """
        self._server = server
        self._body = dict(body)
        self._http = JsonServer(
            server.base_url,
            timeout=server.timeout,
            headers={"Authorization": f"Bearer {server.key}"},
            hide=server.hide,
        )
        self._asks_for_format = True
        self._late = 0
        """Calls in a row that were given up."""
        self.stop: MissingPrerequisite | None = None
        """Why no call can succeed."""

    def draw(self, caption: str) -> Image | NotDrawn:
        """The picture of a caption, of whatever size, or why there is none."""
        failed: list[Unanswered] = []
        for attempt in range(1, TRIES + 1):
            if self.stop is not None:
                return NotDrawn(self.stop.cause)
            asked_for_format = self._asks_for_format
            form = {FORMAT: "b64_json"} if asked_for_format else {}
            body = {**self._body, "prompt": caption, "n": 1, **form}
            try:
                found = self._http.post("/images/generations", body, most=MOST_BYTES)
                self._late = 0
                picture = _picture(found)
                if isinstance(picture, NotDrawn):  # a decoder may quote what it stumbled over
                    return NotDrawn(self._server.told(str(picture)))
                return picture
            except Unanswered as error:
                self._late = self._late + 1 if error.late else 0
                failed.append(error)
                why = self._server.told(str(error))
                if is_refusal(error.status or 0, error.body):
                    return NotDrawn(f"the server refused to draw it: {why}")
                self.stop = self.stop or self._stopped_by(error, why)
                if asked_for_format and error.status in (400, 422) and FORMAT in why:
                    self._asks_for_format = False
                    continue
                if not _again(error):
                    return NotDrawn(why)
                if attempt < TRIES and self.stop is None:
                    time.sleep(wait(attempt, caption, error.after))
        if not any(error.sent for error in failed):
            self.stop = self.stop or MissingPrerequisite(
                f"no server answers at {self._server.base_url} ({failed[-1]})",
                fix="start it, or check base_url and the network",
            )
        return NotDrawn(self._server.told(f"{failed[-1]} ({len(failed)} attempts)"))

    def _stopped_by(self, error: Unanswered, why: str) -> MissingPrerequisite | None:
        if not error.late:
            return no_call_can_succeed(
                error.status,
                error_code(error.body),
                model=self._body["model"],
                words=why,
                option="base_url=",
            )
        if self._late < max(LATE, self._server.concurrency):
            return None
        return MissingPrerequisite(
            f"{self._server.base_url} was late {self._late} times in a row ({why})",
            fix="give it longer (timeout=600), and run the same command again; what was drawn "
            "is kept",
        )


def _again(error: Unanswered) -> bool:
    """Whether another attempt may do better; what came too late is drawn and paid for perhaps."""
    return not error.late and (error.status is None or worth_another(error.status))


def _picture(found: object) -> Image | NotDrawn:
    """The picture of an answer; it was paid for, so what is wrong with it is not asked for again.

    Raises:
        Unanswered: it is no answer of this endpoint.
    """
    data = found.get("data") if isinstance(found, dict) else None
    if not isinstance(data, list) or not data or not isinstance(data[0], dict):
        raise Unanswered("the answer has no image")
    text, link = data[0].get("b64_json"), data[0].get("url")
    if not text and isinstance(link, str) and link.startswith("data:"):
        text = link.partition("base64,")[2]
    if not isinstance(text, str) or not text:
        return NotDrawn("the answer has a link and no image, and links are not followed")
    return decoded(text, None)
