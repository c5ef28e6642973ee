"""Pictures of one caption for several users, side by side with the baseline's, from one noise.

Users are those of the suite, by id, or somebody whom a folder of shots shows. The folder that is
made holds each picture, a contact sheet, and pictures.json with who, by what and from which seed.
Elsewhere: measuring such pictures (`evaluate`), the sheet (`reports.contact_sheet`).
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ppdbench.benchmarks.contexts import ENCODED, given
from ppdbench.benchmarks.make_generators import make_generators
from ppdbench.benchmarks.plan_personal import hears_users
from ppdbench.errors import PpdbenchError, UsageError, one_line
from ppdbench.protocols import (
    Events,
    GenerationRequest,
    Generator,
    LoadContext,
    People,
    Suite,
    UserCode,
    UserContext,
    UserEncoder,
    UserSplit,
)
from ppdbench.runs.atomic import write_atomic, write_json
from ppdbench.runs.device import resolve
from ppdbench.runs.fingerprint import fingerprint
from ppdbench.runs.seeds import noise_seed

if TYPE_CHECKING:
    from PIL.Image import Image

    from ppdbench.reports.contact_sheet import Column

SCHEMA_VERSION = 1
LIST = "pictures.json"
SHEET = "sheet.png"
MOST_SEED = 2**63 - 1
Shown = tuple[str, str, UserContext]
"""A name for files, a user id or a folder's name, and the shots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitter:
    """Somebody whom a picture is drawn for."""

    name: str
    """As files and the sheet call them."""
    known_as: str
    """A user id, or the folder's name."""
    shots: int
    context: UserContext
    """As the generator is given it."""
    profile: str | None


def side_by_side(
    model: str,
    caption: str,
    suite: Suite,
    *,
    users: Sequence[str] = (),
    folders: Sequence[Path] = (),
    out: Path | None = None,
    seed: int | None = None,
    samples: int = 1,
    device: str = "auto",
    events: Events,
) -> Path:
    """Draw a caption by the baseline and by a model for each user; returns the folder.

    Args:
        model: a generator's name, or package.module:attr.
        caption: what to draw.
        suite: whose users, sampling and baseline.
        users: ids of the suite's users, of any split.
        folders: each with somebody's shots, as `users.shots_folder` reads them. With neither, the
            model draws for nobody.
        out: the folder to write; by default one named by what is asked for, under `pictures/`.
        seed: of the first picture's noise, the next ones count up; by default the suite's own
            noise for that caption.
        samples: pictures a user.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        events: is told of progress.

    Raises:
        UsageError: an unknown name or user, a folder that cannot be used, a model that draws alike
            for every user, a number out of range.
        MissingPrerequisite: weights, pairs, space or permission are missing.
        PpdbenchError: a generator or encoder fails.
    """
    _check(caption, seed, samples)
    device = resolve(device)
    generators = make_generators([model], suite, device)
    name, generator = next(iter(generators.items()))
    if (users or folders) and not hears_users(generator.info):
        raise UsageError(
            f"{name} does not condition on people",
            fix="choose a model that does, or leave out --user and --shots",
        )
    sitters, encoder = _sitters(generator, suite, users, folders, device, events)
    seeds = [
        noise_seed(suite.version, caption, number) if seed is None else (seed + number) % 2**63
        for number in range(samples)
    ]
    about = _about(suite, caption, seeds, generators, encoder, sitters)
    folder = out or Path("pictures") / f"{_slug(name)}-{fingerprint(about)}"
    rows: list[tuple[str, Generator, Sitter | None]] = [
        ("base", generators[suite.baseline], None),
        *((sitter.name, generator, sitter) for sitter in sitters),
    ]
    if not sitters and name != suite.baseline:
        rows.append(("nobody", generator, None))
    events.stage("draw", len(rows) * samples)
    columns, pictures = [], []
    for label, who, sitter in rows:
        images = _drawn(who, caption, seeds, suite, sitter)
        events.advance(len(images))
        columns.append(_column(label, who, sitter, images))
        for number, image in enumerate(images):
            file = f"{label}-{number}.png"
            sha256 = _save(folder / file, image)
            pictures.append(
                {
                    "file": file,
                    "generator": who.info.name,
                    "user": sitter.known_as if sitter else None,
                    "shots": sitter.shots if sitter else None,
                    "profile": sitter.profile if sitter else None,
                    "sample": number,
                    "seed": seeds[number],
                    "sha256": sha256,
                }
            )
    from ppdbench.reports.contact_sheet import contact_sheet

    _save(folder / SHEET, contact_sheet(caption, columns))
    listed = {"schema_version": SCHEMA_VERSION, **about, "sheet": SHEET, "pictures": pictures}
    write_json(folder / LIST, listed)
    return folder


def _check(caption: str, seed: int | None, samples: int) -> None:
    if not caption.strip():
        raise UsageError("the caption is empty", fix='say what to draw: "a red circle"')
    if samples < 1:
        raise UsageError(f"samples is {samples}", fix="give a number from 1")
    if seed is not None and not 0 <= seed <= MOST_SEED:
        raise UsageError(f"the seed is {seed}", fix=f"give a number from 0 to {MOST_SEED}")


