import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.monitor.query import LogsQueryClient, LogsQueryPartialResult, LogsQueryResult

from localcloud import Cloud, Fault, kusto, refusals, seed
from localcloud.authority import LOGS_RESOURCE, MANAGEMENT_RESOURCE, OTHER_TENANT
from localcloud.logs import MAX_MESSAGE_CHARS, LogHandler, Logs
from localcloud.people import Person
from localcloud.resource_manager import Component, ResourceGroup

DAY = timedelta(days=1)
NOW = datetime.now(UTC)


class Credential:
    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken(self._token, int(NOW.timestamp()) + 3600)


@pytest.fixture
def component(cloud: Cloud, ada: Person) -> Component:
    group = cloud.resource_manager.subscription("production").group("rg")
    group.assign(ada.object_id, "Log Analytics Reader")
    return group.component("logs")


@pytest.fixture
def logs(cloud: Cloud, component: Component) -> Logs:
    return cloud.logs.of(component)


@pytest.fixture
def client(ada: Person) -> Iterator[LogsQueryClient]:
    """Yield Microsoft's SDK for a reader."""
    with client_of(ada.token(LOGS_RESOURCE)) as client:
        yield client


def client_of(token: str) -> LogsQueryClient:
    transport = RequestsTransport(session=requests.Session(), session_owner=True)
    return LogsQueryClient(Credential(token), transport=transport, retry_total=0)


def found(
    client: LogsQueryClient,
    component: Component,
    query: str,
    within: timedelta | tuple[datetime, datetime] | tuple[datetime, timedelta] | None = DAY,
) -> list[list[object]]:
    answer = client.query_resource(component.id, query, timespan=within)
    assert isinstance(answer, LogsQueryResult)
    (table,) = answer.tables
    return [list(row) for row in table.rows]


def refusal(client: LogsQueryClient, resource_id: str, query: str = "traces") -> tuple[int | None, str, str]:
    with pytest.raises(HttpResponseError) as caught:
        client.query_resource(resource_id, query, timespan=DAY)
    error = caught.value.error
    inner = (error.innererror or {}).get("code", "") if error else ""
    return caught.value.status_code, (error.code or "") if error else "", inner


# Rows


def test_a_query_reads_stored_lines(client: LogsQueryClient, component: Component, logs: Logs) -> None:
    logs.trace('{"event": "git_refresh.run", "result": "ok"}', at=NOW - timedelta(hours=1))
    logs.trace("Host started", at=NOW, function="")
    query = "traces | where message startswith '{' | extend e = parse_json(message) | project timestamp, result = tostring(e.result)"
    assert found(client, component, query) == [[NOW - timedelta(hours=1), "ok"]]


def test_values_have_the_types_of_kusto(client: LogsQueryClient, component: Component, logs: Logs) -> None:
    logs.trace("a", at=NOW, level="ERROR")
    query = (
        "traces | extend d = now() - timestamp > 1d, half = severityLevel * 0.5, none = customDimensions.none, "
        "made = pack_array(1, message) "
        "| project timestamp, severityLevel, d, half, none, made, customDimensions"
    )
    answer = client.query_resource(component.id, query, timespan=DAY)
    assert isinstance(answer, LogsQueryResult)
    (table,) = answer.tables
    assert table.name == "PrimaryResult"
    assert dict(zip(table.columns, table.columns_types, strict=True)) == {
        "timestamp": "datetime",
        "severityLevel": "long",
        "d": "bool",
        "half": "real",
        "none": "string",
        "made": "dynamic",
        "customDimensions": "dynamic",
    }
    assert list(table.rows[0])[1:6] == [3, False, 1.5, None, '[1,"a"]']


