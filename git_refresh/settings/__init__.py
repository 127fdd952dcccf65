"""Reads and validates the app settings."""
