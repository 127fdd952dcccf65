"""Killed or concurrent runs: the next run converges, and no local work is lost."""

import os
import signal
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from localcloud import Cloud, Fleet, seed
from localcloud.observer import Request
from tests.support.app import run_app
from tests.support.crash_fleet import EXPECTED, POINTS, due_now, settings_of, state_of
from tests.support.worker_runs import events, ticked

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def fleet(cloud: Cloud) -> Fleet:
    return seed(cloud, 1)


def test_every_write_of_an_undisturbed_run_is_one_of_the_points(cloud: Cloud, fleet: Fleet) -> None:
    assert run_app({**os.environ, **settings_of(fleet)}).result == "ok"
    writes = [request for request in cloud.requests if request.method != "GET"]
    assert [request for request in writes if not any(point(request) for point in POINTS.values())] == []
    assert state_of(fleet) == EXPECTED


@pytest.mark.parametrize("point", POINTS.values(), ids=POINTS)
def test_a_run_killed_at_any_write_is_made_again_and_ends_the_same(
    cloud: Cloud, fleet: Fleet, tmp_path: Path, point: Callable[[Request], bool]
) -> None:
    """The host has no status of the run, so it calls again at once: past due, with the previous `Next`."""
    settings = settings_of(fleet)
    timer = due_now(settings)
    killed = threading.Event()
    running: list[ForkServerProcess] = []

    def kill(request: Request) -> None:
        if point(request) and not killed.is_set():
            killed.set()
            running[0].kill()

    cloud.on_request = kill
    cut_off = timer.call
    running.append(ticked(cloud, settings, tmp_path / "cut off", cut_off))
    running[0].join(50)
    assert running[0].exitcode == -signal.SIGKILL
    cloud.on_request = None

    timer.start(datetime.now(UTC))
    assert (timer.call.past_due, timer.call.status) == (True, cut_off.status)
    again = ticked(cloud, settings, tmp_path / "again", timer.call)
    again.join(50)
    assert again.exitcode == 0
    assert [event["result"] for event in events(tmp_path / "again")] == ["ok", "ok"]
    assert state_of(fleet) == EXPECTED


def test_two_runs_at_the_same_time_end_as_one(fleet: Fleet) -> None:
    settings = {**os.environ, **settings_of(fleet)}
    for _ in range(3):
        threads = [threading.Thread(target=run_app, args=[settings]) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert run_app(settings).result == "ok"
    assert state_of(fleet) == EXPECTED


def test_a_run_repeated_changes_nothing(fleet: Fleet) -> None:
    settings = {**os.environ, **settings_of(fleet)}
    for _ in range(3):
        assert run_app(settings).result == "ok"
        assert state_of(fleet) == EXPECTED
