"""The run directory: one folder for one set of settings that change results.

`runs/<suite>/<model>-<fingerprint>/` holds spec.json, env.json, status.json, images/, the records
and summary.json. Everything a stage needs lies there, so the same command again goes on where the
last one stopped. Elsewhere: each kind of file (`records`, `images`, `status`), who may work here
(`lock`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ppdbench.errors import FingerprintMismatch, PpdbenchError, from_os_error
from ppdbench.runs.atomic import remove_leftovers, write_json
from ppdbench.runs.environment import environment
from ppdbench.runs.file_names import file_name
from ppdbench.runs.fingerprint import differences, fingerprint
from ppdbench.runs.images import ImageStore
from ppdbench.runs.lock import RunLock
from ppdbench.runs.status import Status

SCHEMA_VERSION = 1
GENERATIONS, IMAGES = "generations.jsonl", "images"


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """An open, locked run directory; a context manager that unlocks it."""

    path: Path
    status: Status
    _lock: RunLock

    @classmethod
    def open(cls, root: Path, suite: str, model: str, spec: Mapping[str, Any]) -> RunDirectory:
        """Open the run of these settings under `root`, or make it.

        Args:
            root: the folder of all runs, `--runs`.
            suite: the suite's name.
            model: the measured generator's name.
            spec: all that changes results, as JSON; nothing that does not.

        Raises:
            FingerprintMismatch: the folder's spec.json says otherwise; names the fields.
            PpdbenchError: another process works there, or the folder cannot be written.
        """
        return cls.at(place(root, suite, model, spec), spec)

    @classmethod
    def at(cls, path: Path, spec: Mapping[str, Any]) -> RunDirectory:
        """Open a folder that must have been made with these settings; raises as `open`."""
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise from_os_error(error, path) from error
        lock = RunLock(path)
        try:
            _settle(path / "spec.json", spec)
            remove_leftovers(path)
            run = cls(path, Status(path / "status.json"), lock)
            if not run.environment.is_file():
                run.record_environment()
            run.status.save()
            return run
        except BaseException:
            lock.release()
            raise

    @property
    def images(self) -> ImageStore:
        """The run's images."""
        return ImageStore(self.path / IMAGES)

    @property
    def generations(self) -> Path:
        """Records of what was drawn."""
        return self.path / GENERATIONS

    @property
    def scores(self) -> Path:
        """Records of what was measured."""
        return self.path / "scores.jsonl"

    @property
    def summary(self) -> Path:
        """The run's figures."""
        return self.path / "summary.json"

    @property
    def page(self) -> Path:
        """The page that shows them."""
        return self.path / "report.html"

    @property
    def environment(self) -> Path:
        """Versions and cores of the process that last computed something."""
        return self.path / "env.json"

    def record_environment(self) -> None:
        """Write env.json as of now."""
        write_json(self.environment, environment())

    def close(self) -> None:
        """Unlock the folder."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def place(root: Path, suite: str, model: str, spec: Mapping[str, Any]) -> Path:
    """Where the run of these settings is, or would be; as for `RunDirectory.open`."""
    ending = f"-{fingerprint(spec)}"
    # As long as a folder's name may be: cut shorter, runs that are there would not be found again.
    return root / file_name(suite) / (file_name(model, 255 - len(ending)) + ending)


def read_spec(folder: Path) -> dict[str, Any]:
    """The settings a run directory was made with, without the file's own version.

    Raises:
        PpdbenchError: there is no spec.json, or it cannot be parsed.
    """
    path = folder / "spec.json"
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise PpdbenchError(
            f"{path.parent} is not a run: it has no spec.json",
            fix="name the folder that its command printed at its end",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise PpdbenchError(
            f"{path} cannot be read: {error}",
            fix="delete spec.json and run the same command again; results are kept",
        ) from error
    if not isinstance(found, dict) or found.pop("schema_version", None) != SCHEMA_VERSION:
        raise PpdbenchError(
            f"{path} is no run's spec.json of schema_version {SCHEMA_VERSION}",
            fix="delete spec.json and run the same command again; results are kept",
        )
    return found


def _settle(path: Path, spec: Mapping[str, Any]) -> None:
    """Write spec.json, or hold the one that is there against these settings."""
    ours = json.loads(json.dumps(spec))  # tuples become lists, as they come back from the file
    if not path.is_file():
        write_json(path, {"schema_version": SCHEMA_VERSION, **ours})
        return
    fields = differences(ours, read_spec(path.parent))
    if fields:
        raise FingerprintMismatch(
            f"{path.parent} holds results of other settings: {', '.join(fields)} differ",
            fix="restore its spec.json, or choose another folder with --runs DIR",
        )
