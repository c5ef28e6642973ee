"""How much the harness costs: `evaluate` against a bare batched loop over the same models.

Both sides draw the same requests in the same batches and score the same images with the same
scorers through the same engine, so that both share the rewards' common work, in one process,
alternating. The bare side keeps images in memory and writes nothing; the
other side is `evaluate` as `ppdbench eval` calls it, its time taken from the `generate` and
`measure` stages in status.json. On both sides generators and rewards load their weights on their
first batch, inside the time; the classifier loads its own before, outside of it.

    python perf/eval_overhead.py [--model ppd] [--limit 64] [--repeats 3] [--device cpu]

Exits 1 if the harness runs at less than 90% of the bare loop; writes results/eval_overhead.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from result_file import RESULTS, header, write_result

from ppdbench import plugins
from ppdbench.benchmarks.evaluate import evaluate
from ppdbench.benchmarks.plan import Item, in_batches, plan_rewards
from ppdbench.protocols import Generator, LoadContext, Reward, Suite
from ppdbench.rewards.engine import score_images
from ppdbench.runs.device import resolve

BAR = 0.90
OUT = RESULTS / "eval_overhead.json"
COMPARED_STAGES = ("generate", "measure")


class Silence:
    """Events that nobody hears."""

    def stage(self, name: str, total: int) -> None:
        """Ignore."""

    def advance(self, n: int) -> None:
        """Ignore."""

    def note(self, text: str) -> None:
        """Ignore."""


def make_generators(suite: Suite, model: str, device: str) -> dict[str, Generator]:
    """Fresh generators, weights not loaded: the model and the suite's baseline."""
    context = LoadContext(suite=suite, device=device)
    names = dict.fromkeys([model, suite.baseline])
    return {name: plugins.load("generators", name)(context) for name in names}


def make_plan(suite: Suite, generators: dict[str, Generator], limit: int) -> list[Item]:
    """The items that `evaluate` draws, in its order."""
    captions = list(suite.captions("test"))[:limit]
    return [
        item
        for name, generator in generators.items()
        for item in plan_rewards(suite, name, generator.info, captions, 1)
    ]


def bare_seconds(suite: Suite, model: str, device: str, limit: int, batch_size: int) -> float:
    """Seconds to draw and score everything with nothing around the models."""
    generators = make_generators(suite, model, device)
    items = make_plan(suite, generators, limit)
    rewards: dict[str, Reward] = {
        spec.name: plugins.load("rewards", spec.kind)(spec, device) for spec in suite.rewards()
    }
    classifier = suite.classifier(device)

    begin = time.perf_counter()
    images = []
    for name, generator in generators.items():
        own = [
            item.request(suite.sampling, item.context.weighing() if item.context else None)
            for item in items
            if item.generator == name
        ]
        for requests in in_batches(own, batch_size):
            images += list(generator.generate(requests))
    captions = [item.caption.text for item in items]
    for batch in in_batches(list(zip(images, captions, strict=True)), batch_size):
        pictures, texts = [image for image, _ in batch], [text for _, text in batch]
        score_images(rewards, pictures, texts, batch_size=batch_size)
        if classifier is not None:
            classifier.check(pictures, texts)
    return time.perf_counter() - begin


def harness_seconds(
    suite_name: str, model: str, device: str, limit: int, batch_size: int
) -> tuple[float, float, dict[str, float]]:
    """Seconds of the two stages, of the whole call, and of every stage."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        run = evaluate(
            [model],
            suite=suite_name,
            benchmarks=["rewards"],
            runs=Path(folder),
            limit=limit,
            device=device,
            batch_size=batch_size,
            events=Silence(),
        )
        whole = time.perf_counter() - begin
        stages: dict[str, float] = json.loads((run / "status.json").read_bytes())["seconds"]
    return sum(stages[stage] for stage in COMPARED_STAGES), whole, stages


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure both sides in turn and put what a number must carry beside it."""
    device = resolve(arguments.device)
    suite: Suite = plugins.make_suite(arguments.suite)
    n = len(make_plan(suite, make_generators(suite, arguments.model, device), arguments.limit))
    what = (arguments.model, device, arguments.limit, arguments.batch_size)
    bare_seconds(suite, arguments.model, device, 1, 1)  # imports and first calls, thrown away

    bare, harness, whole = [], [], []
    stages: dict[str, float] = {}
    for repeat in range(arguments.repeats):
        bare.append(bare_seconds(suite, *what))
        seconds, call, stages = harness_seconds(arguments.suite, *what)
        harness.append(seconds)
        whole.append(call)
        print(
            f"{repeat + 1}/{arguments.repeats}: bare {n / bare[-1]:.2f} images/s, "
            f"evaluate {n / seconds:.2f} images/s",
            file=sys.stderr,
        )
    ratio = statistics.median(bare) / statistics.median(harness)
    return {
        **header(device=device),
        "suite": suite.name,
        "suite_version": suite.version,
        "model": arguments.model,
        "batch_size": arguments.batch_size,
        "n_images": n,
        "repeats": arguments.repeats,
        "bare_images_per_second": [round(n / seconds, 3) for seconds in bare],
        "evaluate_images_per_second": [round(n / seconds, 3) for seconds in harness],
        "evaluate_whole_call_seconds": [round(seconds, 2) for seconds in whole],
        "evaluate_last_stage_seconds": stages,
        "ratio_of_medians": round(ratio, 4),
        "bar": arguments.bar,
        "passed": ratio >= arguments.bar,
    }


def main() -> int:
    """Parse, compare, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="ppd")
    parser.add_argument("--suite", default="shapes")
    parser.add_argument("--limit", type=int, default=64, help="captions")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--bar", type=float, default=BAR)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    result = compare(arguments)
    write_result(result, arguments.out)
    print(f"evaluate runs at {result['ratio_of_medians']:.1%} of the bare loop", file=sys.stderr)
    if not result["passed"]:
        print(f"that is below the bar of {arguments.bar:.0%}", file=sys.stderr)
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
