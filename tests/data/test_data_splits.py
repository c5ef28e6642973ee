"""Splits of real users: nothing leaks, everything is counted, order does not matter."""

from __future__ import annotations

import runpy
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ppdbench.data.assignment import ROLES, SEEN, SHOTS, SPLITS
from ppdbench.data.extract import extract_pairs, undecodable
from ppdbench.data.pickapic import ReadReport, read_pairs
from ppdbench.data.shot_groups import disjoint_groups, group_for
from ppdbench.data.splits import Splits, SplitSettings, make_splits
from ppdbench.errors import MissingPrerequisite, PpdbenchError

MADE = runpy.run_path(str(Path(__file__).with_name("made_pairs.py")))
crowd, row, write, shuffled, picture = (
    MADE[name] for name in ("crowd", "row", "write", "shuffled", "picture")
)
FEW = SplitSettings(seen=8, unseen=6, validation_seen=4, validation_unseen=3, calibration=2)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return list(crowd())


@pytest.fixture(scope="module")
def made(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Splits:
    return make_splits(write(tmp_path_factory.mktemp("pairs") / "p.parquet", rows), FEW)


def counted(splits: Splits) -> dict[str, int]:
    return {reason: n for step in splits.funnel for reason, n in step.left_out.items()}


def parts(splits: Splits, rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Split -> its rows, with id, role and group."""
    used = splits.assignment
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in SPLITS}
    for n in range(len(used)):
        source = rows[int(used.row[n])]
        assert source["user_id"] == used.user[n]
        found[SPLITS[used.split[n]]].append(
            {
                **source,
                "id": str(used.pair[n]),
                "role": ROLES[used.role[n]],
                "group": int(used.group[n]),
            }
        )
    return found


def things(rows: list[dict[str, Any]], *names: str) -> set[Any]:
    return {each[name] for each in rows for name in names}


IMAGES = ("image_0_uid", "image_1_uid")


def test_sizes_are_what_was_asked_for(made: Splits) -> None:
    users = {name: size["users"] for name, size in made.sizes.items()}
    assert {name: users[name] for name in SPLITS[1:]} == {
        name: FEW.wanted(name) for name in SPLITS[1:]
    }
    assert users["train"] == 60 - 6 - 3 - 2
    assert made.notes == ()


def test_nobody_no_caption_and_no_image_crosses(made: Splits, rows: list[dict[str, Any]]) -> None:
    found = parts(made, rows)
    train = found.pop("train")
    kinds = [("seen", "unseen"), ("validation-seen", "validation-unseen"), ("calibration",)]
    for kind in kinds:
        here = [each for name in kind for each in found[name]]
        others = [each for name in found if name not in kind for each in found[name]]
        for other in (train, others):
            assert not things(here, "caption") & things(other, "caption")
            assert not things(here, *IMAGES) & things(other, *IMAGES)
    users = {name: things(own, "user_id") for name, own in found.items()}
    assert sum(map(len, users.values())) == len(set().union(*users.values()))
    for name, own in users.items():
        assert (
            own <= things(train, "user_id") if name in SEEN else not own & things(train, "user_id")
        )
    # The shared captions were on both sides; training lost them.
    assert counted(made)["of a caption that is held out"] > 0
    assert len(made.assignment) == len(set(made.assignment.pair.tolist()))


def test_shots_and_choices_of_a_user_share_nothing(
    made: Splits, rows: list[dict[str, Any]]
) -> None:
    for name, own in parts(made, rows).items():
        if name == "train":
            continue
        for user in things(own, "user_id"):
            mine = [each for each in own if each["user_id"] == user]
            roles = Counter(each["role"] for each in mine)
            assert roles["shot-0"] == 4 and roles["choice"] >= 1
            assert roles["shot-1"] == (4 if len(mine) > 8 else 0)
            assert len(things(mine, "caption")) == len(mine)
            assert len(things(mine, *IMAGES)) == 2 * len(mine)
            assert all(each["group"] == {"shot-0": 0, "shot-1": 1}.get(each["role"], -1)
                       for each in mine)  # fmt: skip


def test_a_training_pair_is_never_among_the_shots_of_its_embedding(
    made: Splits, rows: list[dict[str, Any]]
) -> None:
    train = parts(made, rows)["train"]
    for user in things(train, "user_id"):
        mine = [each for each in train if each["user_id"] == user]
        assert len(mine) >= 5
        numbers = sorted({each["group"] for each in mine} - {-1})
        assert numbers == list(range(len(numbers)))
        groups = [tuple(p["id"] for p in mine if p["group"] == n) for n in numbers]
        assert {len(group) for group in groups} <= {4}
        for each in mine:
            under = group_for(each["id"], groups)
            assert each["group"] not in under
            assert len(under) == len(groups) - (each["group"] >= 0)


def test_the_order_of_rows_and_files_does_not_matter(
    made: Splits, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    mixed = shuffled(rows)
    write(tmp_path / "b.parquet", mixed[:100], group=7)
    write(tmp_path / "a.parquet", mixed[100:])
    other = make_splits(tmp_path, FEW)
    assert other.assignment.sha256 == made.assignment.sha256
    assert [other.funnel, other.sizes] == [made.funnel, made.sizes]
    assert other.digest != made.digest  # the files are others


@pytest.mark.parametrize("order", [list, shuffled])
def test_the_groups_are_those_of_a_copy_of_the_training_pairs(
    order: Callable[[list[Any]], list[Any]], rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    """So that what is trained on is what the splits say, and what `leakage` looked at."""
    source = write(tmp_path / "p.parquet", order(rows))
    used = make_splits(source, FEW).assignment
    train = used.of("train")
    extract_pairs(source, used.row[train], used.pair[train], tmp_path / "train.parquet")
    groups: dict[str, dict[int, list[str]]] = {}
    for n in train[used.group[train] >= 0].tolist():
        own = groups.setdefault(str(used.user[n]), {})
        own.setdefault(int(used.group[n]), []).append(str(used.pair[n]))
    found = disjoint_groups(read_pairs(tmp_path / "train.parquet"), SHOTS)
    assert {user: own for user, own in found.items() if own} == {
        user: tuple(tuple(own[number]) for number in sorted(own)) for user, own in groups.items()
    }
    assert len(groups) > 40


def test_held_out_pairs_that_cannot_be_decoded_are_replaced_and_counted(
    made: Splits, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    bad = {int(made.assignment.row[n]) for n in made.assignment.of("unseen")[:5]}
    spoilt = {n: rows[n]["jpg_1"][:50] + b"what" + rows[n]["jpg_1"][54:] for n in bad}
    source = [{**each, "jpg_1": spoilt.get(n, each["jpg_1"])} for n, each in enumerate(rows)]
    path = write(tmp_path / "p.parquet", source)
    found = make_splits(path, FEW)
    assert not bad & set(found.assignment.row.tolist())
    assert counted(found)["image cannot be decoded"] == len(bad)
    assert found.sizes["unseen"]["users"] == FEW.unseen
    used = found.assignment
    assert not len(undecodable(path, used.row[used.shown]))
    assert undecodable(path, np.arange(len(rows))).tolist() == sorted(bad)
    mixed = make_splits(write(tmp_path / "m" / "p.parquet", shuffled(source)), FEW)
    assert mixed.assignment.sha256 == used.sha256


def test_settings_and_rows_change_the_digest(
    made: Splits, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    path = write(tmp_path / "p.parquet", rows)
    assert make_splits(path, FEW).digest == made.digest
    assert make_splits(path, replace(FEW, images="trust")).digest != made.digest
    assert make_splits(write(path, rows[:-1]), FEW).digest != made.digest


BAD = {
    "no caption": {"caption": "  "},
    "no user": {"user_id": None},
    "no label": {"has_label": False},
    "label is not 0, 0.5 or 1": {"label_1": 0.7},
    "labels do not sum to 1": {"label_1": 0.5},
    "tie": {"label_0": 0.5, "label_1": 0.5},
    "images are marked as not different": {"are_different": False},
    "no image bytes": {"jpg_1": None},
    "image is neither PNG nor JPEG": {"jpg_0": b"GIF89a"},
}


@pytest.mark.parametrize("nan", [False, True])
def test_every_bad_row_is_counted_by_its_reason(nan: bool, tmp_path: Path) -> None:
    good = [row(n, 1, f"c{n}") for n in range(8)]
    bad = [row(100 + n, 1, f"bad {n}") | over for n, over in enumerate(BAD.values())]
    bad.append(row(200, 1, "x", label_0=None))
    bad.append(row(201, 1, "y", label_0=float("nan") if nan else 1.0, label_1=1.0))
    bad.append(row(202, 1, "z", image_1_uid="uid 202a"))
    bad.append(row(203, 1, "same bytes", jpg_1=picture("203a")))
    bad.append(row(300, 1, " C3 ", **{k: good[3][k] for k in (*IMAGES, "jpg_0", "jpg_1")}))
    swapped = {"image_0_uid": "uid 4b", "image_1_uid": "uid 4a", "label_0": 0.0, "label_1": 1.0}
    bad.append(row(301, 1, "c4", **swapped))
    splits = make_splits(write(tmp_path / "p.parquet", [*bad, *good]), FEW)
    assert sorted(splits.assignment.row.tolist()) == list(range(len(bad), len(bad) + 8))
    assert counted(splits) == {
        **dict.fromkeys(BAD, 1),
        "no label": 2,
        "label is not 0, 0.5 or 1" if nan else "labels do not sum to 1": 2,
        "the two images are one": 2,
        "duplicate pair": 2,
    }
    for before, after in zip(splits.funnel, splits.funnel[1:], strict=False):
        assert before.pairs - sum(after.left_out.values()) == after.pairs
    assert splits.funnel[0].pairs == len(good) + len(bad)


def test_a_row_that_stands_twice_counts_once(tmp_path: Path) -> None:
    """As `validation_unique` of the public set repeats rows of `validation`."""
    rows = [row(n, 1, f"c{n}") for n in range(8)]
    write(tmp_path / "validation.parquet", rows)
    write(tmp_path / "validation_unique.parquet", rows[:3])
    splits = make_splits(tmp_path, FEW)
    assert counted(splits) == {"duplicate pair": 3}
    assert len(splits.assignment) == 8


def test_a_ranking_of_four_images_is_three_pairs(tmp_path: Path) -> None:
    """One `ranking_id`, one best image; all that have it are pairs of their own."""
    rows = [row(n, 1, f"c{n}", ranking_id=n // 3, **(
        {"image_0_uid": f"best {n // 3}"})) for n in range(9)]  # fmt: skip
    splits = make_splits(write(tmp_path / "p.parquet", rows), FEW)
    assert len(set(splits.assignment.pair.tolist())) == 9
    assert counted(splits) == {}


@pytest.mark.parametrize(("pairs", "reason"), [(3, "fewer than 4 pairs"), (4, "with 4 pairs")])
def test_users_with_too_few_pairs_are_dropped(pairs: int, reason: str, tmp_path: Path) -> None:
    rows = [row(n, 1 if n < 5 else 2, f"c{n}") for n in range(5 + pairs)]
    splits = make_splits(write(tmp_path / "p.parquet", rows), FEW)
    assert set(splits.assignment.user.tolist()) == {1}
    ((why, n),) = counted(splits).items()
    assert reason in why and n == pairs


def test_nobody_to_learn_from_is_refused_with_the_reasons(tmp_path: Path) -> None:
    rows = [row(n, n % 2, f"c{n}", has_label=n > 2) for n in range(7)]
    with pytest.raises(MissingPrerequisite, match=r"of 7 rows were left out: 3 no label, 4 of a"):
        make_splits(write(tmp_path / "p.parquet", rows))
    with pytest.raises(MissingPrerequisite, match="of 0 rows"):
        make_splits(write(tmp_path / "p.parquet", []))


def test_a_huge_user_is_capped(tmp_path: Path) -> None:
    rows = [row(n, 7, f"c{n % 900}") for n in range(3000)]
    others = [row(3000 + n, n // 6, f"d{n}") for n in range(12)]
    path = write(tmp_path / "p.parquet", [*rows, *others], group=3000)
    splits = make_splits(path, replace(FEW, max_pairs_per_user=50))
    assert int((splits.assignment.user == 7).sum()) == 50
    assert counted(splits)["beyond 50 pairs of one user"] == 2950


def test_few_users_leave_some_to_learn_from(tmp_path: Path) -> None:
    splits = make_splits(write(tmp_path / "p.parquet", crowd(users=12)))
    users = {name: size["users"] for name, size in splits.sizes.items()}
    assert users["unseen"] == 2 and users["train"] >= 8 and users["seen"] >= 1
    assert f"unseen has 2 of {SplitSettings().unseen} users" in splits.notes[0]


def test_captions_that_everybody_has_leave_half_of_the_pairs(tmp_path: Path) -> None:
    rows = crowd(users=40, captions=14, shared=1)
    for n, each in enumerate(rows):
        each["caption"] = f"one of {n * 7 % 200}"
    splits = make_splits(write(tmp_path / "p.parquet", rows))
    train = splits.sizes["train"]
    assert train["pairs"] > 0.4 * len(rows)
    assert splits.sizes["seen"]["users"] and splits.sizes["unseen"]["users"]
    assert any("unseen has" in note for note in splits.notes)


def test_an_image_in_two_captions_is_kept_out_of_training(tmp_path: Path) -> None:
    rows = crowd()
    path = write(tmp_path / "p.parquet", rows)
    held = next(p for p in parts(make_splits(path, FEW), rows)["unseen"] if p["role"] == "choice")
    seen = next(p for p in parts(make_splits(path, FEW), rows)["train"])
    changed = dict(seen, image_1_uid=held["image_0_uid"], jpg_1=held["jpg_0"])
    rows = [changed if each["ranking_id"] == seen["ranking_id"] else each for each in rows]
    splits = make_splits(write(path, rows), FEW)
    assert seen["ranking_id"] not in things(parts(splits, rows)["train"], "ranking_id")
    assert counted(splits)["of an image that is held out"] == 1


def test_a_damaged_row_group_costs_its_rows_only(tmp_path: Path) -> None:
    path = write(tmp_path / "p.parquet", [row(n, 1, f"c{n}") for n in range(40)], group=10)
    about = pq.ParquetFile(path).metadata.row_group(1)
    data = bytearray(path.read_bytes())
    for number in range(about.num_columns):
        if about.column(number).path_in_schema in ("caption", "jpg_0"):
            start = about.column(number).dictionary_page_offset
            data[start : start + 12] = b"\xff" * 12
    path.write_bytes(data)
    splits = make_splits(path, FEW)
    assert counted(splits) == {"row group unreadable": 10}
    assert set(splits.assignment.row.tolist()) == {*range(10), *range(20, 40)}


@pytest.mark.parametrize("column", ["caption", "image_0_uid", "model_0"])
def test_text_that_is_no_utf_8_costs_its_row_group_only(column: str, tmp_path: Path) -> None:
    path = write(tmp_path / "p.parquet", [row(n, 1, f"c{n}", model_0="m") for n in range(40)])
    table = pq.read_table(path)
    values = [text.encode() for text in table.column(column).to_pylist()]
    values[13] = b"\xff\xfe"
    broken = pa.Array.from_buffers(pa.string(), 40, pa.array(values, pa.binary()).buffers())
    index = table.schema.names.index(column)
    pq.write_table(table.set_column(index, column, broken), path, row_group_size=10)
    if column == "model_0":  # nobody splits by it
        assert len(make_splits(path, FEW).assignment) == 40
    else:
        splits = make_splits(path, FEW)
        assert counted(splits) == {"row group unreadable": 10}
        assert set(splits.assignment.row.tolist()) == {*range(10), *range(20, 40)}
    report = ReadReport()
    read = [pair.id for pair in read_pairs(path, report=report)]
    if column == "image_0_uid":  # pairs have no uids
        assert len(read) == 40
    else:
        assert read == [str(n) for n in (*range(10), *range(20, 40))]
        assert report.skipped == {"row group unreadable": 10}


def test_unusable_files_are_refused_and_named(tmp_path: Path) -> None:
    path = write(tmp_path / "p.parquet", crowd(users=3))
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(PpdbenchError, match=r"p\.parquet is not a readable Parquet file"):
        make_splits(path)
    write(path, crowd(users=3), without=("user_id",))
    with pytest.raises(MissingPrerequisite, match="lacks the column user_id"):
        make_splits(path)
    table = pq.read_table(write(path, crowd(users=3)))
    pq.write_table(table.append_column("caption", table.column("caption")), path)
    with pytest.raises(PpdbenchError, match=r"p\.parquet has the column caption more than once"):
        make_splits(path)
    as_text = table.column("user_id").cast("string")
    pq.write_table(table.set_column(table.schema.names.index("user_id"), "user_id", as_text), path)
    with pytest.raises(
        PpdbenchError, match=r"the column user_id of .* is string, and .* has int64"
    ):
        make_splits(path)
