"""Queries the logs of the deployed app with the Azure CLI account of the caller.

The queries in `queries/` use the table names of an Application Insights component.
Facts: https://learn.microsoft.com/azure/azure-monitor/logs/api/azure-resource-queries, with its pages on responses and errors.
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
"""Endpoint of the API, and resource of its tokens."""

QUERY_LIMIT_S = 90.0
"""Time for one query with all retries."""

MAX_RESPONSE_BYTES = 32 * 1024 * 1024
"""Enough for one day of a large fleet in which everything fails."""


class Query(StrEnum):
    """A query in `queries/`. Values are file names."""

    RUNS = "runs"
    LAST_RUN = "last-run"
    WORKSPACES_BY_RUN = "workspaces-by-run"
    FAILED_INVOCATIONS = "failed-invocations"
    HOST = "host"
    STORED_TOKENS = "stored-tokens"

    @property
    def text(self) -> str:
        return _text(self.value)


@cache
def _text(name: str) -> str:
    return (Path(__file__).parent / "queries" / f"{name}.kql").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Rows[M: Response]:
    """The result of a query."""

    rows: tuple[M, ...]
    complete: bool
    """False if the service returned a partial result."""


class AppLogs:
    """Client of one Application Insights component. Every method raises `ServiceError` if the call fails.

    `within` is the length of a period that ends now.
    """

    def __init__(self, about: DiagnosisContext, identity: Identity, network: Network) -> None:
        """Prepare the client; `about` has the resource ID of the component."""
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
        self._session.close()

    def now(self) -> datetime:
        """Return this machine's time, corrected by the clock skew that responses show."""
        return self._network.deadline.clock.now() + self._network.skew.behind()

    def runs(self, within: timedelta) -> LoggedRuns:
        rows = self.find(Query.RUNS, LineRow, within)
        workspaces = self.find(Query.WORKSPACES_BY_RUN, WorkspacesRow, within)
        invocations = self.find(Query.FAILED_INVOCATIONS, InvocationRow, within)
        complete = rows.complete and workspaces.complete and invocations.complete
        return read_runs(rows.rows, workspaces.rows, invocations.rows, self.now(), complete=complete)

    def last_run(self, within: timedelta) -> LoggedRun | None:
        """Return the latest completed run of the period or, without one, the latest run; None without any."""
        rows = self.find(Query.LAST_RUN, LineRow, within).rows
        if not rows:
            return None
        # The latest run can be in progress, and the last lines of the previous run can be missing.
        found = self.runs(self.now() - rows[-1].timestamp + timedelta(minutes=1))
        return found.last_ended or next(iter(found.runs), None)

    def host_reports(self, within: timedelta) -> tuple[HostReport, ...]:
        """Return the errors that the Functions host reports, the latest first."""
        rows = self.find(Query.HOST, HostRow, within).rows
        return tuple(HostReport(row.text, row.times, row.last_at) for row in rows)

    def stored_tokens(self, within: timedelta) -> StoredTokens:
        rows, found = self.find(Query.STORED_TOKENS, StoredRow, within), self.runs(within)
        complete = rows.complete and len(rows.rows) < MAX_STORED_ROWS
        return StoredTokens(self.now() - within, rows.rows, found.runs, found.newest_line, complete)

    def find[M: Response](self, query: Query, model: type[M], within: timedelta) -> Rows[M]:
        """Run a query of this package over the period."""
        return self.query(query.text, model, within)

    def query[M: Response](self, text: str, model: type[M], within: timedelta) -> Rows[M]:
        resource = quote(self.about.component.lstrip("/"), safe="/")

        def ask() -> Rows[M]:
            sent = SecretFilter([self._identity.token(LOG_ANALYTICS).value.get_secret_value()])
            found = self._client.query_resource(
                resource, text, timespan=within, server_timeout=int(QUERY_LIMIT_S)
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
        UnexpectedAnswerError: the response has several tables, or other rows.
    """
    found = list(tables)
    if len(found) > 1:
        raise UnexpectedAnswerError
    for table in found:
        for row in table.rows:
            yield read(model, dict(zip(table.columns, row, strict=True)), secrets)
