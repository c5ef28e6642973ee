"""Figures of benchmark `personal` where everybody's taste and every generator is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import people_world
import pytest
from people_world import Hears

from ppdbench.benchmarks.personal.figures import PersonalComparison, summarise_personal
from ppdbench.benchmarks.personal.plan import plan_personal
from ppdbench.benchmarks.personal.roles import GROUP, Roles, assign_roles
from ppdbench.benchmarks.plan import Item
from ppdbench.benchmarks.rows import Row
from ppdbench.protocols import GeneratorInfo
from ppdbench.runs.results import Result

Attributes = Callable[[Item], Any]
FIGURES = ("plain", "rival")


def taste_of(user: str) -> Any:
    return people_world.taste(people_world._number(user))


def noise(item: Item) -> Any:
    return np.random.default_rng(item.seed).normal(100, 3, 3)


def oracle(item: Item) -> Any:
    """Draws by the true taste of whoever it is told of."""
    sources = item.context.sources if item.context else ()
    return noise(item) + sum((s.weight * 10 * taste_of(s.user) for s in sources), np.zeros(3))


def bright(item: Item) -> Any:
    return noise(item) + 5


def info_of(name: str, *hears: Hears) -> GeneratorInfo:
    return GeneratorInfo(
        name=name,
        version="1",
        revision="1",
        licence="MIT",
        conditions_on=frozenset(hears),
        encoder="pairs" if hears else None,
    )


def row(name: str, roles: Roles, paint: Attributes, *hears: Hears, measured: bool = False) -> Row:
    """A generator's row as if it had drawn every item of its plan."""
    info = info_of(name, *hears)
    items = plan_personal("1", name, info, roles, measured=measured, reads="shots")
    results = tuple(
        Result(
            item=item.id,
            generator=name,
            caption_id=item.caption.id,
            user=item.user,
            sample=item.sample,
            seed=item.seed,
            image="i" * 64,
            scores={},
            facts={"all": True},
            attributes=tuple(map(float, paint(item))),
            benchmark="personal",
            arm=item.arm,
        )
        for item in items
    )
    return Row(
        name=name,
        version="1",
        revision="1",
        licence="MIT",
        settings={},
        source="fresh",
        results=results,
        n_ok=len(results),
        n_expected=len(items),
    )


def summary(
    paint: Attributes, *hears: Hears, full: bool = False, change: Callable[[Row], Row] | None = None
) -> Any:
    """The figures of a model that paints so, over a base of noise and a rival that is brighter."""
    roles = assign_roles(people_world.ToyPeople(), full=full)
    model = row("model", roles, paint, *(hears or ("embeddings",)), measured=True)
    rows = {
        "model": change(model) if change else model,
        "plain": row("plain", roles, noise),
        "rival": row("rival", roles, lambda item: noise(item) + 1),
    }
    return summarise_personal(
        PersonalComparison(
            roles=roles,
            truth=people_world.ToyTruth(),
            rows=rows,
            model="model",
            baseline="plain",
            opponents=["plain", "rival", "absent"],
            unserved={},
        )
    )


@cache
def oracles_summary() -> Any:
    return summary(oracle, full=True)


def test_who_draws_by_the_true_taste_wins_and_the_gain_is_personal() -> None:
    found = oracles_summary()
    for opponent in FIGURES:
        for split, users in (("seen", 34), ("unseen", 18), ("all", 52)):
            cell = found["personal"][opponent][split]
            assert cell["win_rate"] > 0.97
            assert (cell["n_users"], cell["n"], cell["n_expected"]) == (users, 2 * users, 2 * users)
            assert cell["personal_gain_ci_low"] > 0
            assert cell["personal_gain_p_holm"] < 0.05
            assert cell["utility_gain"] > 5
            assert cell["worse_off"] == 0
            assert set(cell["quantiles"]["win_rate"].values()) == {1.0}
            assert sum(one["n_users"] for one in cell["dominant"].values()) == users
    matrix = found["personal_matrix"]
    assert matrix["all"]["own_is_best"] > 0.8 and matrix["all"]["mean_rank"] < 1.5
    assert (matrix["seen"]["n_groups"], matrix["unseen"]["n_groups"]) == (2, 1)
    assert matrix["all"]["n"] == 3 * GROUP**2
    assert found["personal_ceilings"]["seen"]["choice"] == 0.9
    assert found["personal_fidelity_difference"]["all"]["difference"] == 0


def test_the_shots_curve_starts_from_nobody_and_passes_through_the_own_picture() -> None:
    found = oracles_summary()
    curve = found["personal_shots"]["all"]
    assert [point["shots"] for point in curve] == [0, 1, 2, 4, 8]
    cell = found["personal"]["plain"]["all"]
    assert curve[0]["win_rate"] == cell["null_win_rate"] == 0.5  # it draws what the base draws
    assert curve[3]["win_rate"] == cell["win_rate"]
    assert curve[3]["over_zero"] == pytest.approx(cell["win_rate"] - 0.5)
    assert curve[3]["over_zero_ci_low"] > 0.3


