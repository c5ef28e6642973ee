"""The loop that one would write around the bare `openai` client: retries, a file of replies.

It asks what stands in a batch file, as `ppdbench judge --batch-out` writes it, and appends each
reply to a file as it comes. The client's own retries are on, as many attempts as the judge `openai`
makes. What they let through, an answer that is no completion, is asked for again at once. A model
that declines has replied. Elsewhere: what it is held against (`judge_load`).

    python perf/bare_client.py REQUESTS.jsonl REPLIES.jsonl URL [--concurrency 32] [--timeout 2]

Prints as JSON the seconds from the first request to the last reply in the file, the processor's in
the same time, and what could not be asked; reading the requests is not in them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI, OpenAIError

TRIES = 5
"""Attempts of a request, the first one included; as the judge's."""


def read_requests(path: Path) -> list[dict[str, Any]]:
    """The lines of a batch file; images that come several times are held once."""
    known: dict[str, str] = {}
    found = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            request = json.loads(line)
            for message in request["body"]["messages"]:
                for part in message["content"] if isinstance(message["content"], list) else ():
                    if "image_url" in part:
                        url = part["image_url"]["url"]
                        part["image_url"]["url"] = known.setdefault(url, url)
            found.append(request)
    return found


async def ask_all(
    requests: list[dict[str, Any]], out: Path, url: str, concurrency: int, seconds: float
) -> int:
    """Ask everything; returns how many requests had no reply.

    Args:
        requests: `custom_id` and `body`.
        out: gets a line a reply.
        url: the server's.
        concurrency: requests in flight.
        seconds: until an attempt is given up.
    """
    places = asyncio.Semaphore(concurrency)
    client = AsyncOpenAI(api_key="none", base_url=url, max_retries=TRIES - 1, timeout=seconds)
    with out.open("w", encoding="utf-8") as file:

        async def ask(request: dict[str, Any]) -> bool:
            async with places:
                for _ in range(TRIES):
                    try:
                        completion = await client.chat.completions.create(**request["body"])
                        message = completion.choices[0].message
                    except (ValueError, AttributeError):  # no JSON, or JSON that is no completion
                        continue
                    except OpenAIError as error:
                        print(f"{request['custom_id']}: {error}", file=sys.stderr)
                        return False
                    line = {"id": request["custom_id"], **message.model_dump()}
                    file.write(json.dumps(line) + "\n")
                    file.flush()
                    return True
                return False

        async with client:
            answered = await asyncio.gather(*map(ask, requests))
    return answered.count(False)


def main() -> None:
    """Parse, read, ask, tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("requests", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("url")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--timeout", type=float, default=2.0)
    given = parser.parse_args()
    requests = read_requests(given.requests)
    begin, processor = time.perf_counter(), time.process_time()
    lost = asyncio.run(ask_all(requests, given.out, given.url, given.concurrency, given.timeout))
    took = {
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": time.process_time() - processor,
        "lost": lost,
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main()
