"""The query API of Log Analytics for one Application Insights component.

Facts: https://github.com/Azure/azure-rest-api-specs,
`specification/operationalinsights/data-plane/Microsoft.OperationalInsights/stable`: `v1` and `2022-10-27`
(queries on a resource). https://learn.microsoft.com/azure/azure-monitor/logs/api: `azure-resource-queries`,
`errors` and `response-format`. `TROUBLESHOOTING.md` of azure-monitor-query: time limits and unknown names.
https://learn.microsoft.com/azure/azure-monitor/app/convert-classic-resource#understand-log-queries: the
component's tables `traces` and `requests`.
https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#application-insights: at most
32,768 characters in a message. azure-webjobs-sdk, `FunctionExecutor` and `LoggerExtensions`: the host's own
lines.

Here, unsupported syntax is a syntax error, and a table without rows has no columns. Unrecorded: the text of a
429, and the details of a partial result.
"""

import json
import logging
import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, override

import jwt
from aiohttp import web

from localcloud import kusto
from localcloud.answers import PRINCIPAL, ApiError
from localcloud.authority import LOGS_RESOURCE, TENANTS, Authority, entra
from localcloud.resource_manager import Component, ResourceManager

MAX_MESSAGE_CHARS = 32_768
_SEVERITY = {"DEBUG": 0, "INFO": 1, "WARNING": 2, "ERROR": 3, "CRITICAL": 4}
_LEVELS = ("Trace", "Information", "Warning", "Error", "Critical")


class Logs:
    """The rows of one Application Insights component.

    `tables`: rows by table, each with a `timestamp`.
    `delay`: time until a new row can be found.
    `most`: the limit of rows in a result; more rows make it partial.
    `has_tables`: False for a new component, whose queries fail.
    """

    def __init__(self) -> None:
        self.delay = timedelta(0)
        self.most = 500_000
        self.has_tables = True
        self.tables: dict[str, kusto.Rows] = {"traces": [], "requests": []}

    def trace(
        self,
        message: str,
        *,
        at: datetime | None = None,
        level: str = "INFO",
        function: str = "refresh_git",
        invocation: str = "",
        instance: str = "instance-1",
    ) -> None:
        """Store a log line of a function, or of the host if `function` is empty."""
        severity = _SEVERITY[level]
        category = f"Function.{function}.User" if function else "Host.General"
        dimensions = {"Category": category, "InvocationId": invocation, "LogLevel": _LEVELS[severity]}
        row = {"message": message[:MAX_MESSAGE_CHARS], "severityLevel": severity}
        self._store("traces", at, row, dimensions, function, invocation, instance)

    def invocation(
        self,
        function: str,
        lines: Iterable[tuple[datetime, str, str]],
        *,
        began: datetime,
        ended: datetime,
        ok: bool,
        instance: str = "instance-1",
    ) -> None:
        """Store an invocation: its request, the app's lines (time, level, message), and the host's own."""
        identifier, took = str(uuid.uuid4()), (ended - began) / timedelta(milliseconds=1)
        told = {"function": function, "invocation": identifier, "instance": instance}
        reason = f"(Reason='Timer fired at {began.isoformat()}', Id={identifier})"
        self.trace(f"Executing 'Functions.{function}' {reason}", at=began, **told)
        for at, level, message in lines:
            self.trace(message, at=at, level=level, **told)
        result = f"({'Succeeded' if ok else 'Failed'}, Id={identifier}, Duration={took:.0f}ms)"
        level = "INFO" if ok else "ERROR"
        self.trace(f"Executed 'Functions.{function}' {result}", at=ended, level=level, **told)
        row = {"id": identifier[:16], "name": function, "success": ok, "resultCode": "0", "duration": took}
        self._store("requests", began, row, {"InvocationId": identifier}, function, identifier, instance)

    def visible(self, now: datetime) -> dict[str, kusto.Rows]:
        """Return the rows that can be found at this time."""
        newest = now - self.delay
        return {
            name: [row for row in rows if row["timestamp"] <= newest] for name, rows in self.tables.items()
        }

    def _store(
        self,
        table: str,
        at: datetime | None,
        row: Mapping[str, object],
        dimensions: Mapping[str, str],
        function: str,
        operation: str,
        instance: str,
    ) -> None:
        own = {
            "timestamp": at or datetime.now(UTC),
            **row,
            "customDimensions": dict(dimensions),
            "operation_Name": function,
            "operation_Id": operation.replace("-", ""),
            "cloud_RoleInstance": instance,
            "itemType": table.removesuffix("s"),
            "itemCount": 1,
        }
        self.tables[table].append(own)


