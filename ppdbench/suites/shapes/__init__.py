"""The embedded world: captions, users and rewards whose truth is computable, frozen by version.

`suite()` is the entry point. Pictures: `renderer.py`; language and splits: `scenes.py`,
`captions.py`; people and what they choose: `people.py`, `pairs.py`; what is measured on pixels:
`attributes.py`, `classifier.py`; weights: `assets/`.
"""

from ppdbench.suites.shapes.suite import suite

__all__ = ["suite"]
