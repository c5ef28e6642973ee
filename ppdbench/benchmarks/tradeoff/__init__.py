"""Benchmark `tradeoff`: gain, divergence and diversity, drawn, measured, recorded and compared."""
