"""The client of OpenAI's that calls go through: no answer is larger than any answer needs to be.

A stranger's answer may be endless, or a few bytes that unpack to gigabytes: it is read piece by
piece, unpacked, and given up at `MOST_BYTES`. Time is the caller's: `asyncio.timeout` around a call
holds for all of it, headers too, where the client's own timeouts count each read anew. Elsewhere:
calls of judges (`openai_calls`), of rewriting (`generators.chat_server`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openai import AsyncOpenAI

MOST_BYTES = 8_000_000
"""Bytes of an answer, unpacked; a reply of 300 tokens with all its fields takes a few thousand."""


def bounded_client(base_url: str, key: str) -> AsyncOpenAI:
    """A client without retries, redirects and timeouts; to be used inside one event loop."""
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    class Bounded(DefaultAsyncHttpxClient):
        """Reads an answer whole before it hands it over, and no more than `MOST_BYTES`."""

        async def send(self, request: Any, *, stream: bool = False, **also: Any) -> Any:
            """As the library's own; raises OpenAIError where the answer is too large."""
            answer = await super().send(request, stream=True, **also)
            return answer if stream else await _read(answer)

    return AsyncOpenAI(
        api_key=key,
        base_url=base_url,
        max_retries=0,
        timeout=None,
        # A call that is sent on would be several, and elsewhere than where it is told.
        http_client=Bounded(follow_redirects=False),
    )


async def _read(answer: Any) -> Any:
    """An answer with its whole content, of the same class: that of httpx or of its successor."""
    from openai import OpenAIError

    data = bytearray()
    try:
        async for piece in answer.aiter_bytes():
            data += piece
            if len(data) > MOST_BYTES:
                raise OpenAIError(f"the answer has more than {MOST_BYTES:,} bytes")
    finally:
        await answer.aclose()
    headers = [each for each in answer.headers.raw if each[0].lower() not in _PACKING]
    return type(answer)(
        answer.status_code, headers=headers, content=bytes(data), request=answer.request
    )


_PACKING = (b"content-encoding", b"content-length", b"transfer-encoding")
"""Headers of how an answer travelled."""
