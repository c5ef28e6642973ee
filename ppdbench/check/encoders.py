"""The trial of a user encoder: two users of opposite choices, and one of whom nothing is known.

Elsewhere: who they are (`stand_in_users`), the encoder's making (`users.load`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppdbench.check import bounds
from ppdbench.check.around import SAME_ELSEWHERE, in_both_processes
from ppdbench.check.bench import Bench
from ppdbench.check.failures import asked
from ppdbench.check.random_state import with_state_seen
from ppdbench.check.stand_in_users import ids, shots
from ppdbench.check.start import look_at_revision, started
from ppdbench.protocols import EncoderInfo, LoadContext, UserContext, UserEncoder
from ppdbench.users.load import make_encoder

_USES = ("id", "shots", "id or shots")
_AS_THE_GUIDE = "say it as docs/plug-in.md has it"


def try_encoder(bench: Bench) -> None:
    """Try an encoder; all that is found goes into the ledger.

    Raises:
        UsageError: there is none of that name, or it has no such option.
        MissingPrerequisite: its weights are not at hand.
    """
    context = LoadContext(suite=bench.suite, device=bench.job.device)
    entry = bench.job.name.partition(":")[0]
    encoder = started(bench, "encoders", entry, lambda: make_encoder(bench.job.name, context))
    if encoder is None or not _look_at_info(bench, encoder.info):
        return
    in_both_processes(
        bench,
        encoder.info.revision,
        first=lambda: _try(bench, encoder),
        second=lambda: _compare_process(bench, encoder),
    )


def _look_at_info(bench: Bench, info: object) -> bool:
    if not isinstance(info, EncoderInfo):
        wrong = f"its info is {type(info).__name__}, not a protocols.EncoderInfo"
        bench.ledger.wrong("info", wrong, _AS_THE_GUIDE)
        return False
    wrong = ""
    if info.uses not in _USES:
        wrong = f"its info.uses is {info.uses!r}, not one of {', '.join(_USES)}"
    elif not isinstance(info.dim, int) or info.dim < 1:
        wrong = f"its info.dim is {info.dim!r}, no length"
    if wrong:
        bench.ledger.wrong("info", wrong, _AS_THE_GUIDE)
        return False
    bench.ledger.ok("info")
    bench.ledger.fact("info", asdict(info))
    look_at_revision(bench, info.revision, info.settings)
    return True


def _users(bench: Bench, info: EncoderInfo) -> list[UserContext]:
    """Two users, and one of whom nothing is known; an encoder of ids is shown ids alone."""
    names, chosen = ids(bench.plain, info.name), shots(bench.plain)
    if info.uses == "id":
        return [*(UserContext(id=name) for name in names), UserContext(id="nobody")]
    strangers = (f"{names[0]}00", f"{names[1]}01")  # no training users: their shots are read
    known = [UserContext(id=n, shots=s) for n, s in zip(strangers, chosen, strict=True)]
    return [*known, UserContext(id="nobody")]


def _try(bench: Bench, encoder: UserEncoder) -> None:
    ledger, users = bench.ledger, _users(bench, encoder.info)
    ledger.stage("while it encoded its first users")
    codes = _encoded(bench, encoder, users, "encodes")
    if codes is None:
        return
    found = _embeddings(bench, encoder.info, codes)
    if found is None:
        return
    ledger.ok("encodes")
    one, other = found
    apart = float(np.linalg.norm(one - other))
    bench.keep("embedding", one.tolist())
    bench.keep("apart", apart)
    ledger.stage("while it encoded the same users again")
    again = with_state_seen(bench, 2, lambda: _encoded(bench, encoder, users, "repeat"))
    if again is None:
        return
    moved = _moved(again[0], one)
    if not _is_noise(moved, one, apart):
        ledger.wrong(
            "repeat",
            f"encodes a user otherwise when asked twice: it moves by {moved:.3g}, "
            f"of {apart:.3g} between two users",
            "let an embedding follow from the shots alone",
        )
        bench.forget("embedding")
        ledger.untold("it never encodes the same twice", "batch", "user", "ids", "process")
        return
    ledger.ok("repeat")
    _look_at_user(bench, apart, one)
    _look_at_batch(bench, encoder, users, one, apart)


def _encoded(
    bench: Bench, encoder: UserEncoder, users: Sequence[UserContext], check: str
) -> list[Any] | None:
    """A code a user, or None where there is no such list, which is taken down."""
    given: Any = asked(bench, check, lambda: encoder.encode(users))
    if given is None:
        return None
    if not isinstance(given, list | tuple) or len(given) != len(users):
        many = len(given) if isinstance(given, list | tuple) else type(given).__name__
        bench.ledger.wrong(
            "count",
            f"gives {many}{' codes' if isinstance(many, int) else ', no list,'} "
            f"for {len(users)} user{'s' * (len(users) != 1)}",
            "give a list: a UserCode a user, in order, and None for whom it cannot serve",
        )
        return None
    bench.ledger.ok("count")
    return list(given)


def _embeddings(
    bench: Bench, info: EncoderInfo, codes: Sequence[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The embeddings of the two users, where there are such; what is wrong is taken down."""
    ledger = bench.ledger
    if codes[2] is None:
        ledger.ok("nobody")
    else:
        ledger.note("nobody", "gives an embedding of a user of whom nothing is known", "")
    if codes[0] is None or codes[1] is None:
        known = "its training users" if info.uses == "id" else "users of four choices each"
        ledger.wrong("encodes", f"says nothing of {known}", "give a UserCode where there is one")
        return None
    for code in codes[:2]:
        vector = _vector(code)
        if vector.shape != (info.dim,) or not np.isfinite(vector).all():
            what = "not finite" if vector.shape == (info.dim,) else f"of shape {vector.shape}"
            ledger.wrong(
                "embedding",
                f"gives an embedding {what}, and info.dim is {info.dim}",
                f"give float32 of shape ({info.dim},), all finite",
            )
            return None
    ledger.ok("embedding")
    return _vector(codes[0]), _vector(codes[1])


