"""What the VLM and the encoders know of users after four choices, beside what can be known.

    python perf/user_embeddings.py [--split unseen] [--vlm FOLDER]

The vision-language model chooses between the two images of every held-out pair, asked in both
orders, and writes a profile whose first word should be the attribute that the user cares most for;
a bilinear probe guesses the same choices from the embeddings of each encoder. The classifier of
benchmark `users` tells training people apart by these, and by what an encoder that reads every
picture and choice without error would say: the exact posterior mean of the taste. Suite `shapes`.
Writes results/user_embeddings.json. Exits 1 where the VLM stays below 90% of the way to a ceiling.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
from result_file import RESULTS, header, write_result

from ppdbench.benchmarks.users.classifier import identify
from ppdbench.benchmarks.users.probe import probe_encoder
from ppdbench.data.images import decode_image
from ppdbench.protocols import EvaluatedUser, LoadContext, PreferencePair, UserEncoder, UserSplit
from ppdbench.statistics.intervals import cluster_bootstrap_mean
from ppdbench.statistics.top_k import ranks, top_k
from ppdbench.suites.shapes.attributes import ATTRIBUTES
from ppdbench.suites.shapes.beliefs import posterior, taste_prior
from ppdbench.suites.shapes.differences import differences
from ppdbench.suites.shapes.evaluated import ShapesPeople
from ppdbench.suites.shapes.suite import ShapesSuite
from ppdbench.users.contexts import UserContexts
from ppdbench.users.encode import embed
from ppdbench.users.llava_onevision import LlavaOnevisionEncoder
from ppdbench.users.load import make_encoder
from ppdbench.users.prompts import choice_text, shots_images, shots_text
from ppdbench.users.vlm import Vlm
from ppdbench.users.vlm_files import find_vlm
from trainers.shapes.vlm_lessons import dominant_of

BAR = 0.9
OUT = RESULTS / "user_embeddings.json"
ENCODERS = ("llava-onevision", "clip-pairs")
DOMINANT_CHANCE = 1 / (2 * len(ATTRIBUTES))
"""Of guessing the dominant attribute and its sign."""


class Quiet:
    """Progress nobody listens to; notes go to standard error."""

    def stage(self, name: str, total: int) -> None:
        """Say what begins."""
        print(f"{name}: {total}", file=sys.stderr, flush=True)

    def advance(self, n: int = 1) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Say it."""
        print(text, file=sys.stderr, flush=True)


