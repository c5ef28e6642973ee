"""`python -m ppdbench`: the same as the console script."""

from ppdbench.cli import main

main()