def test_along_the_way_between_two_users_tastes_change_hands() -> None:
    found = oracles_summary()["personal_between"]["all"]
    assert found["first"]["spearman"] == pytest.approx(-1)
    assert found["second"]["spearman"] == pytest.approx(1)
    for trend in (found["first"], found["second"]):
        assert trend["ci_low"] <= trend["spearman"] <= trend["ci_high"]
        assert trend["p_value"] < trend["p_holm"] < 1e-6
        assert trend["n"] == 2 * trend["n_pairs"] == 2 * (17 + 9)
        assert trend["violations"] < 0.1
        assert trend["own_end_win_rate"] > 0.9
        assert 0.8 < trend["own_end_win_rate_ci_low"] < trend["own_end_win_rate"]


def test_who_ignores_users_has_no_personal_gain_and_finds_pictures_by_chance() -> None:
    found = summary(noise, full=True)
    cell = found["personal"]["plain"]["all"]
    assert cell["win_rate"] == cell["shuffled_win_rate"] == cell["null_win_rate"] == 0.5
    cell = found["personal"]["rival"]["all"]
    assert cell["personal_gain"] == 0
    assert cell["personal_gain_ci_low"] <= 0 <= cell["personal_gain_ci_high"]
    assert cell["personal_gain_p_value"] == 1
    for split in ("seen", "unseen", "all"):
        matrix = found["personal_matrix"][split]
        assert matrix["own_is_best"] == pytest.approx(1 / GROUP) == matrix["chance"]
        assert matrix["mean_rank"] == matrix["mean_rank_chance"]
    between = found["personal_between"]["all"]
    assert between["first"]["spearman"] == between["second"]["spearman"] == 0
    assert between["second"]["p_value"] == pytest.approx(0.5)
    assert between["first"]["own_end_win_rate"] == between["second"]["own_end_win_rate"] == 0.5
    assert {point["win_rate"] for point in found["personal_shots"]["all"]} == {0.5}


def test_what_everybody_gains_is_no_personal_gain() -> None:
    cell = summary(bright)["personal"]["plain"]["all"]
    assert cell["population_gain_ci_low"] > 0.1
    assert cell["personal_gain"] == 0
    assert cell["null_gain"] == cell["population_gain"]
    disliked = [v for k, v in cell["dominant"].items() if k.startswith("-")]
    assert all(one["win_rate"] < 0.2 for one in disliked)
    assert cell["worse_off"] == pytest.approx(sum(one["n_users"] for one in disliked) / 52, abs=0.1)
    assert cell["quantiles"]["win_rate"]["10"] == 0 < cell["quantiles"]["win_rate"]["90"]


@pytest.mark.parametrize("paint", [oracle, bright, noise])
def test_gains_add_up_exactly(paint: Attributes) -> None:
    for cells in summary(paint)["personal"].values():
        for cell in cells.values():
            if cell["total_gain"] is not None:
                assert cell["total_gain"] == cell["population_gain"] + cell["personal_gain"]
                assert cell["total_gain"] == pytest.approx(cell["win_rate"] - 0.5)


def test_figures_are_those_of_the_pictures() -> None:
    """By hand: over the rival, of the users of one split."""
    roles = assign_roles(people_world.ToyPeople(), full=False)
    model = row("model", roles, oracle, "embeddings", measured=True)
    wins = other = 0.0
    for member in roles.of("unseen"):
        partner = roles.partner(member)
        assert partner is not None and partner.number != member.number
        mine, theirs = (
            next(
                np.array(r.attributes)
                for r in model.results
                if r.caption_id == member.captions[0].id and r.user == f"user:{user.user.id}"
            )
            for user in (member, partner)
        )
        weights = taste_of(member.user.id)
        (seed,) = {r.seed for r in model.results if r.caption_id == member.captions[0].id}
        rival = np.random.default_rng(seed).normal(100, 3, 3) + 1
        wins += mine @ weights > rival @ weights
        other += theirs @ weights > rival @ weights
    cell = summary(oracle)["personal"]["rival"]["unseen"]
    assert cell["win_rate"] == pytest.approx(wins / 18)
    assert cell["shuffled_win_rate"] == pytest.approx(other / 18)
    assert cell["personal_gain"] == pytest.approx((wins - other) / 18)


def test_other_names_for_the_users_change_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    before = oracles_summary()
    monkeypatch.setattr(people_world, "rename", lambda user: f"{(7919 * int(user)) % 10007}")
    assert summary(oracle, full=True) == before


