"""The trial of a reward: three pictures under two captions.

Elsewhere: the pictures (`stand_in_users`), the reward's making (`rewards.load`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ppdbench.check import bounds
from ppdbench.check.around import SAME_ELSEWHERE, in_both_processes
from ppdbench.check.bench import Bench
from ppdbench.check.failures import asked, in_words
from ppdbench.check.random_state import with_state_seen
from ppdbench.check.stand_in_users import captions, shots
from ppdbench.check.start import started
from ppdbench.protocols import Reward, RewardInfo, RewardSpec
from ppdbench.rewards.catalogue import spec_of
from ppdbench.rewards.load import load_reward

if TYPE_CHECKING:
    from PIL.Image import Image


def try_reward(bench: Bench) -> None:
    """Try a reward; all that is found goes into the ledger.

    Raises:
        UsageError: neither the suite nor a plug-in has one of that name.
        MissingPrerequisite: its weights are not at hand.
    """
    spec = _spec(bench)
    reward = started(bench, "rewards", spec.kind, lambda: load_reward(spec, bench.job.device))
    if reward is None or not _look_at_info(bench, reward):
        return
    # A loader is called when scores are wanted: weights may be loaded in it.
    bench.seconds["factory"] = 0.0
    in_both_processes(
        bench,
        reward.info.checkpoint_sha256,
        first=lambda: _try(bench, reward),
        second=lambda: _compare_process(bench, reward),
    )


def _spec(bench: Bench) -> RewardSpec:
    """The suite's reward of that name; else what `ppdbench score --reward` takes it for."""
    own = {spec.name: spec for spec in bench.plain.rewards()}
    return own.get(bench.job.name) or spec_of(bench.job.name)


def _look_at_info(bench: Bench, reward: Reward) -> bool:
    ledger = bench.ledger
    info = getattr(reward, "info", None)
    if not isinstance(info, RewardInfo) or not isinstance(reward, Reward):
        words = "it has no `score`" if isinstance(info, RewardInfo) else "its info is no RewardInfo"
        ledger.wrong("info", words, "let the loader return a protocols.Reward")
        return False
    ledger.fact("info", asdict(info))
    if not info.preprocess:
        ledger.wrong(
            "info", "its info says no preprocess", "name the recipe: it identifies the score"
        )
    else:
        ledger.ok("info")
    bench.keep("revision", info.checkpoint_sha256)
    if not re.fullmatch("[0-9a-f]{64}", info.checkpoint_sha256):
        ledger.wrong(
            "revision",
            f"its checkpoint_sha256 is {info.checkpoint_sha256!r}, no sha256",
            "hash all that was loaded, or where nothing is the reward's own source: scores are "
            "known by it",
        )
    return True


def _pictures(bench: Bench) -> tuple[list[Image], list[str]]:
    chosen, _ = shots(bench.plain)
    images = [chosen[0].preferred, chosen[0].dispreferred, chosen[0].preferred]
    texts = captions(bench.plain)
    return images, [texts[0], texts[0], next(each for each in texts if each != texts[0])]


def _try(bench: Bench, reward: Reward) -> None:
    ledger, (images, texts) = bench.ledger, _pictures(bench)
    ledger.stage("while it scored its first images")
    scores = _scores(bench, reward, images, texts, "scores")
    if scores is None:
        return
    ledger.ok("scores", "count")
    bench.keep("scores", scores.tolist())
    ledger.stage("while it scored the same images again")
    again = with_state_seen(bench, 2, lambda: _scores(bench, reward, images, texts, "repeat"))
    if again is None:
        return
    if not _same(scores, again):
        ledger.wrong(
            "repeat",
            f"scores the same image otherwise: {scores[0]:.6g}, then {again[0]:.6g}",
            "switch to evaluation mode: no dropout, no noise",
        )
        bench.forget("scores")
        ledger.untold("it never scores the same twice", "batch", "image", "caption", "process")
        return
    ledger.ok("repeat")
    turned = _scores(bench, reward, images[::-1][:2], texts[::-1][:2], "batch")
    if turned is None:
        return
    if _same(scores[::-1][:2], turned):
        ledger.ok("batch")
    else:
        ledger.wrong(
            "batch",
            "scores an image otherwise in another batch",
            "let row i depend on image i and caption i alone",
        )
    if _same(scores[:1], scores[1:2]):
        ledger.wrong("image", "gives two images of one caption the same score", "look at images[i]")
    else:
        ledger.ok("image")
    if _same(scores[:1], scores[2:]):
        ledger.note("caption", "gives an image the same score under two captions", "")
    else:
        ledger.ok("caption")


def _scores(
    bench: Bench, reward: Reward, images: Sequence[Image], texts: Sequence[str], check: str
) -> NDArray[np.float64] | None:
    """Scores, (N,); None where there are no such, which is taken down."""
    given = asked(bench, check, lambda: reward.score(images, texts))
    if given is None:
        return None
    try:
        found = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        bench.ledger.wrong(
            "count", f"gives what is no array: {in_words(error)}", "give (N,) floats"
        )
        return None
    if found.shape != (len(images),) or not np.isfinite(found).all():
        what = f"of shape {found.shape}" if found.shape != (len(images),) else "not all finite"
        bench.ledger.wrong(
            "count", f"gives scores {what} for {len(images)} images", "give (N,) finite floats"
        )
        return None
    return found


def _same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return bool(np.allclose(one, other, rtol=bounds.RELATIVE, atol=1e-6))


def _compare_process(bench: Bench, reward: Reward) -> None:
    before = bench.kept_value("scores")
    found = before and _scores(bench, reward, *_pictures(bench), "process")
    if found is None or before is None:
        return
    if _same(np.asarray(before), found):
        bench.ledger.ok("process")
    else:
        bench.ledger.wrong(
            "process",
            "scores an image otherwise in another process",
            SAME_ELSEWHERE,
        )
