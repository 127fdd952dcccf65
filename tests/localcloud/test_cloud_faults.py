import time

import pytest
import requests

from localcloud import Cloud, Fault, faults
from localcloud.databricks.workspace import Workspace
from localcloud.rest import Rest


@pytest.fixture
def url(workspace: Workspace) -> str:
    return f"{workspace.url}/.well-known/databricks-config"


def statuses(session: requests.Session, url: str, count: int) -> list[int]:
    return [session.get(url, timeout=5).status_code for _ in range(count)]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (faults.status(429, {"error_code": "X"}), (429, "application/json", b'{"error_code": "X"}')),
        (faults.status(502, "<html>bad</html>"), (502, "text/html; charset=utf-8", b"<html>bad</html>")),
        (faults.status(503, "busy", content_type="text/plain"), (503, "text/plain", b"busy")),
        (faults.status(200), (200, "text/html; charset=utf-8", b"")),
        (faults.status(200, b"\xff", content_type="text/json"), (200, "text/json", b"\xff")),
    ],
)
def test_any_status_and_body_can_take_the_answers_place(
    cloud: Cloud,
    session: requests.Session,
    url: str,
    action: faults.Action,
    expected: tuple[int, str, bytes],
) -> None:
    cloud.inject(Fault(action))
    answer = session.get(url, timeout=5)
    assert (answer.status_code, answer.headers["Content-Type"], answer.content) == expected
    assert cloud.requests[0].status == expected[0]


def test_a_body_is_replaced_after_the_work_is_done(cloud: Cloud, api: Rest) -> None:
    cloud.inject(Fault(faults.replace_body(b"[1]"), method="POST", times=1))
    cloud.inject(Fault(faults.replace_body(lambda body: body.replace(b"credential_id", b"id")), method="GET"))
    fields = {"git_provider": "gitHub", "git_username": "x", "personal_access_token": "t"}
    assert api("POST", "/git-credentials", json=fields).content == b"[1]"
    (stored,) = api.workspace.credentials
    assert api("GET", "/git-credentials").json()["credentials"][0]["id"] == stored.id


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, [500, 500, 500, 500]),
        ({"times": 2}, [500, 500, 200, 200]),
        ({"nth": 2}, [200, 500, 200, 200]),
        ({"nth": 2, "times": 2}, [200, 500, 500, 200]),
    ],
)
def test_a_fault_strikes_at_its_time(
    cloud: Cloud,
    session: requests.Session,
    url: str,
    when: dict[str, int],
    expected: list[int],
) -> None:
    cloud.inject(Fault(faults.status(500), nth=when.get("nth"), times=when.get("times")))
    assert statuses(session, url, 4) == expected


@pytest.mark.parametrize(
    "elsewhere",
    [
        Fault(faults.status(500), service="devops"),
        Fault(faults.status(500), host="adb-2222222222222222.2.azuredatabricks.net"),
        Fault(faults.status(500), method="POST"),
        Fault(faults.status(500), route="/api/2.0"),
    ],
)
def test_a_fault_strikes_at_its_place(
    cloud: Cloud, session: requests.Session, url: str, elsewhere: Fault
) -> None:
    cloud.inject(elsewhere)
    assert statuses(session, url, 1) == [200]


def test_faults_add_up_and_are_cleared(cloud: Cloud, session: requests.Session, url: str) -> None:
    cloud.inject(Fault(faults.delay(0.1)))
    cloud.inject(Fault(faults.status(500)))
    began = time.monotonic()
    assert statuses(session, url, 1) == [500]
    assert time.monotonic() - began > 0.1
    cloud.clear_faults()
    assert statuses(session, url, 1) == [200]
