"""The distinct captions of a latent cache: an Arrow file, mapped, a caption read when asked for."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import pyarrow as pa

from ppdbench.errors import PpdbenchError, one_line
from trainers.encoded.sharded_tensor import AGAIN


class Captions(Sequence[str]):
    """The first so many captions of a file."""

    def __init__(self, file: Path, count: int | None = None) -> None:
        """Map the file.

        Raises:
            PpdbenchError: it is damaged.
        """
        try:
            table = pa.ipc.open_file(pa.memory_map(str(file))).read_all()
            # Arrow follows whatever offsets a file has, out of the mapped memory and into a crash.
            table.validate(full=True)
            texts = table.column("caption")
            if not pa.types.is_large_string(texts.type) or texts.null_count:
                raise ValueError(f"captions are of type {texts.type}, {texts.null_count} null")
            self._texts = texts[:count]
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise PpdbenchError(
                f"{file} is damaged: {one_line(error)}",
                fix=AGAIN,
            ) from error

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            texts: list[str] = self._texts[index].to_pylist()
            return texts
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        text: str = self._texts[int(index)].as_py()
        return text


def captions_file(captions: Iterable[str]) -> bytes:
    """The content of a file of captions."""
    buffer = io.BytesIO()
    table = pa.table({"caption": pa.array(captions, pa.large_string())})
    with pa.ipc.new_file(buffer, table.schema) as writer:
        writer.write_table(table)
    return buffer.getvalue()
