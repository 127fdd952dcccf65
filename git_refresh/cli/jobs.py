"""Whether jobs can clone, in one workspace: each job's URL, credential, provider and ref; and what all of them share. Pure."""

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import batched, chain

from git_refresh.admin.values import Caller, GitSource, Job, Jobs, ListedJob, RunAs
from git_refresh.cli.checks import Check, failed, skipped, warning
from git_refresh.failures.diagnosis import DiagnosisContext, finding
from git_refresh.failures.failure import ServiceFailure
from git_refresh.model.hosts import Domain, TrustedHosts
from git_refresh.model.quota import Quota
from git_refresh.model.repository import Repository, parse_repository, without_user
from git_refresh.model.values import PROVIDER, ResolvedRef, StoredCredential
from git_refresh.output.redact import redact
from git_refresh.output.text import count
from git_refresh.run.context import facts_of, suggestion
from git_refresh.run.decide import federated_credential, own_credential
from git_refresh.settings.models import Workspace

_HOST = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#]*@)?([^/?#:]*)", re.IGNORECASE)
_SSH = "ssh.dev.azure.com"
_OF_FOLDERS = ", or leave this folder out"
"""How what is wrong with a URL ends where it is that of a Git folder."""


@dataclass(frozen=True, slots=True)
class JobUrl:
    """A URL that is meant for Azure DevOps.

    Attributes:
        url: as it is written, without a user or a password.
        repository: where it leads; None: nowhere.
        problem: what is wrong with it, as it reads on after the URL.
        surely: whether no job can clone from an address like this. It may be another name of Azure DevOps that no setting knows.
        has_secret: whether a password or a token is in it.
    """

    url: str
    repository: Repository | None
    problem: str = ""
    surely: bool = True
    has_secret: bool = False


def read_address(source: GitSource, trusted: TrustedHosts) -> JobUrl | None:
    """Read the URL of a job's Git source; None: it is one of another service."""
    url, has_secret = without_user(source.url.strip())
    try:
        return JobUrl(url, parse_repository(url, trusted), has_secret=has_secret)
    except ValueError as error:
        problem = str(error).removesuffix(_OF_FOLDERS)
    for_devops = source.provider.casefold().startswith(PROVIDER.casefold())
    found = _HOST.match(url)
    host = found[1].lower() if found else ""
    theirs = host == _SSH or Domain.AZURE_DEVOPS.has(host)
    # On a trusted host there may be other services besides.
    theirs = theirs or (trusted.trusts(host) and (for_devops or "/_git/" in url))
    if not theirs and not for_devops:
        return None
    written = url if "://" in url else url.rpartition("@")[2]
    return JobUrl(written, None, problem, surely=theirs, has_secret=has_secret)


@dataclass(frozen=True, slots=True)
class PrincipalStatus:
    """How whom jobs run as stands to this app, in one workspace.

    Attributes:
        kept: whether a run keeps its Git credential fresh; None: nobody can tell.
        stored: its Git credentials; None: they could not be looked at.
        number: its numeric id, as far as that could be looked up.
        gone: whether the workspace has no such service principal.
    """

    kept: bool | None
    stored: Sequence[StoredCredential] | None = None
    number: int | None = None
    gone: bool = False

    @property
    def has_one(self) -> bool | None:
        """Whether it has a Git credential for Azure DevOps now; None: nobody can tell."""
        if self.gone:
            return False
        if self.stored is None:
            return None
        return own_credential(self.stored, "") is not None or federated_credential(self.stored) is not None

    @property
    def federated(self) -> bool:
        """Whether the workspace itself renews the only Git credential for Azure DevOps that it has."""
        stored = self.stored or ()
        return own_credential(stored, "") is None and federated_credential(stored) is not None


@dataclass(frozen=True, slots=True)
class JobCheck:
    """A job, and all that was looked at for it.

    Attributes:
        address: where its URL leads.
        found: where its ref is, or why that is not known; None: nobody was asked.
        names: the branches or tags that there are, where its own does not exist.
        has_commit: whether its commit exists; None: it names none, or nobody could tell.
    """

    job: Job
    source: GitSource
    address: JobUrl
    principal: PrincipalStatus
    found: ResolvedRef | ServiceFailure | None = None
    names: Sequence[str] = ()
    has_commit: bool | None = None


def subject_of(workspace: str, id_: int, name: str) -> str:
    """Which job a line is about."""
    return f'{workspace}, job {id_} "{redact(name)}"' if name else f"{workspace}, job {id_}"


