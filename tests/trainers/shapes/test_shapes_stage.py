"""A training stage: interrupted anywhere and started again, it ends where it would have ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ppdbench.errors import PpdbenchError
from trainers.shapes import stage
from trainers.shapes.stage import StageConfig, run_stage

CONFIG = StageConfig(seed=3, steps=23, batch_size=8, lr=1e-2, warmup=4, weight_decay=0.05, ema=0.9)


class Killed(BaseException):
    """Stands for whatever ends a process."""


class Bench:
    """Two modules, one with buffers, learning a fixed map."""

    def __init__(self, start: int = 0) -> None:
        torch.manual_seed(start)
        self.modules = {
            "body": nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.GELU()),
            "head": nn.Linear(7, 2),
        }
        self.steps: list[int] = []
        self.learning_rates: list[float] = []

    def run(
        self,
        state: Path,
        config: StageConfig = CONFIG,
        *,
        die_at: int | None = None,
        report: Callable[[str], None] = lambda _line: None,
    ) -> dict[str, float]:
        def loss_of(step: int, generator: torch.Generator) -> Tensor:
            if step == die_at:
                raise Killed
            self.steps.append(step)
            given = torch.randn(config.batch_size, 5, generator=generator)
            wanted = torch.stack([given.sum(1), given[:, 0] * given[:, 1]], 1)
            guess: Tensor = self.modules["head"](self.modules["body"](given))
            return (guess - wanted).square().mean()

        return run_stage("bench", self.modules, loss_of, config, state_file=state, report=report)

    def weights(self) -> dict[str, Tensor]:
        return {
            f"{part}.{name}": tensor.clone()
            for part, module in self.modules.items()
            for name, tensor in module.state_dict().items()
        }


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture
def save_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "SAVE_EVERY_SECONDS", -1.0)


@pytest.mark.usefixtures("save_often")
@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("deaths", [(1,), (11,), (22,), (2, 3, 17)])
def test_resumed_equals_uninterrupted(tmp_path: Path, ema: float, deaths: tuple[int, ...]) -> None:
    config = replace(CONFIG, ema=ema)
    whole = Bench()
    figures = whole.run(tmp_path / "whole.pt", config)
    for attempt, step in enumerate(deaths):
        with pytest.raises(Killed):  # each attempt starts from other weights, as a new process may
            Bench(attempt).run(tmp_path / "killed.pt", config, die_at=step)
    last = Bench(99)
    resumed = last.run(tmp_path / "killed.pt", config)
    assert last.steps == list(range(deaths[-1], config.steps))
    assert same(last.weights(), whole.weights())
    assert resumed["loss"] == figures["loss"]


def test_killed_between_saves_it_goes_back_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Bench()
    whole.run(tmp_path / "whole.pt")
    clock = iter(range(10_000))
    monkeypatch.setattr("trainers.shapes.stage.time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(stage, "SAVE_EVERY_SECONDS", 4.0)  # every fifth tick, a tick a step
    with pytest.raises(Killed):
        Bench().run(tmp_path / "killed.pt", die_at=13)
    last = Bench(99)
    last.run(tmp_path / "killed.pt")
    assert 0 < last.steps[0] < 13
    assert same(last.weights(), whole.weights())


@pytest.mark.usefixtures("save_often")
def test_killed_while_saving_the_older_state_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Bench()
    whole.run(tmp_path / "whole.pt")
    save, saves = torch.save, []

    def torn(state: object, path: Path) -> None:
        saves.append(path)
        save(state, path)
        if len(saves) == 9:
            Path(path).write_bytes(Path(path).read_bytes()[:300])
            raise Killed

    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(Killed):
        Bench().run(tmp_path / "killed.pt")
    monkeypatch.setattr(torch, "save", save)
    last = Bench(99)
    last.run(tmp_path / "killed.pt")
    assert last.steps[0] == 8
    assert same(last.weights(), whole.weights())


def test_a_finished_stage_is_not_trained_again(tmp_path: Path) -> None:
    """Killed after its last step, before its weights were written: same weights, same figures."""
    first = Bench()
    figures = first.run(tmp_path / "state.pt")
    again = Bench(99)
    repeated = again.run(tmp_path / "state.pt")
    assert again.steps == []
    assert same(again.weights(), first.weights())
    assert repeated["loss"] == figures["loss"]


def test_a_state_of_other_settings_is_refused(tmp_path: Path) -> None:
    """Silently finishing another schedule would make weights that no committed recipe makes."""
    file = tmp_path / "state.pt"
    Bench().run(file)
    before = file.read_bytes()
    with pytest.raises(PpdbenchError, match="other settings"):
        Bench().run(file, replace(CONFIG, lr=CONFIG.lr / 2))
    assert file.read_bytes() == before


def test_the_state_needs_no_pickle(tmp_path: Path) -> None:
    Bench().run(tmp_path / "deep" / "state.pt")
    state = torch.load(tmp_path / "deep" / "state.pt", weights_only=True)
    assert state["step"] == CONFIG.steps and state["seconds"] >= 0
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["state.pt"]


def test_seconds_add_up_over_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "SAVE_EVERY_SECONDS", -1.0)
    clock = iter(range(10_000))
    monkeypatch.setattr("trainers.shapes.stage.time.monotonic", lambda: float(next(clock)))
    with pytest.raises(Killed):
        Bench().run(tmp_path / "state.pt", die_at=10)
    spent = torch.load(tmp_path / "state.pt", weights_only=True)["seconds"]
    for _ in range(500):
        next(clock)  # nobody was training
    figures = Bench().run(tmp_path / "state.pt")
    assert spent < figures["seconds"] < 3 * CONFIG.steps


def test_it_learns_and_says_so(tmp_path: Path) -> None:
    lines: list[str] = []
    config = replace(CONFIG, steps=200, ema=0.0)
    bench = Bench()
    figures = bench.run(tmp_path / "state.pt", config, report=lines.append)
    assert [line.split(" loss")[0] for line in lines] == [
        "bench: step 100/200",
        "bench: step 200/200",
    ]
    assert figures["loss"] < float(lines[0].split("loss ")[1].split()[0])
    assert bench.steps == list(range(200))


def test_the_average_ends_in_the_modules(tmp_path: Path) -> None:
    """One step: decay is min(ema, 1/10), so the average is nine tenths of the way there."""
    config = replace(CONFIG, steps=1, warmup=0, weight_decay=0.0)
    begin, raw, averaged = Bench(), Bench(), Bench()
    raw.run(tmp_path / "raw.pt", replace(config, ema=0.0))
    averaged.run(tmp_path / "ema.pt", config)
    start, end = begin.weights()["head.weight"], raw.weights()["head.weight"]
    torch.testing.assert_close(
        averaged.weights()["head.weight"], start + 0.9 * (end - start), rtol=1e-4, atol=1e-7
    )


def test_frozen_parameters_are_left_alone(tmp_path: Path) -> None:
    bench = Bench()
    bench.modules["body"].requires_grad_(False)
    before = bench.weights()
    bench.run(tmp_path / "state.pt")
    after = bench.weights()
    assert torch.equal(before["body.0.weight"], after["body.0.weight"])
    assert not torch.equal(before["head.weight"], after["head.weight"])


def test_another_seed_sees_other_batches(tmp_path: Path) -> None:
    first, second = Bench(), Bench()
    first.run(tmp_path / "first.pt")
    second.run(tmp_path / "second.pt", replace(CONFIG, seed=4))
    assert not same(first.weights(), second.weights())


def test_the_learning_rate_warms_up_and_ends_at_a_twentieth() -> None:
    factors = [stage._learning_rate_factor(step, CONFIG) for step in range(CONFIG.steps + 1)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert max(factors) == factors[4] == 1.0
    assert factors[-1] == pytest.approx(0.05)
    assert factors[4:] == sorted(factors[4:], reverse=True)
