"""report.html: one file that needs nothing else, made from a run directory alone.

No request leaves the page: styles, script and images are inside, and its content security policy
forbids the rest. All text of a run is escaped by the template. Elsewhere: what the sections say
(`rewards.section`, `details`), how templates are filled (`environment`), their layout
(`templates/report.html.j2`), the terminal's table (`tables`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppdbench import plugins
from ppdbench.errors import PpdbenchError
from ppdbench.protocols import Caption, PaperRow, People
from ppdbench.reports import details
from ppdbench.reports.environment import fill
from ppdbench.reports.extremes import people_extremes, reward_extremes
from ppdbench.reports.fidelity import fidelity
from ppdbench.reports.figure_list import figures_of
from ppdbench.reports.files.figure import write_figures
from ppdbench.reports.gallery import gallery, pictures_in
from ppdbench.reports.headline import (
    Headline,
    headline,
    people_headline,
    users_headline,
)
from ppdbench.reports.interpolation.gallery import simplex_gallery
from ppdbench.reports.interpolation.headline import interpolation_headline
from ppdbench.reports.interpolation.section import interpolation
from ppdbench.reports.judge.bill import judge_bill
from ppdbench.reports.judge.calibrated import calibrated
from ppdbench.reports.judge.headline import calibration_headline, calibration_of, judge_headline
from ppdbench.reports.judge.section import judged
from ppdbench.reports.judge.verdicts import verdicts
from ppdbench.reports.people.gallery import people_gallery
from ppdbench.reports.people.identified import PAPER, identified
from ppdbench.reports.people.section import people
from ppdbench.reports.rewards import section as page
from ppdbench.reports.rewards.mean_table import means
from ppdbench.reports.rewards.training import training
from ppdbench.reports.shown_records import shown_records
from ppdbench.reports.summary import read_summary
from ppdbench.reports.tradeoff.headline import tradeoff_headline
from ppdbench.reports.tradeoff.section import tradeoff
from ppdbench.runs.atomic import write_atomic
from ppdbench.runs.captions import read_captions
from ppdbench.runs.images import ImageStore
from ppdbench.runs.results import Result, read_results, read_scorers

if TYPE_CHECKING:
    from markupsafe import Markup

FAILURES_SHOWN = 50
NOTHING_DRAWN: Mapping[str, Any] = {"baseline": "", "n_ok": 0, "n_expected": 0, "complete": True}
"""What a summary may lack that is of no model, but of a judge alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """All that a page is made from, beside the files of the images."""

    run_dir: Path
    summary: Mapping[str, Any]
    results: Mapping[str, Result]
    captions: Sequence[Caption]
    paper: Sequence[PaperRow] = ()
    """The figures printed in the paper."""
    people: People | None = None
    """The users of the suite, where it has some."""
    missing: str = ""
    """Why the suite could not be loaded, if so."""

    @classmethod
    def of(cls, run_dir: Path) -> Sources:
        """What a run's folder holds and its suite knows; a run outlives its suite's plug-in.

        Raises:
            PpdbenchError: summary.json is missing, damaged or of another version, or a record file
                is damaged.
        """
        found = read_summary(run_dir / "summary.json")
        known = {key: value for key, value in found.items() if value is not None}
        captions = read_captions(run_dir)
        own = cls(
            run_dir=run_dir,
            summary={**NOTHING_DRAWN, **known},
            results=read_results(run_dir),
            captions=captions or [],
        )
        try:
            suite = plugins.make_suite(str(found["suite"]))
            captions = suite.captions("test") if captions is None else captions
            people = getattr(suite, "people", None)
            return replace(own, captions=captions, paper=suite.paper, people=people)
        except PpdbenchError as error:
            return replace(own, missing=error.cause)


def write_report(run_dir: Path) -> Path:
    """Write the page of a finished run and the files of its figures; returns the page's path.

    Args:
        run_dir: a run's folder with summary.json; records, images, env.json and spec.json are
            used where they are there.

    Raises:
        PpdbenchError: summary.json is missing, damaged or of another version, a record file is
            damaged, or a file cannot be written.
    """
    sources = Sources.of(run_dir)
    # The page last: it links to the others.
    names = write_figures(run_dir, figures_of(sources.summary))
    path = run_dir / "report.html"
    write_atomic(path, render(sources, names))
    return path


