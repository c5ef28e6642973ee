"""The reference entries: PPD and its baselines; the harness meets them by entry point only."""
