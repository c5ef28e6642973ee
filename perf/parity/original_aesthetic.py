"""The published aesthetic predictor's recipe: OpenAI's ViT-L/14, a unit embedding, linear layers.

As in improved-aesthetic-predictor's simple_inference.py: `clip`'s preprocessing, which is
open_clip's, the image embedding divided by its length in numpy, then one nn.Sequential with
dropout (idle in eval) and no activations, into which the file's tensors load by their own names.
Its tower is built by open_clip under the name that has OpenAI's QuickGELU. Variants as in
`original_open_clip`.
"""

from __future__ import annotations

import numpy as np
import torch
from checkpoints import L14
from numpy.typing import NDArray
from original_open_clip import vary
from PIL import Image
from side import parse_job
from torch import nn


class Head(nn.Module):
    """The published head; the places in the sequence are the names in its file."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(768, 1024), nn.Dropout(0.2)),
            *(nn.Linear(1024, 128), nn.Dropout(0.2)),
            *(nn.Linear(128, 64), nn.Dropout(0.1)),
            *(nn.Linear(64, 16), nn.Linear(16, 1)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores (N, 1) of unit embeddings (N, 768)."""
        scores: torch.Tensor = self.layers(x)
        return scores


def main() -> None:
    """Score what is pending."""
    import open_clip

    job = parse_job()
    pending = job.pending()
    if not pending:
        return
    folder = job.work / "checkpoints"
    weights = str(folder / "l14" / "l14.pt")
    model, _, preprocess = open_clip.create_model_and_transforms(L14, pretrained=weights)
    model.eval()
    head = Head()
    head.load_state_dict(torch.load(folder / "aesthetic" / "head.pth"))
    head.eval()
    transform = vary(job.variant, model, preprocess)
    for picture in pending:
        try:
            pixels = transform(Image.open(job.path(picture))).unsqueeze(0)
        except (RuntimeError, ValueError, OSError) as error:
            job.fail(picture, error)
            continue
        with torch.no_grad():
            embedding = _unit(model.encode_image(pixels).numpy())
            score = head(torch.from_numpy(embedding).float()).item()
        job.answer(picture, score)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.atleast_1d(np.linalg.norm(rows, 2, -1))
    length[length == 0] = 1
    unit: NDArray[np.float32] = rows / np.expand_dims(length, -1)
    return unit


if __name__ == "__main__":
    main()
