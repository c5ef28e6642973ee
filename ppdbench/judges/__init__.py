"""Judges: who choose between two images on behalf of a user, and are asked in both orders."""