def test_an_invocation_leaves_its_request_and_its_lines(
    client: LogsQueryClient, component: Component, logs: Logs
) -> None:
    began, ended = NOW - timedelta(seconds=90), NOW - timedelta(seconds=30)
    logs.invocation("refresh_git", [(ended, "ERROR", "a line")], began=began, ended=ended, ok=False)
    assert found(client, component, "requests | project timestamp, name, success, duration") == [
        [began, "refresh_git", False, 60_000.0]
    ]
    lines = found(client, component, "traces | project message, severityLevel, operation_Id")
    assert [str(message).partition(" (")[0] for message, _, _ in lines] == [
        "Executing 'Functions.refresh_git'",
        "a line",
        "Executed 'Functions.refresh_git'",
    ]
    assert [level for _, level, _ in lines] == [1, 3, 3]
    assert len({operation for _, _, operation in lines}) == 1


def test_a_long_message_is_cut_off(client: LogsQueryClient, component: Component, logs: Logs) -> None:
    logs.trace("x" * (MAX_MESSAGE_CHARS + 1), at=NOW)
    ((message,),) = found(client, component, "traces | project message")
    assert message == "x" * MAX_MESSAGE_CHARS


def test_a_logger_can_write_into_them(client: LogsQueryClient, component: Component, logs: Logs) -> None:
    logger = logging.getLogger("tests.cloud_logs")
    logger.setLevel("INFO")
    handler = LogHandler(logs)
    logger.addHandler(handler)
    logger.error("it went %s", "wrong")
    logger.removeHandler(handler)
    assert found(client, component, "traces | project message, severityLevel") == [["it went wrong", 3]]


# Time


@pytest.mark.parametrize(
    ("within", "expected"),
    [
        (None, ["1", "2", "3"]),
        (timedelta(days=7), ["1", "2", "3"]),
        (timedelta(hours=2), ["3"]),
        (timedelta(0), ["1", "2", "3"]),
        ((NOW - 3 * DAY, NOW - timedelta(hours=3)), ["1", "2"]),
        ((NOW - 3 * DAY, timedelta(days=2)), ["1"]),
    ],
)
def test_a_timespan_limits_what_is_found(
    client: LogsQueryClient,
    component: Component,
    logs: Logs,
    within: timedelta | tuple[datetime, datetime] | None,
    expected: list[str],
) -> None:
    for number, age in enumerate((2 * DAY, timedelta(hours=4), timedelta(hours=1)), start=1):
        logs.trace(str(number), at=NOW - age)
    assert [row[0] for row in found(client, component, "traces | project message", within)] == expected


def test_a_line_is_found_after_a_delay(client: LogsQueryClient, component: Component, logs: Logs) -> None:
    logs.delay = timedelta(minutes=5)
    now = datetime.now(UTC)
    logs.trace("old", at=now - timedelta(minutes=6))
    logs.trace("new", at=now - timedelta(minutes=4))
    assert found(client, component, "traces | project message") == [["old"]]
    logs.delay = timedelta(0)
    assert len(found(client, component, "traces")) == 2


# Results and refusals


def test_too_many_rows_are_a_partial_result(
    client: LogsQueryClient, component: Component, logs: Logs
) -> None:
    for number in range(3):
        logs.trace(str(number), at=NOW)
    logs.most = 2
    answer = client.query_resource(component.id, "traces", timespan=DAY)
    assert isinstance(answer, LogsQueryPartialResult)
    assert [len(table.rows) for table in answer.partial_data] == [2]
    assert answer.partial_error
    assert answer.partial_error.code == "PartialError"


def test_a_new_component_has_no_rows_or_no_tables(
    client: LogsQueryClient, component: Component, logs: Logs
) -> None:
    assert found(client, component, "traces") == []
    logs.has_tables = False
    assert refusal(client, component.id) == (400, "BadArgumentError", "SemanticError")


