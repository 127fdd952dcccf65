"""What is found of jobs in one workspace, and what there is to say of all of them together."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import batched, chain

from git_refresh.admin.job_values import Caller, GitSource, Job, Jobs, ListedJob, RunAs
from git_refresh.cli.checks import Check, count, skipped
from git_refresh.cli.job_url import JobUrl
from git_refresh.cli.job_verdict import PrincipalStatus
from git_refresh.failures.diagnosis import DiagnosisContext
from git_refresh.model.quota import Quota
from git_refresh.model.values import StoredCredential
from git_refresh.output.redact import redact
from git_refresh.settings.models import Workspace

_CAN_VIEW = "jobs that it may not view (permission Can View) are not among these"

NOT_KEPT = PrincipalStatus(kept=False)

JOBS = 100_000
"""Jobs of all workspaces that one check looks at; see `Shares`. One workspace has 12,000 at most."""

JOB_SIZE = 1_000
"""What a job with a Git source counts beside the characters of its texts."""

JOBS_SIZE, JOBS_SIZE_OF_ONE = 100_000_000, 30_000_000
"""What those of all workspaces, and of one, may count together."""

REFS = 5_000
"""Branches and tags of jobs that one check looks up; see `Shares`."""

REFS_OF_ONE = 1_000
"""Of these, those of jobs of one workspace."""

LINES = 5_000
"""Lines about single jobs in one check; see `Shares`. Beyond that, those of a workspace that say the same are one."""

LINES_OF_ONE = 3_000
"""Of these, lines about jobs of one workspace."""

IDS = 80
"""Numeric ids that one remedy names. They may have eighteen digits, and with many more a text is cut."""


@dataclass(slots=True)
class WorkspaceChecks:
    """A workspace, as the check of it has left it.

    Attributes:
        shut: why jobs are not to be looked at; empty: they are.
        app_alone: whether it is only to the app that it is shut, so that somebody else may get in.
        stored: the Git credentials of the app's own principal (None) and of its further ones, as far as they could be looked at.
    """

    workspace: Workspace
    shut: str = ""
    app_alone: bool = False
    stored: dict[int | None, Sequence[StoredCredential]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GitJob:
    """A job with a Git source in Azure DevOps, or in what is meant to be there."""

    job: Job
    source: GitSource
    address: JobUrl

    @property
    def size(self) -> int:
        """What it counts of `JOBS_SIZE`."""
        source = self.source
        texts = (self.job.name, self.job.run_as, source.url, source.provider, source.ref, source.commit)
        return JOB_SIZE + sum(len(str(text)) for text in texts)


@dataclass(slots=True)
class WorkspaceJobs:
    """What is found in one workspace."""

    room: WorkspaceChecks
    context: DiagnosisContext
    jobs: Jobs
    caller: Caller
    listed: list[ListedJob]
    as_app: bool = False
    """Whether the app's own principal looks."""
    instead: str = ""
    """Why it is not the person who is signed in that looks."""
    lines: list[Check] = field(default_factory=list)
    unread: int = 0
    """Jobs of the list of which nothing more is known."""
    unlisted: bool = False
    """Whether the list goes on after the jobs that this check takes."""
    late: int = 0
    """Jobs for which there was no time."""
    left_out: int = 0
    """Jobs for which there was no room."""
    alike: dict[Hashable, list[Check]] = field(default_factory=dict)
    """Lines beyond those about single jobs: of those that say the same the first, as often as they came."""
    found: list[GitJob] = field(default_factory=list)
    elsewhere: int = 0
    standings: dict[str, PrincipalStatus] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.room.workspace.name

    def standing(self, run_as: RunAs | None) -> PrincipalStatus:
        """How whom a job runs as stands to this app."""
        return self.standings.get(run_as.name if run_as else "", NOT_KEPT)

    def keep(self, line: Check, lines: Quota) -> None:
        """Keep a line about a job; where there is no room for more, count it among those that say the same."""
        if lines.take(self.room.workspace.host, 1):
            self.lines.append(line)
        else:
            alike = self.alike.setdefault((line.status, line.error.code if line.error else ""), [])
            alike.append(alike[0] if alike else line)

    def told(self) -> Iterator[Check]:
        """The lines, with one for all that say the same beyond them; those that share code and remedy one after the other."""
        shared: dict[Hashable, list[Check]] = {}
        for line in sorted(
            self.lines, key=lambda line: (line.error.code if line.error else "", line.message)
        ):
            shared.setdefault((line.error.code, line.error.remedy) if line.error else "", []).append(line)
        yield from dict.fromkeys(chain.from_iterable(shared.values()))
        for first, *more in self.alike.values():
            yield replace(first, subject=f"{self.name}, {count(1 + len(more), 'more job')}")
        if self.unlisted or self.left_out:
            yield skipped("job", self.name, "a check takes no more jobs; choose workspaces with --only")

    @property
    def principals(self) -> list[str]:
        """The service principals that its jobs run as."""
        runners = [found.job.run_as for found in self.found if found.job.run_as is not None]
        return list(dict.fromkeys(each.name for each in runners if each.kind == "service principal"))


