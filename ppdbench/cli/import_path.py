"""Where package.module:attr is looked for: also beside the user, whose own file it may name."""

from __future__ import annotations

import sys
from pathlib import Path


def look_beside_user() -> None:
    """Let modules in the working directory be found; last, so that they shadow nothing."""
    sys.path.append(str(Path.cwd()))


def look_beside_user_for(*names: str) -> None:
    """The same where a plug-in's name may mean a module: where it has a colon."""
    if any(":" in name for name in names):
        look_beside_user()
