"""A contact sheet: a caption's pictures side by side, who each is for below it. One PNG."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

SIDE = 256
"""Pixels of a picture on the sheet; tiny ones are enlarged without smoothing."""
GAP = 16
LINE = 18
FONT = 14
LETTERS = 34
"""Letters a line below a picture."""
MOST_LINES = 5
PAPER, INK, SOFT = (247, 245, 240), (29, 31, 38), (93, 96, 107)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Pictures for one user, a row a sample."""

    title: str
    text: str
    """Smaller, below the title."""
    images: Sequence[Image]


def contact_sheet(caption: str, columns: Sequence[Column]) -> Image:
    """Lay columns out beside each other under the caption, RGB."""
    from PIL import Image as PilImage
    from PIL import ImageDraw as PilDraw
    from PIL import ImageFont as PilFont

    rows = max(len(column.images) for column in columns)
    width = GAP + len(columns) * (SIDE + GAP)
    heading = textwrap.wrap(caption, max(LETTERS, width // 9))[:3]
    texts = [textwrap.wrap(column.text, LETTERS)[:MOST_LINES] for column in columns]
    top = GAP + LINE * len(heading) + GAP
    foot = LINE * (2 + max(map(len, texts))) + GAP
    sheet = PilImage.new("RGB", (width, top + rows * (SIDE + GAP) + foot), PAPER)
    drawing, font = PilDraw.Draw(sheet), PilFont.load_default(FONT)
    _write(drawing, GAP, GAP, heading, INK, font)
    for number, (column, lines) in enumerate(zip(columns, texts, strict=True)):
        left = GAP + number * (SIDE + GAP)
        for row, image in enumerate(column.images):
            sheet.paste(_fitted(image), (left, top + row * (SIDE + GAP)))
        below = top + rows * (SIDE + GAP)
        title = textwrap.wrap(column.title, LETTERS)[:1]
        _write(drawing, left, below, title, INK, font)
        _write(drawing, left, below + LINE, lines, SOFT, font)
    return sheet


def _write(
    drawing: ImageDraw,
    left: int,
    top: int,
    lines: Sequence[str],
    colour: tuple[int, int, int],
    font: FreeTypeFont | ImageFont,
) -> None:
    for number, line in enumerate(lines):
        drawing.text((left, top + number * LINE), line, fill=colour, font=font)


def _fitted(image: Image) -> Image:
    """The picture within a square of `SIDE`, whole and in its proportions."""
    from PIL import Image as PilImage

    scale = SIDE / max(image.size)
    size = tuple(max(1, round(scale * side)) for side in image.size)
    kind = PilImage.Resampling.NEAREST if scale >= 2 else PilImage.Resampling.LANCZOS
    square = PilImage.new("RGB", (SIDE, SIDE), PAPER)
    square.paste(image.convert("RGB").resize((size[0], size[1]), kind), (0, 0))
    return square
