"""The three scores and the engine: right by hand, the same in any batch, nothing done twice."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from PIL.Image import Image
from safetensors.torch import load_file

from ppdbench.protocols import Reward, RewardInfo, RewardSpec
from ppdbench.rewards import aesthetic, clip, embedding_reward, hps
from ppdbench.rewards.engine import Batch, score_each, score_images
from ppdbench.rewards.open_clip_tower import OpenClipTower
from ppdbench.rewards.preprocess import ClipRecipe, HpsRecipe

Spec = Callable[[str], RewardSpec]


def reference(folder: Path) -> tuple[torch.nn.Module, open_clip.SimpleTokenizer]:
    """The folder's model by open_clip alone, fp32."""
    config = json.loads((folder / "config.json").read_text())["model_cfg"]
    config["text_cfg"].pop("tokenizer_kwargs")
    model = open_clip.CLIP(**config).eval()
    state = load_file(folder / "model.safetensors")
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return model, open_clip.SimpleTokenizer(str(folder / "merges.txt.gz"), context_length=20)


@pytest.mark.parametrize("kind", ["clip", "hps"])
def test_cosine_by_hand(
    kind: str, assets: Path, spec: Spec, images: list[Image], captions: list[str]
) -> None:
    model, tokenizer = reference(assets / kind)
    recipe = ClipRecipe(64) if kind == "clip" else HpsRecipe(64, antialias=True)
    with torch.no_grad():
        image = model.encode_image(recipe(images)).double()  # type: ignore[operator]
        text = model.encode_text(tokenizer(captions)).double()  # type: ignore[operator]
    expected = 100 * (image * text).sum(1) / (image.norm(dim=1) * text.norm(dim=1))
    scores = {"clip": clip, "hps": hps}[kind].load(spec(kind), "cpu").score(images, captions)
    assert scores.dtype == np.float64
    assert_allclose(scores, expected, atol=2e-4)
    assert np.ptp(scores) > 0.1  # the fixture tells pictures apart


def test_aesthetic_reads_the_normalised_embedding(
    assets: Path, spec: Spec, images: list[Image], captions: list[str]
) -> None:
    model, _ = reference(assets / "clip")
    head = load_file(assets / "aesthetic" / "head.safetensors")
    with torch.no_grad():
        image = model.encode_image(ClipRecipe(64)(images)).double()  # type: ignore[operator]
    unit = image / image.norm(dim=1, keepdim=True)
    hidden = unit @ head["layers.0.weight"].T.double() + head["layers.0.bias"]
    expected = hidden @ head["layers.2.weight"].T.double() + head["layers.2.bias"]
    reward = aesthetic.load(spec("aesthetic"), "cpu")
    assert_allclose(reward.score(images, captions), expected[:, 0], atol=1e-5)


def test_folded_head_is_the_same_function_at_laions_shape() -> None:
    widths = (768, 1024, 128, 64, 16, 1)
    generator = torch.Generator().manual_seed(0)
    layers = [
        (torch.randn(b, a, generator=generator) / a**0.5, torch.randn(b, generator=generator))
        for a, b in pairwise(widths)
    ]
    embeddings = torch.nn.functional.normalize(torch.randn(50, 768, generator=generator), dim=1)
    weight, bias = torch.eye(768).double(), torch.zeros(768).double()
    for one, other in layers:  # in fp64, into the single layer that they are
        weight, bias = one.double() @ weight, one.double() @ bias + other.double()
    folded = (weight.float(), bias.float())
    assert folded[0].shape == (1, 768)
    full = aesthetic.apply_head(layers, embeddings)
    torch.testing.assert_close(full, aesthetic.apply_head([folded], embeddings), atol=1e-5, rtol=0)