def judge(workspace: str, job_check: JobCheck, context: DiagnosisContext, *, unsure: bool) -> Iterator[Check]:
    """The lines of a job: none, where all is in order. If `unsure`, the job may run as the app's own principal."""
    subject = subject_of(workspace, job_check.job.id, job_check.job.name)
    yield from _principal(subject, job_check.job.run_as, job_check.principal, context, unsure=unsure)
    if job_check.source.provider.casefold() != PROVIDER.casefold():
        diagnosis = finding("job_wrong_provider", context, found=redact(job_check.source.provider))
        yield failed("job", subject, diagnosis)
    yield from _url(subject, job_check.address, context)
    if job_check.address.repository is not None:
        yield from _ref(subject, job_check, job_check.address.repository, context)


def _principal(
    subject: str, run_as: RunAs | None, status: PrincipalStatus, context: DiagnosisContext, *, unsure: bool
) -> Iterator[Check]:
    if run_as is None:
        yield skipped("job", subject, "the workspace does not tell whom it runs as")
        return
    if status.kept is None:
        yield skipped("job", subject, f"the numeric id of {redact(str(run_as))} could not be looked up")
        return
    context = replace(context, principal=redact(str(run_as)))
    if status.kept:
        if status.has_one is False:
            yield warning("job", subject, finding("job_credential_missing", context))
    elif not status.federated:
        # A credential of its own may do for a while; whether a person has one, only that person sees.
        person = run_as.kind != "service principal"
        unseen = "; whether it has one could not be looked at" if status.has_one is None else ""
        diagnosis = finding("job_principal_not_refreshed", context, unseen="" if person else unseen)
        may_work = person or status.has_one is not False or unsure
        yield (warning if may_work else failed)("job", subject, diagnosis)


def _url(subject: str, address: JobUrl, context: DiagnosisContext) -> Iterator[Check]:
    if address.has_secret:
        yield warning("job", subject, finding("job_secret_in_url", context))
    if address.repository is None:
        diagnosis = finding("job_bad_url", context, found=redact(address.url), problem=address.problem)
        yield (failed if address.surely else warning)("job", subject, diagnosis)


def _ref(
    subject: str, job_check: JobCheck, repository: Repository, context: DiagnosisContext
) -> Iterator[Check]:
    ref = job_check.source.ref
    match job_check.found:
        case ServiceFailure():  # one mistake is reported once: in the layer of Azure DevOps
            yield skipped("job", subject, f"Azure DevOps reports a problem with {repository}")
        case ResolvedRef(None) if ref is not None:
            nearest = suggestion(ref, job_check.names)
            diagnosis = finding("job_ref_not_found", facts_of(context, repository, ref), nearest=nearest)
            yield failed("job", subject, diagnosis)
        case ResolvedRef() if job_check.has_commit is False:
            context = replace(
                facts_of(context, repository, None), ref=f"Commit {redact(job_check.source.commit)}"
            )
            yield failed("job", subject, finding("job_ref_not_found", context, nearest=""))


_CAN_VIEW = "jobs that it may not view (permission Can View) are not among these"

NOT_KEPT = PrincipalStatus(kept=False)

MAX_JOBS = 100_000
"""Jobs of all workspaces that one check looks at; see `Shares`. One workspace has 12,000 at most."""

JOB_CHARS = 1_000
"""What a job with a Git source counts beside the characters of its texts."""

MAX_JOBS_CHARS, MAX_JOBS_CHARS_OF_ONE = 100_000_000, 30_000_000
"""What those of all workspaces, and of one, may count together."""

MAX_REFS = 5_000
"""Branches and tags of jobs that one check looks up; see `Shares`."""

MAX_REFS_OF_ONE = 1_000
"""Of these, those of jobs of one workspace."""

MAX_LINES = 5_000
"""Lines about single jobs in one check; see `Shares`. Beyond that, those of a workspace that say the same are one."""

MAX_LINES_OF_ONE = 3_000
"""Of these, lines about jobs of one workspace."""

MAX_IDS_IN_REMEDY = 80
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
        """What it counts of `MAX_JOBS_CHARS`."""
        source = self.source
        texts = (self.job.name, self.job.run_as, source.url, source.provider, source.ref, source.commit)
        return JOB_CHARS + sum(len(str(text)) for text in texts)


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
    statuses: dict[str, PrincipalStatus] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.room.workspace.name

    def status_of(self, run_as: RunAs | None) -> PrincipalStatus:
        """How whom a job runs as stands to this app."""
        return self.statuses.get(run_as.name if run_as else "", NOT_KEPT)

    def keep(self, line: Check, lines: Quota) -> None:
        """Keep a line about a job; where there is no room for more, count it among those that say the same."""
        if lines.take(self.room.workspace.host, 1):
            self.lines.append(line)
        else:
            alike = self.alike.setdefault((line.status, line.error.code if line.error else ""), [])
            alike.append(alike[0] if alike else line)

    def all_lines(self) -> Iterator[Check]:
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


