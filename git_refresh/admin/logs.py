"""The logs of the deployed app, with the sign-in of the person who runs a command.

They are queried on the app's Application Insights component, whose tables have the names of the queries in `queries/`.
Facts: https://learn.microsoft.com/azure/azure-monitor/logs/api/azure-resource-queries, and the pages beside it on responses and errors.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from urllib.parse import quote

from azure.core.pipeline.transport import RequestsTransport
from azure.monitor.query import LogsQueryClient, LogsQueryResult, LogsTable

from git_refresh.admin.runs import (
    MAX_STORED_ROWS,
    HostReport,
    HostRow,
    InvocationRow,
    LineRow,
    LoggedRun,
    LoggedRuns,
    StoredRow,
    StoredTokens,
    WorkspacesRow,
    read_runs,
)
from git_refresh.clients.identity import Identity, OneResource
from git_refresh.clients.responses import Response, UnexpectedAnswerError, read
from git_refresh.clients.retry import call
from git_refresh.clients.session import BoundedSession, Network
from git_refresh.failures.diagnosis import DiagnosisContext
from git_refresh.failures.failure import Operation, Service
from git_refresh.output.mask import SecretFilter

LOG_ANALYTICS = "https://api.loganalytics.io"
"""Where logs are queried, and the resource that a token has to be for."""

QUERY_LIMIT_S = 90.0
"""Seconds for one query, further attempts included."""

MAX_RESPONSE_BYTES = 32 * 1024 * 1024
"""Bytes of one response: a day's lines of a large fleet in which everything fails."""


class Query(StrEnum):
    """A query of this package, by the name of its file."""

    RUNS = "runs"
    LAST_RUN = "last-run"
    WORKSPACES_BY_RUN = "workspaces-by-run"
    FAILED_INVOCATIONS = "failed-invocations"
    HOST = "host"
    STORED_TOKENS = "stored-tokens"

    @property
    def text(self) -> str:
        """Return the query."""
        return _text(self.value)


@cache
def _text(name: str) -> str:
    return (Path(__file__).parent / "queries" / f"{name}.kql").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Rows[M: Response]:
    """What a query has found."""

    rows: tuple[M, ...]
    complete: bool
    """Whether this is all that there is: the service can return a part."""


class AppLogs:
    """The logs of one Application Insights component. Every method raises `ServiceError` if the service fails it."""

    def __init__(self, about: DiagnosisContext, identity: Identity, network: Network) -> None:
        """Take what there is to know of the app, its component's resource ID included."""
        self.about = about
        self._identity = identity
        self._network = network
        self._session = BoundedSession(
            [LOG_ANALYTICS], network.tls, connections=1, max_body=MAX_RESPONSE_BYTES, skew=network.skew
        )
        self._client = LogsQueryClient(
            OneResource(identity, LOG_ANALYTICS),
            endpoint=LOG_ANALYTICS,
            transport=RequestsTransport(session=self._session, session_owner=False),
            retry_total=0,
        )

    def close(self) -> None:
        """Close its connection."""
        self._session.close()

    def now(self) -> datetime:
        """Return the time at the service, as far as its responses show it."""
        return self._network.deadline.clock.now() + self._network.skew.behind()

    def runs(self, within: timedelta) -> LoggedRuns:
        """Return the runs of so much time up to now."""
        rows = self.find(Query.RUNS, LineRow, within)
        workspaces = self.find(Query.WORKSPACES_BY_RUN, WorkspacesRow, within)
        invocations = self.find(Query.FAILED_INVOCATIONS, InvocationRow, within)
        complete = rows.complete and workspaces.complete and invocations.complete
        return read_runs(rows.rows, workspaces.rows, invocations.rows, self.now(), complete=complete)

    def last_run(self, within: timedelta) -> LoggedRun | None:
        """Return the latest run of so much time that has ended, else the latest; None: there is none."""
        rows = self.find(Query.LAST_RUN, LineRow, within).rows
        if not rows:
            return None
        # Of the latest runs one can be in progress, and the one before it wait for its last lines.
        found = self.runs(self.now() - rows[-1].timestamp + timedelta(minutes=1))
        return found.last_ended or next(iter(found.runs), None)

    def host_reports(self, within: timedelta) -> tuple[HostReport, ...]:
        """Return what the Functions host reports, the latest first."""
        rows = self.find(Query.HOST, HostRow, within).rows
        return tuple(HostReport(row.text, row.times, row.last_at) for row in rows)

    def stored_tokens(self, within: timedelta) -> StoredTokens:
        """Return what the runs of so much time have stored."""
        rows, found = self.find(Query.STORED_TOKENS, StoredRow, within), self.runs(within)
        complete = rows.complete and len(rows.rows) < MAX_STORED_ROWS
        return StoredTokens(self.now() - within, rows.rows, found.runs, found.newest_line, complete)

    def find[M: Response](self, query: Query, model: type[M], within: timedelta) -> Rows[M]:
        """Return the rows that a query finds in so much time up to now.

        Raises:
            ServiceError: the logs cannot be read.
        """
        resource = quote(self.about.component.lstrip("/"), safe="/")

        def ask() -> Rows[M]:
            sent = SecretFilter([self._identity.token(LOG_ANALYTICS).value.get_secret_value()])
            found = self._client.query_resource(
                resource, query.text, timespan=within, server_timeout=int(QUERY_LIMIT_S)
            )
            complete = isinstance(found, LogsQueryResult)
            tables = found.tables if isinstance(found, LogsQueryResult) else found.partial_data or []
            return Rows(tuple(_rows(tables, model, sent)), complete)

        return call(
            Service.LOG_ANALYTICS,
            Operation.QUERY_LOGS.of(self.about.app),
            ask,
            deadline=self._network.deadline.within(QUERY_LIMIT_S),
            secrets=self._network.secrets,
        )


def _rows[M: Response](tables: Iterable[LogsTable], model: type[M], secrets: SecretFilter) -> Iterable[M]:
    """Return the rows of the only table.

    Raises:
        UnexpectedAnswerError: there are more, or the rows are something else.
    """
    found = list(tables)
    if len(found) > 1:
        raise UnexpectedAnswerError
    for table in found:
        for row in table.rows:
            yield read(model, dict(zip(table.columns, row, strict=True)), secrets)
