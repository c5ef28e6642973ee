"""What can be wrong with a row, found for many rows at once.

A row has the first reason that holds, in the words of `pickapic.ReadReport` where that has the
same one. Elsewhere: what is made of the rows that pass (`pair_table`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ppdbench.data.images import JPEG_END, JPEG_MAGIC, PNG_END, PNG_MAGIC, can_decode
from ppdbench.data.pair_columns import UIDS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNDECODABLE = "image cannot be decoded"
REASONS = (
    "no caption",
    "no user",
    "user id is no whole number",
    "user id is 2^63 or more",
    "no label",
    "label is not 0, 0.5 or 1",
    "labels do not sum to 1",
    "tie",
    "images are marked as not different",
    "no image bytes",
    "image is neither PNG nor JPEG",
    UNDECODABLE,
    "the two images are one",
    "row group unreadable",
    "duplicate pair",
)
"""Why a row is left out, in the order in which the reasons are looked for."""
USABLE = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What a batch of N rows says, images aside; values of unusable rows mean nothing."""

    reason: NDArray[np.int8]
    """(N,) index of `REASONS`, or `USABLE`."""
    ranking: NDArray[np.int64]
    """(N,) `ranking_id`, or the row's number where there is none."""
    user: NDArray[np.int64]
    has_user: NDArray[np.bool_]
    caption: NDArray[np.uint64]
    """(N,) equal for captions that differ in case and white space at most."""
    first: NDArray[np.bool_]
    """(N,) image 0 is preferred."""
    images: NDArray[np.uint64]
    """(N, 2) hashes of the images' uids; zeros where they are not asked for."""


def judge(batch: Any, start: int, *, by_uid: bool) -> Rows:
    """Look at the columns of a batch other than its images.

    Args:
        batch: an Arrow record batch with some of `pair_columns.FACTS`.
        start: number of its first row.
        by_uid: hash uids, too; they are there.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    reason = np.full(batch.num_rows, USABLE, np.int8)

    def given(name: str, kind: str) -> Any:
        present = name in batch.schema.names
        return batch.column(name).cast(kind) if present else pa.nulls(batch.num_rows, kind)

    ranking = given("ranking_id", "int64")
    labels = [given("label_0", "double"), given("label_1", "double")]
    label_0, label_1 = (np.asarray(pc.fill_null(label, -1.0)) for label in labels)
    caption, has_caption = _captions(given("caption", "string"))
    named = "user_id" in batch.schema.names
    user, wrong = _users(batch.column("user_id") if named else pa.nulls(batch.num_rows))
    number = np.arange(start, start + batch.num_rows)
    chosen = ((label_0 == 1) & (label_1 == 0)) | ((label_0 == 0) & (label_1 == 1))
    tie = (label_0 == 0.5) & (label_1 == 0.5)
    mark(reason, "no caption", ~has_caption)
    for name, where in wrong.items():
        mark(reason, name, where)
    mark(reason, "no label", pc.or_(*map(pc.is_null, labels)))
    mark(reason, "no label", pc.invert(given("has_label", "bool")))
    known = np.isin(label_0, (0, 0.5, 1)) & np.isin(label_1, (0, 0.5, 1))
    mark(reason, "label is not 0, 0.5 or 1", ~known)
    mark(reason, "labels do not sum to 1", ~(chosen | tie))
    mark(reason, "tie", tie)
    mark(reason, "images are marked as not different", pc.invert(given("are_different", "bool")))
    images = np.zeros((batch.num_rows, 2), np.uint64)
    left = np.flatnonzero(reason == USABLE)
    for side, name in enumerate(UIDS if by_uid else ()):
        uids = batch.column(name).cast("string").take(pa.array(left)).to_pylist()
        if None in uids:
            raise pa.ArrowInvalid(f"{name} has gaps, and the file's statistics say it has none")
        images[left, side] = hashes(uid.encode() for uid in uids)
    return Rows(
        reason=reason,
        ranking=np.where(
            np.asarray(pc.is_null(ranking)), number, np.asarray(pc.fill_null(ranking, 0))
        ),
        user=user,
        has_user=~np.logical_or.reduce(list(wrong.values())),
        caption=caption,
        first=label_0 == 1,
        images=images,
    )


def judge_images(reason: NDArray[np.int8], both: Sequence[Any], *, decode: bool) -> None:
    """Mark rows whose images cannot be used.

    Args:
        reason: (N,) what is known of the rows; changed.
        both: two Arrow arrays (N,) of encoded images.
        decode: decode each, not only those whose last bytes are not how PNG and JPEG end.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = [pc.fill_null(pc.binary_length(column), 0) for column in both]
    for length in lengths:
        mark(reason, "no image bytes", pc.equal(length, 0))
    for column in both:
        known = [pc.starts_with(column, pattern=magic) for magic in (PNG_MAGIC, JPEG_MAGIC)]
        mark(reason, "image is neither PNG nor JPEG", pc.invert(pc.or_(*known)))
    for column in both:
        looked = reason == USABLE
        if not decode:
            ends = [
                pc.equal(pc.binary_slice(column, -len(end)), end) for end in (PNG_END, JPEG_END)
            ]
            looked &= ~np.asarray(pc.fill_null(pc.or_(*ends), True), bool)
        for row in np.flatnonzero(looked):
            if not can_decode(column[int(row)].as_py()):
                reason[row] = REASONS.index(UNDECODABLE)
    alike = np.flatnonzero(np.asarray(pc.equal(*lengths)) & (reason == USABLE))
    if len(alike):
        same = pc.equal(*(column.take(pa.array(alike)) for column in both))
        reason[alike[np.asarray(same)]] = REASONS.index("the two images are one")


