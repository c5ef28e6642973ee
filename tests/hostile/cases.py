"""Hostile cases: how many, what is made of a valid file, and within which bounds each must stay.

A property is a function of one case. It returns whether the case was taken (True) or refused with
an error of `ppdbench.errors` (False); anything else that it raises is a defect. `hold` runs it on
many cases, drawn by hypothesis without chance from run to run (`derandomize`), in a child process:

- memory: `MEMORY` bytes of address space above what the process has when it begins (RLIMIT_AS);
- time: `SECONDS` of processor time a case (SIGPROF), and `WAITING` seconds on the clock for a case
  that waits for something instead of computing;
- files: what is opened for writing, made, renamed or removed outside `folder`, a process begun, a
  connection made and a class that a pickle names are seen by an audit hook and fail the case; and
  so does whatever touches `forbidden`, be it to read. The hook sees what goes through Python: not
  what SQLite, Arrow or torch open by themselves.

Each property is held on `FAST` cases always and on `SLOW` cases with `-m slow` (`profiles`).

Elsewhere: the parsers of files, one module each (`test_hostile_*.py`; the table of all of them is
in `test_hostile_parsers.py`).
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import math
import mmap
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from ppdbench.errors import PpdbenchError

T = TypeVar("T")
Draw = random.Random

FAST, SLOW = 100, 10_000
"""Cases of a property: in every run of the tests, and with `-m slow`."""
TOGETHER = 10
"""Cases of one draw of hypothesis, where a function makes them."""
MEMORY = 1 << 30
"""Bytes that a case may take above what the process has before."""
SECONDS = 10
"""Seconds of processor time that a case may take."""
WAITING = 120
"""Seconds on the clock that a case may take, on a machine that others use too."""
LAST = 1 << 20
"""Bytes in which a child says how far it is: cases begun, taken, refused, and the one at hand."""
LONGEST_ERROR = 4_000
"""Characters of an error's text: it names a place, it does not repeat the file."""

profiles = pytest.mark.parametrize(
    "number",
    [
        pytest.param(FAST, id="fast"),
        pytest.param(SLOW, id="slow", marks=pytest.mark.slow),
    ],
)
"""Gives a test its `number` of cases."""

# hypothesis keeps constants and tables in its home even without a database of examples.
_HOME = tempfile.mkdtemp(prefix="hypothesis-")
_OWNER = os.getpid()
set_hypothesis_home_dir(_HOME)


@atexit.register
def _forget_home() -> None:
    if os.getpid() == _OWNER:
        shutil.rmtree(_HOME, ignore_errors=True)


# --- what a property says -------------------------------------------------------------------------


def takes(call: Callable[[], T], check: Callable[[T], object] | None = None) -> bool:
    """Whether `call` gives a value, which `check` then looks at; False for an error with its fix.

    Raises:
        AssertionError: the error has no cause or fix, cannot be printed, repeats the file, or
            hides that memory ran out.
    """
    try:
        value = call()
    except PpdbenchError as error:
        require_said(error)
        return False
    if check is not None:
        check(value)
    return True


def require_said(error: PpdbenchError) -> None:
    """An error that a user can read: a cause and a fix, printable, short, and its own reason."""
    assert error.cause.strip() and error.fix.strip(), repr(error)
    assert len(str(error)) <= LONGEST_ERROR, f"{len(str(error))} characters: {str(error)[:200]}"
    str(error).encode()  # a lone surrogate would end the command in a traceback
    seen: BaseException | None = error
    while seen is not None:
        assert not isinstance(seen, MemoryError), f"{seen!r} behind {error!r}"
        seen = seen.__cause__ or seen.__context__


# --- what a case is made of -----------------------------------------------------------------------

