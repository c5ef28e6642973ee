"""The terminal's tables of a judge: its win rates by split, and its agreement with users.

Names come from plug-ins and files, so they are printed as plain text, never as markup. Elsewhere:
other tables (`tables`, `people.table`), the page (`html`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ppdbench.reports.fidelity import fidelity
from ppdbench.reports.figures import (
    Cell,
    count,
    is_number,
    named,
    number,
    p_value,
    percent,
    points,
    rate,
    span,
)
from ppdbench.reports.headline import Headline, outcome
from ppdbench.reports.judge import bill as judge_bill
from ppdbench.reports.judge.calibrated import arms, difference, figure, sample
from ppdbench.reports.judge.calibrated import consistent as agreed_consistently
from ppdbench.reports.judge.headline import (
    calibrating,
    calibration_headline,
    calibration_of,
    judge_headline,
)
from ppdbench.reports.judge.position_bias import bias_points, bias_says
from ppdbench.reports.judge.section import (
    SHOTS,
    arm,
    consistent,
    control,
    headline_arm,
    headline_cell,
    paper_rate,
)
from ppdbench.reports.people.section import SPLITS
from ppdbench.reports.tables import STYLES, empty_table, plain

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

SHOWN = {"own": "own shots", "other_shots": "another's shots", "zero_shots": "no shots"}
CONTROLS = {
    "zero_shots": "no shots",
    "other_shots": "another's shots",
    "other_context": "another's image",
}


def judge_tables(summary: Mapping[str, Any]) -> list[Table]:
    """The tables of what a run has of a judge, in order; none where nothing was judged.

    Args:
        summary: the content of summary.json.
    """
    found = (summary.get("benchmarks") or {}).get("judge") or {}
    splits = {split: found[split] for split in SPLITS if found.get(split)}
    return [_judge_table(summary, splits)] if splits else []


def calibration_tables(summary: Mapping[str, Any]) -> list[Table]:
    """The tables of a calibration, in order; none where the run is none.

    Args:
        summary: the content of summary.json.
    """
    found = (summary.get("benchmarks") or {}).get("calibration")
    return [_agreement_table(summary, found), _checks_table(summary, found)] if found else []


def _judge_table(summary: Mapping[str, Any], splits: Mapping[str, Cell]) -> Table:
    from rich.text import Text

    table = empty_table(_said(judge_headline(summary)), "\n".join(_notes(summary, splits)))
    table.add_column("", overflow="fold", min_width=17)
    for split in splits:
        table.add_column(SPLITS[split], justify="right", overflow="fold", min_width=17)
    own = list(splits.values())
    heads = [headline_cell(each) for each in own]

    def row(label: str, cells: Iterable[Text], style: str = "") -> None:
        table.add_row(Text(label, style=style), *cells)

    row("win rates", (), "bold")
    for name, label in SHOTS.items():
        row(f"  {label}", (_win(arm(each, name)) for each in own))
    row("  inflation, pts", (_points(named(each, "inflation"), "inflation") for each in own))
    if any(is_number(each.get("true_win_rate")) for each in own):
        row("  in truth", (plain(figure(each, "true_win_rate", rate)) for each in own))
    row("  comparisons", (_comparisons(cell) for cell in heads))
    table.add_section()
    known = [name for name in CONTROLS if any(control(each, name) for each in own)]
    if known:
        row("controls", (), "bold")
    for name in known:
        found = [control(each, name) for each in own]
        row(f"  {CONTROLS[name]}", (plain(rate(cell, "win_rate")) for cell in found))
        lost = [named(cell, "difference") for cell in found]
        row("    points lost", (_points(cell, "difference") for cell in lost), "dim")
        if any((cell or {}).get("first_pick_bias_flagged") for cell in found):
            row("    bias, flagged", (_bias(cell or {}) for cell in found), "dim")
    table.add_section()
    row("the judge", (), "bold")
    for name in SHOTS:
        cells = [arm(each, name) for each in own]
        if any(is_number((cell or {}).get("accuracy")) for cell in cells):
            row(f"  right, {name}", (plain(figure(cell, "accuracy", rate)) for cell in cells))
    for name in SHOTS:
        if any(arm(each, name) for each in own):
            row(f"  bias, {name}", (_bias(arm(each, name) or {}) for each in own))
    papers = [arm(each, "shared") or arm(each, "disjoint") or {} for each in own]
    row("  consistent only", (plain(consistent(cell)) for cell in papers))
    row("    coverage", (plain(figure(cell, "coverage", rate)) for cell in papers), "dim")
    return table


def _agreement_table(summary: Mapping[str, Any], found: Mapping[str, Any]) -> Table:
    from rich.text import Text

    table = empty_table(_said(calibration_headline(summary)), "\n".join(_agreement_notes(found)))
    table.add_column("shown", overflow="fold", min_width=15)
    for heading in ("all answers", "tie-half", "consistent only"):
        table.add_column(heading, justify="right", overflow="fold", min_width=17)
    for name, label, cell in arms(found):
        table.add_row(
            Text(SHOWN.get(name, label), style="bold" if name == "own" else ""),
            *(plain(figure(cell, key, rate)) for key in ("all_call", "tie_half")),
            plain(agreed_consistently(cell)),
        )
    return table


def _checks_table(summary: Mapping[str, Any], found: Mapping[str, Any]) -> Table:
    from rich.text import Text

    table = empty_table("", "\n".join(_check_notes(summary, found)))
    table.add_column("shown", overflow="fold", min_width=15)
    for heading in ("coverage", "own minus, pts", "first-pick, pts"):
        table.add_column(heading, justify="right", overflow="fold", min_width=16)
    for name, label, cell in arms(found):
        against = difference(found, name)
        table.add_row(
            Text(SHOWN.get(name, label), style="bold" if name == "own" else ""),
            plain(figure(cell, "coverage", rate)),
            _points(against, "difference") if against else Text(""),
            _bias(cell),
        )
    return table


def _said(headline: Headline | None) -> str:
    if headline is None:
        return ""
    return f"{headline.text}: {headline.reason}" if headline.withheld else headline.text


def _win(cell: Cell | None) -> Text:
    from rich.text import Text

    shown = rate(cell, "win_rate")
    if not shown.value:
        return Text("not judged" if cell is None else "undefined", style="dim")
    interval = f" [{shown.interval}]" if shown.interval else ""
    return Text.assemble((shown.value, STYLES[outcome(cell)]), interval)


def _points(cell: Cell | None, key: str) -> Text:
    """A difference in points and its interval, short; its row or column says that it is."""
    from rich.text import Text

    value, low, high = ((cell or {}).get(name) for name in (key, "ci_low", "ci_high"))
    if not is_number(value):
        return Text("\N{EN DASH}", style="dim")
    interval = span(100 * low, 100 * high, 1) if is_number(low) and is_number(high) else ""
    return Text(number(100 * value, 1, plus=True) + (f" [{interval}]" if interval else ""))


def _comparisons(cell: Cell) -> Text:
    from rich.text import Text

    n, expected = count(cell.get("n")), count(cell.get("n_expected"))
    return Text(f"{n} of {expected}" if expected and expected != n else n, style="dim")


def _bias(cell: Cell) -> Text:
    from rich.text import Text

    shown = bias_points(cell.get("first_pick_bias")).removesuffix(" points")
    if not shown:
        return Text("\N{EN DASH}", style="dim")
    if not cell.get("first_pick_bias_flagged"):
        return Text(shown)
    return Text(f"{shown}, flagged", style="red")


def _notes(summary: Mapping[str, Any], splits: Mapping[str, Cell]) -> list[str]:
    """What stands below: how to read it, the paper, calibration, costs, reasons."""
    paper = ", ".join(f"{split} {paper_rate(split)}" for split in splits)
    lost = f"points lost: {SHOTS[headline_arm(splits.values())]} minus the control, paired"
    lines = [
        "each comparison is judged in both orders, a contradiction counts half; shared shots: the "
        "judge sees what the generator was given; 95% intervals, users are the sample",
        "bias, in points: the first picture picked in both orders, less the second, of all "
        "comparisons",
        *([lost] if any(own.get("controls") for own in splits.values()) else []),
        f"consistent only is the paper's rate; it prints {paper}, without coverage: reported at "
        "paper scale, not comparable",
    ]
    every = [cell for own in splits.values() for name in SHOTS if (cell := arm(own, name))]
    biased = dict.fromkeys(
        bias_says(cell.get("first_pick_bias"), True)
        for cell in every
        if cell.get("first_pick_bias_flagged")
    )
    whole = (fidelity(summary, "judge_fidelity") or {}).get("whole")
    if whole:
        pair = f"{summary['model']} minus {summary['baseline']}"
        lines.append(f"caption fidelity, {pair}: {whole['shown']}")
    lines += [*biased, _rests_on(summary), *_took(summary)]
    reasons = [c.get("reason") or "" for c in every if not is_number(c.get("win_rate"))]
    return lines + [f"undefined: {reason}" for reason in dict.fromkeys(reasons) if reason]


def _rests_on(summary: Mapping[str, Any]) -> str:
    """The calibration behind a win rate, in a line."""
    found, missing = calibration_of(summary)
    if found is None:
        return f"not calibrated: {missing}; run\n`{calibrating(summary)}`"
    agreed = figure(found["own"], "all_call", rate)
    personal = "not personalised, " if found.get("personalised") is False else ""
    if not agreed.value:
        return f"calibration: {personal}{agreed.gap}"
    other = percent((found.get("other_shots") or {}).get("all_call"))
    against = f", {other} with another user's shots" if other else ""
    return f"calibration: {personal}agrees with users' own choices {agreed}{against}"


def _took(summary: Mapping[str, Any]) -> list[str]:
    judge = summary.get("judge") or {}
    said = [
        text
        for text in (
            f"calls {judge_bill.calls(judge)}" if judge_bill.calls(judge) else "",
            judge_bill.statuses(judge),
            f"cost {judge_bill.dollars(judge.get('cost'))}" if judge.get("cost") else "",
        )
        if text
    ]
    return ["; ".join(said)] if said else []


def _agreement_notes(found: Mapping[str, Any]) -> list[str]:
    """What stands below the agreement: the sample, the ceiling, the paper."""
    lines = [
        "share of answers that are the user's own choice, 50% is chance; 95% intervals, users are "
        "the sample"
    ]
    if sample(found):
        lines.append(sample(found))
    ceiling, way = percent(found.get("ceiling")), percent(found.get("way_to_ceiling"))
    if ceiling:
        lines.append(
            f"ceiling of the best guesser {ceiling}" + (f", {way} of the way" if way else "")
        )
    if paper := percent(found.get("paper"), 0):
        lines.append(
            f"the paper's {paper} reads as of consistent answers, coverage unsaid: not comparable"
        )
    if found.get("reason"):
        lines.append(f"undefined: {found['reason']}")
    return lines


def _check_notes(summary: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What stands below the checks: whether it is personal, repeats, the placebo, the costs."""
    own = difference(found, "other_shots")
    p = p_value(((found.get("differences") or {}).get("other_shots") or {}).get("p_value"))
    told = points(own, "difference")
    said = f"{told}{f', p {p}' if p else ''}" if told.value else told.gap
    known = found.get("personalised")
    personal = "" if known is None else "personalised: " if known else "not personalised: "
    lines = [f"{personal}own shots minus another user's {said}"]
    repeats = found.get("repeats") or {}
    if repeats.get("n"):
        stable = figure(repeats, "stable", rate, "none was answered twice")
        lines.append(f"the same answer to a question asked again: {stable}, n {repeats['n']}")
    same = found.get("identical") or {}
    if same.get("n"):
        says = bias_says(same.get("bias"), same.get("flagged"))
        lines.append(
            f"the same picture twice: {bias_points(same.get('bias'))} to the first, {says}"
        )
    return lines + _took(summary)
