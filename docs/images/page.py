"""Draws README's picture of a report: `python docs/images/page.py RUN`, writes page.png."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1280, 1990
COLOURS = 128


def main(run: Path) -> None:
    """Write page.png beside this file: the upper part of the run's page, as a browser shows it."""
    with sync_playwright() as browsers:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = browsers.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto((run / "report.html").resolve().as_uri())
        shot = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
    small = shot.convert("RGB").quantize(COLOURS)
    small.save(Path(__file__).with_name("page.png"), optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
