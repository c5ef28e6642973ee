"""Lists that name files and settings: manifests, shots, captioned sets, the JSON of a run's folder.

A name in a list never leads out of its folder. Elsewhere: how many and within which bounds
(`cases`), records (`test_hostile_jsonl`), what the pictures hold (`test_hostile_images`).
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cases import (
    TEXTS,
    Draw,
    as_json,
    as_lines,
    damage,
    damage_text,
    edit,
    every_number,
    hold,
    profiles,
    takes,
)
from PIL import Image

from ppdbench.benchmarks.calibration.beside import find_calibration
from ppdbench.benchmarks.compare.runs import _summary as compared_summary
from ppdbench.benchmarks.users.probes import read_probes
from ppdbench.data.captioned import read_captioned
from ppdbench.data.parti_prompts import read_parti_prompts
from ppdbench.errors import PpdbenchError
from ppdbench.generators.images import Images
from ppdbench.generators.not_drawn import NotDrawn
from ppdbench.protocols import GenerationRequest, JudgeInfo
from ppdbench.reports.summary import read_summary
from ppdbench.rewards.folder import describes_itself, read_config
from ppdbench.runs.captions import read_captions
from ppdbench.runs.directory import RunDirectory, read_spec
from ppdbench.runs.profiles import read_profiles
from ppdbench.runs.results import read_scorers
from ppdbench.users.shots_folder import read_shots

NAMES = ("a.png", "below/b.png", "../secret/s.png", "link.png", "/etc/passwd", "pipe.png", "a.png/")


def png(colour: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (colour, 0, 0)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures, one below, and ways out: a link to a secret."""
    place = tmp_path / "place"
    (place / "below").mkdir(parents=True)
    for number, name in enumerate(("a.png", "below/b.png")):
        (place / name).write_bytes(png(number * 99))
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "s.png").write_bytes(png(255))
    (place / "link.png").symlink_to(secret / "s.png")
    monkeypatch.setenv("PPDBENCH_CACHE", str(place / "cache"))
    return place


def lists(valid: Any, *, as_text: Callable[[Any], bytes]) -> Callable[[Draw], bytes]:
    """Lists: damaged in their bytes, with other values, and with names that lead elsewhere."""
    whole = as_text(valid)

    def drawn(draw: Draw) -> bytes:
        kind = draw.random()
        if kind < 0.35:
            return damage(whole, draw, draw.randrange(5))
        if kind < 0.5:
            name = damage_text(draw.choice(NAMES), draw)
            return as_text(json.loads(json.dumps(valid).replace("a.png", json.dumps(name)[1:-1])))
        changed = edit(valid, draw, draw.randrange(3))
        try:
            return as_text(changed)
        except (TypeError, AttributeError, LookupError):
            return as_json(changed)

    return drawn


EXAMPLES = [
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"",
    b"\xff",
    b"[]",
    b"{}",
    b"null",
    b"1e999",
    b"\0",
]


@profiles
def test_pictures_that_somebody_lists(folder: Path, number: int) -> None:
    line = {"caption": "a red cube", "user": None, "seed": 1, "file": "a.png"}
    valid = [line, {**line, "seed": 2, "file": "below/b.png"}, {**line, "seed": 3}]

    def body(data: bytes) -> bool:
        (folder / "manifest.jsonl").write_bytes(data)

        def check(images: Images) -> None:
            assert len(set(images.listed)) == len(images.listed)
            for caption, _, seed in images.listed:
                asked = GenerationRequest(
                    id="i", caption=caption, seed=seed, width=8, height=8, user=None
                )
                try:
                    (picture,) = images.generate([asked])
                except NotDrawn:
                    continue
                assert picture.getpixel((0, 0)) in ((0, 0, 0), (99, 0, 0))

        return takes(lambda: Images(folder), check)

    hold(
        body,
        lists(valid, as_text=as_lines),
        number=number,
        folder=folder,
        forbidden=folder.parent / "secret",
        examples=EXAMPLES,
    )


