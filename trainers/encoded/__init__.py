"""Pairs and captions encoded once, mapped, and what is made of them: users' embeddings, scores."""
