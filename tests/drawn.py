"""How many examples are drawn."""

from hypothesis import settings


def as_often_as(examples: int) -> settings:
    """So many examples; few where hypothesis is told to be quick."""
    usual = settings.get_profile("default").max_examples
    return settings(max_examples=min(examples, settings().max_examples * examples // usual))
