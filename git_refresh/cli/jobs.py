"""Decides whether jobs can clone, by URL, Git credential, provider, and ref. Pure functions."""

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
"""The advice for Git folders at the end of a URL's problem."""


@dataclass(frozen=True, slots=True)
class JobUrl:
    """A clone URL that is intended for Azure DevOps.

    Attributes:
        url: the URL without user name and password.
        repository: None if the URL is invalid.
        problem: a phrase that continues a sentence after the URL.
        surely: False if only the job's provider indicates Azure DevOps, and not the host.
        has_secret: True if the URL contains a password or token.
    """

    url: str
    repository: Repository | None
    problem: str = ""
    surely: bool = True
    has_secret: bool = False


def read_address(source: GitSource, trusted: TrustedHosts) -> JobUrl | None:
    """Parse the URL of a job's Git source. Return None if it belongs to another service."""
    url, has_secret = without_user(source.url.strip())
    try:
        return JobUrl(url, parse_repository(url, trusted), has_secret=has_secret)
    except ValueError as error:
        problem = str(error).removesuffix(_OF_FOLDERS)
    for_devops = source.provider.casefold().startswith(PROVIDER.casefold())
    found = _HOST.match(url)
    host = found[1].lower() if found else ""
    theirs = host == _SSH or Domain.AZURE_DEVOPS.has(host)
    # A trusted host can serve other services too.
    theirs = theirs or (trusted.trusts(host) and (for_devops or "/_git/" in url))
    if not theirs and not for_devops:
        return None
    written = url if "://" in url else url.rpartition("@")[2]
    return JobUrl(written, None, problem, surely=theirs, has_secret=has_secret)


@dataclass(frozen=True, slots=True)
class PrincipalStatus:
    """A Run as identity of jobs in one workspace, and its Git credential.

    Attributes:
        kept: True if the app refreshes its Git credential. None: unknown.
        stored: its Git credentials. None: could not be read.
        number: its service principal ID. None: unknown.
        gone: True if the workspace has no such service principal.
    """

    kept: bool | None
    stored: Sequence[StoredCredential] | None = None
    number: int | None = None
    gone: bool = False

    @property
    def has_one(self) -> bool | None:
        """True if it has a Git credential for Azure DevOps. None: unknown."""
        if self.gone:
            return False
        if self.stored is None:
            return None
        return own_credential(self.stored, "") is not None or federated_credential(self.stored) is not None

    @property
    def federated(self) -> bool:
        """True if its only Git credential for Azure DevOps is federated, so Databricks renews it."""
        stored = self.stored or ()
        return own_credential(stored, "") is None and federated_credential(stored) is not None


@dataclass(frozen=True, slots=True)
class JobCheck:
    """A job with the facts that are needed to judge it.

    Attributes:
        found: the result of the ref lookup. None: not requested.
        names: the existing branches or tags if the job's ref is missing.
        has_commit: True if its commit exists. None: unknown, or the job has no commit.
    """

    job: Job
    source: GitSource
    address: JobUrl
    principal: PrincipalStatus
    found: ResolvedRef | ServiceFailure | None = None
    names: Sequence[str] = ()
    has_commit: bool | None = None


def subject_of(workspace: str, id_: int, name: str) -> str:
    return f'{workspace}, job {id_} "{redact(name)}"' if name else f"{workspace}, job {id_}"


def judge(workspace: str, job_check: JobCheck, context: DiagnosisContext, *, unsure: bool) -> Iterator[Check]:
    """Yield a line for each problem of a job. If `unsure`, the job might run as the app's principal."""
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
        yield skipped("job", subject, "the workspace does not return its Run as identity")
        return
    if status.kept is None:
        yield skipped("job", subject, f"the service principal ID of {redact(str(run_as))} is unknown")
        return
    context = replace(context, principal=redact(str(run_as)))
    if status.kept:
        if status.has_one is False:
            yield warning("job", subject, finding("job_credential_missing", context))
    elif not status.federated:
        # The principal's own credential can still be valid. Only users themselves can list theirs.
        person = run_as.kind != "service principal"
        unseen = " (its credentials could not be read)" if status.has_one is None else ""
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
        case ServiceFailure():  # reported in the Azure DevOps layer
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


NOT_KEPT = PrincipalStatus(kept=False)

MAX_JOBS = 100_000
"""Jobs that one check reads, see `Quota`. A workspace can have 12,000."""

