"""SIGTERM during a run of the deployed app, whose next run converges, and during a command."""

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from localcloud import Cloud, Fault, Fleet, faults, seed
from localcloud.fleet import real_secret
from localcloud.observer import Request
from tests.support import warm
from tests.support.admin_laptop import admin_of, laptop_of, principal_of
from tests.support.crash_fleet import EXPECTED, POINTS, due_now, settings_of, state_of
from tests.support.worker_runs import events, ticked

pytestmark = pytest.mark.timeout(60)


def terminate_at(cloud: Cloud, running: list[ForkServerProcess], wanted: Callable[[Request], bool]) -> None:
    def terminate(request: Request) -> None:
        if running and wanted(request):
            cloud.on_request = None
            os.kill(running[0].pid or 0, signal.SIGTERM)

    cloud.on_request = terminate


@pytest.mark.parametrize("point", ["while the credential is stored", "while a folder moves"])
def test_a_run_that_is_terminated_is_made_good_by_the_next(cloud: Cloud, tmp_path: Path, point: str) -> None:
    fleet, log, after = seed(cloud, 1), tmp_path / "log", tmp_path / "after"
    settings = settings_of(fleet)
    running: list[ForkServerProcess] = []
    cloud.latency = 0.1  # gives time for the signal
    terminate_at(cloud, running, POINTS[point])
    timer = due_now(settings)
    running.append(ticked(cloud, settings, log, timer.call))
    running[0].join(50)
    assert running[0].exitcode == -signal.SIGTERM
    assert cloud.on_request is None, "it was terminated where it was meant to be"
    assert "git_refresh.run" not in {event["event"] for event in events(log)}, "which the alert goes by"

    cloud.latency = 0
    timer.start(datetime.now(UTC))
    again = ticked(cloud, settings, after, timer.call)
    again.join(50)
    assert again.exitcode == 0
    assert [event["result"] for event in events(after)] == ["ok", "ok"]
    assert state_of(fleet) == EXPECTED


def test_a_terminated_command_says_what_was_done_and_what_was_not(
    cloud: Cloud, fleet: Fleet, tmp_path: Path
) -> None:
    cloud.inject(Fault(faults.hang(), host=fleet.workspaces[1].host, route="git-credentials"))
    out, running = tmp_path / "out", list[ForkServerProcess]()
    environ = {**os.environ, **fleet.settings}
    terminate_at(cloud, running, lambda request: "/api/2.0/repos" in request.path)
    running.append(warm.start("run", "--json", environ=environ, stdout=out))
    running[0].join(30)
    assert running[0].exitcode == 130
    report = json.loads(out.read_text())
    codes = {each["name"]: each["error"] and each["error"]["code"] for each in report["workspaces"]}
    assert codes["data-2"] == "interrupted"


def test_a_terminated_rotation_leaves_no_unclaimed_secret(cloud: Cloud, fleet: Fleet, tmp_path: Path) -> None:
    old = real_secret(cloud, fleet)
    environ = laptop_of(admin_of(cloud, fleet), cloud, tmp_path / "az") | dict(fleet.settings)
    running = list[ForkServerProcess]()
    cloud.latency = 0.3
    terminate_at(
        cloud, running, lambda request: "/oidc/" in request.path and len(principal_of(cloud).secrets) == 2
    )
    running.append(warm.start("rotate", "--apply", "--yes", environ=environ))
    running[0].join(50)
    assert running[0].exitcode == 130
    stored = fleet.vault.versions("databricks-oauth-secret")[-1].value
    assert {secret.value for secret in principal_of(cloud).secrets} in ({old.value}, {old.value, stored})
