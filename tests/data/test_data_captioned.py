"""Images with captions as people keep them: what is taken, what it is called, what is refused."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ppdbench.data.captioned import LONGEST_CAPTION, MANIFESTS, CaptionedImage, read_captioned
from ppdbench.errors import PpdbenchError, UsageError

Rows = Sequence[Mapping[str, object]]

AWKWARD = [
    '<script>alert("x")</script> & &amp; <b>bold',
    "{{ 7 * 7 }} {% raw %} ${HOME} %s {0} \\n",
    "  spaces kept at both ends  ",
    "no line ends here: \u2028 \x85 \x0b \x1c",
    "日本語, naïve, \U0001f98a and a tab-free 'quote'",
    '"',
]


def put(path: Path, content: str | bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def captions(found: Sequence[CaptionedImage]) -> dict[str, str | None]:
    assert all(image.problem is None for image in found)
    return {image.name: image.caption for image in found}


def as_jsonl(rows: Rows) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def as_table(rows: Rows, delimiter: str) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


WRITERS: dict[str, Callable[[Rows], str]] = {
    "jsonl": as_jsonl,
    "csv": lambda rows: as_table(rows, ","),
    "tsv": lambda rows: as_table(rows, "\t"),
}


def test_a_folder_takes_each_images_own_text_file(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "below/deep/c.WEBP", "below/d.e.tif"):
        put(tmp_path / name)
    put(tmp_path / "b.txt", "a bear\n")
    put(tmp_path / "below/deep/c.txt", "a crow")
    put(tmp_path / "below/d.e.txt", "a deer")
    put(tmp_path / "notes.txt", "no image has this name")
    put(tmp_path / "drawing.svg")
    (tmp_path / "folder.png").mkdir()
    found = read_captioned(tmp_path)
    assert captions(found) == {
        "a.jpg": None,
        "b.png": "a bear",
        "below/d.e.tif": "a deer",
        "below/deep/c.WEBP": "a crow",
    }
    assert [image.path for image in found] == [tmp_path / image.name for image in found]


def test_the_order_is_the_names_and_hidden_files_stay_out(tmp_path: Path) -> None:
    folder = tmp_path / ".data"  # where the folder itself lies hides nothing
    for name in ("c.png", "a.png", "b/2.png", "b/10.png", "._a.png", ".cache/x.png", "b/.y/z.png"):
        put(folder / name)
    assert [image.name for image in read_captioned(folder)] == [
        "a.png",
        "b/10.png",
        "b/2.png",
        "c.png",
    ]


def test_a_single_image_has_the_caption_beside_it(tmp_path: Path) -> None:
    image = put(tmp_path / "fox.JPEG")
    assert read_captioned(image) == [CaptionedImage(path=image, name="fox.JPEG", caption=None)]
    put(tmp_path / "fox.txt", "a fox")
    put(tmp_path / "metadata.jsonl", as_jsonl([{"file_name": "fox.JPEG", "text": "other"}]))
    assert captions(read_captioned(image)) == {"fox.JPEG": "a fox"}


@pytest.mark.parametrize(
    ("content", "caption"),
    [
        (b"\xef\xbb\xbf two  words \r\n", " two  words "),
        (b"one\ntwo\n\n", "one\ntwo"),
        (b"", None),
        (b" \n", None),
        *[(text.encode(), text) for text in AWKWARD],
    ],
)
def test_a_text_file_is_the_caption_but_for_bom_and_line_ends(
    tmp_path: Path, content: bytes, caption: str | None
) -> None:
    put(tmp_path / "a.txt", content)
    assert captions(read_captioned(put(tmp_path / "a.png"))) == {"a.png": caption}


def test_a_text_file_that_is_no_utf8_spoils_its_own_caption_only(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        put(tmp_path / name)
    put(tmp_path / "a.txt", "caf\u00e9".encode("latin-1"))
    put(tmp_path / "b.txt", "café")
    bad, good = read_captioned(tmp_path)
    assert bad.caption is None
    assert bad.problem == f"the caption in {tmp_path / 'a.txt'} is not UTF-8 (byte 3)"
    assert (good.caption, good.problem) == ("café", None)


def test_a_huge_text_file_is_no_caption_and_is_not_read(tmp_path: Path) -> None:
    image, text = put(tmp_path / "a.png"), tmp_path / "a.txt"
    put(text, "é" * (LONGEST_CAPTION // 2))
    assert captions(read_captioned(image)) == {"a.png": "é" * (LONGEST_CAPTION // 2)}
    for content in ("a" * (LONGEST_CAPTION + 1), "a" + "é" * LONGEST_CAPTION):
        put(text, content)
        (found,) = read_captioned(image)
        assert (found.caption, found.problem) == (None, f"{text} is too long for a caption")
    os.truncate(text, 2**32)  # sparse: takes no space
    tracemalloc.start()
    (found,) = read_captioned(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.problem == f"{text} is too long for a caption"
    assert peak < 10 * LONGEST_CAPTION


def test_a_text_file_that_cannot_be_read_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, text = put(tmp_path / "a.png"), put(tmp_path / "a.txt", "a fox")

    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refused)
    (found,) = read_captioned(image)
    assert found.caption is None
    assert found.problem == f"{text} cannot be read: Permission denied"


def test_a_folders_manifest_goes_before_text_files_in_a_fixed_order(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / "a.txt", "beside")
    for name in MANIFESTS:
        rows = [{"file_name": "a.png", "text": name}]
        put(tmp_path / name, WRITERS[name.partition(".")[2]](rows))
    for name in MANIFESTS:
        assert captions(read_captioned(tmp_path)) == {"a.png": name}
        (tmp_path / name).unlink()
    assert captions(read_captioned(tmp_path)) == {"a.png": "beside"}
    assert MANIFESTS[:2] == ("metadata.jsonl", "metadata.csv")


@pytest.mark.parametrize("kind", WRITERS)
def test_columns_go_by_several_names_and_paths_are_the_manifests(tmp_path: Path, kind: str) -> None:
    for file in ("file_name", "image", "path", "file"):
        for text in ("caption", "text", "prompt"):
            rows = [
                {"id": 7, file: "sub/x.png", text: "a fox"},
                {"id": 8, file: "not/there.png", text: ""},
            ]
            manifest = put(tmp_path / "in" / f"{file}-{text}.{kind}", WRITERS[kind](rows))
            found = read_captioned(manifest)
            assert captions(found) == {"sub/x.png": "a fox", "not/there.png": None}
            assert found[0].path == tmp_path / "in" / "sub" / "x.png"


@pytest.mark.parametrize("kind", WRITERS)
def test_of_several_columns_the_first_of_the_list_counts(tmp_path: Path, kind: str) -> None:
    row = {"path": "no.png", "prompt": "no", "text": "no", "caption": "yes", "file_name": "y.png"}
    manifest = put(tmp_path / f"m.{kind}", WRITERS[kind]([row]))
    assert captions(read_captioned(manifest)) == {"y.png": "yes"}


def test_lines_of_json_may_differ_in_their_columns(tmp_path: Path) -> None:
    rows: Rows = [
        {"file": "a.png"},
        {"file": "b.png", "prompt": "b"},
        {"file": "c.png", "caption": None},
        {"file": "d.png", "text": "d"},
    ]
    manifest = put(tmp_path / "m.jsonl", as_jsonl(rows))
    expected = {"a.png": None, "b.png": "b", "c.png": None, "d.png": "d"}
    assert captions(read_captioned(manifest)) == expected


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("kind", WRITERS)
def test_a_byte_order_mark_and_either_line_end_are_no_part_of_it(
    tmp_path: Path, kind: str, end: str
) -> None:
    rows = [{"image": "a.png", "text": "a"}, {"image": "b.png", "text": "b"}]
    text = WRITERS[kind](rows).replace("\r\n", "\n").replace("\n", end)
    manifest = put(tmp_path / f"m.{kind.upper()}", b"\xef\xbb\xbf" + text.encode())
    assert captions(read_captioned(manifest)) == {"a.png": "a", "b.png": "b"}


def test_csv_is_quoted(tmp_path: Path) -> None:
    manifest = put(
        tmp_path / "m.csv",
        'file_name,caption\na.png,"one, two"\nb.png,"say ""hi"""\nc.png,"one\ntwo"\n\nd.png,d\n',
    )
    assert captions(read_captioned(manifest)) == {
        "a.png": "one, two",
        "b.png": 'say "hi"',
        "c.png": "one\ntwo",
        "d.png": "d",
    }


