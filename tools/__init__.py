"""Generators of pages, workbook and figures; never deployed."""
