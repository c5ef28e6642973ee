"""Preference data in the Pick-a-Pic v2 schema: `pickapic` reads and writes it."""
