"""Finished runs held against each other: what is comparable, and each benchmark's differences."""
