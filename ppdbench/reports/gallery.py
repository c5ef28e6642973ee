"""The gallery: the same captions and noise drawn by the baseline and by the model for each user.

Captions are taken in turn from each category in the suite's order, never picked by eye. Images
come from the run's store as data URIs. Elsewhere: records joined to items (`runs.results`).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from ppdbench.errors import PpdbenchError
from ppdbench.protocols import Caption
from ppdbench.reports.figures import Verdict, decimals_for, number
from ppdbench.reports.headline import reward_title
from ppdbench.reports.shown_records import original
from ppdbench.runs.captions import in_turn
from ppdbench.runs.images import ImageStore
from ppdbench.runs.results import Result

ROWS = 12
"""Captions shown."""
LARGEST_SIDE = 512
"""Pixels; larger images are embedded scaled down, as WebP."""
PIXELATED = 128
"""Images of at most this many pixels a side are enlarged without smoothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One cell; without `uri`, `note` says why."""

    uri: str
    alt: str
    label: str
    score: str = ""
    """The user's own reward of this image."""
    change: Verdict = "undefined"
    """Above, below or level with the baseline's image by that reward."""
    note: str = ""
    size: tuple[int, int] = (1, 1)
    """Width and height of the original, in pixels: the page keeps its place."""
    pixelated: bool = False
    item: str = ""
    """Whose picture it is, as in the records; empty where it is of no item."""
    file: str = ""
    """The original beside the page; empty where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One caption, drawn from one noise."""

    caption: str
    category: str
    seed: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Rows under their columns' names; `reason` where there is nothing to show."""

    columns: tuple[tuple[str, str], ...]
    """(generator, user) as printed; the user is empty where there is none."""
    rows: tuple[Row, ...]
    reason: str = ""


def gallery(
    store: ImageStore,
    results: Mapping[str, Result],
    summary: Mapping[str, Any],
    captions: Sequence[Caption],
    *,
    rows: int = ROWS,
) -> Gallery:
    """Build the gallery of a run from its results; an image that cannot be read says so.

    Args:
        store: the run's images.
        results: its results by item.
        summary: its summary.json.
        captions: the suite's captions; those without records are left out, and records whose
            caption is not among them are shown by their caption's id.
        rows: captions at most.
    """
    # Of people there is a gallery of their own.
    drawn = [r for r in results.values() if r.sample == 0 and r.benchmark == "rewards"]
    model, baseline = summary["model"], summary["baseline"]
    columns = [
        column
        for name in dict.fromkeys((baseline, model))
        for column in dict.fromkeys((r.generator, r.user) for r in drawn if r.generator == name)
    ]
    if not columns:
        return Gallery(columns=(), rows=(), reason="the run holds no images")
    by_caption: dict[str, dict[tuple[str, str | None], Result]] = {}
    for result in drawn:
        by_caption.setdefault(result.caption_id, {})[result.generator, result.user] = result
    known = {caption.id for caption in captions}
    stray = [Caption(id=i, text=i, category="") for i in by_caption if i not in known]
    offered = [caption for caption in [*captions, *stray] if caption.id in by_caption]
    return Gallery(
        columns=tuple((name, _user_title(summary, user)) for name, user in columns),
        rows=tuple(
            _row(store, summary, caption, columns, by_caption[caption.id])
            for caption in in_turn(offered)[:rows]
        ),
    )


def _row(
    store: ImageStore,
    summary: Mapping[str, Any],
    caption: Caption,
    columns: Sequence[tuple[str, str | None]],
    found: Mapping[tuple[str, str | None], Result],
) -> Row:
    baseline = summary["baseline"]
    seeds = {str(found[column].seed) for column in columns if column in found}
    return Row(
        caption=caption.text,
        category=caption.category,
        seed=" / ".join(sorted(seeds)),
        pictures=tuple(
            _picture(
                store,
                summary,
                caption,
                column,
                found.get(column),
                found.get((baseline, column[1])) or found.get((baseline, None)),
            )
            for column in columns
        ),
    )


def _picture(
    store: ImageStore,
    summary: Mapping[str, Any],
    caption: Caption,
    column: tuple[str, str | None],
    result: Result | None,
    base: Result | None,
) -> Picture:
    generator, user = column
    title = _user_title(summary, user)
    label = f"{generator}, {title}" if title else generator
    shown = picture(store, result, f"{caption.text}, drawn by {label}", label)
    if result is None or not shown.uri:
        return shown
    reward = (user or "").removeprefix("reward:")
    score = result.scores.get(reward)
    before = base.scores.get(reward) if base else None
    change: Verdict = "undefined"
    if score is not None and before is not None and generator != summary["baseline"]:
        change = "above" if score > before else "below" if score < before else "open"
    return replace(shown, score=number(score, decimals_for([score])), change=change)


def picture(store: ImageStore, result: Result | None, alt: str, label: str) -> Picture:
    """An item's image as a cell; where there is none, or none that can be read, why."""
    if result is None:
        return Picture(uri="", alt=alt, label=label, note="not drawn")
    if result.image is None:
        return Picture(uri="", alt=alt, label=label, note="; ".join(result.errors) or "failed")
    sha256 = result.image
    shown = file_picture(lambda: store.read(sha256), alt, label)
    return replace(shown, item=result.item, file=original(sha256) if shown.uri else "")


def file_picture(read: Callable[[], bytes], alt: str, label: str) -> Picture:
    """A file as a cell; where it cannot be read, it says so."""
    try:
        uri, size = data_uri(read())
    except (PpdbenchError, OSError, ValueError):
        note = "its file is missing or damaged; run the same command again"
        return Picture(uri="", alt=alt, label=label, note=note)
    pixelated = max(size) <= PIXELATED
    return Picture(uri=uri, alt=alt, label=label, size=size, pixelated=pixelated)


def pictures_in(section: Any) -> Iterator[Picture]:
    """All pictures of a section, however deep they lie in its dataclasses and sequences."""
    if isinstance(section, Picture):
        yield section
    elif isinstance(section, list | tuple):
        for part in section:
            yield from pictures_in(part)
    elif is_dataclass(section):
        for own in fields(section):
            yield from pictures_in(getattr(section, own.name))


def data_uri(png: bytes) -> tuple[str, tuple[int, int]]:
    """An image file as a data URI, scaled down where it is large, and the file's own size.

    Raises:
        OSError: it is no image.
    """
    from PIL import Image

    with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
        image.load()
        if max(image.size) <= LARGEST_SIDE:
            kind, data = "png", png
        else:
            small = image.convert("RGB")
            small.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
            buffer = io.BytesIO()
            # Method 2 codes twice as fast as the default, for 7% more bytes.
            small.save(buffer, format="WEBP", quality=88, method=2)
            kind, data = "webp", buffer.getvalue()
        size = image.size
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}", size


def _user_title(summary: Mapping[str, Any], user: str | None) -> str:
    if user is None:
        return ""
    if user.startswith("reward:"):
        return f"{reward_title(summary, user.removeprefix('reward:'))} user"
    return user
