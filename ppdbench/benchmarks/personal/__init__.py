"""Benchmark `personal`: who draws whose captions, and whose picture whom pleases."""
