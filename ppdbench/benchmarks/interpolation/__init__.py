"""Benchmark `interpolation`: the weight simplex, what is drawn for it, and its figures."""
