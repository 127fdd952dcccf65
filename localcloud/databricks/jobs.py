"""A workspace's jobs. A run only clones the repository.

Facts: https://docs.databricks.com/api/azure/workspace/jobs
"""

import asyncio
import itertools
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from localcloud.answers import ApiError
from localcloud.databricks import errors
from localcloud.databricks.errors import error, fields, identifier, invalid, required
from localcloud.databricks.folder import Access, Folder, FolderError, signed_in
from localcloud.databricks.git_credentials import DEVOPS, FEDERATED, PROVIDERS, Credential, GitCredentials
from localcloud.databricks.sign_in import ServicePrincipal, SignIn

VERSIONS = ("2.2", "2.1")
PAGE = 20
LARGEST_PAGE = 100
FAILED = "Failed to checkout Git repository"
_PROVIDERS = {small: provider for small, provider in PROVIDERS.items() if provider != FEDERATED}


@dataclass(slots=True)
class Job:
    """A job.

    `owner`: its creator; `viewers` lists other principals that can view it.
    """

    id: int
    owner: ServicePrincipal
    run_as: ServicePrincipal
    settings: dict[str, Any]
    viewers: set[int] = field(default_factory=set)
    created: int = field(default_factory=lambda: int(time.time() * 1000))

    @property
    def git_source(self) -> dict[str, str] | None:
        source: dict[str, str] | None = self.settings.get("git_source")
        return source

    def visible_to(self, caller: ServicePrincipal) -> bool:
        return caller.admin or caller is self.owner or caller.id in self.viewers


@dataclass(slots=True)
class JobRun:
    """One run of a job; `result` is "" while it runs, then SUCCESS or FAILED."""

    id: int
    job: Job
    result: str = ""
    message: str = ""
    used_commit: str = ""

    def public(self) -> dict[str, Any]:
        # unrecorded: that a failed checkout is an INTERNAL_ERROR
        ended = "TERMINATED" if self.result == "SUCCESS" else "INTERNAL_ERROR"
        state = {"life_cycle_state": ended if self.result else "RUNNING", "state_message": self.message}
        answer: dict[str, Any] = {"job_id": self.job.id, "run_id": self.id, "run_type": "JOB_RUN"}
        answer["state"] = state | ({"result_state": self.result} if self.result else {})
        if self.job.git_source:
            snapshot = {"git_snapshot": {"used_commit": self.used_commit}} if self.used_commit else {}
            answer["git_source"] = self.job.git_source | snapshot
        return answer


