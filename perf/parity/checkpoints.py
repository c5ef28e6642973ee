"""The checkpoints on disk: one set of files that the originals and ours both read.

    python perf/parity/checkpoints.py --work DIR     (in the oracle environment)

`clip-h` and `l14` are open_clip's plain state dicts, `hps` is `{"state_dict": ...}` as HPSv2 is
published, `pickscore` is a transformers CLIPModel's, `aesthetic` the linear head. Beside the
weights lies each reward's config.json as ppdbench reads it. `hub` is a Hugging Face cache made by
hand whose entries point at these files, so that hpsv2 finds what it would download. Every folder
has its own seed: were one file loaded for another, the scores would be far off.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from source import HERE, fingerprint

if TYPE_CHECKING:
    import torch

MADE = "made.json"
H14 = "ViT-H-14"
L14 = "ViT-L-14-quickgelu"

LAION = ("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "open_clip_pytorch_model.bin")
HPS_FILE = "HPS_v2.1_compressed.pt"
HPS = ("xswu/HPSv2", HPS_FILE)

REWARDS: dict[str, dict[str, Any]] = {
    "clip-h": {"arch": H14, "weights": "clip-h.pt"},
    "hps": {"arch": H14, "weights": HPS_FILE, "preprocess_cfg": {"antialias": True}},
    "hps-no-antialias": {
        "arch": H14,
        "weights": f"../hps/{HPS_FILE}",
        "preprocess_cfg": {"antialias": False},
    },
    "l14": {"arch": L14, "weights": "l14.pt"},
    "aesthetic": {"tower": "../l14", "head": "head.pth"},
    "pickscore": {"arch": H14, "weights": "model.safetensors"},
}


def make_all(folder: Path) -> None:
    """Write what this code has not written yet, one checkpoint in memory at a time."""
    from weights import draw_head, draw_state

    def open_clip_state(arch: str, seed: int) -> dict[str, torch.Tensor]:
        return draw_state(_open_clip_shapes(arch), seed)

    _write(folder / "clip-h" / "clip-h.pt", lambda: open_clip_state(H14, 1))
    _write(folder / "hps" / HPS_FILE, lambda: {"state_dict": open_clip_state(H14, 2)})
    _write(folder / "l14" / "l14.pt", lambda: open_clip_state(L14, 3))
    _write(folder / "aesthetic" / "head.pth", lambda: draw_head(4))
    pickscore = folder / "pickscore" / "model.safetensors"
    _write(pickscore, lambda: draw_state(_transformers_shapes(), 5))
    for name, config in REWARDS.items():
        (folder / name).mkdir(exist_ok=True)
        text = json.dumps(config, indent=2) + "\n"
        (folder / name / "config.json").write_text(text, encoding="utf-8")
    _add_to_hub(folder / "hub", *LAION, folder / "clip-h" / "clip-h.pt")
    _add_to_hub(folder / "hub", *HPS, folder / "hps" / HPS_FILE)


def hashes(folder: Path) -> dict[str, str]:
    """sha256 by file name, as it was when the file was written."""
    files = sorted(folder.glob(f"*/*.{MADE}"))
    made = {file.name.removesuffix(f".{MADE}"): json.loads(file.read_bytes()) for file in files}
    return {name: one["sha256"] for name, one in made.items()}


def clip_config() -> Any:
    """The transformers config of a ViT-H/14, as in PickScore's repository."""
    from transformers import CLIPConfig

    text = {
        **{"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16},
        **{"num_hidden_layers": 24, "hidden_act": "gelu", "projection_dim": 1024},
        # The ids that stand in LAION's and PickScore's config; 2 makes transformers look for the
        # largest id, which is the end of text.
        **{"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1},
    }
    vision = {
        **{"hidden_size": 1280, "intermediate_size": 5120, "num_attention_heads": 16},
        **{"num_hidden_layers": 32, "hidden_act": "gelu", "projection_dim": 1024},
        **{"patch_size": 14, "image_size": 224},
    }
    return CLIPConfig(text_config=text, vision_config=vision, projection_dim=1024)


def _open_clip_shapes(arch: str) -> dict[str, torch.Size]:
    import open_clip
    import torch

    config: dict[str, Any] = open_clip.get_model_config(arch)
    with torch.device("meta"):  # names and shapes, no memory
        state = open_clip.CLIP(**config).state_dict()
    return {name: tensor.shape for name, tensor in state.items()}


def _transformers_shapes() -> dict[str, torch.Size]:
    import torch
    from transformers import CLIPModel

    with torch.device("meta"):
        state = CLIPModel(clip_config()).state_dict()
    return {name: tensor.shape for name, tensor in state.items()}


def _write(file: Path, make: Callable[[], dict[str, Any]]) -> None:
    import safetensors.torch
    import torch

    made = file.with_name(f"{file.name}.{MADE}")
    code = fingerprint([HERE / "weights.py", HERE / "checkpoints.py"])
    if made.is_file() and json.loads(made.read_bytes())["code"] == code:
        return
    made.unlink(missing_ok=True)
    print(f"  writing {file.parent.name}/{file.name}", file=sys.stderr, flush=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".safetensors":
        safetensors.torch.save_file(make(), file, metadata={"format": "pt"})
    else:
        torch.save(make(), file)
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    record = {"sha256": digest, "code": code}
    made.write_text(json.dumps(record) + "\n", encoding="utf-8")  # last: the file is whole


def _add_to_hub(hub: Path, repository: str, file_name: str, target: Path) -> None:
    revision = "0" * 40
    entry = hub / f"models--{repository.replace('/', '--')}"
    link = entry / "snapshots" / revision / file_name
    link.parent.mkdir(parents=True, exist_ok=True)
    (entry / "refs").mkdir(exist_ok=True)
    (entry / "refs" / "main").write_text(revision, encoding="utf-8")
    link.unlink(missing_ok=True)
    link.symlink_to(target.resolve())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    make_all(parser.parse_args().work / "checkpoints")
