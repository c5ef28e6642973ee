"""ppdbench measures whether a text-to-image model draws what this user likes.

Importing it is cheap and gives the version only; `ppdbench.protocols` has the plug-in types and
`ppdbench.benchmarks.evaluate` the main job.
"""

__version__ = "0.1.0"