class Jobs:
    def __init__(
        self, sign_in: SignIn, credentials: GitCredentials, directory: Path, network: Mapping[str, str]
    ) -> None:
        self.jobs: dict[int, Job] = {}
        self.runs: dict[int, JobRun] = {}
        self._sign_in = sign_in
        self._credentials = credentials
        self._directory = directory
        self._network = network
        self._ids = itertools.count(5_000_000_000_001)
        self._under_way: set[asyncio.Task[None]] = set()

    def routes(self) -> Iterable[web.RouteDef]:
        for version in VERSIONS:
            path = f"/api/{version}/jobs"
            yield web.post(f"{path}/create", self._create)
            yield web.get(f"{path}/list", self._list)
            yield web.get(f"{path}/get", self._get)
            yield web.post(f"{path}/delete", self._delete)
            yield web.post(f"{path}/run-now", self._run_now)
            yield web.get(f"{path}/runs/get", self._get_run)
        yield web.patch("/api/2.0/permissions/jobs/{id}", self._share)

    def add(self, owner: ServicePrincipal, run_as: ServicePrincipal, settings: dict[str, Any]) -> Job:
        job = Job(next(self._ids), owner, run_as, settings)
        self.jobs[job.id] = job
        return job

    def begin(self, job: Job) -> JobRun:
        """Return a new run that has not started."""
        run = JobRun(next(self._ids), job)
        self.runs[run.id] = run
        return run

    async def work(self, run: JobRun) -> None:
        """Clone with the credential of the job's Run as identity, check out, and finish the run."""
        source = run.job.git_source
        if source is not None:
            place = self._directory / f"run-{run.id}"
            try:
                folder = Folder(run.id, str(place), source["git_url"], place)
                await _check_out(folder, self._access(run.job.run_as, source), source)
                run.used_commit = folder.head
            except (ApiError, FolderError) as failure:
                run.message, run.result = f"{FAILED}: {_said(failure, source)}", "FAILED"
                return
            finally:
                shutil.rmtree(place, ignore_errors=True)
        run.result = "SUCCESS"

    def _access(self, principal: ServicePrincipal, source: Mapping[str, str]) -> Access:
        credential = self._credential(principal, _PROVIDERS[source["git_provider"].lower()])
        if credential.token is None:
            raise error(403, "PERMISSION_DENIED", errors.FEDERATED)
        return signed_in(credential.username or credential.email or "", credential.token, self._network)

    def _credential(self, principal: ServicePrincipal, provider: str) -> Credential:
        if provider == DEVOPS:
            return self._credentials.choose(principal, None)
        for kept in self._credentials.stored:
            if kept.principal is principal and kept.provider == provider:
                return kept
        raise error(403, "PERMISSION_DENIED", errors.MISSING)

    async def _create(self, request: web.Request) -> web.Response:
        caller = self._sign_in.authenticate(request)
        settings = await fields(request)
        if (source := settings.get("git_source")) is not None:
            _check_source(source)
        job = self.add(caller, self._whom(settings.pop("run_as", None), caller), settings)
        return web.json_response({"job_id": job.id})

    def _whom(self, wanted: Mapping[str, str] | None, caller: ServicePrincipal) -> ServicePrincipal:
        if wanted is None:
            return caller
        name = wanted.get("service_principal_name") or wanted.get("user_name")
        found = next((each for each in self._sign_in.principals if each.client_id == name), None)
        if found is None:  # unrecorded: the text
            raise invalid(f"Principal {name} does not exist.")
        if found is not caller and not caller.admin:  # unrecorded: the text
            raise error(
                403, "PERMISSION_DENIED", f"{caller.client_id} cannot set 'run_as' to '{found.client_id}'."
            )
        return found

    async def _list(self, request: web.Request) -> web.Response:
        """List jobs, newest first. Unrecorded: that `git_source` is missing without `expand_tasks`."""
        caller = self._sign_in.authenticate(request)
        size = identifier(request.query.get("limit", str(PAGE)))
        if not 0 < size <= LARGEST_PAGE:
            raise invalid(f"Invalid limit {size}: it must be between 1 and {LARGEST_PAGE}.")
        expand = request.query.get("expand_tasks") == "true"
        start = identifier(request.query.get("page_token") or "0")
        found = [job for job in reversed(self.jobs.values()) if job.visible_to(caller)]
        page = [_shown(job, whole=expand) for job in found[start : start + size]]
        more = found[start + size :]
        answer: dict[str, Any] = {"jobs": page} if page else {}
        answer |= {"has_more": bool(more)} | ({"next_page_token": str(start + size)} if more else {})
        return web.json_response(answer)

    async def _get(self, request: web.Request) -> web.Response:
        job = self._one(request, request.query.get("job_id"))
        return web.json_response(_shown(job, whole=True) | {"run_as_user_name": job.run_as.client_id})

    async def _delete(self, request: web.Request) -> web.Response:
        job = self._one(request, (await fields(request)).get("job_id"))
        del self.jobs[job.id]
        return web.json_response({})

    async def _run_now(self, request: web.Request) -> web.Response:
        run = self.begin(self._one(request, (await fields(request)).get("job_id")))
        task = asyncio.create_task(self.work(run))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return web.json_response({"run_id": run.id, "number_in_job": run.id})

    async def _get_run(self, request: web.Request) -> web.Response:
        caller = self._sign_in.authenticate(request)
        run = self.runs.get(identifier(request.query.get("run_id", "")))
        if run is None or not run.job.visible_to(caller):
            raise invalid(f"Run {request.query.get('run_id')} does not exist.")
        return web.json_response(run.public())

    async def _share(self, request: web.Request) -> web.Response:
        """Let more principals view a job."""
        job = self._one(request, request.match_info["id"])
        for entry in (await fields(request)).get("access_control_list", []):
            name = entry.get("service_principal_name") or entry.get("user_name")
            job.viewers |= {each.id for each in self._sign_in.principals if each.client_id == name}
        return web.json_response({"object_id": f"/jobs/{job.id}", "object_type": "job"})

    def _one(self, request: web.Request, wanted: object) -> Job:
        """Return the requested job; without permission to view it, the caller gets a 404."""
        caller = self._sign_in.authenticate(request)
        number = identifier(str(wanted))
        job = self.jobs.get(number)
        if (job is None and not caller.admin) or (job is not None and not job.visible_to(caller)):
            rights = "View or Admin or Manage Run or Owner permissions"
            raise error(
                403, "PERMISSION_DENIED", f"User {caller.client_id} does not have {rights} on job {number}."
            )
        if job is None:
            raise invalid(f"Job {number} does not exist.")
        return job


async def _check_out(folder: Folder, access: Access, source: Mapping[str, str]) -> None:
    await folder.clone(access)
    if branch := source.get("git_branch"):
        await folder.switch(access, branch=branch, discard=False)
    elif tag := source.get("git_tag"):
        await folder.detach(access, tag=tag, discard=False)
    elif commit := source.get("git_commit"):
        await folder.go_to(commit)


def _said(failure: ApiError | FolderError, source: Mapping[str, str]) -> str:
    if isinstance(failure, ApiError):
        return f"{failure.body['error_code']}: {failure.body['message']}"
    match failure.code:
        case code if failure.message:
            return f"{code}: {failure.message}"
        case "PERMISSION_DENIED":
            return f"{failure.code}: {errors.INVALID}"
        case "BAD_REQUEST":
            return f"{failure.code}: {errors.NOT_FOUND}"
        case code:  # unrecorded: the text
            wanted = source.get("git_branch") or source.get("git_tag") or source.get("git_commit")
            return f"{code}: Could not check out {wanted} of the remote repository."


def _check_source(source: Mapping[str, str]) -> None:
    required(dict(source), "git_url")
    if str(source.get("git_provider", "")).lower() not in _PROVIDERS:
        raise invalid(f"git_source.git_provider must be one of: {','.join(_PROVIDERS)}")
    if sum(bool(source.get(key)) for key in ("git_branch", "git_tag", "git_commit")) > 1:
        raise invalid("Only one of git_branch, git_tag and git_commit may be specified.")


def _shown(job: Job, *, whole: bool) -> dict[str, Any]:
    settings = {
        key: value for key, value in job.settings.items() if whole or key not in {"git_source", "tasks"}
    }
    return {
        "job_id": job.id,
        "creator_user_name": job.owner.client_id,
        "created_time": job.created,
        "settings": settings,
    }
