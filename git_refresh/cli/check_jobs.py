"""The lines of jobs, with `check --jobs`: whether each job with a Git source in Azure DevOps can clone, in every workspace.

Looked at as the person who is signed in, who sees all jobs if she administers the workspace; else as the app's own principal.
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
    WorkspaceChecks,
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
from git_refresh.run.context import Run, authenticate, facts_of_principal
from git_refresh.run.pool import Executor
from git_refresh.run.ports import Authenticator, Services
from git_refresh.settings.models import Workspace

OF_READING = 0.7
"""Of the time that is left, the part for reading jobs; and of the rest, the part for what they lead to. Then they are judged."""

MAX_PARALLEL_JOBS = 8
"""Jobs of one workspace that are looked at, at once."""

_REFUSED = frozenset({401, 403})
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Failed:
    """Something that could not be done, and what the service answered, if it did."""

    diagnosis: Diagnosis
    status: int | None = None


class JobsCheck:
    """Looks at the jobs of the workspaces of one trust zone."""

    def __init__(self, run: Run, told: RefChecks, sight: JobsClientFactory, crew: Executor) -> None:
        """Take what there is to look with.

        Args:
            run: a dry run.
            told: what Azure DevOps has said so far, of what the settings want.
            sight: the ways to the workspaces' jobs.
            crew: does many things at once.
        """
        self._run = run
        self._told = told
        self._heads = RefChecks(replace(run, share_s=inf))
        self._sight = sight
        self._existing: dict[tuple[Repository, str], bool | None] = {}
        self._crew = crew
        self._laptop = run.services.identity is Service.AZURE_CLI
        self._listed = self._room = self._refs = self._lines = Quota(0, 1, 0)

    def _divide(self, workspaces: int) -> None:
        """Divide what one check takes among so many workspaces."""
        self._listed = Quota(MAX_JOBS, workspaces, MAX_JOBS)
        self._room = Quota(MAX_JOBS_CHARS, workspaces, MAX_JOBS_CHARS_OF_ONE)
        self._refs = Quota(MAX_REFS, workspaces, MAX_REFS_OF_ONE)
        self._lines = Quota(MAX_LINES, workspaces, MAX_LINES_OF_ONE)

    def checks(
        self, rooms: Sequence[WorkspaceChecks], unfinished: Callable[[], Diagnosis]
    ) -> Iterator[Check]:
        """The lines, and those of repositories that nothing else has led to. Never raises for what a service does."""
        visits: list[WorkspaceJobs] = []
        self._divide(len(rooms))
        for room, visit in self._crew.each([room for room in rooms if self._may_enter(room)], self._visit):
            if isinstance(visit, WorkspaceJobs):
                visits.append(visit)
            elif not room.shut:
                name = room.workspace.name
                line = failed("job", name, visit.diagnosis if visit else unfinished())
                yield replace(line, about=name)
        seen = {visit.room.workspace.host for visit in visits}
        yield from (
            skipped("job", room.workspace.name, room.shut)
            for room in rooms
            if room.shut and room.workspace.host not in seen
        )
        self._look(visits)
        for visit in visits:
            yield from (replace(line, about=visit.name) for line in self._verdict(visit, unfinished))
            visit.jobs.close()
        kept = {
            found.address.repository
            for visit in visits
            for found in visit.found
            if found.address.repository and visit.standing(found.job.run_as).kept
        }
        yield from self._heads.repositories(self._run.context, self._told, kept)

    def _may_enter(self, room: WorkspaceChecks) -> bool:
        """Whether the jobs of a workspace can be looked at: where the app may not use its own secret, the person may get in."""
        person = self._laptop and room.workspace.auth != "managed_identity"
        return not room.shut or (room.app_alone and person)

    def _visit(self, room: WorkspaceChecks) -> WorkspaceJobs | Failed:
        """The list of a workspace's jobs: as the person who is signed in, and where she may not, as the app."""
        workspace = room.workspace
        context = replace(self._run.context, host=workspace.host, **facts_of_principal(workspace))
        person = replace(context, principal="the one who is signed in to the Azure CLI")
        if not self._laptop or workspace.auth == "managed_identity":
            visit = self._enter(room, person if self._laptop else context, authenticate)
            if isinstance(visit, WorkspaceJobs):
                visit.as_app = not self._laptop
            return visit
        visit = self._enter(room, person, _as_person)
        # A person's sign-in cannot be exchanged, and where the app was not let in it need not try again.
        if (
            isinstance(visit, WorkspaceJobs)
            or workspace.federated
            or room.shut
            or visit.diagnosis.code in CLOSED
        ):
            return visit
        why, visit = visit, self._enter(room, context, authenticate)
        if isinstance(visit, WorkspaceJobs):
            visit.as_app = True
            visit.instead = "your own sign-in may not list them"
            if why.status not in _REFUSED:
                visit.instead = f"as you, they could not be listed: {why.diagnosis.code}"
        return visit

    def _enter(
        self,
        room: WorkspaceChecks,
        context: DiagnosisContext,
        way: Callable[[Workspace, Services, Authenticator[Jobs]], Jobs],
    ) -> WorkspaceJobs | Failed:
        def look() -> WorkspaceJobs:
            jobs = way(room.workspace, self._run.services, self._sight)
            listed: list[ListedJob] = []
            whole = True
            try:
                for page in jobs.listed():
                    whole = self._listed.take(room.workspace.host, len(page))
                    if not whole:
                        break
                    listed += page
                return WorkspaceJobs(room, context, jobs, jobs.caller(), listed, unlisted=not whole)
            except BaseException:
                jobs.close()
                raise

        return _tried(look, context)

    def _look(self, visits: Sequence[WorkspaceJobs]) -> None:
        """Read every job, then whom they run as and what they clone, each once."""
        rows = zip_longest(*([(visit, listed) for listed in visit.listed] for visit in visits))
        jobs = [item for row in rows for item in row if item is not None]  # of all workspaces in turn
        at_once = MAX_PARALLEL_JOBS * max(1, len(visits))
        # What is found has to be judged and shown in what is left then.
        until = self._run.deadline.within(max(0.0, self._run.deadline.remaining()) * OF_READING)
        for (visit, _), read in self._crew.each(jobs, lambda item: self._read(*item), at_once, until):
            visit.unread += not isinstance(read, tuple)
            if isinstance(read, Check):
                visit.keep(read, self._lines)
            elif read is None:
                visit.late += 1
            else:
                self._sort(visit, read[0])
        until = self._run.deadline.within(max(0.0, self._run.deadline.remaining()) * OF_READING)
        principals = [(visit, name) for visit in visits for name in visit.principals]
        for (visit, name), standing in self._crew.each(
            principals, lambda item: self._stand(*item), at_once, until
        ):
            visit.standings[name] = standing or PrincipalStatus(None)
        wanted: dict[tuple[Repository, Ref | None], None] = {}
        for visit in visits:
            for each in self._wanted(visit):
                if each not in wanted and self._refs.take(visit.room.workspace.host, 1):
                    wanted[each] = None
        self._crew.each(list(wanted), self._heads.look, None, until)
        sources = [(found.source, found.address.repository) for visit in visits for found in visit.found]
        commits = {(where, source.commit): None for source, where in sources if where and source.commit}
        asked = [
            each for each in commits if isinstance(self._heads.answers.get((each[0], None)), ResolvedRef)
        ]
        self._existing = dict(self._crew.each(asked, lambda item: self._exists(*item), at_once, until))

    def _exists(self, repository: Repository, commit: str) -> bool | None:
        if not _COMMIT.fullmatch(commit):  # it may be the beginning of one
            return None
        found = _tried(lambda: self._run.heads.has_commit(repository, commit), self._run.context)
        return None if isinstance(found, Failed) else found

    def _read(self, visit: WorkspaceJobs, listed: ListedJob) -> tuple[Job | None] | Check:
        if not listed.id:
            return skipped("job", visit.name, "some jobs of the list are not what a list has")
        subject = subject_of(visit.name, listed.id, listed.name)
        try:
            return (visit.jobs.job(listed.id),)
        except Exception as error:  # noqa: BLE001  # a defect must not stop the other jobs
            if isinstance(error, ServiceError) and error.failure.status in _REFUSED:
                return skipped("job", subject, f"{redact(visit.caller.name)} may not view it")
            return failed("job", subject, diagnose(error, visit.context))

    def _sort(self, visit: WorkspaceJobs, job: Job | None) -> None:
        """Keep a job that clones from Azure DevOps."""
        if job is None or job.source is None:
            return
        if (address := read_address(job.source, self._run.trusted)) is None:
            visit.elsewhere += 1
            return
        found = GitJob(job, job.source, address)
        if self._room.take(visit.room.workspace.host, found.size):
            visit.found.append(found)
        else:
            visit.left_out += 1

    def _wanted(self, visit: WorkspaceJobs) -> Iterator[tuple[Repository, Ref | None]]:
        for found in visit.found:
            repository = found.address.repository
            if repository is not None and self._run.may_be_asked(repository):
                yield repository, found.source.ref

    # Principals

    def _stand(self, visit: WorkspaceJobs, name: str) -> PrincipalStatus:
        """How a service principal stands to this app; what cannot be looked at is not known."""
        workspace, stored = visit.room.workspace, visit.room.stored
        own = name.casefold() in self._own(visit)
        mine = None if self._laptop and workspace.auth == "managed_identity" else stored.get(None)
        if own and mine is not None:
            return PrincipalStatus(kept=True, stored=mine)
        number = _tried(lambda: visit.jobs.principal_id(name), visit.context)
        known = number if isinstance(number, int) else None
        gone = number is None and visit.caller.admin  # to others the list may not show it
        kept: bool | None = own or known in workspace.additional_principal_ids
        if not kept and known is None and not gone and workspace.additional_principal_ids:
            kept = None
        found = None if own or known is None else stored.get(known)
        if found is None and known is not None:
            asked = _tried(lambda: visit.jobs.credentials(known), visit.context)
            found = None if isinstance(asked, Failed) else asked
        return PrincipalStatus(kept, found, known, gone)

    def _own(self, visit: WorkspaceJobs) -> set[str]:
        """The application ids of the app's own principal, as far as they are known."""
        workspace = visit.room.workspace
        if workspace.auth != "managed_identity":
            named = [workspace.client_id]
        else:
            named = [workspace.identity or self._run.settings.client_id]
            named += [visit.caller.name] if visit.as_app else []
        return {name.casefold() for name in named if name}

    # Lines

    def _verdict(self, visit: WorkspaceJobs, unfinished: Callable[[], Diagnosis]) -> Iterator[Check]:
        # On a laptop nobody can tell who the system-assigned identity is: a job may run as just that.
        unsure = visit.room.workspace.auth == "managed_identity" and not self._own(visit)
        unwell = commits = unasked = 0
        remedies = refreshing(visit)
        for number, each in enumerate(visit.found):
            if self._run.deadline.remaining() <= 0:
                visit.late += len(visit.found) - number
                break
            job, source, repository = each.job, each.source, each.address.repository
            looked = JobCheck(job, source, each.address, visit.standing(job.run_as))
            may_be_asked = repository is not None and self._run.may_be_asked(repository)
            if repository is not None:
                found, names = self._heads.found(repository, source.ref)
                has_commit = self._existing.get((repository, source.commit))
                looked = replace(looked, found=found, names=names, has_commit=has_commit)
                unasked += not may_be_asked
            context = replace(visit.context, refreshing=remedies[job.run_as])
            lines = list(judge(visit.name, looked, context, unsure=unsure))
            if looked.found is None and may_be_asked:
                subject = subject_of(visit.name, job.id, job.name)
                lines.append(skipped("job", subject, "no time or room was left to ask Azure DevOps"))
            commits += bool(source.commit) and looked.has_commit is None and may_be_asked
            unwell += bool(lines)
            for line in lines:
                visit.keep(line, self._lines)
        yield Check("job", visit.name, "ok", summary(visit, unwell, unasked, commits))
        if visit.late:
            yield failed("job", f"{visit.name}, {count(len(visit.listed), 'job')}", unfinished())
        yield from visit.told()


def _as_person(workspace: Workspace, services: Services, doors: Authenticator[Jobs]) -> Jobs:
    return doors.workspace(workspace.host, services.token(AZURE_DATABRICKS).value)


def _tried[T](work: Callable[[], T], context: DiagnosisContext) -> T | Failed:
    try:
        return work()
    except Exception as error:  # noqa: BLE001  # a defect must not stop the other workspaces
        status = error.failure.status if isinstance(error, ServiceError) else None
        return Failed(diagnose(error, context), status)
