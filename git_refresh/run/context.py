"""State that the workspaces of one run share: token, lookups, secrets and warnings."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import inf

from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, finding, noted
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceError, ServiceFailure
from git_refresh.failures.table import Known
from git_refresh.model.clock import Deadline, cut_short, operation
from git_refresh.model.repository import Repository
from git_refresh.model.values import (
    AZURE_DATABRICKS,
    TOKEN_EXCHANGE,
    Problem,
    Ref,
    ResolvedRef,
    Secret,
    Token,
    Zone,
)
from git_refresh.output.redact import redact
from git_refresh.run.decide import Source, looks_like_commit, nearest
from git_refresh.run.ports import (
    AdminAccess,
    Authenticator,
    NullProgress,
    Progress,
    RefResolver,
    Services,
    WorkspaceApi,
)
from git_refresh.settings.load import Settings
from git_refresh.settings.models import OAuth, Workspace

SECRET_WARNING = timedelta(days=30)
"""Leaves a month to rotate an OAuth secret before it expires."""

MAX_WARNINGS_PER_SUBJECT = 10
"""Warnings about one workspace or service in a report, so none crowds out the others."""


_REFUSED = {400, 401}
"""Statuses of a workspace's response to an unknown OAuth secret."""


class Notes:
    """Warnings for the report."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: dict[Problem, None] = {}
        self._count: Counter[str] = Counter()

    def add(self, about: str, where: str, message: object) -> None:
        """Add a warning. `MAX_WARNINGS_PER_SUBJECT` limits those with the same `about`."""
        problem = (
            noted(where, message)
            if isinstance(message, Diagnosis)
            else Problem(where, str(message), severity="warning")
        )
        with self._lock:
            if problem in self._noted or self._count[about] > MAX_WARNINGS_PER_SUBJECT:
                return
            if self._count[about] == MAX_WARNINGS_PER_SUBJECT:
                problem = Problem(about, "More warnings like these were omitted.", severity="warning")
            self._noted[replace(problem, about=about)] = None
            self._count[about] += 1

    def all(self) -> tuple[Problem, ...]:
        with self._lock:
            return tuple(self._noted)


class SignIns:
    """Records the sign-ins to workspaces in a run, and which of them succeeded.

    If one workspace refuses what another accepts, the secret or policy is valid, and the workspace lacks the principal.
    """

    def __init__(self, workspaces: Iterable[Workspace]) -> None:
        self._lock = threading.Lock()
        self._left = Counter(map(_sign_in_of, workspaces))
        self._accepted: set[tuple[str | None, ...]] = set()
        self.settlements = 0
        """Number of sign-ins whose result is final."""

    def tried(self, workspace: Workspace, *, accepted: bool) -> None:
        key = _sign_in_of(workspace)
        with self._lock:
            before = self._is_settled(key)
            self._left[key] -= 1
            if accepted:
                self._accepted.add(key)
            self.settlements += self._is_settled(key) and not before

    def accepted(self, workspace: Workspace) -> bool:
        """Return whether any workspace accepted the sign-in that this one uses."""
        with self._lock:
            return _sign_in_of(workspace) in self._accepted

    def settled(self, workspace: Workspace) -> bool:
        """Return whether the result of `accepted` is final."""
        with self._lock:
            return self._is_settled(_sign_in_of(workspace))

    def _is_settled(self, key: tuple[str | None, ...]) -> bool:
        return key in self._accepted or self._left[key] <= 0


def _sign_in_of(workspace: Workspace) -> tuple[str | None, ...]:
    if (oauth := workspace.oauth) is not None:
        return oauth.client_id.lower(), oauth.secret_name.lower()
    return workspace.federated and workspace.federated.lower(), "", workspace.identity


@dataclass(slots=True)
class Run:
    """One run, as the workspaces of one trust zone see it."""

    settings: Settings
    """Settings of this zone only; see `Settings.zones`."""
    services: Services
    heads: RefResolver
    deadline: Deadline
    token: Token
    """The Azure DevOps token to store."""
    context: DiagnosisContext
    dry_run: bool
    progress: Progress = field(default_factory=NullProgress)
    notes: Notes = field(default_factory=Notes)
    share_s: float = inf
    """Seconds that one operation can wait while others need its thread; see `pool.Limits`."""
    sign_ins: SignIns = field(default_factory=lambda: SignIns(()))
    asks_devops: bool = True
    """False if Git folders are not compared with Azure DevOps."""
    admin: AdminAccess | None = None
    """Access to federated workspaces in a dry run, if not as the app."""
    answers: dict[Source, ResolvedRef | ServiceFailure] = field(init=False, default_factory=dict)
    """Results of all lookups in Azure DevOps so far."""
    secrets: dict[str, Secret | ServiceFailure] = field(init=False, default_factory=dict)
    """Results of all secret reads, by name."""
    _origins: frozenset[str] = field(init=False)
    _accepting: set[Repository] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self._origins = self.settings.origins()

    def sign_in(self, workspace: Workspace) -> WorkspaceApi:
        """Return a workspace's API, after signing in as its entry configures."""
        accepted, secret = False, None
        try:
            if (oauth := workspace.oauth) is not None:
                secret = self._secret(oauth.secret_name)
                self._warn_of_dates(oauth, secret)
            api = self._open(workspace)
            # Only the first request verifies a managed identity's token. An admin's token shows nothing about the app's.
            accepted = workspace.auth != "managed_identity" and not self.reads_as_admin(workspace)
        except ServiceError as error:
            failure = error.failure
        else:
            return api
        finally:
            self.sign_ins.tried(workspace, accepted=accepted)
        begins = secret.valid_from if secret is not None else None
        if begins is not None and begins > self.deadline.clock.now() and failure.status in _REFUSED:
            failure = replace(failure, kind=FailureKind.NOT_ACTIVE)
        raise ServiceError(failure)

    def reads_as_admin(self, workspace: Workspace) -> bool:
        """Return whether a workspace is read with the user account: only the app can use token federation."""
        return self.dry_run and self.admin is not None and workspace.federated is not None

    def _open(self, workspace: Workspace) -> WorkspaceApi:
        if self.admin is not None and workspace.federated is not None and self.dry_run:
            return self.admin.open(self.services, workspace.host, workspace.federated)
        return authenticate(workspace, self.services, self.services)

    def known_of_ref(self, repository: Repository | None, ref: Ref | None) -> frozenset[Known]:
        """Return what Azure DevOps has confirmed about a repository and a ref."""
        if repository is None:
            return frozenset()
        accepted = {Known.TOKEN_ACCEPTED} if repository in self._accepting else set()
        seen = {Known.REF_SEEN} if ref is not None and self._commit(repository, ref) is not None else set()
        return frozenset(accepted | seen)

    def fetch_key(self, workspace: Workspace) -> None:
        """Fetch a workspace's secret or token in advance, so each sign-in reuses the result or the failure."""
        if (oauth := workspace.oauth) is not None:
            self._secret(oauth.secret_name)
        else:
            exchanges = workspace.federated and not self.reads_as_admin(workspace)
            self.services.token(TOKEN_EXCHANGE if exchanges else AZURE_DATABRICKS)

    def _secret(self, name: str) -> Secret:
        try:
            self.secrets[name] = found = self.services.secret(name)
        except ServiceError as error:
            self.secrets[name] = error.failure
            raise
        return found

    def may_be_asked(self, repository: Repository) -> bool:
        """Return whether Azure DevOps can be called about a repository.

        Security: only the settings decide where the token goes, never a URL that a workspace returns.
        """
        return self.asks_devops and repository.origin in self._origins

    def head(self, repository: Repository, ref: Ref | None) -> ResolvedRef:
        """Return the latest commit of a ref, looked up once per run; see `RefResolver`.

        Uses at most half of an operation's share of waiting. The rest is for the pull without this lookup.
        """
        try:
            with operation(self.deadline.within(self.share_s / 2)):
                found = self.heads.head(repository, ref)
        except TimeoutError:
            if self.deadline.remaining() <= 0:
                raise
        except ServiceError as error:
            if not cut_short():
                self.answers[repository, ref] = error.failure
            raise
        else:
            self._accepting.add(repository)
            self.answers[repository, ref] = found
            return found
        what = Operation.LOOK_UP_REF.of(ref or repository)
        raise ServiceError(ServiceFailure(Service.AZURE_DEVOPS, what, FailureKind.TIMEOUT))

    def _commit(self, repository: Repository, ref: Ref) -> str | None:
        found = self.answers.get((repository, ref))
        return found.commit if isinstance(found, ResolvedRef) else None

    def is_held_back(self, repository: Repository, ref: Ref, before: ResolvedRef, commit: str | None) -> bool:
        """Return whether local commits keep an updated folder from its ref's latest commit.

        False if the reason was another push in the meantime, or if Azure DevOps does not respond.
        """

        def is_local() -> bool:
            now = self.heads.head_now(repository, ref)
            if now.commit == commit:
                return False
            return now == before or (commit is not None and not self.heads.has_commit(repository, commit))

        return self.may_be_asked(repository) and self._is_proved(is_local)

    def has_diverged(self, repository: Repository | None, ref: Ref | None, commit: str | None) -> bool:
        """Return whether a commit is not in the history of a ref. False if unknown."""
        head = self._commit(repository, ref) if repository and ref else None
        if repository is None or head is None or commit is None:
            return False
        return self._is_proved(lambda: not self.heads.follows(repository, head, commit))

    def _is_proved(self, look: Callable[[], bool]) -> bool:
        """Return the result of a lookup in Azure DevOps, or False if it fails."""
        try:
            with operation(self.deadline.within(self.share_s / 2)):
                return look()
        except (ServiceError, TimeoutError):
            return False

    def missing_ref(
        self, code: str, context: DiagnosisContext, repository: Repository | None, ref: Ref | None
    ) -> Diagnosis:
        """Return why a ref does not exist: by `code`, unless a more precise reason is known."""
        names: tuple[str, ...] | None = None
        if repository is not None and ref is not None and self.may_be_asked(repository):
            names = self.heads.names(repository, ref.kind)
            if names == () and self.heads.names(repository, "branch") == ():
                return finding("repository_empty", context)
        if ref is not None and code == "ref_not_found" and looks_like_commit(ref):
            return finding("commit_as_ref", replace(context, commit=ref.name))
        return finding(code, context, nearest=suggestion(ref, names or ()) if ref else "")

    def _warn_of_dates(self, oauth: OAuth, secret: Secret) -> None:
        now, ends, begins = self.deadline.clock.now(), secret.expires_at, secret.valid_from
        context = replace(self.context, secret=oauth.secret_name, client_id=oauth.client_id)
        if ends is not None and ends - now < SECRET_WARNING:
            found = finding("secret_expires_soon", context, ends=f"expires at {ends:%Y-%m-%d %H:%M} UTC")
            found = replace(found, kind=oauth.secret_name)  # each has its own date, for a query
            self.notes.add(oauth.secret_name, oauth.secret_name, found)
        if begins is not None and begins > now:
            found = finding("secret_not_yet_valid", context, begins=f"{begins:%Y-%m-%d %H:%M} UTC")
            self.notes.add(oauth.secret_name, oauth.secret_name, found)


