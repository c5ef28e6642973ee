"""Benchmark `users`: whose embedding is it, and what embeddings represent."""
