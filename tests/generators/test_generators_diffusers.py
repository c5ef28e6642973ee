"""`diffusers:DIR` on tiny random pipelines, saved to a folder and loaded as anybody's would be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny_pipelines
import torch
from outside_town import flat, made, pixels, request, run, use_outside_town, user
from PIL import Image as PilImage

from ppdbench.errors import MissingPrerequisite, UsageError
from ppdbench.generators.diffusers_files import licence_of
from ppdbench.generators.not_drawn import NotDrawn

world = pytest.fixture(autouse=True)(use_outside_town)
KINDS = ("stable_diffusion", "stable_diffusion_xl", "flux")
NOISE = 2
"""Of 255: what batching may change of a pixel; other seeds change dozens."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pipelines")
    for kind in KINDS:
        getattr(tiny_pipelines, kind)(place / kind)
    tiny_pipelines.ip_adapter(place / "ip_adapter")
    tiny_pipelines.flux_ip_adapter(place / "flux_ip_adapter")
    return place


def sized(number: int, **other: Any) -> Any:
    return request(number, **{"caption": ("a red cube", "a ball")[number % 2], "size": 32, **other})


def drawn(name: str, *requests: Any) -> list[Any]:
    return [pixels(image) for image in made(name).generate(list(requests))]


def as_image(array: Any) -> Any:
    return PilImage.fromarray(array.astype("uint8"))


# --- any pipeline --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_by_their_own_seed_whatever_the_batch(saved: Path, kind: str) -> None:
    system = made(f"diffusers:{saved / kind},steps=2,batch=3")
    asked = [sized(n) for n in range(3)]
    together = [pixels(image) for image in system.generate(asked)]
    alone = [pixels(next(iter(system.generate([each])))) for each in asked]
    assert all(abs(one - other).max() <= NOISE for one, other in zip(together, alone, strict=True))
    assert abs(together[0] - together[2]).mean() > 10  # one caption, two seeds
    assert together[0].shape == (32, 32, 3)


def test_it_is_the_pipeline_itself_that_draws(saved: Path) -> None:
    folder = saved / "stable_diffusion"
    pipe = tiny_pipelines.diffusers.StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None
    )
    expected = pipe(
        "a red cube",
        num_inference_steps=3,
        guidance_scale=4.0,
        width=32,
        height=32,
        generator=torch.Generator().manual_seed(4),
    ).images[0]
    (found,) = drawn(f"diffusers:{folder},steps=3,guidance_scale=4", sized(4))
    assert abs(found - pixels(expected)).max() <= NOISE


@pytest.mark.parametrize(("kind", "asked"), [("stable_diffusion", 30), ("flux", 24)])
def test_what_cannot_be_drawn_is_drawn_larger_and_scaled(
    saved: Path, kind: str, asked: int
) -> None:
    name = f"diffusers:{saved / kind},steps=1"
    (small,) = drawn(name, sized(0, size=asked))
    assert small.shape == (asked, asked, 3)
    (large,) = drawn(name, sized(0))
    scaled = pixels(as_image(large).resize((asked, asked), 1))
    assert abs(small - scaled).max() <= NOISE


def test_size_is_what_is_drawn_at(saved: Path) -> None:
    name = f"diffusers:{saved / 'stable_diffusion'},steps=1"
    (native,) = drawn(f"{name},size=32", sized(0, size=16))
    (large,) = drawn(name, sized(0))
    assert native.shape == (16, 16, 3)
    scaled = pixels(as_image(large).resize((16, 16), 1))
    assert abs(native - scaled).max() <= NOISE


def test_who_it_is(saved: Path) -> None:
    folder = saved / "stable_diffusion"
    info = made(f"diffusers:{folder},steps=2,guidance_scale=3.5,dtype=bf16").info
    assert info.name == "diffusers-stable-diffusion-steps-2-guidance-scale-3.5-dtype-bf16"
    assert info.settings == {
        "pipeline": "StableDiffusionPipeline",
        "dtype": "bf16",
        "steps": 2,
        "guidance_scale": 3.5,
    }
    assert info.conditions_on == frozenset() and info.seeded and info.licence == "unknown"


