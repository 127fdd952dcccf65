"""Killed anywhere, or twice at once: the next run ends in the same place, and no local work is lost."""

import json
import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import jwt
import pytest

from localcloud import Cloud, Fleet, seed
from localcloud.observer import Request
from localcloud.timer import Timer
from tests.support.app import run_app
from tests.support.worker_runs import events, ticked

pytestmark = pytest.mark.timeout(60)


def settings_of(fleet: Fleet) -> dict[str, str]:
    """The first workspace: a folder to move, one to create at a tag, and a legacy one with uncommitted work."""
    workspace, (etl, reports) = fleet.workspaces[0], fleet.repositories
    edited = workspace.add_folder("/Shared/edited", reports, git_cli=False)
    edited.edit("notes.txt", "not committed")
    etl.commit({"jobs/load.py": "newer"})
    etl.tag("v1", annotated=True)
    folders = [
        "/Repos/etl/prod",
        {"path": "/Shared/new/tagged", "url": etl.url, "tag": "v1"},
        "/Shared/edited",
    ]
    return {**fleet.settings, "WORKSPACES": json.dumps([{"host": workspace.url, "folders": folders}])}


def state_of(fleet: Fleet) -> dict[str, Any]:
    """All that a run is to bring about, in words that are the same in every cloud."""
    workspace, (etl, reports) = fleet.workspaces[0], fleet.repositories
    commits = {etl.head("main"): "etl main", reports.head("main"): "reports main"}
    lives = [
        jwt.decode(c.token or "", options={"verify_signature": False})["exp"] > time.time()
        for c in workspace.credentials
    ]
    folders = {f.path: (commits.get(f.head, f.head), f.branch, f.dirty) for f in workspace.folders}
    edited = workspace.folder("/Shared/edited")
    return {"live credentials": lives, "folders": folders, "work": edited and edited.read("notes.txt")}


EXPECTED = {
    "live credentials": [True],
    "folders": {
        "/Repos/etl/prod": ("etl main", "main", False),
        "/Shared/new/tagged": ("etl main", None, False),
        "/Shared/edited": ("reports main", "main", True),
    },
    "work": "not committed",
}


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


def due_now(settings: dict[str, str]) -> Timer:
    """The host's timer at an occurrence of the settings' schedule, which it changes; the run before it was good."""
    due = datetime.now(UTC).replace(microsecond=0)
    minutes = sorted((due.minute + quarter) % 60 for quarter in (0, 15, 30, 45))
    settings["REFRESH_SCHEDULE"] = f"{due.second} {','.join(map(str, minutes))} * * * *"
    before = due - timedelta(minutes=15)
    timer = Timer(settings["REFRESH_SCHEDULE"], before - timedelta(minutes=1))
    timer.ended(before, before)
    assert timer.call.due == due
    return timer


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
