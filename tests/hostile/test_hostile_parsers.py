"""Every parser of files that come from outside, and what holds for all of them: pickles never load.

======================================  ==========================================  ==============
bytes                                   parser                                      module
======================================  ==========================================  ==============
images of pairs                         data.images.decode_image, can_decode        images
images that are scored, or are shots    data.images.read_image                      images
pictures drawn elsewhere                generators.pictures.read_picture            images
images/<sha256>.png of a run            runs.images.ImageStore                      images
gallery.jpg of an entry                 leaderboard.read.require_small_jpeg         images
pair tables                             data.pickapic, data.pair_table              parquet
<name>.rows.parquet                     data.selection.read_selection               parquet
splits.json, splits.parquet             data.split_files.read_splits                parquet
captions.arrow of encoded pairs         trainers.encoded.captions_file              parquet
*.jsonl of a run                        runs.records, runs.record_fields            jsonl
generations, scores and scorers         runs.results.read_results                   jsonl
judgments, begun                        judges.on_record, judges.begun              jsonl
replay:FILE                             judges.replay                               jsonl
kept verdicts                           judges.store, judges.verdict_records        jsonl
replies of batches                      judges.batch_files.read_replies             jsonl
users, divergence, diversity            benchmarks.users, benchmarks.tradeoff       jsonl
tradeoff.jsonl on record                entries.curves.recorded_curves              jsonl
any YAML                                data.plain_yaml.parse_yaml                  yaml
info.yaml, words, papers                images_info, leaderboard.words, reported    yaml
configurations and overrides            trainers.config_file                        yaml
model cards                             trainers.adapters.card_results              yaml
manifest.jsonl of pictures              generators.images_manifest, images          manifests
shots.jsonl, shots.json                 users.shots_folder.read_shots               manifests
captioned sets (.jsonl, .csv, .tsv)     data.captioned.read_captioned               manifests
PartiPrompts.tsv                        data.parti_prompts                          manifests
spec, status, captions, profiles,       runs.directory, runs.status, runs.*,        manifests
probes, scorers, summary, config.json   reports.summary, compare.runs, rewards
entry.yaml, summary.json, scores.jsonl  entries.entry, entries.lines                entries
checkpoints                             safetensors, torch.load(weights_only)       checkpoints
replies of judges and servers           judges.reply, generators.http, ...          replies, http
======================================  ==========================================  ==============

The modules are `test_hostile_<module>.py`. What ppdbench itself writes into its cache and into
trainings (key files, metrics, reference errors) is read by the same readers of JSON, records and
arrays, and is not in the table a second time.
"""

from __future__ import annotations

import ast
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cases import hold, takes

import leaderboards
import ppdbench
import trainers
from ppdbench.data.captioned import read_captioned
from ppdbench.data.images import decode_image, read_image
from ppdbench.data.pair_table import read_table
from ppdbench.data.parti_prompts import read_parti_prompts
from ppdbench.data.pickapic import read_pairs
from ppdbench.data.selection import read_selection
from ppdbench.data.split_files import read_splits
from ppdbench.entries.entry import read_entry
from ppdbench.generators.images import Images
from ppdbench.judges.batch_files import read_replies
from ppdbench.judges.replay import ReplayJudge
from ppdbench.reports.summary import read_summary
from ppdbench.runs.directory import read_spec
from ppdbench.runs.records import read_records
from ppdbench.runs.results import read_results
from ppdbench.users.shots_folder import read_shots
from trainers.config_file import load_config
from trainers.encoded.captions_file import Captions

SHIPPED = Path(leaderboards.__file__).parent / "shapes" / "null"
READERS: dict[str, Callable[[Path], object]] = {
    "p.parquet": lambda path: (list(read_pairs(path)), read_table(path)),
    "some.rows.parquet": read_selection,
    "splits.parquet": lambda path: read_splits(path.parent),
    "splits.json": lambda path: read_splits(path.parent),
    "captions.arrow": lambda path: Captions(path)[:],
    "a.png": lambda path: decode_image(path.read_bytes()),
    "a.tiff": lambda path: read_image(path.read_bytes()),
    "metadata.csv": read_captioned,
    "metadata.tsv": read_captioned,
    "metadata.jsonl": read_captioned,
    "PartiPrompts.tsv": read_parti_prompts,
    "manifest.jsonl": lambda path: Images(path.parent),
    "info.yaml": lambda path: Images(path.parent),
    "shots.json": lambda path: read_shots(path.parent),
    "scores.jsonl": lambda path: (read_records(path), read_results(path.parent))[1] and None,
    "judgments.jsonl": lambda path: ReplayJudge(path),
    "replies.jsonl": lambda path: read_replies(path, model="m", format_asked=True),
    "spec.json": lambda path: read_spec(path.parent),
    "summary.json": read_summary,
    "entry.yaml": lambda path: read_entry(path.parent),
    "config.yaml": load_config,
}


