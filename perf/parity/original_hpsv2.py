"""HPSv2's own score: `hpsv2.score` of the package, its files untouched.

Every call of it reads the checkpoint anew, so pictures are handed to it in lists, one list a
caption, as its README does; a list in which one picture cannot be read is tried one by one. The
package asks the Hugging Face hub for LAION's weights, which it then overwrites, and for its
checkpoint: it finds both in a hub cache made by hand (`checkpoints`), offline.

It leaves antialias to torchvision. `antialias-on` is what it gives today; for `antialias-off`,
what it gave before torchvision 0.17, torchvision's resize is wrapped. The deliberate errors vary
the preprocessing and the model that the package keeps in `img_score.model_dict`.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Iterator
from itertools import groupby

from checkpoints import HPS_FILE
from pictures import Picture
from side import Job, parse_job

VARIANTS = ("antialias-on", "antialias-off")


def main() -> None:
    """Score what is pending."""
    job = parse_job()
    pending = job.pending()
    if not pending:
        return
    os.environ["HF_HUB_CACHE"] = str(job.work / "checkpoints" / "hub")
    os.environ["HPS_ROOT"] = str(job.work / "hps_root")
    _vary(job.variant)
    for group in _by_caption(pending):
        _score_group(job, group)


def _score_group(job: Job, group: list[Picture]) -> None:
    import hpsv2  # type: ignore[import-not-found]

    version = "v2.1" if "v2.1" in HPS_FILE else "v2.0"
    try:
        paths = [job.path(picture) for picture in group]
        scores = hpsv2.score(paths, group[0].caption, hps_version=version)
    except (RuntimeError, ValueError, OSError, IndexError) as error:
        if len(group) == 1:
            job.fail(group[0], error)
        else:
            for picture in group:
                _score_group(job, [picture])
        return
    for picture, score in zip(group, scores, strict=True):
        job.answer(picture, score)


def _by_caption(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    ordered = sorted(pictures, key=lambda picture: picture.caption)
    for _, group in groupby(ordered, key=lambda picture: picture.caption):
        yield list(group)


def _vary(variant: str) -> None:
    """Make the package's recipe the variant's.

    Raises:
        RuntimeError: torchvision's default is not what the variants are named after.
    """
    import deliberate_errors as errors
    from torchvision.transforms import functional

    if inspect.signature(functional.resize).parameters["antialias"].default is not True:
        raise RuntimeError("this torchvision does not antialias by default: antialias-on is not on")
    if variant == "antialias-off":
        functional.resize = errors.resize_without_antialias
    if variant in VARIANTS:
        return

    from hpsv2 import img_score
    from hpsv2.src.open_clip.transform import (  # type: ignore[import-not-found]
        image_transform,
    )
    from torchvision.transforms import Compose

    img_score.initialize_model()
    kept = img_score.model_dict
    if variant == errors.ACTIVATION:
        errors.swap_activation(kept["model"])
    elif variant == errors.CORNER_PADDING:
        functional.pad = errors.pad_corner
    elif variant == errors.CROPPED:
        kept["preprocess_val"] = image_transform(224, is_train=False)
    elif variant == errors.LATE_PADDING:
        rgb, to_tensor, resize_and_pad, normalise = kept["preprocess_val"].transforms
        kept["preprocess_val"] = Compose([rgb, to_tensor, normalise, resize_and_pad])
    else:
        raise ValueError(variant)


if __name__ == "__main__":
    main()
