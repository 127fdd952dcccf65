"""Of the ways in which a service goes wrong, one for each kind that the app tells apart."""

ONE_OF_EACH = (
    "accepts and hangs",
    "resets the connection",
    "throttles for an hour",
    "answers 503 in plain text",
    "answers 200 with wrong types",
    "redirects elsewhere",
)
"""Names of `localcloud.faults.NAMED`. One REST floor reads all answers, so that one place meets every name and all others these."""
