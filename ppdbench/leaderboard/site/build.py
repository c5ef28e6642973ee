"""Build the site: pages, pictures and the Markdown table of a board, into a folder of its own.

A folder that this wrote is written again, and what is no page any more goes; any other folder that
holds something is left alone. The index comes last: a site that was interrupted has no front door.
Elsewhere: what is read (`board`), what pages say (`index`, `page`), showing it (`serve`).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from ppdbench.errors import UsageError, from_os_error
from ppdbench.leaderboard.site.board import Judge, Tables, folders, read_board
from ppdbench.leaderboard.site.index import index_page, suites, titles
from ppdbench.leaderboard.site.markdown import markdown
from ppdbench.leaderboard.site.page import entry_page
from ppdbench.leaderboard.site.picture import gallery_of
from ppdbench.leaderboard.site.reported import papers
from ppdbench.protocols import Events
from ppdbench.runs.atomic import write_atomic

MARK = ".ppdbench-site"
"""Lies in every folder that this wrote, and lists its files."""
INDEX = "index.html"
TABLE = "table.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What was built."""

    out: Path
    n_entries: int
    left_out: tuple[tuple[str, str], ...]
    markdown: str
    """The newest table of each suite."""


def build(root: Path, out: Path, judge: Judge, events: Events) -> Built:
    """Build the site of a board.

    Args:
        root: the board.
        out: the site's folder; new, empty, or one that this wrote.
        judge: says how far an entry is checked.
        events: told of progress, and of what is left out.

    Raises:
        UsageError: there is no board, or `out` holds what this did not write, or is a link.
        PpdbenchError: a file cannot be written.
    """
    earlier = _ours(out)
    events.stage("entries", len(folders(root)))
    board = read_board(root, judge, advance=events.advance)
    for place, reason in board.left_out:
        events.note(f"{place} is left out: {reason}")
    found_papers, refused = papers(root)
    left_out = (*board.left_out, *refused)
    found = suites(board.tables)
    with contextlib.suppress(FileNotFoundError):
        (out / INDEX).unlink()
    # All that may be written is listed first: what an interruption leaves, the next build removes.
    _list_files(out, {*earlier, *_planned(board)})
    names = _write_entries(out, board, events)
    text = markdown([suite.newest for suite in found])
    for name, content in ((TABLE, text), (INDEX, index_page(found, found_papers, left_out))):
        write_atomic(out / name, content, sync=False)
        names.append(name)
    _clear(out, set(earlier) - set(names))
    _list_files(out, set(names))
    return Built(
        out=out,
        n_entries=sum(len(table.rows) for table in board.tables),
        left_out=left_out,
        markdown=text,
    )


def _write_entries(out: Path, board: Tables, events: Events) -> list[str]:
    """Write all entries' pages and sheets; returns their names below `out`."""
    rows = [(table, row) for table in board.tables for row in table.rows]
    known = titles(board.tables)
    events.stage("pages", len(rows))
    names = []
    for table, row in rows:
        picture = gallery_of(row.entry)
        page = f"{table.suite}/{row.entry.name}"
        write_atomic(
            _inside(out, f"{page}.html"),
            entry_page(table, row, picture, known[table.suite]),
            sync=False,
        )
        names.append(f"{page}.html")
        if picture.data:
            write_atomic(_inside(out, f"{page}.{picture.ending}"), picture.data, sync=False)
            names.append(f"{page}.{picture.ending}")
        events.advance(1)
    return names


def _planned(board: Tables) -> list[str]:
    """Names that a board's pages and sheets may have."""
    places = [f"{table.suite}/{row.entry.name}" for table in board.tables for row in table.rows]
    return [f"{place}.{ending}" for place in places for ending in ("html", "jpg", "png")]


def _list_files(out: Path, names: set[str]) -> None:
    write_atomic(out / MARK, "".join(f"{name}\n" for name in sorted(names)), sync=False)


def _inside(out: Path, name: str) -> Path:
    """A file of the site, whose folder is no link to elsewhere."""
    folder = (out / name).parent
    if folder.is_symlink():
        raise UsageError(f"{folder} is a link", fix="build into a folder of its own with --out DIR")
    return out / name


def _ours(out: Path) -> list[str]:
    """Names of the files that an earlier build wrote; nothing of a new folder.

    Raises:
        UsageError: the folder holds something else, or is none.
    """
    fix = "build into a folder of its own with --out DIR"
    if out.is_symlink():
        raise UsageError(f"{out} is a link", fix=fix)
    try:
        # A build that was killed in its first write has left that write's own file alone.
        found = [path for path in out.iterdir() if not path.name.startswith(f".{MARK}.")]
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise UsageError(f"{out} is no folder", fix=fix) from None
    except OSError as error:
        raise from_os_error(error, out) from error
    mark = out / MARK
    if not found:
        return []
    if mark.is_symlink() or not mark.is_file():
        raise UsageError(f"{out} holds files that are no site of a board", fix=fix)
    names = mark.read_text("utf-8", errors="replace").splitlines()
    return [name for name in names if _safe(name)]


def _safe(name: str) -> bool:
    """Whether a listed name is one that this writes: below the folder, never up."""
    parts = name.split("/")
    kinds = (".html", ".jpg", ".png", ".md")
    return (
        len(parts) <= 2
        and all(p and not p.startswith(".") for p in parts)
        and (name.endswith(kinds) and "\\" not in name and "\0" not in name)
    )


def _clear(out: Path, gone: set[str]) -> None:
    """Remove files of an earlier build, and folders that are then empty."""
    for name in gone:
        path = out / name
        if not path.parent.is_symlink():
            with contextlib.suppress(OSError):
                path.unlink()
            if path.parent != out:
                with contextlib.suppress(OSError):
                    path.parent.rmdir()
