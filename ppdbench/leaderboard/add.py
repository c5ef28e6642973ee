"""Add entries to a board from finished runs: records, figures, gallery, and the baseline's entry.

Every figure is made by the functions that `check` recomputes it with, from what is written. An
entry's folder is replaced whole, and the same runs again change nothing. Elsewhere: what the runs
hold (`entries.record`), words (`leaderboard.words`), figures (`leaderboard.summary`), other entries
over a baseline that has changed (`leaderboard.anew`), folders (`leaderboard.folders`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ppdbench.data.plain_yaml import write_yaml
from ppdbench.entries.entry import Entry, identity_of, read_entry
from ppdbench.entries.files import ENTRY, GALLERY, LARGEST, REPRODUCED, SCORES, SUMMARY, read_file
from ppdbench.entries.lines import MOST_RECORDS, write_lines
from ppdbench.entries.problems import BadEntry
from ppdbench.entries.record import Gathered, entry_yaml, gather
from ppdbench.entries.schema import EntryYaml, first_error
from ppdbench.errors import PpdbenchError, UsageError, unknown_name
from ppdbench.leaderboard.anew import figures_anew
from ppdbench.leaderboard.figures import Records
from ppdbench.leaderboard.folders import changing, replace_folder
from ppdbench.leaderboard.gallery import draw_gallery, pictures_of, strips
from ppdbench.leaderboard.items import Covered, item_of
from ppdbench.leaderboard.read import results_of
from ppdbench.leaderboard.summary import computed, summary_json, summary_text
from ppdbench.leaderboard.training_users import declare, users_of_file, users_of_suite
from ppdbench.leaderboard.words import guessed, kept_words
from ppdbench.leaderboard.world import Board, World
from ppdbench.runs.directory import read_spec
from ppdbench.runs.results import Result

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """An entry that was written."""

    name: str
    folder: Path
    changed: bool
    """False where it was there as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Board:
    """Where entries are added, and what they are held against."""

    place: Path
    """The suite's folder."""
    world: World
    note: Note


def add(
    runs: Sequence[Path],
    board: Path,
    *,
    models: Sequence[str] = (),
    words: Mapping[str, Any] | None = None,
    training_users: Path | None = None,
    note: Note = lambda _: None,
) -> list[Added]:
    """Write entries of what finished runs computed; returns them, the baseline's first.

    Args:
        runs: folders of finished, whole runs of one suite; those of one generator are united.
        board: folder of suites' folders of entries; made where it is not there.
        models: which generators; none is all that the runs computed afresh.
        words: what is said of the entry, over what the entry that is there says: `words.ASKED`.
        training_users: a file of the ids of those whom the generator was trained for.
        note: told what a reader should know.

    Raises:
        UsageError: a name that the runs do not hold, or words that no entry may have.
        PpdbenchError: a run is not whole, runs are not of one entry, or the board's baseline is
            another.
    """
    specs = [read_spec(run) for run in runs]
    fresh = list(dict.fromkeys(name for spec in specs for name in spec.get("generators", {})))
    for name in models:
        if name not in fresh:
            raise unknown_name("freshly computed generator", name, fresh)
    suite, baseline = _shared(runs, specs)
    names = list(dict.fromkeys(models or fresh))
    others = [name for name in names if name != baseline]
    asked = others or names
    if (words or training_users) and len(asked) > 1:
        raise UsageError(
            f"the words are about one entry, and {len(asked)} would be written",
            fix=f"name one of {', '.join(asked)} with --model",
        )
    gathered = {name: gather(runs, name) for name in names}
    base = gathered[baseline] if baseline in models else gather(runs, baseline)
    world = Board(board).world(suite)
    _require_suite(world, base)
    with changing(board / suite):
        here = _Board(place=board / suite, world=world, note=note)
        told = (words or {}, training_users) if not others else ({}, None)
        added = [_add_baseline(here, base, *told, anew=baseline in models)]
        if added[0].changed:
            moved = figures_anew(here.place, world, baseline, but=others)
            if moved:
                note(f"figures computed anew over {baseline}: {', '.join(moved)}")
        results = results_of(here.place / baseline) if others else ()
        for name in others:
            added.append(_add(here, gathered[name], results, words or {}, training_users))
    return added