class Runs:
    """A pickle of it makes a file where it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.makedirs, (str(self.mark), 0o777, True)


@pytest.mark.parametrize("name", READERS)
def test_pickles_never_load(tmp_path: Path, name: str) -> None:
    """Whatever a pickle is called: its class is not looked up (heard by `pickle.find_class`)."""
    path, mark = tmp_path / name, tmp_path / "ran"
    made = [pickle.dumps(Runs(mark), protocol=protocol) for protocol in range(6)]
    lined = [data + b"\n{}\n" for data in made]

    def body(data: bytes) -> bool:
        path.write_bytes(data)
        taken = takes(lambda: READERS[name](path))
        assert not mark.exists()
        return taken

    hold(
        body,
        lambda draw: draw.choice(made),
        number=len(made),
        folder=tmp_path,
        examples=[*made, *lined],
        one_sided=True,
    )


def test_a_pickle_that_loads_would_be_heard(tmp_path: Path) -> None:
    """The test above can fail."""
    data = pickle.dumps(Runs(tmp_path / "ran"))
    with pytest.raises(pytest.fail.Exception, match=r"pickle\.find_class"):
        hold(
            lambda _: bool(pickle.loads(data)) or True,  # noqa: S301
            lambda draw: draw.random(),
            number=1,
            folder=tmp_path,
            one_sided=True,
        )


def test_no_code_loads_pickles() -> None:
    """Nothing calls what would, and arrays and checkpoints are loaded without."""
    wrong = []
    for room in (ppdbench, trainers):
        for path in sorted(Path(str(room.__file__)).parent.rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if not any(word in text for word in ("pickle", "load(", "joblib", "marshal")):
                continue  # parsing all takes seconds
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Call) and (why := _loads_pickles(node)):
                    wrong.append(f"{path.name}:{node.lineno}: {why}")
    assert wrong == []


def _loads_pickles(call: ast.Call) -> str | None:
    name = ast.unparse(call.func)
    given = {each.arg: ast.unparse(each.value) for each in call.keywords}
    if name in ("torch.load",) and given.get("weights_only") != "True":
        return f"{name} without weights_only=True"
    if name in ("np.load", "numpy.load") and given.get("allow_pickle", "False") != "False":
        return f"{name} with pickles"
    head, _, last = name.rpartition(".")
    if head in ("pickle", "cloudpickle", "dill", "joblib", "marshal") and "load" in last:
        return name
    if last in ("read_pickle", "unsafe_load", "full_load") or name == "yaml.load":
        return name
    return None


# --- through the command line ---------------------------------------------------------------------

DEEP = b"[" * 100_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("files", "command", "code"),
    [
        ({"p.parquet": b"PAR1" + DEEP + b"PAR1"}, ["data", "info", "p.parquet"], 1),
        ({"run/summary.json": DEEP}, ["report", "run"], 1),
        ({"run/summary.json": b'{"schema_version": 1e999}'}, ["report", "run"], 1),
        (
            {"c.yaml": b"a: &a [*a]\n" + DEEP},
            ["train-reference", "--suite", "shapes", "--method", "ppd", "--config", "c.yaml"],
            2,
        ),
        (
            {f"{run}/{name}.json": DEEP for run in "ab" for name in ("spec", "summary")},
            ["compare", "a", "b"],
            1,
        ),
        (
            {"d/manifest.jsonl": b'{"caption": "\\ud800", "file": "../../x"}'},
            ["check", "images:d"],
            2,
        ),
    ],
    ids=["parquet", "deep", "infinite", "yaml", "compare", "manifest"],
)
def test_the_worst_files_through_the_command_line(
    tmp_path: Path, files: dict[str, bytes], command: list[str], code: int
) -> None:
    """One line of cause, one of fix, the exit code, and nothing else touched."""
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    done = subprocess.run(
        [shutil.which("ppdbench") or "ppdbench", *command],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        timeout=600,
        check=False,
    )
    said = done.stderr.decode()
    assert done.returncode == code, said
    assert "Traceback" not in said and "fix:" in said and len(said) < 5000
    assert "defect" not in said, said
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before
