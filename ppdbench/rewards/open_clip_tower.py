"""An open_clip model from local files: normalised image and text embeddings.

Towers whose files are the same are one object, so rewards that share a checkpoint share its
forward pass; text embeddings are kept by token ids. Nothing is ever downloaded. Arithmetic is fp32
without TF32; bf16 halves memory and time on a GPU and moves scores, by how much a run measures.

Elsewhere: files and config (`folder`), reading them (`checkpoint`), pixels (`preprocess`), what is
made of embeddings (`clip`, `hps`, `aesthetic`, `pickscore`).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args
from weakref import WeakValueDictionary

from ppdbench.errors import MissingPrerequisite, PpdbenchError, UsageError, one_line
from ppdbench.rewards.checkpoint import read_weights
from ppdbench.rewards.folder import TowerFolder
from ppdbench.rewards.hf_clip import clean_as_transformers, is_hf_clip, to_open_clip
from ppdbench.rewards.store import Store, from_vector, key_of, to_vector

if TYPE_CHECKING:
    from torch import Tensor, nn

Precision = Literal["fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

TEXT_CACHE = 65_536
"""Text embeddings kept a tower; 256 MB at 1,024 dimensions."""
LESS_MEMORY = "take fewer pictures at once with --batch-size, or --precision bf16"

Tokens = tuple[int, ...]

_loaded: WeakValueDictionary[tuple[str, ...], OpenClipTower] = WeakValueDictionary()


class OpenClipTower:
    """The two encoders of one checkpoint, frozen, on one device; embeddings are fp32."""

    def __init__(
        self, model: nn.Module, tokenizer: Any, device: str, precision: Precision = "fp32"
    ) -> None:
        # Any: its encoders and logit scale are no members of torch's Module.
        self.model: Any = model.eval().requires_grad_(False).to(device)
        self.tokenizer = tokenizer
        self.device = device
        self.precision = precision
        self._texts: dict[Tokens, Tensor] = {}

    @property
    def logit_scale(self) -> float:
        """Exp of the model's learnt logit scale."""
        return float(self.model.logit_scale.exp())

    def encode_images(self, pixels: Tensor) -> Tensor:
        """L2-normalised embeddings, (N, D) float32, of preprocessed pixels (N, 3, S, S)."""
        import torch

        numbers = torch.bfloat16 if self.precision == "bf16" else torch.float32
        with inference(self.device, fix=LESS_MEMORY):
            return _normalised(
                self.model.encode_image(pixels.to(self.device, numbers, non_blocking=True))
            )

    def encode_texts(self, captions: Sequence[str]) -> Tensor:
        """L2-normalised embeddings, (N, D) float32; long captions are cut at the context length.

        Captions with the same tokens are encoded once in the tower's life.
        """
        import torch

        keys = self._tokens(captions)
        self._encode([key for key in dict.fromkeys(keys) if key not in self._texts], keys)
        return torch.stack([self._texts[key] for key in keys])

    def recall_texts(self, captions: Sequence[str], store: Store, tower_key: str) -> None:
        """Bring captions' embeddings into memory: from the store, else encoded and kept there.

        Args:
            captions: what `encode_texts` will be asked for.
            store: embeddings of earlier processes.
            tower_key: names this tower in the store.
        """
        tokens = self._tokens(captions)
        new = [key for key in dict.fromkeys(tokens) if key not in self._texts]
        names = {key: key_of(tower_key, *map(str, key)) for key in new}
        found = store.get("text", names.values())
        self._make_room(len(new), tokens)
        for key in new:
            if (kept := found.get(names[key])) is not None:
                self._texts[key] = from_vector(kept).to(self.device)
        missing = [key for key in new if key not in self._texts]
        self._encode(missing, tokens)
        store.put("text", {names[key]: to_vector(self._texts[key]) for key in missing})

    def _tokens(self, captions: Sequence[str]) -> list[Tokens]:
        return [tuple(row) for row in self.tokenizer(list(captions)).tolist()]

    def _encode(self, new: Sequence[Tokens], wanted: Sequence[Tokens]) -> None:
        """Encode new token rows; a full memory is first emptied of all that is not wanted now."""
        import torch

        if not new:
            return
        self._make_room(len(new), wanted)
        with inference(self.device, fix=LESS_MEMORY):
            rows = torch.tensor(new, device=self.device)
            embeddings = _normalised(self.model.encode_text(rows))
        self._texts.update(zip(new, embeddings, strict=True))

    def _make_room(self, new: int, wanted: Sequence[Tokens]) -> None:
        if len(self._texts) + new > TEXT_CACHE:
            kept = set(wanted)
            self._texts = {key: text for key, text in self._texts.items() if key in kept}


