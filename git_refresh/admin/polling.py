"""Waiting for what was just written to be seen: reads lag."""

from collections.abc import Callable

from git_refresh.model.clock import Clock

PATIENCE = 30.0
"""Seconds in which what was just written has to be seen. Reads have been seen to lag up to eight."""

PAUSE = 1.0
"""Seconds before the second look; before each further one, twice as many."""


def poll[T](clock: Clock, look: Callable[[], T], good: Callable[[T], bool]) -> T:
    """What a look shows, as soon as it is good; what it shows at last, if it never is."""
    began, pause = clock.monotonic(), PAUSE
    while not good(found := look()) and clock.monotonic() - began < PATIENCE:
        clock.sleep(pause)
        pause *= 2
    return found