@profiles
@pytest.mark.parametrize("name", ["shots.jsonl", "shots.json"])
def test_shots_that_somebody_lists(folder: Path, number: int, name: str) -> None:
    line = {"caption": "a red cube", "preferred": "a.png", "dispreferred": "below/b.png"}
    valid = [line, {**line, "caption": "a blue cube"}]

    def body(data: bytes) -> bool:
        (folder / name).write_bytes(data)
        return takes(
            lambda: read_shots(folder),
            lambda user: [shot.caption.encode() for shot in user.shots],
        )

    hold(
        body,
        lists(valid, as_text=as_lines if name == "shots.jsonl" else as_json),
        number=number,
        folder=folder,
        forbidden=folder.parent / "secret",
        examples=EXAMPLES,
    )


def table(separator: str) -> Callable[[Any], bytes]:
    """Rows as people write them by hand."""

    def written(rows: Any) -> bytes:
        header = list(rows[0])
        found = [header, *([str(row.get(name, "")) for name in header] for row in rows)]
        return "\n".join(separator.join(row) for row in found).encode("utf-8", "replace")

    return lambda rows: written(rows).replace(b"\0", b"")


@profiles
@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv"])
def test_captioned_sets(folder: Path, number: int, ending: str) -> None:
    """A set may name files anywhere, as its owner says; reading it opens none of them."""
    path = folder / f"metadata.{ending}"
    rows = [{"file_name": "a.png", "text": "a cube"}, {"file_name": "below/b.png", "text": "b"}]
    written = as_lines if ending == "jsonl" else table("," if ending == "csv" else "\t")

    def body(data: bytes) -> bool:
        path.write_bytes(data)

        def check(images: Any) -> None:
            for image in images:
                image.name.encode()
                (image.caption or "").encode()

        return takes(lambda: read_captioned(path), check)

    hold(body, lists(rows, as_text=written), number=number, folder=folder, examples=EXAMPLES)


@profiles
def test_files_of_captions(tmp_path: Path, number: int) -> None:
    path = tmp_path / "PartiPrompts.tsv"
    rows = 'Prompt\tCategory\tChallenge\na bird\tAnimals\tBasic\n\'a "cat"\tAnimals\tBasic\n'

    def body(data: bytes) -> bool:
        path.write_bytes(data)

        def check(found: Any) -> None:
            assert len({caption.id for caption in found.captions}) == len(found.captions) > 0
            assert all(each.text.strip() and each.category.strip() for each in found.captions)

        return takes(lambda: read_parti_prompts(path), check)

    def drawn(draw: Draw) -> bytes:
        text = damage_text(rows, draw).encode("utf-8", "surrogatepass")
        return damage(text, draw, draw.randrange(3))

    hold(body, drawn, number=number, folder=tmp_path, examples=EXAMPLES)


# --- the JSON files of a run's folder -------------------------------------------------------------

SPEC = {"schema_version": 1, "suite": "town", "limit": None, "generators": {"ppd": "r"}}
SUMMARY = {
    "schema_version": 1,
    "suite": "town",
    "suite_version": "1",
    "suite_digest": "d",
    "model": "ppd",
    "baseline": "base",
    "generators": {"ppd": {"n_ok": 1}},
    "benchmarks": {"calibration": {"judge": "j", "revision": "r", "shots": 4, "n": 9}},
    "withheld": None,
    "created": "2026-01-01",
}
INFO = JudgeInfo(name="j", revision="r", personal=True)
FILES: dict[str, tuple[Any, Callable[[Path], object]]] = {
    "spec.json": (SPEC, read_spec),
    "captions.json": (
        {"schema_version": 1, "captions": [{"id": "c", "text": "a", "category": "b"}]},
        read_captions,
    ),
    "profiles.json": ({"profiles": {"llava": {"u1": "likes red"}}}, read_profiles),
    "probes.json": ({"probes": {"e": {"identity": "i", "figures": {"n": 1}}}}, read_probes),
    "scorers.json": (
        {"schema_version": 1, "scorers": {"reward:clip": {"identity": "i", "name": "clip"}}},
        read_scorers,
    ),
    "summary.json": (
        {**SUMMARY, "benchmarks": {}},
        lambda folder: (read_summary(folder / "summary.json"), compared_summary(folder)),
    ),
    "config.json": (
        {"arch": "ViT-B-32", "weights": "w.safetensors"},
        lambda folder: (describes_itself(folder), read_config(folder, owner="clip")),
    ),
}


