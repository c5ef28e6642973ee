"""A headline as the pages print it: the claim, a colon, its figures."""

from ppdbench.reports.headline import Headline


def sentence(said: Headline) -> str:
    return f"{said.text}: {said.figures}." if said.figures else said.text
