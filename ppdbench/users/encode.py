"""Embed users with an encoder: each set of shots once, kept by content, goes on after a kill.

A key holds the encoder, the libraries' versions and the shots, not who gave them, so the same shots
are one embedding whoever they are shown for; it holds the user's id where the encoder reads it too.
Elsewhere: the store's file (`runs.store`), who encodes (`onehot`, `clip_pairs`, `llava_onevision`),
several processes (`rewards.sharding`).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from functools import cache as once
from importlib import metadata
from pathlib import Path
from typing import ClassVar, Literal

from ppdbench.data.images import pixel_sha256
from ppdbench.errors import PpdbenchError, one_line
from ppdbench.protocols import EncoderInfo, Events, UserCode, UserContext, UserEncoder
from ppdbench.rewards.identity import libraries
from ppdbench.rewards.preprocess import to_rgb
from ppdbench.rewards.sharding import shards
from ppdbench.runs.cache_folder import cache_folder
from ppdbench.runs.fingerprint import fingerprint
from ppdbench.runs.store import KeyStore, key_of

BATCH_SIZE = 16
"""Users encoded at once; changes speed and memory, and embeddings by float noise only."""
PROFILE = b"p"
"""Stands before the profile of a code that is kept."""
LIBRARIES = ("tokenizers", "transformers")
"""Those, beside the rewards' own, whose versions may move an embedding."""
MOST_FAILURES = 16
"""An encoder that fails on so many users, and never served anybody, is broken."""


class CodeStore(KeyStore[Literal["code"]]):
    """User codes by content."""

    called: ClassVar[str] = "embedding cache"

    def known(self, keys: Iterable[bytes], dim: int) -> dict[bytes, UserCode]:
        """The codes that are kept under these keys; damaged ones are thrown away."""
        kept = self.get("code", keys)
        codes = {key: _unpacked(value, dim) for key, value in kept.items()}
        # Or each would be encoded at every call: what is there already is not overwritten.
        self.remove("code", [key for key, code in codes.items() if code is None])
        return {key: code for key, code in codes.items() if code is not None}

    def keep(self, codes: Mapping[bytes, UserCode | None]) -> None:
        """Keep codes, all of them or none; who has none is asked for again."""
        packed = {key: _packed(code) for key, code in codes.items() if code is not None}
        self.put("code", packed)


def default_path() -> Path:
    """The store that all commands share."""
    return cache_folder() / "embeddings.sqlite"


def embed(
    encoder: UserEncoder,
    users: Sequence[UserContext],
    *,
    events: Events | None = None,
    batch_size: int = BATCH_SIZE,
    cache: Path | bool | None = True,
    reasons: MutableMapping[int, str] | None = None,
) -> list[UserCode | None]:
    """One code a user, in order; None for one that the encoder cannot serve, or failed on.

    What an encoder raises for one user costs the others nothing: it is told as a note, and tried
    again at the next call. More shots than it takes (`EncoderInfo.max_shots`) are not shown to it,
    which is told as well. Under `accelerate launch` each process encodes its share, and all
    return the whole list.

    Args:
        encoder: as `load.make_encoder` makes it.
        users: a list, or `contexts.UserContexts`, which decodes images when they are needed.
        events: is told of progress, in users.
        batch_size: users encoded at once; moves embeddings by float noise only, which may send a
            model that writes another way where two words were as good.
        cache: True for the user's cache, a file for another, False or None for none. Encoders of
            ids use none.
        reasons: is given why, by place in `users`, for each one without a code.

    Raises:
        ValueError: `batch_size` is not positive.
        PpdbenchError: the encoder cannot work at all, or a context of `users` cannot be made; what
            was embedded before is kept.
    """
    if batch_size < 1:
        raise ValueError(f"batches of {batch_size} users")
    process = shards("auto")
    own = process.own(len(users))
    if events:
        events.stage(f"embed users: {encoder.info.name}", len(own))
    share = _Share(encoder, _store(encoder.info, cache, events), events)
    for start in range(0, len(own), batch_size):
        rows = own[start : start + batch_size]
        share.add(rows, users[rows.start : rows.stop : rows.step])
        share.encode(batch_size)
    share.encode(batch_size, rest=True)
    codes: list[UserCode | None] = [None] * len(users)
    for found, why in process.gather((share.codes, share.reasons)):
        for row, code in found.items():
            codes[row] = code
        if reasons is not None:
            reasons.update(why)
    return codes