def test_quotes_in_tsv_are_themselves(tmp_path: Path) -> None:
    manifest = put(
        tmp_path / "m.tsv",
        'file\tprompt\na.png\t"unclosed\nb.png\t"all"\nc.png\tsay ""hi"", he said\nd.png\t"\n',
    )
    assert captions(read_captioned(manifest)) == {
        "a.png": '"unclosed',
        "b.png": '"all"',
        "c.png": 'say ""hi"", he said',
        "d.png": '"',
    }


@pytest.mark.parametrize("kind", WRITERS)
def test_bytes_that_are_no_text_spoil_their_own_line_only(tmp_path: Path, kind: str) -> None:
    rows = [{"file": f"{name}.png", "text": f"caf_ {name}"} for name in "abc"]
    data = WRITERS[kind](rows).encode().replace(b"caf_ b", b"caf\xe9 b")
    first, spoilt, last = read_captioned(put(tmp_path / f"m.{kind}", data))
    assert (first.caption, last.caption) == ("caf_ a", "caf_ c")
    assert (first.problem, last.problem) == (None, None)
    line = 2 if kind == "jsonl" else 3
    assert (spoilt.name, spoilt.caption) == ("b.png", None)
    assert spoilt.problem == f"the caption in m.{kind}, line {line}, is not UTF-8"


