"""Names of models, encoders and users as names of files and folders, for whoever writes some."""

from __future__ import annotations

import re


def file_name(text: str) -> str:
    """A name that every file system takes, never empty or hidden: `package.module:attr`, say.

    Different texts may give one name; who must tell them apart adds a fingerprint or a number.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip(".") or "_"
