"""A diffusers pipeline in memory: requests in, pictures out, each from its own random generator.

Elsewhere: which files and settings (`diffusers`, `diffusers_files`), the IP-Adapter's part
(`diffusers_ip_adapter`).
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ppdbench.errors import MissingPrerequisite, UsageError, one_line
from ppdbench.generators.diffusers_ip_adapter import LoadedIpAdapter
from ppdbench.generators.not_drawn import NotDrawn
from ppdbench.protocols import GenerationRequest

if TYPE_CHECKING:
    from PIL.Image import Image

    from ppdbench.generators.diffusers import Plan
    from ppdbench.generators.not_drawn import Outcome

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
STEPS = ("prior_num_inference_steps", "num_inference_steps")
GUIDANCE = ("prior_guidance_scale", "guidance_scale")
"""What pipelines call them, the first one first: Stable Cascade has a prior and a decoder."""


class LoadedPipeline:
    """A pipeline, ready to draw."""

    def __init__(self, plan: Plan, device: str) -> None:
        """Load it.

        Raises:
            MissingPrerequisite: its files are not whole, or not as this diffusers knows them.
            UsageError: it is no pipeline from text to images.
        """
        self._plan = plan
        self._adapter = None
        with _quietly():
            self._pipe = _load(plan)
            if plan.ip_adapter is not None:
                self._adapter = LoadedIpAdapter(self._pipe, plan.ip_adapter)
        if plan.offload and device.startswith("cuda"):
            self._pipe.enable_model_cpu_offload(device=device)
        else:
            self._pipe.to(device)
        self._accepted = inspect.signature(self._pipe.__call__).parameters
        if "prompt" not in self._accepted or "generator" not in self._accepted:
            raise UsageError(
                f"{plan.class_name} does not draw from text", fix="name a text-to-image pipeline"
            )

    def draw(self, requests: Sequence[GenerationRequest]) -> list[Outcome]:
        """A picture a request, or why there is none."""
        made: dict[int, Outcome] = {}
        for places in _alike(requests, conditioned=self._adapter is not None):
            some = [requests[place] for place in places]
            made |= zip(places, self._together(some), strict=True)
        return [made[place] for place in range(len(requests))]

    def _together(self, requests: Sequence[GenerationRequest]) -> list[Outcome]:
        """Requests of one size and one user."""
        size = (requests[0].width, requests[0].height)
        width, height = self._plan.size or self._drawable(size)
        conditions: Mapping[str, Any] = {}
        with torch.inference_mode():
            if self._adapter is not None:
                conditions = self._adapter.conditions(requests[0].user)
            found = self._pipe(
                prompt=[request.caption for request in requests],
                # On the CPU, so that every device starts from the same noise.
                generator=[torch.Generator("cpu").manual_seed(r.seed) for r in requests],
                **self._taken(STEPS, self._plan.steps),
                **self._taken(GUIDANCE, self._plan.guidance_scale),
                **({"width": width, "height": height} if "width" in self._accepted else {}),
                **conditions,
                output_type="pil",
            )
        flags = getattr(found, "nsfw_content_detected", None) or [False] * len(requests)
        return [
            NotDrawn("the pipeline's safety checker blacked the picture out")
            if flag
            else _resized(image, size)
            for image, flag in zip(found.images, flags, strict=True)
        ]

    def _taken(self, names: Sequence[str], value: float | None) -> dict[str, Any]:
        """A setting under the name by which the pipeline takes it; none where it is its own."""
        if value is None:
            return {}
        name = next((name for name in names if name in self._accepted), None)
        if name is None:
            raise UsageError(f"{self._plan.class_name} takes no {names[-1]}", fix="leave it out")
        return {name: value}

    def _drawable(self, size: tuple[int, int]) -> tuple[int, int]:
        """A size that it can draw: each side up to the next multiple of 8, of 16 with patches."""
        unit = 16 if getattr(self._pipe, "transformer", None) is not None else 8
        width, height = (-(-side // unit) * unit for side in size)
        return width, height


def _load(plan: Plan) -> Any:
    import diffusers

    known = getattr(diffusers, plan.class_name, None)
    if not isinstance(known, type) or not issubclass(known, diffusers.DiffusionPipeline):
        raise MissingPrerequisite(
            f"{plan.folder} is a {plan.class_name}, which diffusers {diffusers.__version__} "
            "does not have",
            fix="install a newer diffusers",
        )
    options: dict[str, Any] = {
        "torch_dtype": DTYPES[plan.dtype],
        "variant": plan.variant,
        "use_safetensors": True,
        "local_files_only": True,
        "trust_remote_code": False,
    }
    automatic: Any = diffusers.AutoPipelineForText2Image
    own: Any = known
    try:
        pipe = _from(automatic, own, plan.folder, options)
    except Exception as error:  # what libraries raise on damaged files is no closed list
        raise MissingPrerequisite(
            f"{plan.folder} cannot be loaded: {one_line(error)}",
            fix="copy or download the whole model again, as safetensors",
        ) from error
    pipe.set_progress_bar_config(disable=True)
    if getattr(pipe, "watermark", None) is not None:
        pipe.watermark = None  # drawn into the pixels only where a further library is installed
    return pipe


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the libraries' progress bars, and a warning that is not the user's affair."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    loggers: list[Any] = [of_diffusers, of_transformers]
    shown = [logger for logger in loggers if logger.is_progress_bar_enabled()]
    for logger in shown:
        logger.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # Renamed on the way from one version of diffusers to the next; both are understood.
            warnings.filterwarnings("ignore", message="`torch_dtype` is deprecated")
            yield
    finally:
        for logger in shown:
            logger.enable_progress_bar()


def _from(automatic: Any, own: Any, folder: Path, options: Mapping[str, Any]) -> Any:
    try:
        # From image to image, say, to the pipeline of the same weights that draws from text.
        return automatic.from_pretrained(folder, **options)
    except ValueError as error:
        if "AutoPipeline can't find" not in str(error):
            raise
        return own.from_pretrained(folder, **options)


def _alike(requests: Sequence[GenerationRequest], *, conditioned: bool) -> list[list[int]]:
    """Places of the requests that can be drawn in one call.

    Of one user each, where users matter: a pipeline takes one set of pictures for all its prompts,
    and mixes several silently.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, request in enumerate(requests):
        shots = request.user.shots if conditioned and request.user else ()
        liked = (id(shot.preferred) for shot in shots)
        groups.setdefault((request.width, request.height, *liked), []).append(place)
    return list(groups.values())


def _resized(image: Image, size: tuple[int, int]) -> Image:
    from PIL import Image as PilImage

    rgb = image.convert("RGB")
    return rgb if rgb.size == size else rgb.resize(size, PilImage.Resampling.LANCZOS)
