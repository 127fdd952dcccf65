"""`make soak` with short limits: the app in its own process, driven from outside."""

import os

from benchmarks.ticking import App
from localcloud import Cloud, Fault, Fleet, faults


def test_a_process_of_its_own_is_ticked_and_what_hangs_is_given_up_soon(cloud: Cloud, fleet: Fleet) -> None:
    with App({**os.environ, **fleet.settings}, limit=0.8) as app:
        assert app.tick().ok
        cloud.inject(Fault(faults.hang(), host=fleet.workspaces[0].host))
        tick = app.tick()
    assert "data-1: timeout" in tick.said
    assert tick.seconds < 15, "the app's own limits are 20 seconds and more"
