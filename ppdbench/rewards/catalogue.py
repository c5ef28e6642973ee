"""Rewards by name: the published ones, and anything that a reward plug-in scores.

A name on the command line is a published reward, or a plug-in's kind, each with `=PATH` where the
user says what it lies at: a weights file or a folder of them for a published reward, a reward
folder (config.json and weights, `folder`) for any kind. Elsewhere: what each published folder says
(`published/*/config.json`), where weights are looked for (`weights`).
"""

from __future__ import annotations

from pathlib import Path

from ppdbench import plugins
from ppdbench.errors import UsageError, unknown_name
from ppdbench.protocols import RewardSpec
from ppdbench.rewards.folder import describes_itself

FOLDER = Path(__file__).parent / "published"

_PUBLISHED = (
    ("clip", "clip", "CLIP ViT-H/14"),
    ("aesthetic", "aesthetic", "LAION Aesthetic"),
    ("hpsv2", "hps", "HPSv2"),
    ("hpsv2.1", "hps", "HPSv2.1"),
    ("hpsv2-no-antialias", "hps", "HPSv2, no antialias"),
    ("hpsv2.1-no-antialias", "hps", "HPSv2.1, no antialias"),
    ("pickscore", "pickscore", "PickScore"),
)


def published() -> dict[str, RewardSpec]:
    """Name -> spec of every reward whose authors published weights that we know how to score."""
    return {
        name: RewardSpec(name=name, kind=kind, checkpoint=FOLDER / name, title=title)
        for name, kind, title in _PUBLISHED
    }


def known_names() -> list[str]:
    """What `--reward` takes, sorted: published names and the plug-ins' kinds."""
    return sorted({*published(), *plugins.names("rewards")})


def spec_of(text: str) -> RewardSpec:
    """The reward that "NAME" or "NAME=PATH" asks for.

    Raises:
        UsageError: the name is unknown, or PATH is empty.
    """
    name, equals, place = text.partition("=")
    if equals and not place:
        raise UsageError(f"{text!r} names no path", fix="write NAME or NAME=PATH")
    path = Path(place).expanduser() if place else None
    known = published()
    if path is not None and describes_itself(path):
        # A folder that describes itself is its own reward, under the name it is asked for by.
        kind = known[name].kind if name in known else name
        _require_kind(kind)
        return RewardSpec(name=name, kind=kind, checkpoint=path)
    if name in known:
        spec = known[name]
        return RewardSpec(
            name=name, kind=spec.kind, checkpoint=spec.checkpoint, title=spec.title, weights=path
        )
    _require_kind(name)
    if path is None and any(spec.kind == name for spec in known.values()):
        own = [other for other, spec in known.items() if spec.kind == name]
        raise UsageError(
            f"{name} is a kind of reward, and no folder is named",
            fix=f"name its folder, {name}=FOLDER, or a published one: {', '.join(own)}",
        )
    return RewardSpec(name=name, kind=name, checkpoint=path or Path())


def _require_kind(kind: str) -> None:
    if kind not in plugins.names("rewards"):
        raise unknown_name("reward", kind, known_names())
