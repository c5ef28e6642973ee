"""Adapters as files: read, written, heard, and told of in a model card."""
