"""PickScore as its model card computes it, in transformers.

exp(logit scale) times the cosine of CLIPModel's image and text features; text padded and cut at
77. The card loads LAION's ViT-H/14 processor from the hub; here the same processor is made from its
settings: CLIP's tokenizer from the merges that the open_clip wheel carries (one vocabulary), which
resolves no HTML entities and mends no quotes, and CLIP's image processor. `pil` is the processor
that the card meant, when there was no other; `torchvision` is the default of transformers 5.

Two things changed with transformers 5. `get_image_features` returns an object; `pooler_output` is
what it returned before. And transparency is laid on white, where 4.31 and 4.57 dropped it by
`convert("RGB")`: `rgb-first` drops it as they did, by handing over a converted picture.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import deliberate_errors as errors
import torch
from checkpoints import clip_config
from PIL import Image
from side import parse_job

VARIANTS = ("pil", "rgb-first", "torchvision")


def main() -> None:
    """Score what is pending."""
    from transformers import CLIPModel

    job = parse_job()
    pending = job.pending()
    if not pending:
        return
    folder = job.work / "checkpoints" / "pickscore"
    model: Any = CLIPModel.from_pretrained(folder, config=clip_config(), dtype=torch.float32)
    model.eval()
    if job.variant == errors.ACTIVATION:
        errors.swap_activation(model)
    processor = make_processor(job.variant)
    wrong = job.variant in (errors.NO_ANTIALIAS, errors.SQUASHED)
    for picture in pending:
        try:
            image: Image.Image = Image.open(job.path(picture))
            if job.variant == "rgb-first":
                image = errors.to_rgb(image)
                image.info.pop("transparency", None)  # Pillow keeps it, as a colour
            pixels = (
                _wrong_pixels(job.variant, image, processor.image_processor)
                if wrong
                else processor(images=image, return_tensors="pt")["pixel_values"]
            )
        except (RuntimeError, ValueError, OSError) as error:
            job.fail(picture, error)
            continue
        cut = {"padding": True, "truncation": True, "max_length": 77}
        text = processor(text=picture.caption, return_tensors="pt", **cut)
        with torch.no_grad():
            image_embedding = model.get_image_features(pixel_values=pixels).pooler_output
            text_embedding = model.get_text_features(**text).pooler_output
            image_embedding = image_embedding / image_embedding.norm(dim=-1, keepdim=True)
            text_embedding = text_embedding / text_embedding.norm(dim=-1, keepdim=True)
            score = model.logit_scale.exp() * (text_embedding @ image_embedding.T)[0]
        job.answer(picture, score.item())


def make_processor(variant: str) -> Any:
    """LAION's ViT-H/14 processor: OpenAI's pictures and tokens."""
    from transformers import CLIPImageProcessor, CLIPProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    kind = CLIPImageProcessor if variant == "torchvision" else CLIPImageProcessorPil
    make: Any = CLIPProcessor
    return make(image_processor=kind(), tokenizer=make_tokenizer())


def make_tokenizer() -> Any:
    """CLIP's tokenizer from open_clip's merges: bytes, bytes ending a word, merges, two marks."""
    import open_clip
    from open_clip.tokenizer import bytes_to_unicode
    from transformers import CLIPTokenizer

    file = Path(open_clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
    lines = gzip.decompress(file.read_bytes()).decode("utf-8").split("\n")
    merges = [tuple(line.split()) for line in lines[1 : 49152 - 256 - 2 + 1]]
    letters = list(bytes_to_unicode().values())
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(m) for m in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: place for place, word in enumerate(words)}
    make: Any = CLIPTokenizer  # takes pairs; its annotation says lines
    return make(vocab=vocabulary, merges=merges, model_max_length=77)


def _wrong_pixels(variant: str, image: Image.Image, settings: Any) -> torch.Tensor:
    transform = errors.shortest_side_transform(variant, settings.image_mean, settings.image_std)
    pixels: torch.Tensor = transform(image)[None]
    return pixels


if __name__ == "__main__":
    main()
