"""Is our Stable Cascade the original's? The same keys and shapes, and the same numbers out.

    git clone https://github.com/Stability-AI/StableCascade CHECKOUT
    python perf/parity/stable_cascade.py CHECKOUT [--out FILE]

Two checks of each part. At full size, on the meta device: what the original saves is, key by key
and shape by shape, what ours loads, and our sizes are those read from its shapes. At tiny width,
with seeded random weights that went through a file: outputs agree to 1e-5 of the largest one, while
deliberate errors move them by at least ten times that. The schedule is held to the original's as
well. No published weights are needed or used.
Writes results/stable_cascade_parity.json, which the tests hold our models against; exits 1 on a
miss. A minute, 2 GB. Elsewhere: the original (`original_stable_cascade.py`).
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from original_stable_cascade import FULL, PARTS, STUBS, TINY, Original
from safetensors.torch import save_file
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from result_file import RESULTS, header, write_result

from trainers.stable_cascade import decoder, efficientnet_compressor, full_previewer, sizes
from trainers.stable_cascade import original_files as files
from trainers.stable_cascade.published import Part
from trainers.stable_cascade.schedule import alpha_sigma, network_time, shifted
from trainers.stable_cascade.stage_c import quicken_norms
from trainers.stable_cascade.unet import CascadeUNet
from trainers.stable_cascade.weights import read_part, take_weights

REPOSITORY = "Stability-AI/StableCascade"
COMMITS = {
    "d72253333c14641e324af30ddb8ce170f42a133aefac204fa708df2d69acaf0d": (
        "7a7d341f729ccaa042920a1fac3e7b9326079aca"
    ),
}
"""A commit by the hash of its modules (`Original.sha256`)."""
RESULT = RESULTS / "stable_cascade_parity.json"
TOLERANCE = 1e-5
"""Of the largest output: what float32 sums in another order may differ by."""
SCHEDULE_TOLERANCE = 1e-5
"""Of alpha, sigma and time, which the original takes through logSNR in float32."""
SEEN = 10
"""Deliberate errors move outputs by at least as many tolerances."""
LEARNT = 30
"""Batches that batch norms learn their statistics from; they forget a tenth with each."""
PICTURES = {"effnet_encoder": (8, 3, 64, 64), "previewer": (8, 4, 4, 4)}
SIZES: Mapping[str, Callable[[], dict[str, Any]]] = {
    "stage_c 3.6b": lambda: sizes.stage_c("3.6b"),
    "stage_c 1b": lambda: sizes.stage_c("1b"),
    "stage_b 3b": lambda: sizes.stage_b("3b"),
    "stage_b 700m": lambda: sizes.stage_b("700m"),
}


def ours_for(part: str, tensors: Mapping[str, Tensor]) -> tuple[nn.Module, dict[str, Tensor]]:
    """Our model on the meta device for an original's tensors, and these by our names."""
    with torch.device("meta"):
        if part in ("stage_c", "stage_b"):
            given = files.unet_tensors(tensors)
            told = files.stage_c_sizes if part == "stage_c" else files.stage_b_sizes
            return CascadeUNet(**told(shapes_of(given))), given
        if part == "stage_a":
            given = files.stage_a_tensors(tensors)
            return decoder.paella()(**files.stage_a_sizes(shapes_of(given))), given
        if part == "effnet_encoder":
            channels = tensors["mapper.0.weight"].shape[0]
            return efficientnet_compressor.EfficientNetCompressor(channels), dict(tensors)
        width, channels = tensors["blocks.0.weight"].shape[:2]
        return full_previewer.FullPreviewer(channels, width), dict(tensors)


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Shapes by name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def key_digest(tensors: Mapping[str, Tensor]) -> str:
    """One sha256 over sorted lines "key shape", a shape as 16x4x3x3."""
    lines = (f"{key} {'x'.join(map(str, shape))}" for key, shape in shapes_of(tensors).items())
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def check_keys(original: Original, name: str) -> dict[str, Any]:
    """A part at full size: ours takes what the original saves, without one key more or less.

    Raises:
        MissingPrerequisite: it does not; the keys are named.
        AssertionError: the size read from shapes is not the one that we say is published.
    """
    part, arguments = FULL[name]
    with torch.device("meta"):
        saved = original.make(part, arguments).state_dict()
    model, given = ours_for(part, saved)
    place = Part(name=name, files=(Path(f"{part}.safetensors"),))
    take_weights(model, given, place, device="meta", dtype=torch.bfloat16)
    if name in SIZES:
        with torch.device("meta"):
            ours = CascadeUNet(**SIZES[name]())
        if shapes_of(ours.state_dict()) != shapes_of(given):
            raise AssertionError(f"sizes.py says another {name} than the original's code")
    return {
        "keys": len(saved),
        "sha256": key_digest(saved),
        "parameters": sum(tensor.numel() for tensor in model.parameters()),
    }


