"""Names of models, encoders and users as names of files and folders, for whoever writes some."""

from __future__ import annotations

import re

LONGEST = 150
"""Characters: what a fingerprint and an ending add still gives a name of 255 bytes."""


def file_name(text: str, longest: int = LONGEST) -> str:
    """A name that every file system takes, never empty or hidden: `package.module:attr`, say.

    Different texts may give one name; who must tell them apart adds a fingerprint or a number.

    Args:
        text: what is named.
        longest: characters that the name has at most.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).lstrip(".")[:longest] or "_"
