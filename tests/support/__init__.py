"""Shared helpers of tests: fakes, virtual time, generated trees, runs of the app, and checks."""
