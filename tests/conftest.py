"""Tests side by side, as `pytest -n 2` runs them, share the cores: each worker takes one thread."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Two torches of two threads each on two cores wait for each other at every step.
    os.environ["OMP_NUM_THREADS"] = "1"
