"""The jobs layer of `check --jobs`: each job with a Git source in Azure DevOps, in every workspace.

On a laptop, reads the jobs with the Azure CLI account, because a workspace admin can view all of them. If that fails, and in Azure,
uses the app's principal.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from math import inf

from git_refresh.admin.values import Job, Jobs, JobsClientFactory, ListedJob
from git_refresh.cli.check_devops import RefChecks
from git_refresh.cli.checks import Check, failed, skipped
from git_refresh.cli.jobs import (
    MAX_JOBS,
    MAX_JOBS_CHARS,
    MAX_JOBS_CHARS_OF_ONE,
    MAX_LINES,
    MAX_LINES_OF_ONE,
    MAX_REFS,
    MAX_REFS_OF_ONE,
    GitJob,
    JobCheck,
    PrincipalStatus,
    WorkspaceAccess,
    WorkspaceJobs,
    judge,
    read_address,
    refreshing,
    subject_of,
    summary,
)
from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, diagnose
from git_refresh.failures.failure import Service, ServiceError
from git_refresh.failures.table import CLOSED
from git_refresh.model.quota import Quota
from git_refresh.model.repository import Repository
from git_refresh.model.values import AZURE_DATABRICKS, Ref, ResolvedRef
from git_refresh.output.redact import redact
from git_refresh.output.text import count
from git_refresh.run.context import Run, authenticate, facts_of_workspace
from git_refresh.run.pool import Executor
from git_refresh.run.ports import Authenticator, Services
from git_refresh.settings.models import Workspace

_TIME_SHARE = 0.7
"""Share of the remaining time for reading jobs, and then of the rest for principals and refs."""

MAX_PARALLEL_JOBS = 8

_REFUSED = frozenset({401, 403})
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Failed:
    """A failed read, with the HTTP status if the service responded."""

    diagnosis: Diagnosis
    status: int | None = None


class JobsCheck:
    """The jobs check of one trust zone. `run` is a dry run, and `devops` has its ref lookups."""

    def __init__(self, run: Run, devops: RefChecks, factory: JobsClientFactory, executor: Executor) -> None:
        self._run = run
        self._devops = devops
        self._heads = RefChecks(replace(run, share_s=inf))
        self._factory = factory
        self._existing: dict[tuple[Repository, str], bool | None] = {}
        self._executor = executor
        self._laptop = run.services.identity is Service.AZURE_CLI
        self._listed = self._room = self._refs = self._lines = Quota(0, 1, 0)

    def _divide_limits(self, workspaces: int) -> None:
        self._listed = Quota(MAX_JOBS, workspaces, MAX_JOBS)
        self._room = Quota(MAX_JOBS_CHARS, workspaces, MAX_JOBS_CHARS_OF_ONE)
        self._refs = Quota(MAX_REFS, workspaces, MAX_REFS_OF_ONE)
        self._lines = Quota(MAX_LINES, workspaces, MAX_LINES_OF_ONE)

    def checks(
        self, accesses: Sequence[WorkspaceAccess], unfinished: Callable[[], Diagnosis]
    ) -> Iterator[Check]:
        """Yield the lines of all jobs and of repositories that only jobs use. Never raises for a service."""
        inventories: list[WorkspaceJobs] = []
        self._divide_limits(len(accesses))
        for access, inventory in self._executor.each(
            [access for access in accesses if self._may_read(access)], self._take_inventory
        ):
            if isinstance(inventory, WorkspaceJobs):
                inventories.append(inventory)
            elif not access.shut:
                name = access.workspace.name
                line = failed("job", name, inventory.diagnosis if inventory else unfinished())
                yield replace(line, about=name)
        seen = {inventory.access.workspace.host for inventory in inventories}
        yield from (
            skipped("job", access.workspace.name, access.shut)
            for access in accesses
            if access.shut and access.workspace.host not in seen
        )
        self._read_all(inventories)
        for inventory in inventories:
            yield from (replace(line, about=inventory.name) for line in self._lines_of(inventory, unfinished))
            inventory.jobs.close()
        kept = {
            found.address.repository
            for inventory in inventories
            for found in inventory.found
            if found.address.repository and inventory.status_of(found.job.run_as).kept
        }
        yield from self._heads.repositories(self._run.context, self._devops, kept)

    def _may_read(self, access: WorkspaceAccess) -> bool:
        """Return whether to try to read the jobs. Your account might have access although the app has none."""
        person = self._laptop and access.workspace.auth != "managed_identity"
        return not access.shut or (access.app_alone and person)

    def _take_inventory(self, access: WorkspaceAccess) -> WorkspaceJobs | Failed:
        """List a workspace's jobs with the Azure CLI account or, if that fails, with the app's principal."""
        workspace = access.workspace
        context = facts_of_workspace(self._run.context, workspace)
        person = replace(context, principal="your Azure CLI account")
        if not self._laptop or workspace.auth == "managed_identity":
            inventory = self._list(access, person if self._laptop else context, authenticate)
            if isinstance(inventory, WorkspaceJobs):
                inventory.as_app = not self._laptop
            return inventory
        inventory = self._list(access, person, _as_person)
        # Token federation does not work for user accounts, and a blocked network blocks every caller.
        if (
            isinstance(inventory, WorkspaceJobs)
            or workspace.federated
            or access.shut
            or inventory.diagnosis.code in CLOSED
        ):
            return inventory
        why, inventory = inventory, self._list(access, context, authenticate)
        if isinstance(inventory, WorkspaceJobs):
            inventory.as_app = True
            inventory.instead = "your account does not have permission to list the jobs"
            if why.status not in _REFUSED:
                inventory.instead = f"listing the jobs with your account failed ({why.diagnosis.code})"
        return inventory

    def _list(
        self,
        access: WorkspaceAccess,
        context: DiagnosisContext,
        way: Callable[[Workspace, Services, Authenticator[Jobs]], Jobs],
    ) -> WorkspaceJobs | Failed:
        def look() -> WorkspaceJobs:
            jobs = way(access.workspace, self._run.services, self._factory)
            listed: list[ListedJob] = []
            whole = True
            try:
                for page in jobs.listed():
                    whole = self._listed.take(access.workspace.host, len(page))
                    if not whole:
                        break
                    listed += page
                return WorkspaceJobs(access, context, jobs, jobs.caller(), listed, unlisted=not whole)
            except BaseException:
                jobs.close()
                raise

        return _tried(look, context)

    def _read_all(self, inventories: Sequence[WorkspaceJobs]) -> None:
        """Read every job, then each distinct Run as identity, ref, and commit."""
        rows = zip_longest(
            *([(inventory, listed) for listed in inventory.listed] for inventory in inventories)
        )
        jobs = [item for row in rows for item in row if item is not None]  # round-robin over the workspaces
        at_once = MAX_PARALLEL_JOBS * max(1, len(inventories))
        until = self._run.deadline.within(max(0.0, self._run.deadline.remaining()) * _TIME_SHARE)
        for (inventory, _), read in self._executor.each(jobs, lambda item: self._read(*item), at_once, until):
            inventory.unread += not isinstance(read, tuple)
            if isinstance(read, Check):
                inventory.keep(read, self._lines)
            elif read is None:
                inventory.late += 1
            else:
                self._classify(inventory, read[0])
        # The rest of the time is for evaluating and printing.
        until = self._run.deadline.within(max(0.0, self._run.deadline.remaining()) * _TIME_SHARE)
        principals = [(inventory, name) for inventory in inventories for name in inventory.principals]
        for (inventory, name), status in self._executor.each(
            principals, lambda item: self._principal_status(*item), at_once, until
        ):
            inventory.statuses[name] = status or PrincipalStatus(None)
        wanted: dict[tuple[Repository, Ref | None], None] = {}
        for inventory in inventories:
            for each in self._wanted(inventory):
                if each not in wanted and self._refs.take(inventory.access.workspace.host, 1):
                    wanted[each] = None
        self._executor.each(list(wanted), self._heads.look, None, until)
        sources = [
            (found.source, found.address.repository) for inventory in inventories for found in inventory.found
        ]
        commits = {(where, source.commit): None for source, where in sources if where and source.commit}
        asked = [
            each for each in commits if isinstance(self._heads.answers.get((each[0], None)), ResolvedRef)
        ]
        self._existing = dict(self._executor.each(asked, lambda item: self._exists(*item), at_once, until))

    def _exists(self, repository: Repository, commit: str) -> bool | None:
        if not _COMMIT.fullmatch(commit):  # an abbreviated commit
            return None
        found = _tried(lambda: self._run.heads.has_commit(repository, commit), self._run.context)
        return None if isinstance(found, Failed) else found

    def _read(self, inventory: WorkspaceJobs, listed: ListedJob) -> tuple[Job | None] | Check:
        if not listed.id:
            return skipped("job", inventory.name, "some entries of the job list cannot be read")
        subject = subject_of(inventory.name, listed.id, listed.name)
        try:
            return (inventory.jobs.job(listed.id),)
        except Exception as error:  # noqa: BLE001  # a bug must not stop the other jobs
            if isinstance(error, ServiceError) and error.failure.status in _REFUSED:
                because = f"{redact(inventory.caller.name)} does not have permission to view it"
                return skipped("job", subject, because)
            return failed("job", subject, diagnose(error, inventory.context))

    def _classify(self, inventory: WorkspaceJobs, job: Job | None) -> None:
        if job is None or job.source is None:
            return
        if (address := read_address(job.source, self._run.settings.trusted)) is None:
            inventory.elsewhere += 1
            return
        found = GitJob(job, job.source, address)
        if self._room.take(inventory.access.workspace.host, found.size):
            inventory.found.append(found)
        else:
            inventory.left_out += 1

    def _wanted(self, inventory: WorkspaceJobs) -> Iterator[tuple[Repository, Ref | None]]:
        for found in inventory.found:
            repository = found.address.repository
            if repository is not None and self._run.may_be_asked(repository):
                yield repository, found.source.ref

    # Principals

    def _principal_status(self, inventory: WorkspaceJobs, name: str) -> PrincipalStatus:
        """Return the principal's Git credentials, and whether the app refreshes them."""
        workspace, stored = inventory.access.workspace, inventory.access.stored
        own = name.casefold() in self._app_ids(inventory)
        mine = None if self._laptop and workspace.auth == "managed_identity" else stored.get(None)
        if own and mine is not None:
            return PrincipalStatus(kept=True, stored=mine)
        number = _tried(lambda: inventory.jobs.principal_id(name), inventory.context)
        known = number if isinstance(number, int) else None
        gone = number is None and inventory.caller.admin  # only admins see all principals
        kept: bool | None = own or known in workspace.additional_principal_ids
        if not kept and known is None and not gone and workspace.additional_principal_ids:
            kept = None
        found = None if own or known is None else stored.get(known)
        if found is None and known is not None:
            asked = _tried(lambda: inventory.jobs.credentials(known), inventory.context)
            found = None if isinstance(asked, Failed) else asked
        return PrincipalStatus(kept, found, known, gone)

    def _app_ids(self, inventory: WorkspaceJobs) -> set[str]:
        """Return the known application IDs of the app's principal, in lower case."""
        workspace = inventory.access.workspace
        if workspace.auth != "managed_identity":
            named = [workspace.client_id]
        else:
            named = [workspace.identity or self._run.settings.client_id]
            named += [inventory.caller.name] if inventory.as_app else []
        return {name.casefold() for name in named if name}

    # Lines

    def _lines_of(self, inventory: WorkspaceJobs, unfinished: Callable[[], Diagnosis]) -> Iterator[Check]:
        # On a laptop, the ID of a system-assigned identity is unknown, and a job might run as this identity.
        unsure = inventory.access.workspace.auth == "managed_identity" and not self._app_ids(inventory)
        with_problems = unchecked_commits = unchecked_repositories = 0
        remedies = refreshing(inventory)
        for number, each in enumerate(inventory.found):
            if self._run.deadline.remaining() <= 0:
                inventory.late += len(inventory.found) - number
                break
            job, source, repository = each.job, each.source, each.address.repository
            job_check = JobCheck(job, source, each.address, inventory.status_of(job.run_as))
            may_be_asked = repository is not None and self._run.may_be_asked(repository)
            if repository is not None:
                found, names = self._heads.found(repository, source.ref)
                has_commit = self._existing.get((repository, source.commit))
                job_check = replace(job_check, found=found, names=names, has_commit=has_commit)
                unchecked_repositories += not may_be_asked
            context = replace(inventory.context, refreshing=remedies[job.run_as])
            lines = list(judge(inventory.name, job_check, context, unsure=unsure))
            if job_check.found is None and may_be_asked:
                subject = subject_of(inventory.name, job.id, job.name)
                because = "the check ran out of time or reached its limit of lookups in Azure DevOps"
                lines.append(skipped("job", subject, because))
            unchecked_commits += bool(source.commit) and job_check.has_commit is None and may_be_asked
            with_problems += bool(lines)
            for line in lines:
                inventory.keep(line, self._lines)
        yield from summary(inventory, with_problems, unchecked_repositories, unchecked_commits)
        if inventory.late:
            yield failed("job", f"{inventory.name}, {count(len(inventory.listed), 'job')}", unfinished())
        yield from inventory.all_lines()


def _as_person(workspace: Workspace, services: Services, authenticator: Authenticator[Jobs]) -> Jobs:
    return authenticator.workspace(workspace.host, services.token(AZURE_DATABRICKS).value)


def _tried[T](work: Callable[[], T], context: DiagnosisContext) -> T | Failed:
    try:
        return work()
    except Exception as error:  # noqa: BLE001  # a bug must not stop the other workspaces
        status = error.failure.status if isinstance(error, ServiceError) else None
        return Failed(diagnose(error, context), status)
