"""A deployed app's log lines with their times, read with the real queries."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from git_refresh.admin.logs import AppLogs, Query, Rows
from git_refresh.clients.responses import Response
from git_refresh.failures.diagnosis import DiagnosisContext
from localcloud import kusto
from tests.support.fakes import NOW

COMPONENT = "/subscriptions/5a1e0000-0000-4000-8000-000000000001/resourceGroups/rg/providers/microsoft.insights/components/app"
ABOUT = DiagnosisContext(app="contoso-refresh", group="rg", component=COMPONENT)


@dataclass
class StoredLines(AppLogs):
    """Log lines of an app, and a reader of them without a service."""

    at: datetime = NOW
    """The time of the read."""
    lines: list[dict[str, Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    complete: bool = True
    about: DiagnosisContext = ABOUT

    def now(self) -> datetime:
        return self.at

    def add(self, message: str | Mapping[str, Any], at: datetime, severity: int = 1) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        self.lines.append({"timestamp": at, "message": text, "severityLevel": severity})

    def record(self, caplog: pytest.LogCaptureFixture, at: datetime, write: Callable[[], object]) -> None:
        """Add the lines that the app logs in this call."""
        caplog.set_level("INFO", "git_refresh")
        caplog.clear()
        write()
        for each in caplog.records:
            if each.name == "git_refresh":
                self.add(each.getMessage(), at, 3 if each.levelname == "ERROR" else 1)

    def failed_invocation(self, began: datetime, took: timedelta) -> None:
        self.requests.append(
            {
                "timestamp": began,
                "name": "refresh_git",
                "success": False,
                "duration": took / timedelta(milliseconds=1),
            }
        )

    def find[M: Response](self, query: Query, model: type[M], within: timedelta) -> Rows[M]:
        def visible(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
            return [row for row in rows if self.at - within <= row["timestamp"] <= self.at]

        tables = {"traces": visible(self.lines), "requests": visible(self.requests)}
        found = kusto.run(query.text, tables, self.at)
        return Rows(tuple(model.model_validate(row) for row in found), self.complete)
