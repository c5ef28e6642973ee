"""The reference generators: cheap to make, true to seeds, batches and users, clear when missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_cascade import CAPTIONS, TinySuite

from ppdbench.errors import MissingPrerequisite, UsageError
from ppdbench.protocols import GenerationRequest, Generator, LoadContext, UserContext
from trainers import assets, generator
from trainers.checkpoints import AdapterHeader, save_adapter
from trainers.policy import Policy
from trainers.stable_cascade import stage_c
from trainers.stable_cascade.user_attention import AdapterShape, UnconditionalUser

REWARDS = ("clip", "aesthetic", "hps")


def write_adapter(
    folder: Path,
    base: stage_c.Base,
    *,
    hears: bool = True,
    unconditional_user: UnconditionalUser = "null-user",
    seed: int = 0,
) -> None:
    shape = AdapterShape(user_dim=3, tokens=4, token_dim=8)
    policy = Policy(base, shape, seed=seed)
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in policy.adapter.tensors().items():
            if "to_v" in name:
                tensor.copy_(torch.randn(tensor.shape, generator=draws))
    header = AdapterHeader(
        method="ppd",
        base_sha256=base.sha256,
        shape=shape,
        width=32,
        user_vector="reward_weights" if hears else "null",
        rewards=REWARDS,
        unconditional_user=unconditional_user,
        facts={},
    )
    save_adapter(folder, policy.adapter.tensors(), header)


@pytest.fixture
def context(
    tmp_path: Path,
    tiny_base: stage_c.Base,
    tiny_base_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> LoadContext:
    """The tiny suite with its base and a ppd and an sft adapter shipped."""
    shipped = tmp_path / "assets"
    (shipped / "tiny").mkdir(parents=True)
    (shipped / "tiny" / "base").symlink_to(tiny_base_folder)
    write_adapter(shipped / "tiny" / "ppd", tiny_base)
    write_adapter(shipped / "tiny" / "sft", tiny_base, hears=False)
    monkeypatch.setattr(assets, "SHIPPED", shipped)
    return LoadContext(suite=TinySuite(tmp_path), device="cpu")


def request(
    seed: int = 1, *, weights: dict[str, float] | None = None, size: int = 32
) -> GenerationRequest:
    user = None if weights is None else UserContext(id="u", reward_weights=weights)
    return GenerationRequest(
        id=str(seed), caption=CAPTIONS[0], user=user, seed=seed, width=size, height=size
    )


def pictures(made: Generator, requests: Sequence[GenerationRequest]) -> list[np.ndarray]:
    return [np.asarray(image).astype(int) for image in made.generate(requests)]


def test_info_needs_no_weights(context: LoadContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage_c, "load_base", lambda *_: pytest.fail("loaded"))
    ppd, base = generator.ppd(context), generator.stable_cascade(context)
    assert ppd.info.conditions_on == {"reward_weights"}
    assert base.info.conditions_on == generator.sft(context).info.conditions_on == set()
    assert len({made.info.revision for made in (ppd, base, generator.sft(context))}) == 3
    assert ppd.info.settings["unconditional_user"] == "null-user"


def test_revision_follows_adapter_and_sampling(
    context: LoadContext, tiny_base: stage_c.Base
) -> None:
    first = generator.ppd(context).info.revision
    assert generator.ppd(context).info.revision == first
    write_adapter(assets.SHIPPED / "tiny" / "ppd", tiny_base, seed=1)
    second = generator.ppd(context).info.revision
    longer = TinySuite(Path())
    longer.sampling = type(longer.sampling)(
        width=32, height=32, steps=3, guidance_scale=2.0, shift=1.0, rescale=0.0, clip_x0=3.0
    )
    third = generator.ppd(LoadContext(suite=longer, device="cpu")).info.revision
    assert len({first, second, third}) == 3


def test_pictures_follow_seed_and_user_not_batch(context: LoadContext) -> None:
    ppd = generator.ppd(context)
    clip, hps = {"clip": 1.0, "aesthetic": 0.0, "hps": 0.0}, {"hps": 1.0}
    batch = [
        request(1, weights=clip),
        request(2, weights=clip),
        request(1, weights=hps),
        request(1),
    ]
    drawn = pictures(ppd, batch)
    assert drawn[0].shape == (32, 32, 3)
    for one, wanted in zip(batch, drawn, strict=True):
        assert np.abs(pictures(ppd, [one])[0] - wanted).max() <= 1
    for other in drawn[1:]:
        assert np.abs(other - drawn[0]).max() > 3


def test_base_ignores_users_and_differs_from_the_adapter(context: LoadContext) -> None:
    base, ppd = generator.stable_cascade(context), generator.ppd(context)
    with_user, without = pictures(base, [request(weights={"clip": 1.0}), request()])
    assert np.abs(with_user - without).max() <= 1
    assert np.abs(pictures(ppd, [request()])[0] - without).max() > 3


def test_deaf_adapter_ignores_users(context: LoadContext) -> None:
    drawn = pictures(generator.sft(context), [request(weights={"clip": 1.0}), request()])
    assert np.abs(drawn[0] - drawn[1]).max() <= 1


def test_unknown_reward_and_size_are_usage_errors(context: LoadContext) -> None:
    ppd = generator.ppd(context)
    with pytest.raises(UsageError, match="beauty"):
        list(ppd.generate([request(weights={"beauty": 1.0})]))
    with pytest.raises(UsageError, match="32 x 32"):
        list(ppd.generate([request(size=64)]))


def test_missing_weights_are_named(context: LoadContext, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingPrerequisite, match="diffusion-dpo"):
        generator.diffusion_dpo(context)
    monkeypatch.setattr(assets, "SHIPPED", Path("/nowhere"))
    with pytest.raises(MissingPrerequisite, match="no Stable Cascade ships"):
        generator.stable_cascade(context)


def test_ones_own_adapter_is_a_model_too(
    context: LoadContext, tmp_path: Path, tiny_base: stage_c.Base
) -> None:
    write_adapter(tmp_path / "mine", tiny_base, seed=2)
    mine = generator.CascadeGenerator(context, "mine", adapter=tmp_path / "mine")
    assert mine.info.name == "mine"
    assert mine.info.revision != generator.ppd(context).info.revision
