"""What the app logs, with each field and each value that there is: queries and pages are held to it."""

import json
from typing import Any, get_args

import pytest

from git_refresh.outlet import Outlet
from git_refresh.report import (
    CredentialAction,
    CredentialReport,
    FolderAction,
    FolderReport,
    Result,
    log_nothing_done,
    log_run,
    log_workspace,
)
from git_refresh.values import Problem
from tests.unit.test_terminal import ERROR, report, workspace

Lines = list[dict[str, Any]]
RUN, WORKSPACE = "git_refresh.run", "git_refresh.workspace"
DISPATCH, SLICE = "git_refresh.dispatch", "git_refresh.slice"


def log_lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """Every line, parsed, first those of a run in slices; the last is that of a run that could not begin."""
    caplog.set_level("INFO", "git_refresh")
    outlet = Outlet()
    folders = tuple(
        FolderReport(f"/Repos/a/{action}", action, error=ERROR if action == "failed" else None)
        for action in get_args(FolderAction)
    )
    fleet = [
        workspace(result=result, credential=CredentialReport(action, 1), folders=folders, error=ERROR)
        for result in get_args(Result)
        for action in get_args(CredentialAction)
    ]
    for fine in (workspace(), workspace(credential=None)):
        log_run(report(fine), outlet)
        log_workspace("id", fine, outlet)
    log_run(report(*fleet, problems=(Problem("timer", "late_run: late"),)), outlet)
    for one in fleet:
        log_workspace("id", one, outlet)
    log_nothing_done([Problem("WORKSPACES", "is missing")], outlet)
    in_one_piece = [json.loads(message) for message in caplog.messages]
    return [*in_slices(in_one_piece), *in_one_piece]


def in_slices(lines: Lines) -> Lines:
    """What `FAN_OUT=queue` adds: lines of its own, and keys behind `run_id`."""
    run = {"run_id": "id", "slice": 3, "slices": 21}
    dispatch = {"run_id": "id", "slices": 21, "workspaces": 1003, "until": "2026-11-25T18:00:00Z"}
    added: Lines = [{"event": DISPATCH, **dispatch, "problems": ["clock: clock_skew: It goes wrong."]}]
    for result, code in (
        ("failed", "slice_given_up"),
        *(("dropped", f"slice_{why}") for why in ("too_late", "unreadable", "duplicate", "ended")),
    ):
        added.append({"event": SLICE, "result": result, **run, "code": code, "problems": [f"queue: {code}"]})
    for line in lines:
        if "run_id" in line:
            keys = run if line["event"] == RUN else {"run_id": "id", "slice": 3}
            added.append(
                {"event": line["event"], **keys, **{key: line[key] for key in line if key != "event"}}
            )
    return added


def fields(value: object, above: str = "") -> set[str]:
    """The paths of all that a line holds; what is in a list has the list's path."""
    if isinstance(value, list):
        return {path for item in value for path in fields(item, above)}
    if not isinstance(value, dict):
        return set()
    paths = {f"{above}{key}" for key in value}
    return paths.union(*(fields(item, f"{above}{key}.") for key, item in value.items()))