def test_half_a_surrogate_pair_is_no_text(tmp_path: Path) -> None:
    manifest = put(tmp_path / "m.jsonl", '{"file": "a.png", "text": "\\ud83e"}')
    (found,) = read_captioned(manifest)
    assert found.caption is None
    assert found.problem is not None and "line 1" in found.problem


@pytest.mark.parametrize("value", [5, 1.5, True, ["a fox"], {"en": "a fox"}], ids=str)
def test_a_caption_that_is_no_text_is_that_lines_problem(tmp_path: Path, value: object) -> None:
    rows: Rows = [{"file": "a.png", "text": "a"}, {"file": "b.png", "text": value}]
    good, bad = read_captioned(put(tmp_path / "m.jsonl", as_jsonl(rows)))
    assert (good.caption, good.problem) == ("a", None)
    assert bad.caption is None
    assert bad.problem == "the caption in m.jsonl, line 2, is no text"


def test_digits_in_a_table_are_text(tmp_path: Path) -> None:
    manifest = put(tmp_path / "m.csv", "file,text\na.png,5\n")
    assert captions(read_captioned(manifest)) == {"a.png": "5"}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.jsonl", '{"file": "a.png"}\n\n{"file": "b.png", "caption": null}\n'),
        ("m.csv", "file,rating\na.png,5\nb.png,6\n"),
        ("m.csv", "file,caption\na.png\nb.png\n"),
        ("m.tsv", "file\na.png\nb.png"),
    ],
)
def test_no_caption_is_no_problem(tmp_path: Path, name: str, content: str) -> None:
    manifest = put(tmp_path / name, content)
    assert captions(read_captioned(manifest)) == {"a.png": None, "b.png": None}


def test_a_caption_with_an_unquoted_comma_is_not_cut_off(tmp_path: Path) -> None:
    manifest = put(tmp_path / "m.csv", "file,text\na.png,four\nb.png,a red, round circle\n")
    with pytest.raises(UsageError, match="line 3: more fields than the header"):
        read_captioned(manifest)


@pytest.mark.parametrize("escaped", [True, False])
def test_captions_come_through_json_exactly(tmp_path: Path, escaped: bool) -> None:
    wanted = [*AWKWARD, "one\ntwo\r\n\tthree", "back\\slash \x00"]
    lines = [
        json.dumps({"file_name": f"{n}.png", "caption": text}, ensure_ascii=escaped)
        for n, text in enumerate(wanted)
    ]
    found = read_captioned(put(tmp_path / "metadata.jsonl", "\n".join(lines)))
    assert list(captions(found).values()) == wanted


