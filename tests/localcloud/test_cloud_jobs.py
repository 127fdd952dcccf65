"""A workspace's jobs through Databricks' SDK: visibility, and runs that clone as the Run as identity."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue, OperationFailed, PermissionDenied
from databricks.sdk.errors.platform import ResourceDoesNotExist
from databricks.sdk.service.jobs import GitProvider, GitSource, JobRunAs, NotebookTask, Task

from localcloud import Cloud
from localcloud.authority import DATABRICKS_RESOURCE
from localcloud.databricks.workspace import Workspace
from localcloud.devops.repository import Repository

ROBOT = "5a1e0000-0000-4000-8000-0000000000b0"
TASKS = [Task("only", notebook_task=NotebookTask("jobs/load"))]


@pytest.fixture
def sign_in(cloud: Cloud, workspace: Workspace) -> Iterator[Callable[[str], WorkspaceClient]]:
    """Return a function that adds a person to the workspace and signs them in."""
    made = []

    def sign_in(name: str, *, admin: bool = False) -> WorkspaceClient:
        person = cloud.person(name)
        workspace.add_user(person, admin=admin)
        client = WorkspaceClient(host=workspace.url, token=person.token(DATABRICKS_RESOURCE), auth_type="pat")
        made.append(client)
        return client

    yield sign_in
    for client in made:
        client.api_client._api_client._session.close()


MAIN = {"git_branch": "main"}


def source(repository: Repository) -> GitSource:
    return GitSource(repository.url, GitProvider.AZURE_DEV_OPS_SERVICES, git_branch="main")


def test_a_run_clones_with_the_credential_of_its_run_as_principal(
    sign_in: Callable[..., WorkspaceClient], workspace: Workspace, repository: Repository, devops_token: str
) -> None:
    robot = workspace.service_principal(ROBOT, "secret", "robot")
    jobs = sign_in("ann", admin=True).jobs
    number = jobs.create(
        name="nightly",
        git_source=source(repository),
        tasks=TASKS,
        run_as=JobRunAs(service_principal_name=ROBOT),
    ).job_id
    assert number
    seen = jobs.get(number)
    assert (seen.run_as_user_name, seen.creator_user_name) == (ROBOT, "ann@contoso.com")
    with pytest.raises(
        OperationFailed,
        match="Failed to checkout Git repository: PERMISSION_DENIED: Missing Git provider credentials",
    ):
        jobs.run_now(number).result(timedelta(seconds=20))
    credential = workspace.add_credential(robot, username="x", token="stale")
    with pytest.raises(OperationFailed, match="Invalid Git provider credentials"):
        jobs.run_now(number).result(timedelta(seconds=20))
    credential.token = devops_token
    done = jobs.run_now(number).result(timedelta(seconds=20))
    assert done.state
    assert done.state.result_state
    assert done.state.result_state.value == "SUCCESS"
    assert done.git_source
    assert done.git_source.git_snapshot
    assert done.git_source.git_snapshot.used_commit == repository.head()


@pytest.mark.parametrize(
    ("ref", "result"),
    [
        ({"git_branch": "main"}, "SUCCESS"),
        ({"git_branch": "none"}, "FAILED"),
        ({"git_tag": "v1"}, "SUCCESS"),
        ({"git_tag": "v2"}, "FAILED"),
        ({"git_commit": "HEAD COMMIT"}, "SUCCESS"),
        ({"git_commit": "0" * 40}, "FAILED"),
        ({}, "SUCCESS"),
    ],
)
def test_it_checks_out_what_the_job_names(
    workspace: Workspace, repository: Repository, devops_token: str, ref: dict[str, str], result: str
) -> None:
    repository.tag("v1", annotated=True)
    robot = workspace.service_principal(ROBOT, "secret", "robot")
    workspace.add_credential(robot, username="x", token=devops_token)
    ref = {key: repository.head() if value == "HEAD COMMIT" else value for key, value in ref.items()}
    run = workspace.run_job(workspace.add_job("nightly", robot, repository, ref=ref))
    assert (run.result, run.used_commit) == (result, repository.head() if result == "SUCCESS" else "")
    assert run.message.startswith("Failed to checkout Git repository: ") == (result == "FAILED")


def test_a_provider_s_credential_is_no_other_s(
    workspace: Workspace, repository: Repository, devops_token: str
) -> None:
    robot = workspace.service_principal(ROBOT, "secret", "robot")
    workspace.add_credential(robot, username="x", token=devops_token)
    job = workspace.add_job("odd", robot, repository, provider="gitHub", ref=MAIN)
    assert "Missing Git provider credentials" in workspace.run_job(job).message
    assert workspace.run_job(workspace.add_job("without Git", robot, None)).result == "SUCCESS"


def test_admins_see_every_job_and_others_theirs(
    sign_in: Callable[..., WorkspaceClient], workspace: Workspace, repository: Repository
) -> None:
    robot = workspace.service_principal(ROBOT, "secret", "robot")
    job = workspace.add_job("nightly", robot, repository, ref=MAIN)
    admin, bob = sign_in("ann", admin=True).jobs, sign_in("bob").jobs
    (listed,) = admin.list()
    assert (listed.job_id, listed.settings and listed.settings.git_source) == (job.id, None)
    assert not list(bob.list())
    rights = f"does not have View or Admin or Manage Run or Owner permissions on job {job.id}"
    with pytest.raises(PermissionDenied, match=rights):
        bob.get(job.id)
    with pytest.raises(PermissionDenied):
        bob.get(1)
    with pytest.raises(ResourceDoesNotExist, match="Job 1 does not exist"):  # as the SDK reads a 400
        admin.get(1)
    job.viewers.add(next(each.id for each in workspace._sign_in.principals if each.name.startswith("bob")))
    assert bob.get(job.id).job_id == job.id
    with pytest.raises(PermissionDenied, match="run_as"):
        bob.create(name="x", tasks=TASKS, run_as=JobRunAs(service_principal_name=ROBOT))
    admin.delete(job.id)
    assert not list(admin.list())


def test_a_list_is_in_pages_the_newest_first(
    sign_in: Callable[..., WorkspaceClient], workspace: Workspace
) -> None:
    robot = workspace.service_principal(ROBOT, "secret", "robot")
    made = [workspace.add_job(f"job {number}", robot, None).id for number in range(45)]
    assert [job.job_id for job in sign_in("ann", admin=True).jobs.list()] == made[::-1]


def test_a_source_is_checked_when_it_is_written(
    sign_in: Callable[..., WorkspaceClient], workspace: Workspace, repository: Repository
) -> None:
    client = sign_in("ann", admin=True)
    body = {"git_source": {"git_url": repository.url, "git_provider": "azureDevOpsServicesAad"}}
    with pytest.raises(InvalidParameterValue, match="git_provider must be one of: "):
        client.api_client.do("POST", "/api/2.2/jobs/create", body=body)
    with pytest.raises(InvalidParameterValue, match="Only one of"):
        client.jobs.create(git_source=replace(source(repository), git_tag="v1"), tasks=TASKS)
    assert workspace._jobs.jobs == {}
