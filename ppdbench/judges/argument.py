"""What follows the colon of a judge's name, of judges that take nothing there, or must be told."""

from __future__ import annotations

from ppdbench.errors import UsageError
from ppdbench.protocols import JudgeContext


def no_argument(name: str, context: JudgeContext) -> None:
    """See that nothing follows the judge's name.

    Raises:
        UsageError: something does.
    """
    if context.argument:
        raise UsageError(
            f"the judge {name} takes nothing after a colon, and {context.argument!r} stands there",
            fix=f"use --judge {name}",
        )


def one_argument(name: str, what: str, context: JudgeContext) -> str:
    """What follows the judge's name.

    Raises:
        UsageError: nothing does.
    """
    if not context.argument:
        raise UsageError(
            f"the judge {name} needs a {what} after a colon",
            fix=f"use --judge {name}:{what.upper()}",
        )
    return context.argument
