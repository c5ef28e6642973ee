"""The house's rules for its own sources, read as syntax trees: lengths, docstrings, dead names.

Each rule is a search that yields what breaks it, shown to find a small offender first, then run
over `ppdbench/` and `trainers/`. Elsewhere: imports, assets, paths, the documents (`test_house`).
"""

import ast
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = ("ppdbench", "trainers")
LONGEST = 60
"""Lines of a function, its docstring aside: to say more of a function is no fault."""
OPTIONS = "a parameter an option of the command line, its help beside it"
LONGER = {
    "ppdbench/cli/calibrate.py:run": OPTIONS,
    "ppdbench/cli/check.py:run": OPTIONS,
    "ppdbench/cli/data_prepare.py:run": OPTIONS,
    "ppdbench/cli/data_requests.py:run": OPTIONS,
    "ppdbench/cli/eval.py:run": OPTIONS,
    "ppdbench/cli/generate.py:run": OPTIONS,
    "ppdbench/cli/judge.py:run": OPTIONS,
    "ppdbench/cli/leaderboard.py:add": OPTIONS,
    "ppdbench/cli/score.py:run": OPTIONS,
}
"""Longer functions -> why."""
Function = ast.FunctionDef | ast.AsyncFunctionDef
Tree = Mapping[str, ast.Module]
"""Path from the root -> its syntax tree."""


@cache
def parsed(*folders: str) -> Tree:
    found = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in found
    }


def one(code: str, path: str = "ppdbench/room/file.py") -> Tree:
    """A tree of one made-up file."""
    return {path: ast.parse(code)}


def module_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


# --- lengths ---------------------------------------------------------------------------------


def long_functions(tree: Tree, longest: int = LONGEST) -> Iterator[tuple[str, int]]:
    """Functions of more lines than that, as "file:name", with their lines but the docstring's."""
    for path, module in tree.items():
        for node in ast.walk(module):
            if isinstance(node, Function):
                said = node.body[0] if ast.get_docstring(node) is not None else None
                aside = said.end_lineno - said.lineno + 1 if said and said.end_lineno else 0
                lines = (node.end_lineno or node.lineno) - node.lineno + 1 - aside
                if lines > longest:
                    yield f"{path}:{node.name}", lines


def test_the_search_for_long_functions_finds_them() -> None:
    code = "def f():\n    '''Say\n\n    much.'''\n" + "    x = 1\n" * 5
    assert list(long_functions(one(code), 5)) == [("ppdbench/room/file.py:f", 6)]
    assert list(long_functions(one(code), 6)) == []


def test_functions_are_short_or_say_why() -> None:
    found = dict(long_functions(parsed(*PACKAGES)))
    assert {name: lines for name, lines in found.items() if name not in LONGER} == {}
    assert set(LONGER) - set(found) == set(), "no longer long: take them off the list"


# --- docstrings ------------------------------------------------------------------------------


def error_classes(tree: Tree) -> dict[str, set[str]]:
    """Each class of ppdbench's errors, wherever it stands -> itself and its ancestors among them.

    The root is `PpdbenchError`; classes are told by name, which no two of them share.
    """
    bases = {
        node.name: [base.id for base in node.bases if isinstance(base, ast.Name)]
        for module in tree.values()
        for node in ast.walk(module)
        if isinstance(node, ast.ClassDef)
    }

    def line(name: str) -> set[str]:
        return {name}.union(*(line(base) for base in bases.get(name, []) if base in bases))

    return {name: kin for name in bases if "PpdbenchError" in (kin := line(name))}


MADE = {
    "unknown_name": "UsageError",
    "missing_module": "MissingPrerequisite",
    "from_os_error": "PpdbenchError",
}
"""Functions of ppdbench/errors.py that make an error -> its class."""
AS_ANOTHER = re.compile(r"\b(raises?|errors) as\b|PpdbenchError: (as|of)\b", re.IGNORECASE)
"""Said where all that is raised is what another function, named there, raises."""


