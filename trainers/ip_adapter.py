"""IP-Adapter: redraws a picture from its own embedding, and then draws after what a person likes.

The added layers are its decoupled cross-attention. They learn, by the denoising loss, from every
picture with its caption and its own CLIP embedding, dropped now and then; no preference is looked
at. A person is then the mean embedding of the pictures they preferred (`users.encoder:
liked-images`): image prompting with liked images, a baseline that must be beaten, since it copies
what these show whether or not it is what they were liked for.

Source: Ye et al., arXiv 2308.06721.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ppdbench.errors import UsageError
from ppdbench.protocols import Split, UserEncoder
from trainers.adapters.header import Embedding
from trainers.examples import Examples
from trainers.people import spread
from trainers.training.recipe import Recipe, trainer
from trainers.training.steps import SftStep
from trainers.training.workshop import Workshop

PICTURES = "pictures"
COLUMNS = 3
"""Pictures after which the validation grid is drawn."""


def recipe(shop: Workshop) -> Recipe:
    """The denoising loss on both pictures of every pair, each under its own embedding.

    Raises:
        UsageError: there is no encoder, or one that reads no pictures, or tells none apart.
    """
    encoder = _encoder(shop)
    raw, known = shop.picture_embeddings("train", encoder)
    _check_told_apart(encoder, raw[known])
    embedding = spread(encoder.info, raw[known])
    train = own_pictures(embedding, raw, known)

    def examples(split: Split) -> Examples:
        if split == "train":
            return train
        return own_pictures(embedding, *shop.picture_embeddings(split, encoder))

    every = max(1, len(train.users) // COLUMNS)
    shown = range(0, len(train.users), every)[:COLUMNS]
    return Recipe(
        examples=examples,
        step=SftStep(shop.config.objective),
        user_vector="embedding",
        embedding=embedding,
        columns={f"picture {row}": train.users[row] for row in shown},
        facts={PICTURES: len(train)},
    )


def own_pictures(
    embedding: Embedding, raw: NDArray[np.float32], known: NDArray[np.bool_]
) -> Examples:
    """A line for each picture of N pairs, whose user is the picture itself.

    Args:
        embedding: how embeddings are normalised.
        raw: (N, 2, dim) embeddings of the pairs' pictures.
        known: (N, 2) which of them have one; the others are left out.
    """
    pair, side = np.nonzero(known)
    return Examples(
        pair=pair,
        winner=side,
        user=np.arange(len(pair)),
        users=embedding.normalised(raw[known]),
        names=(PICTURES,),
        left_out={PICTURES: {"without an embedding": int((~known).sum())}},
    )


def _encoder(shop: Workshop) -> UserEncoder:
    encoder = shop.encoder
    if encoder is None or encoder.info.uses != "shots":
        raise UsageError(
            "ip-adapter needs an encoder that reads pictures, not who a user is",
            fix="give --users liked-images",
        )
    return encoder


def _check_told_apart(encoder: UserEncoder, embeddings: NDArray[np.float32]) -> None:
    """See that embeddings (M, dim) of pictures say something of them.

    An encoder of differences says the same of every picture that is shown beside itself: the
    adapter would hear nothing, and nothing else would tell.

    Raises:
        UsageError: there is none, or all are alike.
    """
    if not len(embeddings) or not np.ptp(embeddings, axis=0).any():
        what = "the same of every picture" if len(embeddings) else "nothing of any picture"
        raise UsageError(
            f"{encoder.info.name} says {what} that is someone's only shot, preferred to itself",
            fix="give --users liked-images, or another encoder that reads what is preferred",
        )


train = trainer("ip-adapter", recipe)
