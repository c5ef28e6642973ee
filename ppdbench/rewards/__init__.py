"""Scorers of images, found by entry point and loaded on use."""
