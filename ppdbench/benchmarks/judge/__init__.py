"""Benchmark `judge`: what is drawn and asked, what it would cost, and what the verdicts say."""
