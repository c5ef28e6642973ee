"""Benchmark `rewards`: win rates and gains by synthetic rewards."""