@profiles
@pytest.mark.parametrize("name", FILES)
def test_json_of_a_folder(tmp_path: Path, number: int, name: str) -> None:
    valid, read = FILES[name]

    def body(data: bytes) -> bool:
        (tmp_path / name).write_bytes(data)
        return takes(lambda: read(tmp_path))

    quietly = name in ("captions.json", "profiles.json")  # one that is damaged is as none
    hold(
        body,
        lists(valid, as_text=as_json),
        number=number,
        folder=tmp_path,
        examples=EXAMPLES,
        one_sided=quietly,
    )


@profiles
def test_a_calibration_beside_a_run(tmp_path: Path, number: int) -> None:
    """One that is damaged is as none."""
    place = tmp_path / "town" / "calibrate-j-x"
    place.mkdir(parents=True)

    def body(data: bytes) -> bool:
        (place / "summary.json").write_bytes(data)
        found = find_calibration(tmp_path, "town", "d", INFO, 4)
        assert found is None or (found["judge"], found["revision"]) == ("j", "r")
        return found is not None

    hold(body, lists(SUMMARY, as_text=as_json), number=number, folder=tmp_path, examples=EXAMPLES)


@profiles
def test_status_and_settings_of_a_run_that_goes_on(tmp_path: Path, number: int) -> None:
    """A run goes on where its status is damaged; where its settings are, it says so."""
    status = {
        "schema_version": 1,
        "state": "done",
        "stage": None,
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": {"generate": 1.5},
    }
    place = tmp_path / "run"
    spec = {key: value for key, value in SPEC.items() if key != "schema_version"}
    RunDirectory.at(place, spec).close()
    made = lists(status, as_text=as_json), lists(SPEC, as_text=as_json)

    def body(case: tuple[bytes, bytes]) -> bool:
        for name, data in zip(("status.json", "spec.json"), case, strict=True):
            (place / name).write_bytes(data)

        def check(run: RunDirectory) -> None:
            run.close()
            said = json.loads((place / "status.json").read_bytes())
            assert all(map(math.isfinite, every_number(said["seconds"])))

        return takes(lambda: RunDirectory.at(place, spec), check)

    hold(
        body,
        lambda draw: (made[0](draw), as_json(SPEC) if draw.random() < 0.7 else made[1](draw)),
        number=number,
        folder=tmp_path,
        examples=[(each, as_json(SPEC)) for each in EXAMPLES],
    )


@profiles
def test_names_that_become_files(tmp_path: Path, number: int) -> None:
    """Names of models and suites are made names of files that stay in their folder."""
    from ppdbench.runs.directory import place

    def body(case: tuple[str, str]) -> bool:
        found = place(tmp_path, *case, {"a": 1})
        assert found.parent.parent == tmp_path and found.name not in (".", "..")
        assert len(found.name.encode()) <= 255 and "\0" not in str(found)
        found.parent.mkdir(exist_ok=True)
        found.mkdir(exist_ok=True)
        found.rmdir()
        return True

    def drawn(draw: Draw) -> tuple[str, str]:
        return damage_text(draw.choice(TEXTS), draw), damage_text(draw.choice(TEXTS), draw)

    hold(body, drawn, number=number // 10, folder=tmp_path, one_sided=True)


def test_a_list_that_is_a_pipe_is_not_waited_for(folder: Path) -> None:
    import os

    os.mkfifo(folder / "manifest.jsonl")
    with pytest.raises(PpdbenchError, match="no regular file"):
        Images(folder)