def render(sources: Sources, figures: Sequence[str] = ()) -> str:
    """The page's text.

    Args:
        sources: what it is made from.
        figures: names of the figures whose files lie beside it.
    """
    summary = sources.summary
    return fill(
        "report.html.j2",
        summary=summary,
        figures=figures,
        headings=headings,
        headline=_headline(summary),
        missing=sources.missing,
        captions_known=bool(sources.captions),
        **_sections(summary),
        **_pictures(sources),
        **_around(sources),
    )


def headings(body: str) -> list[tuple[str, Markup]]:
    """(id, title) of the sections of a page's body, in order."""
    from markupsafe import Markup

    found = re.findall(r'<h2 id="([\w-]+)">(.*?)</h2>', str(body), flags=re.DOTALL)
    return [(name, Markup(title)) for name, title in found]  # noqa: S704 - escaped by our template


def _sections(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the summary alone says."""
    judge_section = judged(summary)
    return {
        "tiles": page.tiles(summary),
        "means": means(summary),
        "comparisons": page.comparisons(summary),
        "tests": page.tests(summary),
        "matrix": page.matrix(summary),
        "gains": page.shares(summary, "gain", "ratio"),
        "gains_line": page.share_line(summary, "gain", "ratio"),
        "kept": page.shares(summary, "gold_gain", "kept"),
        "kept_line": page.share_line(summary, "gold_gain", "kept"),
        "training": training(summary),
        "categories": page.categories(summary),
        "fidelity": fidelity(summary),
        "interpolation": interpolation(summary),
        "tradeoff": tradeoff(summary),
        "identified": identified(summary),
        "identified_paper": PAPER,
        "people": people(summary),
        "judged": judge_section,
        "funnel": judge_section and judge_section["funnel"],
        "calibrated": calibrated(calibration_of(summary)[0]),
        "bill": judge_bill(summary),
    }


def _pictures(sources: Sources) -> dict[str, Any]:
    """The pictures, and the records that they come from."""
    summary, results, captions = sources.summary, sources.results, sources.captions
    store = ImageStore(sources.run_dir / "images")
    scorers = read_scorers(sources.run_dir)
    found: dict[str, Any] = {
        "gallery": gallery(store, results, summary, captions),
        "extremes": reward_extremes(store, results, summary, captions),
        "simplex_gallery": simplex_gallery(store, results, summary, captions),
        "people_gallery": people_gallery(store, results, summary, captions),
        "people_extremes": people_extremes(
            store, results, summary, captions, sources.people, scorers
        ),
        "verdicts": verdicts(sources.run_dir, results, summary),
    }
    items = [picture.item for section in found.values() for picture in pictures_in(section)]
    return found | {"records": shown_records(results, items, summary)}


def _around(sources: Sources) -> dict[str, Any]:
    """What stands around the figures."""
    summary, run_dir = sources.summary, sources.run_dir
    failures = summary.get("failures") or []
    return {
        "paper": details.paper(sources.paper, summary) if _of_rewards(summary) else None,
        "times": details.times(summary),
        "generators": details.generators(summary),
        "rewards": details.rewards(summary),
        "environment": details.facts(_optional(run_dir / "env.json")),
        "spec": details.facts(_optional(run_dir / "spec.json")),
        "run_name": run_dir.resolve().name,
        "failures": failures[:FAILURES_SHOWN],
        "n_failures": len(failures),
    }


def _headline(summary: Mapping[str, Any]) -> Headline:
    """The sentence over the page: of a judge, of rewards, or of what there is beside them."""
    judge = judge_headline(summary) or calibration_headline(summary)
    if judge:
        return judge
    if summary["benchmarks"].get("rewards"):
        return headline(summary)
    further = people_headline, users_headline, interpolation_headline, tradeoff_headline
    return next((said for of in further if (said := of(summary))), None) or headline(summary)


OF_ITS_OWN = {"judge", "calibration", "users", "interpolation_about", "tradeoff"}
"""Benchmarks whose pages have no place for the paper's figures of rewards."""


def _of_rewards(summary: Mapping[str, Any]) -> bool:
    """Whether the paper's figures of rewards have a place on the page: others are their own."""
    known = summary["benchmarks"].keys()
    return "rewards" in known or not known & OF_ITS_OWN


def _optional(path: Path) -> dict[str, Any]:
    """A JSON file that a page can do without."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if key != "schema_version"}
