"""A reward's folder: its config.json, the files it needs, and the hash that stands by its scores.

Nothing here loads weights or imports torch, so a run can name its scorers before it needs them.

config.json is open_clip's (`{"model_cfg": ..., "preprocess_cfg": {"mean", "std"}}` or the bare
model config) or names a registered architecture: `{"arch": "ViT-H-14", "weights": "FILE"}`.
Paths in it are relative to the folder; weights that others published are listed by repo, name and
hash instead (`weights`). Elsewhere: building the model (`open_clip_tower`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.rewards.file_hash import file_sha256
from ppdbench.rewards.weights import Found, find, published_files

CONFIG = "config.json"
MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
LONGEST = 500
"""Characters of a path that an error tells."""


@dataclass(frozen=True)
class TowerFolder:
    """An open_clip model on disk; every file it needs is there."""

    path: Path
    weights: Path
    arch: str | None
    """A name registered in open_clip, or None where `model_cfg` describes the model."""
    model_cfg: Mapping[str, Any]
    preprocess_cfg: Mapping[str, Any]
    merges: Path | None
    """The tokenizer's own merges; None is CLIP's."""
    published_sha256: str | None = None
    """What published weights must hash to, where it is known."""
    text: Literal["open_clip", "transformers"] = "open_clip"
    """Whose way it is to clean a caption before its tokens are made."""

    @property
    def architecture(self) -> str:
        """The registered name that the checkpoint's hash does not cover; else empty."""
        return (self.arch or "") if self._by_name else ""

    @property
    def _by_name(self) -> bool:
        return self.arch is not None and not self.model_cfg and self.merges is None

    @cached_property
    def sha256(self) -> str:
        """Hash over all that decides a score: config, weights, merges; checked with the manifest.

        A model that is known by its architecture's name alone has its weights' own hash, which
        anyone can compare with the published one.

        Raises:
            PpdbenchError: a file is not the one that the folder's manifest.json or the publisher
                lists.
        """
        return self._hash()

    def require_unchanged(self) -> None:
        """See that the files are still those that `sha256` was made of; after they were read.

        Raises:
            PpdbenchError: they are not; what was read may be of either.
        """
        if self._hash() != self.sha256:
            raise changed(self.weights)

    def _hash(self) -> str:
        if self._by_name:
            return checked_sha256(self.path, Found(self.weights, self.published_sha256))
        return combined_hash(self.path, [self.path / CONFIG, self.weights, self.merges])


def changed(file: Path) -> PpdbenchError:
    """An error for a file that was replaced between being hashed and being read."""
    return PpdbenchError(f"{file} was changed while it was read", fix="run the same command again")


def read_tower_folder(path: Path, *, owner: str, weights: Path | None = None) -> TowerFolder:
    """Read a folder's config and see that its files are there.

    Args:
        path: the folder.
        owner: whom the files belong to, for the error ("reward 'clip'").
        weights: where the user says that published weights lie.

    Raises:
        MissingPrerequisite: the folder, its config or a file that the config names is missing; all
            missing files are listed with their paths.
        PpdbenchError: config.json is not JSON, or describes no open_clip model.
    """
    config = read_config(path, owner=owner)
    arch = config.get("arch")
    model_cfg = config.get("model_cfg", {} if arch else config)
    if not isinstance(model_cfg, dict) or not isinstance(config.get("preprocess_cfg", {}), dict):
        raise PpdbenchError(
            f"model_cfg or preprocess_cfg in {path / CONFIG} is no object", fix="write it again"
        )
    text_cfg = model_cfg.get("text_cfg", {})
    if not arch and not {"embed_dim", "vision_cfg", "text_cfg"} <= model_cfg.keys():
        raise PpdbenchError(
            f"{path / CONFIG} describes no open_clip model",
            fix="it needs embed_dim, vision_cfg and text_cfg, or arch and weights",
        )
    kwargs = (text_cfg.get("tokenizer_kwargs") or {}) if isinstance(text_cfg, dict) else None
    bpe = kwargs.get("bpe_path") if isinstance(kwargs, dict) else 0
    if not isinstance(bpe, str | None) or not isinstance(arch, str | None):
        raise PpdbenchError(
            f"arch, text_cfg or its tokenizer_kwargs in {path / CONFIG} are of another kind",
            fix="write arch and bpe_path as texts, the others as objects",
        )
    merges = path / bpe if bpe else None
    found = locate(path, config.get("weights", WEIGHTS), weights, owner=owner)
    require_files([found.path, *([merges] if merges else [])], owner=owner)
    return TowerFolder(
        path=path,
        weights=found.path,
        arch=arch,
        model_cfg=model_cfg,
        preprocess_cfg=config.get("preprocess_cfg", {}),
        merges=merges,
        published_sha256=found.sha256,
    )


