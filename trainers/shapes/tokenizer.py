"""A byte-level BPE tokenizer in which every word of the given captions is one token.

One merges list serves `open_clip.SimpleTokenizer` (the rewards) and `transformers.CLIPTokenizer`
(the base's text encoder) with the same ids. Other text still tokenises, down to bytes.

Layout of ids, as CLIP's: 256 bytes, 256 bytes that end a word, one id a merge, start, end.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

START, END = "<|startoftext|>", "<|endoftext|>"
HEADER = "#version: 0.2"

Merge = tuple[str, str]


def write_tokenizer(captions: Iterable[str], folder: Path, *, context_length: int = 20) -> None:
    """Write vocab.json, merges.txt, merges.txt.gz and tokenizer_config.json into `folder`.

    `transformers.CLIPTokenizer.from_pretrained(folder)` loads it offline;
    `open_clip.SimpleTokenizer(bpe_path=folder / "merges.txt.gz")` gives the same ids up to the end
    token (after it open_clip pads with 0, CLIPTokenizer with the end token). The same captions give
    the same bytes, whatever their order.

    Raises:
        ValueError: a caption has more than `context_length` tokens.
    """
    captions = list(captions)
    longest = max((len(split_words(caption)) for caption in captions), default=0) + 2
    if longest > context_length:
        raise ValueError(f"a caption has {longest} tokens, more than {context_length}")
    merges = build_merges(captions)
    # No newline at the end: SimpleTokenizer would read an empty merge from it.
    text = "\n".join([HEADER, *(" ".join(merge) for merge in merges)])
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "bos_token": START,
        "eos_token": END,
        "pad_token": END,
        "unk_token": END,
        "do_lower_case": True,
        "model_max_length": context_length,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "merges.txt").write_text(text, encoding="utf-8")
    (folder / "merges.txt.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
    (folder / "vocab.json").write_text(json.dumps(vocabulary(merges), ensure_ascii=False, indent=0))
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def build_merges(captions: Iterable[str]) -> list[Merge]:
    """Return merges that make one token of every word; earlier merges are applied first.

    A word is run through the merges found so far, then what is left of it is joined. As BPE always
    applies the earliest merge it can, later merges never break a word that is already one token.
    """
    words = sorted({word for caption in captions for word in split_words(caption)})
    merges: list[Merge] = []
    tokens: set[str] = set()
    for word in words:
        while len(symbols := _bpe(word, merges)) > 1:
            pairs = list(pairwise(symbols))
            # A join that is new keeps one id a token; two merges may not spell the same token.
            merge = next(((a, b) for a, b in pairs if a + b not in tokens), None)
            if merge is None:
                raise ValueError(f"{word!r} cannot become one token of its own")
            merges.append(merge)
            tokens.add("".join(merge))
    return merges


def vocabulary(merges: Sequence[Merge]) -> dict[str, int]:
    """Token -> id, in CLIP's order; its size is 512 + merges + 2."""
    from open_clip.tokenizer import bytes_to_unicode

    characters = list(bytes_to_unicode().values())
    tokens = [*characters, *(c + "</w>" for c in characters), *map("".join, merges), START, END]
    return {token: i for i, token in enumerate(tokens)}


def split_words(caption: str) -> list[str]:
    """Return the words of a caption as CLIP's tokenizers cut them, spelt in byte letters."""
    from open_clip.tokenizer import bytes_to_unicode

    letters = bytes_to_unicode()
    # CLIP's pattern: contractions, runs of letters, single digits, runs of anything else.
    found = re.findall(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\w\s]|_)+", caption.lower())
    return ["".join(letters[byte] for byte in word.encode()) for word in found]


def _bpe(word: str, merges: Sequence[Merge]) -> list[str]:
    """Symbols of a word, each merge applied left to right wherever it fits, earliest first."""
    symbols = [*word[:-1], word[-1] + "</w>"]
    ranks = {merge: rank for rank, merge in enumerate(merges)}
    while len(symbols) > 1:
        pairs = set(pairwise(symbols))
        best = min(pairs, key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        joined: list[str] = []
        for symbol in symbols:
            if joined and (joined[-1], symbol) == best:
                joined[-1] += symbol
            else:
                joined.append(symbol)
        symbols = joined
    return symbols
