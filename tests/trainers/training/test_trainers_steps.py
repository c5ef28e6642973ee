"""Batches and losses: who is compared with whom, against a twin that goes row by row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from tiny_cascade import CAPTIONS, Log, TinySuite

from ppdbench.data.images import decode_image
from ppdbench.data.pickapic import read_pairs
from trainers.config import ObjectiveConfig
from trainers.config_file import CONFIGS, load_config
from trainers.encoded.latents import as_tensor, encode_pairs
from trainers.examples import Labels, one_hot, table
from trainers.objectives import diffusion_kto_loss, kto_reference_point, loss_weights
from trainers.stable_cascade.adapter_shape import AdapterShape
from trainers.stable_cascade.schedule import add_noise, alpha_sigma
from trainers.stable_cascade.stage_c import Base, TextConditioning
from trainers.training.batches import batch_of
from trainers.training.job import Job
from trainers.training.loop import measure
from trainers.training.policy import Policy
from trainers.training.reference_cache import Visits
from trainers.training.steps import (
    Batch,
    KtoStep,
    PreferenceStep,
    Reference,
    SftStep,
    StepFunction,
    StepLoss,
)

NAMES = ("clip", "aesthetic", "hps")


@pytest.fixture
def policy(tiny_base: Base) -> Policy:
    """With V' awake, so that users are heard."""
    policy = Policy(tiny_base, AdapterShape(user_dim=3, tokens=4, token_dim=8), seed=0)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, tensor in policy.adapter.tensors().items():
            if ".to_v_user." in name:
                tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
    policy.train()
    return policy


@pytest.fixture
def batch(tiny_base: Base) -> Batch:
    """Three pairs whose two images have noises of their own."""
    generator = torch.Generator().manual_seed(1)
    winner, loser, noise_w, noise_l = (
        torch.randn(3, *tiny_base.latent_shape, generator=generator) for _ in range(4)
    )
    return Batch(
        winner=winner,
        loser=loser,
        noise_w=noise_w,
        noise_l=noise_l,
        timestep=torch.tensor([0.2, 0.5, 0.9]),
        text=tiny_base.encode_text([CAPTIONS[0], CAPTIONS[1], ""]),
        users=torch.eye(3),
    )


def errors(policy: Policy, batch: Batch, row: int, side: str, *, reference: bool) -> torch.Tensor:
    """Squared noise error of one image, alone in its forward."""
    one = slice(row, row + 1)
    noise = getattr(batch, f"noise_{side[0]}")[one]
    noisy = add_noise(getattr(batch, side)[one], noise, batch.timestep[one])
    inputs = (noisy, batch.timestep[one], batch.text[one])
    heard = policy.reference(*inputs) if reference else policy(*inputs, batch.users[one])
    error: torch.Tensor = (heard - noise).square().mean()
    return error