JOB_CHARS = 1_000
"""Memory of a job without its texts, in characters."""

MAX_JOBS_CHARS, MAX_JOBS_CHARS_OF_ONE = 100_000_000, 30_000_000
"""Memory of the jobs of all workspaces and of one workspace, in characters."""

MAX_REFS = 5_000
"""Branches and tags of jobs that one check looks up."""

MAX_REFS_OF_ONE = 1_000

MAX_LINES = 5_000
"""Lines about single jobs in one check. Further lines of a workspace are grouped."""

MAX_LINES_OF_ONE = 3_000

MAX_IDS_IN_REMEDY = 80
"""Service principal IDs in one remedy. An ID can have 18 digits, and a longer text would be truncated."""


@dataclass(slots=True)
class WorkspaceAccess:
    """The access to a workspace that its check found, for the jobs check.

    Attributes:
        shut: reason that its jobs cannot be checked; empty if they can.
        app_alone: True if your account might have access although the app has none.
        stored: the Git credentials that could be read, by service principal ID. The key None is the app's principal.
    """

    workspace: Workspace
    shut: str = ""
    app_alone: bool = False
    stored: dict[int | None, Sequence[StoredCredential]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GitJob:
    """A job with a Git source that is intended for Azure DevOps."""

    job: Job
    source: GitSource
    address: JobUrl

    @property
    def size(self) -> int:
        """Characters that it takes of `MAX_JOBS_CHARS`."""
        source = self.source
        texts = (self.job.name, self.job.run_as, source.url, source.provider, source.ref, source.commit)
        return JOB_CHARS + sum(len(str(text)) for text in texts)


@dataclass(slots=True)
class WorkspaceJobs:
    """The jobs of one workspace, and the lines about them."""

    access: WorkspaceAccess
    context: DiagnosisContext
    jobs: Jobs
    caller: Caller
    listed: list[ListedJob]
    as_app: bool = False
    """True if the app's principal reads them."""
    instead: str = ""
    """Reason that they were read with the app's principal instead of your account."""
    lines: list[Check] = field(default_factory=list)
    unread: int = 0
    """Number of listed jobs that could not be read."""
    unlisted: bool = False
    """True if the workspace has more jobs than the check lists."""
    late: int = 0
    """Number of jobs that were not checked in time."""
    left_out: int = 0
    """Number of jobs beyond `MAX_JOBS_CHARS`."""
    alike: dict[Hashable, list[Check]] = field(default_factory=dict)
    """Lines beyond `MAX_LINES` by status and code: the first line, repeated for each occurrence."""
    found: list[GitJob] = field(default_factory=list)
    elsewhere: int = 0
    """Number of jobs with a Git source outside Azure DevOps."""
    statuses: dict[str, PrincipalStatus] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.access.workspace.name

    def status_of(self, run_as: RunAs | None) -> PrincipalStatus:
        return self.statuses.get(run_as.name if run_as else "", NOT_KEPT)

    def keep(self, line: Check, lines: Quota) -> None:
        """Keep a line about a job. Beyond the limit, only count it."""
        if lines.take(self.access.workspace.host, 1):
            self.lines.append(line)
        else:
            alike = self.alike.setdefault((line.status, line.error.code if line.error else ""), [])
            alike.append(alike[0] if alike else line)

    def all_lines(self) -> Iterator[Check]:
        """Yield the kept lines grouped by code and remedy, then one line for each group beyond the limit."""
        shared: dict[Hashable, list[Check]] = {}
        for line in sorted(
            self.lines, key=lambda line: (line.error.code if line.error else "", line.message)
        ):
            shared.setdefault((line.error.code, line.error.remedy) if line.error else "", []).append(line)
        yield from dict.fromkeys(chain.from_iterable(shared.values()))
        for first, *more in self.alike.values():
            yield replace(first, subject=f"{self.name}, {count(1 + len(more), 'more job')}")
        if self.unlisted or self.left_out:
            yield skipped("job", self.name, "one check cannot read all jobs; choose workspaces with --only")

    @property
    def principals(self) -> list[str]:
        """Application IDs of the service principals that its jobs run as."""
        runners = [found.job.run_as for found in self.found if found.job.run_as is not None]
        return list(dict.fromkeys(each.name for each in runners if each.kind == "service principal"))


def refreshing(inventory: WorkspaceJobs) -> dict[RunAs | None, str]:
    """Return how to get the credential of each Run as identity refreshed; empty if no action is needed."""
    place = f"{inventory.context.host}, Settings > Identity and access > Service principals"
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
                f'Add its service principal ID to "additional_principal_ids" in the entry of {inventory.name} in WORKSPACES. '
                f"To find the ID, open {place}."
            )
        elif status.kept is False and not status.federated:
            missing[run_as] = status.number
        else:
            remedies[run_as] = ""
    return remedies | _adding(inventory, place, missing)