def _sitters(
    generator: Generator,
    suite: Suite,
    users: Sequence[str],
    folders: Sequence[Path],
    device: str,
    events: Events,
) -> tuple[list[Sitter], UserEncoder | None]:
    """Everybody who is drawn for, made ready, and the encoder that did it."""
    from ppdbench.users.contexts import user_context
    from ppdbench.users.shots_folder import read_shots

    shown: list[Shown] = []
    for user in dict.fromkeys(users):
        people = suite.people
        if people is None:
            raise UsageError(
                f"the suite {suite.name} has no users", fix="show somebody by --shots FOLDER"
            )
        shots = _shots_of(people, user)
        shown.append((f"user-{_slug(user)}", user, user_context(people, user, shots)))
    for folder in dict.fromkeys(folders):
        context = read_shots(folder)
        shown.append((f"shots-{_slug(folder.resolve().name)}", folder.resolve().name, context))
    info = generator.info
    encoder = None
    codes: list[UserCode | None] = [None] * len(shown)
    if shown and ENCODED & info.conditions_on:
        encoder = _encoder(generator, suite, device)
        codes = _codes(generator, encoder, shown, events)
    sitters = [
        Sitter(
            name=label,
            known_as=known,
            shots=len(context.shots),
            context=given(info, context.id, context.shots, encoder, code),
            profile=code.profile if code else None,
        )
        for label, (_, known, context), code in zip(_labels(shown), shown, codes, strict=True)
    ]
    return sitters, encoder


def _labels(shown: Sequence[Shown]) -> list[str]:
    """Names that no two have; files are called by them."""
    found: list[str] = []
    for name, _, _ in shown:
        others = (f"{name}-{number}" for number in itertools.count(1))
        found.append(next(each for each in itertools.chain([name], others) if each not in found))
    return found


def _codes(
    generator: Generator, encoder: UserEncoder, shown: Sequence[Shown], events: Events
) -> list[UserCode | None]:
    """What the encoder says of everybody.

    Raises:
        UsageError: it knows nothing of somebody.
    """
    from ppdbench.users.encode import embed

    codes = embed(encoder, [context for _, _, context in shown], events=events)
    for (_, known, _), code in zip(shown, codes, strict=True):
        if code is None or ("profile" in generator.info.conditions_on and code.profile is None):
            raise UsageError(
                f"{generator.info.name} cannot serve {known}: {encoder.info.name} knows nothing "
                "of them",
                fix="choose a user who gave training pairs, or a model that reads shots",
            )
    return codes


def _encoder(generator: Generator, suite: Suite, device: str) -> UserEncoder:
    from ppdbench.users.load import check_revision, make_encoder

    if generator.info.encoder is None:
        raise PpdbenchError(
            f"{generator.info.name} hears embeddings and names no encoder",
            fix="let its `info` name one",
        )
    encoder = make_encoder(generator.info.encoder, LoadContext(suite=suite, device=device))
    check_revision(generator.info, encoder)
    return encoder


def _shots_of(people: People, user: str) -> tuple[str, ...]:
    """The first set of shots of a user of any split.

    Raises:
        UsageError: nobody has that id; the fix says who there is.
    """
    known: dict[str, list[str]] = {}
    for split in get_args(UserSplit):
        for one in people.users(split):
            if one.id == user:
                return one.shots[0]
            known.setdefault(split, []).append(one.id)
    near = difflib.get_close_matches(user, [i for ids in known.values() for i in ids], n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    some = "; ".join(f"{split}: {', '.join(ids[:3])}, ..." for split, ids in known.items() if ids)
    raise UsageError(
        f"no user of the suite has the id {user!r}",
        fix=f"{hint}there are {some}; a run's generations.jsonl names all that it drew for",
    )


def _about(
    suite: Suite,
    caption: str,
    seeds: Sequence[int],
    generators: dict[str, Generator],
    encoder: UserEncoder | None,
    sitters: Sequence[Sitter],
) -> dict[str, Any]:
    """All that the pictures follow from."""
    return {
        "suite": suite.name,
        "suite_version": suite.version,
        "caption": caption,
        "seeds": list(seeds),
        "generators": {
            name: {"version": one.info.version, "revision": one.info.revision}
            for name, one in generators.items()
        },
        "encoder": {"name": encoder.info.name, "revision": encoder.info.revision}
        if encoder
        else None,
        "users": [{"name": one.known_as, "context": one.context.id} for one in sitters],
    }


def _drawn(
    generator: Generator, caption: str, seeds: Sequence[int], suite: Suite, sitter: Sitter | None
) -> list[Image]:
    requests = [
        GenerationRequest(
            id=f"{sitter.known_as if sitter else '-'}/{number}",
            caption=caption,
            user=sitter.context if sitter else None,
            seed=seed,
            width=suite.sampling.width,
            height=suite.sampling.height,
        )
        for number, seed in enumerate(seeds)
    ]
    try:
        images = [image.convert("RGB") for image in generator.generate(requests)]
        if len(images) != len(requests):
            raise ValueError(f"{len(images)} images for {len(requests)} requests")
    except PpdbenchError:
        raise
    except Exception as error:  # whatever a plug-in raises is named as its own
        raise PpdbenchError(
            f"{generator.info.name} cannot draw {caption!r}: "
            f"{type(error).__name__}: {one_line(error)}",
            fix="try another caption, or mend the generator; --debug shows the traceback",
        ) from error
    return images


def _column(
    label: str, generator: Generator, sitter: Sitter | None, images: Sequence[Image]
) -> Column:
    from ppdbench.reports.contact_sheet import Column

    if sitter is None:
        text = "" if label == "base" else "for nobody"
        return Column(title=generator.info.name, text=text, images=images)
    return Column(
        title=f"for {sitter.known_as}",
        text=sitter.profile or f"by {sitter.shots} shots",
        images=images,
    )


def _save(path: Path, image: Image) -> str:
    """Write a PNG and return the sha256 of the file."""
    from ppdbench.data.images import encode_png

    data = encode_png(image)
    write_atomic(path, data)
    return hashlib.sha256(data).hexdigest()


def _slug(name: str) -> str:
    """A name that is a file's too, and never empty or hidden."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:60] or "_"
