"""Stable Cascade in parts: schedule, sampler, Stage C, user attention, compressor, previewer."""
