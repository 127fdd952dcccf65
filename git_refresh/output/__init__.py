"""All output of the app: log lines, redaction, masking, commands to paste."""