def _shared(runs: Sequence[Path], specs: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The suite and the baseline of the runs."""
    found = [(spec["suite"], spec.get("baseline")) for spec in specs]
    if len(set(found)) > 1:
        raise UsageError("the runs are of several suites", fix="add runs of one suite at a time")
    if not found or found[0][1] is None:
        raise PpdbenchError(
            f"{runs[0]} drew nothing that is recorded",
            fix="add a run of benchmark rewards or personal",
        )
    return found[0][0], found[0][1]


def _require_suite(world: World, base: Gathered) -> None:
    if base.facts["suite_digest"] != world.digest:
        raise PpdbenchError(
            f"the run is of version {base.facts['suite_version']} "
            f"({base.facts['suite_digest'][:12]}) of {base.facts['suite']}, this ppdbench has "
            f"{world.suite.version} ({world.digest[:12]})",
            fix="run its command again with this ppdbench, then add that run",
        )


def _add_baseline(
    here: _Board,
    gathered: Gathered,
    words: Mapping[str, Any],
    training_users: Path | None,
    *,
    anew: bool,
) -> Added:
    """The baseline's entry: written where it is missing, and given the items that it lacks."""
    folder = here.place / gathered.name
    if not anew and folder.exists():
        before = read_entry(folder).about
        theirs = gathered.facts["generator"]["revision"]
        if before.generator.revision != theirs or before.suite_digest != here.world.digest:
            raise PpdbenchError(
                f"the board's {gathered.name} is of revision {before.generator.revision[:12]}, "
                f"the run's of {theirs[:12]}: win rates over one say nothing of the other",
                fix=f"add to another board, or record {gathered.name} anew with --model "
                f"{gathered.name}, and then every other entry",
            )
        _require_scorers(gathered, before.scorers)
        there = {item_of(result): result for result in results_of(folder)}
        moved = [r for r in gathered.results if item_of(r) in there]
        others = sum(r.image != there[item_of(r)].image for r in moved)
        if others:
            here.note(
                f"{others} of {len(moved)} pictures of {gathered.name} differ from the board's, "
                "as on another machine; win rates are over the board's"
            )
        new = [r for r in gathered.results if item_of(r) not in there]
        facts = {**gathered.facts, "scorers": before.scorers | gathered.facts["scorers"]}
        facts["people"] = gathered.facts["people"] or before.people
        gathered = replace(gathered, results=(*there.values(), *new), facts=facts)
    return _add(here, gathered, (), words, training_users)


def _require_scorers(gathered: Gathered, before: Mapping[str, str]) -> None:
    """Refuse a run whose scores are of another kind than those on the board."""
    ours = gathered.facts["scorers"]
    others = sorted(key for key in ours.keys() & before.keys() if ours[key] != before[key])
    if others:
        raise PpdbenchError(
            f"the board's {gathered.name} was scored by another {', '.join(others)} than the run: "
            "their scores say nothing of each other",
            fix=f"add to another board, or record {gathered.name} anew with --model "
            f"{gathered.name}, and then every other entry",
        )


def _require_free(folder: Path) -> None:
    """Refuse a name that another entry has in other letters: some file systems see one folder.

    Raises:
        UsageError: it names the other.
    """
    for other in folder.parent.iterdir():
        if other.name != folder.name and other.name.casefold() == folder.name.casefold():
            raise UsageError(
                f"the board has {other.name}, which is {folder.name} in other letters",
                fix="let the generator's `info.name` be another, and run it again",
            )


def _add(
    here: _Board,
    gathered: Gathered,
    baseline: Sequence[Result],
    words: Mapping[str, Any],
    training_users: Path | None,
) -> Added:
    """One entry, in the place of the one that is there."""
    folder = here.place / gathered.name
    _require_free(folder)
    before = _before(folder, here.note)
    if len(gathered.results) > MOST_RECORDS:
        raise PpdbenchError(
            f"{gathered.name} has {len(gathered.results):,} records, {MOST_RECORDS:,} are allowed",
            fix="add a run with fewer --samples",
        )
    picture = pictures_of(gathered.runs)
    sheet = draw_gallery(strips(here.world, gathered.results, baseline), picture)
    if sheet is None and before is not None:
        sheet = before.gallery_bytes()
    more = _more(here, gathered, before, training_users)
    said = {**kept_words(before), **words}
    said |= guessed(gathered.name, gathered.facts["generator"]["settings"], said)
    files = entry_files(
        here.world,
        entry_yaml(gathered, said, more),
        gathered.results,
        Records.of(gathered.facts["baseline"]["name"], baseline) if baseline else None,
        gallery=sheet,
        before=before,
    )
    return Added(name=gathered.name, folder=folder, changed=replace_folder(folder, files))


def entry_files(
    world: World,
    said: dict[str, Any],
    results: Sequence[Result],
    baseline: Records | None,
    *,
    gallery: bytes | None,
    before: Entry | None = None,
) -> dict[str, bytes]:
    """Name -> content of an entry's files.

    Args:
        world: the suite.
        said: entry.yaml, but for the gallery.
        results: its records.
        baseline: the records of the baseline's entry; None of that entry itself.
        gallery: the contact sheet.
        before: the entry that is there: where nothing but words changed, its date stays, and that
            it was reproduced.

    Raises:
        UsageError: a field is not as it must be.
        PpdbenchError: the records are not the suite's items, each and no other.
    """
    sheet = {"file": GALLERY, "sha256": _sha256(gallery)} if gallery else None
    said, scores = {**said, "gallery": sheet}, write_lines(results)
    about = valid_entry(said)
    kept: dict[str, bytes] = {}
    if before is not None and before.identity == identity_of(about, _sha256(scores)):
        said |= {key: getattr(before.about, key) for key in ("recorded", "ppdbench")}
        about = valid_entry(said)
        if before.reproduced is not None:
            kept[REPRODUCED] = read_file(before.folder, REPRODUCED)
    text = write_yaml(said).encode()
    if len(text) > LARGEST[ENTRY]:
        raise UsageError(
            f"entry.yaml of {about.name} has {len(text):,} bytes, {LARGEST[ENTRY]:,} are allowed",
            fix="let the generator's `info.settings` say less",
        )
    files = {ENTRY: text, SCORES: scores, **({GALLERY: gallery} if gallery else {})}
    found, coverage = computed(world, about, results, baseline)
    _require_whole(about.name, coverage)
    summary = summary_text(summary_json(about, found, coverage, files))
    return {**files, SUMMARY: summary.encode(), **kept}


def _require_whole(name: str, coverage: Mapping[str, Covered]) -> None:
    """Refuse here what `check` would refuse there."""
    for benchmark, covered in coverage.items():
        if covered.missing or covered.strange:
            named = covered.missing[0] if covered.missing else covered.strange[0][1]
            raise PpdbenchError(
                f"{name} would not be whole: of benchmark {benchmark} {len(covered.missing):,} of "
                f"{covered.n_expected:,} items are missing and {len(covered.strange):,} are none "
                f"of the suite: {named}",
                fix="add runs of the same --samples, each of the whole suite",
            )


def valid_entry(said: Mapping[str, Any]) -> EntryYaml:
    """entry.yaml's content, if it is one.

    Raises:
        UsageError: it names the field that is not as it must be.
    """
    try:
        return EntryYaml.model_validate(said)
    except ValidationError as error:
        field, text = first_error(error)
        raise UsageError(
            f"the entry's {field}: {text}", fix="docs/leaderboard.md has the form of each field"
        ) from error


def _more(
    here: _Board, gathered: Gathered, before: Entry | None, training_users: Path | None
) -> dict[str, Any]:
    """Whom it was trained for, as far as somebody says so."""
    earlier = before.about.training_users if before else None
    if training_users is not None:
        users: list[str] | None = users_of_file(training_users)
    else:
        users = users_of_suite(here.world.suite, gathered.training_users_digest)
    if users is None:
        same = (
            before and before.about.generator.revision == (gathered.facts["generator"]["revision"])
        )
        declared = earlier if same else None  # of other weights it says nothing
    else:
        declared = declare(users, earlier)
    return {"training_users": declared.model_dump(mode="json") if declared else None}


def _before(folder: Path, note: Note) -> Entry | None:
    """The entry that is there, if it can be read."""
    if not folder.exists():
        return None
    try:
        return read_entry(folder)
    except BadEntry as error:
        note(f"{folder} is written anew, its words too: {error.problem}")
        return None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
