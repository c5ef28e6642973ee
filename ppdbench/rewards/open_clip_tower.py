"""An open_clip model from local files: normalised image and text embeddings, in fp32.

Towers whose files are the same are one object, so rewards that share a checkpoint share its
forward pass; text embeddings are kept by token ids. Nothing is ever downloaded.

Elsewhere: files and config (`folder`), pixels (`preprocess`), what is made of embeddings
(`clip`, `hps`, `aesthetic`).
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from ppdbench.errors import MissingPrerequisite, PpdbenchError
from ppdbench.rewards.folder import TowerFolder

if TYPE_CHECKING:
    from torch import Tensor, nn

TEXT_CACHE = 65_536
"""Text embeddings kept a tower; 256 MB at 1,024 dimensions."""

_loaded: WeakValueDictionary[tuple[str, str], OpenClipTower] = WeakValueDictionary()


class OpenClipTower:
    """The two encoders of one checkpoint, frozen, fp32, on one device."""

    def __init__(self, model: nn.Module, tokenizer: Any, device: str) -> None:
        self.model = model.eval().requires_grad_(False).to(device)
        self.tokenizer = tokenizer
        self.device = device
        self._texts: dict[tuple[int, ...], Tensor] = {}

    def encode_images(self, pixels: Tensor) -> Tensor:
        """L2-normalised embeddings, (N, D) float32, of preprocessed pixels (N, 3, S, S)."""
        import torch

        with torch.inference_mode(), _full_precision():
            features: Tensor = self.model.encode_image(  # type: ignore[operator]
                pixels.to(self.device), normalize=True
            )
            return features

    def encode_texts(self, captions: Sequence[str]) -> Tensor:
        """L2-normalised embeddings, (N, D) float32; long captions are cut at the context length.

        Captions with the same tokens are encoded once in the tower's life.
        """
        import torch

        rows = self.tokenizer(list(captions))
        keys = [tuple(row) for row in rows.tolist()]
        new = {key: i for i, key in enumerate(keys) if key not in self._texts}
        if new:
            if len(self._texts) + len(new) > TEXT_CACHE:
                self._texts.clear()
                new = {key: i for i, key in enumerate(keys)}
            with torch.inference_mode(), _full_precision():
                embeddings = self.model.encode_text(  # type: ignore[operator]
                    rows[list(new.values())].to(self.device), normalize=True
                )
            self._texts.update(zip(new, embeddings, strict=True))
        return torch.stack([self._texts[key] for key in keys])


def load_tower(folder: TowerFolder, device: str) -> OpenClipTower:
    """Load a folder's model, or return the one already loaded from the same files.

    Raises:
        MissingPrerequisite: the architecture is unknown to open_clip, or torch and torchvision
            do not fit together.
        PpdbenchError: the weights cannot be read, or are another model's.
    """
    key = (folder.sha256, device)
    tower = _loaded.get(key)
    if tower is None:
        config = _model_config(folder)
        model = build_model(config)
        _load_weights(model, folder.weights)
        tower = OpenClipTower(model, _tokenizer(folder, config), device)
        _loaded[key] = tower
    return tower


def image_size(folder: TowerFolder) -> int:
    """Side of the model's square input, pixels."""
    vision = folder.model_cfg.get("vision_cfg") or _model_config(folder)["vision_cfg"]
    size = vision.get("image_size", 224)
    return int(size[0] if isinstance(size, list | tuple) else size)


def build_model(config: dict[str, Any]) -> nn.Module:
    """An open_clip model of a config, weights random; the caller's random state is left alone."""
    import torch

    open_clip = import_open_clip()
    config = copy.deepcopy(config)
    (config.get("text_cfg") or {}).pop("tokenizer_kwargs", None)
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    with torch.random.fork_rng(devices=[]):
        model: nn.Module = kind(**config)
    return model


def import_open_clip() -> Any:
    """Import open_clip, and say what to mend where torch and torchvision are of two builds.

    Raises:
        MissingPrerequisite: open_clip is missing or torchvision does not fit torch.
    """
    try:
        import open_clip
    except ModuleNotFoundError as error:
        raise MissingPrerequisite(
            f"the module {error.name} is not installed", fix="pip install open_clip_torch"
        ) from error
    except (RuntimeError, OSError) as error:  # "operator torchvision::nms does not exist"
        if "torchvision" not in str(error):
            raise
        reason = str(error).partition("\n")[0]
        raise MissingPrerequisite(
            f"torch and torchvision are of two builds: {reason}",
            fix="install both by one command from one index: "
            "pip install --force-reinstall torch torchvision",
        ) from error
    return open_clip


def _model_config(folder: TowerFolder) -> dict[str, Any]:
    if folder.arch is None:
        return dict(folder.model_cfg)
    config = import_open_clip().get_model_config(folder.arch)
    if config is None:
        raise MissingPrerequisite(
            f"{folder.path} names the architecture {folder.arch!r}, which open_clip lacks",
            fix="use a name of open_clip.list_models(), or give model_cfg in config.json",
        )
    merged = {**config, **folder.model_cfg}
    return {str(name): value for name, value in merged.items()}


def _tokenizer(folder: TowerFolder, config: dict[str, Any]) -> Any:
    text_cfg = config["text_cfg"]
    if text_cfg.get("hf_tokenizer_name") or text_cfg.get("hf_model_name"):
        raise MissingPrerequisite(
            f"{folder.path} wants a tokenizer from the Hugging Face hub",
            fix="only CLIP's tokenizer, or own merges by tokenizer_kwargs.bpe_path, are supported",
        )
    kwargs = dict(text_cfg.get("tokenizer_kwargs") or {})
    if folder.merges is not None:
        kwargs["bpe_path"] = str(folder.merges)
    return import_open_clip().SimpleTokenizer(
        context_length=text_cfg.get("context_length", 77), **kwargs
    )


def _load_weights(model: nn.Module, file: Path) -> None:
    """Load safetensors, or a torch file with `weights_only`; fp16 is widened to fp32."""
    state = read_weights(file)
    # Published checkpoints keep buffers that newer models build themselves.
    for name in ("text.transformer.embeddings.position_ids", "attn_mask"):
        if name not in model.state_dict():
            state.pop(name, None)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise PpdbenchError(
            f"{file} holds another model's weights: {' '.join(lines[1:3])[:300]}",
            fix="make config.json and the weights belong together",
        ) from error


def read_weights(file: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, or of a torch file read with `weights_only`, on the CPU.

    Raises:
        PpdbenchError: the file is truncated, or holds more than tensors.
    """
    import safetensors
    import safetensors.torch
    import torch

    try:
        if file.suffix == ".safetensors":
            return dict(safetensors.torch.load_file(file))
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except (
        safetensors.SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
    ) as error:
        reason = str(error).strip().partition("\n")[0]
        raise PpdbenchError(
            f"the weights {file} cannot be read: {reason[:200]}",
            fix="the file is cut short or no checkpoint: copy or download it again",
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    return {name.removeprefix("module."): value for name, value in state.items()}


@contextmanager
def _full_precision() -> Iterator[None]:
    """Keep TF32 out: it moves a CLIP score by more than two models may differ."""
    import torch

    matmul = torch.backends.cuda.matmul.allow_tf32
    convolution = torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = matmul
        torch.backends.cudnn.allow_tf32 = convolution
