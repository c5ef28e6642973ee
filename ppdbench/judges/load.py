"""From a judge's name to a `Judge`, by entry point; what follows a colon is its argument.

`vlm`, `vlm:FOLDER`, `openai:MODEL`, `few-shot`, `scalar:hps`, `replay:FILE`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from ppdbench import plugins
from ppdbench.errors import PpdbenchError
from ppdbench.protocols import Judge, JudgeContext
from ppdbench.rewards.sharding import shards
from ppdbench.runs.device import resolve


def make_judge(name: str, context: JudgeContext) -> Judge:
    """Make the judge that a plug-in registers.

    Under `accelerate launch` each process makes its own, on the device it was given.

    Args:
        name: of the entry point, with its argument after a colon.
        context: for whom; its `argument` is set from the name.

    Raises:
        UsageError: no judge plug-in has that name, or its argument makes no sense.
        MissingPrerequisite: its weights, its key or a module it needs are not there.
        PpdbenchError: the plug-in is broken.
    """
    plain, _, argument = name.partition(":")
    called = f"judge {name!r}"
    device = shards(context.device).device or resolve(context.device)
    judge = plugins.make(
        "judges",
        plain,
        replace(context, argument=argument, device=device),
        called=called,
        fix="mend its factory",
    )
    if not isinstance(judge, Judge):
        raise PpdbenchError(
            f"{called} gives no judge: `info` or `judge` is missing",
            fix="let it be a function of a JudgeContext that returns a Judge",
        )
    try:  # now, not after hours of judging: all of it is recorded
        json.dumps(asdict(judge.info), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PpdbenchError(
            f"{called} describes itself by what is not JSON: {error}",
            fix="make its info a JudgeInfo of text, numbers and plain lists",
        ) from error
    return judge
