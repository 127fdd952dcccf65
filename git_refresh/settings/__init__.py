"""Reads app settings into typed values. Every problem has its location."""
