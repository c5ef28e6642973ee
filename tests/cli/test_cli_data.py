"""`ppdbench data` as people run it: splits made once, kept, looked at, refused."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ppdbench.cli import app

MADE = runpy.run_path(str(Path(__file__).parents[1] / "data" / "made_pairs.py"))
crowd, row, write = MADE["crowd"], MADE["row"], MADE["write"]
HEAVY = {"numpy", "pandas", "pyarrow", "scipy", "torch", "transformers"}
FEW = ["--seen", "4", "--unseen", "3", "--calibration", "1"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPDBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str | Path, code: int = 0) -> tuple[str, str]:
    done = CliRunner().invoke(app, ["data", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done.stdout, done.stderr


@pytest.mark.parametrize("command", [[], ["splits"], ["info"], ["prepare"]], ids=" ".join)
def test_help_imports_nothing_heavy(command: list[str]) -> None:
    code = (
        "import json, sys\n"
        "from ppdbench.cli import main\n"
        f"sys.argv = ['ppdbench', 'data', *{command!r}, '--help']\n"
        "try:\n    main()\n"
        "except SystemExit as done:\n    assert not done.code, done.code\n"
        "print('\\n' + json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout.splitlines()[-1])) & HEAVY == set()


def test_splits_are_made_shown_and_kept(place: Path) -> None:
    source = write(
        place / "pairs" / "p.parquet", [*crowd(30), row(5000, 1, "tie", has_label=False)]
    )
    shown, said = run("splits", source, "--out", "s", *FEW)
    assert "no label" in shown and "splits: s" in shown.splitlines()
    assert "read pairs" in said and "of 96 users: no more have enough" in said
    before = (place / "s" / "splits.parquet").stat().st_mtime_ns
    text, said = run("splits", source, "--out", "s", *FEW, "--json", "--quiet")
    assert said == "" and (place / "s" / "splits.parquet").stat().st_mtime_ns == before
    facts = json.loads(text)
    assert facts["funnel"][1]["left_out"] == {"no label": 1}
    assert facts["sizes"]["unseen"]["users"] == 3
    run("splits", source, "--out", "again", *FEW)
    for name in ("splits.json", "splits.parquet"):
        assert (place / "again" / name).read_bytes() == (place / "s" / name).read_bytes()
    _, said = run("splits", source, "--out", "s", "--seen", "5", code=4)
    assert "s holds splits of other pairs or other settings" in said


def test_info_of_pairs_and_of_splits(place: Path) -> None:
    source = write(place / "p.parquet", crowd(30))
    shown, _ = run("info", source)
    assert "known by uid" in shown
    facts = json.loads(run("info", source, "--json", "-q")[0])
    assert facts["rows"] == facts["usable"]["pairs"] == len(crowd(30))
    assert facts["usable"]["pairs_per_user"]["1"] == 34
    assert facts["usable"]["captions_per_user"]["0"] == 8
    run("splits", source, "--out", "s", *FEW)
    found = json.loads(run("info", "s", "--json", "-q")[0])
    assert found["digest"] == json.loads((place / "s" / "splits.json").read_bytes())["digest"]
    write(source, crowd(29))
    assert "is not the p.parquet that the splits were made of" in run("info", "s", code=3)[1]
    source.unlink()
    assert "the source is not where it was" in run("info", "s")[1]
    (place / "s" / "splits.parquet").write_bytes(b"")
    assert "splits.parquet is damaged" in run("info", "s", code=1)[1]


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["splits", "p.parquet"], "--out", 2),
        (
            ["splits", "p.parquet", "--out", "s", "--max-pairs-per-user", "4"],
            "--max-pairs-per-user",
            2,
        ),
        (["splits", "p.parquet", "--out", "s", "--check-images", "--trust-images"], "exclude", 2),
        (["splits", "nowhere", "--out", "s"], "no pair data at nowhere", 3),
        (["splits", "yuvalkirstain/pickapic_v2", "--out", "s"], "since 2025", 3),
        (["splits", "few.parquet", "--out", "s"], "no user has 5 usable pairs", 3),
        (["splits", "cut.parquet", "--out", "s"], "cut.parquet is not a readable Parquet", 1),
        (["splits", "p.parquet", "--out", "p.parquet"], "need a folder of their own", 2),
        (["splits", "p.parquet", "--out", "."], "need a folder of their own", 2),
        (["splits", "set", "--out", "set"], "need a folder of their own", 2),
        (["splits", "set", "--out", "set/data"], "need a folder of their own", 2),
        (["splits", "p.parquet", "--out", "few.parquet"], "few.parquet", 1),
        (["info", "nowhere"], "no pair data at nowhere", 3),
        (["split"], "splits", 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_refusals(arguments: list[str], said: str, code: int, place: Path) -> None:
    write(place / "p.parquet", [row(n, 1, f"c{n}") for n in range(6)])
    write(place / "few.parquet", [row(n, 1, f"c{n}") for n in range(3)])
    write(place / "set" / "data" / "p.parquet", [row(n, 1, f"c{n}") for n in range(6)])
    (place / "cut.parquet").write_bytes((place / "p.parquet").read_bytes()[:-50])
    out, error = run(*arguments, code=code)
    assert said in error and out == ""
    assert not [*place.glob("**/splits.*")]


def test_splits_are_not_split_again(place: Path) -> None:
    source = write(place / "p.parquet", crowd(30))
    run("splits", source, "--out", "s", *FEW)
    said = run("splits", "s", "--out", "t", *FEW, code=2)[1]
    assert "s holds splits, not pairs" in said and f"name the pairs: {source}" in said


def test_splits_follow_their_pairs_to_another_place(place: Path) -> None:
    source = write(place / "old" / "p.parquet", crowd(30)).parent
    run("splits", source, "--out", "s", *FEW)
    before = (place / "s" / "splits.parquet").stat().st_mtime_ns
    digest = json.loads((place / "s" / "splits.json").read_bytes())["digest"]
    source.rename(place / "new")
    assert "the source is not where it was" in run("info", "s")[1]
    _, said = run("splits", "new", "--out", "s", *FEW)
    assert "their pairs now lie at new" in said
    assert "not where it was" not in run("info", "s")[1]
    assert json.loads((place / "s" / "splits.json").read_bytes())["digest"] == digest
    assert (place / "s" / "splits.parquet").stat().st_mtime_ns == before


def test_half_written_splits_are_made_again_and_damaged_ones_named(place: Path) -> None:
    source = write(place / "p.parquet", crowd(30))
    run("splits", source, "--out", "s", *FEW)
    about, rows = place / "s" / "splits.json", place / "s" / "splits.parquet"
    whole = about.read_bytes(), rows.read_bytes()
    about.unlink()  # killed between the two
    rows.write_bytes(b"of other splits")
    run("splits", source, "--out", "s", *FEW)
    assert (about.read_bytes(), rows.read_bytes()) == whole
    rows.write_bytes(b"PAR1")
    assert (
        "delete that folder and make them anew"
        in run("splits", source, "--out", "s", *FEW, code=1)[1]
    )


def test_damaged_pictures_are_met_where_they_are_looked_for(place: Path) -> None:
    rows: list[dict[str, Any]] = [row(n, 1, f"c{n}") for n in range(7)]
    for each in rows:  # none of them decodes
        each["jpg_1"] = each["jpg_1"][:50] + b"what" + each["jpg_1"][54:]
    rows[0]["jpg_0"] = b"nothing"
    source = write(place / "p.parquet", rows)
    left_out = {
        flag: json.loads(run("splits", source, "--out", f"s{flag}", *flag.split(), "--json")[0])[
            "funnel"
        ][1]["left_out"]
        for flag in ("", "--trust-images")
    }
    assert left_out == {"": {"image is neither PNG nor JPEG": 1}, "--trust-images": {}}
    said = run("splits", source, "--out", "t", "--check-images", code=3)[1]
    assert "6 image cannot be decoded" in said