def authenticate[T](workspace: Workspace, services: Services, authenticator: Authenticator[T]) -> T:
    """Sign in to a workspace with the method that its entry names.

    Raises:
        ServiceError: the secret or token is missing, or the workspace rejects it.
    """
    if (oauth := workspace.oauth) is not None:
        return authenticator.sign_in(
            workspace.host, oauth.client_id, services.secret(oauth.secret_name).value
        )
    if (client_id := workspace.federated) is not None:
        return authenticator.exchange(workspace.host, client_id, services.token(TOKEN_EXCHANGE))
    return authenticator.workspace(workspace.host, services.token(AZURE_DATABRICKS).value)


def key_of(workspace: Workspace) -> tuple[str, str]:
    """Return what workspaces share for the sign-in: the name of a secret, or a kind of token."""
    if (oauth := workspace.oauth) is not None:
        return "secret", oauth.secret_name
    return "token", "federated" if workspace.federated else "own"


def suggestion(ref: Ref, names: Sequence[str]) -> str:
    """Return "; the nearest that exists is …" for a missing ref, or ""."""
    near = nearest(ref, names)
    return f"; the nearest that exists is {near}" if near and redact(near) == near else ""


def facts_of_zone(zone: Zone, settings: Settings) -> DiagnosisContext:
    """Return the context for diagnoses, as far as the settings provide it."""
    context = DiagnosisContext(vault=settings.key_vault_url or "", invocation=settings.invocation)
    if zone.identity is not None and zone.identity != settings.client_id:
        context = replace(context, named_in=f"identity ({zone.identity})")
    if zone.devops is not None:
        context = replace(context, tenant=zone.devops.tenant_id, registration=zone.devops.client_id)
    return context


def facts_of_workspace(context: DiagnosisContext, workspace: Workspace) -> DiagnosisContext:
    """Return the context with a workspace's host and principal."""
    context = replace(context, host=workspace.host)
    if (oauth := workspace.oauth) is not None:
        context = replace(context, secret=oauth.secret_name)
    if (client_id := oauth.client_id if oauth else workspace.federated) is not None:
        return replace(context, principal=f"service principal {client_id}", client_id=client_id)
    named = f" {workspace.identity}" if workspace.identity else ""
    return replace(context, principal=f"the app's managed identity{named}")


def facts_of(context: DiagnosisContext, repository: Repository | None, ref: Ref | None) -> DiagnosisContext:
    """Return the context with a repository and a ref, as far as they exist."""
    if ref is not None:
        context = replace(context, ref=ref.title)
    if repository is None:
        return context
    return replace(
        context,
        organization=repository.organization,
        project=repository.project,
        repository=repository.name,
        url=repository.url,
    )
