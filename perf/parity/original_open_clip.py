"""open_clip's own CLIP score: its model, preprocessing and tokenizer; 100 times the cosine.

Its preprocessing shrinks and crops first and converts to RGB after, so palettes are resized by
nearest neighbour and alpha weighs on colours. Ours converts first. `as-is` hands over the picture
as it was opened; `rgb-first` a picture that was converted before. Where the picture is RGB or grey
the two agree by definition.
"""

from __future__ import annotations

from typing import Any

import deliberate_errors as errors
import torch
from checkpoints import H14
from PIL import Image
from side import parse_job

VARIANTS = ("as-is", "rgb-first")


def main() -> None:
    """Score what is pending."""
    import open_clip

    job = parse_job()
    pending = job.pending()
    if not pending:
        return
    weights = job.work / "checkpoints" / "clip-h" / "clip-h.pt"
    model, _, preprocess = open_clip.create_model_and_transforms(H14, pretrained=str(weights))
    model.eval()
    tokenizer = open_clip.get_tokenizer(H14)
    transform = vary(job.variant, model, preprocess)
    for picture in pending:
        try:
            pixels = transform(Image.open(job.path(picture))).unsqueeze(0)
        except (RuntimeError, ValueError, OSError) as error:
            job.fail(picture, error)
            continue
        with torch.no_grad():
            image = model.encode_image(pixels)
            text = model.encode_text(tokenizer([picture.caption]))
            image = image / image.norm(dim=-1, keepdim=True)
            text = text / text.norm(dim=-1, keepdim=True)
        job.answer(picture, 100 * (image @ text.T).item())


def vary(variant: str, model: torch.nn.Module, preprocess: Any) -> Any:
    """The variant's preprocessing; a wrong activation is put into the model."""
    import open_clip
    from torchvision.transforms import Compose

    if variant == "as-is":
        return preprocess
    if variant in errors.SHORTEST_SIDE_ERRORS and variant != errors.ACTIVATION:
        mean, std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
        return errors.shortest_side_transform(variant, mean, std)
    if variant == errors.ACTIVATION:
        errors.swap_activation(model)
    elif variant != "rgb-first":
        raise ValueError(variant)
    return Compose([errors.to_rgb, preprocess])


if __name__ == "__main__":
    main()