def locate(folder: Path, entry: object, given: Path | None, *, owner: str) -> Found:
    """The file that a config names: by its path in the folder, or as one that others published.

    Raises:
        MissingPrerequisite: published weights are not on this machine.
        PpdbenchError: the entry cannot be understood.
    """
    if isinstance(entry, str):
        return Found(folder / entry, None)
    return find(published_files(entry, where=folder / CONFIG), given, owner=owner)


def checked_sha256(folder: Path, file: Found) -> str:
    """A file's sha256, held against its publisher's and the folder's manifest.json.

    Raises:
        PpdbenchError: it is another.
    """
    digest = file_sha256(file.path)
    if file.sha256 not in (None, digest):
        raise PpdbenchError(
            f"{file.path} is not the published file: its sha256 is {digest}, "
            f"the published one's {file.sha256}",
            fix="download it again; weights of your own go into a folder with a config.json: "
            "--reward NAME=FOLDER",
        )
    expected = _manifest_hashes(folder).get(file.path.name) if file.path.parent == folder else None
    if expected not in (None, digest):
        raise PpdbenchError(
            f"{file.path} is damaged: sha256 {digest[:12]}, its manifest says {expected[:12]}",
            fix="copy or download the file again, or reinstall ppdbench",
        )
    return digest


def read_config(path: Path, *, owner: str) -> dict[str, Any]:
    """Read a reward folder's config.json.

    Raises:
        MissingPrerequisite: it is missing.
        PpdbenchError: it is not a JSON object.
    """
    if path.is_file():
        raise MissingPrerequisite(
            f"the checkpoint of {owner} is a file, {path}, where a folder is expected",
            fix=f'put it in a folder with a {CONFIG}: {{"arch": "ViT-H-14", "weights": "FILE"}}',
        )
    file = path / CONFIG
    require_files([file], owner=owner)
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        raise PpdbenchError(f"{file} cannot be read: {error}", fix="write it again") from error
    if not isinstance(config, dict):
        raise PpdbenchError(f"{file} is not a JSON object", fix="write it again")
    return config


def describes_itself(path: Path) -> bool:
    """Whether a folder's config.json is one of ours; those of hub repositories are not."""
    if not (path / CONFIG).is_file():
        return False
    try:
        config = json.loads((path / CONFIG).read_bytes())
    except (OSError, ValueError, RecursionError):
        return True  # reading it says what is wrong
    known = {"arch", "model_cfg", "tower", "head", "embed_dim"}
    return not isinstance(config, dict) or bool(known & config.keys())


def files_of(folder: Path, weights: Path | None = None) -> list[Path]:
    """Files that a reward is read from, in its folder, its tower's, and where weights lie.

    What cannot be found or understood is left out: loading the reward says so.
    """
    if not folder.is_dir():
        return [folder] if folder.is_file() else []
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    try:
        config = read_config(folder, owner="")
    except PpdbenchError:
        return found
    for entry in ("weights", "head"):
        with contextlib.suppress(PpdbenchError):
            if entry in config:
                found.append(locate(folder, config[entry], weights, owner="").path)
    tower = config.get("tower")
    if isinstance(tower, str) and (folder / tower).resolve() != folder.resolve():
        found += files_of((folder / tower).resolve(), weights)
    return [path for path in dict.fromkeys(found) if _is_file(path)]


def require_files(files: Sequence[Path], *, owner: str) -> None:
    """Raise MissingPrerequisite with the path of every file that is not there."""
    if missing := [str(file)[:LONGEST] for file in files if not _is_file(file)]:
        raise MissingPrerequisite(
            f"{owner} lacks {', '.join(missing)}",
            fix="put the weights there, or reinstall ppdbench if they are those of a shipped suite",
        )


def _is_file(file: Path) -> bool:
    """Whether it is there; no file has a name that is longer than names may be."""
    try:
        return file.is_file()
    except OSError:
        return False


def combined_hash(folder: Path, files: Sequence[Path | None]) -> str:
    """One sha256 over several files' contents, in order; each is held against manifest.json.

    Raises:
        PpdbenchError: a file's hash is not what the folder's manifest says.
    """
    total = hashlib.sha256()
    for file in files:
        if file is not None:
            total.update(checked_sha256(folder, Found(file, None)).encode())
    return total.hexdigest()


def _manifest_hashes(folder: Path) -> Mapping[str, str]:
    file = folder / MANIFEST
    if not file.is_file():
        return {}
    try:
        hashes = json.loads(file.read_text(encoding="utf-8")).get("sha256", {})
    except (ValueError, RecursionError, OSError, AttributeError) as error:
        raise PpdbenchError(f"{file} cannot be read: {error}", fix="write it again") from error
    return hashes if isinstance(hashes, dict) else {WEIGHTS: str(hashes)}
