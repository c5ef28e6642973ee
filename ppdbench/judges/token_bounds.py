"""How many tokens a question can be at most, before anyone counts them.

Text is at most one token a UTF-8 byte, as tokenizers' smallest pieces are bytes. Images by the
providers' own formulas, and of a model whose formula is not known the largest of them:

- OpenAI, https://platform.openai.com/docs/guides/images-vision#calculating-costs: models that count
  tiles take 85 + 170 for each 512 px tile; those that count patches of 32 px, at most 1,536, take
  up to 2.46 for each; gpt-4o-mini 2,833 + 5,667 a tile. Images as small as ours are not made larger
  (a 128 x 64 one is billed 255, or 8,500 with gpt-4o-mini).
- Llama 3.2 Vision, https://docs.together.ai/docs/vision-overview: 1,601 a tile of 560 px.
  LLaVA-OneVision, Qwen-VL, Gemini and Claude take less for images of our sizes.

A server that counts more still raises the bound once it has said so (`budget`).
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

TILES = (85, 170)
TILES_4O_MINI = (2833, 5667)
PATCH = Fraction(246, 100)
MOST_PATCHES = 1536
TILE_LLAMA = 1601

MARKS = 64
"""Tokens of a chat template around a turn: roles, marks, a system message of the server's own."""

_OPENAI = re.compile(r"(chatgpt|gpt|o\d)-")


def text_bound(*texts: str) -> int:
    """Most tokens that texts can be, with the marks around them."""
    return MARKS + sum(len(text.encode("utf-8", "replace")) for text in texts)


def image_bound(width: int, height: int, model: str) -> int:
    """Most tokens that an image of so many pixels can be.

    Args:
        width: as it is sent.
        height: as it is sent.
        model: as it is asked for; a provider's folder before its name does not matter.
    """
    tiles = math.ceil(width / 512) * math.ceil(height / 512)
    name = model.rpartition("/")[2].lower()
    if "4o-mini" in name:
        return TILES_4O_MINI[0] + TILES_4O_MINI[1] * tiles
    patches = min(MOST_PATCHES, math.ceil(width / 32) * math.ceil(height / 32))
    bound = max(TILES[0] + TILES[1] * tiles, math.ceil(patches * PATCH))
    if not _OPENAI.match(name):
        bound = max(bound, TILE_LLAMA * math.ceil(width / 560) * math.ceil(height / 560))
    return bound