def mark(reason: NDArray[np.int8], name: str, where: Any) -> None:
    """Give rows that have no reason yet this one; `where` is (N,), null counting as false."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = pc.fill_null(where, False) if isinstance(where, pa.Array) else where
    reason[(reason == USABLE) & np.asarray(mask, bool)] = REASONS.index(name)


def hashes(values: Iterable[bytes]) -> NDArray[np.uint64]:
    """64 bits of the BLAKE2b hash of each."""
    import numpy as np

    digests = b"".join(hashlib.blake2b(value, digest_size=8).digest() for value in values)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def _users(column: Any) -> tuple[NDArray[np.int64], dict[str, NDArray[np.bool_]]]:
    """User ids (N,), and where there is none, by reason; as `pickapic.user_fault` has it."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = np.asarray(pc.is_null(column, nan_is_null=True))
    broken = large = np.zeros(len(column), bool)
    if pa.types.is_floating(column.type):  # as integers with gaps are written by some
        values = np.asarray(pc.fill_null(column.cast("double"), 0.0))
        values = np.where(np.isnan(values), 0.0, values)
        broken = ~np.isfinite(values) | (values != np.floor(values))
        large = ~broken & (np.abs(values) >= 2.0**63)
    elif pa.types.is_uint64(column.type):
        values = np.asarray(pc.fill_null(column, 0))
        large = values >= np.uint64(2**63)
    else:
        values = np.asarray(pc.fill_null(column.cast("int64"), 0))
    user = np.where(missing | broken | large, 0, values).astype(np.int64)
    return user, dict(zip(REASONS[1:4], (missing, broken, large), strict=True))


def _captions(column: Any) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Hashes of captions, (N,), and where there is one."""
    import numpy as np
    import pyarrow.compute as pc

    coded = pc.fill_null(column, "").dictionary_encode()
    texts = [" ".join(text.split()).casefold() for text in coded.dictionary.to_pylist()]
    codes = np.asarray(coded.indices)
    return (
        hashes(text.encode() for text in texts)[codes],
        np.array([bool(text) for text in texts], bool)[codes],
    )
