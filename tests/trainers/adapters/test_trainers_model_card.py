"""A model card's metadata is what hubs read: licence, base, and results that were measured."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from ppdbench.errors import MissingPrerequisite, UsageError
from trainers.adapters.card_results import with_run
from trainers.adapters.header import AdapterHeader
from trainers.adapters.model_card import model_card
from trainers.config_file import CONFIGS, load_config
from trainers.stable_cascade.adapter_shape import AdapterShape

HEADER = AdapterHeader(
    method="ppd",
    base_sha256="b" * 64,
    shape=AdapterShape(user_dim=3),
    width=32,
    user_vector="reward_weights",
    rewards=("clip", "aesthetic", "hps"),
    unconditional_user="null-user",
    facts={
        "suite": "shapes",
        "suite_version": "1",
        "pairs_sha256": "p" * 64,
        "examples": 9,
        "left_out": {"clip": {"tie": 1}},
        "steps": 2,
    },
)
FIGURES = {"loss": 0.6, "implicit_accuracy": 0.75, "divergence": 4.4e-5, "reference_error": 0.05}


def card(figures: dict[str, float], *, published: bool = False) -> Any:
    config = load_config(CONFIGS / "shapes" / "ppd.yaml")
    header = replace(HEADER, method=config.method)
    text = model_card(header, config, [{"loss": 0.7}], figures, 60.0, published=published)
    return ModelCard(text)  # Any: its data's attributes are those of the YAML


def test_measured_results_are_an_index_that_the_hubs_parser_reads() -> None:
    data = card(FIGURES).data
    assert data.model_name == "ppd on shapes"
    assert data.eval_results is not None
    found = {each.metric_type: each.metric_value for each in data.eval_results}
    # What the table has no row for is not told here either.
    assert found == {name: FIGURES[name] for name in ("loss", "implicit_accuracy", "divergence")}
    for each in data.eval_results:
        assert (each.task_type, each.dataset_type) == ("text-to-image", "ppdbench/shapes")
        assert each.dataset_split == "validation" and each.dataset_revision is None
        assert each.verified is False and each.metric_name


@pytest.mark.parametrize("figures", [{}, {"loss": math.nan}, {"divergence": math.inf}])
def test_what_was_not_measured_is_no_number(figures: dict[str, float]) -> None:
    made = card(figures)
    assert made.data.eval_results is None
    assert "model-index" not in made.data.to_dict()
    assert "| loss | 0.70000 | " + ("nan |" if "loss" in figures else "not measured |") in made.text
    assert ".nan" not in str(made.data) and ".inf" not in str(made.data)
    some = card(figures | {"implicit_accuracy": 0.5}).data.eval_results
    assert some is not None and [each.metric_type for each in some] == ["implicit_accuracy"]


def test_licence_and_base_are_those_of_the_weights() -> None:
    ours, derived = card(FIGURES).data, card(FIGURES, published=True).data
    assert ours.license == "apache-2.0" and ours.base_model is None
    assert derived.license == "other" and derived.license_name == "stable-cascade-nc-community"
    assert derived.base_model == "stabilityai/stable-cascade-prior"
    for data in (ours, derived):
        assert data.library_name == "ppdbench" and data.pipeline_tag == "text-to-image"
        assert {"stable-cascade", "ppd"} <= set(data.tags or ())


def test_the_cards_text_says_how_to_draw() -> None:
    text = card(FIGURES).text
    assert 'PersonalizedStableCascade.from_pretrained(".")' in text
    assert 'user={"clip": 1.0}' in text


def test_cards_of_shipped_adapters_are_read_too() -> None:
    """And say what their trainings measured."""
    shipped = sorted((Path(__file__).parents[3] / "trainers" / "assets").rglob("README.md"))
    assert shipped
    for file in shipped:
        data: Any = ModelCard.load(file).data
        assert data.license == "apache-2.0" and "stable-cascade" in (data.tags or ())
        measured = json.loads((file.parent / "manifest.json").read_text())["figures"]
        assert data.eval_results and len(data.eval_results) > 2
        for each in data.eval_results:
            assert measured[each.metric_type] == each.metric_value


# --- what a run measured --------------------------------------------------------------------------

ROW = {"win_rate": 0.8, "ci_low": 0.7, "ci_high": 0.9, "n": 48, "p_value": 0.01}


def write_run(folder: Path, **changed: Any) -> Path:
    """A run folder with what a card takes of its summary."""
    summary = {
        "suite": "shapes",
        "suite_version": "1",
        "suite_digest": "d" * 64,
        "ppdbench": "9",
        "model": "ppd",
        "withheld": None,
        "generators": {"ppd": {"revision": "r" * 64}},
        "benchmarks": {
            "rewards": {"base": {"clip": ROW, "hps": ROW | {"win_rate": None}}},
            "rewards_gold": {"base": {"clip-gold": ROW | {"win_rate": 0.6}}},
            "personal": {"base": {"unseen": ROW | {"win_rate": 0.84}}},
        },
    }
    folder.mkdir(exist_ok=True)
    (folder / "summary.json").write_text(json.dumps(summary | changed))
    return folder


def card_text(figures: dict[str, float]) -> str:
    config = load_config(CONFIGS / "shapes" / "ppd.yaml")
    return model_card(HEADER, config, [], figures, 60.0)


@pytest.mark.parametrize("figures", [FIGURES, {}])
def test_a_runs_win_rates_stand_beside_what_the_training_measured(
    tmp_path: Path, figures: dict[str, float]
) -> None:
    before = card_text(figures)
    run = write_run(tmp_path / "run")
    text = with_run(with_run(before, run, "r" * 64), run, "r" * 64)  # twice is once
    data: Any = ModelCard(text).data
    assert data.model_name == "ppd on shapes" and data.license == "apache-2.0"
    found = [each for each in data.eval_results if each.dataset_split == "test"]
    assert {each.metric_name: each.metric_value for each in found} == {
        "win rate over base, by clip": 0.8,
        "win rate over base, by clip-gold": 0.6,
        "win rate over base, true, users: unseen": 0.84,
    }
    assert found[0].metric_args == {"ci_low": 0.7, "ci_high": 0.9, "n": 48}
    others = [each for each in data.eval_results if each.dataset_split == "validation"]
    assert len(others) == len(set(figures) - {"reference_error"})
    assert text.partition("\n---\n")[2] == before.partition("\n---\n")[2]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"generators": {"ppd": {"revision": "q" * 64}}}, "of another revision"),
        ({"generators": {}}, "of another revision"),
        ({"withheld": "3 of 9 failed"}, "are withheld: 3 of 9 failed"),
        ({"benchmarks": {"interpolation": {}}}, "has no win rates"),
    ],
)
def test_another_models_run_and_one_without_figures_are_refused(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        with_run(card_text(FIGURES), write_run(tmp_path / "run", **changed), "r" * 64)


def test_a_folder_without_a_summary_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPrerequisite, match=r"summary\.json cannot be read"):
        with_run(card_text(FIGURES), tmp_path, "r" * 64)
    (tmp_path / "summary.json").write_text("{")
    with pytest.raises(MissingPrerequisite, match=r"summary\.json cannot be read"):
        with_run(card_text(FIGURES), tmp_path, "r" * 64)
