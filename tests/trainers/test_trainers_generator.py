"""The reference generators: cheap to make, true to seeds, batches and users, clear when missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_adapters import COLOURS, write_adapter
from tiny_cascade import CAPTIONS, TinySuite

from ppdbench.cli.train_reference import _default_output
from ppdbench.errors import MissingPrerequisite, UsageError
from ppdbench.protocols import (
    Checkpoint,
    Diverging,
    GenerationRequest,
    Generator,
    LoadContext,
    UserContext,
)
from trainers import assets, entries, generator
from trainers.adapters.header import UserVector
from trainers.stable_cascade import stage_c


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
    write_adapter(shipped / "tiny" / "sft", tiny_base, hears="null")
    monkeypatch.setattr(assets, "SHIPPED", shipped)
    return LoadContext(suite=TinySuite(tmp_path), device="cpu")


def request(
    seed: int = 1, *, weights: dict[str, float] | None = None, size: int = 32
) -> GenerationRequest:
    user = None if weights is None else UserContext(id="u", reward_weights=weights)
    return GenerationRequest(
        id=str(seed), caption=CAPTIONS[0], user=user, seed=seed, width=size, height=size
    )


def for_person(
    *embedding: float,
    seed: int = 1,
    encoder: str = "colours",
    weights: dict[str, float] | None = None,
) -> GenerationRequest:
    vector = np.array(embedding, np.float32)
    user = UserContext(
        id="p", reward_weights=weights, embeddings={encoder: vector} if embedding else {}
    )
    return replace(request(seed), user=user)


def pictures(made: Generator, requests: Sequence[GenerationRequest]) -> list[np.ndarray]:
    return [np.asarray(image).astype(int) for image in made.generate(requests)]


def test_info_needs_no_weights(context: LoadContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainers.stable_cascade.load.load_base", lambda *_: pytest.fail("loaded"))
    ppd, base = entries.ppd(context), entries.stable_cascade(context)
    assert ppd.info.conditions_on == {"reward_weights"}
    assert base.info.conditions_on == entries.sft(context).info.conditions_on == set()
    assert len({made.info.revision for made in (ppd, base, entries.sft(context))}) == 3
    assert ppd.info.settings["unconditional_user"] == "null-user"


def test_revision_follows_adapter_and_sampling(
    context: LoadContext, tiny_base: stage_c.Base
) -> None:
    first = entries.ppd(context).info.revision
    assert entries.ppd(context).info.revision == first
    write_adapter(assets.SHIPPED / "tiny" / "ppd", tiny_base, seed=1)
    second = entries.ppd(context).info.revision
    longer = TinySuite(Path())
    longer.sampling = type(longer.sampling)(
        width=32, height=32, steps=3, guidance_scale=2.0, shift=1.0, rescale=0.0, clip_x0=3.0
    )
    third = entries.ppd(LoadContext(suite=longer, device="cpu")).info.revision
    assert len({first, second, third}) == 3


def test_pictures_follow_seed_and_user_not_batch(context: LoadContext) -> None:
    ppd = entries.ppd(context)
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
    base, ppd = entries.stable_cascade(context), entries.ppd(context)
    with_user, without = pictures(base, [request(weights={"clip": 1.0}), request()])
    assert np.abs(with_user - without).max() <= 1
    assert np.abs(pictures(ppd, [request()])[0] - without).max() > 3


def test_deaf_adapter_ignores_users(context: LoadContext) -> None:
    drawn = pictures(entries.sft(context), [request(weights={"clip": 1.0}), request()])
    assert np.abs(drawn[0] - drawn[1]).max() <= 1


def test_unknown_reward_and_size_are_usage_errors(context: LoadContext) -> None:
    ppd = entries.ppd(context)
    with pytest.raises(UsageError, match="beauty"):
        list(ppd.generate([request(weights={"beauty": 1.0})]))
    with pytest.raises(UsageError, match="32 x 32"):
        list(ppd.generate([request(size=64)]))


def test_a_base_that_draws_another_size_is_refused(context: LoadContext) -> None:
    """Else records would say a size that no picture has."""
    suite = context.suite
    assert isinstance(suite, TinySuite)
    suite.sampling = replace(suite.sampling, width=64, height=64)
    made = entries.stable_cascade(context)
    with pytest.raises(MissingPrerequisite, match=r"draws 32 x 32, and pictures .* 64 x 64"):
        list(made.generate([request(size=64)]))


def test_missing_weights_are_named(context: LoadContext, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingPrerequisite, match="diffusion-dpo"):
        entries.diffusion_dpo(context)
    monkeypatch.setattr(assets, "SHIPPED", Path("/nowhere"))
    with pytest.raises(MissingPrerequisite, match="no Stable Cascade ships"):
        entries.stable_cascade(context)


def test_ones_own_adapter_is_a_model_too(
    context: LoadContext, tmp_path: Path, tiny_base: stage_c.Base
) -> None:
    write_adapter(tmp_path / "mine", tiny_base, seed=2)
    mine = generator.CascadeGenerator(context, "mine", adapter=tmp_path / "mine")
    assert mine.info.name == "mine"
    assert mine.info.revision != entries.ppd(context).info.revision


# --- people -------------------------------------------------------------------------------------

RED, BLUE = (3.0, 1.0, -1.0, 1.0, 2.0), (-1.0, 1.0, 3.0, 0.0, 1.0)


@pytest.fixture
def both(context: LoadContext, tiny_base: stage_c.Base) -> LoadContext:
    """`ppd` ships a second adapter, for people."""
    folder = assets.SHIPPED / "tiny" / "ppd" / "people"
    write_adapter(folder, tiny_base, hears="embedding", unconditional_user="same-user", seed=7)
    return context


def test_entry_with_two_adapters_says_so(both: LoadContext, tiny_base: stage_c.Base) -> None:
    folder = assets.SHIPPED / "tiny" / "ppd" / "people"
    alone = generator.CascadeGenerator(both, "alone", adapter=folder).info
    info = entries.ppd(both).info
    assert info.conditions_on == {"reward_weights", "embeddings"}
    assert alone.conditions_on == {"embeddings"}
    for each in (info, alone):
        assert (each.encoder, each.training_users_digest) == ("colours", "d" * 64)
    told = {"name": "colours", "revision": "r1"}
    assert info.settings["unconditional_user"] == "null-user"
    assert info.settings["people"]["unconditional_user"] == "same-user"
    assert info.settings["people"]["encoder"] == alone.settings["encoder"] == told
    parts: dict[str, UserVector] = {"ppd/people": "embedding", "ppd": "reward_weights"}
    for part, hears in parts.items():
        before = entries.ppd(both).info.revision
        write_adapter(assets.SHIPPED / "tiny" / part, tiny_base, hears=hears, seed=9)
        assert entries.ppd(both).info.revision != before


def test_mixed_batch_is_what_each_adapter_draws_alone(both: LoadContext) -> None:
    clip, shipped = {"clip": 1.0}, assets.SHIPPED / "tiny" / "ppd"
    batch = [
        request(1, weights=clip),
        for_person(*RED),
        request(2, weights=clip),
        for_person(*BLUE),
        for_person(*RED, seed=2),
        request(1),
    ]
    drawn = pictures(entries.ppd(both), batch)
    again = pictures(entries.ppd(both), batch[::-1])[::-1]
    people = generator.CascadeGenerator(both, "people", adapter=shipped / "people")
    pure_people = pictures(people, [batch[1], batch[3], batch[4], batch[5]])
    (shipped / "people" / "adapter.safetensors").unlink()
    weights = entries.ppd(both)
    assert weights.info.conditions_on == {"reward_weights"}
    pure_weights = pictures(weights, [batch[0], batch[2]])
    wanted = [pure_weights[0], pure_people[0], pure_weights[1], *pure_people[1:]]
    for one, other, reversed_one in zip(drawn, wanted, again, strict=True):
        assert np.abs(one - other).max() <= 1
        assert np.abs(one - reversed_one).max() <= 1
    for other in (drawn[0], drawn[3], drawn[5]):
        assert np.abs(drawn[1] - other).max() > 3


def test_embeddings_are_heard_normalised_and_their_mean_is_the_null_user(
    both: LoadContext,
) -> None:
    nobody = replace(request(), user=None)
    asked = [for_person(*COLOURS.mean), for_person(), nobody, for_person(*RED)]
    drawn = pictures(entries.ppd(both), asked)
    assert all(np.abs(drawn[0] - other).max() <= 1 for other in drawn[1:3])
    assert np.abs(drawn[0] - drawn[3]).max() > 3


def test_weights_come_first_where_a_user_has_both(both: LoadContext) -> None:
    clip = {"clip": 1.0}
    drawn = pictures(entries.ppd(both), [for_person(*RED, weights=clip), request(1, weights=clip)])
    assert np.abs(drawn[0] - drawn[1]).max() <= 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (for_person(*RED, encoder="other"), "hears embeddings by colours"),
        (for_person(1.0, 2.0), "takes 5 finite numbers"),
        (for_person(*RED[:4], float("nan")), "takes 5 finite numbers"),
    ],
)
def test_other_embeddings_are_usage_errors(
    asked: GenerationRequest, said: str, both: LoadContext
) -> None:
    with pytest.raises(UsageError, match=said):
        list(entries.ppd(both).generate([asked]))


def test_two_adapters_that_hear_the_same_are_refused(
    both: LoadContext, tiny_base: stage_c.Base
) -> None:
    people = assets.SHIPPED / "tiny" / "ppd" / "people"
    kinds: list[tuple[UserVector, UserVector]] = [
        ("reward_weights", "reward_weights"),
        ("null", "null"),
        ("embedding", "embedding"),
    ]
    for outside, inside in kinds:
        write_adapter(people.parent, tiny_base, hears=outside)
        write_adapter(people, tiny_base, hears=inside)
        with pytest.raises(MissingPrerequisite, match="must hold an adapter for people"):
            entries.ppd(both)


def test_row_that_does_not_ship_is_trained_by_the_command_it_names(
    context: LoadContext,
    tiny_base: stage_c.Base,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = {
        entries.ppd_onehot: ("ppd-onehot", "--method ppd --users onehot"),
        entries.ppd_clip_pairs: ("ppd-clip-pairs", "--method ppd --users clip-pairs"),
        entries.sft_llava_onevision: (
            "sft-llava-onevision",
            "--method sft --users llava-onevision",
        ),
    }
    for load, (name, command) in rows.items():
        with pytest.raises(MissingPrerequisite) as caught:
            load(context)
        whole = f"train-reference --suite tiny {command} --output trained/tiny/{name}"
        assert whole in caught.value.fix
        _, method, _, encoder = command.split()
        made = _default_output("tiny", method, [f"users.encoder={encoder}"])
        assert made == Path("trained") / "tiny" / name  # the command without --output does as well
        write_adapter(Path("trained") / "tiny" / name, tiny_base, hears="embedding")
        assert load(context).info.name == name


def test_rows_that_are_named_otherwise_than_their_method(
    context: LoadContext,
    tiny_base: stage_c.Base,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = {
        entries.diffusion_kto: ("diffusion-kto", "--method diffusion-kto"),
        entries.kto_llava_onevision: (
            "kto-llava-onevision",
            "--method diffusion-kto --users llava-onevision",
        ),
        entries.ip_adapter: ("ip-adapter", "--method ip-adapter"),
        entries.ppd_learnt: ("ppd-learnt", "--method ppd-learnt"),
    }
    for load, (name, command) in rows.items():
        with pytest.raises(MissingPrerequisite) as caught:
            load(context)
        whole = f"train-reference --suite tiny {command} --output trained/tiny/{name}"
        assert whole in caught.value.fix
        write_adapter(Path("trained") / "tiny" / name, tiny_base, hears="embedding")
        assert load(context).info.name == name


def test_a_scale_is_part_of_who_it_is_and_of_what_is_drawn(
    context: LoadContext,
    tiny_base: stage_c.Base,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_adapter(Path("trained") / "tiny" / "ip-adapter", tiny_base, hears="embedding")
    plain, none, half, whole = (
        entries.ip_adapter(replace(context, argument=argument))
        for argument in ("", "scale=0", "scale=0.5", "scale=1")
    )
    assert [each.info.name for each in (plain, half)] == ["ip-adapter", "ip-adapter-scale-0.5"]
    revisions = {each.info.revision for each in (plain, none, half, whole)}
    assert len(revisions) == 4 and half.info.settings["scale"] == 0.5
    asked = [for_person(9, 0, 0, 0, 0)]
    base = pictures(entries.stable_cascade(context), asked)[0]
    drawn = [pictures(each, asked)[0] for each in (none, half, whole, plain)]
    assert (drawn[0] == base).all()
    assert (drawn[1] != base).any() and (drawn[1] != drawn[2]).any()
    assert (drawn[2] == drawn[3]).all()  # it was trained at 1
    for wrong in ("half", "scale=much", "scale=nan", "scale=-1", "strength=1"):
        with pytest.raises(UsageError, match="takes a scale"):
            entries.ip_adapter(replace(context, argument=wrong))


# --- how far it goes from the base ----------------------------------------------------------------


def test_everyone_tells_divergence_from_the_base(context: LoadContext) -> None:
    base = entries.stable_cascade(context)
    for made in (base, entries.ppd(context), entries.sft(context)):
        assert isinstance(made, Diverging)
        assert made.reference == base.info.revision


def test_the_base_diverges_from_nobody_and_loads_nothing_to_say_so(
    context: LoadContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.stable_cascade.load.load_base", lambda *_: pytest.fail("loaded"))
    base = generator.CascadeGenerator(context, "base", adapter=None)
    assert base.divergence([request(1), request(2)]) == [[0.0, 0.0]] * 2


def test_divergence_follows_seed_and_user_not_batch(context: LoadContext) -> None:
    ppd = generator.CascadeGenerator(context, "ppd", adapter=assets.SHIPPED / "tiny" / "ppd")
    clip, hps = {"clip": 1.0}, {"hps": 1.0}
    batch = [request(1, weights=clip), request(2, weights=clip), request(1, weights=hps)]
    found = ppd.divergence(batch)
    assert [len(steps) for steps in found] == [2, 2, 2]  # the suite's steps
    assert min(min(steps) for steps in found) > 0
    assert len({sum(steps) for steps in found}) == 3
    for one, wanted in zip(batch, found, strict=True):
        assert ppd.divergence([one])[0] == pytest.approx(wanted, rel=1e-3)
    assert ppd.divergence(batch[::-1])[::-1] == [pytest.approx(steps, rel=1e-3) for steps in found]


def test_divergence_of_an_entry_with_two_adapters_is_of_the_one_that_draws(
    both: LoadContext,
) -> None:
    shipped = assets.SHIPPED / "tiny" / "ppd"
    ppd = generator.CascadeGenerator(both, "ppd", adapter=shipped)
    people = generator.CascadeGenerator(both, "people", adapter=shipped / "people")
    batch = [request(1, weights={"clip": 1.0}), for_person(*RED), request(2, weights={"hps": 1.0})]
    found = ppd.divergence(batch)
    assert found[1] == pytest.approx(people.divergence([batch[1]])[0], rel=1e-3)
    (shipped / "people" / "adapter.safetensors").unlink()
    weights = generator.CascadeGenerator(both, "weights", adapter=shipped)
    alone = weights.divergence([batch[0], batch[2]])
    assert [found[0], found[2]] == [pytest.approx(steps, rel=1e-3) for steps in alone]


def test_divergence_refuses_what_drawing_refuses(context: LoadContext) -> None:
    ppd = generator.CascadeGenerator(context, "ppd", adapter=assets.SHIPPED / "tiny" / "ppd")
    with pytest.raises(UsageError, match="32 x 32"):
        ppd.divergence([request(size=64)])
    with pytest.raises(UsageError, match="beauty"):
        ppd.divergence([request(weights={"beauty": 1.0})])


# --- the adapter of any folder --------------------------------------------------------------------


def named(context: LoadContext, folder: Path) -> Generator:
    return entries.adapter(replace(context, argument=str(folder)))


def test_an_adapter_is_named_by_its_training(
    context: LoadContext, tmp_path: Path, tiny_base: stage_c.Base
) -> None:
    kept = {"seed": 0, "steps": 3000, "settings": "s" * 12, "reward": None}
    beta = {**kept, "beta_eff": 4500.0}
    write_adapter(tmp_path / "a", tiny_base, facts=beta | {"step": 500})
    write_adapter(tmp_path / "b", tiny_base, facts=beta | {"seed": 2})
    write_adapter(tmp_path / "c", tiny_base, facts=kept, method="sft")
    for_hps = {**kept, "beta_eff": 15e3, "reward": "hps"}
    write_adapter(tmp_path / "d", tiny_base, facts=for_hps, method="diffusion-dpo")
    made = [named(context, tmp_path / name) for name in "abcd"]
    assert [each.info.name for each in made] == [
        "ppd-beta-4.5-step-500",
        "ppd-beta-4.5-step-3000-seed-2",
        "sft-step-3000",
        "diffusion-dpo-hps-beta-15-step-3000",
    ]
    assert made[0].info.checkpoint == Checkpoint(
        method="ppd", step=500, steps=3000, beta=4.5, seed=0, training="s" * 12
    )
    assert made[3].info.checkpoint is not None and made[3].info.checkpoint.labels == "hps"
    assert entries.stable_cascade(context).info.checkpoint is None


def test_an_adapter_of_people_is_named_by_its_encoder(both: LoadContext) -> None:
    made = named(both, assets.SHIPPED / "tiny" / "ppd" / "people")
    assert made.info.name == "ppd-colours-step-0"  # the header tells no steps


def test_an_adapter_needs_a_folder_with_one(context: LoadContext, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no folder"):
        entries.adapter(context)
    with pytest.raises(MissingPrerequisite, match="no adapter can be read") as failure:
        named(context, tmp_path / "nowhere")
    assert "train-reference wrote" in str(failure.value.fix)