def refreshing(visit: WorkspaceJobs) -> dict[RunAs | None, str]:
    """How each of those whom jobs run as becomes one that is kept fresh; empty, where there is nothing to do."""
    place = f"{visit.context.host}, Settings, Identity and access, Service principals"
    remedies: dict[RunAs | None, str] = {None: ""}
    missing: dict[RunAs, int] = {}
    for run_as in dict.fromkeys(found.job.run_as for found in visit.found):
        if run_as is None:
            continue
        standing = visit.standing(run_as)
        if run_as.kind != "service principal":
            remedies[run_as] = _OF_PEOPLE.format(run_as.kind)
        elif standing.gone:
            remedies[run_as] = f"{_GONE} ({place})."
        elif standing.number is None:
            remedies[run_as] = (
                f'In the entry of {visit.name} in WORKSPACES, add its numeric id to "additional_principal_ids" '
                f"(it could not be looked up now: {place})."
            )
        elif standing.kept is False and not standing.federated:
            missing[run_as] = standing.number
        else:
            remedies[run_as] = ""
    return remedies | _run_as(visit, place, missing)


_OF_PEOPLE = (
    "This app keeps no credential of a {}: let the job run as a service principal, the app's own or one in additional_principal_ids "
    '(job settings, Run as; or "run_as": {{"service_principal_name": "APPLICATION_ID"}}).'
)
_GONE = (
    "The workspace has no such service principal: let the job run as one that there is, the app's own or one in additional_principal_ids "
    "(job settings, Run as), or add it again"
)


def _run_as(visit: WorkspaceJobs, place: str, missing: dict[RunAs, int]) -> dict[RunAs, str]:
    """The remedy of each service principal that is missing in the entry: one for all, or with many ids one for so many of them."""
    workspace = visit.room.workspace
    runners = sorted(missing, key=lambda run_as: run_as.name)
    on = "each" if runners[1:] else "it"
    manager = f"Give the one that signs in the role Service principal: Manager on {on} ({place}, Permissions)"
    entry = f"in the entry of {visit.name} in WORKSPACES"
    whole = list(
        dict.fromkeys([*workspace.additional_principal_ids, *(missing[run_as] for run_as in runners)])
    )
    if len(whole) <= IDS:
        told = f'{manager}, and {entry} write "additional_principal_ids": [{", ".join(map(str, whole))}].'
        return dict.fromkeys(missing, told)
    remedies: dict[RunAs, str] = {}
    start = 1
    for some in batched(runners, IDS, strict=False):
        ids = ", ".join(str(missing[run_as]) for run_as in some)
        which = f"{start} to {start + len(some) - 1}" if some[1:] else f"number {start}"
        lacking = f"the {count(len(runners), 'id')} that it lacks, of which these are {which}"
        told = f'{manager}, and {entry} add to "additional_principal_ids" {lacking}: {ids}.'
        remedies |= dict.fromkeys(some, told)
        start += len(some)
    return remedies


def summary(visit: WorkspaceJobs, unwell: int, unasked: int, commits: int) -> str:
    """How many jobs there are, and as whom that was seen.

    Args:
        visit: what was found.
        unwell: jobs with lines of their own.
        unasked: jobs whose repositories were not asked for.
        commits: jobs at a commit of which nobody could tell whether it exists.
    """
    number = len(visit.found)
    said = [f"{count(number, 'job') if number else 'no job'} with a Git source in Azure DevOps"]
    if number:
        said[0] += f", {number - unwell or 'none'} of them in order" if unwell else ", all in order"
    if visit.unread:
        said[0] += (
            f", of the {len(visit.listed) - visit.unread} of {len(visit.listed)} jobs that could be read"
        )
    if visit.elsewhere:
        said.append(f"{count(visit.elsewhere, 'job')} with one elsewhere")
    if commits:
        said.append(f"of {commits} at a commit, only the repository was looked at")
    if unasked:
        said.append(f"of {unasked}, the repository was not asked for: no setting names its host")
    if unknown := sum(each.kept is True and each.has_one is None for each in visit.standings.values()):
        said.append(f"of {count(unknown, 'principal')} the Git credentials could not be looked at")
    if federated := sum(each.kept is False and each.federated for each in visit.standings.values()):
        said.append(
            f"of {count(federated, 'principal')} the workspace itself renews the Git credential (federated)"
        )
    why = f" ({visit.instead})" if visit.instead else ""
    admin = ", an admin" if visit.caller.admin else f", who is no admin: {_CAN_VIEW}"
    said.append(f"seen as {redact(visit.caller.name)}{why}{admin}")
    return "; ".join(said)
