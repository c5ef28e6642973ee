"""Embedding many users: once each, whatever is killed, shared or broken meanwhile."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_encoder
from toy_encoder import DIM, SlowVlm, ToyEncoder, noise_users

from ppdbench.errors import PpdbenchError
from ppdbench.protocols import EncoderInfo, Shot, UserCode, UserContext
from ppdbench.rewards.sharding import Shards
from ppdbench.users import encode, llava_onevision
from ppdbench.users.encode import CodeStore, code_key, default_path, embed
from ppdbench.users.llava_onevision import LlavaOnevisionEncoder
from ppdbench.users.vlm_files import find_vlm

Users = Callable[..., list[UserContext]]


class Log:
    """Events as they come."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.notes: list[str] = []

    def stage(self, name: str, total: int) -> None:
        self.name, self.total, self.done = name, total, 0

    def advance(self, n: int) -> None:
        self.done += n

    def note(self, text: str) -> None:
        self.notes.append(text)


def same(codes: Sequence[UserCode | None], others: Sequence[UserCode | None]) -> bool:
    return len(codes) == len(others) and all(
        (a is None and b is None)
        or (
            a is not None
            and b is not None
            and np.array_equal(a.embedding, b.embedding)
            and a.profile == b.profile
        )
        for a, b in zip(codes, others, strict=True)
    )


def near(codes: Sequence[UserCode | None], others: Sequence[UserCode | None]) -> bool:
    """As `same`, but for float noise."""
    return all(
        a is not None
        and b is not None
        and np.allclose(a.embedding, b.embedding, atol=1e-4)
        and a.profile == b.profile
        for a, b in zip(codes, others, strict=True)
    )


def test_what_is_known_is_not_encoded_again(tmp_path: Path) -> None:
    people, store = noise_users(7), tmp_path / "codes.sqlite"
    first, second, log = ToyEncoder(), ToyEncoder(), Log()
    codes = embed(first, people, batch_size=3, cache=store, events=log)
    assert same(codes, [first.serve(user) for user in people])
    assert [len(batch) for batch in first.batches] == [3, 3, 1]
    assert (log.total, log.done, log.notes) == (7, 7, [])
    assert same(embed(second, people, cache=store, events=log), codes)
    assert (second.batches, log.done) == ([], 7)
    # Whoever is new waits for a full batch, however many that are known stand between.
    more = [*people[:3], *noise_users(9)[7:], *people[3:]]
    embed(second, more, batch_size=2, cache=store)
    assert second.batches == [["7", "8"]]
    third = ToyEncoder()
    embed(third, noise_users(12)[6:], batch_size=3, cache=store)  # 6 to 8 are known
    assert third.batches == [["9", "10", "11"]]
    third.batches.clear()
    embed(third, [people[0], *noise_users(17)[12:]], batch_size=3, cache=store)
    assert third.batches == [["12", "13", "14"], ["15", "16"]]  # five waited, three are a batch


