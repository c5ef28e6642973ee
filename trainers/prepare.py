"""`ppdbench data prepare`: what every training would make of the pairs first, made once.

A folder to be named as `--pairs` of any training for the same base; the source stays where it is::

    <out>/
      splits.json splits.parquet               who is in which split (`ppdbench data splits`)
      train.rows.parquet validation.rows.parquet   where these pairs lie in the source
      pinned.json                              what the folder is made of; another is refused
      latents/<pairs>-<base>-<size>/           latents, text, embeddings, scores
      prepared.json                            what is in it; written last

Elsewhere: what lies in a cache (`encoded/latents.py`), encoding (`encoded/encoding.py`), embeddings
(`encoded/embeddings.py`), scores (`encoded/relabel.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppdbench.errors import (
    FingerprintMismatch,
    MissingPrerequisite,
    unknown_name,
)
from ppdbench.protocols import Events, LoadContext, RewardSpec, Split, Suite, UserEncoder
from ppdbench.rewards.sharding import Shards, shards
from ppdbench.runs.atomic import write_json
from ppdbench.runs.device import resolve
from ppdbench.runs.fingerprint import differences
from ppdbench.runs.json_file import read_object
from ppdbench.suites.made_once import made_once
from ppdbench.users.load import make_encoder
from trainers.bases import base_of
from trainers.config import UsersConfig
from trainers.encoded.claims import claims
from trainers.encoded.embeddings import embed_groups
from trainers.encoded.encoding import Encoding, encode_share, encoding_of, finish, list_pairs
from trainers.encoded.latents import PREPARED, LatentCache, open_cache
from trainers.encoded.relabel import check_rewards, reward_margins, trainable
from trainers.encoded.sharded_tensor import AGAIN
from trainers.people import choices_of, wanted_groups
from trainers.stable_cascade.load import load_base
from trainers.training.progress import Silence

SCHEMA_VERSION = 1
PINNED, PREPARED_FILE = "pinned.json", "prepared.json"
SPLITS: tuple[Split, ...] = ("train", "validation")
_GB = 1e9
_MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class _Preparation:
    """One command's part of the work."""

    suite: Suite
    out: Path
    works: Mapping[Split, Encoding]
    process: Shards
    device: str
    events: Events

    def wait(self) -> None:
        """Wait for the other processes of this command."""
        self.process.gather(None)

    @property
    def missing(self) -> list[Path]:
        """Shards that nobody has made yet."""
        return [file for work in self.works.values() for file in work.missing]


def prepare(
    suite: Suite,
    *,
    out: Path,
    base: str | None = None,
    users: Sequence[str] = (),
    rewards: Sequence[str] = (),
    share: tuple[int, int] = (0, 1),
    dry_run: bool = False,
    device: str = "auto",
    events: Events,
) -> Mapping[str, Any]:
    """Implements `ppdbench.protocols.Preparer`; entry point `ppdbench.preparers: stable-cascade`.

    Raises:
        FingerprintMismatch: the folder holds what was made of other pairs, or for another base.
        UsageError: there is no such encoder or reward.
        MissingPrerequisite: the base, an encoder or pairs are not there, or there is no space.
        PpdbenchError: what the base makes of the pairs is not finite.
    """
    specs = _wanted_rewards(suite, rewards)
    process = shards(device)
    place = process.device or resolve(device)
    context = LoadContext(suite=suite, device=device)  # encoders share the processes themselves
    encoders = {name: make_encoder(name, context) for name in users}  # now, not after hours
    loaded = load_base(base_of(suite) if base is None else Path(base).expanduser(), place)
    size = (loaded.image_size, loaded.image_size)
    told = events if process.first else Silence()
    works = {
        split: encoding_of(pairs, loaded, cache=out / PREPARED, size=size, limit=None)
        for split, pairs in _pairs(suite, told).items()
    }
    job = _Preparation(
        suite=suite, out=out, works=works, process=process, device=place, events=told
    )
    _pin(job, write=not dry_run)
    for work in works.values():
        list_pairs(work)
    if dry_run:
        return _planned(job)
    _check_space(job, share)
    mine, parts = share
    for work in works.values():
        encode_share(work, told, (mine * process.count + process.rank, parts * process.count))
    job.wait()
    if missing := job.missing:
        told.note(f"{len(missing)} shards are left to the other shares")
        return {"complete": False, "missing": [str(file.relative_to(out)) for file in missing]}
    for work in works.values():
        finish(work, {"world": parts * process.count})
    job.wait()
    if parts > 1:
        told.note("all shards are there: the same command without --shard ends the preparation")
        return {"complete": False, "missing": []}
    return _finished(job, encoders, specs)


def _pairs(suite: Suite, events: Events) -> dict[Split, Path]:
    """The splits' pairs; a source may have none to validate on."""
    found: dict[Split, Path] = {}
    for split in SPLITS:
        try:
            found[split] = suite.pairs(split)
        except MissingPrerequisite as error:
            if not found:
                raise
            events.note(error.cause)
    return found


def _wanted_rewards(suite: Suite, names: Sequence[str]) -> list[RewardSpec]:
    """The suite's rewards of these names, which can be loaded."""
    known = {spec.name: spec for spec in trainable(suite)} if names else {}
    for name in names:
        if name not in known:
            raise unknown_name("reward to train on", name, known)
    specs = [known[name] for name in dict.fromkeys(names)]
    check_rewards(specs)
    return specs


