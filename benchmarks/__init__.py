"""Benchmarks of the time and memory of runs; never deployed."""