NUMBERS: tuple[Any, ...] = (
    *(0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400, True),
    *(0.5, -0.0, 1e-320, 1e300, math.nan, math.inf, -math.inf),
)
"""Numbers that parsers trip over."""
TEXTS = (
    *("", " ", "\0", "a\0b", "\x1b[2J\x1b[31m", "a\nb\r\nc", "\ud800", "\udcff\ud800", "\ufeffa"),
    *("\u202eevil", "e\u0301" * 40, "\U0001f469\u200d\U0001f52c", "\x7f\x80\x9b", "\u2028"),
    *("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}${7*7}%s%n{0}"),
    *("$(touch pwned)", "`touch pwned`", "; touch pwned;", "| touch pwned", "-rf", "--help"),
    *("../../../etc/passwd", "..", ".", "/", "/etc/passwd", "..\\..\\x", "a/../../b", "~", "CON"),
    *("file:///etc/passwd", "x" * 300, "x/" * 3000, "x" * 70_000, "=1+1", "NaN", "null", "1e999"),
    *("__class__", "__proto__", "!!python/object/apply:os.system [ls]", "*a", "&a", "%YAML 9"),
)
"""Texts that reach terminals, pages, shells, paths and templates."""
SHAPES: tuple[Any, ...] = (None, [], {}, [[]], {"": None}, [None] * 3, {"a": {"b": [1]}}, [{}] * 9)
"""Values of another shape than what was asked for."""
BYTES = (
    *(b"", b"\0", b"\xff", b"\xff\xfe", b"\xed\xa0\x80", b"\n", b"\r\n", b'"', b"\\", b"\x1b[2J"),
    *(b"{", b"}", b"[", b"]", b":", b",", b"'", b"#", b"- ", b"%", b"\t", b"\x00\x00\x00\x00"),
    *(b"NaN", b"Infinity", b"-1", b"9" * 5000, b"1e999", b"null", b"\\ud800", b"\xff\xff\xff\xff"),
    *(b"[" * 50_000, b'{"a":' * 20_000, b"\x7f\xff\xff\xff", b"<script>", b"../../", b"!!x", b"*a"),
)
"""Pieces that are put into files."""


_SEEDS = st.integers(0, 2**64 - 1)


def damages(*valid: bytes) -> Callable[[Draw], bytes]:
    """Files made of valid ones by up to four edits of their bytes; about one in five is whole."""
    return lambda draw: damage(draw.choice(valid), draw, draw.randrange(5))


def damaged(*valid: bytes) -> st.SearchStrategy[bytes]:
    """The same as a strategy."""
    return _SEEDS.map(random.Random).map(damages(*valid))


