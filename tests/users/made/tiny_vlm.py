"""A random LLaVA-OneVision of the public classes, small enough to be built and run in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ppdbench.suites.shapes.renderer import SIDE
from trainers.shapes import vlm_parts
from trainers.shapes.vlm_parts import END, IMAGE, IMAGE_TOKENS

__all__ = ["END", "IMAGE", "IMAGE_TOKENS", "SIDE", "write_vlm"]

TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": False,
}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}<image>"
    "{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ part['text'] }}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""As published ones do, it puts images that are parts of their own before all text."""


def write_vlm(folder: Path) -> Path:
    """Write a model whose answers are noise of bytes and, soon or late, the end of the turn."""
    processor = new_processor()
    model = new_model(processor)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def new_processor() -> Any:
    """Of the shipped model's making: every byte is a token of its own, and every mark."""
    processor = vlm_parts.new_processor([])
    processor.chat_template = TEMPLATE
    processor.tokenizer.padding_side = "right"  # as some folders have it; nothing may depend on it
    return processor


def new_model(processor: Any) -> Any:
    torch.manual_seed(0)
    model = vlm_parts.new_model(processor, TEXT, VISION).eval()
    end, image = processor.tokenizer.convert_tokens_to_ids([END, IMAGE])
    with torch.no_grad():
        for parameter in model.parameters():  # fresh weights say nearly the same of everything
            if parameter.dim() > 1:
                parameter.mul_(12)
        model.lm_head.weight[end].mul_(2.5)  # or an answer would never end
        model.lm_head.weight[image].mul_(3)  # and one would like to show images
    model.generation_config.max_new_tokens = 12
    return model