def test_laions_own_file_layout_is_read(tmp_path: Path) -> None:
    widths = (768, 1024, 128, 64, 16, 1)
    dropouts = torch.nn.Dropout
    linear = [torch.nn.Linear(a, b) for a, b in pairwise(widths)]
    head = torch.nn.Sequential(
        linear[0], dropouts(), linear[1], dropouts(), linear[2], dropouts(), linear[3], linear[4]
    )
    module = torch.nn.ModuleDict({"layers": head})
    torch.save(module.state_dict(), tmp_path / "head.pth")
    layers = aesthetic.read_head(tmp_path / "head.pth")
    x = torch.randn(4, 768)
    torch.testing.assert_close(aesthetic.apply_head(layers, x), head.eval()(x)[:, 0])


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_batch_size_does_not_matter(
    batch_size: int,
    spec: Spec,
    images: list[Image],
    captions: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rewards: dict[str, Reward] = {
        "clip": clip.load(spec("clip"), "cpu"),
        "aesthetic": aesthetic.load(spec("aesthetic"), "cpu"),
        "hps": hps.load(spec("hps"), "cpu"),
    }
    whole = score_images(rewards, images, captions)
    parts = score_images(rewards, images, captions, batch_size=batch_size)
    for name, scores in whole.items():
        assert scores.shape == (7,)
        assert_allclose(parts[name], scores, atol=1e-4)
        monkeypatch.setattr(embedding_reward, "BATCH_SIZE", batch_size)
        assert_allclose(rewards[name].score(images, captions), scores, atol=1e-4)


class Bystander:
    """A reward of a stranger's own kind."""

    info = RewardInfo(name="bystander", kind="own", checkpoint_sha256="0", preprocess="none")

    def score(self, images: Sequence[Image], captions: Sequence[str]) -> NDArray[np.float64]:
        return np.array([image.width + len(c) for image, c in zip(images, captions, strict=True)])


def test_shared_work_is_done_once(
    spec: Spec, images: list[Image], captions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rewards: dict[str, Reward] = {
        "clip": clip.load(spec("clip"), "cpu"),
        "again": clip.load(spec("clip"), "cpu"),
        "aesthetic": aesthetic.load(spec("aesthetic"), "cpu"),
        "hps": hps.load(spec("hps"), "cpu"),
        "bystander": Bystander(),
    }
    embedded: list[OpenClipTower] = []
    prepared: list[ClipRecipe] = []
    encode, recipe = OpenClipTower.encode_images, ClipRecipe.__call__

    def counting_encode(self: OpenClipTower, pixels: torch.Tensor) -> torch.Tensor:
        embedded.append(self)
        return encode(self, pixels)

    def counting_recipe(self: ClipRecipe, images: Sequence[Image]) -> torch.Tensor:
        prepared.append(self)
        return recipe(self, images)

    monkeypatch.setattr(OpenClipTower, "encode_images", counting_encode)
    monkeypatch.setattr(ClipRecipe, "__call__", counting_recipe)
    scores = score_images(rewards, images, captions)
    assert len(embedded) == len(set(map(id, embedded))) == 2  # clip's tower and hps's
    assert len(prepared) == 1
    assert list(scores["bystander"]) == [
        i.width + len(c) for i, c in zip(images, captions, strict=True)
    ]
    assert_allclose(scores["again"], scores["clip"])


def test_each_reward_is_tried_by_itself(
    spec: Spec, images: list[Image], captions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Short(Bystander):
        def score(self, images: Sequence[Image], captions: Sequence[str]) -> NDArray[np.float64]:
            return super().score(images, captions)[:1]

    rewards: dict[str, Reward] = {
        "short": Short(),
        "clip": clip.load(spec("clip"), "cpu"),
        "aesthetic": aesthetic.load(spec("aesthetic"), "cpu"),
    }
    expected = score_images({"aesthetic": rewards["aesthetic"]}, images, captions)["aesthetic"]

    def blind(*_: object) -> None:
        raise RuntimeError("cannot see")

    monkeypatch.setattr(type(rewards["clip"]), "score_embeddings", blind)
    found = dict(score_each(rewards, Batch(captions, images)))
    alone = [image.width + len(c) for image, c in zip(images, captions, strict=True)]
    assert found["short"] == alone  # asked one by one, it gives as many as it should
    assert [str(error) for error in found["clip"]] == ["cannot see"] * 7
    assert_allclose(np.array(found["aesthetic"], float), expected)
    with pytest.raises(ValueError, match=r"1,.* for 7 images"):  # never one score for all
        score_images(rewards, images, captions)


def test_captions_are_encoded_once(spec: Spec, captions: list[str]) -> None:
    tower = clip.load(spec("clip"), "cpu").tower
    tower.encode_texts(captions)
    calls: list[int] = []
    handle = tower.model.ln_final.register_forward_hook(lambda *_: calls.append(1))
    first = tower.encode_texts(captions)
    assert not calls
    tower.encode_texts([*captions, "a large red circle"])
    assert len(calls) == 1
    handle.remove()
    torch.testing.assert_close(first[0], first[3])


def test_wrong_counts_are_refused(spec: Spec, images: list[Image]) -> None:
    with pytest.raises(ValueError, match="7 images but 1 captions"):
        clip.load(spec("clip"), "cpu").score(images, ["a"])


def test_identity_tells_scorers_apart(assets: Path, spec: Spec, tmp_path: Path) -> None:
    infos = [
        module.load(spec(kind), "cpu").info
        for kind, module in (("clip", clip), ("aesthetic", aesthetic), ("hps", hps))
    ]
    assert len({info.checkpoint_sha256 for info in infos}) == 3
    # The same files elsewhere are the same scorer; another config is not.
    copy = tmp_path / "clip"
    shutil.copytree(assets / "clip", copy)
    moved = RewardSpec(name="clip", kind="clip", checkpoint=copy)
    assert clip.load(moved, "cpu").info == infos[0]
    config = json.loads((copy / "config.json").read_text())
    config["model_cfg"]["quick_gelu"] = True
    (copy / "config.json").write_text(json.dumps(config))
    assert clip.load(moved, "cpu").info.checkpoint_sha256 != infos[0].checkpoint_sha256


def test_loading_leaves_the_random_state_alone(
    assets: Path, tmp_path: Path, images: list[Image]
) -> None:
    shutil.copytree(assets / "clip", tmp_path / "clip")
    config = tmp_path / "clip" / "config.json"
    config.write_text(config.read_text() + " ")  # another hash, so that it is really loaded
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    reward = clip.load(RewardSpec(name="c", kind="clip", checkpoint=tmp_path / "clip"), "cpu")
    reward.score(images[:1], ["a"])
    assert torch.equal(torch.rand(3), expected)


def test_naming_a_reward_imports_no_torch(assets: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ppdbench.protocols import RewardSpec\n"
        "from ppdbench.rewards import aesthetic, clip, hps, engine\n"
        "for kind, module in (('clip', clip), ('aesthetic', aesthetic), ('hps', hps)):\n"
        "    spec = RewardSpec(name=kind, kind=kind, checkpoint=Path(sys.argv[1]) / kind)\n"
        "    module.load(spec, 'cpu').info\n"
        "assert 'torch' not in sys.modules and 'open_clip' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code, str(assets)], check=True)


def test_registered_architecture_with_a_torch_checkpoint(
    tmp_path: Path, images: list[Image]
) -> None:
    torch.manual_seed(0)
    model = open_clip.create_model("RN50", pretrained=None)
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}},
        tmp_path / "weights.pt",
    )
    (tmp_path / "config.json").write_text(json.dumps({"arch": "RN50", "weights": "weights.pt"}))
    reward = clip.load(RewardSpec(name="c", kind="clip", checkpoint=tmp_path), "cpu")
    assert "shortest224" in reward.info.preprocess
    with torch.no_grad():
        image = model.eval().encode_image(ClipRecipe(224)(images[:1]), normalize=True)
        text = model.encode_text(open_clip.get_tokenizer("RN50")(["a cat"]), normalize=True)
    expected = 100 * float((image * text).sum())
    assert_allclose(reward.score(images[:1], ["a cat"]), [expected], atol=1e-3)
