"""Files of somebody's folder by the names that a list in it gives: none outside it is opened.

Elsewhere: lists of shots (`users.shots_folder`), of a closed system's pictures
(`generators.images`).
"""

from __future__ import annotations

from pathlib import Path

from ppdbench.errors import UsageError

MOST_BYTES = 2**28
"""No list, and no image that is shown, needs a larger file."""


def read_inside(folder: Path, name: str, where: str) -> bytes:
    """What a file of the folder holds; one that lies outside, by whatever way, is not opened.

    Args:
        folder: the folder.
        name: of the file, relative to the folder.
        where: what an error calls it.

    Raises:
        UsageError: it lies outside, is not there, is no regular file or larger than `MOST_BYTES`,
            or cannot be read.
    """
    path = path_inside(folder, name, where)
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(where, error) from error


def path_inside(folder: Path, name: str, where: str) -> Path:
    """Where a file of the folder lies; arguments as of `read_inside`.

    Raises:
        UsageError: as `read_inside`, but that nothing was read.
    """
    try:
        root = folder.resolve(strict=True)
        path = (root / name).resolve(strict=True)
        # A name may leave the folder by "..", by a root or drive, or by a link in or above it.
        if leads_out(name) or not path.is_relative_to(root):
            raise UsageError(
                f"{where} lies outside the folder", fix="put the file in the folder itself"
            )
        if not path.is_file():
            raise UsageError(f"{where} is no regular file", fix="name a file of the folder")
        if (size := path.stat().st_size) > MOST_BYTES:
            raise UsageError(
                f"{where} has {size / 2**20:.0f} MiB, too much for it", fix="give a smaller file"
            )
    except FileNotFoundError as error:
        raise UsageError(
            f"{where}: no such file", fix="mend the name, or put the file in the folder"
        ) from error
    except (OSError, ValueError, RuntimeError) as error:  # a name that no file can have, a loop
        raise _unreadable(where, error) from error
    return path


def _unreadable(where: str, error: Exception) -> UsageError:
    return UsageError(
        f"{where} cannot be read: {getattr(error, 'strerror', None) or error}",
        fix="mend the name or the file's permissions",
    )


def leads_out(name: str) -> bool:
    """Whether a name leaves its folder by itself: by "..", or by a root or drive."""
    path = Path(name)
    return path.is_absolute() or ".." in path.parts