def test_pictures_that_are_missing_are_left_out_and_never_zero() -> None:
    def cut(whole: Row) -> Row:
        lost = {"unseen-1034-0", "unseen-1035-0"}
        kept = [
            r
            for r in whole.results
            if not (r.caption_id in lost and r.arm == "own")
            and not (r.caption_id == "unseen-1036-0" and r.arm == "shuffled")
        ]
        return replace(whole, results=tuple(kept))

    found = summary(oracle, change=cut)
    cell, whole = found["personal"]["plain"]["unseen"], summary(oracle)["personal"]["plain"]
    assert (cell["n"], cell["n_expected"], cell["win_rate"]) == (16, 18, 1.0)
    assert cell["total_gain"] == cell["population_gain"] + cell["personal_gain"]
    assert found["personal"]["plain"]["seen"]["win_rate"] == whole["seen"]["win_rate"]
    assert found["personal_matrix"]["unseen"]["n"] < GROUP**2


def test_recorded_pictures_of_seen_users_alone_do_not_pass_for_all() -> None:
    roles = assign_roles(people_world.ToyPeople(), full=False)
    rival = row("rival", roles, bright)
    seen = [r for r in rival.results if r.caption_id.startswith("seen")]
    rows = {
        "model": row("model", roles, oracle, "embeddings", measured=True),
        "plain": row("plain", roles, noise),
        "rival": replace(rival, source="recorded", results=tuple(seen)),
    }
    cells = summarise_personal(
        PersonalComparison(
            roles=roles,
            truth=people_world.ToyTruth(),
            rows=rows,
            model="model",
            baseline="plain",
            opponents=["rival"],
            unserved={"rival": {"unseen": 192}},
        )
    )["personal"]["rival"]
    assert cells["seen"]["win_rate"] > 0.5 and cells["seen"]["n_users"] == 34
    for split in ("unseen", "all"):
        assert cells[split]["win_rate"] is cells[split]["personal_gain"] is None
        assert cells[split]["reason"] == "rival cannot serve unseen users"


def test_fidelity_has_users_as_the_sample() -> None:
    """Every picture for some users is wrong: a user's second caption says nothing new."""

    def damaged(whole: Row) -> Row:
        facts = [{"all": int((r.user or "0")[-1]) % 3 > 0} for r in whole.results]
        pairs = zip(whole.results, facts, strict=True)
        return replace(whole, results=tuple(replace(r, facts=f) for r, f in pairs))

    def width(full: bool) -> float:
        found = summary(oracle, full=full, change=damaged)["personal_fidelity_difference"]["all"]
        assert found["difference"] == pytest.approx(-0.4, abs=0.05)
        return float(found["ci_high"] - found["ci_low"])

    assert width(full=True) == pytest.approx(width(full=False), rel=0.03)


def test_a_model_for_everybody_is_measured_without_controls() -> None:
    found = summary(bright, "reward_weights")
    cell = found["personal"]["plain"]["all"]
    assert cell["win_rate"] > 0.6 and cell["n_users"] == 52
    assert cell["shuffled_win_rate"] is cell["personal_gain"] is cell["total_gain"] is None
    assert "personal_matrix" not in found
    absent = found["personal"]["absent"]["all"]
    assert absent["win_rate"] is None and "--model absent" in absent["reason"]
    assert (absent["n"], absent["n_expected"]) == (0, 52)


def test_roles_are_fixed_and_fair() -> None:
    quick, full = (assign_roles(people_world.ToyPeople(), full=full) for full in (False, True))
    assert quick.partners == full.partners
    assert sorted(p for p in full.partners if p is not None) == list(range(52))  # each once
    assert all(p != number for number, p in enumerate(full.partners))
    splits = [member.split for member in full.members]
    assert all(p is not None and splits[p] == splits[n] for n, p in enumerate(full.partners))
    assert [len(group) for group in full.groups] == [GROUP] * 3
    assert quick.groups == (full.groups[0], full.groups[2])
    assert len({number for pair in full.pairs for number in pair}) == 2 * len(full.pairs) == 52
    few = assign_roles(people_world.ToyPeople(), full=True, limit=3)
    assert len(few.members) == 6 and few.groups == () and len(few.pairs) == 2
    alone = assign_roles(people_world.ToyPeople(), full=True, limit=1)
    assert alone.partners == (None, None) and alone.pairs == ()


def test_no_picture_is_planned_twice_and_noise_depends_on_the_caption_alone() -> None:
    roles = assign_roles(people_world.ToyPeople(), full=True)
    info = info_of("embedder", "embeddings")
    items = plan_personal("1", "embedder", info, roles, measured=True, reads="shots")
    assert len({item.id for item in items}) == len(items)
    seeds: dict[str, set[int]] = {}
    for item in items:
        seeds.setdefault(item.caption.id, set()).add(item.seed)
    assert all(len(found) == 1 for found in seeds.values())
    arms = {arm: sum(item.arm == arm for item in items) for arm in ("own", "shuffled", "nobody")}
    assert arms == {"own": 104, "shuffled": 104, "nobody": 104}
    by_id = plan_personal("1", "embedder", info, roles, measured=True, reads="id")
    assert not any(item.arm == "shots" for item in by_id)