_OF_PEOPLE = (
    "Change the job's Run as to the app's service principal or one in additional_principal_ids, because the app does not refresh "
    'credentials of a {}. In JSON: "run_as": {{"service_principal_name": "APPLICATION_ID"}}.'
)
_GONE = (
    "Change the job's Run as to an existing service principal: the app's or one in additional_principal_ids. "
    "Or add the missing one to the workspace again"
)


def _adding(inventory: WorkspaceJobs, place: str, missing: dict[RunAs, int]) -> dict[RunAs, str]:
    """Return how to add each service principal to `additional_principal_ids`.

    Up to `MAX_IDS_IN_REMEDY` of them share a remedy.
    """
    workspace = inventory.access.workspace
    runners = sorted(missing, key=lambda run_as: run_as.name)
    on = "each" if runners[1:] else "it"
    manager = f"Grant the app's principal the role Service principal: Manager on {on} ({place} > Permissions)"
    entry = f"in the entry of {inventory.name} in WORKSPACES"
    whole = list(
        dict.fromkeys([*workspace.additional_principal_ids, *(missing[run_as] for run_as in runners)])
    )
    if len(whole) <= MAX_IDS_IN_REMEDY:
        message = f'{manager}. Then set {entry}: "additional_principal_ids": [{", ".join(map(str, whole))}]'
        return dict.fromkeys(missing, message)
    remedies: dict[RunAs, str] = {}
    start = 1
    for some in batched(runners, MAX_IDS_IN_REMEDY, strict=False):
        ids = ", ".join(str(missing[run_as]) for run_as in some)
        which = f"{start} to {start + len(some) - 1}" if some[1:] else f"number {start}"
        lacking = f"{count(len(runners), 'missing ID')}, of which these are {which}"
        message = f'{manager}. Then {entry} add to "additional_principal_ids" the {lacking}: {ids}'
        remedies |= dict.fromkeys(some, message)
        start += len(some)
    return remedies


def summary(
    inventory: WorkspaceJobs, with_problems: int, unchecked_repositories: int, unchecked_commits: int
) -> Iterator[Check]:
    """Yield a line for each fact about the jobs of a workspace. The numbers count jobs."""

    def line(message: str) -> Check:
        return Check("job", inventory.name, "ok", message)

    name = redact(inventory.caller.name)
    role = "workspace admin" if inventory.caller.admin else "not an admin: jobs without CAN VIEW are missing"
    why = f", because {inventory.instead}" if inventory.instead else ""
    yield line(f"checked as {name} ({role}){why}")
    number = len(inventory.found)
    jobs = f"{count(number, 'job') if number else 'no jobs'} with a Git source in Azure DevOps"
    if with_problems:
        yield line(f"{jobs} ({number - with_problems} OK, {with_problems} with problems)")
    else:
        yield line(f"{jobs} (no problems)" if number else jobs)
    if inventory.unread:
        listed = len(inventory.listed)
        yield line(f"{listed - inventory.unread} of {count(listed, 'job')} could be read")
    if inventory.elsewhere:
        yield line(f"{count(inventory.elsewhere, 'job')} with a Git source outside Azure DevOps")
    if unchecked_commits:
        yield line(f"{count(unchecked_commits, 'job')} with a commit: only the repository was checked")
    if unchecked_repositories:
        yield line(
            f"repository of {count(unchecked_repositories, 'job')} not checked: no setting names its host"
        )
    statuses = inventory.statuses.values()
    if unknown := sum(each.kept is True and each.has_one is None for each in statuses):
        yield line(f"Git credentials of {count(unknown, 'principal')} could not be read")
    if federated := sum(each.kept is False and each.federated for each in statuses):
        yield line(f"{count(federated, 'principal')} with a federated Git credential, renewed by Databricks")