def test_captions_come_through_tables_exactly(tmp_path: Path) -> None:
    wanted = [*AWKWARD, "one\ntwo"]
    rows = [{"file": f"{n}.png", "prompt": text} for n, text in enumerate(wanted)]
    found = read_captioned(put(tmp_path / "m.csv", as_table(rows, ",")))
    assert list(captions(found).values()) == wanted
    text = "file\tprompt\n" + "".join(f"{n}.png\t{text}\n" for n, text in enumerate(AWKWARD))
    found = read_captioned(put(tmp_path / "m.tsv", text))
    assert list(captions(found).values()) == AWKWARD


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("manifest.jsonl", '{"url": "a.png"}', "line 1: no image file is named"),
        (
            "manifest.jsonl",
            '{"file": "a.png"}\n\n{"caption": "b"}',
            "line 3: no image file is named",
        ),
        ("manifest.jsonl", '{"file": "a.png"}\n{"file": 5}', "line 2: no image file is named"),
        ("manifest.jsonl", '{"file": null}', "line 1: no image file is named"),
        ("manifest.jsonl", '{"file": "a\\u0000.png"}', "line 1: no image file is named"),
        ("manifest.jsonl", '{"file": "a.png"}\n{"file": "b.png"', "line 2, is no JSON: "),
        ("manifest.jsonl", '{"file": "a.png"}\n' + 100_000 * "[", "line 2, is no JSON: "),
        ("manifest.jsonl", '{"file": "a.png", "n": ' + 5000 * "9" + "}", "line 1, is no JSON: "),
        ("manifest.jsonl", '\n["a.png", "a"]', "line 2, is no object"),
        ("manifest.jsonl", "null", "line 1, is no object"),
        ("manifest.csv", "name,caption\na.png,a\n", "line 2: no image file is named"),
        ("manifest.csv", "file,caption\na.png,a\n,b\n", "line 3: no image file is named"),
        ("manifest.tsv", "file,caption\na.png,a\n", "line 2: no image file is named"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(
    tmp_path: Path, name: str, content: str, cause: str
) -> None:
    manifest = put(tmp_path / name, content)
    for source in (manifest, tmp_path):  # as a file, and as the folder that has it
        with pytest.raises(UsageError) as caught:
            read_captioned(source)
        assert caught.value.cause.startswith(f"{manifest}, {cause}")
        assert "\n" not in caught.value.cause and len(caught.value.cause) < 600


def test_a_field_that_is_too_long_names_its_line(tmp_path: Path) -> None:
    long = put(tmp_path / "m.csv", f"file,caption\na.png,a\nb.png,{200_000 * 'b'}\n")
    with pytest.raises(UsageError, match=r"m\.csv, line 3: field larger"):
        read_captioned(long)


@pytest.mark.parametrize(
    ("name", "content"),
    [("m.jsonl", ""), ("m.jsonl", "\n \n"), ("m.csv", ""), ("m.csv", "file,caption\n")],
)
def test_an_empty_manifest_holds_no_images(tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(UsageError, match=r"m\.\w+ holds no images"):
        read_captioned(put(tmp_path / name, content))


def test_what_is_no_source_of_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no images") as caught:
        read_captioned(tmp_path)
    assert ".webp" in caught.value.fix
    put(tmp_path / "a.txt", "a caption without its image")
    put(tmp_path / ".hidden.png")
    with pytest.raises(UsageError, match="holds no images"):
        read_captioned(tmp_path)
    for name in ("a.txt", "pairs.parquet", "images"):
        put(tmp_path / name)
        with pytest.raises(UsageError, match="neither an image, a folder of images nor a manifest"):
            read_captioned(tmp_path / name)
    for name in ("gone.png", "gone.csv", "gone"):
        with pytest.raises(UsageError, match=f"{name}: no such file or folder"):
            read_captioned(tmp_path / name)


def test_a_manifest_that_cannot_be_read_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = put(tmp_path / "m.csv", "file\na.png\n")

    def refused(_: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(PpdbenchError, match=r"m\.csv cannot be read: Permission denied") as caught:
        read_captioned(manifest)
    assert caught.value.exit_code == 1
