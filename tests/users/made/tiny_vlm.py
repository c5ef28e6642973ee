"""A random LLaVA-OneVision of the public classes, small enough to be built and run in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from ppdbench.suites.shapes.renderer import SIDE
from trainers.shapes import vlm_parts
from trainers.shapes.vlm_parts import END, IMAGE, IMAGE_TOKENS, PAD, PATCH, VIDEO

__all__ = ["END", "IMAGE", "IMAGE_TOKENS", "SIDE", "library", "write_vlm"]

MARKS = (PAD, END, IMAGE, VIDEO)
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}<image>"
    "{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ part['text'] }}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As published ones do, it puts images that are parts of their own before all text."""

library: Any = transformers


def write_vlm(folder: Path, *, seed: int = 0, max_new_tokens: int | None = 12) -> Path:
    """Write a model whose answers are noise of bytes and, soon or late, the end of the turn."""
    processor = new_processor()
    model = new_model(processor, seed)
    model.generation_config.max_new_tokens = max_new_tokens
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def new_processor() -> Any:
    """Of the shipped model's making: every byte is a token of its own, and every mark."""
    processor = vlm_parts.new_processor([])
    processor.chat_template = TEMPLATE
    processor.tokenizer.padding_side = "right"  # as some folders have it; nothing may depend on it
    return processor


def new_model(processor: Any, seed: int) -> Any:
    tokenizer = processor.tokenizer
    ids = dict(zip(MARKS, tokenizer.convert_tokens_to_ids(list(MARKS)), strict=True))
    torch.manual_seed(seed)
    model = library.LlavaOnevisionForConditionalGeneration(
        library.LlavaOnevisionConfig(
            text_config=library.Qwen2Config(
                vocab_size=len(tokenizer),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=3,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=1024,
                eos_token_id=ids[END],
                pad_token_id=ids[PAD],
                use_sliding_window=False,
            ),
            vision_config=library.SiglipVisionConfig(
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                image_size=SIDE,
                patch_size=PATCH,
                vision_use_head=False,
            ),
            image_token_index=ids[IMAGE],
            video_token_index=ids[VIDEO],
            vision_feature_select_strategy="full",
            vision_feature_layer=-1,
            image_grid_pinpoints=[[SIDE, SIDE]],
        )
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # fresh weights say nearly the same of everything
            if parameter.dim() > 1:
                parameter.mul_(12)
        model.lm_head.weight[ids[END]].mul_(2.5)  # or an answer would never end
        model.lm_head.weight[ids[IMAGE]].mul_(3)  # and one would like to show images
    model.generation_config.eos_token_id = ids[END]
    model.generation_config.pad_token_id = ids[PAD]
    return model
