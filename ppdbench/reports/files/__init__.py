"""Drawings as files: one figure as SVG, PNG and CSV, and what draws each kind."""