def load_tower(folder: TowerFolder, device: str, precision: Precision = "fp32") -> OpenClipTower:
    """Load a folder's model, or return the one already loaded from the same files.

    Raises:
        UsageError: no such precision.
        MissingPrerequisite: the architecture is unknown to open_clip, or torch and torchvision
            do not fit together.
        PpdbenchError: the weights cannot be read, or are another model's.
    """
    if precision not in PRECISIONS:
        raise UsageError(
            f"no precision is called {precision!r}", fix=f"use {' or '.join(PRECISIONS)}"
        )
    key = (folder.sha256, folder.architecture, folder.text, device, precision)
    tower = _loaded.get(key)
    if tower is None:
        config = _model_config(folder)
        model = build_model(config, empty=True, precision=precision)
        _load_weights(model, folder.weights, device)
        folder.require_unchanged()
        if precision == "bf16":
            _to_bf16(model)
        tower = OpenClipTower(model, _tokenizer(folder, config), device, precision)
        _loaded[key] = tower
    return tower


def image_size(folder: TowerFolder) -> int:
    """Side of the model's square input, pixels."""
    vision = folder.model_cfg.get("vision_cfg") or _model_config(folder)["vision_cfg"]
    size = vision.get("image_size", 224)
    return int(size[0] if isinstance(size, list | tuple) else size)


def embedding_size(folder: TowerFolder) -> int:
    """Length of the model's embeddings."""
    return int(folder.model_cfg.get("embed_dim") or _model_config(folder)["embed_dim"])


def build_model(
    config: dict[str, Any], *, empty: bool = False, precision: Precision = "fp32"
) -> nn.Module:
    """An open_clip model of a config; the caller's random state is left alone.

    Args:
        config: open_clip's model config.
        empty: without weights, which take no memory until they are loaded; else random.
        precision: of the arithmetic it is built for; its weights are fp32 all the same.
    """
    import torch
    from accelerate import init_empty_weights

    open_clip = import_open_clip()
    config = copy.deepcopy(config)
    (config.get("text_cfg") or {}).pop("tokenizer_kwargs", None)
    kind = open_clip.CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    if precision == "bf16":  # its norms then compute in fp32
        config["cast_dtype"] = torch.bfloat16
    hollow = init_empty_weights(include_buffers=False) if empty else nullcontext()
    with torch.random.fork_rng(devices=[]), hollow:
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
    tokenizer = import_open_clip().SimpleTokenizer(
        context_length=text_cfg.get("context_length", 77), **kwargs
    )
    if folder.text == "transformers":
        tokenizer.clean_fn = clean_as_transformers
    return tokenizer


def _load_weights(model: nn.Module, file: Path, device: str) -> None:
    """Load a checkpoint in open_clip's names or transformers'; fp16 is widened to fp32."""
    import torch

    state: Mapping[str, Tensor] = read_weights(file)
    try:
        if is_hf_clip(state):
            state = to_open_clip(state)
        known = model.state_dict()
        # Published checkpoints keep buffers that newer models build themselves.
        old = {"text.transformer.embeddings.position_ids", "attn_mask"} - known.keys()
        model.load_state_dict(
            # A copy, on its device: the file may change under a mapped tensor.
            {
                name: tensor.to(device, torch.float32, copy=True)
                for name, tensor in state.items()
                if name not in old
            },
            assign=True,
        )
    except (RuntimeError, KeyError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise PpdbenchError(
            f"{file} holds another model's weights: {' '.join(lines[1:3] or lines)[:300]}",
            fix="make config.json and the weights belong together",
        ) from error


def _to_bf16(model: nn.Module) -> None:
    """Weights of matrix products and convolutions to bf16; norms stay fp32."""
    import torch
    from open_clip.model import convert_weights_to_lp

    convert_weights_to_lp(model, dtype=torch.bfloat16)


def _normalised(features: Tensor) -> Tensor:
    from torch.nn import functional

    return functional.normalize(features.float(), dim=-1)


@contextmanager
def inference(device: str, *, fix: str) -> Iterator[None]:
    """Run a model without gradients and without TF32.

    Raises:
        PpdbenchError: the device has too little memory; `fix` says what to do.
    """
    import torch

    try:
        with torch.inference_mode(), full_precision():
            yield
    except torch.OutOfMemoryError as error:
        raise PpdbenchError(
            f"{device} has too little memory: {one_line(error, 160)}", fix=fix
        ) from error


@contextmanager
def full_precision() -> Iterator[None]:
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
