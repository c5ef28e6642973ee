"""Splits in a folder: `splits.json`, what they are, and `splits.parquet`, a row a pair in use.

Equal splits give equal bytes for one version of pyarrow. Reading holds the rows against the digest;
the source, which is not in the folder, is held against its files' sha256 when it is used.

Elsewhere: making them (`splits`); writing files whole or not at all is the caller's
(`runs.atomic`).
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ppdbench.data.assignment import ROLES, SPLITS, Assignment, SplitSettings, Step
from ppdbench.data.pair_columns import whole_numbers
from ppdbench.data.source import PinnedFile
from ppdbench.data.splits import Splits
from ppdbench.errors import MissingPrerequisite, PpdbenchError, one_line

SCHEMA_VERSION = 1
ABOUT, ROWS = "splits.json", "splits.parquet"
_AGAIN = "delete that folder and make them anew: ppdbench data splits SOURCE --out DIR"


def split_files(splits: Splits, *, folder: Path, source: Path) -> dict[str, bytes]:
    """Name -> content of the files of `folder`, in the order in which to write them.

    Where `source` lies is told from the folder, so that both can be moved together; it is no part
    of the digest.
    """
    place = os.path.relpath(source.resolve(), folder.resolve())
    about = {**described(splits), "place": place}
    text = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
    return {ROWS: _rows(splits.assignment), ABOUT: text.encode("utf-8", "surrogateescape")}


def described(splits: Splits) -> dict[str, Any]:
    """What splits.json says: digest, settings, the source's files, funnel, sizes."""
    return {
        "schema_version": SCHEMA_VERSION,
        "digest": splits.digest,
        "assignment_sha256": splits.assignment.sha256,
        "settings": asdict(splits.settings),
        "source": [asdict(file) for file in splits.source],
        "funnel": [asdict(step) for step in splits.funnel],
        "sizes": splits.sizes,
    }


def holds_splits(folder: Path) -> bool:
    """Whether there are splits in a folder."""
    return (folder / ABOUT).is_file()


def source_of(folder: Path) -> Path:
    """Where the source lay, seen from the folder, when its splits were made.

    Raises:
        PpdbenchError: splits.json is damaged.
    """
    return folder.resolve() / str(_about(folder / ABOUT).get("place", ""))


def read_splits(folder: Path) -> Splits:
    """Read a folder back.

    Raises:
        MissingPrerequisite: there are no splits in it.
        PpdbenchError: a file is damaged, of another version of ppdbench, or was changed.
    """
    for name in (ABOUT, ROWS):
        if not (folder / name).is_file():
            raise MissingPrerequisite(f"{folder} holds no {name}", fix=_AGAIN)
    about = _about(folder / ABOUT)
    try:
        splits = Splits(
            settings=SplitSettings(**about["settings"]),
            source=tuple(PinnedFile(**file) for file in about["source"]),
            assignment=_assignment(folder / ROWS),
            funnel=tuple(Step(**step) for step in about["funnel"]),
        )
        recorded = str(about["digest"])
    except (KeyError, TypeError) as error:
        raise PpdbenchError(f"{folder / ABOUT} is damaged: {one_line(error)}", fix=_AGAIN) from None
    if splits.digest != recorded:
        raise PpdbenchError(
            f"the splits in {folder} were changed: their digest is {splits.digest[:12]}, and "
            f"{ABOUT} says {recorded[:12]}",
            fix=_AGAIN,
        )
    return splits


def _about(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
        version = found["schema_version"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise PpdbenchError(f"{path} is damaged: {one_line(error)}", fix=_AGAIN) from error
    if version != SCHEMA_VERSION:
        raise PpdbenchError(
            f"{path} is of schema version {version}, and this ppdbench reads {SCHEMA_VERSION}",
            fix=_AGAIN,
        )
    return dict(found)


def _rows(rows: Assignment) -> bytes:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    captions: list[str | None] = [None] * len(rows)
    for row, caption in rows.captions.items():
        captions[row] = caption
    table = pa.table(
        {
            "pair_id": pa.array(rows.pair, pa.int64()),
            "row": pa.array(rows.row, pa.int64()),
            "user_id": pa.array(rows.user, pa.int64()),
            "split": pa.array(np.array(SPLITS)[rows.split]).dictionary_encode(),
            "role": pa.array(np.array(ROLES)[rows.role]).dictionary_encode(),
            "group": pa.array(rows.group, pa.int32(), mask=rows.group < 0),
            "caption": pa.array(captions, pa.string()),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _assignment(path: Path) -> Assignment:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path).combine_chunks()
        column = {name: table.column(name) for name in table.schema.names}
        captions = column["caption"].cast(pa.string()).to_pylist()
        return Assignment(
            pair=whole_numbers(column["pair_id"]),
            row=whole_numbers(column["row"]),
            user=whole_numbers(column["user_id"]),
            split=_codes(column["split"], SPLITS),
            role=_codes(column["role"], ROLES),
            group=np.asarray(pc.fill_null(column["group"].cast(pa.int32()), -1)).astype(np.int32),
            captions={n: text for n, text in enumerate(captions) if text is not None},
        )
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise PpdbenchError(f"{path} is damaged: {one_line(error)}", fix=_AGAIN) from error


def _codes(column: Any, names: tuple[str, ...]) -> Any:
    """(M,) index of each name of a column; an unknown one raises ValueError."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    found = pc.index_in(column.cast(pa.string()), pa.array(names))
    if found.null_count:
        raise ValueError(f"a name is none of {', '.join(names)}")
    return np.asarray(found).astype(np.int8)
