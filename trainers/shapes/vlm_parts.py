"""The tiny LLaVA-OneVision: its configuration, tokenizer and processor, all of the public classes.

64 x 64 pictures in patches of 32: four tokens and a newline an image, so that ten images are a
short prompt. Elsewhere: what it is trained to see (`train_vision.py`) and to say (`train_vlm.py`),
who asks it (`ppdbench.users.vlm`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ppdbench.suites.shapes.renderer import SIDE

PATCH = 32
IMAGE_TOKENS = (SIDE // PATCH) ** 2
VOCABULARY = 512
CONTEXT = 1024
START, END, PAD, IMAGE, VIDEO = "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<image>", "<video>"
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Qwen2's turns; images stand where the text says `<image>`."""
TEXT: Mapping[str, Any] = {
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
VISION: Mapping[str, Any] = {
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
}
"""Sizes of the language model, and of the vision tower."""


def new_processor(corpus: Iterable[str]) -> Any:
    """Tokenizer, image processor and template; the tokenizer is byte-level BPE over `corpus`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
        PreTrainedTokenizerFast,
    )

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = [PAD, START, END, IMAGE, VIDEO]
    bpe.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    # All marks in the dict: with one, `additional_special_tokens` is dropped without a word.
    tokenizer_class: Any = PreTrainedTokenizerFast
    processor_class: Any = LlavaOnevisionProcessor
    tokenizer = tokenizer_class(
        tokenizer_object=bpe,
        pad_token=PAD,
        eos_token=END,
        extra_special_tokens={
            "image_token": IMAGE,
            "video_token": VIDEO,
            "turn_token": START,
        },
        model_max_length=CONTEXT,
        padding_side="left",
    )
    size = {"height": SIDE, "width": SIDE}
    looks: dict[str, Any] = {"size": size, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return processor_class(
        image_processor=LlavaOnevisionImageProcessor(image_grid_pinpoints=[[SIDE, SIDE]], **looks),
        tokenizer=tokenizer,
        video_processor=LlavaOnevisionVideoProcessor(**looks),
        num_image_tokens=IMAGE_TOKENS,
        vision_feature_select_strategy="full",
        image_token=IMAGE,
        video_token=VIDEO,
        chat_template=TEMPLATE,
    )


def new_model(
    processor: Any, text: Mapping[str, Any] = TEXT, vision: Mapping[str, Any] = VISION
) -> Any:
    """An untrained model for that processor, of those sizes; seed torch before."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        Qwen2Config,
        SiglipVisionConfig,
    )

    tokenizer = processor.tokenizer
    ids = {mark: tokenizer.convert_tokens_to_ids(mark) for mark in (PAD, END, IMAGE, VIDEO)}
    model = LlavaOnevisionForConditionalGeneration(
        LlavaOnevisionConfig(
            text_config=Qwen2Config(
                **text,
                vocab_size=len(tokenizer),
                max_position_embeddings=CONTEXT,
                bos_token_id=ids[PAD],
                eos_token_id=ids[END],
                pad_token_id=ids[PAD],
                use_sliding_window=False,
            ),
            vision_config=SiglipVisionConfig(
                **vision, image_size=SIDE, patch_size=PATCH, vision_use_head=False
            ),
            image_token_index=ids[IMAGE],
            video_token_index=ids[VIDEO],
            vision_feature_select_strategy="full",
            vision_feature_layer=-1,
            image_grid_pinpoints=[[SIDE, SIDE]],
            tie_word_embeddings=text["tie_word_embeddings"],
        )
    )
    model.generation_config.max_new_tokens = 96
    model.generation_config.eos_token_id = ids[END]
    model.generation_config.pad_token_id = ids[PAD]
    return model
