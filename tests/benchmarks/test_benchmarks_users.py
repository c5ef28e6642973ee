"""Benchmark `users`: what encoders are shown, what controls leave, what records are for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_crowd
from fake_world import Quiet
from numpy.typing import NDArray
from toy_crowd import Reader, ToyPeople

from ppdbench.benchmarks.users.classify import measure_users
from ppdbench.benchmarks.users.figures import NOT_MEASURED, PARTS, Ceilings, summarise_users
from ppdbench.benchmarks.users.groups import GREY, READS_IDS, ShownGroups, groups_of
from ppdbench.benchmarks.users.records import FILE
from ppdbench.errors import PpdbenchError
from ppdbench.protocols import IdentifiedUser, UserContext
from ppdbench.runs.records import read_records
from ppdbench.statistics.top_k import chance

USERS = 48
GUESS = chance(16, USERS)
Floats = NDArray[np.float64]


def measured(
    folder: Path, *encoders: Reader, people: ToyPeople | None = None, full: bool = True
) -> Any:
    crowd = people or ToyPeople(USERS)
    measure_users(encoders, crowd, folder, full=full, cache=None, events=Quiet())
    return summarise_users(folder)


# --- what encoders are shown ---------------------------------------------------------------------


def shown(how: Any, people: ToyPeople | None = None) -> tuple[list[Any], Sequence[UserContext]]:
    people = people or ToyPeople(6)
    groups = groups_of(people.identified(topics=True))
    return groups, ShownGroups(people, groups, how)[:]


def test_captions_only_has_the_captions_and_one_grey() -> None:
    groups, own = shown("own")
    _, blank = shown("captions_only")
    assert len(groups) == 6 * 5
    for before, after in zip(own, blank, strict=True):
        assert [s.caption for s in after.shots] == [s.caption for s in before.shots]
        for shot in after.shots:
            assert shot.preferred.tobytes() == shot.dispreferred.tobytes()
            assert (np.asarray(shot.preferred) == GREY).all()


def test_swapped_labels_change_half_of_the_shots_and_the_same_ones_each_time() -> None:
    people = ToyPeople(30)
    _, own = shown("own", people)

    def swaps() -> list[bool]:
        found = []
        for before, after in zip(own, shown("labels_swapped", people)[1], strict=True):
            for a, b in zip(before.shots, after.shots, strict=True):
                pictures = [a.preferred.tobytes(), a.dispreferred.tobytes()]
                now = [b.preferred.tobytes(), b.dispreferred.tobytes()]
                assert now in (pictures, pictures[::-1])
                found.append(now != pictures)
        return found

    assert np.mean(swaps()) == pytest.approx(0.5, abs=0.08)
    assert swaps() == swaps()


def test_neither_ids_nor_places_tell_who_it_is(tmp_path: Path) -> None:
    groups, contexts = shown("own")
    assert len({context.id for context in contexts}) == len(groups)
    train = [group.train for group in groups]
    assert train != sorted(train) and train != sorted(train, reverse=True)
    found = measured(tmp_path, Reader("peek", toy_crowd.peek, 8), full=False)["peek"]
    assert found["ci_low"] <= GUESS <= found["ci_high"]


def test_who_was_learnt_by_a_pair_is_not_told_by_it() -> None:
    user = IdentifiedUser(id="7", train=(("1", "2"), ("3", "4")), test=(("5", "3"),))
    with pytest.raises(PpdbenchError, match="user 7 has the pair 3"):
        groups_of([user])


# --- figures and controls ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every control and kind of captions, of an encoder that reads tastes and captions."""
    found = tmp_path_factory.mktemp("whole")
    measured(found, toy_crowd.both_reader())
    return found


@pytest.fixture(scope="module")
def whole(folder: Path) -> Any:
    return summarise_users(folder)["both"]


