"""How every page is filled: the templates, and the style and script that go into the file.

All text of a run is escaped by the templates. The script's hash is what a page's content security
policy allows to run; nothing else may, and no request leaves a page. Elsewhere: the pages
(`html`, `compare.page`), their layout (`templates/`).
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import Any


def fill(template: str, /, **values: Any) -> str:
    """The text of a page.

    Args:
        template: its file's name in `templates/`.
        values: what it prints, beside `style`, `script` and `script_hash`.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ppdbench.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = _source("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template(template).render(
        # Both files are ours: nothing of a run is in them.
        style=Markup(_source("report.css")),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_hash=f"sha256-{digest}",
        **values,
    )


def _source(name: str) -> str:
    return (resources.files("ppdbench.reports") / "templates" / name).read_text("utf-8")
