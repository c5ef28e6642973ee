"""An adapter as a pipeline: whoever the user is shown by, it draws what the generator draws."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard, constants
from PIL import Image
from published_layout import PIXELS
from tiny_adapters import write_adapter
from tiny_cascade import CAPTIONS, TinySuite, write_base
from toy_encoder import ToyEncoder

from ppdbench import plugins
from ppdbench.errors import MissingPrerequisite, UsageError
from ppdbench.protocols import GenerationRequest, LoadContext, SamplingSpec, Shot, UserContext
from trainers import generator
from trainers.adapters.header import Embedding
from trainers.pipeline import PersonalizedStableCascade
from trainers.stable_cascade.load import load_base
from trainers.stable_cascade.stage_c import Base

TOY = Embedding(encoder="toy", revision="1", mean=(0.0,) * 3, std=(100.0,) * 3)
FACTS = {"suite": "tiny"}


def toy(_: LoadContext) -> ToyEncoder:
    return ToyEncoder()


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """`toy` is an encoder that is installed, and `tiny` a suite."""
    known = plugins.entry_points
    own = EntryPoint(name="toy", value=f"{__name__}:toy", group="ppdbench.encoders")

    def entry_points(group: Any) -> list[EntryPoint]:
        return [*known(group), *([own] if group == "encoders" else [])]

    monkeypatch.setattr(plugins, "entry_points", entry_points)


@pytest.fixture
def suite(tmp_path: Path) -> TinySuite:
    return TinySuite(tmp_path)


@pytest.fixture
def people(tiny_base: Base, tmp_path: Path) -> Path:
    """An adapter for people."""
    folder = tmp_path / "people"
    write_adapter(folder, tiny_base, hears="embedding", facts=FACTS, embedding=TOY)
    (folder / "README.md").write_text("a card")
    return folder


@pytest.fixture
def made(people: Path, tiny_base_folder: Path, suite: TinySuite) -> PersonalizedStableCascade:
    return loaded(people, tiny_base_folder, suite)


def loaded(folder: Path, base: Path, suite: TinySuite) -> PersonalizedStableCascade:
    return PersonalizedStableCascade.from_pretrained(
        folder, base=base, suite=suite, device="cpu", dtype=torch.float32
    )


def shot(red: int, name: str = "a") -> Shot:
    pictures = [Image.new("RGB", (4, 4), (level, 100, 100)) for level in (red, 100)]
    return Shot(caption=name, preferred=pictures[0], dispreferred=pictures[1])


SHOTS = (shot(220), shot(180, "b"))
EMBEDDING = (200.0, 0.0, 0.0)
"""Of these shots, by the toy."""


def pixels(images: list[Image.Image]) -> list[np.ndarray]:
    return [np.asarray(image).astype(int) for image in images]


def apart(one: list[Image.Image], other: list[Image.Image]) -> int:
    return max(int(np.abs(a - b).max()) for a, b in zip(pixels(one), pixels(other), strict=True))


def test_it_draws_what_the_generator_draws(
    made: PersonalizedStableCascade, people: Path, tiny_base_folder: Path, suite: TinySuite
) -> None:
    context = LoadContext(suite=suite, device="cpu")
    own = generator.CascadeGenerator(context, None, adapter=people, base=tiny_base_folder)
    users = [
        None,
        UserContext(id="u", embeddings={"toy": np.array(EMBEDDING, np.float32)}),
    ]
    for user in users:
        requests = [
            GenerationRequest(
                id=str(seed), caption=CAPTIONS[0], user=user, seed=seed, width=32, height=32
            )
            for seed in (7, 8)
        ]
        found = made(CAPTIONS[0], user=user, seed=7, num_images_per_prompt=2)
        assert len(found) == 2 and apart(found, list(own.generate(requests))) == 0


@pytest.mark.parametrize(
    "user",
    [
        SHOTS,
        list(SHOTS),
        UserContext(id="me", shots=SHOTS),
        EMBEDDING,
        np.array(EMBEDDING),
        torch.tensor(EMBEDDING),
        torch.tensor(EMBEDDING, dtype=torch.bfloat16),
    ],
    ids=["tuple", "list", "context", "numbers", "array", "tensor", "bfloat16"],
)
def test_a_user_is_the_same_however_they_are_shown(
    made: PersonalizedStableCascade, user: Any
) -> None:
    wanted = made(CAPTIONS[0], user=EMBEDDING, seed=3)
    assert apart(made(CAPTIONS[0], user=user, seed=3), wanted) == 0
    assert apart(made(CAPTIONS[0], seed=3), wanted) > 3
    assert apart(made(CAPTIONS[0], user=[0.0, 200.0, 0.0], seed=3), wanted) > 3


def test_a_folder_of_shots_is_a_user(made: PersonalizedStableCascade, tmp_path: Path) -> None:
    folder = tmp_path / "me"
    folder.mkdir()
    lines = []
    for number, each in enumerate(SHOTS):
        each.preferred.save(folder / f"{number}a.png")
        each.dispreferred.save(folder / f"{number}b.png")
        lines.append(
            f'{{"caption": "{each.caption}", "preferred": "{number}a.png", '
            f'"dispreferred": "{number}b.png"}}\n'
        )
    (folder / "shots.jsonl").write_text("".join(lines))
    wanted = made(CAPTIONS[0], user=SHOTS, seed=3)
    for user in (folder, str(folder)):
        assert apart(made(CAPTIONS[0], user=user, seed=3), wanted) == 0
    with pytest.raises(UsageError, match="no such folder"):
        made(CAPTIONS[0], user=str(tmp_path / "nowhere"))


def test_weights_of_rewards_are_a_user_where_they_are_heard(
    tiny_base: Base, tiny_base_folder: Path, suite: TinySuite, tmp_path: Path
) -> None:
    write_adapter(tmp_path / "weights", tiny_base, facts=FACTS)
    pipe = loaded(tmp_path / "weights", tiny_base_folder, suite)
    clip = pipe(CAPTIONS[0], user={"clip": 1.0})
    assert apart(clip, pipe(CAPTIONS[0], user={"clip": 1, "hps": 0})) == 0
    assert apart(clip, pipe(CAPTIONS[0])) > 3
    for user, said in (
        ({"beauty": 1.0}, "beauty"),
        ({"clip": "much"}, "no number"),
        (SHOTS, "hears no embeddings of people but reward_weights"),
        (EMBEDDING, "hears no embeddings of people"),
    ):
        with pytest.raises(UsageError, match=said):
            pipe(CAPTIONS[0], user=user)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"user": {"clip": 1.0}}, "hears no weights of rewards"),
        ({"user": [1.0, 2.0]}, "takes 3 finite numbers"),
        ({"user": [1.0, 2.0, float("nan")]}, "takes 3 finite numbers"),
        ({"user": []}, "takes 3 finite numbers"),
        ({"user": object()}, "a user cannot be object"),
        ({"user": ["red", "blue"]}, "a user cannot be list"),
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
        ({"num_inference_steps": 2.5}, "num_inference_steps is 2.5"),
        ({"num_images_per_prompt": 0}, "num_images_per_prompt is 0"),
        ({"guidance_scale": float("nan")}, "guidance_scale is nan"),
        ({"seed": 1.5}, "seed is 1.5"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    made: PersonalizedStableCascade, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        made(CAPTIONS[0], **options)
    assert caught.value.fix


def test_captions_seeds_and_settings(made: PersonalizedStableCascade) -> None:
    several = made(CAPTIONS[:2], seed=4, num_images_per_prompt=2)
    apiece = [made(CAPTIONS[row], seed=4 + sample)[0] for row in range(2) for sample in range(2)]
    assert apart(several, apiece) <= 1
    assert made([]) == []
    before = made(CAPTIONS[0], user=EMBEDDING)
    for options in ({"guidance_scale": 1.0}, {"num_inference_steps": 3}, {"seed": 9}):
        assert apart(made(CAPTIONS[0], user=EMBEDDING, **options), before) > 3
    assert apart(made(CAPTIONS[0], user=EMBEDDING), before) == 0  # a call's settings are its own


def test_what_is_saved_is_the_same_adapter(
    made: PersonalizedStableCascade, tiny_base_folder: Path, suite: TinySuite, tmp_path: Path
) -> None:
    made.save_pretrained(tmp_path / "out" / "adapter")
    saved = tmp_path / "out" / "adapter"
    assert sorted(file.name for file in saved.iterdir()) == ["README.md", "adapter.safetensors"]
    again = loaded(saved, tiny_base_folder, suite)
    assert apart(again(CAPTIONS[0], user=SHOTS), made(CAPTIONS[0], user=SHOTS)) == 0
    with pytest.raises(UsageError, match="holds an adapter already"):
        made.save_pretrained(saved)


def test_a_saved_card_holds_what_a_run_measured_of_this_adapter(
    made: PersonalizedStableCascade, people: Path, tmp_path: Path
) -> None:
    row = {"win_rate": 0.8, "ci_low": 0.7, "ci_high": 0.9, "n": 4}
    summary = {
        "suite": "tiny",
        "suite_version": "1",
        "suite_digest": "d",
        "ppdbench": "9",
        "model": "me",
        "withheld": None,
        "generators": {"me": {"revision": made.info.revision}},
        "benchmarks": {"rewards": {"stable-cascade": {"clip": row}}},
    }
    run = tmp_path / "run"
    run.mkdir()
    (run / "summary.json").write_text(json.dumps(summary))
    (people / "README.md").write_text("---\nlicense: apache-2.0\n---\n# a card\n")
    made.save_pretrained(tmp_path / "measured", run=run)
    data: Any = ModelCard.load(tmp_path / "measured" / "README.md").data
    (found,) = data.eval_results
    assert (data.model_name, found.metric_value) == ("a card", 0.8)
    (run / "summary.json").write_text(json.dumps(summary | {"generators": {}}))
    with pytest.raises(UsageError, match="of another revision"):
        made.save_pretrained(tmp_path / "refused", run=run)
    assert not (tmp_path / "refused").exists()
    (people / "README.md").unlink()
    with pytest.raises(MissingPrerequisite, match=r"README\.md is missing"):
        made.save_pretrained(tmp_path / "refused", run=run)


def test_both_adapters_of_an_entry_are_saved(
    tiny_base: Base, people: Path, tiny_base_folder: Path, suite: TinySuite, tmp_path: Path
) -> None:
    write_adapter(tmp_path / "both", tiny_base, facts=FACTS)
    shutil.copytree(people, tmp_path / "both" / "people")
    pipe = loaded(tmp_path / "both", tiny_base_folder, suite)
    pipe.save_pretrained(tmp_path / "saved")
    again = loaded(tmp_path / "saved", tiny_base_folder, suite)
    for user in ({"clip": 1.0}, SHOTS):
        assert apart(again(CAPTIONS[0], user=user), pipe(CAPTIONS[0], user=user)) == 0
    shutil.rmtree(tmp_path / "saved" / "people")
    (tmp_path / "saved" / "adapter.safetensors").unlink()
    shutil.copytree(people, tmp_path / "saved" / "people")
    with pytest.raises(UsageError, match="holds an adapter already"):
        pipe.save_pretrained(tmp_path / "saved")


# --- what does not fit ----------------------------------------------------------------------------


def test_an_adapter_of_another_base_is_refused_before_anything_is_loaded(
    people: Path, suite: TinySuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = write_base(tmp_path / "other", seed=1)
    monkeypatch.setattr("trainers.stable_cascade.load.load_base", lambda *_: pytest.fail(""))
    with pytest.raises(MissingPrerequisite, match="was trained on another base") as caught:
        loaded(people, other, suite)
    assert "32 channels wide" in caught.value.cause and "train it anew" in caught.value.fix


@pytest.mark.usefixtures("small_side")
def test_an_adapter_of_another_width_is_refused(
    tiny_base: Base, published_hub: Path, suite: TinySuite, tmp_path: Path
) -> None:
    """One of 32 channels, though its header names the base of 64."""
    base = load_base(published_hub)
    tiny_base.sha256 = base.sha256
    write_adapter(tmp_path / "narrow", tiny_base, facts=FACTS)
    pipe = loaded(tmp_path / "narrow", published_hub, suite)
    with pytest.raises(MissingPrerequisite, match="does not fit the base") as caught:
        pipe(CAPTIONS[0])
    assert "train it anew" in caught.value.fix


def test_an_encoder_of_another_revision_is_refused(
    tiny_base: Base, tiny_base_folder: Path, suite: TinySuite, tmp_path: Path
) -> None:
    older = Embedding(encoder="toy", revision="0", mean=TOY.mean, std=TOY.std)
    write_adapter(tmp_path / "old", tiny_base, hears="embedding", facts=FACTS, embedding=older)
    pipe = loaded(tmp_path / "old", tiny_base_folder, suite)
    with pytest.raises(MissingPrerequisite, match="trained on another toy"):
        pipe(CAPTIONS[0], user=SHOTS)
    assert len(pipe(CAPTIONS[0], user=EMBEDDING)) == 1  # the caller says what it is


def test_a_folder_without_an_adapter_and_a_suite_that_is_unknown_are_named(
    people: Path, tiny_base: Base, tiny_base_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(MissingPrerequisite, match="no adapter can be read"):
        PersonalizedStableCascade.from_pretrained(tmp_path, base=tiny_base_folder)
    with pytest.raises(UsageError, match="tiny"):  # what the header names is not installed
        PersonalizedStableCascade.from_pretrained(people, base=tiny_base_folder)
    write_adapter(tmp_path / "mute", tiny_base)
    with pytest.raises(MissingPrerequisite, match="does not say what it was trained on"):
        PersonalizedStableCascade.from_pretrained(tmp_path / "mute", base=tiny_base_folder)


# --- the published layout, and what is installed --------------------------------------------------


@pytest.fixture
def small_suite(tmp_path: Path) -> TinySuite:
    """Pictures as large as a tiny published base draws them."""
    made = TinySuite(tmp_path)
    made.sampling = SamplingSpec(
        width=PIXELS,
        height=PIXELS,
        steps=2,
        guidance_scale=4.0,
        shift=2.0,
        rescale=0.7,
        clip_x0=None,
    )
    return made


@pytest.mark.usefixtures("small_side")
def test_a_published_base_draws_for_a_user(
    published_hub: Path, small_suite: TinySuite, tmp_path: Path
) -> None:
    """In bfloat16, through Stage B and Stage A, with an adapter that is a repository on the hub."""
    folder = tmp_path / "adapter"
    base = load_base(published_hub)
    write_adapter(folder, base, hears="embedding", facts=FACTS, embedding=TOY)
    pipe = PersonalizedStableCascade.from_pretrained(
        folder, base=published_hub, suite=small_suite, device="cpu"
    )
    nobody, someone = (pipe(CAPTIONS[0], user=user, seed=1) for user in (None, SHOTS))
    assert nobody[0].size == (PIXELS, PIXELS)
    assert apart(nobody, someone) > 3
    assert apart(someone, pipe(CAPTIONS[0], user=EMBEDDING, seed=1)) == 0


def test_an_adapter_is_found_in_the_hubs_cache(
    people: Path,
    tiny_base_folder: Path,
    suite: TinySuite,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "cache" / "models--someone--ppd"
    shutil.copytree(people, place / "snapshots" / ("b" * 40))
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("b" * 40)
    pipe = loaded(Path("someone/ppd"), tiny_base_folder, suite)
    assert len(pipe(CAPTIONS[0], user=EMBEDDING)) == 1
    with pytest.raises(MissingPrerequisite, match=r"there is no adapter at someone.else"):
        loaded(Path("someone/else"), tiny_base_folder, suite)


def test_the_shipped_adapter_needs_to_be_told_nothing() -> None:
    """Suite, base and sampling are those of its header."""
    folder = Path(generator.__file__).parent / "assets" / "shapes" / "ppd"
    pipe = PersonalizedStableCascade.from_pretrained(folder, device="cpu")
    red, nobody = (pipe("a red circle", user=user, seed=3) for user in ({"clip": 1.0}, None))
    assert red[0].size == (64, 64) and apart(red, nobody) > 3


def test_generators_of_one_process_share_a_base(
    made: PersonalizedStableCascade, tiny_base_folder: Path, suite: TinySuite
) -> None:
    """Large as it is; and an adapter that was attached leaves the base's own pictures alone."""
    context = LoadContext(suite=suite, device="cpu")
    alone = generator.CascadeGenerator(context, "base", adapter=None, base=tiny_base_folder)
    request = GenerationRequest(id="a", caption=CAPTIONS[0], user=None, seed=1, width=32, height=32)
    before = list(alone.generate([request]))
    drawn = made(CAPTIONS[0], seed=1)
    assert apart(list(alone.generate([request])), before) == 0 and apart(drawn, before) > 3
    fresh = generator.CascadeGenerator(context, "base", adapter=None, base=tiny_base_folder)
    assert fresh._models[0] is alone._models[0]
