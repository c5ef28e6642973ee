"""Entries by somebody who means harm: refused in a sentence that names file and field, quickly."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import random
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from town_board import (
    SUITE,
    edit_json,
    edit_line,
    edit_yaml,
    remember_figures,
    sealed_again,
    sealed_line,
)

from ppdbench.entries.entry import entries_of, read_entry
from ppdbench.entries.files import ENTRY, GALLERY, LARGEST, REPRODUCED, SCORES, SUMMARY
from ppdbench.entries.lines import LONGEST_LINE, MOST_RECORDS
from ppdbench.entries.problems import BadEntry
from ppdbench.leaderboard.check import check_entry
from ppdbench.leaderboard.read import require_small_jpeg

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def entry(board: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    remember_figures(monkeypatch)
    return board / SUITE / "embedder"


def said(entry: Path) -> list[str]:
    """What a check finds; no exception, whatever there is."""
    checked = check_entry(entry, entry.parents[1])
    assert checked.tier == "self-reported" or checked.ok
    return [str(problem) for problem in checked.problems]


def refused(entry: Path, start: str) -> None:
    """It cannot even be read, and the others can."""
    with pytest.raises(BadEntry):
        read_entry(entry)
    (line,) = said(entry)
    assert line.startswith(start), line
    assert "\n" not in line and len(line) < 500
    names = {each.name for each in entries_of(entry.parents[1])}
    assert names == {"brighter", "ider", "plain"}


# --- text -----------------------------------------------------------------------------------------


def test_markup_in_words_is_text(entry: Path) -> None:
    for field in ("title", "description", "licence"):
        edit_yaml(entry, (field,), lambda _: SCRIPT)
    edit_yaml(entry, ("who",), lambda _: [SCRIPT])
    sealed_again(entry)
    assert said(entry) == []
    assert read_entry(entry).about.title == SCRIPT


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", SCRIPT),
        ("name", "../../up"),
        ("name", "/etc/passwd"),
        ("name", ".."),
        ("name", "CON"),
        ("name", "nul.txt"),
        ("name", "embedder."),
        ("name", "\u0435mbedder"),
        ("of", "../plain"),
        ("suite", "../other"),
        ("baseline.name", "../../../etc"),
        ("title", "a\u202egpj.exe"),
        ("title", "a\x1b[2Jb"),
        ("title", "x" * 121),
        ("who", ["x"] * 41),
        ("links", [{"title": "x", "url": "javascript:alert(1)"}]),
        ("links", [{"title": "x", "url": "http://example.org"}]),
        ("links", [{"title": "x", "url": 'https://example.org/" onclick="x'}]),
        ("links", [{"title": "x", "url": "https://[::1"}]),
        ("gallery", {"file": "../../../etc/passwd", "sha256": "0" * 64}),
        ("gallery", {"file": "/etc/passwd", "sha256": "0" * 64}),
        ("gallery", {"file": "gallery.jpg", "sha256": "x"}),
        ("n", 10**30),
        ("n", -1),
        ("n", True),
        ("n", "168"),
        ("unserved", {"seen": -1}),
        ("generator.settings", {"a": float("nan")}),
        ("generator.conditions_on", ["everything"]),
        ("training_users", {"salt": "0" * 32, "hashes": ["0" * 15]}),
        ("recorded", "yesterday"),
        ("schema_version", 3),
        ("surprise", 1),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_a_field_may_not_say_is_named(entry: Path, field: str, value: Any) -> None:
    *before, last = field.split(".")
    edit_yaml(entry, tuple(before), lambda found: {**found, last: value})
    refused(entry, f"{ENTRY}, {field}")


def test_a_number_that_is_too_long_to_print_is_named_by_its_line(entry: Path) -> None:
    edit_yaml(entry, ("generator",), lambda found: {**found, "settings": {"a": 10**400}})
    refused(entry, f"{ENTRY}: line ")


def test_a_field_that_is_missing_is_named(entry: Path) -> None:
    edit_yaml(entry, (), lambda found: {k: v for k, v in found.items() if k != "scorers"})
    refused(entry, f"{ENTRY}, scorers: Field required")


def test_a_folder_of_another_name_is_no_entry_of_that_name(entry: Path) -> None:
    copy = shutil.copytree(entry, entry.with_name("copied"))
    (line,) = said(Path(copy))
    assert line == f"{ENTRY}, name: it is embedder, but the folder is copied"


# --- YAML -----------------------------------------------------------------------------------------

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB, "line 1: an anchor"),
        ("title: *a", "line 1: found undefined alias|line 1: an alias"),
        ("title: &a x\n", "line 1: an anchor"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: a tag"),
        ("a: !!binary eA==", "line 1: a tag"),
        ("[" * 5000, "nested deeper than"),
        ("{a: " * 5000, "nested deeper than"),
        ("- x\n" * 70_000, "more than 60,000 values"),
        ("a: 1\na: 2\n", "line 2: the key 'a' is there twice"),
        ("? [a]\n: 1\n", "line 1: a key is no text"),
        ("a: 1\r\nb: 2\r\n", "carriage returns"),
        ("a: 1\n---\nb: 2\n", "another document"),
        ("a: " + "9" * 5000, "integer string conversion"),
        ("a: [", "did not find expected"),
        ("just text", "it holds no fields"),
        ("", "it holds no fields"),
    ],
    ids=lambda text: str(text)[:16],
)
def test_hostile_yaml_is_refused(entry: Path, text: str, says: str) -> None:
    (entry / ENTRY).write_bytes(text.encode())
    began = time.process_time()
    with pytest.raises(BadEntry, match=says):
        read_entry(entry)
    assert time.process_time() - began < 2
    refused(entry, f"{ENTRY}: ")


def test_what_is_no_utf8_is_refused(entry: Path) -> None:
    for name in (ENTRY, SUMMARY):
        data = (entry / name).read_bytes()
        (entry / name).write_bytes(data.replace(b"embedder", b"\xff\xfeembedder", 1) + b"\xff")
        refused(entry, f"{name}: ")
        (entry / name).write_bytes(data)
    lines = (entry / SCORES).read_bytes()
    (entry / SCORES).write_bytes(lines[:40] + b"\xff" + lines[41:])
    assert any(line.startswith(f"{SCORES}, line 1: ") for line in said(entry))


# --- JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 20_000 + "1" + "}" * 20_000,
        '{"schema_version": NaN}',
        '{"schema_version": 2, "schema_version": 2}',
        '{"schema_version": ' + "9" * 5000 + "}",
        "[]",
        '"text"',
        "{",
        "",
    ],
    ids=lambda text: text[:16],
)
@pytest.mark.parametrize("name", [SUMMARY, REPRODUCED])
def test_hostile_json_is_refused(entry: Path, name: str, text: str) -> None:
    (entry / name).write_text(text)
    refused(entry, f"{name}: ")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("figures", "rewards", "red", "win_rate"), 1.5),
        (("figures", "rewards", "red", "win_rate"), SCRIPT),
        (("figures", "rewards", "red", "gain"), float("inf")),
        (("figures", "rewards", "red", SCRIPT), 1),
        (("figures", "personal", "unseen", "n"), 10**30),
        (("files", "../../x"), "0" * 64),
        (("coverage", SCRIPT), {}),
    ],
    ids=str,
)
def test_a_summary_holds_numbers_within_bounds(entry: Path, place: Any, value: Any) -> None:
    *before, last = place
    edit_json(entry / SUMMARY, tuple(before), lambda found: {**found, last: value})
    refused(entry, SUMMARY)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [ENTRY, SCORES, SUMMARY, GALLERY, REPRODUCED])
def test_no_file_may_be_a_link(entry: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    if (entry / name).exists():
        (entry / name).rename(outside)
    else:
        outside.write_text("{}")
    (entry / name).symlink_to(outside)
    refused(entry, f"{name}: it is a link")


def test_no_folder_may_be_a_link(entry: Path, tmp_path: Path) -> None:
    entry.rename(tmp_path / "outside")
    entry.symlink_to(tmp_path / "outside")
    refused(entry, "it is a link")
    suite = entry.parents[1] / "linked"
    suite.symlink_to(entry.parent)
    assert {each.suite for each in entries_of(entry.parents[1])} == {SUITE}


@pytest.mark.parametrize("name", [SCORES, SUMMARY, GALLERY])
def test_a_pipe_or_a_folder_is_never_waited_on(entry: Path, name: str) -> None:
    (entry / name).unlink()
    os.mkfifo(entry / name)
    refused(entry, f"{name}: it is no plain file")
    (entry / name).unlink()
    (entry / name).mkdir()
    refused(entry, f"{name}: it is no plain file")


def test_a_file_that_no_entry_has_is_refused(entry: Path) -> None:
    for name in ("index.html", "entry.json", ".hidden", SCRIPT.replace("/", "")):
        (entry / name).write_text("x")
        refused(entry, f"{name}: ")
        (entry / name).unlink()


@pytest.mark.parametrize("name", [ENTRY, SCORES, SUMMARY, GALLERY])
def test_a_file_that_is_too_large_is_not_read(entry: Path, name: str) -> None:
    with (entry / name).open("r+b") as file:
        file.truncate(LARGEST[name] + 1)  # sparse: nothing is written
    began = time.process_time()
    found = said(entry)
    assert any(line.startswith(f"{name}: it has {LARGEST[name] + 1:,} bytes") for line in found)
    assert time.process_time() - began < 5


def jpeg(width: int, height: int) -> bytes:
    """A whole JPEG whose header says another size."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, format="JPEG")
    data = bytearray(buffer.getvalue())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (jpeg(30_000, 30_000), "more pixels than 4,096 a side"),
        (jpeg(5_000, 16), "it has 5,000 x 16 pixels"),
        (b"GIF89a" + b"0" * 40, "it is no JPEG"),
        (b"<svg onload=alert(1)>", "it is no JPEG"),
        (b"\xff\xd8\xff", "it is no JPEG"),
    ],
    ids=["bomb", "wide", "gif", "svg", "torn"],
)
def test_a_gallery_is_judged_by_its_header(
    entry: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, says: str
) -> None:
    def load(*_: Any) -> None:
        raise AssertionError("it was decoded")

    (entry / GALLERY).write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    edit_yaml(entry, ("gallery", "sha256"), lambda _: sha256)
    sealed_again(entry)
    monkeypatch.setattr(Image.Image, "load", load)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    (line,) = said(entry)
    assert line.startswith(f"{GALLERY}: ") and says in line


