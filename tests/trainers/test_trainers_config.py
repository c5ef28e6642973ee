"""Configurations: each shipped one loads and comes back from its own YAML; bad keys are named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ppdbench.errors import UsageError
from trainers.config import as_mapping, to_yaml
from trainers.config_file import CONFIGS, load_config, parse_config, resolve

SHIPPED = sorted(CONFIGS.rglob("*.yaml"))
PPD = CONFIGS / "shapes" / "ppd.yaml"
PPD_USERS = CONFIGS / "shapes" / "ppd-users.yaml"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_shipped_config_loads_and_round_trips(path: Path, tmp_path: Path) -> None:
    config = load_config(path)
    assert path.stem in (config.method, f"{config.method}-users")
    (tmp_path / "again.yaml").write_text(to_yaml(config))
    assert load_config(tmp_path / "again.yaml") == config


def test_methods_share_what_must_be_equal() -> None:
    ppd, dpo, sft = (
        load_config(CONFIGS / "shapes" / f"{name}.yaml") for name in ("ppd", "diffusion-dpo", "sft")
    )
    assert ppd.adapter == dpo.adapter == sft.adapter
    assert replace(ppd.objective, user_dropout=0) == dpo.objective
    assert ppd.timesteps == dpo.timesteps and ppd.data == dpo.data
    assert (ppd.steps, ppd.batch_size) == (dpo.steps, dpo.batch_size) == (sft.steps, sft.batch_size)
    # PPD spends its steps on three rewards; the run for one of them gets a third.
    one = load_config(CONFIGS / "shapes" / "diffusion-dpo.yaml", ["reward=clip"])
    assert one.total_steps == round(ppd.total_steps / 3)
    assert dpo.total_steps == ppd.total_steps


def test_paper_scale_methods_share_what_must_be_equal() -> None:
    """And what the paper says: 768 pairs a step, AdamW at 1e-5, one epoch."""
    names = (
        "ppd", "diffusion-dpo", "sft", "diffusion-kto", "ppd-users", "sft-users",
        "diffusion-kto-users",
    )  # fmt: skip
    assert {path.stem for path in SHIPPED if path.parent.name == "pickapic"} == set(names)
    loaded = [load_config(CONFIGS / "pickapic" / f"{name}.yaml") for name in names]
    (ppd, dpo, _, _), users = loaded[:4], loaded[4:]
    for config in loaded:
        assert (config.batch_size, config.epochs, config.steps) == (768, 1, None)
        assert config.optimizer.lr == 1e-5 and config.precision == "bfloat16"
        assert 0.1 <= config.objective.beta <= 2
        assert config.draws == "pair", "the base's losses can be shared by all of them"
        shared = ("adapter", "data", "timesteps", "optimizer", "sampling", "compile")
        assert all(getattr(config, name) == getattr(ppd, name) for name in shared)
    assert replace(ppd.objective, user_dropout=0) == dpo.objective
    assert [config.users.encoder for config in users] == ["llava-onevision"] * 3


def test_diffusion_kto_differs_from_its_neighbours_in_its_objective() -> None:
    """beta_eff is the published default, 1000; desirable images weigh more, as they must."""
    for name, neighbour in (
        ("diffusion-kto", "diffusion-dpo"),
        ("diffusion-kto-users", "ppd-users"),
    ):
        for suite in ("shapes", "pickapic"):
            kto, other = (load_config(CONFIGS / suite / f"{n}.yaml") for n in (name, neighbour))
            assert kto.objective.beta * kto.objective.timestep_scale == 1000
            assert kto.objective.utility == "kahneman-tversky"
            assert 0.5 < kto.objective.desirable_share <= 0.8
            for part in ("adapter", "users", "timesteps", "sampling", "steps", "batch_size"):
                assert getattr(kto, part) == getattr(other, part), (suite, name, part)


def test_methods_of_users_have_an_encoder_of_their_own() -> None:
    for method, encoder in (("ip-adapter", "liked-images"), ("ppd-learnt", "known-users")):
        config = resolve(method, "shapes", None, [])
        assert config.users.encoder == encoder
        assert resolve(method, "shapes", None, [f"users.encoder={encoder}"]) == config
        with pytest.raises(UsageError, match=f"{method} hears users"):
            resolve(method, "shapes", None, ["users.encoder=null"])


def test_dispersion_needs_learnt_embeddings() -> None:
    learnt = ["adapter.user_rank=8", "objective.dispersion=0.1"]
    assert load_config(PPD_USERS, learnt).objective.dispersion == 0.1
    for lacking in (learnt[1:], [*learnt, "shard=true"]):
        with pytest.raises(UsageError, match=r"objective\.dispersion=0"):
            load_config(PPD_USERS, lacking)


def test_epochs_are_walks_over_the_examples_and_steps_have_the_last_word() -> None:
    config = load_config(CONFIGS / "pickapic" / "ppd.yaml")
    assert [config.steps_over(n) for n in (768, 769, 800_000)] == [1, 2, 1042]
    assert replace(config, epochs=0.5).steps_over(800_000) == 521
    assert load_config(CONFIGS / "pickapic" / "ppd.yaml", ["steps=7"]).steps_over(800_000) == 7
    path = CONFIGS / "pickapic" / "diffusion-dpo.yaml"
    one = load_config(path, ["reward=hps", "reward_share=0.25"])
    assert one.steps_over(768 * 100) == 25


def test_runs_from_before_a_setting_are_described_as_they_were() -> None:
    """What is not there at its default, and is where it is not, and loads again."""
    old, new = as_mapping(load_config(PPD)), as_mapping(load_config(PPD, LATER_SET))
    for name in ("epochs", "draws", "reference_cache", "compile", "base_precision", "shard"):
        assert name not in old
    assert "kind" not in old["optimizer"] and new["optimizer"]["kind"] == "fused"
    assert "user_rank" not in old["adapter"] and new["adapter"]["user_rank"] == 8
    assert "dispersion" not in old["objective"] and new["objective"]["dispersion"] == 0.5
    kto = load_config(CONFIGS / "shapes" / "diffusion-kto.yaml", KTO_SET)
    for name, value in (("utility", "loss-averse"), ("desirable_share", 0.7)):
        assert name not in old["objective"] and as_mapping(kto)["objective"][name] == value
    assert new["draws"] == "pair" and new["compile"] is new["reference_cache"] is True
    assert parse_config(new, source="again") == load_config(PPD, LATER_SET)


LATER_SET = [
    "draws=pair", "timesteps.stratified=false", "reference_cache=true", "compile=true",
    "optimizer.kind=fused", "epochs=2", "adapter.user_rank=8", "objective.dispersion=0.5",
]  # fmt: skip
KTO_SET = ["objective.utility=loss-averse", "objective.desirable_share=0.7"]


@pytest.mark.parametrize("method", ["ppd", "sft", "diffusion-dpo", "diffusion-kto", "ip-adapter"])
def test_a_setting_that_the_method_does_not_look_at_is_refused(method: str) -> None:
    path = CONFIGS / "shapes" / f"{method}.yaml"
    wanted: dict[str, tuple[str, ...]]
    wanted = {"adapter.user_rank=8 objective.dispersion=0.5": ("ppd", "ppd-learnt")}
    wanted |= dict.fromkeys(KTO_SET, ("diffusion-kto",))
    for setting, methods in wanted.items():
        if method in methods:
            load_config(path, setting.split())
            continue
        with pytest.raises(UsageError, match=r"objective\.\w+ is for .* only") as caught:
            load_config(path, setting.split())
        assert f"--method {methods[0]}" in caught.value.fix


def test_neither_steps_nor_epochs_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="neither steps nor epochs"):
        load_config(CONFIGS / "pickapic" / "ppd.yaml", ["epochs=null"])


def test_users_are_asked_for_by_their_encoder() -> None:
    alone = resolve("ppd", "shapes", None, [])
    assert alone.users.encoder is None and alone.adapter.tokens == 8
    asked = resolve("ppd", "shapes", None, ["users.encoder=onehot"])
    assert asked.users.encoder == "onehot" and asked.adapter.tokens == 4
    assert asked.adapter.user_dim is None
    assert resolve("ppd", "shapes", None, ["users.encoder=onehot", "users.encoder=null"]) == alone
    sft = resolve("sft", "shapes", None, ["users.encoder=onehot", "users.groups=2"])
    assert (sft.users.groups, sft.adapter) == (2, asked.adapter)
    assert (sft.steps, sft.batch_size) == (asked.steps, asked.batch_size)
    assert sft.timesteps == resolve("sft", "shapes", None, []).timesteps


def test_a_run_without_users_is_described_as_before_there_were_any() -> None:
    assert "users" not in as_mapping(load_config(PPD))
    assert as_mapping(load_config(PPD_USERS))["users"]["shots"] == 4


@pytest.mark.parametrize(
    ("path", "overrides", "said"),
    [
        (None, ["users.encoder=onehot"], "--method ppd"),
        (CONFIGS / "shapes" / "diffusion-dpo.yaml", ["users.encoder=onehot"], "--method ppd"),
    ],
)
def test_diffusion_dpo_with_users_is_ppd(
    path: Path | None, overrides: list[str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        resolve("diffusion-dpo", "shapes", path, overrides)


def test_margins_of_rewards_are_not_for_people() -> None:
    with pytest.raises(UsageError, match=r"data\.margin_quantile=0"):
        load_config(PPD, ["users.encoder=onehot"])


def test_overrides_are_typed() -> None:
    config = load_config(PPD, ["optimizer.lr=1e-4", "objective.share_noise=false", "steps=7"])
    assert config.optimizer.lr == 1e-4
    assert config.objective.share_noise is False
    assert config.total_steps == 7


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer.lrr=1", "optimizer.lr"),
        ("optimiser.lr=1", "optimizer"),
        ("stepz=1", "steps"),
        ("steps=many", "steps"),
        ("steps=0", "steps"),
        ("adapter.tokens=1", "adapter.tokens"),
        ("steps.more=1", "steps"),
        ("sampling.unconditional_user=nobody", "unconditional_user"),
        ("optimizer.betas=[0.9, 3]", "optimizer.betas"),
        ("seed=100000000000000000000", "seed"),
        ("steps", "key=value"),
        ("reward=clip", "diffusion-dpo"),
        ("users.groups=0", "users.groups"),
        ("users.shot=4", "users.shots"),
    ],
)
def test_wrong_override_is_a_usage_error(override: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_config(PPD, [override])


def test_wrong_files_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(UsageError, match="mapping"):
        load_config(tmp_path / "list.yaml")
    (tmp_path / "torn.yaml").write_text("steps: [1\n")
    with pytest.raises(UsageError, match="not YAML"):
        load_config(tmp_path / "torn.yaml")
    with pytest.raises(UsageError, match="--method ppd"):
        resolve("sft", "shapes", PPD, [])
    with pytest.raises(UsageError, match="no configuration is shipped"):
        resolve("ppd", "nowhere", None, [])