def test_the_model_is_not_even_loaded_for_what_is_known(
    vlm_folder: Path, users: Users, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    people = [*users(1, 2), UserContext(id="nobody")]
    codes = embed(LlavaOnevisionEncoder(find_vlm(str(vlm_folder))), people[:2])
    assert default_path() == cache / "embeddings.sqlite"

    def never(*_: Any) -> None:
        raise AssertionError("it was loaded")

    monkeypatch.setattr(llava_onevision, "load_vlm", never)
    again = embed(LlavaOnevisionEncoder(find_vlm(str(vlm_folder))), people)
    assert same(again, [*codes, None])
    rough = LlavaOnevisionEncoder(find_vlm(str(vlm_folder)), precision="bf16")
    with pytest.raises(AssertionError, match="it was loaded"):
        rough.encode(people)  # and of another precision nothing is known
    assert code_key(rough.info, people[0]) not in CodeStore(default_path()).get(
        "code", [code_key(rough.info, people[0])]
    )


def test_what_a_model_writes_does_not_depend_on_batch_cache_or_neighbours(
    vlm_folder: Path, users: Users, tmp_path: Path
) -> None:
    people, encoder = users(4, 1, 3, 4, 2, 1, 4), SlowVlm(str(vlm_folder))
    store = tmp_path / "codes.sqlite"
    alone = embed(encoder, people, batch_size=1, cache=False)
    for size in (2, 3, 16):
        assert near(embed(encoder, people, batch_size=size, cache=False), alone)
    turned_round = embed(encoder, people[::-1], batch_size=3, cache=store)[::-1]
    assert near(turned_round, alone)
    encoder.batches.clear()
    assert same(embed(encoder, people, batch_size=2, cache=store), turned_round)
    assert encoder.batches == []
    assert len({code.profile for code in alone if code}) == len(people)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda value: value[:9],
        lambda value: b"\x07" + value[1:],
        lambda value: value[:4] + np.full(DIM, np.nan, "<f4").tobytes() + value[4 + 4 * DIM :],
        lambda value: value[: 4 + 4 * DIM] + b"x" + value[5 + 4 * DIM :],
        lambda value: value[: 5 + 4 * DIM] + b"\xff",
    ],
    ids=["empty", "cut", "length", "not finite", "mark", "profile"],
)
def test_a_damaged_row_is_encoded_again_and_replaced(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    people, store, encoder = noise_users(4), tmp_path / "codes.sqlite", ToyEncoder()
    codes = embed(encoder, people, cache=store)
    key = code_key(encoder.info, people[2])
    with contextlib.closing(sqlite3.connect(store)) as connection, connection:
        (value,) = connection.execute("SELECT value FROM kept WHERE key = ?", (key,)).fetchone()
        connection.execute("UPDATE kept SET value = ? WHERE key = ?", (damage(value), key))
    for asked in (["2"], None):
        encoder.batches.clear()
        assert same(embed(encoder, people, cache=store), codes)
        assert encoder.batches == ([asked] if asked else [])


def test_a_key_holds_all_that_an_embedding_depends_on_and_nothing_else() -> None:
    (user, other) = noise_users(2)
    info = ToyEncoder().info
    two = replace(user, shots=(*user.shots, *other.shots))
    (shot,) = user.shots
    other_picture = other.shots[0].preferred
    turned = Shot(caption=shot.caption, preferred=shot.dispreferred, dispreferred=shot.preferred)
    keys = [
        code_key(info, user),
        code_key(replace(info, revision="2"), user),
        code_key(replace(info, name="another"), user),
        code_key(replace(info, settings={"precision": "bf16"}), user),
        code_key(info, other),
        code_key(info, two),
        code_key(info, replace(two, shots=two.shots[::-1])),
        code_key(info, replace(user, shots=(turned,))),
        code_key(info, replace(user, shots=(replace(shot, caption="another"),))),
        code_key(info, replace(user, shots=(replace(shot, preferred=other_picture),))),
        code_key(info, replace(user, shots=(replace(shot, dispreferred=other_picture),))),
        code_key(info, UserContext(id=user.id)),
    ]
    assert len(set(keys)) == len(keys)
    assert code_key(info, replace(user, id="another")) == keys[0]
    palette = shot.preferred.quantize(256).convert("RGB").quantize(256)
    shown = replace(user, shots=(replace(shot, preferred=palette),))
    as_rgb = replace(user, shots=(replace(shot, preferred=palette.convert("RGB")),))
    assert code_key(info, shown) == code_key(info, as_rgb)


def test_equal_shots_are_encoded_once() -> None:
    (user, other) = noise_users(2)
    encoder = ToyEncoder()
    people = [user, replace(user, id="twin"), other, user]
    codes = embed(encoder, people, batch_size=2, cache=False)
    assert encoder.batches == [["0", "1"]]
    assert same(codes, [encoder.serve(each) for each in people])


def test_an_interrupt_keeps_what_was_encoded(tmp_path: Path) -> None:
    class Stopped(ToyEncoder):
        def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
            if len(self.batches) == 2:
                raise KeyboardInterrupt
            return super().encode(users)

    people, store = noise_users(6), tmp_path / "codes.sqlite"
    with pytest.raises(KeyboardInterrupt):
        embed(Stopped(), people, batch_size=2, cache=store)
    again = ToyEncoder()
    codes = embed(again, people, batch_size=2, cache=store)
    assert again.batches == [["4", "5"]]
    assert same(codes, [again.serve(user) for user in people])


def start(store: Path, users: int, seconds: float, *vlm: Path) -> subprocess.Popen[str]:
    asked = (str(store), str(users), str(seconds), *map(str, vlm))
    script = (sys.executable, toy_encoder.__file__, *asked)
    return subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kept(store: Path, people: Sequence[UserContext], info: EncoderInfo | None = None) -> int:
    keys = [code_key(info or ToyEncoder().info, user) for user in people]
    return len(CodeStore(store).get("code", keys))


@pytest.mark.parametrize("writes", [False, True], ids=["toy", "llava-onevision"])
def test_killed_and_run_again(writes: bool, vlm_folder: Path, tmp_path: Path) -> None:
    people, store = noise_users(20), tmp_path / "codes.sqlite"
    made = partial(SlowVlm, str(vlm_folder)) if writes else ToyEncoder
    again, undisturbed = made(), made()
    process = start(store, 20, 0.3, *[vlm_folder] * writes)
    deadline = time.monotonic() + 120
    while not store.is_file() or kept(store, people, again.info) < 6:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = kept(store, people, again.info)
    assert 6 <= before < 20
    codes = embed(again, people, batch_size=2, cache=store)
    assert len(again.batches) == (20 - before) / 2
    wanted = embed(undisturbed, people, batch_size=2, cache=False)
    assert near(codes, wanted) if writes else same(codes, wanted)


def test_two_at_once_share_one_file(tmp_path: Path) -> None:
    store = tmp_path / "codes.sqlite"
    both = [start(store, 30, 0.01) for _ in range(2)]
    said = [process.communicate() for process in both]
    assert [(out.split()[-1], err) for out, err in said] == [("30", ""), ("30", "")]
    assert kept(store, noise_users(30)) == 30


def test_processes_share_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    people = noise_users(7)
    shares: list[dict[int, Any]] = []

    class Process(Shards):
        def gather(self, share: Any) -> list[Any]:
            shares.append(share)
            return shares

    for rank, theirs in ((0, [["0", "2"], ["4", "6"]]), (1, [["1", "3"], ["5"]])):
        monkeypatch.setattr(encode, "shards", lambda _, rank=rank: Process(rank, 2, "cpu"))
        encoder, log = ToyEncoder(), Log()
        codes = embed(encoder, people, batch_size=2, cache=False, events=log)
        assert encoder.batches == theirs
        assert log.total == log.done == (4, 3)[rank]
    assert same(codes, [encoder.serve(user) for user in people])


@pytest.mark.slow
def test_processes_that_a_launcher_started_give_all_of_it(tmp_path: Path) -> None:
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    script = (toy_encoder.__file__, str(tmp_path / "codes.sqlite"), "7", "0")
    done = subprocess.run(
        (sys.executable, *launch, *script), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["2 7", "2 7"]  # four and three users, by twos
    assert kept(tmp_path / "codes.sqlite", noise_users(7)) == 7


def test_who_fails_costs_the_others_nothing_and_is_tried_again(tmp_path: Path) -> None:
    class Moody(ToyEncoder):
        def serve(self, user: UserContext) -> UserCode | None:
            if user.id == "2":
                raise RuntimeError("no mood\nfor that")
            return super().serve(user)

    people, store, log = noise_users(5), tmp_path / "codes.sqlite", Log()
    codes = embed(Moody(), people, batch_size=3, cache=store, events=log)
    assert [code is None for code in codes] == [False, False, True, False, False]
    assert log.notes == ["user 2 has no embedding by 'toy': RuntimeError: no mood for that"]
    assert log.done == 5
    again = ToyEncoder()
    assert None not in embed(again, people, cache=store)
    assert again.batches == [["2"]]


@pytest.mark.parametrize(
    "bad",
    [
        lambda _: [],
        lambda users: [UserCode(embedding=np.zeros(DIM + 1, np.float32)) for _ in users],
        lambda users: [UserCode(embedding=np.full(DIM, np.nan, np.float32)) for _ in users],
    ],
    ids=["too few", "another length", "not finite"],
)
def test_what_is_no_embedding_is_not_kept(
    bad: Callable[[Sequence[UserContext]], list[UserCode | None]], tmp_path: Path
) -> None:
    class Odd(ToyEncoder):
        def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
            return bad(users)

    people, store, log = noise_users(3), tmp_path / "codes.sqlite", Log()
    assert embed(Odd(), people, cache=store, events=log) == [None] * 3
    assert len(log.notes) == 3
    assert kept(store, people) == 0


def test_an_encoder_that_served_some_is_not_found_broken_when_it_goes_on(tmp_path: Path) -> None:
    class Picky(ToyEncoder):
        def serve(self, user: UserContext) -> UserCode | None:
            if int(user.id) % 2:
                raise ValueError("the odd ones are too long")
            return super().serve(user)

    people, store = noise_users(2 * encode.MOST_FAILURES), tmp_path / "codes.sqlite"
    codes = embed(Picky(), people, cache=store)
    assert [code is None for code in codes] == [False, True] * encode.MOST_FAILURES
    assert same(embed(Picky(), people, cache=store), codes)


def test_more_shots_than_an_encoder_takes_are_not_shown_to_it_and_said(tmp_path: Path) -> None:
    one, two, three = noise_users(3)
    people = [one, replace(two, shots=(*two.shots, *one.shots) * 2), three]
    people += [replace(three, id="3", shots=(*three.shots, *one.shots) * 2), UserContext(id="4")]
    store, encoder, log = tmp_path / "codes.sqlite", ToyEncoder(), Log()
    embed(encoder, people, cache=store)  # what was kept before it had a limit is no answer either
    encoder.info = replace(encoder.info, max_shots=3)
    encoder.batches.clear()
    reasons: dict[int, str] = {}
    codes = embed(encoder, people, cache=store, events=log, reasons=reasons)
    assert [code is None for code in codes] == [False, True, False, True, True]
    assert encoder.batches == [["4"]]
    said = "4 shots: it takes 3 at most"
    assert log.notes == [f"no embedding by 'toy' of {said}"]
    assert log.done == 5
    assert reasons == {1: said, 3: said, 4: "it reads shots, and there are none"}


def test_a_limit_of_shots_changes_no_key() -> None:
    (user,) = noise_users(1)
    info = ToyEncoder().info
    assert code_key(replace(info, max_shots=8), user) == code_key(info, user)


def test_reasons_say_why_a_user_has_no_code() -> None:
    class Moody(ToyEncoder):
        def serve(self, user: UserContext) -> UserCode | None:
            if user.id == "1":
                raise ValueError("a prompt has 1323 tokens, and the model takes 1024")
            return None if user.id == "2" else super().serve(user)

    reasons: dict[int, str] = {}
    embed(Moody(), noise_users(4), batch_size=2, cache=False, reasons=reasons)
    assert reasons == {
        1: "ValueError: a prompt has 1323 tokens, and the model takes 1024",
        2: "it says nothing of them",
    }
    readers = ToyEncoder()
    readers.info = replace(readers.info, uses="id")
    reasons.clear()
    embed(readers, [UserContext(id="9")], reasons=reasons)
    assert reasons == {0: "it knows training users only"}


def test_an_encoder_that_serves_nobody_is_broken() -> None:
    class Broken(ToyEncoder):
        def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
            raise TypeError(f"half a model for {users[0].id}")

    with pytest.raises(
        PpdbenchError, match=r"'toy' failed on all of 16 users.*half a model for 15"
    ):
        embed(Broken(), noise_users(40), cache=False)


def test_an_error_with_a_fix_stops_all(tmp_path: Path) -> None:
    class Lacking(ToyEncoder):
        def encode(self, users: Sequence[UserContext]) -> list[UserCode | None]:
            self.batches.append([user.id for user in users])
            raise PpdbenchError("no weights", fix="get them")

    encoder = Lacking()
    with pytest.raises(PpdbenchError, match="no weights"):
        embed(encoder, noise_users(4), cache=tmp_path / "codes.sqlite")
    assert len(encoder.batches) == 1


def test_a_useless_cache_is_said_once_and_costs_nothing(tmp_path: Path) -> None:
    store, log = tmp_path / "codes.sqlite", Log()
    store.write_bytes(b"no database at all, but long enough to be one" * 30)
    people = noise_users(5)
    codes = embed(ToyEncoder(), people, batch_size=2, cache=store, events=log)
    assert None not in codes
    assert len(log.notes) == 1
    assert "the embedding cache" in log.notes[0]


def test_codes_come_back_as_they_were() -> None:
    for profile in (None, "", "likes äöü\nand more"):
        code = UserCode(embedding=np.array([1.5, -0.0, 1e-30], np.float32), profile=profile)
        found = encode._unpacked(encode._packed(code), DIM)
        assert found is not None
        assert same([found], [code])
        assert found.embedding.flags.writeable
    assert encode._unpacked(encode._packed(code), DIM + 1) is None


def test_batches_of_none_are_refused() -> None:
    with pytest.raises(ValueError, match="batches of 0"):
        embed(ToyEncoder(), noise_users(1), batch_size=0)
    assert embed(ToyEncoder(), []) == []
