"""Pictures of one caption for several users, side by side with the baseline's, from one noise.

Users are those of the suite, by id, or somebody whom a folder of shots shows. The folder that is
made holds each picture, a contact sheet, and pictures.json with who, by what and from which seed.
Elsewhere: who they are (`sitters`), the folder (`pictures_folder`), measuring such pictures
(`evaluate`), the sheet (`reports.contact_sheet`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench.benchmarks.personal.plan import hears_users
from ppdbench.benchmarks.pictures_folder import Picture, PicturesFolder
from ppdbench.benchmarks.sitters import Sitter, encoder_for, given_to, sitters, slug
from ppdbench.errors import PpdbenchError, UsageError, one_line
from ppdbench.generators.make import make_generators
from ppdbench.protocols import (
    Events,
    GenerationRequest,
    Generator,
    Suite,
    UserContext,
    UserEncoder,
)
from ppdbench.runs.device import resolve
from ppdbench.runs.fingerprint import fingerprint
from ppdbench.runs.seeds import noise_seed

if TYPE_CHECKING:
    from PIL.Image import Image

    from ppdbench.reports.contact_sheet import Column

MOST_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetRow:
    """The pictures that one generator draws for one user, or for nobody."""

    name: str
    generator: Generator
    seeds: Sequence[int]
    sitter: Sitter | None = None
    context: UserContext | None = None
    """What the generator is told of the sitter."""
    profile: str | None = None
    """What its encoder wrote of them."""

    @property
    def files(self) -> list[str]:
        """One a seed."""
        return [f"{self.name}-{number}.png" for number in range(len(self.seeds))]


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

    The same call again goes on where the last one stopped, and draws nothing in a finished folder.

    Args:
        model: a generator's name, or package.module:attr.
        caption: what to draw.
        suite: whose users, sampling and baseline.
        users: ids of the suite's users, of any split; those of the test splits are shown by the
            shots that `eval` draws for them by.
        folders: each with somebody's shots, as `users.shots_folder` reads them. With neither, the
            model draws for nobody.
        out: the folder to write; by default one named by what is asked for, under `pictures/`.
        seed: of the first picture's noise, the next ones count up. By default the noise in which
            `eval` draws this text for the first of `users` who has a caption of it, for all; where
            none has, a noise of the text's own.
        samples: pictures a user.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        events: is told of progress.

    Raises:
        UsageError: an unknown name or user, a folder that cannot be used, more shots than the
            encoder takes, a model that draws alike for every user, a number out of range.
        FingerprintMismatch: `out` holds pictures of another request.
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
    found = sitters(suite, users, folders)
    encoder = encoder_for(generator, found, suite, device)
    # Before the folder is made: somebody may not be served. Embeddings are kept for the next call.
    told = given_to(generator, encoder, found, events)
    caption_id = _caption_id(caption, found)
    seeds = [
        noise_seed(suite.version, caption_id or caption, number)
        if seed is None
        else (seed + number) % 2**63
        for number in range(samples)
    ]
    rows = [
        SheetRow(name="base", generator=generators[suite.baseline], seeds=seeds),
        *(
            SheetRow(
                name=one.name,
                generator=generator,
                seeds=seeds,
                sitter=one,
                context=context,
                profile=profile,
            )
            for one, (context, profile) in zip(found, told, strict=True)
        ),
    ]
    if not found and name != suite.baseline:
        rows.append(SheetRow(name="nobody", generator=generator, seeds=seeds))
    about = _about(suite, caption, seeds, generators, encoder, found)
    path = out or Path("pictures") / f"{slug(name)}-{fingerprint(about)}"
    with closing(PicturesFolder(path, about)) as folder:
        _fill(folder, rows, caption, suite, events)
    return path


def _fill(
    folder: PicturesFolder,
    rows: Sequence[SheetRow],
    caption: str,
    suite: Suite,
    events: Events,
) -> None:
    """Draw the rows that the folder lacks, and make the sheet of all."""
    from ppdbench.reports.contact_sheet import contact_sheet

    kept = {row.name: entries for row in rows if (entries := folder.kept(row.files))}
    todo = [row for row in rows if row.name not in kept]
    if not todo and folder.complete:
        events.note(f"{folder.path} is complete: nothing to draw")
        return
    events.stage("draw", sum(len(row.seeds) for row in todo))
    for row in todo:
        images = _drawn(row, caption, suite)
        entries = [
            {
                "file": file,
                "generator": row.generator.info.name,
                "user": row.sitter.known_as if row.sitter else None,
                "shots": len(row.sitter.shown.shots) if row.sitter else None,
                "profile": row.profile,
                "sample": number,
                "seed": row.seeds[number],
            }
            for number, file in enumerate(row.files)
        ]
        kept[row.name] = folder.keep(list(zip(entries, images, strict=True)))
        events.advance(len(images))
    columns = [_column(row, kept[row.name], folder) for row in rows]
    order = [file for row in rows for file in row.files]
    folder.finish(contact_sheet(caption, columns), order)


def _check(caption: str, seed: int | None, samples: int) -> None:
    if not caption.strip():
        raise UsageError("the caption is empty", fix='say what to draw: "a red circle"')
    if samples < 1:
        raise UsageError(f"samples is {samples}", fix="give a number from 1")
    if seed is not None and not 0 <= seed <= MOST_SEED:
        raise UsageError(f"the seed is {seed}", fix=f"give a number from 0 to {MOST_SEED}")


def _caption_id(caption: str, found: Sequence[Sitter]) -> str | None:
    """The id of the first sitter's caption that has this text: one noise for the whole sheet."""
    own = (each.id for one in found for each in one.captions if each.text == caption)
    return next(own, None)


def _about(
    suite: Suite,
    caption: str,
    seeds: Sequence[int],
    generators: dict[str, Generator],
    encoder: UserEncoder | None,
    found: Sequence[Sitter],
) -> dict[str, Any]:
    """All that the pictures follow from."""
    own = suite.people if any(one.split for one in found) else None
    return {
        "suite": suite.name,
        "suite_version": suite.version,
        "people": own.digest if own else None,
        "caption": caption,
        "seeds": list(seeds),
        "generators": {
            name: {"version": one.info.version, "revision": one.info.revision}
            for name, one in generators.items()
        },
        "encoder": {"name": encoder.info.name, "revision": encoder.info.revision}
        if encoder
        else None,
        "users": [
            {"name": one.known_as, "split": one.split, "context": one.shown.id} for one in found
        ],
    }


def _drawn(row: SheetRow, caption: str, suite: Suite) -> list[Image]:
    generator = row.generator
    requests = [
        GenerationRequest(
            id=f"{row.sitter.known_as if row.sitter else '-'}/{number}",
            caption=caption,
            user=row.context,
            seed=seed,
            width=suite.sampling.width,
            height=suite.sampling.height,
        )
        for number, seed in enumerate(row.seeds)
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


def _column(row: SheetRow, pictures: Sequence[Picture], folder: PicturesFolder) -> Column:
    from ppdbench.reports.contact_sheet import Column

    images = [folder.image(picture["file"]) for picture in pictures]
    if row.sitter is None:
        text = "" if row.name == "base" else "for nobody"
        return Column(title=row.generator.info.name, text=text, images=images)
    return Column(
        title=f"for {row.sitter.known_as}",
        text=pictures[0]["profile"] or f"by {len(row.sitter.shown.shots)} shots",
        images=images,
    )