@pytest.mark.parametrize(
    ("polyglot", "says"),
    [
        (lambda jpeg: jpeg + b"<script>alert(1)</script>", "25 bytes follow the end"),
        (lambda jpeg: jpeg + b"PK\5\6" + bytes(18), "22 bytes follow the end"),
        (lambda jpeg: jpeg[:2] + b"\xff\xfe\0\x09alert()" + jpeg[2:], "a segment 0xFE"),
        (lambda jpeg: jpeg[:2] + b"\xff\xe1\0\x08Exif\0\0" + jpeg[2:], "a segment 0xE1"),
        (lambda jpeg: jpeg[:4] + b"/*" + jpeg[6:20] + bytes(12056) + jpeg[20:], "has 12074 bytes"),
        (lambda jpeg: jpeg[:-2], "without an end"),
    ],
    ids=["page", "archive", "comment", "metadata", "script", "torn"],
)
def test_a_gallery_is_a_picture_and_nothing_else(
    polyglot: Callable[[bytes], bytes], says: str
) -> None:
    whole = (jpeg(16, 16), noise(progressive=True), noise(restart_marker_blocks=1))
    for data in whole:
        require_small_jpeg(data)
        with pytest.raises(ValueError, match=says):
            require_small_jpeg(polyglot(data))