def test_the_figures_of_an_encoder(whole: Any) -> None:
    assert (whole["n_users"], whole["n_test"], whole["n_missing"]) == (USERS, USERS, 0)
    assert whole["chance_top16"] == pytest.approx(16 / USERS)
    assert whole["top1"] < whole["top5"] < whole["top16"]
    assert whole["ci_low"] < whole["top16"] < whole["ci_high"] or whole["top16"] == 1
    assert whole["curve"]["k"] == list(range(1, USERS + 1))
    assert whole["curve"]["accuracy"][15] == whole["top16"]
    assert whole["curve"]["accuracy"][-1] == 1 == whole["curve"]["chance"][-1]
    assert whole["curve"]["accuracy"] == sorted(whole["curve"]["accuracy"])
    assert whole["labels_cap"]["top1"] == pytest.approx(16 / USERS)
    assert "reason" not in whole
    json.dumps(whole, allow_nan=False)


def test_the_controls_find_what_they_leave(whole: Any) -> None:
    controls = whole["controls"]
    permuted = controls["labels_permuted"]
    assert permuted["ci_low"] <= GUESS <= permuted["ci_high"]
    assert controls["captions_only"]["top16"] > GUESS + 0.2  # captions tell
    assert whole["top16"] >= controls["captions_only"]["top16"]
    common = whole["common_captions"]
    assert common["controls"]["captions_only"]["top16"] == pytest.approx(GUESS)
    swapped = common["controls"]["labels_swapped"]
    assert swapped["ci_low"] <= GUESS <= swapped["ci_high"]
    assert common["parts"]["preference"]["ci_low"] > 0
    assert common["gain_over_captions"]["ci_low"] > 0


@pytest.mark.parametrize("kind", ["topics", "common"])
def test_the_parts_are_all_that_is_above_chance(whole: Any, kind: str) -> None:
    found = whole if kind == "topics" else whole["common_captions"]
    parts = [found["parts"][name] for name in PARTS]
    assert sum(part["top16"] for part in parts) == pytest.approx(found["top16"] - GUESS)
    assert sum(part["share"] for part in parts) == pytest.approx(1)


def test_an_encoder_of_captions_has_no_preference(tmp_path: Path) -> None:
    found = measured(tmp_path, toy_crowd.topic_reader())["topics"]
    assert found["top16"] > GUESS + 0.2
    gain = found["gain_over_captions"]
    assert (gain["top16"], gain["p_value"]) == (0, 1)
    assert gain["ci_low"] <= 0 <= gain["ci_high"]
    assert found["parts"]["preference"]["top16"] == found["parts"]["pictures"]["top16"] == 0
    assert found["parts"]["topic"]["share"] == pytest.approx(1)


def test_an_encoder_of_tastes_has_no_topic(tmp_path: Path) -> None:
    found = measured(tmp_path, toy_crowd.taste_reader())["tastes"]
    assert found["controls"]["captions_only"]["top16"] == pytest.approx(GUESS)
    assert found["parts"]["topic"]["top16"] == pytest.approx(0)
    assert found["parts"]["preference"]["ci_low"] > 0
    assert found["parts"]["preference"]["share"] > 0.5


def test_noise_has_nothing(tmp_path: Path) -> None:
    found = measured(tmp_path, Reader("noise", toy_crowd.noise_of, 8))["noise"]
    assert found["ci_low"] <= GUESS <= found["ci_high"]
    for part in PARTS:
        assert found["parts"][part]["ci_low"] <= 0 <= found["parts"][part]["ci_high"]
        assert found["parts"][part]["share"] is None and found["parts"][part]["reason"]


def test_several_test_groups_of_a_user_are_one_cluster(tmp_path: Path) -> None:
    people = ToyPeople(20, tests=3)
    found = measured(tmp_path, toy_crowd.taste_reader(), people=people, full=False)["tastes"]
    assert (found["n_users"], found["n_test"]) == (20, 60)
    assert "first item of each cluster" in found["test"]


def test_the_quick_setting_says_what_it_leaves_out(tmp_path: Path) -> None:
    found = measured(tmp_path, toy_crowd.taste_reader(), full=False)["tastes"]
    variants = {record["variant"] for record in read_records(tmp_path / FILE)}
    assert variants == {"own", "captions_only"}
    assert found["controls"]["labels_swapped"]["top16"] is None
    assert found["controls"]["labels_swapped"]["reason"] == NOT_MEASURED
    assert found["parts"]["preference"] == {
        **dict.fromkeys(found["parts"]["topic"]),
        "reason": NOT_MEASURED,
    }
    assert found["parts"]["topic"]["top16"] == pytest.approx(0)
    assert found["common_captions"]["top16"] is None
    assert found["common_captions"]["reason"] == NOT_MEASURED


