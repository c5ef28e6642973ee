"""How the site's pages are filled: the reports' style and script with the board's own after them.

A page's content security policy names its one style and its one script by their hashes; nothing
else applies or runs, not even a `style` attribute. Elsewhere: what pages say (`index`, `page`),
the reports' own pages (`reports.environment`).
"""

from __future__ import annotations

import functools
from typing import Any

from ppdbench.reports.environment import OWN, policy_hash, source, templates

PACKAGE = "ppdbench.leaderboard.site"
HEADERS_ONLY = "; frame-ancestors 'none'"
"""What a policy may say in a header but not in a page."""


def fill(template: str, /, **values: Any) -> str:
    """The text of a page of the site.

    Args:
        template: its file's name in `templates/`.
        values: what it prints.
    """
    from markupsafe import Markup

    style, script = inline()
    return (
        templates(PACKAGE, OWN)
        .get_template(template)
        .render(
            style=Markup(style),  # noqa: S704 - all four files are ours, nothing of an entry
            script=Markup(script),  # noqa: S704 - likewise
            policy=policy(),
            **values,
        )
    )


@functools.cache
def inline() -> tuple[str, str]:
    """The style and the script of every page."""
    style = source("report.css") + source("board.css", PACKAGE)
    return style, source("report.js") + source("board.js", PACKAGE)


@functools.cache
def policy() -> str:
    """The content security policy of every page."""
    style, script = inline()
    return (
        f"default-src 'none'; img-src 'self' data:; style-src '{policy_hash(style)}'; "
        f"script-src '{policy_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