def noise(**options: Any) -> bytes:
    """A JPEG whose scans hold every byte there is."""
    buffer = io.BytesIO()
    pixels = random.Random(0).randbytes(64 * 64 * 3)
    Image.frombytes("RGB", (64, 64), pixels).save(buffer, format="JPEG", quality=95, **options)
    return buffer.getvalue()


def test_a_compressed_picture_bomb_is_judged_by_its_header_too(entry: Path) -> None:
    buffer = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(buffer, format="PNG")
    (entry / GALLERY).write_bytes(buffer.getvalue())
    edit_yaml(entry, ("gallery", "sha256"), lambda _: hashlib.sha256(buffer.getvalue()).hexdigest())
    sealed_again(entry)
    assert any("it is no JPEG" in line or "bytes" in line for line in said(entry))


# --- records --------------------------------------------------------------------------------------


def write_lines(entry: Path, lines: list[bytes]) -> None:
    (entry / SCORES).write_bytes(b"".join(line + b"\n" for line in lines))
    edit_yaml(entry, ("n",), lambda _: len(lines))
    sealed_again(entry)


def test_a_million_records_are_refused_before_they_are_parsed(
    entry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ppdbench.entries import lines

    real = lines._parsed

    def parsed(line: bytes) -> Any:
        assert line != b'{"a":1}', "a line was parsed"
        return real(line)

    monkeypatch.setattr(lines, "_parsed", parsed)
    (entry / SCORES).write_bytes(b'{"a":1}\n' * 1_000_000)
    began = time.process_time()
    found = said(entry)
    assert time.process_time() - began < 5
    assert f"{SCORES}: 1,000,000 records; {MOST_RECORDS:,} are allowed" in found


def test_many_wrong_lines_are_not_all_told(entry: Path) -> None:
    write_lines(entry, [b"{}"] * 5000)
    found = [line for line in said(entry) if line.startswith(f"{SCORES}, line")]
    assert len(found) == 21 and "20 lines are wrong" in found[-1]


@pytest.mark.parametrize(
    ("place", "value", "says"),
    [
        (("scores", "red"), float("nan"), "NaN is no number"),
        (("scores", "red"), float("inf"), "Infinity is no number"),
        (("scores", "red"), 10**400, "scores.red: Input should be a valid number"),
        (("scores", "red"), 1e300, "scores.red: Input should be less than"),
        (("scores", "red"), 10**300, "scores.red: Input should be less than"),
        (("attributes",), [-1e300], "attributes.0: Input should be greater"),
        (("scores", "red"), "1.0", "scores.red: Input should be a valid number"),
        (("scores", "red"), None, "scores.red"),
        (("seed",), 2**63, "seed: Input should be less than"),
        (("seed",), -1, "seed: Input should be greater"),
        (("seed",), 1.5, "seed: Input should be a valid integer"),
        (("sample",), 1000, "sample: Input should be less than"),
        (("image",), "../../etc/passwd", "image: String should match"),
        (("user",), "a\x1b[2J", "user: U+001B is no letter"),
        (("user",), ["a"], "user: Input should be a valid string"),
        (("facts",), {"all": 1}, "facts.all: Input should be a valid boolean"),
        (("benchmark",), "interpolation", "benchmark: Input should be 'personal'"),
        (("arm",), "group", "arm: Input should be"),
        (("surprise",), 1, "surprise: Extra inputs are not permitted"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_record_that_is_none_is_named(entry: Path, place: Any, value: Any, says: str) -> None:
    *before, last = place
    lines = (entry / SCORES).read_bytes().splitlines()
    number = next(n for n, line in enumerate(lines) if b'"arm":"own"' in line)
    number = 0 if last == "red" else number
    edit_line(entry, number, tuple(before), lambda found: {**found, last: value}, check=True)
    sealed_again(entry)
    (named,) = [line for line in said(entry) if line.startswith(f"{SCORES}, line {number + 1}: ")]
    assert any(each in named for each in says.split("|")), named


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda line: line.replace(b'{"', b'{ "', 1), "not compact JSON"),
        (lambda line: line + b"\r", "not compact JSON"),
        (lambda line: line[:-1], "Expecting|delimiter"),
        (lambda _line: b"[" * 100_000, "a line has"),
        (lambda _line: b"[" * (LONGEST_LINE - 1), "nested too deep|Expecting"),
        (lambda _line: b"x" * (LONGEST_LINE + 1), "a line has 16,384 at most"),
        (lambda _line: b"[]", "it is no record"),
        (lambda _line: b"", "Expecting value"),
        (lambda line: line.replace(b'{"', b'{"sample":7,"', 1), "it was edited"),
        (lambda line: line.replace(b'"sample":', b'"sample":7,"sample":', 1), "not compact JSON"),
        (lambda _line: b'{"sample":' + b"9" * 5000 + b"}", "integer string conversion"),
    ],
    ids=[
        "spaced",
        "CRLF",
        "torn",
        "deep",
        "in_bounds",
        "long",
        "list",
        "empty",
        "first_twice",
        "last_twice",
        "int",
    ],
)
def test_a_line_that_is_written_otherwise_is_named(
    entry: Path, edit: Callable[[bytes], bytes], says: str
) -> None:
    lines = (entry / SCORES).read_bytes().splitlines()
    lines[2] = edit(lines[2])
    write_lines(entry, lines)
    (named,) = [line for line in said(entry) if line.startswith(f"{SCORES}, line 3: ")]
    assert any(each in named for each in says.split("|")), named


@pytest.mark.parametrize("every", [True, False])
def test_attributes_that_the_suite_does_not_measure_are_named(board: Path, every: bool) -> None:
    entry = board / SUITE / "embedder"
    lines = [json.loads(line) for line in (entry / SCORES).read_bytes().splitlines()]
    own = [line for line in lines if line.get("attributes")]
    for line in own if every else own[:1]:
        line["attributes"] = [1.0]
    write_lines(entry, [sealed_line(line) for line in lines])
    (found,) = said(entry)
    assert ("no figures follow" if every else "1 records have not as many attributes") in found


def test_an_item_that_is_there_twice_is_named(entry: Path) -> None:
    """Each with a whole check: which of two scores counts must be no question."""
    lines = (entry / SCORES).read_bytes().splitlines()
    better = json.loads(lines[0])
    better["scores"]["red"] += 100
    write_lines(entry, [*lines, sealed_line(better)])
    assert f"{SCORES}, line {len(lines) + 1}: the same item as line 1" in said(entry)


def test_a_last_line_that_is_not_whole_is_named(entry: Path) -> None:
    data = (entry / SCORES).read_bytes()
    (entry / SCORES).write_bytes(data[:-1])
    sealed_again(entry)
    assert any("the line is not whole" in line for line in said(entry))


def test_wrong_hashes_are_named(entry: Path) -> None:
    for name in (ENTRY, SCORES, GALLERY):
        text = (entry / SUMMARY).read_text()
        edit_json(entry / SUMMARY, ("files", name), lambda _: "0" * 64)
        assert f"{name}: it is not the file that summary.json was made of: its hash is another" in (
            said(entry)
        )
        files = json.loads(text)["files"]
        del files[name]
        edit_json(entry / SUMMARY, ("files",), functools.partial(lambda new, _: new, files))
        assert any(line.startswith(f"{name}: ") for line in said(entry))
        (entry / SUMMARY).write_text(text)
    assert said(entry) == []
