"""probes.json: what a bilinear probe of each encoder's embeddings guesses; of a full run.

Features are the attributes that the suite's truth measures, so a suite without truth has no probe.
An encoder's entry stands while encoder, people and truth are what they were. Elsewhere: the probe
and its figures (`users.probe`), who is told apart (`users.classify`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppdbench.errors import PpdbenchError
from ppdbench.protocols import Events, People, UserEncoder
from ppdbench.runs.atomic import write_json
from ppdbench.runs.fingerprint import fingerprint
from ppdbench.runs.json_file import finite_json

FILE = "probes.json"
SCHEMA_VERSION = 1
VERSION = 1
"""Raise it whenever a figure could change, here, in `users.probe` or in `users.bilinear_probe`: all
is then made anew."""


def measure_probes(
    encoders: Sequence[UserEncoder],
    people: People,
    folder: Path,
    *,
    limit: int | None = None,
    cache: Path | bool | None = True,
    events: Events,
) -> int:
    """Probe the encoders that the folder's probes.json lacks; returns how many were probed.

    Args:
        encoders: each under its own name; those that read ids get a reason in place of figures.
        people: whose training pairs are learnt from, and whose unseen users' choices are guessed.
        folder: the run's, under its lock.
        limit: only the first users on either side.
        cache: where embeddings are kept, as `users.encode.embed` takes it.
        events: is told of progress.

    Raises:
        MissingPrerequisite: pairs or weights are not at hand.
        PpdbenchError: an encoder cannot work at all, or a pair or the file is damaged.
    """
    truth = people.truth
    if truth is None:
        return 0
    known, made = _read(folder), 0
    for encoder in encoders:
        info = encoder.info
        identity = fingerprint(
            {
                "probe": VERSION,
                "people": people.digest,
                "truth": truth.identity,
                "limit": limit,
                "encoder": [info.name, info.revision, dict(info.settings)],
            }
        )
        if known.get(info.name, {}).get("identity") == identity:
            continue
        from ppdbench.benchmarks.users.probe import probe_encoder  # late: scipy is behind it

        found = probe_encoder(
            encoder, people, truth.measure, limit=limit, cache=cache, events=events
        )
        known[info.name] = {"identity": identity, "figures": found}
        write_json(folder / FILE, {"schema_version": SCHEMA_VERSION, "probes": known})
        made += 1
    return made


def read_probes(folder: Path) -> dict[str, dict[str, Any]]:
    """Encoder -> figures of `probe.probe_figures`; none where the folder has no file.

    Raises:
        PpdbenchError: the file is damaged.
    """
    return {name: entry["figures"] for name, entry in _read(folder).items()}


def _read(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / FILE
    try:
        found = finite_json(path.read_bytes())["probes"]
        return {
            name: {"identity": entry["identity"], "figures": dict(entry["figures"])}
            for name, entry in found.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise PpdbenchError(
            f"{path} is damaged: {error!r}", fix="delete it and run the same command again"
        ) from error
