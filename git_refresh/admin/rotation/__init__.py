"""Rotating the OAuth secrets of the list: what is to be done, doing it, and what was done."""
