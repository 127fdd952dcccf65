import time

import pytest
import requests

from localcloud import Cloud, Fault, faults
from localcloud.databricks.workspace import Workspace
from localcloud.devops.repository import Repository
from localcloud.rest import Rest

SHORT = 0.2


@pytest.fixture
def url(workspace: Workspace) -> str:
    return f"{workspace.url}/.well-known/databricks-config"


def statuses(session: requests.Session, url: str, count: int) -> list[int]:
    return [session.get(url, timeout=5).status_code for _ in range(count)]


def test_a_delay_comes_before_the_real_answer(cloud: Cloud, session: requests.Session, url: str) -> None:
    cloud.inject(Fault(faults.delay(0.1)))
    began = time.monotonic()
    assert session.get(url, timeout=5).json()["cloud"] == "Azure"
    assert time.monotonic() - began > 0.1


def test_a_hung_request_is_recorded_and_never_answered(
    cloud: Cloud, session: requests.Session, url: str
) -> None:
    cloud.inject(Fault(faults.hang()))
    with pytest.raises(requests.exceptions.ReadTimeout):
        session.get(url, timeout=SHORT)
    (seen,) = cloud.requests
    assert seen.status is None


@pytest.mark.parametrize("part", ["headers", "body"])
def test_bytes_drip_so_that_no_read_times_out(
    cloud: Cloud, session: requests.Session, url: str, part: str
) -> None:
    cloud.inject(Fault(faults.drip(part, interval=0.02)))
    began = time.monotonic()
    if part == "headers":
        with pytest.raises(requests.exceptions.ReadTimeout):
            session.get(url, timeout=0.01)
    else:
        with session.get(url, timeout=SHORT, stream=True) as answer:
            assert answer.status_code == 200
            assert next(answer.iter_content(10)) == b" " * 10
    assert time.monotonic() - began < 5


def test_a_reset_breaks_the_connection(cloud: Cloud, session: requests.Session, url: str) -> None:
    cloud.inject(Fault(faults.reset()))
    with pytest.raises(requests.exceptions.ConnectionError, match="reset by peer"):
        session.get(url, timeout=5)
    assert cloud.requests[0].status is None


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


def test_a_status_carries_headers(cloud: Cloud, session: requests.Session, url: str) -> None:
    cloud.inject(Fault(faults.status(429, headers={"Retry-After": "3600"}), times=1))
    cloud.inject(Fault(faults.status(302, headers={"Location": "https://evil.contoso.com/"})))
    assert session.get(url, timeout=5).headers["Retry-After"] == "3600"
    answer = session.get(url, timeout=5, allow_redirects=False)
    assert answer.headers["Location"] == "https://evil.contoso.com/"


def test_a_body_is_replaced_after_the_work_is_done(cloud: Cloud, api: Rest) -> None:
    cloud.inject(Fault(faults.replace_body(b"[1]"), method="POST", times=1))
    cloud.inject(Fault(faults.replace_body(lambda body: body.replace(b"credential_id", b"id")), method="GET"))
    fields = {"git_provider": "gitHub", "git_username": "x", "personal_access_token": "t"}
    assert api("POST", "/git-credentials", json=fields).content == b"[1]"
    (stored,) = api.workspace.credentials
    assert api("GET", "/git-credentials").json()["credentials"][0]["id"] == stored.id


def test_an_answer_can_be_huge(cloud: Cloud, session: requests.Session, url: str) -> None:
    cloud.inject(Fault(faults.huge(1_000_000)))
    assert len(session.get(url, timeout=5).json()["x"]) == 1_000_000


def test_pages_can_be_endless(cloud: Cloud, api: Rest, repository: Repository) -> None:
    api.workspace.add_folder("/Repos/etl/prod", repository, git_cli=False)
    cloud.inject(Fault(faults.endless_pages(), route="/repos$"))
    page = api("GET", "/repos").json()
    for _ in range(3):
        page = api("GET", "/repos", params={"next_page_token": page["next_page_token"]}).json()
        assert len(page["repos"]) == 1
    assert page["next_page_token"]


@pytest.mark.parametrize("loss", [faults.hang(), faults.reset()])
def test_the_work_can_be_done_and_the_answer_lost(cloud: Cloud, api: Rest, loss: faults.Action) -> None:
    cloud.inject(Fault(faults.act_then(loss), route="git-credentials"))
    fields = {"git_provider": "gitHub", "git_username": "x", "personal_access_token": "t"}
    options = {"headers": {"Authorization": f"Bearer {api.token}"}, "json": fields, "timeout": SHORT}
    with pytest.raises((requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError)):
        api.session.post(f"{api.workspace.url}/api/2.0/git-credentials", **options)  # type: ignore[arg-type]
    assert len(api.workspace.credentials) == 1


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


def test_the_identity_endpoint_fails_too(cloud: Cloud, session: requests.Session) -> None:
    cloud.inject(Fault(faults.status(500, "vague"), service="identity"))
    assert session.get(cloud.environment()["IDENTITY_ENDPOINT"], timeout=5).text == "vague"


def test_a_git_fetch_meets_faults_of_azure_devops(
    cloud: Cloud, api: Rest, repository: Repository, devops_token: str
) -> None:
    folder = api.workspace.add_folder("/Repos/etl/prod", repository)
    api.store_token(devops_token)
    cloud.inject(Fault(faults.status(503), service="devops", route="_git"))
    answer = api("PATCH", f"/repos/{folder.id}", json={"branch": "main"})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "GIT_REMOTE_ERROR")
