"""The losses against values worked out by hand and against the published code, line for line."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from trainers.objectives import (
    diffusion_dpo_loss,
    effective_beta,
    loss_weights,
    noise_error,
    sft_loss,
)
from trainers.stable_cascade.schedule import alpha_sigma


def published_loss(
    model_pred: Tensor, ref_pred: Tensor, target: Tensor, beta_dpo: float
) -> tuple[Tensor, Tensor]:
    """SalesforceAIResearch/DiffusionDPO `train.py`: winners first, losers second."""
    model_losses = (model_pred - target).pow(2).mean(dim=[1, 2, 3])
    model_losses_w, model_losses_l = model_losses.chunk(2)
    model_diff = model_losses_w - model_losses_l
    ref_losses = (ref_pred - target).pow(2).mean(dim=[1, 2, 3])
    ref_losses_w, ref_losses_l = ref_losses.chunk(2)
    ref_diff = ref_losses_w - ref_losses_l
    inside_term = -0.5 * beta_dpo * (model_diff - ref_diff)
    return -1 * functional.logsigmoid(inside_term).mean(), (inside_term > 0).sum().float() / len(
        inside_term
    )


def test_value_by_hand() -> None:
    # win 0.10 - 0.12 = -0.02, lose 0.21 - 0.20 = 0.01, margin -0.03, beta_eff 200:
    # -log sigmoid(-0.5 * 200 * -0.03) = log(1 + e^-3)
    terms = diffusion_dpo_loss(
        torch.tensor([0.10]),
        torch.tensor([0.21]),
        torch.tensor([0.12]),
        torch.tensor([0.20]),
        beta_eff=200,
    )
    assert terms.loss.item() == pytest.approx(math.log1p(math.exp(-3)), rel=1e-5)
    assert terms.win_term.item() == pytest.approx(-0.02)
    assert terms.lose_term.item() == pytest.approx(0.01)
    assert terms.implicit_accuracy.item() == 1


def test_matches_published_code() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(8, 4, 3, 3, generator=generator)
    prediction, reference = (
        noise + 0.3 * torch.randn(noise.shape, generator=generator) for _ in range(2)
    )
    error_w, error_l = noise_error(prediction, noise).chunk(2)
    reference_w, reference_l = noise_error(reference, noise).chunk(2)
    terms = diffusion_dpo_loss(error_w, error_l, reference_w, reference_l, beta_eff=500)
    loss, accuracy = published_loss(prediction, reference, noise, 500)
    torch.testing.assert_close(terms.loss.mean(), loss)
    torch.testing.assert_close(terms.implicit_accuracy.mean(), accuracy)


def test_equal_models_give_ln2_and_half() -> None:
    error = torch.tensor([0.3, 0.4])
    terms = diffusion_dpo_loss(error, error.flip(0), error, error.flip(0), beta_eff=5000)
    torch.testing.assert_close(terms.loss, torch.full((2,), math.log(2)))
    assert terms.implicit_accuracy.tolist() == [0.5, 0.5]


def test_gradient_lowers_the_winner_and_raises_the_loser() -> None:
    error_w, error_l = (
        torch.tensor([0.3], requires_grad=True),
        torch.tensor([0.3], requires_grad=True),
    )
    terms = diffusion_dpo_loss(
        error_w, error_l, torch.tensor([0.3]), torch.tensor([0.3]), beta_eff=8
    )
    torch.autograd.backward(terms.loss.sum())
    # d/dm -log sigmoid(-4 m) at 0 is 4 * 0.5.
    assert error_w.grad is not None and error_w.grad.item() == pytest.approx(2)
    assert error_l.grad is not None and error_l.grad.item() == pytest.approx(-2)


def test_errors_of_half_precision_are_compared_in_full() -> None:
    noise = torch.zeros(1, 1, 2, 2, dtype=torch.bfloat16)
    close = torch.tensor([[[[1.0, 1.0], [1.0, 1.0078125]]]], dtype=torch.bfloat16)
    assert noise_error(close, noise).dtype == torch.float32
    assert noise_error(close, noise).item() == pytest.approx(1 + (1.0078125**2 - 1) / 4, rel=1e-6)


def test_effective_beta_of_sums_counts_the_elements() -> None:
    assert effective_beta(0.5, timestep_scale=1000, reduction="mean", elements=256) == 500
    assert effective_beta(0.5, timestep_scale=1000, reduction="sum", elements=256) == 128_000


def test_p2_weight_is_the_noise_variance() -> None:
    alpha, sigma = alpha_sigma(torch.tensor([0.1, 0.5, 1.0]))
    snr = (alpha / sigma).square().flatten()
    torch.testing.assert_close(loss_weights(sigma, "p2"), 1 / (1 + snr))
    assert loss_weights(sigma, "constant").tolist() == [1, 1, 1]
    error = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(sft_loss(error, loss_weights(sigma, "constant")), error)
