"""A headless Chromium for tests of pages: where it is, and what a page asked for and complained of.

The system's is taken before Playwright's own, which needs a download of its own.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
NONE = (
    "no Chromium: install the system's (`apt-get install chromium`) or Playwright's "
    "(`playwright install chromium`), or name one in CHROMIUM"
)


def find(playwright: Playwright) -> str | None:
    """The path of a Chromium; None where there is none."""
    named = os.environ.get("CHROMIUM")
    own = playwright.chromium.executable_path
    found = named or next(filter(None, map(shutil.which, NAMES)), None)
    return found or (own if Path(own).is_file() else None)


def launch(playwright: Playwright, path: str) -> Browser:
    """Start it; root has no sandbox."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return playwright.chromium.launch(executable_path=path, args=["--no-sandbox"] * root)


@dataclass(kw_only=True)
class Visit:
    """A page that was opened from its file."""

    page: Page
    asked: list[str] = field(default_factory=list)
    """What it asked for beside its own file."""
    said: list[str] = field(default_factory=list)
    """Errors and warnings on its console."""

    @property
    def sideways(self) -> int:
        """Pixels that lie beside the window, to the right."""
        found: int = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return found


def visit(browser: Browser, path: Path, *, width: int = 1280, scheme: str = "light") -> Visit:
    """Open a file in a fresh context, in a window so wide, listening from the first byte."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    found = Visit(page=context.new_page())
    own = path.resolve().as_uri()

    def note(url: str) -> None:
        if url.partition("#")[0] != own and not url.startswith("data:"):
            found.asked.append(url)

    found.page.on("request", lambda request: note(request.url))
    found.page.on("console", lambda message: _note(found, message.type, message.text))
    found.page.on("pageerror", lambda error: found.said.append(str(error)))
    found.page.goto(own)
    return found


def _note(found: Visit, kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        found.said.append(text)