def test_the_suites_ceiling_stands_beside_the_figure(folder: Path) -> None:
    known = ToyPeople.truth.identification_ceilings
    ceilings: Ceilings = {"topics": known(topics=True), "common": known(topics=False)}
    found = summarise_users(folder, ceilings=ceilings)["both"]
    common = found["common_captions"]
    assert common["of_ceiling"]["top16"] == pytest.approx(common["top16"] / 0.8)
    assert common["of_ceiling"]["ci_low"] == pytest.approx(common["ci_low"] / 0.8)
    assert common["ceilings"] == {"top16": 0.8}
    assert found["of_ceiling"]["top16"] == pytest.approx(found["top16"] / 0.9)


def test_a_withheld_figure_keeps_its_counts(folder: Path) -> None:
    found = summarise_users(folder, withheld="too much failed")["both"]
    assert found["top16"] is None and found["curve"] is None
    assert (found["n_test"], found["reason"]) == (USERS, "too much failed")
    assert found["gain_over_captions"]["top16"] is None
    assert found["parts"]["topic"]["top16"] is None


# --- who and what is left out --------------------------------------------------------------------


def test_who_reads_ids_is_never_measured(tmp_path: Path) -> None:
    reader = Reader("ids", toy_crowd.peek, 8, uses="id")
    people = ToyPeople(USERS)
    found = measured(tmp_path, reader, people=people)["ids"]
    assert (found["top16"], found["reason"]) == (None, READS_IDS)
    assert found["common_captions"]["reason"] == READS_IDS
    assert found["controls"]["captions_only"]["reason"] == READS_IDS
    assert reader.asked == people.read == 0
    before = (tmp_path / FILE).read_bytes()
    measured(tmp_path, reader, people=people)
    assert (tmp_path / FILE).read_bytes() == before


def test_captions_in_common_may_be_missing_and_come_later(tmp_path: Path) -> None:
    reader = toy_crowd.taste_reader()
    found = measured(tmp_path, reader, people=ToyPeople(USERS, common=False))["tastes"]
    assert found["top16"] is not None
    assert found["common_captions"]["reason"] == "no captions in common"
    before = (tmp_path / FILE).read_bytes()
    measured(tmp_path, reader, people=ToyPeople(USERS, common=False))
    assert (tmp_path / FILE).read_bytes() == before
    found = measured(tmp_path, reader)["tastes"]
    assert found["common_captions"]["top16"] is not None
    assert "reason" not in found["common_captions"]


