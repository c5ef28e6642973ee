"""report.html: one file that needs nothing else, made from a run directory alone.

No request leaves the page: styles, script and images are inside, and its content security policy
forbids the rest. All text of a run is escaped by the template. Elsewhere: what the sections say
(`page`, `details`), their layout (`templates/report.html.j2`), the terminal's table (`tables`).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from ppdbench import plugins
from ppdbench.errors import PpdbenchError
from ppdbench.protocols import Caption, PaperRow
from ppdbench.reports import details, page
from ppdbench.reports.calibrated import calibrated
from ppdbench.reports.gallery import gallery
from ppdbench.reports.headline import (
    Headline,
    calibration_headline,
    calibration_of,
    headline,
    judge_headline,
    people_headline,
    reward_names,
    reward_title,
    users_headline,
)
from ppdbench.reports.identified import identified
from ppdbench.reports.judge_bill import judge_bill
from ppdbench.reports.judged import judged
from ppdbench.reports.mean_table import means
from ppdbench.reports.people import people
from ppdbench.reports.people_gallery import people_gallery
from ppdbench.reports.verdicts import verdicts
from ppdbench.runs.atomic import write_atomic
from ppdbench.runs.captions import read_captions

SCHEMA_VERSION = 1
FAILURES_SHOWN = 50
NOTHING_DRAWN: Mapping[str, Any] = {"baseline": "", "n_ok": 0, "n_expected": 0, "complete": True}
"""What a summary may lack that is of no model, but of a judge alone."""


def write_report(run_dir: Path) -> Path:
    """Write the page of a finished run and return its path.

    Args:
        run_dir: a run's folder with summary.json; records, images, env.json and spec.json are
            used where they are there.

    Raises:
        PpdbenchError: summary.json is missing, damaged or of another version, a record file is
            damaged, or the page cannot be written.
    """
    summary = read_summary(run_dir / "summary.json")
    captions, paper, missing = _suite(str(summary["suite"]), read_captions(run_dir))
    path = run_dir / "report.html"
    write_atomic(path, render(run_dir, summary, captions, paper, missing))
    return path


def render(
    run_dir: Path,
    summary: Mapping[str, Any],
    captions: Sequence[Caption],
    paper: Sequence[PaperRow],
    missing: str = "",
) -> str:
    """The page's text.

    Args:
        run_dir: where the records and images are.
        summary: the run's summary.
        captions: the captions of the suite.
        paper: the figures printed in the paper.
        missing: why the suite could not be loaded, if so.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ppdbench.reports"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    summary = {**NOTHING_DRAWN, **{k: v for k, v in summary.items() if v is not None}}
    judge_section = judged(summary)
    script = _template("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template(
        "report.html.j2"
    ).render(
        # Both files are ours: nothing of a run is in them.
        style=Markup(_template("report.css")),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_hash=f"sha256-{digest}",
        summary=summary,
        headline=_headline(summary),
        tiles=page.tiles(summary),
        means=means(summary),
        comparisons=page.comparisons(summary),
        tests=page.tests(summary),
        matrix=page.matrix(summary),
        gains=page.shares(summary, "gain", "ratio"),
        gains_line=page.share_line(summary, "gain", "ratio"),
        kept=page.shares(summary, "gold_gain", "kept"),
        kept_line=page.share_line(summary, "gold_gain", "kept"),
        training_seeds=page.training_seeds(summary),
        reward_titles=[reward_title(summary, name) for name in reward_names(summary)],
        categories=page.categories(summary),
        fidelity=page.fidelity(summary),
        paper=details.paper(paper, summary) if _of_rewards(summary) else None,
        times=details.times(summary),
        gallery=gallery(run_dir, summary, captions),
        identified=identified(summary),
        people=people(summary),
        people_gallery=people_gallery(run_dir, summary, captions),
        judged=judge_section,
        calibrated=calibrated(calibration_of(summary)[0]),
        bill=judge_bill(summary),
        funnel=judge_section and judge_section["funnel"],
        verdicts=verdicts(run_dir, summary),
        missing=missing,
        captions_known=bool(captions),
        generators=details.generators(summary),
        rewards=details.rewards(summary),
        environment=details.facts(_optional(run_dir / "env.json")),
        spec=details.facts(_optional(run_dir / "spec.json")),
        run_name=run_dir.resolve().name,
        failures=(summary.get("failures") or [])[:FAILURES_SHOWN],
        n_failures=len(summary.get("failures") or []),
    )


def _headline(summary: Mapping[str, Any]) -> Headline:
    """The sentence over the page: of a judge, of rewards, or of people where nothing else is."""
    judge = judge_headline(summary) or calibration_headline(summary)
    if judge:
        return judge
    if summary["benchmarks"].get("rewards"):
        return headline(summary)
    return people_headline(summary) or users_headline(summary) or headline(summary)


def _of_rewards(summary: Mapping[str, Any]) -> bool:
    """Whether the paper's figures of rewards have a place on the page: a judge's are its own."""
    return not {"judge", "calibration"} & summary["benchmarks"].keys()


def read_summary(path: Path) -> dict[str, Any]:
    """A run's summary.json.

    Raises:
        PpdbenchError: it is missing, damaged or of another version.
    """
    again = "run its command again; nothing is drawn or asked anew"
    try:
        summary = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise PpdbenchError(f"{path} is not there: the run is not finished", fix=again) from None
    except (OSError, ValueError) as error:
        raise PpdbenchError(f"{path} is damaged: {error}", fix=f"delete it and {again}") from None
    version = summary.get("schema_version") if isinstance(summary, dict) else None
    if version != SCHEMA_VERSION:
        raise PpdbenchError(
            f"{path} has schema_version {version!r}, this ppdbench knows {SCHEMA_VERSION}",
            fix=f"use the ppdbench that wrote it, or delete it and {again}",
        )
    return dict(summary)


def _suite(
    name: str, captions: Sequence[Caption] | None
) -> tuple[Sequence[Caption], Sequence[PaperRow], str]:
    """A run's captions, else its suite's, and paper rows; a run outlives its suite's plug-in."""
    try:
        suite = plugins.make_suite(name)
        paper = suite.paper
        return suite.captions("test") if captions is None else captions, paper, ""
    except PpdbenchError as error:
        return captions or [], [], error.cause


def _optional(path: Path) -> dict[str, Any]:
    """A JSON file that a page can do without."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if key != "schema_version"}


def _template(name: str) -> str:
    return (resources.files("ppdbench.reports") / "templates" / name).read_text("utf-8")
