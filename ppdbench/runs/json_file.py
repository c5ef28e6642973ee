"""A JSON object from a file that may be damaged; who asks says which error that is, and its fix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ppdbench.errors import PpdbenchError, one_line


def read_object(
    path: Path, *, fix: str, error: type[PpdbenchError] = PpdbenchError
) -> dict[str, Any]:
    """The object in a file.

    Args:
        path: the file.
        fix: what to do where it is not one.
        error: what is raised then.

    Raises:
        PpdbenchError: of kind `error`: the file cannot be read, or holds no JSON object.
    """
    try:
        read = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as cause:
        raise error(f"{path} is damaged: {one_line(cause)}", fix=fix) from cause
    if not isinstance(read, dict):
        raise error(f"{path} is damaged: it holds no object", fix=fix)
    return read
