"""PartiPrompts' file: its text is kept to the letter, what does not fit is named by its line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ppdbench.data import parti_prompts
from ppdbench.data.parti_prompts import read_parti_prompts
from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.protocols import Caption

HEADER = "Prompt\tCategory\tChallenge\tNote\n"


def put(folder: Path, content: str | bytes) -> Path:
    path = folder / "prompts.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(*texts: str, end: str = "\n") -> str:
    rows = "".join(f"{text}\tArts\tBasic\t\n" for text in texts)
    return (HEADER + rows).replace("\n", end)


def test_captions_are_numbered_by_line_with_their_category(tmp_path: Path) -> None:
    text = HEADER + "bond\tAbstract\tBasic\ta note\na fox\tFood & Beverage\tSimple Detail\t\n"
    assert read_parti_prompts(put(tmp_path, text)).captions == (
        Caption(id="parti-0001", text="bond", category="Abstract"),
        Caption(id="parti-0002", text="a fox", category="Food & Beverage"),
    )


def test_ids_sort_as_the_lines_do(tmp_path: Path) -> None:
    texts = [f"caption {number}" for number in range(1632)]
    ids = [caption.id for caption in read_parti_prompts(put(tmp_path, lines(*texts))).captions]
    assert ids == sorted(set(ids)) and len(ids) == 1632


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_text_is_kept_to_the_letter(tmp_path: Path, end: str) -> None:
    texts = (
        '"unclosed',
        'the words "a ""b"" c"',
        " spaces at both ends  ",
        "café, 日本語 and \U0001f98a",
        "no line ends here: \u2028 \x85 \x0b \x1c",
        "<b>{{ markup }}</b> {% raw %} \\n",
    )
    path = put(tmp_path, lines(*texts, end=end))
    assert tuple(caption.text for caption in read_parti_prompts(path).captions) == texts


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_last_line_may_lack_its_end(tmp_path: Path, end: str) -> None:
    path = put(tmp_path, lines("a", "b", end=end).removesuffix(end))
    assert [caption.text for caption in read_parti_prompts(path).captions] == ["a", "b"]


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    path = put(tmp_path, "Category\tPrompt\r\nArts\ta fox\r\n")
    (caption,) = read_parti_prompts(path).captions
    assert (caption.text, caption.category) == ("a fox", "Arts")


def test_only_the_published_bytes_are_the_published_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = lines("a", "b").encode()
    found = read_parti_prompts(put(tmp_path, data))
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert found.published is False
    monkeypatch.setattr(parti_prompts, "PUBLISHED_SHA256", found.sha256)
    assert read_parti_prompts(put(tmp_path, data)).published is True
    again = read_parti_prompts(put(tmp_path, data.removesuffix(b"\n")))
    assert again.captions == found.captions and again.published is False


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "line 1: the columns are "),
        ("caption\tkind\na\tb\n", "line 1: the columns are caption, kind"),
        ("Prompt,Category\na,b\n", "line 1: the columns are Prompt,Category"),
        ("prompt\tcategory\na\tb\n", "line 1: the columns are prompt, category"),
        (HEADER, "line 1: no caption follows"),
        (HEADER.removesuffix("\n"), "line 1: no caption follows"),
        (lines("a") + "b\tArts\n", "line 3: 2 fields, 4 are expected"),
        (lines("a", "b\tb"), "line 3: 5 fields, 4 are expected"),
        (lines("a") + "\n" + "b\tArts\t\t\n", "line 3: 1 fields, 4 are expected"),
        (lines("a") + "\n", "line 3: 1 fields, 4 are expected"),
        (lines("a", " ", "c"), "line 3: its caption or category is empty"),
        (HEADER + "a\t\tBasic\t\n", "line 2: its caption or category is empty"),
        (lines("a").encode() + b"caf\xe9\tArts\t\t\n", "line 3: it is not UTF-8"),
        (b"\xff" + lines("a").encode(), "line 1: it is not UTF-8"),
        (lines("a").encode("utf-16"), "line 1: it is not UTF-8"),
    ],
)
def test_a_line_that_does_not_fit_is_named(
    tmp_path: Path, content: str | bytes, cause: str
) -> None:
    path = put(tmp_path, content)
    with pytest.raises(PpdbenchError) as caught:
        read_parti_prompts(path)
    assert caught.value.cause == f"{path}, {cause}"
    assert (caught.value.exit_code, "PartiPrompts.tsv" in caught.value.fix) == (1, True)


def test_a_foreign_file_is_not_poured_onto_the_screen(tmp_path: Path) -> None:
    with pytest.raises(PpdbenchError) as caught:
        read_parti_prompts(put(tmp_path, 10_000 * "a\t"))
    assert len(caught.value.cause) < 300 + len(str(tmp_path))


def test_a_file_that_is_not_there_says_which_to_get(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match=r"caption file .*gone\.tsv is not") as caught:
        read_parti_prompts(tmp_path / "gone.tsv")
    assert "google-research/parti" in caught.value.fix


def test_a_folder_is_no_caption_file(tmp_path: Path) -> None:
    with pytest.raises(PpdbenchError, match="cannot be read") as caught:
        read_parti_prompts(tmp_path)
    assert caught.value.exit_code == 1