class _Share:
    """One process's users: those that are known, and those that wait for a full batch."""

    def __init__(
        self, encoder: UserEncoder, store: CodeStore | None, events: Events | None
    ) -> None:
        self.codes: dict[int, UserCode | None] = {}
        self.reasons: dict[int, str] = {}
        """Why a row has no code."""
        self._encoder = encoder
        self._store = store
        self._events = events
        self._known: dict[bytes, UserCode | None] = {}
        self._waiting: dict[bytes, tuple[UserContext, list[int]]] = {}
        self._why: dict[bytes, str] = {}
        self._served = self._failed = 0

    def add(self, rows: Sequence[int], users: Sequence[UserContext]) -> None:
        """Look users up; those that are not known wait."""
        info = self._encoder.info
        keys = [code_key(info, user) for user in users]
        if self._store:
            kept = self._store.known([key for key in keys if key not in self._known], info.dim)
            self._known |= kept
            self._served += len(kept)  # else a call that goes on would find the encoder broken
        for row, key, user in zip(rows, keys, users, strict=True):
            if reason := _too_many(info, user):
                if self._events and reason not in self._why.values():  # once, not for each user
                    self._events.note(f"no embedding by {info.name!r} of {reason}")
                self._known[key], self._why[key] = None, reason  # even if something was kept
                self._done(key, [row])
            elif key in self._known:
                self._done(key, [row])
            else:
                self._waiting.setdefault(key, (user, []))[1].append(row)

    def encode(self, batch_size: int, *, rest: bool = False) -> None:
        """Encode users that wait, in full batches; with `rest` all of them."""
        while self._waiting and (rest or len(self._waiting) >= batch_size):
            keys = list(self._waiting)[:batch_size]
            batch = [self._waiting.pop(key) for key in keys]
            asked = dict(zip(keys, (user for user, _ in batch), strict=True))
            codes = self._encoded(asked)
            self._known |= codes
            for key, code in codes.items():
                if code is None:
                    self._why.setdefault(key, _silence(self._encoder.info, asked[key]))
            if self._store:  # at once: a kill costs the batch that is being made
                self._store.keep(codes)
            for key, (_, rows) in zip(keys, batch, strict=True):
                self._done(key, rows)

    def _done(self, key: bytes, rows: Sequence[int]) -> None:
        self.codes |= dict.fromkeys(rows, self._known[key])
        if key in self._why:
            self.reasons |= dict.fromkeys(rows, self._why[key])
        if self._events:
            self._events.advance(len(rows))

    def _encoded(self, users: Mapping[bytes, UserContext]) -> dict[bytes, UserCode | None]:
        """Codes of a batch; where it fails its users are encoded one by one."""
        asked, dim = list(users.values()), self._encoder.info.dim
        try:
            codes = _checked(self._encoder.encode(asked), len(asked), dim)
        except PpdbenchError:
            raise
        except Exception as error:  # whatever a plug-in raises is its own failure
            if len(users) > 1:
                alone = [self._encoded({key: user}) for key, user in users.items()]
                return {key: code for each in alone for key, code in each.items()}
            ((key, user),) = users.items()
            self._why[key] = self._failure(user, error)
            return {key: None}
        self._served += len(codes)
        return dict(zip(users, codes, strict=True))

    def _failure(self, user: UserContext, error: Exception) -> str:
        """Count and tell what an encoder raised for a user; the reason in words.

        Raises:
            PpdbenchError: nobody was ever served.
        """
        name, reason = self._encoder.info.name, f"{type(error).__name__}: {one_line(error)}"
        self._failed += 1
        if self._failed >= MOST_FAILURES and not self._served:
            raise PpdbenchError(
                f"encoder {name!r} failed on all of {self._failed} users; last: {reason}",
                fix="mend the encoder; --debug shows the traceback",
            ) from error
        if self._events:
            self._events.note(f"user {user.id} has no embedding by {name!r}: {reason}")
        return reason


