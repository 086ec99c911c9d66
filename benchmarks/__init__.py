"""Benchmarks of commands that users run, as ratios to floors measured in the same run."""