class LogHandler(logging.Handler):
    """A logging handler that stores the app's log lines."""

    def __init__(self, logs: Logs) -> None:
        super().__init__()
        self._logs = logs

    @override
    def emit(self, record: logging.LogRecord) -> None:
        at = datetime.fromtimestamp(record.created, UTC)
        self._logs.trace(record.getMessage(), at=at, level=record.levelname)


class LogAnalytics:
    """`api.loganalytics.io`: queries for callers who can read the component's logs."""

    service = "logs"
    host = "api.loganalytics.io"
    request_id_header = "x-ms-request-id"

    def __init__(self, authority: Authority, manager: ResourceManager) -> None:
        self._authority = authority
        self._manager = manager
        self._logs: dict[str, Logs] = {}

    def of(self, component: Component) -> Logs:
        """Return the logs of this component."""
        return self.at(component.id)

    def at(self, resource_id: str) -> Logs:
        """Return the logs of a component or of a Log Analytics workspace."""
        return self._logs.setdefault(resource_id.lower(), Logs())

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.post("/v1/{resource:.+}/query", self._query), web.route("*", "/{path:.*}", self._no_path)]

    async def _query(self, request: web.Request) -> web.Response:
        resource_id = f"/{request.match_info['resource'].lstrip('/')}"
        logs = self._allowed(request, resource_id)
        body = _content(await request.read())
        if body is None:
            return web.Response()
        query, now = body.get("query"), datetime.now(UTC)
        if not isinstance(query, str):
            raise _bad_argument("SyntaxError", "Syntax Error")
        within = _within(body.get("timespan"), now)
        tables = {
            name: [row for row in rows if within[0] <= row["timestamp"] <= within[1]]
            for name, rows in logs.visible(now).items()
        }
        try:
            rows = kusto.run(query, tables if logs.has_tables else {}, now)
        except kusto.UnknownTableError as error:
            text = f"Failed to resolve table or column expression named '{error}'"
            raise _bad_argument("SemanticError", "A semantic error occurred.", "SEM0100", text) from None
        except (NotImplementedError, LookupError, TypeError, ValueError, AttributeError) as error:
            text = f"Query could not be parsed: {error}"
            raise _bad_argument(
                "SyntaxError", "A recognition error occurred in the query.", "SYN0002", text
            ) from None
        answer: dict[str, Any] = {"tables": [_table(rows[: logs.most])]}
        if len(rows) > logs.most:
            answer["error"] = _partial(logs.most)
        return web.json_response(answer)

    async def _no_path(self, _: web.Request) -> web.Response:
        raise _error(404, "PathNotFoundError", "The requested path does not exist")

    def _allowed(self, request: web.Request, resource_id: str) -> Logs:
        """Return the logs in the path, or raise the error of a caller without permission."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            text = "Authentication failed. The 'Authorization' header is missing."
            raise _error(401, "AuthenticationFailed", text)
        audiences, issuers = (LOGS_RESOURCE, f"{LOGS_RESOURCE}/"), [entra(tenant) for tenant in TENANTS]
        try:
            claims = self._authority.verify(token, audiences, issuers)
        except jwt.InvalidTokenError:
            raise _error(403, "InvalidAuthenticationToken", "The access token is invalid.") from None
        caller = request[PRINCIPAL] = claims["oid"]
        resource = self._manager.find(resource_id)
        group = (
            resource.group if isinstance(resource, Component) else self._manager.group_of_stored(resource_id)
        )
        if group is None:
            text = f"The resource {resource_id.lower()} was not found"
            raise _error(404, "ResourceNotFoundError", text)
        ours = group.subscription.tenant_id == claims["tid"]
        if not ours or not (resource or group).allows(caller, "Microsoft.Insights/logs/traces/read"):
            inner = {
                "code": "AuthorizationFailedError",
                "message": f"User '{caller}' does not have access to read logs for this resource",
            }
            text = "The provided credentials have insufficient access to perform the requested operation"
            raise _error(403, "InsufficientAccessError", text, inner)
        return self.at(resource_id)


def throttled(seconds: int = 17) -> ApiError:
    """Return the error of a throttled caller."""
    error = _error(429, "ThrottledError", "There were too many requests, please try again later.")
    return ApiError(error.status, error.body, {"Retry-After": str(seconds)})


def timed_out() -> ApiError:
    """Return the error of a query that exceeds its time limit."""
    inner = {"code": "GatewayTimeout", "message": "Unable to unzip response"}
    return _error(504, "GatewayTimeout", "Gateway timeout", inner)


def _content(body: bytes) -> dict[str, Any] | None:
    """Return the request's body; None for invalid JSON, which gets an empty 200 as documented."""
    try:
        content = json.loads(body)
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


