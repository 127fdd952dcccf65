"""What makes pages, the workbook and the numbers on pages. Never deployed."""
