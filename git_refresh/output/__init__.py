"""Output of the app: log lines, redaction, commands for the user."""
