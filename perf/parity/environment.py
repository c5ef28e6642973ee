"""Build the environment in which the originals run: a venv of their own, beside ours.

`hpsv2` pins pytest 7.2 and protobuf < 4 at run time, ships without its tokenizer's vocabulary and
imports `turtle`, so it is installed without its pins, given the vocabulary of the open_clip_torch
wheel (the same file), and, on a Python without tkinter, an empty module `turtle` before the
standard library's on the path. No file of a package is edited.

An environment is complete when its marker names what is wanted here and the originals import;
then it is used as it is. Elsewhere: what runs in it (`original_*.py`), who calls this (`run`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = (
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "open_clip_torch",
    "transformers",
    "safetensors",
    # What hpsv2.img_score imports; the rest of its list is for training and for its benchmark.
    "huggingface_hub",
    "requests",
    "tqdm",
    "regex",
    "ftfy",
    "clint",
)
WITHOUT_PINS = ("hpsv2",)
VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
PROBE = "import hpsv2.img_score, open_clip, transformers, torchvision, safetensors"


@dataclass(frozen=True, slots=True)
class Oracle:
    """An environment that can run the originals, and no network."""

    python: Path
    stubs: Path
    """Modules that the originals import and this Python lacks; often empty."""

    def variables(self) -> dict[str, str]:
        """Environment variables of a process in it: stubs first, every hub shut."""
        path = os.pathsep.join(
            part for part in (str(self.stubs), os.environ.get("PYTHONPATH")) if part
        )
        return {
            **os.environ,
            "PYTHONPATH": path,
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "",  # hpsv2 takes a GPU where it finds one, and fp16 with it
        }


def build(work: Path) -> Oracle:
    """Make the environment under `work/oracle`, or return the complete one that is there.

    Raises:
        subprocess.CalledProcessError: pip failed, or an original does not import; what it said
            stands on the terminal.
    """
    folder, marker = work / "oracle", work / "oracle" / "complete.json"
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    oracle = Oracle(scripts / "python", work / "stubs")
    wanted = {
        "requirements": REQUIREMENTS,
        "without_pins": WITHOUT_PINS,
        "python": sys.version.split()[0],
    }
    if marker.is_file() and json.loads(marker.read_bytes()) == json.loads(json.dumps(wanted)):
        return oracle
    print(f"building {folder.name}/: several GB where it has to be downloaded", file=sys.stderr)
    oracle.stubs.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [str(oracle.python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *REQUIREMENTS], check=True)
    subprocess.run([*pip, "--no-deps", *WITHOUT_PINS], check=True)
    _add_vocabulary(oracle)
    _stub_turtle(oracle)
    subprocess.run([oracle.python, "-c", PROBE], check=True, env=oracle.variables())
    marker.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
    return oracle


def versions(oracle: Oracle) -> dict[str, str]:
    """Version of Python and of every package that the originals need."""
    code = (
        "import json, sys; from importlib.metadata import version; "
        "print(json.dumps({'python': sys.version.split()[0], "
        "**{name: version(name) for name in sys.argv[1:]}}))"
    )
    command = [str(oracle.python), "-c", code, *REQUIREMENTS, *WITHOUT_PINS]
    found: dict[str, str] = json.loads(
        subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    )
    return found


def _add_vocabulary(oracle: Oracle) -> None:
    packages = Path(_say(oracle, "import sysconfig; print(sysconfig.get_paths()['purelib'])"))
    target = packages / "hpsv2" / "src" / "open_clip" / VOCABULARY
    if not target.is_file():
        shutil.copyfile(packages / "open_clip" / VOCABULARY, target)


def _stub_turtle(oracle: Oracle) -> None:
    if subprocess.run(
        [oracle.python, "-c", "import turtle"], stderr=subprocess.DEVNULL, check=False
    ).returncode:
        stub = (
            '"""Stands in for the standard library\'s, which wants tkinter."""\n\nforward = None\n'
        )
        (oracle.stubs / "turtle.py").write_text(stub, encoding="utf-8")


def _say(oracle: Oracle, code: str) -> str:
    command = [str(oracle.python), "-c", code]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return said.stdout.strip()