def check_outputs(original: Original, part: str, folder: Path) -> dict[str, Any]:
    """A part at tiny width: how far outputs are apart, and how far errors move them."""
    torch.manual_seed(0)
    theirs = randomised(original.make(part, TINY[part]), PICTURES.get(part))
    file = folder / f"{part}.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in theirs.state_dict().items()}, file)
    place = Part(name=part, files=(file,))
    model, given = ours_for(part, read_part(place))
    take_weights(model, given, place, device="cpu", dtype=torch.float32)
    quicken_norms(model)  # as a base has them
    expected, found, errors = ASKED[part](theirs, model.eval())
    scale = expected.abs().max().item()

    def apart(other: Tensor) -> float:
        return (expected - other).abs().max().item()

    return {
        "outputs": list(expected.shape),
        "largest": rounded(scale),
        "max_abs_difference": rounded(apart(found)),
        "relative": rounded(apart(found) / scale),
        "errors": {name: rounded(apart(wrong) / scale) for name, wrong in errors.items()},
    }


def check_schedule(gdf: Any) -> dict[str, Any]:
    """The forward process, its shift, and the time that networks are told, at 1,001 times."""
    own = gdf.CosineSchedule(clamp_range=[0.0001, 0.9999])
    scales, told = gdf.VPScaler(), gdf.CosineTNoiseCond()
    times = torch.linspace(0, 1, 1001)
    found: dict[str, Any] = {}
    for shift in (1, 2):
        logsnr = own(times, shift=shift)
        ours = shifted(times.double(), shift)
        apart = {
            "alpha": alpha_sigma(ours)[0].flatten() - scales(logsnr)[0],
            "sigma": alpha_sigma(ours)[1].flatten() - scales(logsnr)[1],
            "time": network_time(ours) - told(logsnr),
        }
        found[f"shift {shift}"] = {
            "max_abs_difference": rounded(max(x.abs().max().item() for x in apart.values())),
            "raw time apart by": rounded((ours - told(logsnr)).abs().max().item()),
        }
    return found


def rounded(number: float) -> float:
    """Three digits of it, whatever its size."""
    return float(f"{number:.3g}")


@torch.no_grad()
def randomised(model: nn.Module, inputs: tuple[int, ...] | None) -> nn.Module:
    """Every weight drawn, those that start at zero included, so that each counts.

    Args:
        model: in eval mode, and so it stays.
        inputs: where it has batch norms, the shape of what these learn their statistics from:
            with others, little of an input would be left after some layers.
    """
    for name, tensor in model.named_parameters():
        if tensor.ndim > 1 and not name.endswith(("gamma", "beta")):
            tensor.normal_(std=tensor[0].numel() ** -0.5)
        else:
            tensor.normal_(mean=float(_scales(model, name)), std=0.3)
    if inputs is not None:
        model.train()
        for seed in range(LEARNT):
            model(torch.randn(inputs, generator=torch.Generator().manual_seed(seed)))
        model.eval()
    return model


def _scales(model: nn.Module, name: str) -> bool:
    """Whether a parameter multiplies what a batch norm has normalised."""
    owner, _, kind = name.rpartition(".")
    return kind == "weight" and isinstance(model.get_submodule(owner), nn.BatchNorm2d)


Answers = tuple[Tensor, Tensor, dict[str, Tensor]]
"""The original's output, ours, and ours with deliberate errors."""