def _vector(code: Any) -> NDArray[np.float64]:
    return np.asarray(getattr(code, "embedding", np.nan), np.float64)


def _moved(code: Any, before: NDArray[np.float64]) -> float:
    """How far a code's embedding lies from an earlier one; inf where there is none of its shape."""
    vector = _vector(code)
    if vector.shape != before.shape or not np.isfinite(vector).all():
        return float("inf")
    return float(np.linalg.norm(vector - before))


def _is_noise(moved: float, vector: NDArray[np.float64], apart: float) -> bool:
    return moved <= max(bounds.NOISE_SHARE * apart, bounds.RELATIVE * float(np.linalg.norm(vector)))


def _look_at_user(bench: Bench, apart: float, one: NDArray[np.float64]) -> None:
    if apart > bounds.RELATIVE * float(np.linalg.norm(one)):
        bench.ledger.ok("user")
    else:
        bench.ledger.wrong(
            "user",
            "gives two users of opposite choices the same embedding",
            "read which picture of a shot is preferred",
        )


def _look_at_batch(
    bench: Bench,
    encoder: UserEncoder,
    users: Sequence[UserContext],
    before: NDArray[np.float64],
    apart: float,
) -> None:
    """The first user alone, under another id: where the id must not count."""
    ledger, by_id = bench.ledger, encoder.info.uses == "id"
    ledger.stage("while it encoded a user alone")
    first = users[0] if by_id else replace(users[0], id=f"{users[0].id}2")
    codes = _encoded(bench, encoder, [first], "batch")
    if codes is None:
        return
    if _is_noise(_moved(codes[0], before), before, apart):
        ledger.ok("batch", "ids")
        return
    alone = _encoded(bench, encoder, [users[0]], "batch")
    if alone is None:
        return
    if _is_noise(_moved(alone[0], before), before, apart):
        ledger.wrong(
            "ids",
            "encodes the same shots otherwise under another id, and says that it reads shots",
            'read the shots alone, or say uses="id"',
        )
        ledger.ok("batch")
    else:
        ledger.wrong(
            "batch",
            "encodes a user otherwise alone than beside others",
            "let nothing depend on who else is in the batch",
        )


def _compare_process(bench: Bench, encoder: UserEncoder) -> None:
    kept = bench.kept_value("embedding")
    if kept is None:
        return
    codes = _encoded(bench, encoder, _users(bench, encoder.info), "process")
    if codes is None:
        return
    before = np.asarray(kept, np.float64)
    if _is_noise(_moved(codes[0], before), before, bench.kept_value("apart")):
        bench.ledger.ok("process")
    else:
        bench.ledger.wrong(
            "process",
            "encodes a user otherwise in another process",
            SAME_ELSEWHERE,
        )
