"""Whom pictures are drawn for: users of the suite by id, or somebody whom a folder of shots shows.

Elsewhere: the drawing (`side_by_side`), a folder of shots (`users.shots_folder`), users of a
benchmark's items (`contexts`).
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ppdbench.errors import PpdbenchError, UsageError
from ppdbench.protocols import (
    Caption,
    EvaluatedUser,
    Events,
    Generator,
    LoadContext,
    People,
    Suite,
    UserCode,
    UserContext,
    UserEncoder,
    UserSplit,
)
from ppdbench.runs.file_names import file_name
from ppdbench.users.given import ENCODED, given

MEASURED: tuple[UserSplit, ...] = ("seen", "unseen")
"""Where an id is looked up first: by these shots `eval` draws for its user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitter:
    """Somebody whom a picture is drawn for."""

    name: str
    """As files call them; no two have one name."""
    known_as: str
    """A user id, or the folder's name."""
    split: UserSplit | None
    """Whose shots of a user of several splits; None of a folder."""
    shown: UserContext
    """The shots."""
    captions: tuple[Caption, ...] = ()
    """Those that the suite draws for the user."""


def sitters(suite: Suite, users: Sequence[str], folders: Sequence[Path]) -> list[Sitter]:
    """Everybody who is asked for, once, users first.

    Args:
        suite: whose users.
        users: ids, of any split; who is in several is shown as the test splits show them.
        folders: each with somebody's shots.

    Raises:
        UsageError: an unknown user, or a folder that cannot be used.
        MissingPrerequisite: a user's pairs are not at hand.
    """
    from ppdbench.users.contexts import user_context
    from ppdbench.users.shots_folder import read_shots

    found: list[Sitter] = []
    names: set[str] = set()
    for user in dict.fromkeys(users):
        people = suite.people
        if people is None:
            raise UsageError(
                f"the suite {suite.name} has no users", fix="show somebody by --shots FOLDER"
            )
        split, one = _user(people, user)
        found.append(
            Sitter(
                name=_free(f"user-{slug(user)}", names),
                known_as=user,
                split=split,
                shown=user_context(people, user, one.shots[0]),
                captions=one.captions,
            )
        )
    for folder in dict.fromkeys(folders):
        known = folder.resolve().name
        name = _free(f"shots-{slug(known)}", names)
        found.append(Sitter(name=name, known_as=known, split=None, shown=read_shots(folder)))
    return found


def encoder_for(
    generator: Generator, found: Sequence[Sitter], suite: Suite, device: str
) -> UserEncoder | None:
    """The encoder that these sitters need for this generator, where they need one.

    Raises:
        UsageError: there is no such encoder, or somebody has more shots than it takes.
        MissingPrerequisite: its weights are not at hand.
        PpdbenchError: the generator hears embeddings and names no encoder, or was trained on
            another one.
    """
    from ppdbench.users.load import check_revision, make_encoder

    info = generator.info
    if not found or not ENCODED & info.conditions_on:
        return None
    if info.encoder is None:
        raise PpdbenchError(
            f"{info.name} hears embeddings and names no encoder", fix="let its `info` name one"
        )
    encoder = make_encoder(info.encoder, LoadContext(suite=suite, device=device))
    check_revision(info, encoder)
    most = encoder.info.max_shots
    for one in found:
        if most is not None and encoder.info.uses == "shots" and len(one.shown.shots) > most:
            raise UsageError(
                f"{one.known_as} is shown by {len(one.shown.shots)} shots, and "
                f"{encoder.info.name} takes {most} at most",
                fix=f"keep the {most} that show the taste best",
            )
    return encoder


def given_to(
    generator: Generator,
    encoder: UserEncoder | None,
    found: Sequence[Sitter],
    events: Events,
) -> list[tuple[UserContext, str | None]]:
    """What the generator is told of each sitter, and what the encoder wrote of them.

    Raises:
        UsageError: the encoder has nothing to say of somebody; the cause says why.
        MissingPrerequisite: its weights are not at hand.
    """
    codes: Sequence[UserCode | None] = [None] * len(found)
    if encoder is not None:
        codes = _codes(generator, encoder, found, events)
    return [
        (
            given(generator.info, one.shown.id, one.shown.shots, encoder, code),
            code.profile if code else None,
        )
        for one, code in zip(found, codes, strict=True)
    ]


def slug(name: str) -> str:
    """A name that is a file's too, and leaves room in it for more."""
    return file_name(name)[:60]


def _free(name: str, taken: set[str]) -> str:
    """The name, numbered where it is taken; it is taken from then on."""
    numbered = (f"{name}-{number}" for number in itertools.count(1))
    free = next(each for each in itertools.chain([name], numbered) if each not in taken)
    taken.add(free)
    return free


def _codes(
    generator: Generator, encoder: UserEncoder, found: Sequence[Sitter], events: Events
) -> list[UserCode | None]:
    """What the encoder says of everybody, without gaps."""
    from ppdbench.users.encode import embed

    reasons: dict[int, str] = {}
    codes = embed(encoder, [one.shown for one in found], events=events, reasons=reasons)
    name, knows = encoder.info.name, encoder.info.uses
    wordless = "profile" in generator.info.conditions_on
    for row, (one, code) in enumerate(zip(found, codes, strict=True)):
        if code is not None and (code.profile is not None or not wordless):
            continue
        if code is not None:
            why, fix = "it wrote no profile", "choose a model that hears embeddings"
        elif knows == "id":
            why = reasons[row]
            fix = "choose a user who gave training pairs, or a model that reads shots"
        else:
            why = reasons[row]
            fix = "show them by fewer shots or others, or choose a model of another encoder"
        raise UsageError(
            f"{generator.info.name} cannot serve {one.known_as} by {name}: {why}", fix=fix
        )
    return codes


def _user(people: People, user: str) -> tuple[UserSplit, EvaluatedUser]:
    """A user by id, and of which split.

    Raises:
        UsageError: nobody has that id; the fix says who there is.
    """
    known: dict[str, list[str]] = {}
    for split in dict.fromkeys((*MEASURED, *get_args(UserSplit))):
        for one in people.users(split):
            if one.id == user:
                return split, one
            known.setdefault(split, []).append(one.id)
    near = difflib.get_close_matches(user, {i: None for ids in known.values() for i in ids}, n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    some = "; ".join(f"{split}: {', '.join(ids[:3])}, ..." for split, ids in known.items() if ids)
    raise UsageError(
        f"no user of the suite has the id {user!r}",
        fix=f"{hint}there are {some}; a run's generations.jsonl names all that it drew for",
    )
