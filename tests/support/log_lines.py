"""Log lines with each field and value that the app writes, for tests of queries and pages."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from git_refresh.failures.diagnosis import DiagnosisContext, finding
from git_refresh.failures.table import OWN
from git_refresh.model.values import Problem, Slice
from git_refresh.output.log import RedactingLogger
from git_refresh.run.report import (
    CredentialAction,
    CredentialReport,
    FolderAction,
    FolderReport,
    Result,
    log_dispatch,
    log_message,
    log_nothing_done,
    log_queued,
    log_run,
    log_workspace,
)
from tests.support.reports import ERROR, report, workspace

Lines = list[dict[str, Any]]
RUN, WORKSPACE = "git_refresh.run", "git_refresh.workspace"
DISPATCH, QUEUED, SLICE = "git_refresh.dispatch", "git_refresh.queued", "git_refresh.message_skipped"


def log_lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """Return parsed lines: first a run in slices, last a run that could not start."""
    caplog.set_level("INFO", "git_refresh")
    logger = RedactingLogger()
    log_dispatch("id", 21, 1003, UNTIL, [Problem("clock", "clock_skew: It goes wrong.")], logger)
    log_queued(PART, UNTIL, ["data-1", "data-2"], logger)
    log_message(PART, finding("workspace_not_listed", DiagnosisContext()), logger, ok=True, names=["data-9"])
    for row in OWN:
        if row.code.startswith("slice_") or row.code == "message_unreadable":
            given_up = row.code == "slice_abandoned"
            whose = None if row.code == "message_unreadable" else PART
            found = finding(row.code, DiagnosisContext())
            result = "failed" if given_up else "dropped"
            log_message(whose, found, logger, result=result, ok=not given_up)
    for part in (PART, None):
        _log_all(logger, part)
    return [json.loads(message) for message in caplog.messages]


UNTIL = datetime(2026, 11, 25, 18, 0, tzinfo=UTC)
PART = Slice("id", 3, 21)


def _log_all(logger: RedactingLogger, part: Slice | None) -> None:
    """Log the lines of a run, or of a slice."""
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
        log_run(replace(report(fine), slice=part), logger)
        log_workspace("id", fine, logger, part)
    failed = report(*fleet, problems=(Problem("timer", "late_run: late"),))
    log_run(replace(failed, slice=part), logger)
    for one in fleet:
        log_workspace("id", one, logger, part)
    log_nothing_done([Problem("WORKSPACES", "is missing")], logger, part)


def fields(value: object, above: str = "") -> set[str]:
    """Return the paths of all fields of a line. Items of a list have the path of the list."""
    if isinstance(value, list):
        return {path for item in value for path in fields(item, above)}
    if not isinstance(value, dict):
        return set()
    paths = {f"{above}{key}" for key in value}
    return paths.union(*(fields(item, f"{above}{key}.") for key, item in value.items()))