_DURATION = re.compile(r"P(?:([\d.]+)D)?(?:T(?:([\d.]+)H)?(?:([\d.]+)M)?(?:([\d.]+)S)?)?")


def _within(timespan: object, now: datetime) -> tuple[datetime, datetime]:
    """Return the queried time, from a duration up to now, `start/end`, or `start/duration`."""
    if timespan is None:
        return datetime.min.replace(tzinfo=UTC), now
    try:
        start, _, end = str(timespan).rpartition("/")
        length = _length(end)
        if not start:
            return now - (length or timedelta(0)), now
        began = datetime.fromisoformat(start)
        return began, began + length if length is not None else datetime.fromisoformat(end)
    except ValueError:
        raise _bad_argument("InvalidTimespan", f"The timespan '{timespan}' is invalid.") from None


def _length(text: str) -> timedelta | None:
    found = _DURATION.fullmatch(text)
    if not found:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _table(rows: kusto.Rows) -> dict[str, Any]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [{"name": name, "type": _type([row.get(name) for row in rows])} for name in names]
    return {
        "name": "PrimaryResult",
        "columns": columns,
        "rows": [[_written(row.get(name)) for name in names] for row in rows],
    }


_TYPES = ((bool, "bool"), (int, "long"), (float, "real"), (datetime, "datetime"), (timedelta, "timespan"))


def _type(values: list[object]) -> str:
    """Return Kusto's type of a column."""
    known = next((value for value in values if value is not None), "")
    if isinstance(known, dict | list):
        return "dynamic"
    found = next((name for of, name in _TYPES if isinstance(known, of)), "string")
    return "real" if any(isinstance(value, float) for value in values) else found


def _written(value: object) -> object:
    """Return a value as it is sent: a dynamic one as JSON text."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_written)
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"
    if isinstance(value, timedelta):
        return str(value)
    return value


def _partial(most: int) -> dict[str, Any]:
    inner = {
        "code": "-2133196797",
        "message": f"The results of this query exceed the set limit of {most} records, so not all records were returned "
        "(E_QUERY_RESULT_SET_TOO_LARGE, 0x80DA0003). See https://aka.ms/kustoquerylimits for more information and possible solutions.",
        "severity": 2,
        "severityName": "Error",
    }
    text = "Something went wrong processing your query on the server."
    details = [{"code": "EngineError", "message": text, "innererror": inner}]
    return {
        "code": "PartialError",
        "message": "There were some errors when processing your query.",
        "details": details,
    }


def _bad_argument(code: str, message: str, inner: str = "", text: str = "") -> ApiError:
    below = {"innererror": {"code": inner, "message": text}} if inner else {}
    named = {"code": code, "message": message, **below}
    return _error(400, "BadArgumentError", "The request had some invalid properties", named)


def _error(status: int, code: str, message: str, inner: Mapping[str, Any] | None = None) -> ApiError:
    error = {"message": message, "code": code, "correlationId": str(uuid.uuid4())}
    return ApiError(status, {"error": error | ({"innererror": inner} if inner else {})})
