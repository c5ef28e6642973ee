"""How long does the command line take before it does anything? Fresh processes, no models.

    python perf/import_time.py [--repeats 15]

Processor time of `import ppdbench`, `ppdbench --help`, `--version` and `list models`, each in a
process of its own, in turn with Python alone and with the libraries that the command line stands
on: rich, typer, and pydantic, by which typer reads arguments. Exits 1 if `--help` or `list models`
takes more than 2.5 times these three; writes results/import_time.json. Modules are read from the
bytecode cache, as after a first start.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from result_file import RESULTS, header, write_result

MOST_RATIO = 2.5
OUT = RESULTS / "import_time.json"
FLOOR = "typer, rich, pydantic"
BARRED = ("ppdbench --help", "ppdbench list models")
PROGRAMS = {
    "python": ("-c", "pass"),
    FLOOR: ("-c", "import typer, rich.console; from pydantic import TypeAdapter"),
    "import ppdbench": ("-c", "import ppdbench"),
    "ppdbench --version": ("-m", "ppdbench", "--version"),
    "ppdbench --help": ("-m", "ppdbench", "--help"),
    "ppdbench list models": ("-m", "ppdbench", "list", "models"),
}
"""What is started -> what Python is given."""


def processor_seconds(arguments: Sequence[str]) -> float:
    """Processor time of one fresh Python with these arguments, its output thrown away.

    Raises:
        SystemExit: it failed.
    """
    words = [sys.executable, *arguments]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"python {' '.join(arguments)} failed with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def measured(repeats: int) -> dict[str, list[float]]:
    """Processor seconds of each program, so often; in turn, so that a busy machine slows all."""
    for arguments in PROGRAMS.values():
        processor_seconds(arguments)  # fills the bytecode and page caches
    found: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(repeats):
        for name, arguments in PROGRAMS.items():
            found[name].append(processor_seconds(arguments))
    return found


def main() -> int:
    """Parse, measure, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    seconds = {name: statistics.median(each) for name, each in measured(asked.repeats).items()}
    ratios = {name: round(each / seconds[FLOOR], 2) for name, each in seconds.items()}
    passed = all(ratios[name] <= MOST_RATIO for name in BARRED)
    record = {
        **header(also=("typer", "rich", "pydantic")),
        "repeats": asked.repeats,
        "cpu_seconds": {name: round(each, 3) for name, each in seconds.items()},
        "ratio_to_libraries": ratios,
        "bars": {"ratio": MOST_RATIO, "of": list(BARRED)},
        "passed": passed,
    }
    write_result(record, asked.out)
    for name, each in seconds.items():
        print(f"{name:22} {each:.3f} s of one core, {ratios[name]:.2f} x these libraries")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
