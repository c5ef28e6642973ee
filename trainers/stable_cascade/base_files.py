"""The files of a base of our own layout: which there are, its config, and their hash; no torch.

Elsewhere: reading the weights (`load.py`), the published weights' files (`published.py`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ppdbench.errors import MissingPrerequisite
from ppdbench.runs.json_file import read_object
from trainers.stable_cascade.published import is_published

FILES = ("stage_c", "text_encoder", "compressor", "previewer")
FIX_FILES = "reinstall ppdbench, or rebuild the world with `python -m trainers.shapes`"
FIX_FOLDER = (
    "name the folder of a Stable Cascade (docs/model.md says which files it needs); if it is that "
    f"of shapes, {FIX_FILES}"
)
"""The fixes of a base whose files are damaged, and of a folder that holds none."""


def read_config(folder: Path) -> dict[str, Any]:
    """The base's config.json.

    Raises:
        MissingPrerequisite: there is no base in the folder, or its config is damaged.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise MissingPrerequisite(f"no base model in {folder}", fix=FIX_FOLDER)
    return read_object(path, fix=FIX_FILES, error=MissingPrerequisite)


def base_sha256(folder: Path) -> str:
    """One hash over the base's parts, from its manifest where it has one, else from the files.

    Raises:
        MissingPrerequisite: the manifest is damaged, or a part of a published base is missing.
        OSError: no manifest, and a file is missing.
    """
    if is_published(folder):
        from trainers.stable_cascade.published_base import published_sha256  # it needs torch

        return published_sha256(folder)
    digest = hashlib.sha256()
    recorded = recorded_hashes(folder)
    for name in FILES:
        file = f"{name}.safetensors"
        known = recorded.get(file)
        digest.update((known or hashlib.sha256((folder / file).read_bytes()).hexdigest()).encode())
    return digest.hexdigest()


def recorded_hashes(folder: Path) -> dict[str, str]:
    """File -> sha256 by the folder's manifest; empty where there is none.

    Raises:
        MissingPrerequisite: the manifest is damaged.
    """
    manifest = folder / "manifest.json"
    recorded: Any = {}
    if manifest.is_file():
        told = read_object(manifest, fix=FIX_FILES, error=MissingPrerequisite)
        recorded = told.get("sha256")
    if not isinstance(recorded, dict):
        raise MissingPrerequisite(f"{manifest} is damaged: it has no hashes", fix=FIX_FILES)
    return recorded
