"""`images:DIR`: pictures looked up, strangers' folders refused, and the way there and back."""

from __future__ import annotations

import hashlib
import io
import json
import time
import tracemalloc
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fake_world
import judged_town
import numpy as np
import people_world
import pytest
import town_runs
import toy_judges
from outside_town import flat, made, pixels, request, run, use_outside_town, user
from PIL import Image as PilImage

from ppdbench.benchmarks.requests import Wanted, write_requests
from ppdbench.data.images import encode_png
from ppdbench.errors import FingerprintMismatch, PpdbenchError, UsageError
from ppdbench.generators import images_manifest
from ppdbench.generators.images import Images
from ppdbench.generators.not_drawn import NotDrawn
from ppdbench.runs.records import read_records

world = pytest.fixture(autouse=True)(use_outside_town)
GREY = (90, 91, 92)


def folder(tmp_path: Path, *entries: Mapping[str, Any], info: str | None = None) -> Path:
    """A folder with one good picture and a manifest."""
    place = tmp_path / "system"
    place.mkdir(exist_ok=True)
    (place / "a.png").write_bytes(encode_png(flat(GREY, 8)))
    lines = [json.dumps(entry) for entry in entries or [line()]]
    (place / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if info is not None:
        (place / "info.yaml").write_text(info, encoding="utf-8")
    return place


def line(**other: Any) -> dict[str, Any]:
    return {"caption": "a cube", "user": None, "seed": 0, "file": "a.png", **other}


def drawn(place: Path, *requests: Any) -> list[Any]:
    return list(Images(place).generate(requests or [request()]))


# --- looking up ----------------------------------------------------------------------------------


def test_a_picture_is_found_by_caption_user_and_seed(tmp_path: Path) -> None:
    place = folder(
        tmp_path,
        line(),
        line(user="u", file="b.png"),
        line(seed=1, file="c.png"),
        info="conditions_on: [shots]",
    )
    for name, colour in {"b.png": (1, 2, 3), "c.png": (4, 5, 6)}.items():
        (place / name).write_bytes(encode_png(flat(colour, 8)))
    asked = [request(1), request(0, user=user("u")), request(0)]
    found = [tuple(pixels(image)[0, 0]) for image in drawn(place, *asked)]
    assert found == [(4, 5, 6), (1, 2, 3), GREY]


@pytest.mark.parametrize(
    "asked", [request(1), request(0, user=user("other")), request(0, caption="A cube")]
)
def test_one_that_is_not_there_is_a_failure_that_says_so(tmp_path: Path, asked: Any) -> None:
    with pytest.raises(NotDrawn, match=r"manifest\.jsonl has no picture of '[aA] cube' for"):
        drawn(folder(tmp_path), asked)


def test_who_it_is(tmp_path: Path) -> None:
    place = folder(
        tmp_path,
        info="name: 'Some: Service'\nversion: '2'\nlicence: own\nconditions_on: [shots]\n"
        "seeded: true\nlinks: [{title: T, url: 'https://x.org/'}]\n",
    )
    info = made(f"images:{place}").info
    assert (info.name, info.version, info.licence) == ("images-some-service", "2", "own")
    assert info.conditions_on == {"shots"} and info.seeded
    assert info.settings["links"] == [{"title": "T", "url": "https://x.org/"}]


def test_without_a_word_it_is_the_folder_and_takes_no_seed(tmp_path: Path) -> None:
    info = made(f"images:{folder(tmp_path)}").info
    assert (info.name, info.licence, info.seeded) == ("images-system", "unknown", False)


@pytest.mark.parametrize("info", [None, "conditions_on: []"])
def test_users_need_a_word_on_what_was_known_of_them(tmp_path: Path, info: str | None) -> None:
    with pytest.raises(UsageError, match="no word on what of them") as caught:
        Images(folder(tmp_path, line(user="u"), info=info))
    assert "conditions_on: [shots]" in caught.value.fix


def test_the_revision_moves_with_pictures_list_and_word(tmp_path: Path) -> None:
    place = folder(tmp_path)
    seen = {Images(place).info.revision}
    (place / "a.png").write_bytes(encode_png(flat((1, 1, 1), 8)))
    seen.add(Images(place).info.revision)
    folder(tmp_path, line(), line(seed=1))
    seen.add(Images(place).info.revision)
    (place / "info.yaml").write_text("version: '3'")
    seen.add(Images(place).info.revision)
    assert len(seen) == 4
    assert Images(place).info.revision in seen


def test_who_it_is_needs_no_picture_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder(tmp_path)
    monkeypatch.setattr(PilImage, "open", lambda *_: pytest.fail("a picture was opened"))
    assert Images(place).info.revision


def test_what_changes_while_a_run_goes_on_is_a_failure(tmp_path: Path) -> None:
    place = folder(tmp_path)
    system = Images(place)
    (place / "a.png").write_bytes(encode_png(flat((1, 1, 1), 8)))
    with pytest.raises(NotDrawn, match="not what it was when the run began"):
        list(system.generate([request()]))


# --- pictures that are none ----------------------------------------------------------------------


def bomb() -> bytes:
    """A PNG of some hundred bytes that says to be 60000 x 60000."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    size = (60_000).to_bytes(4, "big")
    head = chunk(b"IHDR", size + size + b"\x08\x02\x00\x00\x00")
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 999))


def encoded(mode: str, size: tuple[int, int] = (8, 8), kind: str = "PNG", **how: Any) -> bytes:
    file = io.BytesIO()
    PilImage.new(mode, size, **how).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bomb(), "could be decompression bomb"),
        (encoded("RGB", (8, 9)), "is 8 x 9, and 8 x 8 was asked for"),
        (encoded("CMYK", kind="TIFF"), "is of mode CMYK"),
        (encoded("I;16"), "is of mode I;16"),
        (encoded("RGBA", color=(1, 2, 3, 254)), "is transparent in places"),
        (encode_png(flat(GREY, 8))[:45], "cannot be decoded"),
        (b"<html>", "is no picture"),
        (b"", "is no picture"),
    ],
    ids=["bomb", "size", "cmyk", "16-bit", "transparent", "cut", "html", "empty"],
)
def test_no_picture_is_a_failure_of_its_item(tmp_path: Path, data: bytes, words: str) -> None:
    place = folder(tmp_path)
    (place / "a.png").write_bytes(data)
    with pytest.raises(NotDrawn, match=words):
        drawn(place)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_opaque_pictures_of_other_modes_are_rgb(tmp_path: Path, mode: str) -> None:
    place = folder(tmp_path)
    colour = (7, 7, 7, 255) if mode == "RGBA" else 7
    (place / "a.png").write_bytes(encoded(mode, color=colour))
    (image,) = drawn(place)
    assert image.mode == "RGB"


def test_a_wrong_sha256_and_a_lost_file_are_failures(tmp_path: Path) -> None:
    with pytest.raises(NotDrawn, match=r"a\.png is not its sha256"):
        drawn(folder(tmp_path, line(sha256="0" * 64)))
    right = hashlib.sha256((tmp_path / "system" / "a.png").read_bytes()).hexdigest()
    place = folder(tmp_path, line(sha256=right))
    assert len(drawn(place)) == 1
    (place / "a.png").unlink()
    with pytest.raises(NotDrawn, match=r"a\.png: no such file"):
        drawn(place)


# --- folders that are refused --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (json.dumps(line(file="../a.png")), "line 1: '../a.png' lies outside"),
        (json.dumps(line(file="x/../../a.png")), "lies outside"),
        (json.dumps(line(file="/etc/hostname")), "lies outside"),
        (json.dumps(line(file="..\\a.png")), "lies outside"),
        (json.dumps(line(file="a\0.png")), "file is no text"),
        (json.dumps(line(seed=True)), "seed is no whole number"),
        (json.dumps(line(seed=1.0)), "seed is no whole number"),
        (json.dumps(line(seed=-1)), "seed is no whole number"),
        (json.dumps(line(seed=float("nan"))), "NaN is no number"),
        (json.dumps(line(user=7)), "user is neither"),
        (json.dumps({"caption": "c", "seed": 0, "file": "a.png"}), "user is neither"),
        (json.dumps(line(sha256="A" * 64)), "sha256 is not 64 hex digits"),
        (json.dumps(line(sha_256="0" * 64)), "no key of a picture is called 'sha_256'"),
        (json.dumps(line()) + "\n" + json.dumps(line()), "line 2: a second picture"),
        ('{"caption": "a", "caption": "b"}', "the key 'caption' is there twice"),
        ("[1]", "line 1 is no object"),
        ("[" * 60_000, "line 1 is no JSON"),
        ("[" * 70_000, "line 1 has more than 65,536 bytes"),
        ("", "lists no picture"),
    ],
)
def test_a_wrong_manifest_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    place = folder(tmp_path)
    (place / "manifest.jsonl").write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        Images(place)
    assert "\n" not in caught.value.cause and caught.value.fix


@pytest.mark.parametrize("sha256", [None, "0" * 64])
@pytest.mark.parametrize("name", ["out.png", "out/x.png"])
def test_links_out_of_the_folder_are_refused(tmp_path: Path, name: str, sha256: str | None) -> None:
    place = folder(tmp_path, line(file=name, sha256=sha256))
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "x.png").write_bytes(b"secret")
    head, _, _ = name.partition("/")
    (place / head).symlink_to(secret if "/" in name else secret / "x.png")
    with pytest.raises(UsageError, match="is a link out of the folder"):
        Images(place)


def test_a_link_out_that_is_made_later_is_not_followed(tmp_path: Path) -> None:
    place = folder(tmp_path)
    system = Images(place)
    (tmp_path / "secret.png").write_bytes((place / "a.png").read_bytes())
    (place / "a.png").unlink()
    (place / "a.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(NotDrawn, match="lies outside the folder"):
        list(system.generate([request()]))


def test_folders_and_no_folder_are_refused(tmp_path: Path) -> None:
    place = folder(tmp_path, line(file="sub"))
    (place / "sub").mkdir()
    with pytest.raises(UsageError, match="no regular file"):
        Images(place)
    for name, words in {"images": "names no folder", "images:nowhere": "no such folder"}.items():
        with pytest.raises(UsageError, match=words):
            made(name)


LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "an anchor; write it out"),
        ("name: a\nname: b\n", "the key 'name' is there twice"),
        ("- a", "the file: Input should be"),
        ("nam: x", "nam: Extra inputs"),
        ("seeded: 1", "seeded: Input should be a valid boolean"),
        ("conditions_on: [taste]", "conditions_on.0"),
        ("links: [{title: x, url: 'javascript:alert(1)'}]", "links.0.url"),
        ("name: !!python/object/apply:os.getcwd []", "cannot be read"),
        ("a: " + "[" * 5000, "cannot be read"),
        ("name: " + "x" * 70_000, "bytes, 65,536 are enough"),
    ],
)
def test_a_wrong_word_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        Images(folder(tmp_path, info=text))
    assert "\n" not in caught.value.cause


def test_a_long_manifest_is_held_a_line_at_a_time(tmp_path: Path) -> None:
    # One wide character makes each of a text four bytes in memory; the whole would be 12 MB.
    place = folder(tmp_path, *[line(seed=n, caption="\U0001f600" + "a" * 900) for n in range(3)])
    text = json.dumps(line(caption="\U0001f600" + "a" * 900), ensure_ascii=False)
    with (place / "manifest.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(f"{text[:-1]}, \"width\": {n}}}\n".replace('"seed": 0', f'"seed": {n}')
                        for n in range(3000))  # fmt: skip
    tracemalloc.start()
    try:
        assert len(images_manifest.read_manifest(place).pictures) == 3000
        assert tracemalloc.get_traced_memory()[1] < 2_500_000
    finally:
        tracemalloc.stop()


def test_a_file_too_large_to_be_a_picture_is_not_read(tmp_path: Path) -> None:
    place = folder(tmp_path)
    with (place / "a.png").open("wb") as file:
        file.truncate(2**40)  # a hole: no byte of it is on the disk
    with pytest.raises(UsageError, match=r"a\.png' has 1048576 MiB, too much for a picture"):
        Images(place)


def test_many_lines_are_quick_and_too_many_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [line(seed=n, file=f"{n}.png", sha256="0" * 64) for n in range(20_000)]
    place = folder(tmp_path, *entries)
    began = time.process_time()
    assert Images(place).info.settings["pictures"] == 20_000
    assert time.process_time() - began < 3.0  # a million: a minute and a half at the very most
    monkeypatch.setattr(images_manifest, "MOST_PICTURES", 19_999)
    with pytest.raises(UsageError, match="more than 19,999 lines"):
        Images(place)


# --- there and back ------------------------------------------------------------------------------


def write(tmp_path: Path, **wanted: Any) -> tuple[Path, dict[str, Any]]:
    out = tmp_path / "asked"
    wanted.setdefault("benchmarks", ["personal", "rewards"])
    told = write_requests(
        people_world.Town(),
        Wanted(limit=4, **wanted),
        out,
        device="cpu",
        events=fake_world.Quiet(),
    )
    return out, told


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


def draw_all(out: Path, *, but: int = 0) -> None:
    """What a closed system's owner does, but for the first few pictures."""
    entries = []
    for number, asked in enumerate(lines_of(out / "requests.jsonl")):
        noise = np.random.default_rng(asked["seed"]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        (out / f"{number}.png").write_bytes(encode_png(PilImage.fromarray(noise)))
        entries.append({**asked, "file": f"{number}.png"})
    text = "".join(json.dumps(entry) + "\n" for entry in entries[but:])
    (out / "manifest.jsonl").write_text(text)


def test_what_was_asked_for_is_all_that_eval_wants(tmp_path: Path) -> None:
    out, told = write(tmp_path, conditions_on=["shots"])
    draw_all(out)
    found = run(tmp_path, f"images:{out}", benchmarks=["personal", "rewards"])
    records = [r for r in read_records(found / "generations.jsonl") if r["generator"] != "plain"]
    assert {record["status"] for record in records} == {"ok"}
    wanted = {(r["user"], r["seed"]) for r in records}
    assert len(wanted) == told["pictures"]  # and nothing was asked for that nobody wants
    spec = json.loads((found / "spec.json").read_bytes())
    assert spec["generators"]["images-asked"]["seeded"] is False
    assert spec["generators"]["plain"] == {"revision": "1"}
    summary = json.loads((found / "summary.json").read_bytes())
    assert summary["generators"]["images-asked"]["seeded"] is False
    assert "seeded" not in summary["generators"]["plain"]
    assert any("images-asked takes no seed" in note for note in summary["notes"])


def test_missing_pictures_are_failures_and_no_zeros(tmp_path: Path) -> None:
    out, told = write(tmp_path, conditions_on=["shots"])
    draw_all(out, but=3)
    found = run(tmp_path, f"images:{out}", benchmarks=["personal", "rewards"])
    records = [r for r in read_records(found / "generations.jsonl") if r["generator"] != "plain"]
    failed = [record for record in records if record["status"] == "failed"]
    assert len(failed) == 3 and len(records) == told["pictures"]
    assert all(record["image"] is None for record in failed)
    assert all("has no picture of" in record["error"] for record in failed)


def test_users_come_as_folders_of_shots(tmp_path: Path) -> None:
    from ppdbench.users.shots_folder import read_shots

    out, told = write(tmp_path, conditions_on=["shots"])
    users = lines_of(out / "users.jsonl")
    assert len(users) == told["users"] > 0
    assert {r["user"] for r in lines_of(out / "requests.jsonl")} - {None} == {
        each["user"] for each in users
    }
    shown = read_shots(out / users[0]["folder"])
    (own,) = [
        m for m in people_world.ToyPeople().users("seen") if f"user:{m.id}" == users[0]["user"]
    ]
    pairs = people_world.ToyPeople().pairs(own.shots[0])
    assert [shot.caption for shot in shown.shots] == [pair.caption for pair in pairs]
    assert encode_png(shown.shots[0].preferred) == pairs[0].image_1


def test_users_of_one_slug_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people_world, "rename", lambda number: "../" + "é" * int(number))
    out, told = write(tmp_path, conditions_on=["shots"], benchmarks=["personal"])
    folders = [each["folder"] for each in lines_of(out / "users.jsonl")]
    assert len(set(folders)) == told["users"] > 1
    assert all((out / each / "shots.jsonl").is_file() for each in folders)
    assert not any(".." in Path(each).parts for each in folders)


def test_only_what_the_system_is_told_is_written(tmp_path: Path) -> None:
    out, told = write(tmp_path)
    assert told["users"] == 0 and not (out / "users").exists()
    assert {r["user"] for r in lines_of(out / "requests.jsonl")} == {None}
    assert lines_of(out / "requests.jsonl")[0].keys() == {
        "caption", "user", "seed", "width", "height",
    }  # fmt: skip


def test_weights_and_profiles_are_told(tmp_path: Path) -> None:
    out, _ = write(
        tmp_path, conditions_on=["reward_weights", "profile"], encoder="pairs", benchmarks=[]
    )
    users = {each["user"]: each for each in lines_of(out / "users.jsonl")}
    assert users["reward:red"]["reward_weights"] == {"red": 1.0, "green": 0.0}
    assert users["user:1000"]["profile"].startswith("likes <")
    assert not any("folder" in each for each in users.values())
    info = (out / "info.yaml").read_text()
    assert 'encoder: "pairs"' in info and 'encoder_revision: "1"' in info


def test_what_was_asked_for_is_all_that_a_judge_wants(tmp_path: Path) -> None:
    out, told = write(tmp_path, conditions_on=["shots"], benchmarks=["judge"])
    assert None not in {asked["user"] for asked in lines_of(out / "requests.jsonl")}
    draw_all(out)
    toy_judges.clear()
    found = judged_town.judge(tmp_path, model=f"images:{out}", limit=4)
    records = [r for r in read_records(found / "generations.jsonl") if r["generator"] != "plain"]
    assert {record["status"] for record in records} == {"ok"}
    assert len({(r["user"], r["seed"]) for r in records}) == told["pictures"]
    spec = json.loads((found / "spec.json").read_bytes())
    assert spec["generators"]["images-asked"]["seeded"] is False
    summary = json.loads((found / "summary.json").read_bytes())
    assert summary["generators"]["images-asked"]["seeded"] is False
    assert any("images-asked takes no seed" in note for note in summary["notes"])


def test_the_same_again_is_the_same_and_another_is_refused(tmp_path: Path) -> None:
    out, _ = write(tmp_path, conditions_on=["shots"])
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (out / "info.yaml").write_text("name: mine\nconditions_on: [shots]\n")
    write(tmp_path, conditions_on=["shots"])
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert after.pop(out / "info.yaml").startswith(b"name: mine")
    before.pop(out / "info.yaml")
    assert after == before
    with pytest.raises(FingerprintMismatch, match="holds other requests"):
        write(tmp_path)


def test_profiles_need_their_writer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="go together"):
        write(tmp_path, conditions_on=["profile"])
    with pytest.raises(PpdbenchError, match="no benchmark is called 'personel'"):
        write(tmp_path, benchmarks=["personel"])


def test_a_generator_that_is_seeded_leaves_no_trace(tmp_path: Path) -> None:
    found = town_runs.run(tmp_path, "oracle", limit=4)
    assert "seeded" not in (found / "spec.json").read_text() + (found / "summary.json").read_text()
