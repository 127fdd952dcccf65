"""Reads the jobs of a workspace: their Git sources and *Run as* identities.

Facts: https://docs.databricks.com/api/azure/workspace/jobs
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr, WrapValidator

from git_refresh.admin.values import Caller, GitSource, Job, ListedJob, RunAs
from git_refresh.clients import oauth, responses
from git_refresh.clients.databricks import DatabricksWorkspaceApi, workspace_session
from git_refresh.clients.responses import Page, Response, UnexpectedAnswerError, read
from git_refresh.clients.rest import Rest
from git_refresh.clients.scim import ScimClient
from git_refresh.clients.session import Network
from git_refresh.failures.failure import Operation, Service, ServiceError
from git_refresh.model.values import GUID, Ref, StoredCredential, Token
from git_refresh.output.mask import SecretFilter

MAX_JOBS_PAGES = 200
"""More pages of 100 jobs than a workspace needs for its limit of 12,000 saved jobs."""

MAX_LISTED_JOBS = MAX_JOBS_PAGES * 100

JOBS_PER_PAGE = 100
_MAX_ENTRIES = 1_000

CONNECTIONS = 8
"""Connections for the jobs that are read in parallel."""

_API = "/api/2.2/jobs"

_Name = Annotated[responses.Word | None, WrapValidator(responses.or_nothing)]
"""An invalid name is ignored, because it is only shown."""


class _Named(Response):
    name: _Name = None


class _Listed(Response):
    job_id: responses.Id
    settings: Annotated[_Named | None, WrapValidator(responses.or_nothing)] = None


class _Jobs(Page):
    """A page whose jobs are validated one by one, so an invalid job affects only itself."""

    jobs: list[Any] = Field(default_factory=list, max_length=_MAX_ENTRIES)


class _RunAs(Response):
    service_principal_name: responses.Word | None = None
    user_name: responses.Word | None = None
    group_name: responses.Word | None = None


class _Source(Response):
    git_url: responses.Url
    git_provider: Annotated[responses.Word, BeforeValidator(lambda value: value or "")] = ""
    git_branch: responses.Branch = None
    git_tag: responses.Branch = None
    git_commit: responses.Branch = None


class _Settings(_Named):
    run_as: _RunAs = _RunAs()
    git_source: _Source | None = None
    tasks: list[Any] = Field(default_factory=list, max_length=_MAX_ENTRIES)


class _Job(Page):
    job_id: responses.Id
    run_as_user_name: responses.Word | None = None
    settings: _Settings = _Settings()
    has_more: bool = False
    """True if the job has more tasks than this page."""


class JobsClient:
    """Client for the jobs of one workspace (`admin.values.Jobs`)."""

    def __init__(self, rest: Rest, git: DatabricksWorkspaceApi, secrets: SecretFilter) -> None:
        self._rest = rest
        self._git = git
        self._scim = ScimClient(rest)
        self._secrets = secrets

    def close(self) -> None:
        self._rest.close()

    def caller(self) -> Caller:
        found = self._scim.me()
        return Caller(found.userName, found.is_admin)

    def listed(self) -> Iterator[list[ListedJob]]:
        what, query = Operation.LIST_JOBS.of(), {"limit": str(JOBS_PER_PAGE), "expand_tasks": "false"}
        jobs = 0
        for page in self._rest.pages(what, f"{_API}/list", _Jobs, query, most=MAX_JOBS_PAGES):
            jobs += len(page.jobs)
            if jobs > MAX_LISTED_JOBS:
                raise self._rest.unexpected(what)
            yield [_listed(found, self._secrets) for found in page.jobs]

    def job(self, id_: int) -> Job | None:
        what = Operation.READ_JOB.of()
        try:
            found = self._rest.get(what, f"{_API}/get", _Job, {"job_id": str(id_)})
        except ServiceError as error:
            # Databricks returns 400 for a missing job.
            gone = (error.failure.status, error.failure.error_code) == (400, "INVALID_PARAMETER_VALUE")
            if gone or error.failure.status == 404:  # noqa: PLR2004
                return None
            raise
        if found.job_id != id_:
            raise self._rest.unexpected(what)
        in_workspace = not (found.has_more or found.next_page_token) and _in_workspace(found.settings.tasks)
        source = None if in_workspace else _source(found.settings.git_source)
        return Job(id_, found.settings.name or "", _run_as(found), source)

    def principal_id(self, application_id: str) -> int | None:
        return next(iter(self._scim.principal_ids(application_id)), None)

    def credentials(self, principal_id: int) -> list[StoredCredential]:
        return self._git.credentials(principal_id)


def _listed(found: object, secrets: SecretFilter) -> ListedJob:
    """Return an entry of the job list. An invalid entry gets ID 0, so it is still counted."""
    try:
        job = read(_Listed, found, secrets)
    except UnexpectedAnswerError:
        return ListedJob(0, "")
    return ListedJob(job.job_id, (job.settings.name if job.settings else None) or "")


def _run_as(found: _Job) -> RunAs | None:
    wanted = found.settings.run_as
    if wanted.group_name:
        return RunAs("group", wanted.group_name)
    name = found.run_as_user_name or wanted.service_principal_name or wanted.user_name
    if not name:
        return None
    return RunAs("service principal" if GUID.fullmatch(name) else "user", name)


_CODE = ("notebook_task", "spark_python_task", "dbt_task")


def _in_workspace(tasks: Sequence[object]) -> bool:
    """Return whether all tasks have their code in the workspace, so the job ignores `git_source`."""
    return bool(tasks) and all(_sources(task) == ["WORKSPACE"] for task in tasks)


def _sources(task: object) -> list[object]:
    """Return the `source` of each code file of a task, or of the task that it repeats."""
    if (repeated := _in(_in(task, "for_each_task"), "task")) is not None:
        return _sources(repeated)
    places = [*(_in(task, name) for name in _CODE), _in(_in(task, "sql_task"), "file")]
    return [_in(place, "source") for place in places if place is not None]


def _in(holder: object, key: str) -> object:
    return holder.get(key) if isinstance(holder, Mapping) else None


def _source(found: _Source | None) -> GitSource | None:
    if found is None:
        return None
    ref = Ref("branch", found.git_branch) if found.git_branch else None
    ref = Ref("tag", found.git_tag) if found.git_tag else ref
    return GitSource(found.git_url, found.git_provider, ref, found.git_commit or "")


class HttpJobsClientFactory:
    """Authenticates to workspaces to read their jobs (`admin.values.JobsClientFactory`)."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def sign_in(self, host: str, client_id: str, secret: SecretStr) -> JobsClient:
        return self._signed_in(host, partial(oauth.sign_in, client_id=client_id, secret=secret))

    def exchange(self, host: str, client_id: str, assertion: Token) -> JobsClient:
        return self._signed_in(host, partial(oauth.exchange, client_id=client_id, assertion=assertion))

    def _signed_in(self, host: str, sign_in: Callable[..., SecretStr]) -> JobsClient:
        with workspace_session(host, self._network) as session:
            return self.workspace(host, sign_in(session, host, network=self._network))

    def workspace(self, host: str, token: SecretStr) -> JobsClient:
        secrets = self._network.secrets
        secrets.add(token.get_secret_value())  # security: no client's response must echo it
        rest = Rest(Service.DATABRICKS, host, token, self._network, connections=CONNECTIONS)
        return JobsClient(rest, DatabricksWorkspaceApi.over(rest), secrets)