@pytest.mark.parametrize("weight", ["constant", "p2"])
def test_preference_step_matches_a_row_by_row_twin(
    weight: Any, policy: Policy, batch: Batch
) -> None:
    objective = ObjectiveConfig(beta=0.002, timestep_scale=1000, loss_weight=weight)
    step = PreferenceStep(objective, elements=64)
    assert step.beta_eff == pytest.approx(2)
    result = step(policy, policy, batch)
    sigma = alpha_sigma(batch.timestep)[1].flatten()
    for row in range(3):
        scale = sigma[row] ** 2 if weight == "p2" else 1.0
        win, lose = (
            scale
            * (
                errors(policy, batch, row, side, reference=False)
                - errors(policy, batch, row, side, reference=True)
            )
            for side in ("winner", "loser")
        )
        torch.testing.assert_close(result.rows["win_term"][row], win.detach(), rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(
            result.rows["lose_term"][row], lose.detach(), rtol=1e-3, atol=1e-6
        )
        wanted = torch.nn.functional.softplus(win - lose)  # -log sigmoid(-beta_eff / 2 * margin)
        torch.testing.assert_close(result.rows["loss"][row], wanted.detach())
        assert result.rows["implicit_accuracy"][row] == float(win < lose)
    torch.testing.assert_close(result.loss.detach(), result.rows["loss"].mean())
    assert (result.rows["divergence"] > 0).all()


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_kto_step_matches_an_image_by_image_twin(
    share: float, policy: Policy, batch: Batch
) -> None:
    objective = ObjectiveConfig(beta=0.002, timestep_scale=1000, desirable_share=share)
    result = KtoStep(objective, elements=64)(policy, policy, batch)
    gains = {
        side: torch.stack(
            [
                errors(policy, batch, row, side, reference=True)
                - errors(policy, batch, row, side, reference=False)
                for row in range(3)
            ]
        ).detach()
        for side in ("winner", "loser")
    }
    expected = share * gains["winner"].mean() + (1 - share) * gains["loser"].mean()
    point = kto_reference_point(expected)
    liked, other = (
        diffusion_kto_loss(gains[side], torch.full((3,), desirable), point, beta_eff=2)
        for side, desirable in (("winner", True), ("loser", False))
    )
    wanted = share * liked + (1 - share) * other
    torch.testing.assert_close(result.rows["loss"], wanted, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(result.loss.detach(), wanted.mean(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(result.rows["win_term"], -gains["winner"], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(result.rows["reference_point"], point.expand(3))


def test_kto_step_asks_the_base_nothing_that_is_known(policy: Policy, batch: Batch) -> None:
    step = KtoStep(ObjectiveConfig(), elements=64)
    first = step(policy, policy, batch)
    assert first.reference is not None
    reference = Reference(
        visits=Visits(*np.zeros((3, 3), np.int64)),
        known=np.ones((3, 2), bool),
        errors=first.reference,
    )
    again = step(policy, policy, replace(batch, reference=reference))
    assert torch.equal(again.loss, first.loss)
    assert again.rows["divergence"].isnan().all()


def test_dispersion_reaches_the_table_of_the_users_that_are_heard(
    tiny_base: Base, batch: Batch
) -> None:
    shape = AdapterShape(user_dim=4, tokens=4, token_dim=8, user_rank=2)
    policy = Policy(tiny_base, shape, seed=0)
    table = policy.adapter.projection.table
    assert table is not None
    users = torch.eye(4)[[0, 2, 3]]
    users[2] = 0  # the null user
    heard = replace(batch, users=users)
    plain, apart = (
        PreferenceStep(ObjectiveConfig(dispersion=weight), 64)(policy, policy, heard).loss
        for weight in (0.0, 0.5)
    )
    first, second = table.weight.T[[0, 2]]
    torch.testing.assert_close(plain - apart, 0.5 * (first - second).square().mean())
    (apart - plain).backward()  # type: ignore[no-untyped-call]
    assert table.weight.grad is not None
    assert table.weight.grad.any(0).tolist() == [True, False, True, False]


@pytest.mark.parametrize("kind", ["preference", "kto", "sft"])
def test_reference_is_the_untouched_base_and_gets_no_gradient(
    kind: str, policy: Policy, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: dict[str, StepFunction] = {
        "preference": PreferenceStep(ObjectiveConfig(), 64),
        "kto": KtoStep(ObjectiveConfig(), 64),
        "sft": SftStep(ObjectiveConfig()),
    }
    step = steps[kind]
    heard: list[torch.Tensor] = []
    asked: list[tuple[Any, ...]] = []
    real = policy.reference

    def reference(*inputs: Any) -> torch.Tensor:
        asked.append(inputs)
        heard.append(real(*inputs))
        return heard[-1]

    monkeypatch.setattr(policy, "reference", reference)
    result: StepLoss = step(policy, policy, batch)
    torch.autograd.backward(result.loss)
    assert not heard[0].requires_grad
    assert all(parameter.grad is None for parameter in policy.base.parameters())
    assert all(parameter.grad is not None for parameter in policy.adapter.parameters())
    for blocks in policy.base.modules():  # a base that never met an adapter
        processor = getattr(blocks, "processor", None)
        if processor is not None and hasattr(processor, "base"):
            monkeypatch.setattr(blocks, "processor", processor.base)
    with torch.no_grad():
        assert torch.equal(policy.base.predict_noise(*asked[0]), heard[0])


def test_sft_step_learns_winners_alone(policy: Policy, batch: Batch) -> None:
    result = SftStep(ObjectiveConfig(loss_weight="p2"))(policy, policy, batch)
    sigma = alpha_sigma(batch.timestep)[1].flatten()
    for row in range(3):
        error = errors(policy, batch, row, "winner", reference=False)
        torch.testing.assert_close(result.rows["loss"][row], (sigma[row] ** 2 * error).detach())
    assert "lose_term" not in result.rows


def test_latents_are_noised_as_the_originals_code_noises_them() -> None:
    """Golden: `GDF.diffuse` of Stability-AI/StableCascade with the settings of train/train_c.py.

    Its own numbers at these times, of a clean latent and of noise alone, and its loss weight.
    """
    times = torch.tensor([0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999, 1.0])
    signal = [0.99995, 0.9859476, 0.9203326, 0.7027401, 0.3798317, 0.1552151, 0.01, 0.01]
    noise = [0.0100008, 0.1670548, 0.3911366, 0.7114466, 0.9250556, 0.9878807, 0.99995, 0.99995]
    p2 = [0.0001, 0.0279072, 0.1529878, 0.5061563, 0.8557279, 0.9759083, 0.9999, 0.9999]
    one, none = torch.ones(8, 1, 1, 1), torch.zeros(8, 1, 1, 1)
    for made, wanted in (
        (add_noise(one, none, times), signal),
        (add_noise(none, one, times), noise),
        (add_noise(one, one, times), np.add(signal, noise)),
        (loss_weights(alpha_sigma(times)[1], "p2"), p2),
    ):
        np.testing.assert_allclose(made.flatten(), wanted, atol=2e-6)


class _Recorded:
    """A step that keeps its batches."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def __call__(self, policy: Any, bare: Policy, batch: Batch) -> StepLoss:  # noqa: ARG002
        self.batches.append(batch)
        ones = torch.ones(len(batch.winner))
        return StepLoss(ones.mean(), {"loss": ones, "time": batch.timestep})


def job_of(folder: Path, base: Base, policy: Policy, *overrides: str) -> Job:
    """The tiny pairs under two users, who prefer opposite images; four pairs are ties."""
    suite = TinySuite(folder)
    cache = encode_pairs(
        suite.pairs("train"),
        base,
        cache=folder / "cache",
        size=(32, 32),
        limit=None,
        events=Log(),
    )
    margin = np.where(np.arange(len(cache)) % 6 == 0, 0, np.arange(len(cache)) % 2 - 0.5)
    return Job(
        config=load_config(
            CONFIGS / "shapes" / "ppd.yaml",
            [
                "batch_size=8",
                "data.caption_dropout=0",
                "timesteps.distribution=uniform",
                *overrides,
            ],
        ),
        policy=policy,
        cache=cache,
        examples=table(
            [Labels("clip", margin, one_hot(NAMES, "clip", 3)),
             Labels("hps", -margin, one_hot(NAMES, "hps", 3))]
        ),
        step=_Recorded(),
        output=folder,
        accelerator=Accelerator(cpu=True),
        events=Log(),
        identity={},
    )  # fmt: skip


def test_batch_holds_what_each_user_prefers(
    tmp_path: Path, tiny_base: Base, policy: Policy
) -> None:
    job = job_of(tmp_path, tiny_base, policy, "objective.user_dropout=0.5")
    pairs = list(read_pairs(tmp_path / "train.parquet"))
    latents = [
        tiny_base.compressor.encode(
            torch.stack(
                [as_tensor(decode_image(data), (32, 32)) for data in (p.image_0, p.image_1)]
            )
        )
        for p in pairs
    ]
    met = set()
    for step in range(5):
        batch, labeller = batch_of(job, step, range(8))
        assert torch.equal(batch.noise_w, batch.noise_l)
        for row in range(8):
            vector = batch.users[row].tolist()
            own = [[1, 0, 0], [0, 0, 1]][labeller[row]]
            assert vector in (own, [0, 0, 0])
            met.add((int(labeller[row]), vector == own))
            both = batch.winner[row] + batch.loser[row]
            far = [float((pair.sum(0) - both).abs().sum()) for pair in latents]
            number = int(np.argmin(far))
            assert number % 6  # ties are nobody's
            # User 0 prefers image 1 of odd pairs, user 1 the other.
            side = (number % 2) ^ int(labeller[row])
            torch.testing.assert_close(batch.winner[row], latents[number][side])
            torch.testing.assert_close(batch.loser[row], latents[number][1 - side])
            text = tiny_base.encode_text([pairs[number].caption])
            torch.testing.assert_close(batch.text.hidden[row], text.hidden[0])
    assert met == {(0, True), (0, False), (1, True), (1, False)}


def test_measuring_takes_every_example_once(
    tmp_path: Path, tiny_base: Base, policy: Policy
) -> None:
    job = job_of(tmp_path, tiny_base, policy, "batch_size=7")  # 40 examples: five sevens and five
    assert len(job.examples) == 40
    figures = measure(job)
    assert isinstance(job.step, _Recorded)
    assert [len(batch.winner) for batch in job.step.batches] == [7, 7, 7, 7, 7, 5]
    winners = torch.cat([batch.winner for batch in job.step.batches]).flatten(1)
    assert len(torch.unique(winners, dim=0)) == 40
    assert figures["loss"] == 1
    assert figures["time"] == pytest.approx(0.5, abs=0.02)  # stratified over all of them


def test_text_conditioning_of_a_batch_travels_to_the_device(batch: Batch) -> None:
    moved = batch.to(torch.device("meta"))
    assert isinstance(moved.text, TextConditioning)
    assert {moved.winner.device.type, moved.text.hidden.device.type, moved.users.device.type} == {
        "meta"
    }