def _too_many(info: EncoderInfo, user: UserContext) -> str | None:
    """That a user has more shots than the encoder takes, or None."""
    if info.max_shots is None or info.uses == "id" or len(user.shots) <= info.max_shots:
        return None
    return f"{len(user.shots)} shots: it takes {info.max_shots} at most"


def _silence(info: EncoderInfo, user: UserContext) -> str:
    """Why an encoder that did not fail has no code of a user, as far as can be told."""
    if info.uses == "id":
        return "it knows training users only"
    return "it says nothing of them" if user.shots else "it reads shots, and there are none"


def code_key(info: EncoderInfo, user: UserContext) -> bytes:
    """Where a user's code is kept: encoder, libraries, and captions and pixels in their order."""
    if info.uses == "id":
        return key_of(info.name, info.revision, user.id)
    parts = [info.name, info.revision, fingerprint(info.settings), _libraries()]
    if info.uses == "id or shots":
        parts.append(user.id)
    for shot in user.shots:
        caption = shot.caption.encode("utf-8", "surrogatepass")
        parts.append(hashlib.sha256(caption).hexdigest())
        parts += (pixel_sha256(to_rgb(image)) for image in (shot.preferred, shot.dispreferred))
    return key_of(*parts)


@once
def _libraries() -> str:
    return fingerprint({**libraries(), **{name: metadata.version(name) for name in LIBRARIES}})


def _store(info: EncoderInfo, cache: Path | bool | None, events: Events | None) -> CodeStore | None:
    if cache is None or cache is False or info.uses == "id":
        return None
    path = default_path() if cache is True else cache
    return CodeStore(path, events.note) if events else CodeStore(path)


def _checked(codes: Sequence[UserCode | None], users: int, dim: int) -> list[UserCode | None]:
    """The codes, their embeddings float32.

    Raises:
        ValueError: they are not one a user, or an embedding is not `dim` finite numbers.
    """
    import numpy as np

    if len(codes) != users:
        raise ValueError(f"{len(codes)} codes for {users} users")
    checked: list[UserCode | None] = []
    for code in codes:
        if code is not None:
            embedding = np.asarray(code.embedding, np.float32)
            if embedding.shape != (dim,):
                raise ValueError(f"an embedding of shape {embedding.shape}, not ({dim},)")
            if not np.isfinite(embedding).all():
                raise ValueError("an embedding is not finite")
            code = UserCode(embedding=embedding, profile=code.profile)
        checked.append(code)
    return checked


def _packed(code: UserCode) -> bytes:
    """A code as it is kept: length, little-endian float32, and a profile after a mark."""
    profile = b"" if code.profile is None else PROFILE + code.profile.encode("utf-8", "replace")
    return struct.pack("<I", len(code.embedding)) + code.embedding.astype("<f4").tobytes() + profile


def _unpacked(value: bytes, dim: int) -> UserCode | None:
    """What was kept, or None where it is no code of that length, of finite numbers."""
    import numpy as np

    end = 4 + 4 * dim
    if len(value) < end or struct.unpack_from("<I", value)[0] != dim:
        return None
    embedding = np.frombuffer(value, "<f4", dim, 4).astype(np.float32)
    mark, profile = value[end : end + 1], value[end + 1 :]
    if not np.isfinite(embedding).all() or mark not in (b"", PROFILE):
        return None
    try:
        return UserCode(embedding=embedding, profile=profile.decode() if mark else None)
    except UnicodeDecodeError:
        return None
