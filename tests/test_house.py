"""The house's own rules, held by a test each: imports, names, assets, paths, the README.

Elsewhere: the rules for the sources themselves, read as syntax trees (`test_house_sources`).
"""

import ast
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import ppdbench
from ppdbench import errors
from ppdbench.cli import app

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGES = ("ppdbench", "trainers", "leaderboards")
ASSETS = [ROOT / "ppdbench/suites/shapes/assets", ROOT / "trainers/assets"]
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".jsonl", ".cff", ".j2", ".txt", ""}
MEGABYTE = 1_000_000


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def test_import_contracts() -> None:
    command = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert command is not None, "import-linter is not installed beside this Python"
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# --- a suite's name decides nothing outside suites/ ------------------------------------------


def name_decisions(code: str, names: set[str]) -> Iterator[int]:
    """Lines that decide by one of these names: a comparison, a case, a table, a prefix test."""
    for node in ast.walk(ast.parse(code)):
        deciding: list[ast.expr | None] = []
        if isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                deciding += (
                    side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
                )
        elif isinstance(node, ast.MatchValue):
            deciding = [node.value]
        elif isinstance(node, ast.Dict):
            deciding = list(node.keys)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("startswith", "endswith")
        ):
            deciding = list(node.args)
        for each in deciding:
            if isinstance(each, ast.Constant) and each.value in names:
                yield each.lineno


@pytest.mark.parametrize(
    "code",
    [
        "if suite.name == 'toy': pass",
        "x = 1 if 'toy' != name else 2",
        "if name in ('toy', 'b'): pass",
        "match name:\n    case 'toy': pass",
        "steps = {'toy': 12}[name]",
        "name.startswith('toy')",
    ],
)
def test_the_search_for_decisions_finds_them(code: str) -> None:
    assert list(name_decisions(code, {"toy"})) != []
    assert list(name_decisions("def f(suite='toy'): pass", {"toy"})) == []


def test_no_branch_on_a_suites_name() -> None:
    names = {*PYPROJECT["project"]["entry-points"]["ppdbench.suites"], "shapes", "pickapic"}
    suites = ROOT / "ppdbench/suites"
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources("ppdbench", "trainers")
        if suites not in path.parents
        for line in name_decisions(path.read_text(encoding="utf-8"), names)
    ]
    assert found == []


# --- assets -------------------------------------------------------------------------------------


def shipped_weights() -> list[Path]:
    return sorted(path for folder in ASSETS for path in folder.rglob("*.safetensors"))


def test_every_asset_is_what_its_manifest_says() -> None:
    weights = shipped_weights()
    assert weights, "no weights are shipped"
    wrong = []
    for path in weights:
        manifest = path.parent / "manifest.json"
        listed = json.loads(manifest.read_bytes())["sha256"] if manifest.is_file() else {}
        if listed.get(path.name) != hashlib.sha256(path.read_bytes()).hexdigest():
            wrong.append(str(path.relative_to(ROOT)))
    assert wrong == []


def test_manifests_list_no_file_that_is_not_there() -> None:
    missing = [
        f"{manifest.relative_to(ROOT)}: {name}"
        for folder in ASSETS
        for manifest in folder.rglob("manifest.json")
        for name in json.loads(manifest.read_bytes())["sha256"]
        if not (manifest.parent / name).is_file()
    ]
    assert missing == []


def test_shipped_weights_are_at_most_16_megabytes() -> None:
    assert sum(path.stat().st_size for path in shipped_weights()) <= 16 * MEGABYTE


def test_no_pickled_weights_are_shipped() -> None:
    pickled = [
        p for s in ("pt", "pth", "ckpt", "bin", "pkl") for p in ROOT.rglob(f"**/assets/**/*.{s}")
    ]
    assert pickled == []


# --- names and paths -------------------------------------------------------------------------


def house_files() -> list[Path]:
    tops = [*PACKAGES, "tests", "perf", "docs", ".ci"]
    files = [path for top in tops for path in (ROOT / top).rglob("*")]
    files += ROOT.glob("*")
    return [p for p in files if p.is_file() and p.suffix in TEXT and "__pycache__" not in p.parts]


def test_no_absolute_machine_paths() -> None:
    machine = re.compile(r"(?<![\w.:/<-])/(?:work|home|root|tmp|mnt|Users)/[\w.]")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in house_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if machine.search(line)
    ]
    assert found == []


def test_test_files_have_names_of_their_own() -> None:
    counts = Counter(path.name for path in sources("tests") if path.name != "conftest.py")
    assert [name for name, count in counts.items() if count > 1 and name != "__init__.py"] == []


def test_git_hides_no_source() -> None:
    """An unanchored pattern such as `runs/` would drop `ppdbench/runs/` from the wheel."""
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    loose = {line.rstrip("/") for line in lines if line and not line.startswith(("#", "/"))}
    folders = {p.name for top in PACKAGES for p in (ROOT / top).rglob("*") if p.is_dir()}
    assert loose & (folders - {"__pycache__"}) == set()


# --- what the documents promise ---------------------------------------------------------------


