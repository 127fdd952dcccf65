"""Killed anywhere, or twice at once: the next run ends in the same place, and no local work is lost."""

import os
import signal
import threading
from datetime import UTC, datetime
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from localcloud import Cloud, Fleet, seed
from localcloud.observer import Request
from tests.support.app import run_app
from tests.support.crash_fleet import EXPECTED, due_now, settings_of, state_of
from tests.support.worker_runs import events, ticked

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def fleet(cloud: Cloud) -> Fleet:
    return seed(cloud, 1)


def is_git_of_the_workspace(request: Request) -> bool:
    return "/_git/" in request.path


REQUESTS = 21
"""What an undisturbed run of `settings_of` asks; the first test says when the number has to be changed."""


def test_the_requests_of_an_undisturbed_run_are_all_tried_below(cloud: Cloud, fleet: Fleet) -> None:
    assert run_app({**os.environ, **settings_of(fleet)}).result == "ok"
    assert len([request for request in cloud.requests if not is_git_of_the_workspace(request)]) == REQUESTS
    assert state_of(fleet) == EXPECTED


@pytest.mark.parametrize("last", range(1, REQUESTS + 1))
def test_a_run_killed_at_any_request_is_made_again_and_ends_the_same(
    cloud: Cloud, fleet: Fleet, tmp_path: Path, last: int
) -> None:
    """The host has stored nothing of the run, so it calls again at once: past due, with the old `Next`."""
    settings = settings_of(fleet)
    timer = due_now(settings)
    seen, killed = [0], threading.Event()
    running: list[ForkServerProcess] = []

    def kill(request: Request) -> None:
        seen[0] += not is_git_of_the_workspace(request)
        if seen[0] == last and not killed.is_set():
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
