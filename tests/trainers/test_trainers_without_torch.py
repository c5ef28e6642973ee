"""Who a reference entry is comes from headers and manifests: a finished run needs no torch."""

from __future__ import annotations

import subprocess
import sys

PLANNED = """
import sys
from ppdbench import plugins
from ppdbench.generators.make import make_generators
suite = plugins.make_suite("shapes")
found = make_generators(sys.argv[1:], suite, "cpu")
print(*(f"{name} {generator.info.revision}" for name, generator in found.items()))
assert "torch" not in sys.modules, "torch was imported"
"""


def test_who_draws_is_told_without_torch() -> None:
    names = ("ppd", "sft", "diffusion-dpo")
    words = [sys.executable, "-c", PLANNED, *names]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert all(f"{name} " in done.stdout for name in (*names, "stable-cascade"))