def test_half_precision_draws_nearly_the_same(saved: Path) -> None:
    name = f"diffusers:{saved / 'stable_diffusion'},steps=1"
    (full,), (half,) = drawn(name, sized(0)), drawn(f"{name},dtype=bf16", sized(0))
    assert 0 < abs(full - half).mean() < 10


def test_the_revision_moves_with_settings_and_weights_alone(saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(saved / "stable_diffusion", folder)
    before = made(f"diffusers:{folder}").info.revision
    assert made(f"diffusers:{saved / 'stable_diffusion'}").info.revision == before
    assert made(f"diffusers:{folder},batch=2").info.revision == before
    assert made(f"diffusers:{folder},steps=2").info.revision != before
    (folder / "unrelated.safetensors").write_bytes(b"a single file of the same weights")
    assert made(f"diffusers:{folder}").info.revision == before
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace('"epsilon"', '"v_prediction"'))
    assert made(f"diffusers:{folder}").info.revision != before


def test_a_black_picture_of_the_safety_checker_is_no_picture(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = made(f"diffusers:{saved / 'stable_diffusion'},steps=1")
    asked = [sized(n) for n in range(3)]
    clean = [pixels(image) for image in system.generate(asked)]
    pipe = system._pipeline._pipe  # type: ignore[attr-defined]
    calls: list[int] = []

    def check(image: Any, *_: Any) -> tuple[Any, list[bool]]:
        calls.append(len(image))
        return image, [number == 1 for number in range(len(image))]

    monkeypatch.setattr(pipe, "run_safety_checker", check)
    found = system.generate(asked)
    assert abs(pixels(next(found)) - clean[0]).max() <= NOISE
    with pytest.raises(NotDrawn, match="safety checker blacked"):
        next(found)
    # What the harness does then; nothing of it is drawn twice.
    with pytest.raises(NotDrawn, match="safety checker blacked"):
        list(system.generate([asked[1]]))
    (last,) = system.generate([asked[2]])
    assert abs(pixels(last) - clean[2]).max() <= NOISE and calls == [3]


def test_a_whole_run(saved: Path, tmp_path: Path) -> None:
    name = f"diffusers:{saved / 'stable_diffusion'},steps=1,ip_adapter={saved / 'ip_adapter'}"
    found = run(tmp_path, name, limit=2)
    summary = json.loads((found / "summary.json").read_bytes())
    assert summary["complete"]
    assert summary["model"] == "diffusers-stable-diffusion-ip-adapter-steps-1"


# --- IP-Adapter ----------------------------------------------------------------------------------

RED, BLUE = (230, 20, 20), (20, 30, 240)


def adapted(saved: Path, **options: Any) -> str:
    more = "".join(f",{name}={value}" for name, value in options.items())
    return f"diffusers:{saved / 'stable_diffusion'},steps=2,ip_adapter={saved / 'ip_adapter'}{more}"


def test_users_are_heard_and_nobody_is_the_pipeline_alone(saved: Path) -> None:
    asked = [
        sized(0),
        sized(0, user=user("r", RED, RED)),
        sized(0, user=user("b", BLUE)),
        sized(2, user=user("r", RED, RED)),
    ]
    assert made(adapted(saved)).info.conditions_on == {"shots"}
    nobody, red, blue, _ = drawn(adapted(saved, batch=4), *asked)
    (plain,) = drawn(f"diffusers:{saved / 'stable_diffusion'},steps=2", sized(0))
    assert abs(nobody - plain).max() <= NOISE
    assert abs(red - nobody).mean() > 3 and abs(red - blue).mean() > 3


def test_flux_hears_users_too(saved: Path) -> None:
    encoder = saved / "ip_adapter" / "image_encoder"
    plain = f"diffusers:{saved / 'flux'},steps=1"
    name = f"{plain},ip_adapter={saved / 'flux_ip_adapter'},ip_encoder={encoder}"
    asked = [sized(0), sized(0, user=user("r", RED, BLUE)), sized(0, user=user("b", BLUE, BLUE))]
    nobody, red, blue = drawn(name, *asked)
    assert abs(nobody - drawn(plain, asked[0])[0]).max() <= NOISE
    assert abs(red - nobody).mean() > 3 and abs(red - blue).mean() > 3


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_users_of_one_batch_keep_to_themselves(saved: Path, guidance: float) -> None:
    """diffusers repeats one user's pictures for all prompts of a call, and mixes several."""
    asked = [
        sized(0, user=user("r", RED)),
        sized(0, user=user("b", BLUE)),
        sized(1, user=user("b", BLUE)),
        sized(1),
    ]
    system = made(adapted(saved, batch=4, guidance_scale=guidance))
    together = [pixels(image) for image in system.generate(asked)]
    alone = [pixels(next(iter(system.generate([each])))) for each in asked]
    assert all(abs(one - other).max() <= NOISE for one, other in zip(together, alone, strict=True))


def test_the_scale_and_the_adapter_are_of_the_revision(saved: Path, tmp_path: Path) -> None:
    other = tiny_pipelines.ip_adapter(tmp_path / "other")
    weights = other / "ip-adapter_tiny.safetensors"
    seen = {made(adapted(saved)).info.revision, made(adapted(saved, ip_scale=0.3)).info.revision}
    assert len(seen) == 2
    seen.add(made(f"diffusers:{saved / 'stable_diffusion'},steps=2").info.revision)
    name = f"diffusers:{saved / 'stable_diffusion'},steps=2,ip_adapter={other}"
    assert made(name).info.revision in seen
    (other / "image_encoder" / "model.safetensors").write_bytes(weights.read_bytes())
    assert made(name).info.revision not in seen


def test_dispreferred_pictures_are_not_looked_at(saved: Path) -> None:
    from dataclasses import replace

    own = user("r", RED)
    turned = replace(own, shots=(replace(own.shots[0], dispreferred=flat(BLUE)),))
    (one,), (other,) = (drawn(adapted(saved), sized(0, user=who)) for who in (own, turned))
    assert (one == other).all()


def test_adapters_that_do_not_fit_are_refused(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ip_scale without ip_adapter"):
        made(f"diffusers:{saved / 'stable_diffusion'},ip_scale=0.5")
    wide = tiny_pipelines.ip_adapter(tmp_path / "wide", cross=48)
    with pytest.raises(MissingPrerequisite, match="does not fit"):
        drawn(f"diffusers:{saved / 'stable_diffusion'},ip_adapter={wide}", sized(0))
    lonely = tiny_pipelines.ip_adapter(tmp_path / "lonely")
    shutil.rmtree(lonely / "image_encoder")
    with pytest.raises(MissingPrerequisite, match=r"^no image encoder lies beside"):
        drawn(f"diffusers:{saved / 'stable_diffusion'},ip_adapter={lonely}", sized(0))
    encoder = saved / "ip_adapter" / "image_encoder"
    name = (
        f"diffusers:{saved / 'stable_diffusion'},steps=1,ip_adapter={lonely},ip_encoder={encoder}"
    )
    assert len(drawn(name, sized(0))) == 1
    shutil.copy(lonely / "ip-adapter_tiny.safetensors", lonely / "ip-adapter_two.safetensors")
    with pytest.raises(UsageError, match="has 2 weights") as caught:
        made(name)
    assert "ip-adapter_two.safetensors" in caught.value.fix
    assert made(f"{name},ip_weights=ip-adapter_two.safetensors").info.conditions_on


# --- models that are refused ---------------------------------------------------------------------


def spoilt(saved: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "spoilt"
    shutil.copytree(saved / "stable_diffusion", folder)
    return folder


def rewrite_index(folder: Path, **changes: Any) -> None:
    path = folder / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_pickled_weights_are_refused_before_anything_is_loaded(saved: Path, tmp_path: Path) -> None:
    folder = spoilt(saved, tmp_path)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(MissingPrerequisite, match="are pickled"):
        made(f"diffusers:{folder}")


@pytest.mark.parametrize(
    "changes",
    [
        {"_class_name": ["pipeline.py", "Mine"]},
        {"unet": ["my_unet", "MyUNet"]},
        {"../outside": ["diffusers", "UNet2DConditionModel"]},
    ],
)
def test_code_of_its_own_is_never_run(saved: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = spoilt(saved, tmp_path)
    rewrite_index(folder, **changes)
    for name in ("pipeline.py", "my_unet.py", "unet/my_unet.py"):
        (folder / name).write_text("raise SystemExit('it was run')")
    with pytest.raises(UsageError, match="wants code of its own"):
        made(f"diffusers:{folder}")


def test_what_is_not_there_is_said(saved: Path, tmp_path: Path) -> None:
    folder = spoilt(saved, tmp_path)
    rewrite_index(folder, _class_name="PipelineOfTomorrow")
    with pytest.raises(MissingPrerequisite, match="does not have") as caught:
        drawn(f"diffusers:{folder}", sized(0))
    assert "newer diffusers" in caught.value.fix
    shutil.rmtree(folder / "vae")
    with pytest.raises(MissingPrerequisite, match="lacks its vae"):
        made(f"diffusers:{folder}")
    with pytest.raises(MissingPrerequisite, match=r"has no model_index\.json"):
        made(f"diffusers:{tmp_path}")
    with pytest.raises(MissingPrerequisite, match="is not here") as caught:
        made("diffusers:nobody-at-all/no-such-model")
    assert "hf download" in caught.value.fix


def test_weights_of_a_variant_are_those_that_are_named(saved: Path, tmp_path: Path) -> None:
    """In shards too, as of large models; the mark stands before or behind a shard's number."""
    folder = tmp_path / "variants"
    shutil.copytree(saved / "stable_diffusion", folder)
    plain = made(f"diffusers:{folder}").info.revision
    with pytest.raises(MissingPrerequisite, match="no weights of a variant fp16"):
        made(f"diffusers:{folder},variant=fp16")
    part = folder / "unet"
    for name in ("model.fp16-00001-of-00002", "model-00002-of-00002.fp16"):
        path = part / f"{name}.safetensors"
        path.write_bytes(b"1")
        assert made(f"diffusers:{folder}").info.revision == plain
        before = made(f"diffusers:{folder},variant=fp16").info.revision
        path.write_bytes(b"2")
        assert made(f"diffusers:{folder},variant=fp16").info.revision not in (before, plain)
    (part / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(MissingPrerequisite, match="weights of a variant only") as caught:
        made(f"diffusers:{folder}")
    assert "variant=fp16" in caught.value.fix


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("size=33", "is no size"),
        ("size=64x32", "another shape than the suite's"),
        ("steps=0", "steps cannot be '0'"),
        ("dtype=int8", "dtype cannot be 'int8'"),
        ("step=2", "no option of diffusers is called 'step'"),
    ],
)
def test_wrong_options_are_refused(saved: Path, options: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        made(f"diffusers:{saved / 'stable_diffusion'},{options}")


def test_a_licence_is_the_model_cards(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    card.write_text("---\nlicense: other\nlicense_name: 'flux-1-dev'\ntags: [a]\n---\nlicense: x\n")
    assert licence_of(tmp_path) == "flux-1-dev"
    card.write_text("license: not in the head")
    assert licence_of(tmp_path) == "unknown"