def log_odds(
    vlm: Vlm, suite: ShapesSuite, users: Sequence[EvaluatedUser], pairs: dict[str, PreferencePair]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Log-odds (choices,) for image 0 of each choice, mean over both orders."""
    found = []
    for user, context in zip(
        users, UserContexts(suite.people, [(u.id, u.shots[0]) for u in users]), strict=True
    ):
        texts, shown = [], []
        for choice in user.choices:
            pair = pairs[choice]
            sides = [decode_image(pair.image_0), decode_image(pair.image_1)]
            text = shots_text(context.shots) + choice_text(pair.caption)
            for order in (sides, sides[::-1]):
                texts.append(text)
                shown.append([*shots_images(context.shots), *order])
        odds = vlm.choice_log_odds(vlm.prepare(texts, shown)).double().numpy().reshape(-1, 2)
        found.append((odds[:, 0] - odds[:, 1]) / 2)
    return np.concatenate(found)


def rate(right: Sequence[float], users: Sequence[str], ceiling: float, chance: float) -> Any:
    """An accuracy with its interval, its ceiling and the way from chance to it."""
    interval = cluster_bootstrap_mean(right, list(users), bounds=(0.0, 1.0))
    way = (cast(float, interval.estimate) - chance) / (ceiling - chance)
    return {
        "rate": interval.estimate,
        "ci_low": interval.ci_low,
        "ci_high": interval.ci_high,
        "n": interval.n,
        "n_users": len(set(users)),
        "ceiling": ceiling,
        "way_from_chance": round(way, 4),
    }


def measure(suite: ShapesSuite, encoder: LlavaOnevisionEncoder, split: UserSplit) -> dict[str, Any]:
    """The VLM's choices and profiles on a split."""
    people, truth = suite.people, suite.people.truth
    users = people.users(split)
    ids = [choice for user in users for choice in user.choices]
    pairs = dict(zip(ids, people.pairs(ids), strict=True))
    odds = log_odds(encoder.vlm, suite, users, pairs)
    owners = [user.id for user in users for _ in user.choices]
    utility = [
        np.array(
            [
                truth.utility(owner, truth.measure([decode_image(getattr(pairs[i], f"image_{n}"))]))
                for owner, i in zip(owners, ids, strict=True)
            ]
        )[:, 0]
        for n in (0, 1)
    ]
    truly = utility[0] > utility[1]
    labelled = np.array([pairs[i].label_0 > 0.5 for i in ids])
    codes = embed(
        encoder, UserContexts(people, [(u.id, u.shots[0]) for u in users]), events=Quiet()
    )
    named = [code and code.profile and dominant_of(code.profile) for code in codes]
    ceilings = truth.ceilings(split)
    as_truth, as_label = ((odds > 0) == side for side in (truly, labelled))
    right = [float(a == truth.dominant(u.id)) for a, u in zip(named, users, strict=True)]
    return {
        "choice": rate(as_truth.astype(float).tolist(), owners, ceilings["choice"], 0.5),
        "choice_expected_ceiling": ceilings["choice_expected"],
        "choice_noisy": rate(
            as_label.astype(float).tolist(), owners, ceilings["choice_noisy"], 0.5
        ),
        "dominant": rate(right, [u.id for u in users], ceilings["dominant"], DOMINANT_CHANCE),
        "dominant_expected_ceiling": ceilings["dominant_expected"],
        "dominant_chance": DOMINANT_CHANCE,
        "profiles": [code.profile for code in codes[:5] if code],
    }


def told_apart(
    people: ShapesPeople, encoders: Sequence[UserEncoder], *, topics: bool
) -> dict[str, Any]:
    """Top-16 of the classifier by each encoder and by the exact posterior mean, and the ceiling."""
    users = people.identified(topics=topics)
    shown = [(user.id, group) for user in users for group in (*user.train, *user.test)]
    row_of = {user.id: row for row, user in enumerate(users)}
    own = np.array([row_of[user] for user, _ in shown])
    of_user = [np.arange(len(user.train) + len(user.test)) for user in users]
    numbers = np.concatenate(of_user)
    learnt = np.concatenate([n < len(u.train) for n, u in zip(of_user, users, strict=True)])
    ids = sorted({identity for _, group in shown for identity in group})
    told = dict(zip(ids, differences(people, ids), strict=True))
    means = [
        posterior(np.array([told[identity] for identity in group])) @ taste_prior()
        for _, group in shown
    ]
    said = {"posterior mean": np.array(means)}
    for encoder in encoders:
        codes = embed(encoder, UserContexts(people, shown), events=Quiet())
        if None in codes:
            raise ValueError(f"{encoder.info.name} lacks embeddings of training people")
        said[encoder.info.name] = np.array([code.embedding for code in codes if code])
    ceiling = people.truth.identification_ceilings(topics=topics)["top16"]
    found: dict[str, Any] = {"ceiling_top16": ceiling, "n_users": len(users)}
    for name, vectors in said.items():
        scores = identify(
            vectors[learnt], own[learnt], numbers[learnt], vectors[~learnt], len(users)
        ).scores
        top16 = top_k(ranks(scores, own[~learnt]), 16, len(users), own[~learnt])
        found[name] = {
            "top16": top16.accuracy,
            "ci_low": top16.ci_low,
            "ci_high": top16.ci_high,
            "of_ceiling": round(cast(float, top16.accuracy) / ceiling, 4),
        }
    return found


def main() -> int:
    """Parse, measure, write, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--split", default="unseen", choices=get_args(UserSplit))
    parser.add_argument("--vlm", help="a folder in place of the shipped one")
    parser.add_argument("--no-probe", action="store_true")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    suite = ShapesSuite()
    encoder = LlavaOnevisionEncoder(find_vlm(given.vlm or suite.vlm), "cpu")
    found = measure(suite, encoder, given.split)
    encoders: list[UserEncoder] = []
    for name in () if given.no_probe else ENCODERS:
        own: UserEncoder = encoder
        if name != encoder.info.name:
            own = make_encoder(name, LoadContext(suite=suite, device="cpu"))
        found[f"probe:{name}"] = probe_encoder(
            own, suite.people, suite.people.truth.measure, split=given.split, events=Quiet()
        )
        encoders.append(own)
    for kind in ("topics", "common") if encoders else ():
        found[f"told apart:{kind}"] = told_apart(suite.people, encoders, topics=kind == "topics")
    passed = all(found[name]["way_from_chance"] >= BAR for name in ("choice", "dominant"))
    record = {
        **header(),
        "suite": {"name": suite.name, "version": suite.version, "people": suite.people.digest},
        "split": given.split,
        "encoder_revision": encoder.info.revision,
        **found,
        "bar": BAR,
        "passed": passed,
    }
    write_result(record, given.out)
    print(json.dumps({name: found[name] for name in ("choice", "choice_noisy", "dominant")}))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
