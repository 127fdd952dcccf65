"""Failures, and their diagnoses: code, cause and remedy."""
