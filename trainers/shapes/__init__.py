"""Trains the models of the embedded world: base, rewards, classifier; a maintainers' rebuild."""
