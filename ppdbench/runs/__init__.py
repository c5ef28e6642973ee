"""The run directory: records, seeds, fingerprints, locks, images, resume."""
