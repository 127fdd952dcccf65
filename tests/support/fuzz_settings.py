"""The number of examples in fuzzing tests."""

import os

from hypothesis import HealthCheck, Phase, settings

FUZZ = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""Examples per service for `make fuzz`; 0 in `make test`."""

_COMMON = settings(
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ],
)


def some(few: int, of_fuzz: int = 1) -> settings:
    """Return the same few examples each time, or a number of random ones for `make fuzz`."""
    if FUZZ:
        return settings(_COMMON, max_examples=max(1, FUZZ // of_fuzz), print_blob=True)
    phases = [Phase.explicit, Phase.generate]
    return settings(_COMMON, derandomize=True, database=None, max_examples=few, phases=phases)