@pytest.mark.parametrize(
    ("query", "inner"),
    [
        ("AppTraces | take 1", "SemanticError"),
        ("traces | where", "SyntaxError"),
        ("traces | evaluate pivot(message)", "SyntaxError"),
        ("traces | where none == 1", "SyntaxError"),
        ("!", "SyntaxError"),
        ("", "SyntaxError"),
    ],
)
def test_a_query_that_cannot_be_read_is_refused(
    client: LogsQueryClient, component: Component, logs: Logs, query: str, inner: str
) -> None:
    logs.trace("a", at=NOW)
    assert refusal(client, component.id, query) == (400, "BadArgumentError", inner)


def test_a_component_that_does_not_exist_is_not_found(client: LogsQueryClient, component: Component) -> None:
    assert refusal(client, f"{component.id}-2") == (404, "ResourceNotFoundError", "")


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("Reader", True),
        ("Log Analytics Reader", True),
        ("Monitoring Reader", True),
        ("Website Contributor", False),
    ],
)
def test_each_role_reads_logs_or_does_not(
    bob: Person,
    component: Component,
    logs: Logs,
    role: str,
    may: bool,  # noqa: FBT001
) -> None:
    logs.trace("a", at=NOW)
    with client_of(bob.token(LOGS_RESOURCE)) as client:
        denied = (403, "InsufficientAccessError", "AuthorizationFailedError")
        assert refusal(client, component.id) == denied
        group: ResourceGroup = component.group
        group.assign(bob.object_id, role)
        if may:
            assert len(found(client, component, "traces")) == 1
        else:
            assert refusal(client, component.id) == denied


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("none", 401, "AuthenticationFailed"),
        ("garbage", 403, "InvalidAuthenticationToken"),
        ("for something else", 403, "InvalidAuthenticationToken"),
        ("of another tenant", 403, "InsufficientAccessError"),
    ],
)
def test_a_bad_token_is_refused_with_its_code(
    ada: Person, session: requests.Session, component: Component, kind: str, status: int, expected: str
) -> None:
    tokens = {
        "none": "",
        "garbage": "x.y.z",
        "for something else": ada.token(MANAGEMENT_RESOURCE),
        "of another tenant": ada.token(LOGS_RESOURCE, OTHER_TENANT),
    }
    headers = {"Authorization": f"Bearer {tokens[kind]}"} if tokens[kind] else {}
    url = f"https://api.loganalytics.io/v1{component.id}/query"
    answer = session.post(url, json={"query": "traces"}, headers=headers, timeout=10)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, expected)


@pytest.mark.usefixtures("cloud")
def test_another_path_does_not_exist(session: requests.Session) -> None:
    answer = session.get("https://api.loganalytics.io/v1/none", timeout=10)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "PathNotFoundError")


def test_without_a_body_the_answer_is_empty(
    session: requests.Session, ada: Person, component: Component
) -> None:
    headers = {"Authorization": f"Bearer {ada.token(LOGS_RESOURCE)}"}
    url = f"https://api.loganalytics.io/v1{component.id}/query"
    answer = session.post(url, data=b"", headers=headers, timeout=10)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("name", refusals.LOGS)
def test_each_refusal_of_logs_has_a_code(
    cloud: Cloud, client: LogsQueryClient, component: Component, name: str
) -> None:
    cloud.inject(Fault(refusals.LOGS[name](), service="logs"))
    status, code, _ = refusal(client, component.id)
    assert (status, code) in {(429, "ThrottledError"), (504, "GatewayTimeout")}


def test_an_unknown_table_is_known_by_its_name() -> None:
    with pytest.raises(kusto.UnknownTableError, match="none"):
        kusto.run("none | take 1", {"traces": []}, NOW)


def test_a_fleet_has_logs_of_its_own(cloud: Cloud, ada: Person) -> None:
    fleet = seed(cloud)
    fleet.app.group.assign(ada.object_id, "Reader")
    cloud.logs.of(fleet.component).trace("a", at=NOW)
    with client_of(ada.token(LOGS_RESOURCE)) as client:
        tag = fleet.app.tags["hidden-link: /app-insights-resource-id"]
        assert fleet.component.id == tag
        assert len(found(client, fleet.component, "traces")) == 1
