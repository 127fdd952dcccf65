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


def log_lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """Every line, parsed; the last is that of a run that could not begin."""
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
    return [json.loads(message) for message in caplog.messages]


def fields(value: object, above: str = "") -> set[str]:
    """The paths of all that a line holds; what is in a list has the list's path."""
    if isinstance(value, list):
        return {path for item in value for path in fields(item, above)}
    if not isinstance(value, dict):
        return set()
    paths = {f"{above}{key}" for key in value}
    return paths.union(*(fields(item, f"{above}{key}.") for key, item in value.items()))
