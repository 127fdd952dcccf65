"""A fleet for runs that are killed: its settings, and the state that a run brings about."""

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
"""Where a run can be cut off: at its first request, and at each of its writes. Between two, all requests leave the same behind."""


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