def readme_commands() -> list[str]:
    done = subprocess.run(
        [sys.executable, ROOT / ".ci/readme-commands"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def parse(line: str) -> str:
    """Parse a command line as Typer would, without running it; the name of its command."""
    program, name, *words = line.split()
    assert program == "ppdbench"
    group: Any = typer.main.get_command(app)
    group.commands[name].make_context(name, words)  # raises on a word it does not know
    return name


def test_the_readmes_two_commands_parse() -> None:
    main_job, tests = readme_commands()
    install, run = main_job.split(" && ")
    assert install == "python -m pip install ."
    assert parse(run) == "eval"
    install, run = tests.split(" && ")
    assert install == 'python -m pip install ".[dev]"'
    assert "dev" in PYPROJECT["project"]["optional-dependencies"]
    assert run == "python -m pytest -n 2"


def test_commands_in_the_documents_exist() -> None:
    documents = [
        README,
        *(path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")),
    ]
    group: Any = typer.main.get_command(app)
    named = {name for text in documents for name in re.findall(r"`ppdbench ([a-z][a-z-]*)", text)}
    assert named - set(group.commands) == set()
    assert {
        "eval",
        "judge",
        "calibrate",
        "report",
        "train-reference",
        "list",
        "leaderboard",
    } <= named


@pytest.mark.parametrize("document", ["README.md", "docs/exit-codes.md"])
def test_documented_exit_codes_are_those_of_the_errors(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", text, flags=re.MULTILINE)}
    codes = {kind.exit_code for kind in vars(errors).values() if hasattr(kind, "exit_code")}
    assert documented == {0} | codes


def test_links_in_the_documents_lead_somewhere() -> None:
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in [
            *ROOT.glob("*.md"),
            *(ROOT / "docs").glob("*.md"),
            *(ROOT / "perf").glob("*.md"),
        ]
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8"))
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert broken == []


def test_versions_agree() -> None:
    version = PYPROJECT["project"]["version"]
    assert ppdbench.__version__ == version
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_example_generator_of_the_guide_works() -> None:
    """The guide's own code, run as it is written."""
    from PIL import ImageStat

    from ppdbench.protocols import GenerationRequest, Generator, UserContext

    guide = (ROOT / "docs/plug-in.md").read_text(encoding="utf-8")
    code = re.findall(r"^```python\n(.*?)^```$", guide, flags=re.DOTALL | re.MULTILINE)[0]
    namespace: dict[str, Any] = {}
    exec(compile(code, "docs/plug-in.md", "exec"), namespace)  # noqa: S102  (our own document)
    model = namespace["load"](None)
    assert isinstance(model, Generator)

    def brightness(weight: float) -> float:
        user = UserContext(id="u", reward_weights={"aesthetic": weight})
        request = GenerationRequest(
            id="a", caption="a red circle", user=user, seed=2**62, width=32, height=16
        )
        (image,) = model.generate([request])
        assert (image.size, image.mode) == ((32, 16), "RGB")
        return ImageStat.Stat(image.convert("L")).mean[0]

    assert brightness(1.0) > brightness(0.0) + 50


def test_example_encoder_of_the_guide_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide's own code, made by the name that the guide writes."""
    from PIL import Image

    from ppdbench.protocols import LoadContext, Shot, UserContext
    from ppdbench.suites.shapes.suite import ShapesSuite
    from ppdbench.users.encode import embed
    from ppdbench.users.load import make_encoder

    guide = (ROOT / "docs/plug-in.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", guide, flags=re.DOTALL | re.MULTILINE)
    (code,) = (block for block in blocks if "def encode" in block)
    namespace: dict[str, Any] = {}
    exec(compile(code, "docs/plug-in.md", "exec"), namespace)  # noqa: S102  (our own document)
    monkeypatch.setattr("ppdbench.plugins.load", lambda *_: namespace["load"])
    context = LoadContext(suite=ShapesSuite(), device="cpu")
    light, dark = (Image.new("RGB", (8, 8), (v, v, v)) for v in (255, 0))
    user = UserContext(id="1", shots=(Shot(caption="a", preferred=light, dispreferred=dark),))
    assert make_encoder("thumbs", context).info.dim == 12
    encoder = make_encoder("thumbs:side=4", context)
    code_of_user, none = embed(encoder, [user, UserContext(id="2")], cache=False)
    assert none is None and code_of_user is not None
    assert code_of_user.embedding.tolist() == [1.0] * 48
    assert (encoder.info.name, encoder.info.revision) == ("thumbs:side=4", "1, 4")


def readme_example(part: str) -> dict[str, Any]:
    """What the README's own code with `part` in it leaves behind, run as it is written."""
    blocks = re.findall(r"^```python\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)
    (code,) = (block for block in blocks if part in block)
    namespace: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), namespace)  # noqa: S102  (our own document)
    return namespace


def test_example_pipeline_of_the_readme_draws_for_somebody() -> None:
    made = readme_example("PersonalizedStableCascade")
    (liked,), (nobody,) = made["liked"], made["nobody"]
    assert liked.size == nobody.size == (64, 64)
    assert liked.tobytes() != nobody.tobytes()


def test_example_model_of_the_readme_meets_the_protocol() -> None:
    from PIL import Image

    from ppdbench.protocols import GenerationRequest, Generator

    namespace = readme_example("class Model")

    class Output:
        def __init__(self, image: Image.Image) -> None:
            self.images = [image]

    def pipeline(caption: str, *, generator: Any, width: int, height: int) -> Output:
        assert generator.initial_seed() == 2**62
        return Output(Image.new("RGB", (width, height), caption.split()[1]))

    model = namespace["Model"](pipeline)
    assert isinstance(model, Generator)
    request = GenerationRequest(
        id="a", caption="a red circle", user=None, seed=2**62, width=32, height=16
    )
    (image,) = model.generate([request])
    assert image.getpixel((0, 0)) == (255, 0, 0)