def without(lost: set[tuple[int, int]]) -> Any:
    """Reads tastes, but has nothing to say of some users' groups."""

    def read(user: UserContext) -> Floats | None:
        who, row = divmod(int(user.shots[0].caption.split("take ")[1]), 100)
        return None if (who, row // toy_crowd.SHOTS) in lost else toy_crowd.tastes_of(user)

    return read


def test_a_missing_embedding_is_counted_and_left_out(tmp_path: Path) -> None:
    test_only, train_only, all_train = (3, 4), (5, 0), {(7, group) for group in range(4)}
    reader = Reader("some", without({test_only, train_only, *all_train}), 3)
    found = measured(tmp_path, reader, full=False)["some"]
    assert (found["n_users"], found["n_test"], found["n_missing"]) == (USERS - 1, USERS - 2, 2)
    assert found["chance_top16"] == pytest.approx(16 / (USERS - 1))
    assert found["classifier"]["n_train_missing"] == 5
    items = [r for r in read_records(tmp_path / FILE) if r["variant"] == "own" and "user" in r]
    errors = {r["user"]: r["error"] for r in items if "error" in r}
    assert errors == {"3": "no embedding", "7": "no training embedding"}
    assert all(r["rank"] is None for r in items if "error" in r)


def test_who_serves_nobody_has_a_reason_and_no_figure(tmp_path: Path) -> None:
    found = measured(tmp_path, Reader("mute", lambda _: None, 3), full=False)["mute"]
    assert found["top16"] is None and found["n_missing"] == USERS
    assert found["reason"] == "no test embedding was ranked: no embedding"
    assert found["gain_over_captions"]["top16"] is None
    json.dumps(found, allow_nan=False)


def test_one_training_embedding_each_is_too_few(tmp_path: Path) -> None:
    lost = {(user, group) for user in range(USERS) for group in (1, 2, 3)}
    found = measured(tmp_path, Reader("few", without(lost), 3), full=False)["few"]
    assert found["top16"] is None and "too few training embeddings" in found["reason"]


# --- going on ------------------------------------------------------------------------------------


def test_a_second_call_computes_nothing(folder: Path, whole: Any) -> None:
    before = (folder / FILE).read_bytes()
    reader, people = toy_crowd.both_reader(), ToyPeople(USERS)
    assert measure_users([reader], people, folder, cache=None, events=Quiet()) == 0
    assert reader.asked == people.read == 0
    assert (folder / FILE).read_bytes() == before
    assert summarise_users(folder)["both"] == whole


@pytest.mark.parametrize("share", [0.03, 0.3, 0.5, 0.77, 0.999])
def test_a_killed_run_goes_on_to_the_same_records(tmp_path: Path, share: float) -> None:
    people = ToyPeople(12)
    measured(tmp_path, toy_crowd.taste_reader(), people=people)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[: int(share * len(whole))])
    measured(tmp_path, toy_crowd.taste_reader(), people=people)
    assert (tmp_path / FILE).read_bytes() == whole


def test_an_interrupted_encoder_keeps_the_variants_before(tmp_path: Path) -> None:
    reader = toy_crowd.taste_reader()

    def stop(user: UserContext) -> Floats:
        if np.asarray(user.shots[0].preferred)[0, 0].tolist() == list(GREY):
            raise KeyboardInterrupt
        return toy_crowd.tastes_of(user)

    with pytest.raises(KeyboardInterrupt):
        measured(tmp_path, Reader("tastes", stop, 3))
    kept = (tmp_path / FILE).read_bytes()
    assert {r["variant"] for r in read_records(tmp_path / FILE)} == {"own"}
    measured(tmp_path, reader)
    assert (tmp_path / FILE).read_bytes().startswith(kept)
    lines = [
        (r["kind"], r["variant"], r["user"], r["group"])
        for r in read_records(tmp_path / FILE)
        if "user" in r
    ]
    assert len(lines) == len(set(lines)) == 2 * 4 * USERS


def test_another_revision_of_an_encoder_is_measured_anew(tmp_path: Path) -> None:
    measured(tmp_path, toy_crowd.taste_reader(), full=False)
    worse = Reader("tastes", toy_crowd.noise_of, 8, revision="2")
    found = measured(tmp_path, worse, full=False)["tastes"]
    assert worse.asked > 0
    assert found["revision"] == "2"
    assert found["ci_low"] <= GUESS <= found["ci_high"]


def test_a_lost_embedding_is_tried_again_and_recorded_where_that_helped(tmp_path: Path) -> None:
    lost = Reader("tastes", without({(3, 4), (5, 0)}), 3)
    measured(tmp_path, lost, full=False)
    before = (tmp_path / FILE).read_bytes()
    asked = lost.asked
    assert measured(tmp_path, lost, full=False)["tastes"]["n_missing"] == 1
    assert lost.asked > asked
    assert (tmp_path / FILE).read_bytes() == before  # nothing new to say
    found = measured(tmp_path, toy_crowd.taste_reader(), full=False)["tastes"]
    assert (found["n_missing"], found["classifier"]["n_train_missing"]) == (0, 0)
    whole = measured(tmp_path / "whole", toy_crowd.taste_reader(), full=False)["tastes"]
    assert found == whole


def test_own_embeddings_are_asked_for_once(tmp_path: Path) -> None:
    reader = toy_crowd.taste_reader()
    measured(tmp_path, reader, people=ToyPeople(10, common=False))
    assert reader.asked <= 3 * 10 * 5  # own, captions only, swapped; permuted is own again
