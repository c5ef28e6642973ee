"""The trial of a generator: two batches of three, then what only a picture more can tell.

Elsewhere: the requests (`requests`), what it makes of a user (`hearing`), its making (`start`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ppdbench import plugins
from ppdbench.check import bounds, hearing
from ppdbench.check.around import SAME_ELSEWHERE, in_both_processes
from ppdbench.check.bench import Bench
from ppdbench.check.drawing import Drawing
from ppdbench.check.generator_info import look_at_info
from ppdbench.check.listed import try_listed
from ppdbench.check.pictures import difference, is_noise
from ppdbench.check.random_state import seed_global_state, with_state_seen
from ppdbench.check.requests import Requests, Users, make_requests, make_users
from ppdbench.check.start import started
from ppdbench.errors import PpdbenchError
from ppdbench.generators.make import make_named
from ppdbench.generators.null import Null
from ppdbench.protocols import GenerationRequest, Generator

if TYPE_CHECKING:
    from PIL.Image import Image

_TOLD_BY_REPEATS = ("batch", "order", "seed", "caption", "user", "undeclared", "ids", "process")
"""What a generator that never draws the same twice cannot be asked."""
FIRST_PICTURE = "first.png"


def try_generator(bench: Bench) -> None:
    """Try a generator; all that is found goes into the ledger.

    Raises:
        UsageError: no generator has that name, or its argument makes no sense.
        MissingPrerequisite: its weights are not at hand.
    """
    generator = _made(bench)
    if generator is None or not look_at_info(bench, generator.info):
        return
    if listed := getattr(generator, "listed", None):
        try_listed(bench, generator, listed)
        return
    bench.ledger.stage("while its encoder described two users")
    try:
        users = make_users(generator.info, bench.plain, bench.job.device)
    except PpdbenchError as error:
        bench.ledger.wrong("claims", error.cause, error.fix)
        return
    if users.problem:
        bench.ledger.note("claims", f"{users.problem}; made-up embeddings stand in")
    requests = make_requests(bench.plain, users.first)
    drawing = Drawing(bench, generator, users)
    in_both_processes(
        bench,
        generator.info.revision,
        first=lambda: _try(drawing, requests, users),
        second=lambda: _again(drawing, _first_batch(requests, users)),
    )
    if not bench.job.again:
        bench.ledger.fact("pictures_drawn", drawing.drawn)


def _made(bench: Bench) -> Generator | None:
    name = bench.job.name
    plain = name.partition(":")[0]
    entry = plain if plain in plugins.names("generators") else name
    made = started(
        bench, "generators", entry, lambda: make_named([name], bench.suite, bench.job.device)
    )
    return next(iter(made.values())) if made else None


def _try(drawing: Drawing, requests: Requests, users: Users) -> None:
    """All questions, cheapest first; each goes on as far as the one before lets it."""
    ledger = drawing.bench.ledger
    hears = users.first is not None
    asked = _first_batch(requests, users)
    ledger.stage("while it drew its first pictures")
    begin = time.monotonic()
    seed_global_state(1)
    pictures, error = drawing.of(asked)
    seconds = round(time.monotonic() - begin, 3)
    ledger.fact("first_seconds", seconds)
    if error is not None:
        hearing.explain_failure(drawing, asked, error)
        return
    if not drawing.sound(pictures, len(asked)):
        return
    ledger.ok("draws")
    if seconds > bounds.FIRST_SECONDS:
        ledger.note(
            "start",
            f"its first three pictures take {seconds:.0f} s, weights and all; "
            f"more than {bounds.FIRST_SECONDS:.0f} s is long",
            "nothing, if that is what it takes: eval goes on where it was stopped",
        )
    pictures[0].save(drawing.bench.kept / FIRST_PICTURE)
    if not _repeats(drawing, asked, pictures):
        return
    _look_at_noise(drawing, requests, pictures)
    _other_batch(drawing, requests, asked, pictures, hears=hears)
    if hears:
        hearing.look_at_users(drawing, requests, users, pictures)
        hearing.look_at_nobody(drawing, requests)
    else:
        ledger.untold("it claims nothing of a user", "user")
        ledger.ok("nobody")
    hearing.look_at_undeclared(drawing, requests, users, pictures[0])
    hearing.look_at_ids(drawing, requests, pictures[0])


def _first_batch(requests: Requests, users: Users) -> list[GenerationRequest]:
    claim = next(iter(users.others), None)
    third = requests.of(users.others[claim][1][0]) if claim else requests.other_caption
    return [requests.first, requests.other_noise, third]


def _repeats(drawing: Drawing, asked: Sequence[GenerationRequest], before: Sequence[Image]) -> bool:
    """Whether the same requests give the same pictures; else why not, as far as it can be told."""
    bench, ledger = drawing.bench, drawing.bench.ledger
    ledger.stage("while it drew the same requests again")
    (pictures, error) = with_state_seen(bench, 2, lambda: drawing.of(asked))
    if error is not None or not drawing.sound(pictures, len(asked)):
        if error is not None:
            hearing.take_down_failure(drawing, "repeat", error)
        return False
    moved = [difference(old, new) for old, new in zip(before, pictures, strict=True)]
    drawing.floor = max(moved)
    drawing.by_noise = difference(before[0], before[1])
    bench.keep("by_noise", drawing.by_noise)
    if all(is_noise(each, drawing.by_noise) for each in moved):
        if drawing.floor:
            ledger.note("repeat", f"but for float noise: {drawing.floor:.2g} levels of 255, mean")
        else:
            ledger.ok("repeat")
        return True
    ledger.untold("it never draws the same twice", *_TOLD_BY_REPEATS)
    (bench.kept / FIRST_PICTURE).unlink()
    if not drawing.info.seeded:
        ledger.note("repeat", "draws otherwise each time, and says so: seeded=False")
        return False
    seed_global_state(2)
    third, _ = drawing.of(asked)
    depends = len(third) == len(pictures) and all(
        difference(old, new) == 0 for old, new in zip(pictures, third, strict=True)
    )
    why = "draws by global random state" if depends else "draws a request otherwise each time"
    ledger.wrong(
        "random" if depends else "repeat",
        f"{why}: {max(moved):.3g} levels of 255, mean",
        "let all noise of a picture come from request.seed alone: numpy.random.default_rng(seed), "
        "torch.Generator().manual_seed(seed)",
    )
    return False


def _look_at_noise(drawing: Drawing, requests: Requests, pictures: Sequence[Image]) -> None:
    """Whether another seed is another picture; for one caption that may be chance, so two."""
    ledger, seeded = drawing.bench.ledger, drawing.info.seeded
    ledger.stage("while it drew from another seed")
    if not drawing.same(pictures[0], pictures[1]):
        ledger.ok("seed")
        return
    user = requests.first.user
    two, error = drawing.of([requests.of(user, 0, 1), requests.of(user, 1, 1)])
    if error is None and len(two) == 2 and not drawing.same(*two):
        ledger.ok("seed")
    elif not seeded:
        ledger.note("seed", "takes no seed, and says so: seeded=False")
    elif isinstance(drawing.generator, Null):
        ledger.note("seed", "ignores the seed, as this control is to")
    else:
        ledger.wrong(
            "seed",
            "ignores the seed: two seeds give one picture",
            "start each picture's noise from request.seed; or, if a system cannot be told its "
            "noise, say so by info.seeded=False",
        )


def _other_batch(
    drawing: Drawing,
    requests: Requests,
    asked: Sequence[GenerationRequest],
    before: Sequence[Image],
    *,
    hears: bool,
) -> None:
    """The first request last, behind others, in a batch that has the second caption in it."""
    ledger = drawing.bench.ledger
    ledger.stage("while it drew another batch")
    third = requests.other_caption if hears else asked[2]
    pictures, error = drawing.of([third, asked[1], asked[0]])
    if error is not None or not drawing.sound(pictures, 3):
        if error is not None:
            hearing.take_down_failure(drawing, "batch", error)
        return
    known = {1: before[1], 2: before[0]} | ({} if hears else {0: before[2]})
    stays = all(_is_one(drawing, pictures[at], old) for at, old in known.items())
    elsewhere = all(any(_is_one(drawing, new, old) for new in pictures) for old in known.values())
    if stays:
        ledger.ok("batch", "order")
    elif elsewhere:
        ledger.wrong(
            "order",
            "yields pictures in another order than the requests'",
            "yield one picture a request, in order",
        )
    else:
        ledger.wrong(
            "batch",
            f"draws a request otherwise in another batch: "
            f"{difference(pictures[2], before[0]):.3g} levels of 255, mean",
            "make one random generator a picture, from its own request.seed, not one a batch",
        )
    _look_at_caption(drawing, pictures[0], pictures[2])


def _is_one(drawing: Drawing, one: Image, other: Image) -> bool:
    return is_noise(difference(one, other), drawing.by_noise)


def _look_at_caption(drawing: Drawing, one: Image, other: Image) -> None:
    if not drawing.same(one, other):
        drawing.bench.ledger.ok("caption")
    elif not drawing.info.seeded or isinstance(drawing.generator, Null):
        drawing.bench.ledger.note(
            "caption", "draws one picture whatever the caption: a control, not a model"
        )
    else:
        drawing.bench.ledger.wrong(
            "caption", "ignores the caption: two captions give one picture", "draw request.caption"
        )


def _again(drawing: Drawing, asked: Sequence[GenerationRequest]) -> None:
    """In the second process: the first batch once more."""
    from PIL import Image as PilImage

    bench = drawing.bench
    kept = bench.kept / FIRST_PICTURE
    if not kept.is_file():
        return
    bench.ledger.stage("while it drew in a second process")
    pictures, error = drawing.of(asked)
    if error is not None:
        hearing.take_down_failure(drawing, "process", error)
        return
    if not drawing.sound(pictures, len(asked)):
        return
    moved = difference(PilImage.open(kept), pictures[0])
    before = bench.kept_value("by_noise") or 0.0
    if is_noise(moved, before):
        bench.ledger.ok("process")
    elif drawing.info.seeded:
        bench.ledger.wrong(
            "process",
            f"draws a request otherwise in another process: {moved:.3g} levels of 255, mean",
            f"{SAME_ELSEWHERE}, the order of a set",
        )
