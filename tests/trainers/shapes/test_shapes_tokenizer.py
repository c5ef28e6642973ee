"""One merges list, two tokenizers, the same ids."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from open_clip import SimpleTokenizer
from transformers import CLIPTokenizer

from trainers.shapes.tokenizer import build_merges, vocabulary, write_tokenizer

SIZES = ("small", "medium-sized", "large")
COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "heart", "diamond")
GROUNDS = ("white", "black", "grey", "teal", "beige", "navy")
CAPTIONS = [
    f"a {size} {colour} {shape} on a {ground} background"
    for size, colour, shape, ground in itertools.product(SIZES, COLOURS, SHAPES, GROUNDS)
] + [
    "a small red circle to the left of a large blue square, above it nothing",
    "an orange ring below a teal heart's edge",
    "",
]
STRANGE = [
    "A Small RED circle",
    "photo of a zebra riding 12 bicycles!!!",
    "naïve café — 日本語 🎨",
    "starring crossing redder backgrounds",
    "don't   stop\t(now)",
    "smallred circlea",
    "a " * 40,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(CAPTIONS, path)
    return path


def ids(folder: Path, texts: list[str]) -> tuple[list[list[int]], list[list[int]]]:
    """Ids by open_clip and by transformers, each up to and with the first end token."""
    ours = SimpleTokenizer(bpe_path=str(folder / "merges.txt.gz"), context_length=20)
    theirs = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    end = ours.eot_token_id
    assert theirs.eos_token_id == end == len(theirs) - 1 == ours.vocab_size - 1
    hugging = theirs(texts, truncation=True, padding="max_length")["input_ids"]
    assert all(len(row) == 20 for row in hugging)

    def cut(row: list[int]) -> list[int]:
        return row[: row.index(end) + 1]

    return [cut(row) for row in ours(texts).tolist()], [cut(row) for row in hugging]


def test_both_tokenizers_give_the_same_ids(folder: Path) -> None:
    ours, theirs = ids(folder, CAPTIONS + STRANGE)
    assert ours == theirs


def test_every_word_is_one_token(folder: Path) -> None:
    ours, _ = ids(folder, CAPTIONS)
    first = ours[0]
    assert len(first) == 8 + 2
    middle = next(row for row, c in zip(ours, CAPTIONS, strict=True) if "medium-sized" in c)
    assert len(middle) == 10 + 2  # medium, -, sized


def test_vocabulary_has_no_gaps_and_no_doubles(folder: Path) -> None:
    merges = build_merges(CAPTIONS)
    vocab = json.loads((folder / "vocab.json").read_text())
    assert vocab == vocabulary(merges)
    assert sorted(vocab.values()) == list(range(512 + len(merges) + 2))


def test_words_that_share_pieces_stay_whole() -> None:
    words = ["ring", "string", "bring", "in", "inn", "ringing", "aaa", "aaaa", "aaaaa", "ab", "bab"]
    merges = build_merges(words)
    from trainers.shapes.tokenizer import _bpe

    for word in words:
        assert _bpe(word, merges) == [word + "</w>"]


def test_order_of_captions_does_not_matter(tmp_path: Path, folder: Path) -> None:
    write_tokenizer(reversed(CAPTIONS), tmp_path)
    for file in folder.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()


def test_too_long_captions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has 22 tokens"):
        write_tokenizer(["a " * 20], tmp_path)
