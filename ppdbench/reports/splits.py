"""The terminal's tables of `ppdbench data`: pairs, their funnel, the sizes of splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from ppdbench.data.splits import Splits


def split_tables(splits: Splits) -> list[Table]:
    """The funnel and the sizes."""
    funnel = _table("step", "pairs", "users")
    for step in splits.funnel:
        for reason, count in step.left_out.items():
            _row(funnel, (f"  - {reason}", f"-{count:,}", ""), dim=True)
        _row(funnel, (step.name, f"{step.pairs:,}", f"{step.users:,}"))
    sizes = _table("split", "users", "pairs", "choices", "with two sets of shots")
    for name, size in splits.sizes.items():
        shown = [size["users"], size["pairs"], size.get("choices"), size.get("users_with_two_sets")]
        _row(sizes, (name, *("" if count is None else f"{count:,}" for count in shown)))
    train = splits.sizes["train"]
    sizes.caption = (
        f"{train['users_with_shots']:,} training users have {train['shot_groups']:,} groups of "
        f"shots; digest {splits.digest[:12]}"
    )
    return [funnel, sizes]


def source_tables(facts: Mapping[str, Any]) -> list[Table]:
    """What `source_facts` found."""
    funnel = _table("rows", "pairs", "users")
    _row(funnel, (f"in {len(facts['files'])} files", f"{facts['rows']:,}", f"{facts['users']:,}"))
    for reason, count in facts["left_out"].items():
        _row(funnel, (f"  - {reason}", f"-{count:,}", ""), dim=True)
    usable = facts["usable"]
    _row(funnel, ("usable, images unseen", f"{usable['pairs']:,}", f"{usable['users']:,}"))
    spread = _table("of a user, at the quantile", *usable["pairs_per_user"])
    for name in ("pairs", "captions"):
        _row(spread, (name, *(f"{n:,.0f}" for n in usable[f"{name}_per_user"].values())))
    spread.caption = (
        f"{usable['captions']:,} captions, {usable['images']:,} images known by "
        f"{facts['images_known_by']}"
    )
    return [funnel, spread]


def _table(first: str, *others: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, caption_justify="left")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _row(table: Table, cells: Iterable[str], *, dim: bool = False) -> None:
    from rich.text import Text

    table.add_row(*(Text(cell) for cell in cells), style="dim" if dim else None)