def normal(*shape: int) -> Tensor:
    """Seeded noise."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


@torch.no_grad()
def ask_stage_c(theirs: nn.Module, ours: nn.Module) -> Answers:
    """Noise of latents 4 x 6 x 6 at three times, with text and image embeddings."""
    latents, time = normal(3, 4, 6, 6), torch.tensor([0.013, 0.5, 0.99])
    text, pooled, image = normal(3, 5, 24), normal(3, 1, 16), normal(3, 1, 8)
    expected = theirs(latents, time, text, pooled, image)

    def noise(**changed: Tensor | None) -> Tensor:
        given: dict[str, Tensor | None] = {
            "timestep_ratio": time,
            "clip_text": text,
            "clip_text_pooled": pooled,
            "clip_img": image,
        }
        output: Tensor = ours(latents, **(given | changed)).sample
        return output

    return (
        expected,
        noise(),
        {
            "time in bfloat16": noise(timestep_ratio=time.bfloat16().float()),
            "no image embedding": noise(clip_img=None),
            "another time": noise(timestep_ratio=time.roll(1)),
        },
    )


@torch.no_grad()
def ask_stage_b(theirs: nn.Module, ours: nn.Module) -> Answers:
    """Noise of Stage A's latents 4 x 32 x 32, with Stage C's 3 x 3 and pooled text."""
    codes, time = normal(2, 4, 32, 32), torch.tensor([0.1, 0.7])
    latents, pooled = normal(2, 4, 3, 3), normal(2, 1, 16)
    expected = theirs(codes, time, effnet=latents, clip=pooled)

    def noise(effnet: Tensor | None, time: Tensor = time) -> Tensor:
        output: Tensor = ours(
            codes, timestep_ratio=time, clip_text_pooled=pooled, effnet=effnet
        ).sample
        return output

    return (
        expected,
        noise(latents),
        {
            "no latents at all, for zeros": noise(None),
            "another picture's latents": noise(latents.flip(0)),
            "time in bfloat16": noise(latents, time.bfloat16().float()),
        },
    )


@torch.no_grad()
def ask_stage_a(theirs: Any, ours: Any) -> Answers:
    """Pictures 3 x 24 x 24 of latents 4 x 6 x 6, as `Decoder.picture` decodes them, unclipped."""
    codes = normal(2, 4, 6, 6)
    expected: Tensor = theirs.decode(codes)
    return (
        expected,
        ours.decode(codes * ours.config.scale_factor).sample,
        {"diffusers' scale, 0.3764": ours.decode(codes * 0.3764).sample},
    )


@torch.no_grad()
def ask_compressor(theirs: nn.Module, ours: Any) -> Answers:
    """Latents 4 x 2 x 2 of pictures of 64 pixels, normalised as `train/train_c.py` does it."""
    pictures = normal(2, 3, 64, 64).sigmoid()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = theirs((pictures - mean[:, None, None]) / std[:, None, None])
    return (
        expected,
        ours.encode(pictures),
        {
            "pictures in [-1, 1]": ours.encode(pictures * 2 - 1),
            "not normalised": ours.mapper(ours.backbone(pictures)),
        },
    )


@torch.no_grad()
def ask_previewer(theirs: nn.Module, ours: nn.Module) -> Answers:
    """Pictures 3 x 32 x 32 of latents 4 x 4 x 4, unclipped."""
    latents = normal(2, 4, 4, 4)
    moved = ours(latents + 1e-2)
    return theirs(latents), ours(latents), {"latents off by 0.01": moved}


ASKED: Mapping[str, Callable[[Any, Any], Answers]] = {
    "stage_c": ask_stage_c,
    "stage_b": ask_stage_b,
    "stage_a": ask_stage_a,
    "effnet_encoder": ask_compressor,
    "previewer": ask_previewer,
}


def misses_of(outputs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is too far apart, or would have passed unseen; a number that is none counts."""
    said = []
    for part, found in outputs.items():
        if not found["relative"] <= TOLERANCE:
            said.append(f"{part}: apart by {found['relative']:.2g} of the largest output")
        for error, moved in found["errors"].items():
            if not moved >= SEEN * TOLERANCE:
                said.append(f"{part}: the error {error!r} moves outputs by {moved:.2g} alone")
    return said


def main() -> int:
    """Parse, compare, record, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    original = Original(given.checkout.resolve())
    full = {name: check_keys(original, name) for name in FULL}
    with tempfile.TemporaryDirectory() as folder:
        outputs = {part: check_outputs(original, part, Path(folder)) for part in PARTS}
    schedule = check_schedule(original.gdf)
    misses = misses_of(outputs)
    for shift, found in schedule.items():
        if not found["max_abs_difference"] <= SCHEDULE_TOLERANCE:
            misses.append(f"schedule, {shift}: apart by {found['max_abs_difference']:.2g}")
    about = header(also=["torchvision"])
    record = {
        **about,
        "command": "python perf/parity/stable_cascade.py CHECKOUT",
        "original": {
            "repository": REPOSITORY,
            "commit": COMMITS.get(original.sha256, "unknown"),
            "modules_sha256": original.sha256,
            "stood_in_for": list(STUBS),
        },
        "weights": "random, seeded; no published weights",
        "tolerance_relative": TOLERANCE,
        "passed": not misses,
        "full_size": full,
        "tiny_width": outputs,
        "schedule": schedule,
    }
    write_result(record, given.out)
    for part, found in outputs.items():
        print(f"{part}: apart by {found['max_abs_difference']:.2g} of {found['largest']:.3g}")
    for miss in misses:
        print(f"  MISSED: {miss}", file=sys.stderr)
    return 1 if misses else 0


if __name__ == "__main__":
    raise SystemExit(main())
