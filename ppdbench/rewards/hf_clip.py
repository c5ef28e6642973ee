"""What transformers does otherwise with the CLIP that both it and open_clip hold.

Weights: query, key and value are apart, projections transposed, names its own. Captions: neither
mended by ftfy nor freed of HTML entities. With both brought to open_clip's form, one tower serves
all (PickScore and OpenAI's ViT-L/14 are published in transformers').
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

MARK = "vision_model.embeddings.class_embedding"
"""A tensor that only transformers' form has."""

_WHOLE = {
    "logit_scale": "logit_scale",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_projection.weight": "text_projection",
    "visual_projection.weight": "visual.proj",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
}
_TRANSPOSED = ("text_projection", "visual.proj")
_NORMS = {
    "text_model.final_layer_norm": "ln_final",
    "vision_model.pre_layrnorm": "visual.ln_pre",  # spelt so in transformers
    "vision_model.post_layernorm": "visual.ln_post",
}
_BLOCKS = {"text_model": "transformer", "vision_model": "visual.transformer"}
_PARTS = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_BLOCK = re.compile(r"(text_model|vision_model)\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_PROJECTIONS = ("q_proj", "k_proj", "v_proj")


def is_hf_clip(state: Mapping[str, Tensor]) -> bool:
    """Whether these are a transformers CLIPModel's weights."""
    return MARK in state


def to_open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under open_clip's names; names it does not know stay, to be refused.

    Raises:
        KeyError: a block has a query without its key or value.
    """
    import torch

    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.endswith(".embeddings.position_ids"):
            continue  # counts 0, 1, 2, ...; older versions saved it
        block = _BLOCK.fullmatch(name)
        norm, _, kind = name.rpartition(".")
        if name in _WHOLE:
            new = _WHOLE[name]
            renamed[new] = tensor.T.contiguous() if new in _TRANSPOSED else tensor
        elif norm in _NORMS:
            renamed[f"{_NORMS[norm]}.{kind}"] = tensor
        elif block is None:
            renamed[name] = tensor
        else:
            tower, layer, part, kind = block.groups()
            to = f"{_BLOCKS[tower]}.resblocks.{layer}"
            if part in _PARTS:
                renamed[f"{to}.{_PARTS[part]}.{kind}"] = tensor
            elif part == "self_attn.q_proj":
                own = name.removesuffix(f"q_proj.{kind}")
                three = [state[f"{own}{projection}.{kind}"] for projection in _PROJECTIONS]
                renamed[f"{to}.attn.in_proj_{kind}"] = torch.cat(three)
            elif part.removeprefix("self_attn.") not in _PROJECTIONS:
                renamed[name] = tensor
    return renamed


def clean_as_transformers(text: str) -> str:
    """A caption as CLIP's tokenizer in transformers normalises it: NFC, and each letter lower.

    open_clip's own also mends mis-decoded text and resolves HTML entities. Whitespace is left:
    no token has any.
    """
    return "".join(letter.lower() for letter in unicodedata.normalize("NFC", text))
