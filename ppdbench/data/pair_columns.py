"""A source by its columns: how they stream, and whether the Pick-a-Pic v2 schema has them so.

Elsewhere: the schema, and opening a file (`pickapic_rows`), whole pairs (`pickapic`), which files
a source has (`source`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench.data.pickapic_rows import open_parquet, row_batches, unreadable
from ppdbench.errors import PpdbenchError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FACTS = {
    "caption": "string",
    "user_id": "int64",
    "label_0": "double",
    "label_1": "double",
    "has_label": "bool",
    "are_different": "bool",
    "ranking_id": "int64",
}
"""Columns that say what a pair is, and the Arrow type each is read as."""
UIDS = ("image_0_uid", "image_1_uid")
IMAGES = ("jpg_0", "jpg_1")

ROWS = 65_536
"""Rows read at a time where no images are."""
IMAGE_BYTES = 2**25
"""About how many bytes of images are read at a time."""

_INTEGERS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_KINDS = {
    "binary": frozenset({"binary", "large_binary"}),
    "string": frozenset({"string", "large_string", "dictionary<values=string"}),
    "int64": _INTEGERS,
    "double": _INTEGERS | {"halffloat", "float", "double"},
    "bool": frozenset({"bool"}),
}
"""Type read -> the types that a file may have for it."""


def check_types(file: Path) -> None:
    """See that columns hold what their names promise.

    Raises:
        PpdbenchError: one does not.
    """
    import pyarrow as pa

    schema = open_parquet(file).schema_arrow
    wanted = {
        **FACTS,
        **dict.fromkeys((*UIDS, "model_0", "model_1"), "string"),
        **dict.fromkeys(IMAGES, "binary"),
        "num_example_per_prompt": "double",
    }
    for name, kind in wanted.items():
        if name not in schema.names:
            continue
        found = schema.field(name).type
        known = _KINDS["double" if name == "user_id" else kind]  # floats where ids have gaps
        if not pa.types.is_null(found) and str(found).partition(",")[0] not in known:
            raise PpdbenchError(
                f"the column {name} of {file} is {found}, and the Pick-a-Pic v2 schema has {kind}",
                fix="write it again with that type",
            )


def has_uids(file: Path) -> bool:
    """Whether every row of a file names both its images; a damaged row group does not count."""
    source = open_parquet(file)
    if not set(UIDS) <= set(source.schema_arrow.names):
        return False
    for group in range(source.num_row_groups):
        try:
            if any(_nulls(source, group, name) for name in UIDS):
                return False
        except unreadable():
            continue
    return True


def whole_numbers(column: Any) -> NDArray[np.int64]:
    """(N,) the 64-bit numbers of a column.

    Raises:
        ValueError: it is of another type, or has gaps.
    """
    import pyarrow as pa

    if column.type != pa.int64() or column.null_count:
        raise ValueError(f"a column is {column.type} with {column.null_count} gaps")
    found: NDArray[np.int64] = column.to_numpy()
    return found


def image_rows(source: Any, group: int) -> int:
    """Rows of a row group whose images are about `IMAGE_BYTES`."""
    size = sum(int(_about(source, group, name).total_uncompressed_size) for name in IMAGES)
    rows = int(source.metadata.row_group(group).num_rows)
    return max(1, min(4096, IMAGE_BYTES * rows // max(size, 1)))


def _nulls(source: Any, group: int, name: str) -> int:
    known = _about(source, group, name).statistics
    if known is not None and known.has_null_count:
        return int(known.null_count)
    return sum(int(b.column(0).null_count) for b in row_batches(source, group, [name], ROWS))


def _about(source: Any, group: int, name: str) -> Any:
    """Metadata of a column in a row group; of what a file has besides, any may be nested.

    Raises:
        pyarrow.ArrowInvalid: it is damaged.
    """
    import pyarrow as pa

    leaves = [source.schema.column(number).path for number in range(len(source.schema))]
    number = leaves.index(name)
    found = source.metadata.row_group(group).column(number)
    if found.physical_type != source.schema.column(number).physical_type:
        # Asked for its statistics, pyarrow would end the process.
        raise pa.ArrowInvalid(f"{name} is said to be {found.physical_type} in row group {group}")
    return found
