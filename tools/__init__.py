"""Generators of pages, workbook and snapshots. Never deployed."""
