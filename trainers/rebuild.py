"""Maintainers' one command for the shipped adapters of `shapes`: `python -m trainers.rebuild`.

Each is what the default command makes; a killed rebuild goes on where it was. Shipped are PPD, for
reward weights, for people and with learnt users, SFT and Diffusion-DPO; of the others, which have
further seeds or other betas or are what PPD is held against, what they score goes on record.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ppdbench.protocols import Events, Suite, SuiteFiles, Trainer
from ppdbench.runs.atomic import write_atomic
from ppdbench.suites.shapes import suite as shapes_suite
from trainers import diffusion_dpo, diffusion_kto, ip_adapter, ppd, ppd_learnt, sft
from trainers.adapters.found import PEOPLE
from trainers.assets import model_folder
from trainers.encoded.relabel import trainable

MANIFEST = "manifest.json"
FOR_PEOPLE = "ppd-llava-onevision"
"""Shipped inside `ppd`, which hears people by it."""
SHIPPED_FILES = ("adapter.safetensors", "config.yaml", "README.md", MANIFEST)
OTHER_SEEDS = (1, 2)
"""Of the rows whose figures are told with the spread over trainings: PPD and Diffusion-DPO."""
BETAS = {"ppd": (5, 45), "diffusion-dpo": (1,)}
"""Beside the recipes' own: for reward against divergence (`docs/tradeoff.md`)."""
ONE_REWARD_BETAS = {"clip": (5,), "aesthetic": (7, 4), "hps": (25,)}
"""Likewise of Diffusion-DPO for one reward: at these it diverges about as far as PPD does."""
ON_RECORD = ("seed=", "users.encoder=", "objective.beta=")
"""What marks an adapter of which no weights ship."""
NOT_SHIPPED = ("diffusion-kto", "ip-adapter")
"""Nor of these, for the size of the wheel: minutes of `train-reference` make them."""


def plan(suite: Suite) -> dict[str, tuple[Trainer, list[str]]]:
    """Folder -> trainer and overrides of its default command, for every adapter."""
    found: dict[str, tuple[Trainer, list[str]]] = {"ppd": (ppd.train, [])}
    found |= {
        FOR_PEOPLE: (ppd.train, ["users.encoder=llava-onevision"]),
        "ppd-onehot": (ppd.train, ["users.encoder=onehot"]),
        "ppd-clip-pairs": (ppd.train, ["users.encoder=clip-pairs"]),
        "sft-llava-onevision": (sft.train, ["users.encoder=llava-onevision"]),
    }
    found |= {"sft": (sft.train, []), "diffusion-dpo": (diffusion_dpo.train, [])}
    found |= {
        "diffusion-kto": (diffusion_kto.train, []),
        "kto-llava-onevision": (diffusion_kto.train, ["users.encoder=llava-onevision"]),
        "ip-adapter": (ip_adapter.train, []),
        "ppd-learnt": (ppd_learnt.train, []),
    }
    for name, betas in BETAS.items():
        train = found[name][0]
        found |= {f"{name}-seed-{seed}": (train, [f"seed={seed}"]) for seed in OTHER_SEEDS}
        found |= {f"{name}-beta-{beta}": (train, [f"objective.beta={beta}"]) for beta in betas}
    for spec in trainable(suite):
        name, label = f"diffusion-dpo-{spec.name}", f"reward={spec.name}"
        found[name] = (diffusion_dpo.train, [label])
        for beta in ONE_REWARD_BETAS.get(spec.name, ()):
            overrides = [label, f"objective.beta={beta}", "keep_every=200"]
            found[f"{name}-beta-{beta}"] = (diffusion_dpo.train, overrides)
    return found


def rebuild(
    suite: Suite, work: Path, *, device: str, events: Events, only: Sequence[str] = ()
) -> None:
    """Train every adapter of the suite, or `only` some, under `work/<suite>/`."""
    for name, (train, overrides) in plan(suite).items():
        if not only or name in only:
            events.note(f"{name}: {' '.join(overrides) or 'default settings'}")
            train(
                suite,
                output=work / suite.name / name,
                config=None,
                overrides=overrides,
                device=device,
                events=events,
            )


def ship(suite: Suite, work: Path, *, only: Sequence[str] = ()) -> None:
    """Copy the adapters that `rebuild` finished, and that ship, among the assets."""
    for name in plan(suite):
        folder, target = work / suite.name / name, _place(suite, name)
        if target is None or (only and name not in only) or not (folder / MANIFEST).is_file():
            continue
        (target / MANIFEST).unlink(missing_ok=True)  # back at the end: it speaks of all the others
        for file in SHIPPED_FILES:
            write_atomic(target / file, (folder / file).read_bytes())


def _place(suite: Suite, name: str) -> Path | None:
    """Where an adapter of the plan ships; None where it does not."""
    if name == FOR_PEOPLE:
        return model_folder(suite.name, "ppd") / PEOPLE
    _, overrides = plan(suite)[name]
    if name in NOT_SHIPPED or any(text.startswith(ON_RECORD) for text in overrides):
        return None
    return model_folder(suite.name, name)


class _Printed:
    """Progress for a log: notes only."""

    def stage(self, name: str, total: int) -> None:
        self.note(f"{name}: {total} to do")

    def advance(self, n: int = 1) -> None:
        """The notes of the loop say enough."""

    def note(self, text: str) -> None:
        print(text, flush=True)  # noqa: T201 - this command's output


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, train and ship."""
    suite = shapes_suite(SuiteFiles())
    parser = argparse.ArgumentParser(prog="python -m trainers.rebuild", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("trained"))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", choices=list(plan(suite)))
    parser.add_argument("--no-ship", action="store_true", help="copy nothing among the assets")
    options = parser.parse_args(arguments)
    rebuild(suite, options.work, device=options.device, events=_Printed(), only=options.only)
    if not options.no_ship:
        ship(suite, options.work, only=options.only)


if __name__ == "__main__":
    main()
