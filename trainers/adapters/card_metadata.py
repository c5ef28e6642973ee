"""The metadata of a model card: the YAML that hubs read, measured results included.

Results are in the form of `model-index` (huggingface/hub-docs `modelcard.md`), and are numbers that
were measured: what was not is left out, and without any there is no index. Elsewhere: the card's
text (`model_card.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import yaml

from trainers.adapters.header import AdapterHeader
from trainers.stable_cascade.published import PRIOR

LICENCE = "apache-2.0"
PUBLISHED_LICENCE = {
    "license": "other",
    "license_name": "stable-cascade-nc-community",
    "license_link": "https://huggingface.co/stabilityai/stable-cascade/blob/main/LICENSE",
}
"""What Stability AI's weights are under, "any other model derived from the Model" included
(Stability-AI/StableCascade `WEIGHTS_LICENSE`): research, nothing commercial."""


def front_matter(
    header: AdapterHeader,
    name: str,
    figures: Mapping[str, float],
    meaning: Mapping[str, str],
    *,
    published: bool,
) -> str:
    """The lines between a card's `---`, as YAML.

    Args:
        header: of the adapter.
        name: what the index calls it.
        figures: measured on validation pairs after the last step.
        meaning: figures that are told, and their names in words.
        published: whether the base is a published one.
    """
    about: dict[str, Any] = dict(PUBLISHED_LICENCE if published else {"license": LICENCE})
    about["library_name"] = "ppdbench"
    about["pipeline_tag"] = "text-to-image"
    about["tags"] = ["text-to-image", "stable-cascade", "preference-optimization", header.method]
    if published:
        about["base_model"] = PRIOR
        about["base_model_relation"] = "adapter"
    metrics = [
        {"type": key, "name": words, "value": float(figures[key]), "verified": False}
        for key, words in meaning.items()
        if key in figures and math.isfinite(figures[key])
    ]
    if metrics:
        about["model-index"] = [{"name": name, "results": [_result(header, metrics)]}]
    text: str = yaml.safe_dump(about, sort_keys=False, allow_unicode=True, width=1000)
    return text


def _result(header: AdapterHeader, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """What was measured on the validation pairs of the suite."""
    facts = header.facts
    return {
        "task": {"type": "text-to-image", "name": "text to image, validation pairs"},
        "dataset": {
            "type": f"ppdbench/{facts['suite']}",
            "name": f"{facts['suite']} {facts['suite_version']}, pairs held out from training",
            "split": "validation",
        },
        "metrics": metrics,
    }