def raised(node: ast.AST) -> Iterator[str]:
    """Names of what is raised in a function itself, not in functions inside it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Raise) and child.exc is not None:
            made = child.exc.func if isinstance(child.exc, ast.Call) else child.exc
            name = made.attr if isinstance(made, ast.Attribute) else getattr(made, "id", "")
            yield MADE.get(name, name)
        if not isinstance(child, Function | ast.Lambda | ast.ClassDef):
            yield from raised(child)


def public_definitions(
    module: ast.Module,
) -> Iterator[tuple[str, ast.ClassDef | Function, str]]:
    """Name, node and docstring of what a module offers: of `__init__` its class's is added."""

    def of(body: Iterable[ast.stmt], before: str, said: str) -> Iterator[tuple[str, ast.AST, str]]:
        for node in body:
            if not isinstance(node, Function | ast.ClassDef):
                continue
            starts = node.name == "__init__"
            if node.name.startswith("_") and not starts:
                continue
            own = ast.get_docstring(node) or ""
            yield f"{before}{node.name}", node, f"{own}\n{said}" if starts else own
            if isinstance(node, ast.ClassDef):
                yield from of(node.body, f"{before}{node.name}.", own)

    for name, node, said in of(module.body, "", ""):
        assert isinstance(node, Function | ast.ClassDef)
        yield name, node, said


def is_command(node: ast.AST) -> bool:
    """Whether it is a command: its docstring is its help, and what it raises an exit code."""
    return isinstance(node, Function) and any(
        isinstance(each, ast.Name) and each.id == "reported" for each in node.decorator_list
    )


def unsaid(tree: Tree, kinds: Mapping[str, set[str]]) -> Iterator[str]:
    """Public functions and classes without a docstring, or that do not name what they raise."""
    for path, module in tree.items():
        for name, node, said in public_definitions(module):
            if not said.strip():
                yield f"{path}:{name} has no docstring"
            elif isinstance(node, Function) and not is_command(node):
                lacking = {kind for kind in raised(node) if kind in kinds}
                lacking = {
                    kind for kind in lacking if not any(each in said for each in kinds[kind])
                }
                if lacking and not AS_ANOTHER.search(said):
                    yield f"{path}:{name} does not say that it raises {', '.join(sorted(lacking))}"


KINDS = {kind: {kind, "PpdbenchError"} for kind in ("UsageError", "Leak")}


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        ("def f(): pass", "has no docstring"),
        ("class A: pass", "has no docstring"),
        ("class A:\n    '''A.'''\n    def f(self): pass", "has no docstring"),
        ("def f():\n    '''F.'''\n    raise UsageError('a', fix='b')", "raises UsageError"),
        ("def f():\n    '''F.'''\n    raise errors.UsageError('a', fix='b')", "raises UsageError"),
        ("def f():\n    '''F.'''\n    raise unknown_name('a', 'b', [])", "raises UsageError"),
        (
            "class A:\n    '''A.'''\n    def __init__(self):\n        raise UsageError('a')",
            "raises UsageError",
        ),
    ],
)
def test_the_search_for_what_is_unsaid_finds_it(code: str, ends: str) -> None:
    (found,) = unsaid(one(code), KINDS)
    assert found.endswith(ends)


@pytest.mark.parametrize(
    "code",
    [
        "def _f(): raise UsageError('a')",
        "def f():\n    '''Raises:\n        UsageError: so.\n    '''\n    raise UsageError('a')",
        "def f():\n    '''F; raises as `g`.'''\n    raise UsageError('a')",
        "def f():\n    '''Raises:\n        PpdbenchError: so.\n    '''\n    raise Leak('a')",
        "def f():\n    '''F.'''\n    def g(): raise UsageError('a')",
        "@reported\ndef run():\n    '''Help.'''\n    raise UsageError('a')",
    ],
)
def test_the_search_for_what_is_unsaid_lets_the_rest_be(code: str) -> None:
    assert list(unsaid(one(code), KINDS)) == []


def test_what_is_public_says_what_it_is_and_raises() -> None:
    tree = parsed(*PACKAGES)
    assert list(unsaid(tree, error_classes(tree))) == []


# --- names that nobody uses ------------------------------------------------------------------

SPOKEN_OF = {
    "ppdbench.protocols": "what strangers' plug-ins are written against",
    "ppdbench.errors": "the same",
}
"""Modules whose names stand for themselves, and why."""
OVERRIDES = {
    "forward",
    "http_open",
    "https_open",
    "log_message",
    "redirect_request",
    "send_head",
}
"""Methods that a class of torch's or Python's own calls."""
IMPORTING = re.compile(r"from ([\w.]+) import (\w+)")
"""In a text: code for another process."""


