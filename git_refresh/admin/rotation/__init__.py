"""Rotates the OAuth secrets of a list: decision, steps, report."""