def _pin(job: _Preparation, *, write: bool) -> None:
    """Hold the folder against what it was begun with; with `write`, write that where nothing was.

    Raises:
        FingerprintMismatch: it was begun with something else; the fields are named.
    """
    train = job.works["train"].identity
    pinned = {
        "schema_version": SCHEMA_VERSION,
        "pairs": {split: work.pairs_sha256 for split, work in job.works.items()},
        "base": train["base_sha256"],
        "size": train["size"],
        "precision": {"latents": train["latents"], "text": train["text"]},
    }
    path = job.out / PINNED
    if write:
        made_once(path, lambda: write_json(path, pinned))
    elif not path.exists():
        return
    before = read_object(path, fix=AGAIN)
    if fields := differences(before, pinned):
        raise FingerprintMismatch(
            f"{job.out} was prepared with another {', '.join(fields)}",
            fix="give what it was begun with, or choose another --out",
        )


def _check_space(job: _Preparation, share: tuple[int, int]) -> None:
    """See that there is space for what is left to encode.

    Raises:
        MissingPrerequisite: there is not.
    """
    needed = sum(work.bytes_left for work in job.works.values()) / share[1]
    free = shutil.disk_usage(job.out).free
    if needed > free:
        raise MissingPrerequisite(
            f"latents and text take about {needed / _GB:.1f} GB more at {job.out}, and "
            f"{free / _GB:.1f} GB are free",
            fix="free some space, or choose another --out",
        )


def _planned(job: _Preparation) -> Mapping[str, Any]:
    """What encoding would take."""
    return {
        "complete": False,
        "dry_run": True,
        "splits": {
            split: {
                "pairs": work.n_pairs,
                "captions": work.n_texts - 1,
                "left_out": {},
                "gb": {kind: size / _GB for kind, size in work.bytes_in_all.items()},
                "gb_left": work.bytes_left / _GB,
            }
            for split, work in job.works.items()
        },
        "gb_free": shutil.disk_usage(job.out).free / _GB,
    }


def _finished(
    job: _Preparation, encoders: Mapping[str, UserEncoder], rewards: Sequence[RewardSpec]
) -> Mapping[str, Any]:
    """What is made of complete caches; and the index of all."""
    caches = {split: open_cache(work, None) for split, work in job.works.items()}
    made = {split: _about(job.works[split], cache) for split, cache in caches.items()}
    for name, encoder in encoders.items():
        made["train"].setdefault("users", {})[name] = _embedded(job, caches["train"], encoder)
    for split, cache in caches.items():
        if rewards:
            _scored(job, cache, job.works[split].pairs, rewards)
            made[split]["rewards"] = sorted(spec.name for spec in rewards)
    facts = {"schema_version": SCHEMA_VERSION, "complete": True, "splits": made}
    if job.process.first:
        with claims(job.out / ".prepared.lock") as held:  # others may add theirs at the same time
            held.take(0, wait=True)
            _remember(job.out / PREPARED_FILE, facts)
    job.wait()
    return read_object(job.out / PREPARED_FILE, fix=AGAIN)


def _about(work: Encoding, cache: LatentCache) -> dict[str, Any]:
    """What a cache holds."""
    sizes = {
        kind: sum(file.stat().st_size for file in work.folder.glob(f"{kind}-*"))
        for kind in ("images", "captions")
    }
    return {
        "folder": str(work.folder.relative_to(work.folder.parents[1])),
        **work.identity,
        "pairs": len(cache),
        "captions": len(cache.captions),
        "left_out": {reason: len(numbers) for reason, numbers in cache.left_out.items()},
        "latent_shape": list(cache.latent_shape) if len(cache) else [],
        "mib": {kind: round(size / _MIB, 1) for kind, size in sizes.items()},
    }


def _embedded(job: _Preparation, cache: LatentCache, encoder: UserEncoder) -> dict[str, Any]:
    """Embed the training users as a training with an encoder's default settings would."""
    config = UsersConfig(encoder=encoder.info.name)
    choices = choices_of(cache, config.shots)
    groups = wanted_groups(choices, encoder.info, config)
    pairs = job.works["train"].pairs
    main = job.process.first
    _, known = embed_groups(groups, pairs, cache, encoder, events=job.events, main=main)
    met, enough = set(choices.users), {group.user for group in groups}
    return {
        "revision": encoder.info.revision,
        "dim": encoder.info.dim,
        "users": len(enough),
        "users_with_too_few_pairs": len(met - enough),
        "embeddings": int(known.sum()),
        "without_embedding": int((~known).sum()),
    }


def _scored(
    job: _Preparation, cache: LatentCache, pairs: Path, rewards: Sequence[RewardSpec]
) -> None:
    reward_margins(
        rewards,
        pairs,
        cache,
        device=job.device,
        events=job.events,
        share=(job.process.rank, job.process.count),
        wait=job.wait,
    )


def _remember(path: Path, facts: dict[str, Any]) -> None:
    """Write the index; encoders and rewards of earlier commands stay in it."""
    earlier = read_object(path, fix=AGAIN).get("splits", {}) if path.is_file() else {}
    for split, made in facts["splits"].items():
        before = earlier.get(split, {})
        if users := {**before.get("users", {}), **made.get("users", {})}:
            made["users"] = users
        if rewards := sorted({*before.get("rewards", []), *made.get("rewards", [])}):
            made["rewards"] = rewards
    write_json(path, facts)