def damage(data: bytes, draw: Draw, times: int) -> bytes:
    """`data` after so many edits: flipped, cut, dropped, repeated, inserted, overwritten."""
    made = bytearray(data)
    for _ in range(times):
        at = draw.randrange(len(made) + 1)
        to = min(len(made), at + draw.choice((1, 2, 4, 8, 64, 1024)))
        kind = draw.randrange(8)
        if kind == 0 and at < len(made):
            made[at] ^= 1 << draw.randrange(8)
        elif kind == 1 and at < len(made):
            made[at] = draw.randrange(256)
        elif kind == 2:
            del made[at:]
        elif kind == 3:
            del made[at:to]
        elif kind == 4:
            made[at:at] = made[at:to] * draw.choice((1, 1, 1, 500))
        elif kind == 5:
            made[at:at] = draw.choice(BYTES)
        elif kind == 6:
            made[at:to] = draw.randbytes(to - at)
        else:
            width = draw.choice("<>") + draw.choice("HIQ")
            size = struct.calcsize(width)
            top = 1 << (8 * size - 1)
            number = draw.choice((0, 1, top, top // 2, 2 * top - 1))
            made[at : at + size] = struct.pack(width, number)
    return bytes(made)


def damage_text(text: str, draw: Draw) -> str:
    """A text after up to two changes: a part of it dropped or repeated, or a hostile one put in."""
    for _ in range(draw.randrange(3)):
        at = draw.randrange(len(text) + 1)
        to = min(len(text), at + draw.randrange(8))
        text = text[:at] + draw.choice(("", text[at:to] * 2, draw.choice(TEXTS))) + text[to:]
    return text


def edits(*valid: Any) -> Callable[[Draw], Any]:
    """JSON values made of valid ones by up to three edits of what is in them.

    A value is replaced by a number, a text or a shape that surprises, dropped, or put twice; a key
    is renamed or added. About one in four is whole.
    """
    return lambda draw: edit(draw.choice(valid), draw, draw.randrange(4))


def edited(*valid: Any) -> st.SearchStrategy[Any]:
    """The same as a strategy."""
    return _SEEDS.map(random.Random).map(edits(*valid))


def edit(value: Any, draw: Draw, times: int) -> Any:
    """`value` after so many edits, as a copy."""
    for _ in range(times):
        value = _edit(value, draw)
    return value


def _edit(value: Any, draw: Draw) -> Any:
    """One edit, at a place on a walk that ends in each value with the same chance as it goes on."""
    if isinstance(value, dict) and value and draw.random() < 0.85:
        key = draw.choice(list(value))
        kind = draw.randrange(10)
        if kind == 0:
            return {each: value[each] for each in value if each != key}
        if kind == 1:
            return {**value, draw.choice(TEXTS): surprise(draw)}
        if kind == 2:
            return {(draw.choice(TEXTS) if each == key else each): value[each] for each in value}
        return {**value, key: _edit(value[key], draw)}
    if isinstance(value, list | tuple) and value and draw.random() < 0.85:
        at = draw.randrange(len(value))
        kind = draw.randrange(10)
        if kind == 0:
            return [*value[:at], *value[at + 1 :]]
        if kind == 1:
            return [*value[: at + 1], *value[at:]]
        if kind == 2:
            return [*value, surprise(draw)]
        return [*value[:at], _edit(value[at], draw), *value[at + 1 :]]
    return surprise(draw)


def surprise(draw: Draw) -> Any:
    """A value that nobody asked for."""
    return draw.choice(draw.choice((NUMBERS, TEXTS, SHAPES)))


def as_json(value: Any) -> bytes:
    """`value` as JSON as careless writers write it: with NaN, and surrogates as escapes."""
    return json.dumps(value).encode()


def as_lines(values: Sequence[Any]) -> bytes:
    """JSON lines."""
    return b"".join(as_json(value) + b"\n" for value in values)


def numbers() -> st.SearchStrategy[Any]:
    """`NUMBERS`, and any other."""
    return st.sampled_from(NUMBERS) | st.floats() | st.integers()


def texts() -> st.SearchStrategy[str]:
    """`TEXTS`, and any other, with surrogates and control characters."""
    return st.sampled_from(TEXTS) | st.text(st.characters(exclude_categories=()), max_size=40)


def every_number(value: Any) -> Iterator[float]:
    """All numbers in a parsed value, truth values left out; one beyond floats as infinite."""
    if isinstance(value, dict):
        for each in value.values():
            yield from every_number(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from every_number(each)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value if abs(value) < 1e308 or isinstance(value, float) else math.inf


# --- holding a property ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many cases a property was held on."""

    taken: int
    refused: int

    @property
    def cases(self) -> int:
        """All of them."""
        return self.taken + self.refused


@dataclass(frozen=True, slots=True)
class Seed:
    """What hypothesis draws where a function makes the cases: `TOGETHER` of them each."""

    number: int


def hold(
    body: Callable[[T], bool],
    cases: st.SearchStrategy[T] | Callable[[Draw], T],
    *,
    number: int,
    folder: Path | None = None,
    forbidden: Path | None = None,
    examples: Sequence[T] = (),
    one_sided: bool = False,
) -> Tally:
    """Hold the property `body` on `number` cases at least, in a child process and its bounds.

    Args:
        body: takes a case; True where the parser took it, False where it refused.
        cases: where they are drawn from: a strategy, which shrinks; or a function of a random
            state, which costs a tenth, and whose first failing case is told as it is.
        number: how many (`profiles`).
        folder: the one place where files may be written, made and removed; None for nowhere.
        forbidden: a place that nothing may touch, not even to read.
        examples: cases that are tried first: what was a defect once.
        one_sided: whether all cases may be taken, or all refused; else both must happen.

    Raises:
        pytest.fail.Exception: a case raised, was over a bound, or touched what it may not.
    """
    _warm()
    shared = mmap.mmap(-1, LAST)  # what the parent sees of a dead child
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as told:
        child = os.fork()
        if child == 0:
            _in_child(body, cases, number, folder, forbidden, examples, shared, told)
        _wait(child, shared)
        _, status = os.waitpid(child, 0)
        told.seek(0)
        said = told.read()
    begun, taken, refused = struct.unpack_from("<3Q", shared)
    if said or status:
        size = struct.unpack_from("<Q", shared, 24)[0]
        last = shared[32 : 32 + size].decode(errors="backslashreplace")
        pytest.fail(
            f"case {begun} ({_ended(status)}; the same in each run)\n{said}\nlast: {last[:3000]}",
            pytrace=False,
        )
    tally = Tally(taken=taken, refused=refused)
    assert tally.cases >= number, f"{tally} of {number}: the strategy has too few cases"
    assert one_sided or (taken and refused), f"{tally}: the property saw one side only"
    return tally


@functools.cache
def _warm() -> None:
    """What hypothesis does once in a process, so that no child does it again."""
    _test(lambda _: None, random.Random.random, 1, ())()


def _ended(status: int) -> str:
    """How a child ended, in words."""
    if not os.WIFSIGNALED(status):
        return "it failed"
    number = os.WTERMSIG(status)
    if number == signal.SIGPROF:
        return f"over {SECONDS} seconds of processor time"
    if number == signal.SIGKILL:
        return f"over {WAITING} seconds, or killed for memory"
    return f"ended by {signal.Signals(number).name}"


def _wait(child: int, shared: mmap.mmap) -> None:
    """Wait for the child's end; one that stays in a case for `WAITING` seconds is killed."""
    last, since = -1, time.monotonic()
    pause = 0.001
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        begun = struct.unpack_from("<Q", shared)[0]
        if begun != last:
            last, since = begun, time.monotonic()
        elif time.monotonic() - since > WAITING:
            os.kill(child, signal.SIGKILL)
        time.sleep(pause)
        pause = min(0.1, pause * 1.5)


def _in_child(
    body: Callable[[T], bool],
    cases: st.SearchStrategy[T] | Callable[[Draw], T],
    number: int,
    folder: Path | None,
    forbidden: Path | None,
    examples: Sequence[T],
    shared: mmap.mmap,
    told: Any,
) -> None:
    """Run all cases and leave the process; what failed is written to `told`."""
    code = 0
    limits = resource.getrlimit(resource.RLIMIT_AS)
    try:
        gc.freeze()  # what the parent has is left where it is: looking at it would copy it
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        watch = Watch(folder, forbidden)
        sys.addaudithook(watch.heard)
        test = _test(functools.partial(_one, body, watch, shared), cases, number, examples)
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY, limits[1]))
        test()
    except BaseException:  # pytest.skip and KeyboardInterrupt too: the parent must hear of it
        code = 1
        resource.setrlimit(resource.RLIMIT_AS, limits)
        told.write(traceback.format_exc())
    finally:
        told.flush()
        os._exit(code)


def _address_space() -> int:
    """Bytes of address space that this process has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


def _test(
    one: Callable[[T], None],
    cases: st.SearchStrategy[T] | Callable[[Draw], T],
    number: int,
    examples: Sequence[T],
) -> Callable[[], None]:
    """The property as hypothesis runs it."""
    drawn = isinstance(cases, st.SearchStrategy)
    make = cases if callable(cases) else None

    def test(case: T | Seed) -> None:
        if make is None or not isinstance(case, Seed):
            one(case)  # type: ignore[arg-type]  # a T, where no function makes them of seeds
            return
        draw = random.Random(case.number)
        for _ in range(TOGETHER):
            one(make(draw))

    made = given(cases if isinstance(cases, st.SearchStrategy) else _SEEDS.map(Seed))(test)
    for each in reversed(examples):
        made = example(each)(made)
    held = settings(
        max_examples=number if drawn else math.ceil(number / TOGETHER),
        phases=(Phase.explicit, Phase.generate, *((Phase.shrink,) if drawn else ())),
        derandomize=True,
        deadline=None,  # `SECONDS` instead: a busy machine is no defect
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run: Callable[[], None] = held(made)
    return run


def _one(body: Callable[[T], bool], watch: Watch, shared: mmap.mmap, case: T) -> None:
    """One case: counted, timed and watched."""
    begun, taken, refused = struct.unpack_from("<3Q", shared)
    last = repr(case).encode(errors="backslashreplace")[: LAST - 32]
    struct.pack_into("<Q", shared, 0, begun + 1)
    struct.pack_into("<Q", shared, 24, len(last))
    shared[32 : 32 + len(last)] = last
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    watch.begin()
    try:
        took = body(case)
    finally:
        watch.end()
        signal.setitimer(signal.ITIMER_PROF, 0)
    assert not watch.seen, f"it touched what it may not: {watch.seen}"
    struct.pack_into("<2Q", shared, 8, taken + int(took), refused + int(not took))


class Watch:
    """An audit hook that notes what a case does outside its folder; idle between cases."""

    _writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    _changes = frozenset(
        {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate"}
        | {"os.chmod", "os.chown", "shutil.move", "shutil.rmtree", "os.utime", "os.setxattr"}
    )
    _leaves = frozenset(
        {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"}
        | {"socket.connect", "socket.bind", "socket.sendto", "pickle.find_class", "webbrowser.open"}
    )

    def __init__(self, folder: Path | None, forbidden: Path | None) -> None:
        self.seen: list[str] = []
        self._folder = None if folder is None else os.path.realpath(folder)
        self._forbidden = None if forbidden is None else os.path.realpath(forbidden)
        self._on = False

    def begin(self) -> None:
        """Listen."""
        self.seen = []
        self._on = True

    def end(self) -> None:
        """Stop listening."""
        self._on = False

    def heard(self, event: str, args: tuple[Any, ...]) -> None:
        """The hook: an event of the interpreter, by its name in Python's own table."""
        if not self._on:
            return
        if event in self._leaves:
            self.seen.append(f"{event} {args!r:.200}")
        elif event == "open":
            path, mode, flags = args
            writing = bool(flags & self._writes) if isinstance(flags, int) else "r" not in mode
            self._look(event, (path,), writing)
        elif event in self._changes:
            self._look(event, args[: 2 if "rename" in event or "move" in event else 1], True)
            if event in ("os.symlink", "os.link"):
                self._look(event, args[1:2], True)

    def _look(self, event: str, paths: Sequence[Any], writing: bool) -> None:
        for path in paths:
            if not isinstance(path, str | bytes | os.PathLike):
                continue  # a file that is open already, or a folder's descriptor
            real = os.path.realpath(os.fsdecode(path))
            if writing and real != os.devnull and not _below(real, self._folder):
                self.seen.append(f"{event} {real}")
            elif self._forbidden is not None and _below(real, self._forbidden):
                self.seen.append(f"{event} {real} (reading)")


def _below(path: str, folder: str | None) -> bool:
    return folder is not None and (path == folder or path.startswith(folder + os.sep))
