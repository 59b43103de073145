"""Measurements of speed; see benchmarks/README.md."""
