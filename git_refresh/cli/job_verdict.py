"""Whether a job can clone: its principal's Git credential, its provider, its repository and ref. Pure: values in, lines out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from git_refresh.admin.job_values import GitSource, Job, RunAs
from git_refresh.cli.checks import Check, failed, skipped, warning
from git_refresh.cli.job_url import Address
from git_refresh.diagnosis.explain import Facts, finding
from git_refresh.redact import shown
from git_refresh.repository import Repository
from git_refresh.run.decide import federated_credential, own_credential
from git_refresh.run.shared import facts_of, suggestion
from git_refresh.symptom import Symptom
from git_refresh.values import PROVIDER, Head, StoredCredential


@dataclass(frozen=True, slots=True)
class Standing:
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
class Looked:
    """A job, and all that was looked at for it.

    Attributes:
        address: where its URL leads.
        found: where its ref is, or why that is not known; None: nobody was asked.
        names: the branches or tags that there are, where its own does not exist.
        has_commit: whether its commit exists; None: it names none, or nobody could tell.
    """

    job: Job
    source: GitSource
    address: Address
    standing: Standing
    found: Head | Symptom | None = None
    names: Sequence[str] = ()
    has_commit: bool | None = None


def subject_of(workspace: str, id_: int, name: str) -> str:
    """Which job a line is about."""
    return f'{workspace}, job {id_} "{shown(name)}"' if name else f"{workspace}, job {id_}"


def judge(workspace: str, looked: Looked, facts: Facts, *, unsure: bool) -> Iterator[Check]:
    """The lines of a job: none, where all is in order.

    Args:
        workspace: its name.
        looked: the job.
        facts: around it; `refreshing` says how its principal becomes one that is kept fresh.
        unsure: whether the app's own principal cannot be told, so that the job may run as just that.
    """
    subject = subject_of(workspace, looked.job.id, looked.job.name)
    yield from _principal(subject, looked.job.run_as, looked.standing, facts, unsure=unsure)
    if looked.source.provider.casefold() != PROVIDER.casefold():
        told = finding("job_wrong_provider", facts, found=shown(looked.source.provider))
        yield failed("job", subject, told)
    yield from _url(subject, looked.address, facts)
    if looked.address.repository is not None:
        yield from _ref(subject, looked, looked.address.repository, facts)


def _principal(
    subject: str, run_as: RunAs | None, standing: Standing, facts: Facts, *, unsure: bool
) -> Iterator[Check]:
    if run_as is None:
        yield skipped("job", subject, "the workspace does not tell whom it runs as")
        return
    if standing.kept is None:
        yield skipped("job", subject, f"the numeric id of {shown(str(run_as))} could not be looked up")
        return
    facts = replace(facts, principal=shown(str(run_as)))
    if standing.kept:
        if standing.has_one is False:
            yield warning("job", subject, finding("job_credential_missing", facts))
    elif not standing.federated:
        # A credential of its own may do for a while; whether a person has one, only she sees.
        person = run_as.kind != "service principal"
        unseen = "; whether it has one could not be looked at" if standing.has_one is None else ""
        told = finding("job_principal_not_refreshed", facts, unseen="" if person else unseen)
        may_work = person or standing.has_one is not False or unsure
        yield (warning if may_work else failed)("job", subject, told)


def _url(subject: str, address: Address, facts: Facts) -> Iterator[Check]:
    if address.has_secret:
        yield warning("job", subject, finding("job_secret_in_url", facts))
    if address.repository is None:
        told = finding("job_bad_url", facts, found=shown(address.url), problem=address.problem)
        yield (failed if address.surely else warning)("job", subject, told)


def _ref(subject: str, looked: Looked, repository: Repository, facts: Facts) -> Iterator[Check]:
    ref = looked.source.ref
    match looked.found:
        case Symptom():  # one mistake is reported once: in the layer of Azure DevOps
            yield skipped("job", subject, f"Azure DevOps reports a problem with {repository}")
        case Head(None) if ref is not None:
            nearest = suggestion(ref, looked.names)
            told = finding("job_ref_missing", facts_of(facts, repository, ref), nearest=nearest)
            yield failed("job", subject, told)
        case Head() if looked.has_commit is False:
            facts = replace(facts_of(facts, repository, None), ref=f"Commit {shown(looked.source.commit)}")
            yield failed("job", subject, finding("job_ref_missing", facts, nearest=""))
