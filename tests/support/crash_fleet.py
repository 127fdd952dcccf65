"""A fleet for killed runs: its settings, and the state after a run."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from localcloud import Fleet
from localcloud.observer import Request
from localcloud.timer import Timer


def settings_of(fleet: Fleet) -> dict[str, str]:
    """Return one workspace's settings: a folder to update, a new one, a legacy one with local changes."""
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
    """Return everything that a run changes, in terms that are equal in every cloud."""
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


POINTS: dict[str, Callable[[Request], bool]] = {
    "before anything is known": lambda request: request.service == "identity",
    "while it signs in": lambda request: "/oidc/" in request.path,
    "while the credential is stored": lambda request: (
        (request.method, request.path[-15:]) == ("POST", "git-credentials")
    ),
    "while a folder moves": lambda request: request.method == "PATCH" and "/repos/" in request.path,
    "while the workspace fetches": lambda request: "/_git/" in request.path,
    "while a directory is made": lambda request: request.path.endswith("/workspace/mkdirs"),
    "while a folder is created": lambda request: (request.method, request.path[-6:]) == ("POST", "/repos"),
}
"""Points for a kill: the first request, and each write. Requests between two writes change nothing."""


def due_now(settings: dict[str, str]) -> Timer:
    """Return the timer at an occurrence of the schedule, which it changes; the previous run succeeded."""
    due = datetime.now(UTC).replace(microsecond=0)
    minutes = sorted((due.minute + quarter) % 60 for quarter in (0, 15, 30, 45))
    settings["REFRESH_SCHEDULE"] = f"{due.second} {','.join(map(str, minutes))} * * * *"
    before = due - timedelta(minutes=15)
    timer = Timer(settings["REFRESH_SCHEDULE"], before - timedelta(minutes=1))
    timer.ended(before, before)
    assert timer.call.due == due
    return timer
