"""The one way out: log lines, redaction, masking, commands to paste."""
