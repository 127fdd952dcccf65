"""Reports of runs, and a console to print them on."""

import io
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from git_refresh.failures.diagnosis import Diagnosis
from git_refresh.model.values import Problem
from git_refresh.run.report import CredentialReport, FolderReport, Report, TokenReport, WorkspaceReport

ERROR = Diagnosis("git_conflict", "Could not move it.", "It was edited: [a].", "Commit it.")
OLD, NEW = "a" * 40, "b" * 40
HOST = "https://adb-1.1.azuredatabricks.net"


def console(width: int = 200) -> Console:
    return Console(file=io.StringIO(), width=width, highlight=False)


def text(out: Console) -> str:
    assert isinstance(out.file, io.StringIO)
    return "\n".join(line.rstrip() for line in out.file.getvalue().splitlines())


def report(*workspaces: WorkspaceReport, problems: tuple[Problem, ...] = ()) -> Report:
    fine = all(workspace.result == "ok" for workspace in workspaces)
    moment = datetime(2026, 11, 24, tzinfo=UTC)
    tokens = (TokenReport(None, "5a1e-tenant", moment, 3600, len(workspaces)),)
    return Report("id", moment, 1.25, False, "ok" if fine else "failed", tokens, problems, workspaces)


def workspace(**changes: Any) -> WorkspaceReport:
    values: dict[str, Any] = {
        "name": "data-1",
        "host": HOST,
        "result": "ok",
        "credential": CredentialReport("updated", 7, "a new token replaces the stored one"),
        "folders": (
            FolderReport("/Repos/a/b", "updated", "main", OLD, NEW, why="branch main has moved"),
            FolderReport(
                "/Repos/a/c", "unchanged", "v1", OLD, OLD, why="it is at the latest commit of tag v1"
            ),
        ),
    }
    return WorkspaceReport(**{**values, **changes})
