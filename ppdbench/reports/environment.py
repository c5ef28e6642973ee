"""How every page is filled: the templates, and the style and script that go into the file.

All text of a run is escaped by the templates. The script's hash is what a page's content security
policy allows to run; nothing else may, and no request leaves a page. Elsewhere: the pages
(`html`, `compare.page`), their layout (`templates/`).
"""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

OWN = "ppdbench.reports"


def fill(template: str, /, **values: Any) -> str:
    """The text of a page.

    Args:
        template: its file's name in `templates/`.
        values: what it prints, beside `style`, `script` and `script_hash`.
    """
    from markupsafe import Markup

    script = source("report.js")
    return (
        templates(OWN)
        .get_template(template)
        .render(
            style=Markup(source("report.css")),  # noqa: S704 - a file of ours, nothing of a run
            script=Markup(script),  # noqa: S704 - likewise
            script_hash=policy_hash(script),
            **values,
        )
    )


@functools.cache
def templates(*packages: str) -> Environment:
    """Templates of these packages, the first one's first: all text is escaped, nothing is left out.

    Args:
        packages: each with a folder `templates`.
    """
    import jinja2

    return jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@functools.cache
def source(name: str, package: str = OWN) -> str:
    """A file of a package's templates as text."""
    return (resources.files(package) / "templates" / name).read_text("utf-8")


def policy_hash(text: str) -> str:
    """What a content security policy calls an inline script or style by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"
