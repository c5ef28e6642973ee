from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ppdbench.errors import FingerprintMismatch, PpdbenchError
from ppdbench.runs import status as status_module
from ppdbench.runs.directory import RunDirectory, read_spec
from ppdbench.runs.fingerprint import fingerprint

SPEC = {"suite": "toy", "sampling": {"steps": 12}, "names": ("a", "b")}


def test_a_run_is_named_by_model_and_fingerprint(tmp_path: Path) -> None:
    with RunDirectory.open(tmp_path, "toy", "my.module:attr", SPEC) as run:
        assert run.path == tmp_path / "toy" / f"my.module_attr-{fingerprint(SPEC)}"
        assert read_spec(run.path) == {**SPEC, "names": ["a", "b"]}
        assert {path.name for path in run.path.iterdir()} == {
            ".lock",
            "env.json",
            "spec.json",
            "status.json",
        }
    with RunDirectory.open(tmp_path, "toy", "my.module:attr", SPEC) as again:
        assert again.path == run.path


def test_a_run_of_a_long_name_is_found_where_it_is(tmp_path: Path) -> None:
    """Names carry paths of models: cut shorter, what was paid for would be drawn again."""
    name = "diffusers_" + "a-snapshot-of-a-model" * 10  # 220 characters
    with RunDirectory.open(tmp_path, "toy", name, SPEC) as run:
        assert run.path.name == f"{name}-{fingerprint(SPEC)}"
    with RunDirectory.open(tmp_path, "toy", name * 2, SPEC) as run:
        assert len(run.path.name) == 255


def test_names_cannot_leave_the_runs_folder(tmp_path: Path) -> None:
    with RunDirectory.open(tmp_path / "runs", "..", "../../x", SPEC) as run:
        assert (tmp_path / "runs") in run.path.resolve().parents


def test_other_settings_are_refused_by_field(tmp_path: Path) -> None:
    RunDirectory.at(tmp_path, SPEC).close()
    with pytest.raises(FingerprintMismatch, match=r"sampling\.steps, suite differ"):
        RunDirectory.at(tmp_path, {**SPEC, "suite": "other", "sampling": {"steps": 13}})
    RunDirectory.at(tmp_path, SPEC).close()  # and the refusal left no lock


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema_version": 9}'])
def test_a_damaged_spec_is_named(tmp_path: Path, content: bytes) -> None:
    RunDirectory.at(tmp_path, SPEC).close()
    (tmp_path / "spec.json").write_bytes(content)
    with pytest.raises(PpdbenchError, match=r"spec\.json") as caught:
        RunDirectory.at(tmp_path, SPEC)
    assert "delete spec.json" in caught.value.fix
    (tmp_path / "spec.json").unlink()
    RunDirectory.at(tmp_path, SPEC).close()


def test_no_run_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(PpdbenchError, match="is not a run"):
        read_spec(tmp_path)


def test_one_process_a_run_even_after_a_kill(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from ppdbench.runs.lock import RunLock;"
        "lock = RunLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    root = Path(status_module.__file__).parents[2]
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, cwd=root
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(PpdbenchError, match="another process works on this run") as caught:
        RunDirectory.at(tmp_path, SPEC)
    assert caught.value.exit_code == 1
    holder.kill()
    holder.communicate()
    RunDirectory.at(tmp_path, SPEC).close()


def test_seconds_add_up_over_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with RunDirectory.at(tmp_path, SPEC) as run, run.status.timed("generate"):
        now += 3
        run.status.tick()  # too early to save
        now += 4
        run.status.tick()  # saved: a kill from here on loses what follows
        now += 2
    assert json.loads((tmp_path / "status.json").read_bytes())["seconds"] == {"generate": 7.0}
    with RunDirectory.at(tmp_path, SPEC) as run:
        with run.status.timed("generate"):
            now += 5
        now += 50  # outside of any stage
        with run.status.timed("measure"):
            now += 1
        run.status.finish("done")
    found = json.loads((tmp_path / "status.json").read_bytes())
    assert found["seconds"] == {"generate": 12.0, "measure": 1.0}
    assert (found["state"], found["stage"], found["schema_version"]) == ("done", "measure", 1)


def test_a_damaged_status_costs_its_times_only(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text('{"seconds": []}')
    with RunDirectory.at(tmp_path, SPEC) as run:
        assert run.status.seconds == {}
