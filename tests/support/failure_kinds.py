"""One fault for each kind of failure that the app distinguishes."""

ONE_OF_EACH = (
    "accepts and hangs",
    "resets the connection",
    "throttles for an hour",
    "answers 503 in plain text",
    "answers 200 with wrong types",
    "redirects elsewhere",
)
"""Names of `localcloud.faults.NAMED`; one REST layer parses all responses, so these are enough."""
