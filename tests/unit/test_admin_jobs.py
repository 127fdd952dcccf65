"""A workspace's jobs from API responses: Run as identities, missing jobs, odd responses."""

from dataclasses import dataclass, field
from itertools import chain
from typing import Any, cast

import pytest
from pydantic import SecretStr

from git_refresh.admin.jobs import (
    JOBS_PER_PAGE,
    MAX_JOBS_PAGES,
    MAX_LISTED_JOBS,
    HttpJobsClientFactory,
    JobsClient,
)
from git_refresh.admin.values import RunAs
from git_refresh.clients.connections import tls_context
from git_refresh.clients.devops import AzureDevOps
from git_refresh.clients.responses import Response, read
from git_refresh.clients.rest import Rest
from git_refresh.clients.session import Network
from git_refresh.failures.failure import Attempt, Service, ServiceError
from git_refresh.model.clock import Deadline
from git_refresh.model.hosts import NO_HOSTS
from git_refresh.model.repository import parse_repository
from git_refresh.model.values import CREDENTIAL_NAME, PROVIDER, StoredCredential, Token
from git_refresh.output.mask import SecretFilter
from tests.support.fake_fleet import NEW, OLD, URL, host
from tests.support.fakes import FakeClock, failure

ROBOT = "5a1e0000-0000-4000-8000-0000000000b0"
OTHER = "5a1e0000-0000-4000-8000-0000000000b1"
TOKEN = "dkea" + "0123456789abcdef" * 2


@dataclass
class FakeRest(Rest):
    """A service with the same response for everything, or pages in turn."""

    answer: Any = None
    listed: list[Any] = field(default_factory=list)
    _service = Service.DATABRICKS

    def _call[M: Response](
        self, method: str, what: Attempt, path: str, model: type[M], **_: object
    ) -> tuple[M, str]:
        answer = self.listed.pop(0) if self.listed else self.answer
        if isinstance(answer, ServiceError):
            raise answer
        return read(model, answer, SecretFilter()), ""

    def close(self) -> None: ...


def jobs(answer: Any = None, pages: list[Any] | None = None) -> JobsClient:
    return JobsClient(FakeRest(answer, pages or []), cast("Any", None), SecretFilter())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(OTHER, "72"), (ROBOT.upper(), "71")], 71),
        ([(OTHER, "72")], None),
        ([], None),
    ],
    ids=["both, though one was asked for", "only another", "none"],
)
def test_an_id_is_that_of_the_principal_asked_for_or_none(
    found: list[tuple[str, str]], expected: int | None
) -> None:
    resources = [{"applicationId": name, "id": number} for name, number in found]
    assert jobs({"Resources": resources}).principal_id(ROBOT) == expected


@pytest.mark.parametrize(
    "error", [failure(status=400, error_code="INVALID_PARAMETER_VALUE"), failure(status=404)]
)
def test_a_job_that_does_not_exist_is_gone(error: ServiceError) -> None:
    assert jobs(error).job(5) is None


@pytest.mark.parametrize(
    "error",
    [
        failure(status=400, error_code="BAD_REQUEST"),
        failure(status=400),
        failure(status=403, error_code="INVALID_PARAMETER_VALUE"),
        failure(status=500),
    ],
)
def test_what_else_goes_wrong_does_not_say_that_a_job_is_gone(error: ServiceError) -> None:
    with pytest.raises(ServiceError) as caught:
        jobs(error).job(5)
    assert caught.value is error


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ({"run_as_user_name": ROBOT}, RunAs("service principal", ROBOT)),
        ({"run_as_user_name": "ann@contoso.com"}, RunAs("user", "ann@contoso.com")),
        (
            {"run_as_user_name": ROBOT, "settings": {"run_as": {"service_principal_name": OTHER}}},
            RunAs("service principal", ROBOT),
        ),
        (
            {"run_as_user_name": "ann@contoso.com", "settings": {"run_as": {"user_name": "bob@contoso.com"}}},
            RunAs("user", "ann@contoso.com"),
        ),
        ({"settings": {"run_as": {"service_principal_name": OTHER}}}, RunAs("service principal", OTHER)),
        (
            {"run_as_user_name": ROBOT, "settings": {"run_as": {"group_name": "etl"}}},
            RunAs("group", "etl"),
        ),
        ({}, None),
    ],
)
def test_the_run_as_of_a_job_is_the_one_that_the_workspace_resolved(
    job: dict[str, Any], expected: RunAs | None
) -> None:
    found = jobs({"job_id": 5, **job}).job(5)
    assert found
    assert found.run_as == expected


def test_a_list_of_more_jobs_than_a_workspace_can_have_is_refused() -> None:
    page = {"jobs": [{"job_id": number} for number in range(1, 1_001)], "next_page_token": "more"}
    asked = jobs(pages=[page] * 200)
    read: list[object] = []
    with pytest.raises(ServiceError) as caught:
        read.extend(chain.from_iterable(asked.listed()))
    assert caught.value.failure.kind == "unexpected"
    assert len(read) == MAX_LISTED_JOBS


