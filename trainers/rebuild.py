"""Maintainers' one command for the shipped adapters: `python -m trainers.rebuild [--suite NAME]`.

Each is what the default command makes; a killed rebuild goes on where it was. PPD is trained with
three seeds, and the first is shipped; what the others scored is for the record.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType

from ppdbench.protocols import Suite
from trainers import diffusion_dpo, ppd, sft
from trainers.assets import SHIPPED
from trainers.progress import Events
from trainers.relabel import trainable

SHIPPED_FILES = ("adapter.safetensors", "manifest.json", "config.yaml", "README.md")
PPD_SEEDS = (0, 1, 2)


def rebuild(suite: Suite, work: Path, *, device: str, events: Events, ship: bool = True) -> None:
    """Train every adapter of the suite under `work/<suite>/` and copy it among the assets."""
    plan: list[tuple[str, ModuleType, list[str]]] = [("ppd", ppd, [])]
    plan += [(f"ppd-seed-{seed}", ppd, [f"seed={seed}"]) for seed in PPD_SEEDS[1:]]
    plan += [("sft", sft, []), ("diffusion-dpo", diffusion_dpo, [])]
    plan += [
        (f"diffusion-dpo-{spec.name}", diffusion_dpo, [f"reward={spec.name}"])
        for spec in trainable(suite)
    ]
    for name, recipe, overrides in plan:
        events.note(f"{name}: {' '.join(overrides) or 'default settings'}")
        folder = recipe.train(
            suite,
            output=work / suite.name / name,
            config=None,
            overrides=overrides,
            device=device,
            events=events,
        )
        if ship and "-seed-" not in name:
            target = SHIPPED / suite.name / name
            target.mkdir(parents=True, exist_ok=True)
            for file in SHIPPED_FILES:
                shutil.copyfile(folder / file, target / file)


class _Printed:
    """Progress for a log: notes only."""

    def stage(self, name: str, total: int) -> None:
        self.note(f"{name}: {total} to do")

    def advance(self, n: int = 1) -> None:
        """The notes of the loop say enough."""

    def note(self, text: str) -> None:
        print(text, flush=True)  # noqa: T201


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and rebuild."""
    parser = argparse.ArgumentParser(prog="python -m trainers.rebuild", description=__doc__)
    parser.add_argument("--suite", default="shapes")
    parser.add_argument("--work", type=Path, default=Path("trained"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--no-ship", action="store_true", help="train only, copy nothing")
    options = parser.parse_args(arguments)
    suites = metadata.entry_points(group="ppdbench.suites")
    suite = suites[options.suite].load()()
    rebuild(suite, options.work, device=options.device, events=_Printed(), ship=not options.no_ship)


if __name__ == "__main__":
    main()
