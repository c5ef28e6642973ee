"""A fingerprint of code, so that what a script made is made anew when the script changes.

Comments and docstrings are left out: they change no number. Elsewhere: what is kept under such a
fingerprint (`answers`, `checkpoints`, `pictures`).
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).parent


def with_imports(file: Path) -> set[Path]:
    """A script and the files beside it that it imports, directly or not."""
    found, new = set[Path](), {file}
    while new:
        found |= new
        nodes = [node for one in new for node in ast.walk(ast.parse(one.read_text("utf-8")))]
        names = {
            alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names
        }
        names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        new = {HERE / f"{name}.py" for name in names if (HERE / f"{name}.py").is_file()} - found
    return found


def fingerprint(files: Iterable[Path]) -> str:
    """One sha256 over the code of some files."""
    texts = [f"{file.name}\n{_code_of(file)}" for file in sorted(files)]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _code_of(file: Path) -> str:
    tree = ast.parse(file.read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