def refreshing(inventory: WorkspaceJobs) -> dict[RunAs | None, str]:
    """How each of those whom jobs run as becomes one that is kept fresh; empty, where there is nothing to do."""
    place = f"{inventory.context.host}, Settings, Identity and access, Service principals"
    remedies: dict[RunAs | None, str] = {None: ""}
    missing: dict[RunAs, int] = {}
    for run_as in dict.fromkeys(found.job.run_as for found in inventory.found):
        if run_as is None:
            continue
        status = inventory.status_of(run_as)
        if run_as.kind != "service principal":
            remedies[run_as] = _OF_PEOPLE.format(run_as.kind)
        elif status.gone:
            remedies[run_as] = f"{_GONE} ({place})."
        elif status.number is None:
            remedies[run_as] = (
                f'In the entry of {inventory.name} in WORKSPACES, add its numeric id to "additional_principal_ids" '
                f"(it could not be looked up now: {place})."
            )
        elif status.kept is False and not status.federated:
            missing[run_as] = status.number
        else:
            remedies[run_as] = ""
    return remedies | _run_as(inventory, place, missing)


_OF_PEOPLE = (
    "This app keeps no credential of a {}: let the job run as a service principal, the app's own or one in additional_principal_ids "
    '(job settings, Run as; or "run_as": {{"service_principal_name": "APPLICATION_ID"}}).'
)
_GONE = (
    "The workspace has no such service principal: let the job run as one that there is, the app's own or one in additional_principal_ids "
    "(job settings, Run as), or add it again"
)


def _run_as(inventory: WorkspaceJobs, place: str, missing: dict[RunAs, int]) -> dict[RunAs, str]:
    """The remedy of each service principal that is missing in the entry: one for all, or with many ids one for so many of them."""
    workspace = inventory.room.workspace
    runners = sorted(missing, key=lambda run_as: run_as.name)
    on = "each" if runners[1:] else "it"
    manager = f"Give the one that signs in the role Service principal: Manager on {on} ({place}, Permissions)"
    entry = f"in the entry of {inventory.name} in WORKSPACES"
    whole = list(
        dict.fromkeys([*workspace.additional_principal_ids, *(missing[run_as] for run_as in runners)])
    )
    if len(whole) <= MAX_IDS_IN_REMEDY:
        message = f'{manager}, and {entry} write "additional_principal_ids": [{", ".join(map(str, whole))}].'
        return dict.fromkeys(missing, message)
    remedies: dict[RunAs, str] = {}
    start = 1
    for some in batched(runners, MAX_IDS_IN_REMEDY, strict=False):
        ids = ", ".join(str(missing[run_as]) for run_as in some)
        which = f"{start} to {start + len(some) - 1}" if some[1:] else f"number {start}"
        lacking = f"the {count(len(runners), 'id')} that it lacks, of which these are {which}"
        message = f'{manager}, and {entry} add to "additional_principal_ids" {lacking}: {ids}.'
        remedies |= dict.fromkeys(some, message)
        start += len(some)
    return remedies


def summary(inventory: WorkspaceJobs, unwell: int, unasked: int, commits: int) -> str:
    """How many jobs there are, and as whom that was seen. The numbers are of jobs; of `commits`, existence is unknown."""
    number = len(inventory.found)
    parts = [f"{count(number, 'job') if number else 'no job'} with a Git source in Azure DevOps"]
    if number:
        parts[0] += f", {number - unwell or 'none'} of them in order" if unwell else ", all in order"
    if inventory.unread:
        parts[0] += (
            f", of the {len(inventory.listed) - inventory.unread} of {len(inventory.listed)} jobs that could be read"
        )
    if inventory.elsewhere:
        parts.append(f"{count(inventory.elsewhere, 'job')} with one elsewhere")
    if commits:
        parts.append(f"of {commits} at a commit, only the repository was looked at")
    if unasked:
        parts.append(f"of {unasked}, the repository was not asked for: no setting names its host")
    if unknown := sum(each.kept is True and each.has_one is None for each in inventory.statuses.values()):
        parts.append(f"of {count(unknown, 'principal')} the Git credentials could not be looked at")
    if federated := sum(each.kept is False and each.federated for each in inventory.statuses.values()):
        parts.append(
            f"of {count(federated, 'principal')} the workspace itself renews the Git credential (federated)"
        )
    why = f" ({inventory.instead})" if inventory.instead else ""
    admin = ", an admin" if inventory.caller.admin else f", who is no admin: {_CAN_VIEW}"
    parts.append(f"seen as {redact(inventory.caller.name)}{why}{admin}")
    return "; ".join(parts)
