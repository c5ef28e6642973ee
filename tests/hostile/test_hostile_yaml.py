"""YAML of strangers: plain data, entries' words, information on pictures, papers, training configs.

Elsewhere: how many and within which bounds (`cases`), entry.yaml with the files beside it
(`test_hostile_entries`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cases import TEXTS, Draw, damage, edit, every_number, hold, profiles, require_said, takes

from ppdbench.data.plain_yaml import DEEPEST, MOST_NODES, parse_yaml, write_yaml
from ppdbench.errors import UsageError
from ppdbench.generators.images_info import read_info
from ppdbench.leaderboard.site.reported import paper
from ppdbench.leaderboard.words import ASKED, read_words
from trainers.adapters.card_results import with_run
from trainers.config import to_yaml
from trainers.config_file import CONFIGS, load_config

BOMB = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%b: &%b [%b]\n" % (after.encode(), after.encode(), b", ".join([b"*" + before.encode()] * 9))
    for before, after in zip("abcdefghijklmno", "bcdefghijklmnop", strict=True)
)
EXAMPLES = [
    BOMB,
    b"a: &a [*a]\n",
    b"[" * 100_000,
    b"{a: " * 100_000,
    b"- " * 60_000,
    b"a: !!python/object/apply:os.system [touch pwned]\n",
    b"!!python/object/new:os._exit [3]\n",
    b"a: !!binary eA==\n",
    b"a: 2026-99-99\n",
    b"a: 1:2:3:4\n",
    b"a: 0x" + b"f" * 5000,
    b"a: " + b"9" * 5000,
    b"a: .nan\nb: .inf\n",
    b"? {a: 1}\n: 2\n",
    b"? [a]\n: 2\n",
    b"<<: [a]\n",
    b"1: 2\nnull: 3\n",
    b"\xef\xbb\xbfa: 1\n",
    b"\xff\xfea\0",
    b"a: \x00\n",
    b"",
    b"text",
    b"--- a\n--- b\n",
]
METHODS = ("ppd", "diffusion-dpo")
INFO = {
    "name": "closed",
    "version": "2",
    "licence": "proprietary",
    "conditions_on": ["shots"],
    "seeded": True,
    "who": "A lab",
    "links": [{"title": "page", "url": "https://example.org"}],
}
PAPER = {
    "schema_version": 1,
    "title": "A paper",
    "authors": "A. Author",
    "id": "arXiv:1",
    "url": "https://example.org",
    "setting": "a town",
    "notes": ["one"],
    "figures": [{"what": "win rate", "value": "0.8", "sample": "200", "place": "Table 1"}],
}


def documents(*valid: Any) -> Callable[[Draw], bytes]:
    """YAML documents: damaged in their bytes, or whole and with other values."""
    whole = [yaml.safe_dump(each, sort_keys=False).encode() for each in valid]

    def drawn(draw: Draw) -> bytes:
        at = draw.randrange(len(valid))
        if draw.random() < 0.5:
            return damage(whole[at], draw, draw.randrange(5))
        try:
            return write_yaml(edit(valid[at], draw, draw.randrange(3))).encode()
        except (ValueError, yaml.YAMLError):  # a lone surrogate, a number that cannot be printed
            return whole[at]

    return drawn


def nodes(value: Any) -> int:
    """Values in a document, keys included."""
    if isinstance(value, dict):
        return 1 + sum(1 + nodes(each) for each in value.values())
    return 1 + sum(map(nodes, value)) if isinstance(value, list) else 1


def depth(value: Any) -> int:
    if isinstance(value, dict | list):
        each = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth, each), default=0)
    return 0


def plain(value: Any) -> None:
    """Nothing but what JSON knows, and numbers that are not finite, which schemas refuse."""
    if isinstance(value, dict):
        for each in value.values():
            plain(each)
    elif isinstance(value, list):
        for each in value:
            plain(each)
    else:
        assert value is None or isinstance(value, str | int | float | bool), repr(value)


@profiles
def test_plain_data(number: int) -> None:
    def body(data: bytes) -> bool:
        try:
            value = parse_yaml(data)
        except ValueError as error:
            assert str(error)
            return False
        plain(value)
        assert depth(value) <= DEEPEST and nodes(value) <= MOST_NODES
        again = parse_yaml(write_yaml(value).encode())
        assert again == value or any(map(math.isnan, every_number(value)))
        return True

    hold(body, documents(INFO, PAPER, [INFO, None, 1.5, "x"]), number=number, examples=EXAMPLES)


@profiles
def test_what_is_written_is_read_back(number: int) -> None:
    """Whatever text there is that YAML can hold at all."""

    def body(value: Any) -> bool:
        try:
            text = write_yaml(value).encode()
        except (UnicodeEncodeError, yaml.YAMLError):
            return False  # a lone surrogate
        try:
            assert parse_yaml(text) == value
        except ValueError as error:
            assert "\r" in str(value) or "carriage" not in str(error)
            return False
        return True

    def drawn(draw: Draw) -> Any:
        return {"words": draw.choice(TEXTS), "more": [draw.choice(TEXTS), draw.random()]}

    hold(body, drawn, number=number)


@profiles
def test_information_on_pictures(tmp_path: Path, number: int) -> None:
    def body(data: bytes) -> bool:
        (tmp_path / "info.yaml").write_bytes(data)
        return takes(lambda: read_info(tmp_path))

    hold(body, documents(INFO, {}), number=number, folder=tmp_path, examples=EXAMPLES)


@profiles
def test_words_about_entries(tmp_path: Path, number: int) -> None:
    path = tmp_path / "words.yaml"
    words = {"title": "PPD", "authors": ["A"], "links": INFO["links"], "model": "ppd"}
    valid = {key: words[key] for key in words if key in ASKED}

    def body(data: bytes) -> bool:
        path.write_bytes(data)
        return takes(lambda: read_words(path), lambda said: plain(list(said.values())))

    hold(body, documents(valid), number=number, folder=tmp_path, examples=EXAMPLES)


@profiles
def test_papers_on_a_board(tmp_path: Path, number: int) -> None:
    path = tmp_path / "paper.yaml"

    def body(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            found = paper(path)
        except (OSError, ValueError, TypeError, RecursionError) as error:  # as `papers` takes them
            assert not isinstance(error, RecursionError)
            return False
        assert found.figures and all(
            isinstance(each, str) for row in found.figures for each in row.values()
        )
        assert (
            found.link is None or found.link.url.lower().startswith("https://") or found.link.reason
        )
        return True

    hold(body, documents(PAPER), number=number, folder=tmp_path, examples=EXAMPLES)


@profiles
def test_training_configurations(tmp_path: Path, number: int) -> None:
    path = tmp_path / "c.yaml"
    shipped = [
        yaml.safe_load((CONFIGS / "shapes" / f"{each}.yaml").read_text()) for each in METHODS
    ]

    def body(data: bytes) -> bool:
        path.write_bytes(data)

        def check(config: Any) -> None:
            assert all(map(math.isfinite, every_number(yaml.safe_load(to_yaml(config)))))
            if len(data) % 10 == 0:  # some of them: a round trip takes longer than the reading
                path.write_text(to_yaml(config))
                assert load_config(path) == config

        return takes(lambda: load_config(path), check)

    hold(body, documents(*shipped), number=number, folder=tmp_path, examples=EXAMPLES)


@profiles
def test_overrides_of_configurations(number: int) -> None:
    path = next(CONFIGS.glob("shapes/ppd.yaml"))
    keys = ("steps", "optimizer.lr", "users.encoder", "users", "optimizer.betas", "a.b.c", "base")
    values = (*TEXTS, "1e-4", "1", "[0.9, 0.99]", "*a", "&a [*a]", ".nan", ".inf", "[" * 30_000)

    def body(text: str) -> bool:
        return takes(lambda: load_config(path, [text]))

    def drawn(draw: Draw) -> str:
        return draw.choice((draw.choice(TEXTS), draw.choice(keys) + "=" + draw.choice(values)))

    hold(body, drawn, number=number, examples=["steps=" + "[" * 100_000, "steps=&a [*a]"])


@profiles
def test_model_cards(tmp_path: Path, number: int) -> None:
    """A card that somebody edited takes the figures of a run, or is refused."""
    summary = (
        b'{"model": "ppd", "ppdbench": "1", "suite": "town", "suite_version": "1", "suite_digest":'
        b' "d", "withheld": null, "generators": {"ppd": {"revision": "r"}}, "benchmarks": '
        b'{"rewards": {"base": {"clip": {"win_rate": 0.5, "ci_low": 0.4, "ci_high": 0.6, "n": 9}}}}'
        b"}"
    )
    (tmp_path / "summary.json").write_bytes(summary)
    head = {
        "licence": "mit",
        "model-index": [
            {"name": "x", "results": [{"dataset": {"type": "t", "split": "test"}, "metrics": []}]}
        ],
    }
    cards = documents(head)

    def drawn(draw: Draw) -> str:
        text = f"---\n{cards(draw).decode('utf-8', 'replace')}---\n# A model\n"
        return text if draw.random() < 0.9 else text[draw.randrange(len(text)) :]

    def body(card: str) -> bool:
        def check(made: str) -> None:
            about = yaml.safe_load(made.removeprefix("---\n").partition("\n---\n")[0])
            assert about["model-index"][0]["results"][-1]["dataset"]["type"] == "ppdbench/town"

        return takes(lambda: with_run(card, tmp_path, "r"), check)

    examples = [f"---\n{each.decode('utf-8', 'replace')}---\ntext" for each in EXAMPLES]
    hold(body, drawn, number=number, examples=examples)


@pytest.mark.parametrize("data", EXAMPLES, ids=lambda data: str(data[:16]))
def test_nothing_runs_where_yaml_names_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "c.yaml"
    path.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        load_config(path)
    require_said(refused.value)
    assert [each.name for each in tmp_path.iterdir()] == ["c.yaml"]
