"""Encoders by name: what may follow it, and what makes none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toy_encoder import ToyEncoder

from ppdbench.errors import PpdbenchError, UsageError
from ppdbench.protocols import EncoderInfo, LoadContext, UserCode, UserContext
from ppdbench.suites.shapes.suite import ShapesSuite
from ppdbench.users.load import make_encoder

CONTEXT = LoadContext(suite=ShapesSuite(), device="cpu")


def test_encoders_are_made_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no encoder is called 'llava'") as caught:
        make_encoder("llava", CONTEXT)
    assert "llava-onevision" in caught.value.fix
    made: Any = {
        "good": ToyEncoder(),
        "half": object(),
        "odd": ToyEncoder(),
    }
    made["odd"].info = EncoderInfo(
        name="odd", revision="1", dim=3, uses="shots", settings={"path": Path()}
    )
    monkeypatch.setattr("ppdbench.plugins.load", lambda _, name: lambda _: made[name])
    assert make_encoder("good", CONTEXT) is made["good"]
    with pytest.raises(PpdbenchError, match="gives no encoder"):
        make_encoder("half", CONTEXT)
    with pytest.raises(PpdbenchError, match="is not JSON"):
        make_encoder("odd", CONTEXT)
    with pytest.raises(PpdbenchError, match="encoder 'none' cannot be made: KeyError"):
        make_encoder("none", CONTEXT)


def test_options_follow_an_encoders_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def factory(
        _context: LoadContext, *, revision: str = "1", seconds: float | None = None
    ) -> ToyEncoder:
        return ToyEncoder(revision, seconds or 0.0)

    factories = {"toy": factory, "bare": lambda _: ToyEncoder()}
    monkeypatch.setattr("ppdbench.plugins.load", lambda _, name: factories[name])
    assert make_encoder("toy", CONTEXT).info == ToyEncoder().info
    made = make_encoder("toy:revision=7, seconds=0.5", CONTEXT)
    assert made.info == replace(ToyEncoder("7").info, name="toy:revision=7, seconds=0.5")
    assert isinstance(made, ToyEncoder) and made._seconds == 0.5
    wrong = {
        "toy:revison=7": ("no option of encoder 'toy' is called 'revison'", "mean revision"),
        "toy:seconds=long": ("seconds cannot be 'long'", "another value"),
        "toy:": ("'' is no option with a value", "options: revision, seconds"),
        "toy:revision": ("'revision' is no option with a value", "toy:option=value"),
        "toy:revision=1,revision=2": ("'revision=2' is given twice", "options: revision"),
        "bare:layer=1": ("encoder 'bare' has no options", "write bare alone"),
    }
    for name, (cause, fix) in wrong.items():
        with pytest.raises(UsageError, match=re.escape(cause)) as caught:
            make_encoder(name, CONTEXT)
        assert fix in caught.value.fix
    for odd in ("Unheard", ToyEncoder):  # no such name; no type of a value
        factory.__annotations__["seconds"] = odd
        with pytest.raises(PpdbenchError, match="options of encoder 'toy' cannot be read"):
            make_encoder("toy:seconds=1", CONTEXT)


def test_an_encoder_has_the_name_it_was_made_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever needs it knows it by that: a generator's `info.encoder`, an adapter's header."""
    monkeypatch.setattr("ppdbench.plugins.load", lambda *_: lambda _: ToyEncoder())
    assert make_encoder("alias", CONTEXT).info == replace(ToyEncoder().info, name="alias")


def test_an_encoder_that_cannot_be_given_its_name_is_broken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Frozen:
        @property
        def info(self) -> EncoderInfo:
            return ToyEncoder().info

        def encode(self, _users: Sequence[UserContext]) -> list[UserCode | None]:
            return []

    class Bare(Frozen):
        info: Any = "toy, revision 1"

    monkeypatch.setattr("ppdbench.plugins.load", lambda *_: lambda _: Frozen())
    assert make_encoder("toy", CONTEXT).info.name == "toy"
    for kind, name in ((Frozen, "alias"), (Bare, "toy")):
        monkeypatch.setattr("ppdbench.plugins.load", lambda *_, kind=kind: lambda _: kind())
        with pytest.raises(PpdbenchError, match=f"encoder '{name}' cannot be given that name"):
            make_encoder(name, CONTEXT)
