"""IP-Adapter (arXiv 2308.06721) in a diffusers pipeline: drawn after what a user preferred.

Each preferred picture of the user's shots is encoded by CLIP and stands beside the caption in
cross-attention, as diffusers does it with several pictures of one adapter. Elsewhere: the pipeline
(`diffusers_pipeline`), an adapter's files (`diffusers_files`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ppdbench.errors import MissingPrerequisite, one_line
from ppdbench.protocols import UserContext

if TYPE_CHECKING:
    from ppdbench.generators.diffusers import IpAdapter


class LoadedIpAdapter:
    """An adapter in a pipeline."""

    def __init__(self, pipe: Any, adapter: IpAdapter) -> None:
        """Put it in; before the pipeline goes to its device.

        Raises:
            MissingPrerequisite: it is not whole, or made for another pipeline.
        """
        self._pipe = pipe
        self._scale = adapter.scale
        try:
            if adapter.encoder is not None:
                pipe.register_modules(image_encoder=_encoder(adapter, pipe.dtype))
            if getattr(pipe, "image_encoder", None) is None:
                raise MissingPrerequisite(
                    f"no image encoder lies beside {adapter.weights}",
                    fix="name its folder by ip_encoder=DIR",
                )
            # Weights by their place: nothing is looked for elsewhere.
            pipe.load_ip_adapter(
                str(adapter.weights.parent),
                subfolder="",
                weight_name=adapter.weights.name,
                local_files_only=True,
                **_no_encoder(pipe),
            )
        except MissingPrerequisite:
            raise
        except Exception as error:  # what libraries raise on damaged files is no closed list
            raise MissingPrerequisite(
                f"the IP-Adapter {adapter.weights} does not fit: {one_line(error)}",
                fix="name one that was trained for this kind of pipeline, and its image encoder "
                "by ip_encoder=DIR",
            ) from error

    def conditions(self, user: UserContext | None) -> dict[str, Any]:
        """What the pipeline is called with; sets the adapter's scale, 0 for nobody.

        Args:
            user: whom all pictures of the call are for.
        """
        from PIL import Image as PilImage

        liked = [shot.preferred.convert("RGB") for shot in user.shots] if user else []
        self._pipe.set_ip_adapter_scale(self._scale if liked else 0.0)
        # Of one adapter several pictures; for nobody any will do, at scale 0.
        return {"ip_adapter_image": [liked or [PilImage.new("RGB", (64, 64))]]}


def _encoder(adapter: IpAdapter, dtype: torch.dtype) -> Any:
    from transformers import CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection.from_pretrained(
        adapter.encoder, use_safetensors=True, local_files_only=True, dtype=dtype
    )


def _no_encoder(pipe: Any) -> dict[str, Any]:
    """The argument by which a pipeline is told to look for no encoder."""
    import inspect

    known = inspect.signature(pipe.load_ip_adapter).parameters
    names = ("image_encoder_folder", "image_encoder_pretrained_model_name_or_path")
    return {name: None for name in names if name in known}