def top_names(module: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Functions, classes and constants of a module, but what a decorator hands to Typer."""
    for node in module.body:
        if isinstance(node, Function | ast.ClassDef):
            if not any(map(is_registration, node.decorator_list)):
                yield node.name, node
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                        yield name.id, node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id, node


def is_registration(decorator: ast.expr) -> bool:
    """Whether a decorator registers what it stands on: `@app.callback()`."""
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return dotted(called).partition(".")[2] in ("callback", "command")


def used_inside(module: ast.Module) -> Counter[str]:
    """How often a module reads each of its names, a definition's own body not counted."""
    found: Counter[str] = Counter()
    for node in module.body:
        own = node.name if isinstance(node, Function | ast.ClassDef) else None
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load) and each.id != own:
                found[each.id] += 1
            elif isinstance(each, ast.Constant) and isinstance(each.value, str):
                # An annotation in quotes; an entry of __all__.
                found.update(re.findall(r"\w+", each.value) if len(each.value) < 100 else [])
    return found


def used_elsewhere(tree: Tree) -> set[tuple[str, str]]:
    """(module, name) of all that is imported, or read as an attribute of an imported module."""
    modules = {module_of(path) for path in tree}
    found: set[tuple[str, str]] = set()
    for module in tree.values():
        aliases: dict[str, str] = {}
        for node in ast.walk(module):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    found.add((node.module, alias.name))
                    inner = f"{node.module}.{alias.name}"
                    if inner in modules:
                        aliases[alias.asname or alias.name] = inner
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    aliases[alias.asname or alias.name] = alias.name
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                where, colon, name = node.value.partition(":")
                if colon and where in modules:
                    found.add((where, name))
                found.update(IMPORTING.findall(node.value))
        for node in ast.walk(module):
            if isinstance(node, ast.Attribute):
                found.add((aliases.get(dotted(node.value), ""), node.attr))
    return found


