"""The number of generated examples."""

from collections.abc import Collection

from hypothesis import HealthCheck, settings


def as_often_as(examples: int, *, suppressed: Collection[HealthCheck] = ()) -> settings:
    """Return settings with this number of examples, or few in hypothesis' quick profile."""
    usual = settings.get_profile("default").max_examples
    most = max(1, min(examples, settings().max_examples * examples // usual))
    return settings(max_examples=most, suppress_health_check=suppressed)