def test_a_list_whose_pages_never_end_is_refused() -> None:
    with pytest.raises(ServiceError) as caught:
        list(jobs({"jobs": [], "next_page_token": "more"}).listed())
    assert caught.value.failure.kind == "unexpected"


SOURCE = {"git_url": URL, "git_provider": "azureDevOpsServices", "git_branch": "main"}
WORKSPACE_TASKS = [
    {"notebook_task": {"notebook_path": "/a", "source": "WORKSPACE"}},
    {"spark_python_task": {"python_file": "/a.py", "source": "WORKSPACE"}},
    {"sql_task": {"file": {"path": "/a.sql", "source": "WORKSPACE"}}},
    {"dbt_task": {"commands": [], "source": "WORKSPACE"}},
    {"for_each_task": {"task": {"notebook_task": {"notebook_path": "/a", "source": "WORKSPACE"}}}},
]


@pytest.mark.parametrize(
    ("job", "clones"),
    [
        *(({"tasks": [task]}, False) for task in WORKSPACE_TASKS),
        ({"tasks": WORKSPACE_TASKS}, False),
        ({}, True),
        ({"tasks": None}, True),
        ({"tasks": [*WORKSPACE_TASKS, {"notebook_task": {"notebook_path": "a", "source": "GIT"}}]}, True),
        ({"tasks": [*WORKSPACE_TASKS, {"notebook_task": {"notebook_path": "a"}}]}, True),
        ({"tasks": [*WORKSPACE_TASKS, {"condition_task": {}}]}, True),
        ({"tasks": [{"for_each_task": {"task": {"notebook_task": {"source": "GIT"}}}}]}, True),
        ({"tasks": [{"notebook_task": {"base_parameters": {"source": "WORKSPACE"}}}]}, True),
        ({"tasks": [{"notebook_task": {"source": ["WORKSPACE"]}}, 5, None, []]}, True),
    ],
)
@pytest.mark.parametrize("page", [{}, {"has_more": True}, {"next_page_token": "more"}])
def test_a_job_with_only_workspace_tasks_clones_nothing(
    job: dict[str, Any],
    clones: bool,  # noqa: FBT001  # the expected result
    page: dict[str, Any],
) -> None:
    """Unless the job has more tasks than a page."""
    found = jobs({"job_id": 5, "settings": {"git_source": SOURCE, **job}, **page}).job(5)
    assert found
    assert (found.source is not None) is (clones or bool(page))


def test_twelve_thousand_jobs_are_read_to_the_last() -> None:
    pages = [
        {
            "jobs": [{"job_id": 1 + page * JOBS_PER_PAGE + at} for at in range(JOBS_PER_PAGE)],
            "next_page_token": str(page),
        }
        for page in range(120)
    ]
    del pages[-1]["next_page_token"]
    listed = [job.id for page in jobs(pages=pages).listed() for job in page]
    assert listed == list(range(1, 12_001))
    assert MAX_JOBS_PAGES * JOBS_PER_PAGE > 12_000


def test_an_answer_about_another_commit_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    deadline, token = Deadline.after(60, FakeClock()), Token(SecretStr(TOKEN), FakeClock().now())
    devops = AzureDevOps(token, Network(tls_context(), deadline, SecretFilter()))
    monkeypatch.setattr(devops, "_rest", lambda _: FakeRest({"commitId": OLD}))
    with pytest.raises(ServiceError) as caught:
        devops.has_commit(parse_repository(URL, NO_HOSTS), NEW)
    assert caught.value.failure.kind == "unexpected"


def test_a_git_credential_is_listed_with_its_name_and_default_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"credential_id": 3, "git_provider": PROVIDER, "name": CREDENTIAL_NAME, "git_username": "ada"}
    factory = HttpJobsClientFactory(Network(tls_context(), Deadline.after(60, FakeClock()), SecretFilter()))
    client = factory.workspace(host(1), SecretStr(TOKEN))
    listed = {"credentials": [{**named, "is_default_for_provider": True}]}
    monkeypatch.setattr("git_refresh.clients.databricks_sdk.ApiClient.do", lambda *_, **__: listed)
    assert client.credentials(71) == [
        StoredCredential(3, PROVIDER, "ada", is_default=True, name=CREDENTIAL_NAME)
    ]
    client.close()


def test_a_token_that_a_workspace_is_entered_with_is_a_secret_from_then_on() -> None:
    secrets = SecretFilter()
    doors = HttpJobsClientFactory(Network(tls_context(), Deadline.after(60, FakeClock()), secrets))
    doors.workspace(host(1), SecretStr(TOKEN)).close()
    assert secrets.contains(f"a folder called {TOKEN[4:24]}")