def dotted(node: ast.expr) -> str:
    """`a.b.c` as it is written; empty where it is no name."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *parts[::-1]]) if isinstance(node, ast.Name) else ""


def unused_names(tree: Tree, used: set[tuple[str, str]]) -> Iterator[str]:
    """Top-level names that neither their own module nor, if public, anybody else reads."""
    for path, module in tree.items():
        where, inside = module_of(path), used_inside(module)
        for name, _ in top_names(module):
            magic = name.startswith("__") or where in SPOKEN_OF
            if not magic and not inside[name] and (where, name) not in used:
                yield f"{path}:{name}"


def unused_methods(tree: Tree, read: Counter[str]) -> Iterator[str]:
    """Methods and properties whose name stands nowhere but at their definition.

    Names of methods are told apart by nothing else: one that another class has too is used.

    Args:
        tree: the sources.
        read: names that others read, counted.
    """
    read = read.copy()
    methods: dict[str, list[str]] = defaultdict(list)
    for path, module in tree.items():
        for node in ast.walk(module):
            if isinstance(node, ast.Attribute):
                read[node.attr] += 1
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                read[node.value] += 1
            elif isinstance(node, ast.ClassDef):
                for each in node.body:
                    if isinstance(each, Function) and not each.name.startswith("__"):
                        checks = any("validator" in ast.unparse(d) for d in each.decorator_list)
                        if not checks:
                            methods[each.name].append(f"{path}:{node.name}.{each.name}")
    for name, places in methods.items():
        if not read[name] and name not in OVERRIDES:
            yield from places


def test_the_search_for_unused_names_finds_them() -> None:
    code = "A = 1\n_B = 2\ndef f(): return f()\ndef _g(): return h()\ndef h(): return _B\n"
    found = [each.partition(":")[2] for each in unused_names(one(code), set())]
    assert found == ["A", "f", "_g"]
    other = "from ppdbench.room import file\nfrom ppdbench.room.file import f\nfile.A"
    used = used_elsewhere({**one(code), **one(other, "ppdbench/room/other.py")})
    assert [each.partition(":")[2] for each in unused_names(one(code), used)] == ["_g"]
    code = "class A:\n    def f(self): ...\n    def g(self): self.g\n    def h(self): ..."
    assert list(unused_methods(one(code), Counter(["h"]))) == ["ppdbench/room/file.py:A.f"]


def documented() -> Tree:
    """The Python of the documents, each block as a file."""
    texts = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = [
        block
        for path in texts
        for block in re.findall(
            r"^```python\n(.*?)^```$",
            path.read_text(encoding="utf-8"),
            flags=re.DOTALL | re.MULTILINE,
        )
    ]
    return {f"docs/{number}.py": ast.parse(block) for number, block in enumerate(blocks)}


def test_nobody_keeps_a_name_that_is_not_used() -> None:
    tree = parsed(*PACKAGES)
    others = {**parsed("perf", "docs"), **documented()}
    used = used_elsewhere({**tree, **others})
    for group in ("scripts", "entry-points"):
        for text in re.findall(r"[\w.]+:\w+", str(PYPROJECT["project"][group])):
            where, _, name = text.partition(":")
            used.add((where, name))
    assert list(unused_names(tree, used)) == []
    templates = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "ppdbench").rglob("*.j2"))
    read = Counter(re.findall(r"\w+", templates))
    for module in others.values():
        read.update(node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute))
    assert list(unused_methods(tree, read)) == []


# --- ignores ---------------------------------------------------------------------------------

IGNORE = re.compile(r"#\s*(noqa|type:\s*ignore|pragma|pylint|ruff:|mypy:|pyright)(?P<rest>.*)")
REASONED = re.compile(r"(: [A-Z]+\d+(, [A-Z]+\d+)*|\[[a-z-]+(, [a-z-]+)*\]) *(- |# |\()\s*\w.+$")
"""A code, then why."""


def blanket_ignores(text: str) -> Iterator[int]:
    """Lines that silence a tool without saying what of it, or why."""
    for number, line in enumerate(text.splitlines(), start=1):
        found = IGNORE.search(line)
        if found and not REASONED.match(found["rest"]):
            yield number


def test_the_search_for_blanket_ignores_finds_them() -> None:
    wrong = ["x  # noqa", "x  # type: ignore", "x  # noqa: S101", "x  # type: ignore[misc]"]
    right = ["x  # noqa: S101 - why", "x  # noqa: S101  (why)", "x  # type: ignore[misc]  # why"]
    assert list(blanket_ignores("\n".join([*wrong, *right]))) == [1, 2, 3, 4]


def test_no_tool_is_silenced_without_a_reason() -> None:
    found = [
        f"{path}:{line}"
        for path in parsed(*PACKAGES)
        for line in blanket_ignores((ROOT / path).read_text(encoding="utf-8"))
    ]
    assert found == []


# --- the rooms -------------------------------------------------------------------------------


def contract(start: str) -> dict[str, list[str]]:
    """The import contract whose name starts so."""
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    (found,) = (each for each in contracts if each["name"].startswith(start))
    return dict(found)


def rooms(package: str) -> set[str]:
    """Folders and files of a package, by the names that imports have for them."""
    return {
        path.stem
        for path in (ROOT / package).iterdir()
        if (path.suffix == ".py" and not path.stem.startswith("__"))
        or (path / "__init__.py").is_file()
    }


def test_every_room_has_a_place_among_the_layers() -> None:
    layers = contract("imports run one way")["layers"]
    assert {room.strip() for layer in layers for room in layer.split("|")} == rooms("ppdbench")


def test_statistics_may_import_no_room() -> None:
    forbidden = set(contract("statistics imports nothing")["forbidden_modules"])
    others = {f"ppdbench.{room}" for room in rooms("ppdbench") - {"statistics"}}
    assert others - forbidden == set()


def test_trainers_reach_into_the_rooms_that_the_contract_names_and_no_other() -> None:
    said = contract("trainers reach into")
    allowed = {"protocols", "errors", "data", "users", "rewards", "runs", "suites"}
    assert all(room in said["name"] for room in allowed)
    assert {f"ppdbench.{room}" for room in rooms("ppdbench") - allowed} == set(
        said["forbidden_modules"]
    )
