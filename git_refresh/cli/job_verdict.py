"""Whether a job can clone: its principal's Git credential, its provider, its repository and ref. Pure: values in, lines out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from git_refresh.admin.job_values import GitSource, Job, RunAs
from git_refresh.cli.checks import Check, failed, skipped, warning
from git_refresh.cli.job_url import JobUrl
from git_refresh.failures.diagnosis import DiagnosisContext, finding
from git_refresh.failures.failure import ServiceFailure
from git_refresh.model.repository import Repository
from git_refresh.model.values import PROVIDER, ResolvedRef, StoredCredential
from git_refresh.output.redact import redact
from git_refresh.run.context import facts_of, suggestion
from git_refresh.run.decide import federated_credential, own_credential


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
    standing: PrincipalStatus
    found: ResolvedRef | ServiceFailure | None = None
    names: Sequence[str] = ()
    has_commit: bool | None = None


def subject_of(workspace: str, id_: int, name: str) -> str:
    """Which job a line is about."""
    return f'{workspace}, job {id_} "{redact(name)}"' if name else f"{workspace}, job {id_}"


def judge(workspace: str, looked: JobCheck, context: DiagnosisContext, *, unsure: bool) -> Iterator[Check]:
    """The lines of a job: none, where all is in order.

    Args:
        workspace: its name.
        looked: the job.
        context: around it; `refreshing` says how its principal becomes one that is kept fresh.
        unsure: whether the app's own principal cannot be told, so that the job may run as just that.
    """
    subject = subject_of(workspace, looked.job.id, looked.job.name)
    yield from _principal(subject, looked.job.run_as, looked.standing, context, unsure=unsure)
    if looked.source.provider.casefold() != PROVIDER.casefold():
        told = finding("job_wrong_provider", context, found=redact(looked.source.provider))
        yield failed("job", subject, told)
    yield from _url(subject, looked.address, context)
    if looked.address.repository is not None:
        yield from _ref(subject, looked, looked.address.repository, context)


def _principal(
    subject: str, run_as: RunAs | None, standing: PrincipalStatus, context: DiagnosisContext, *, unsure: bool
) -> Iterator[Check]:
    if run_as is None:
        yield skipped("job", subject, "the workspace does not tell whom it runs as")
        return
    if standing.kept is None:
        yield skipped("job", subject, f"the numeric id of {redact(str(run_as))} could not be looked up")
        return
    context = replace(context, principal=redact(str(run_as)))
    if standing.kept:
        if standing.has_one is False:
            yield warning("job", subject, finding("job_credential_missing", context))
    elif not standing.federated:
        # A credential of its own may do for a while; whether a person has one, only she sees.
        person = run_as.kind != "service principal"
        unseen = "; whether it has one could not be looked at" if standing.has_one is None else ""
        told = finding("job_principal_not_refreshed", context, unseen="" if person else unseen)
        may_work = person or standing.has_one is not False or unsure
        yield (warning if may_work else failed)("job", subject, told)


def _url(subject: str, address: JobUrl, context: DiagnosisContext) -> Iterator[Check]:
    if address.has_secret:
        yield warning("job", subject, finding("job_secret_in_url", context))
    if address.repository is None:
        told = finding("job_bad_url", context, found=redact(address.url), problem=address.problem)
        yield (failed if address.surely else warning)("job", subject, told)


def _ref(
    subject: str, looked: JobCheck, repository: Repository, context: DiagnosisContext
) -> Iterator[Check]:
    ref = looked.source.ref
    match looked.found:
        case ServiceFailure():  # one mistake is reported once: in the layer of Azure DevOps
            yield skipped("job", subject, f"Azure DevOps reports a problem with {repository}")
        case ResolvedRef(None) if ref is not None:
            nearest = suggestion(ref, looked.names)
            told = finding("job_ref_not_found", facts_of(context, repository, ref), nearest=nearest)
            yield failed("job", subject, told)
        case ResolvedRef() if looked.has_commit is False:
            context = replace(
                facts_of(context, repository, None), ref=f"Commit {redact(looked.source.commit)}"
            )
            yield failed("job", subject, finding("job_ref_not_found", context, nearest=""))
