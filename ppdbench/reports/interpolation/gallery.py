"""The simplex in pictures: a caption drawn for every mixture of rewards, all from one noise.

Three rewards on a coarse grid lie as a triangle, the first one's corner on top, as in the paper's
Fig. 4; any other simplex is shown by its edges, a strip from one reward to the other. Captions are
those that the summary names, the first of their categories, never picked by eye. Elsewhere: the
other galleries (`gallery`, `people.gallery`), the section around it (`interpolation.section`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from ppdbench.protocols import Caption
from ppdbench.reports.gallery import Picture, picture
from ppdbench.reports.headline import reward_title
from ppdbench.reports.interpolation.simplex import mixture
from ppdbench.runs.images import ImageStore
from ppdbench.runs.results import Result

LONGEST = 6
"""Pictures along an edge of a triangle at most; a finer grid is shown by its edges."""
STRIP = 11
"""Pictures of a strip at most; of more, every second, third and so on is shown, and both ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Pictures in a line; `start` and `end` name what they lead from and to."""

    pictures: tuple[Picture, ...]
    start: str = ""
    end: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simplex:
    """One caption."""

    caption: str
    category: str
    seed: str
    baseline: Picture
    rows: tuple[Strip, ...]
    """Of a triangle from its top, else an edge each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimplexGallery:
    """All captions, laid out alike."""

    triangle: bool
    across: int
    """Pictures in the longest line."""
    corners: tuple[str, ...]
    """The rewards, in the order of their corners."""
    captions: tuple[Simplex, ...]


def simplex_gallery(
    store: ImageStore,
    results: Mapping[str, Result],
    summary: Mapping[str, Any],
    captions: Sequence[Caption],
) -> SimplexGallery | None:
    """Build the gallery from a run's results; None where nothing was drawn for it.

    Args:
        store: the run's images; one that cannot be read says so.
        results: its results by item.
        summary: its summary.json.
        captions: the run's captions; one that is not among them is shown by its id.
    """
    benchmarks = summary["benchmarks"]
    about = benchmarks.get("interpolation_about") or {}
    grid: Sequence[Mapping[str, Any]] = benchmarks.get("interpolation_grid") or ()
    rewards = list(about.get("rewards") or ())
    shown = list(about.get("shown") or ())
    if not grid or not shown or len(rewards) < 2:
        return None
    found = {
        (r.generator, r.user, r.caption_id): r
        for r in results.values()
        if r.benchmark == "interpolation" and r.sample == 0
    }
    known = {caption.id: caption for caption in captions}
    lines = _triangle(grid, rewards) or _edges(summary, grid, rewards)
    made = [
        _caption(store, summary, known.get(i) or Caption(id=i, text=i, category=""), lines, found)
        for i in shown
        if any(caption == i for _, _, caption in found)
    ]
    if not made:
        return None
    return SimplexGallery(
        triangle=not any(line.start for line in lines),
        across=max(len(line.points) for line in lines),
        corners=tuple(reward_title(summary, name) for name in rewards),
        captions=tuple(made),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    points: Sequence[Mapping[str, Any]]
    start: str = ""
    end: str = ""


def _triangle(grid: Sequence[Mapping[str, Any]], rewards: Sequence[str]) -> list[_Line]:
    """Rows from the first reward's corner down; none without a triangle or on too fine a grid."""
    if len(rewards) != 3:
        return []
    first, second, _ = rewards
    levels = sorted({point["weights"][first] for point in grid}, reverse=True)
    if len(levels) > LONGEST:
        return []
    return [
        _Line(
            points=sorted(
                (point for point in grid if point["weights"][first] == level),
                key=lambda point: -point["weights"][second],
            )
        )
        for level in levels
    ]


def _edges(
    summary: Mapping[str, Any], grid: Sequence[Mapping[str, Any]], rewards: Sequence[str]
) -> list[_Line]:
    """A line an edge, from all weight on one reward to all on the other."""
    found = []
    for pair in combinations(rewards, 2):
        points = sorted(
            (p for p in grid if not any(w for name, w in p["weights"].items() if name not in pair)),
            key=lambda point: point["weights"][pair[1]],
        )
        steps = len(points) - 1
        every = next((n for n in range(1, steps + 1) if steps % n == 0 and steps / n < STRIP), 1)
        start, end = (reward_title(summary, name) for name in pair)
        found.append(_Line(points=points[::every], start=start, end=end))
    return found


def _caption(
    store: ImageStore,
    summary: Mapping[str, Any],
    caption: Caption,
    lines: Sequence[_Line],
    found: Mapping[tuple[str, str | None, str], Result],
) -> Simplex:
    base = found.get((summary["baseline"], None, caption.id))

    def draw(point: Mapping[str, Any]) -> Picture:
        weights = mixture(summary, point["weights"])
        result = found.get((summary["model"], point["user"], caption.id))
        return picture(store, result, f"{caption.text}, drawn for {weights}", weights)

    name = summary["baseline"]
    seeds = {result.seed for (_, _, own), result in found.items() if own == caption.id}
    return Simplex(
        caption=caption.text,
        category=caption.category,
        seed=" / ".join(str(seed) for seed in sorted(seeds)),
        baseline=picture(store, base, f"{caption.text}, drawn by {name}", f"{name}, no weights"),
        rows=tuple(
            Strip(
                pictures=tuple(draw(point) for point in line.points), start=line.start, end=line.end
            )
            for line in lines
        ),
    )
