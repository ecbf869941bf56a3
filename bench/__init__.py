"""Footfall's benchmarks: ratios, each against a limit that is of the same run. See docs/benchmarks.md."""
