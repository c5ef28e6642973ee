"""From the files of a LLaVA-OneVision to the model: loaded once, and found to be whole.

Elsewhere: where the files are (`vlm_files`), what the model is asked (`vlm`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

from ppdbench.errors import MissingPrerequisite, PpdbenchError, UsageError, one_line
from ppdbench.rewards.open_clip_tower import PRECISIONS, Precision
from ppdbench.users.vlm import Vlm
from ppdbench.users.vlm_files import VlmFiles

_loaded: WeakValueDictionary[tuple[str, str, str], Vlm] = WeakValueDictionary()


def load_vlm(files: VlmFiles, device: str, precision: Precision | None = None) -> Vlm:
    """Load a model, or return the one already loaded from the same files.

    Args:
        files: of `vlm_files.find_vlm`.
        device: as torch names it.
        precision: "bf16" on a GPU and "fp32" elsewhere, where nothing is said.

    Raises:
        UsageError: no such precision.
        MissingPrerequisite: the files are damaged, or are not those of one model.
        PpdbenchError: the device has too little memory.
    """
    import torch

    precision = precision or default_precision(device)
    if precision not in PRECISIONS:
        raise UsageError(
            f"no precision is called {precision!r}", fix=f"use {' or '.join(PRECISIONS)}"
        )
    key = (files.sha256, device, precision)
    if (known := _loaded.get(key)) is not None:
        return known
    try:
        vlm = _read(files, device, precision)
    except torch.OutOfMemoryError as error:
        raise PpdbenchError(
            f"{device} has too little memory for {files.name}: {one_line(error, 160)}",
            fix="use a larger device",
        ) from error
    except (PpdbenchError, ImportError):
        raise
    except Exception as error:  # what three libraries raise on damaged files is no closed list
        raise MissingPrerequisite(
            f"the vision-language model {files.name} cannot be loaded: {one_line(error)}",
            fix="its files are damaged or not of one model: copy or download all of it again",
        ) from error
    files.require_unchanged()
    _loaded[key] = vlm
    return vlm


def default_precision(device: str) -> Precision:
    """bf16 on a GPU, fp32 elsewhere."""
    return "bf16" if device.startswith("cuda") else "fp32"


def _read(files: VlmFiles, device: str, precision: Precision) -> Vlm:
    import torch
    import transformers

    library: Any = transformers
    with quietly():
        processor = library.LlavaOnevisionProcessor.from_pretrained(
            files.path,
            local_files_only=True,
            trust_remote_code=False,  # where nothing is said, it asks on the terminal
        )
        model, report = library.LlavaOnevisionForConditionalGeneration.from_pretrained(
            files.path,
            dtype=torch.bfloat16 if precision == "bf16" else torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,  # never pickle
            output_loading_info=True,
        )
    lacking = sorted({*report["missing_keys"], *report["mismatched_keys"]}, key=str)
    if lacking:  # transformers fills them with noise
        raise MissingPrerequisite(
            f"the weights of {files.name} lack {len(lacking)} tensors: {lacking[0]}, ...",
            fix="make config.json and the weights belong together",
        )
    if not processor.chat_template:
        raise MissingPrerequisite(
            f"{files.name} has no chat template", fix="add its chat_template.jinja"
        )
    return Vlm(model.eval().requires_grad_(False).to(device), processor, device, precision)


@contextmanager
def quietly() -> Iterator[None]:
    """Without the library's progress bars."""
    from transformers.utils import logging as library_logging

    logging: Any = library_logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
