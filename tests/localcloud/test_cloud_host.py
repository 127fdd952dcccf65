"""The host of a deployed app, with the real app."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from localcloud import Cloud, Fleet, kusto, seed
from localcloud.fleet import PAUSE
from localcloud.host import Host

HOUR = timedelta(hours=1)


@pytest.fixture
def fleet(cloud: Cloud) -> Fleet:
    """Return a fleet whose app runs half an hour before and after now."""
    fleet = seed(cloud, 1)
    fleet.app.settings["REFRESH_SCHEDULE"] = f"0 {(datetime.now(UTC).minute + 30) % 60} * * * *"
    return fleet


@pytest.fixture
def host(cloud: Cloud, fleet: Fleet) -> Iterator[Host]:
    with closing(Host(cloud, fleet)) as host:
        yield host


def until(host: Host, done: Callable[[], bool]) -> None:
    """Call `step` until a condition holds."""
    ends = time.monotonic() + 60
    while not done():
        assert time.monotonic() < ends
        host.step()
        time.sleep(0.02)


def rows(cloud: Cloud, fleet: Fleet, table: str) -> kusto.Rows:
    return cloud.logs.of(fleet.component).visible(datetime.now(UTC))[table]


def results(cloud: Cloud, fleet: Fleet) -> list[str]:
    """Return the results of the runs in the logs."""
    lines = [row["message"] for row in rows(cloud, fleet, "traces") if row["message"].startswith("{")]
    events = [json.loads(line) for line in lines]
    return [event["result"] for event in events if event["event"] == "git_refresh.run"]


def test_a_run_is_in_the_logs_of_the_app(cloud: Cloud, fleet: Fleet, host: Host) -> None:
    host.step()
    assert not host.running
    host.run_now()
    until(host, lambda: host.runs == 1)
    assert results(cloud, fleet) == ["ok"]
    (request,) = rows(cloud, fleet, "requests")
    assert (request["name"], request["success"]) == ("refresh_git", True)
    assert len(fleet.workspaces[0].credentials) == 1
    host.step()
    assert not host.running


def test_a_missed_occurrence_is_run_and_a_failed_run_is_told(cloud: Cloud, fleet: Fleet) -> None:
    fleet.workspaces[0].ungranted = True
    for principal in fleet.workspaces[0].service_principals:
        principal.secret = "another"
    with closing(Host(cloud, fleet, datetime.now(UTC) - HOUR)) as host:
        until(host, lambda: host.runs == 1)
        assert results(cloud, fleet) == ["failed"]
        (request,) = rows(cloud, fleet, "requests")
        assert request["success"] is False
        host.step()
        assert not host.running


def test_saving_cuts_a_run_off_and_it_is_made_again_at_once(cloud: Cloud, fleet: Fleet) -> None:
    with closing(Host(cloud, fleet, datetime.now(UTC) - HOUR)) as host:
        until(host, lambda: host.running)
        fleet.app.save(fleet.app.settings)
        until(host, lambda: host.runs == 1)
        assert (host.begun, results(cloud, fleet)) == (2, ["ok"])
        assert len(rows(cloud, fleet, "requests")) == 1
        host.step()
        assert not host.running


def test_an_app_that_is_paused_runs_once_it_is_not(cloud: Cloud, fleet: Fleet) -> None:
    fleet.app.settings[PAUSE] = "true"
    with closing(Host(cloud, fleet, datetime.now(UTC) - HOUR)) as host:
        host.run_now()
        host.step()
        assert (host.paused, host.running) == (True, False)
        fleet.app.save({name: value for name, value in fleet.app.settings.items() if name != PAUSE})
        host.step()
        assert (host.paused, host.running) == (False, False)
        host.run_now()
        until(host, lambda: host.runs == 1)
    assert results(cloud, fleet) == ["ok"]


@pytest.mark.parametrize("schedule", ["", "every day"])
def test_an_app_without_a_schedule_is_not_called(cloud: Cloud, fleet: Fleet, schedule: str) -> None:
    fleet.app.settings["REFRESH_SCHEDULE"] = schedule
    with closing(Host(cloud, fleet, datetime.now(UTC) - HOUR)) as host:
        host.step()
        assert not host.running
