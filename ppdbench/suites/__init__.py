"""What to measure on: captions, users, splits, rewards, defaults; frozen under a version."""
