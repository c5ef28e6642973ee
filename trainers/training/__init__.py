"""The one training loop and what surrounds it, the same for every method and scale."""
