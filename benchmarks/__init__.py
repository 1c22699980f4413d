"""Benchmarks: `pytest benchmarks/` for single figures, `python -m benchmarks.report` for the comparison with peers."""
