"""Stable Cascade's published files, found: folders of the hub's repositories, or single files.

What is looked for, in the folder that is named, in repositories' folders in and beside it, or in
the hub's cache::

    part           of a hub repository                        or the original's single file
    Stage C        prior/ or prior_lite/                      stage_c[_lite][_bf16].safetensors
    text encoder   text_encoder/
    tokenizer      tokenizer/
    compressor                                                effnet_encoder.safetensors
    previewer                                                 previewer.safetensors
    Stage B        decoder/ or decoder_lite/                  stage_b[_lite][_bf16].safetensors
    Stage A        vqgan/                                     stage_a.safetensors

Where several would do, the first is taken, a large one before a lite one and bfloat16 before
float32; to have another, its folder or file is named. Nothing is downloaded. Elsewhere: reading
them (`weights.py`), the model (`published_base.py`), a base of our own layout (`load.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ppdbench.errors import MissingPrerequisite, one_line

PRIOR, DECODER = "stabilityai/stable-cascade-prior", "stabilityai/stable-cascade"
"""The hub's repositories: Stage C and the text encoder; Stage B, Stage A and the single files."""
STAGE_C_FOLDERS = ("prior", "prior_lite")
STAGE_B_FOLDERS = ("decoder", "decoder_lite")
SIZES = ("_bf16", "", "_lite_bf16", "_lite")
STEMS = ("diffusion_pytorch_model", "model")
VARIANTS = (".bf16", "")
AGAIN = (
    "copy or download the file again, and see that its config.json is that of its own size "
    "(docs/model.md says which files belong together)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Where the weights of one part lie."""

    name: str
    """What errors call it: Stage C, text encoder, ..."""
    files: tuple[Path, ...]
    """One, or shards."""
    config: Path | None = None
    """Its config.json; None for the original's files, which have none."""

    def __str__(self) -> str:
        first = self.files[0]
        more = f" and {len(self.files) - 1} more" if len(self.files) > 1 else ""
        return f"{self.name}, {first}{more}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFiles:
    """Where every part of a published Stable Cascade lies."""

    stage_c: Part
    text_encoder: Part
    tokenizer: Path
    compressor: Part
    previewer: Part
    stage_b: Part | None
    """None where it is not there; so `stage_a`."""
    stage_a: Part | None


def is_published(base: Path) -> bool:
    """Whether a base is of the published layout: a file, a hub's name, or by what a folder has."""
    if not base.is_dir():
        return base.suffix == ".safetensors" or (not base.exists() and _hub_name(base) is not None)
    config = base / "config.json"
    if config.is_file():
        try:
            return "_class_name" in json.loads(config.read_text())
        except (OSError, ValueError, RecursionError, TypeError):
            return False
    roots = _roots(base)
    return next(_stage(roots, STAGE_C_FOLDERS, "stage_c", "Stage C"), None) is not None or any(
        (root / name).exists() for root in roots for name in ("model_index.json", "prior")
    )


def on_this_machine(base: Path) -> bool:
    """Whether there is anything where a base is named: a folder, a file, or one in the cache."""
    named = _hub_name(base)
    return base.exists() or (named is not None and _cached(named[0]) is not None)


def find_published(base: Path) -> PublishedFiles:
    """The files of a base.

    Args:
        base: a folder with the published files, that of one Stage C (`.../prior_lite`), a single
            file of one, or a name on the hub ("stabilityai/stable-cascade-prior", and what follows
            is a folder in it), which is looked for in the hub's cache.

    Raises:
        MissingPrerequisite: parts are missing, all of which are named.
    """
    chosen, roots = _chosen(base)
    missing: list[str] = []

    def need(found: Iterator[Part], what: str) -> Part | None:
        part = next(found, None)
        if part is None:
            missing.append(what)
        return part

    stage_c = chosen or need(
        _stage(roots, STAGE_C_FOLDERS, "stage_c", "Stage C"),
        "Stage C (prior/, or stage_c_bf16.safetensors)",
    )
    text = need(
        (part for root in roots for part in _folder(root / "text_encoder", "text encoder")),
        f"the text encoder (text_encoder/ of {PRIOR})",
    )
    compressor = need(
        _single(roots, "effnet_encoder", "compressor"),
        f"the semantic compressor (effnet_encoder.safetensors of {DECODER})",
    )
    previewer = need(
        _single(roots, "previewer", "previewer"),
        f"the previewer (previewer.safetensors of {DECODER})",
    )
    tokenizer = next((root / "tokenizer" for root in roots if (root / "tokenizer").is_dir()), None)
    if tokenizer is None:
        missing.append(f"the tokenizer (tokenizer/ of {PRIOR})")
    if not (stage_c and text and compressor and previewer and tokenizer):
        raise MissingPrerequisite(
            f"{base} lacks {'; '.join(missing)}",
            fix="download them (docs/model.md has the commands) into that folder, beside it in "
            "folders of the repositories' names, or, for a name on the hub, into the hub's cache",
        )
    stage_b = _stage(roots, STAGE_B_FOLDERS, "stage_b", "Stage B")
    stage_a = _both(roots, "vqgan", "stage_a", "Stage A")
    return PublishedFiles(
        stage_c=stage_c,
        text_encoder=text,
        tokenizer=tokenizer,
        compressor=compressor,
        previewer=previewer,
        stage_b=next(stage_b, None),
        stage_a=next(stage_a, None),
    )


def _chosen(base: Path) -> tuple[Part | None, list[Path]]:
    """The Stage C that is named itself, if it is, and the folders to look in."""
    if not base.exists():
        base = _from_hub(base)
    if base.is_file():
        config = base.parent / "config.json"
        if config.is_file():
            named = Part(name="Stage C", files=(base,), config=config)
            return named, _roots(base.parent.parent)
        return Part(name="Stage C", files=(base,)), _roots(base.parent)
    if (base / "config.json").is_file():
        part = next(_folder(base, "Stage C"), None)
        if part is None:
            raise MissingPrerequisite(
                f"{base} has a config.json and no weights", fix=f"put {STEMS[0]}.safetensors there"
            )
        return part, _roots(base.parent)
    return None, _roots(base)


def _roots(base: Path) -> list[Path]:
    """The folder, and those of the repositories in it, beside it and beside it in the cache."""
    names = [repository.partition("/")[2] for repository in (PRIOR, DECODER)]
    around = [place / name for place in (base, base.parent) for name in names]
    roots = [base, *(folder for folder in around if folder.is_dir())]
    cache = base.parents[1] if base.parent.name == "snapshots" else None
    if cache is not None and cache.name.startswith("models--"):
        roots += [root for name in (PRIOR, DECODER) if (root := _cached(name)) is not None]
    return list(dict.fromkeys(roots))


def _hub_name(base: Path) -> tuple[str, str] | None:
    """owner/name of the hub's and the folder in it that a path may be; None where it is none."""
    parts = PurePosixPath(base.as_posix()).parts
    if (
        len(parts) not in (2, 3)
        or base.is_absolute()
        or any(part in (".", "..", "~") for part in parts)
    ):
        return None
    return "/".join(parts[:2]), "/".join(parts[2:])


def from_hub(path: Path) -> Path | None:
    """What a name on the hub, owner/name or owner/name/folder, means in the hub's cache."""
    named = _hub_name(path)
    if named is None or (root := _cached(named[0])) is None:
        return None
    return root / named[1] if (root / named[1]).exists() else None


def _from_hub(base: Path) -> Path:
    if (found := from_hub(base)) is not None:
        return found
    named = _hub_name(base)
    name = named[0] if named else PRIOR
    raise MissingPrerequisite(
        f"there is no base model at {base}: no such folder, and not in the hub's cache",
        fix=f"mend the path, or `hf download {name}` (docs/model.md says which files are needed)",
    )


def _cached(name: str) -> Path | None:
    """The newest snapshot of a repository in the hub's cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, OSError, ValueError):
        return None


def _stage(roots: Sequence[Path], folders: Sequence[str], stem: str, name: str) -> Iterator[Part]:
    for root in roots:
        for folder in folders:
            yield from _folder(root / folder, name)
        for size in SIZES:
            file = root / f"{stem}{size}.safetensors"
            if file.is_file():
                yield Part(name=name, files=(file,))


def _single(roots: Sequence[Path], stem: str, name: str) -> Iterator[Part]:
    for root in roots:
        if (file := root / f"{stem}.safetensors").is_file():
            yield Part(name=name, files=(file,))


def _both(roots: Sequence[Path], folder: str, stem: str, name: str) -> Iterator[Part]:
    for root in roots:
        yield from _folder(root / folder, name)
        yield from _single([root], stem, name)


def _folder(folder: Path, name: str) -> Iterator[Part]:
    """The part in a folder that diffusers or transformers wrote, if it has its weights."""
    config = folder / "config.json"
    if not config.is_file():
        return
    for stem in STEMS:
        for variant in VARIANTS:
            whole = folder / f"{stem}{variant}.safetensors"
            index = folder / f"{stem}.safetensors.index{variant}.json"
            if whole.is_file():
                yield Part(name=name, files=(whole,), config=config)
            elif index.is_file():
                yield Part(name=name, files=_shards(index), config=config)


def _shards(index: Path) -> tuple[Path, ...]:
    """The files that an index lists.

    Raises:
        MissingPrerequisite: it is damaged, or a file of it is not there.
    """
    try:
        listed = json.loads(index.read_text())["weight_map"].values()
        names = sorted({str(name) for name in listed})
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise MissingPrerequisite(f"{index} is damaged: {one_line(error)}", fix=AGAIN) from error
    if not names or any(PurePosixPath(name).name != name for name in names):
        raise MissingPrerequisite(f"{index} lists no weights beside it", fix=AGAIN)
    gone = [name for name in names if not (index.parent / name).is_file()]
    if gone:
        raise MissingPrerequisite(f"{index.parent} lacks {', '.join(gone)}", fix=AGAIN)
    return tuple(index.parent / name for name in names)
