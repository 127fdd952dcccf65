"""Rotates one OAuth secret. If killed, leaves at most a secret that the next rotation reports."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Protocol

from pydantic import SecretStr

from git_refresh.admin.rotation.decide import (
    MAX_LIFETIME,
    MAX_OAUTH_SECRETS,
    Decision,
    RotationTarget,
    SecretSnapshot,
    decide,
    places,
)
from git_refresh.admin.rotation.report import (
    NotSignedIn,
    PreviousSecretReport,
    RotationAction,
    SecretReport,
    UnmanagedSecretReport,
)
from git_refresh.admin.values import (
    Current,
    DiagnosedError,
    NewSecret,
    OAuthSecret,
    SignIn,
    Version,
    place_of,
    tags_of,
)
from git_refresh.failures.diagnosis import (
    Diagnosis,
    DiagnosisContext,
    explain,
    finding,
    interrupted,
    out_of_time,
)
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceError, ServiceFailure
from git_refresh.failures.table import Known
from git_refresh.model.clock import Deadline, poll
from git_refresh.output.text import count
from git_refresh.run.pool import Executor

SIGN_IN_S = 90.0
"""Time to retry a rejected new secret. Databricks was observed to accept it after some seconds."""

REACH_S = 20.0
"""Time to retry a workspace that cannot be reached."""

TRY_S = 60.0
"""Time to try a secret once at all workspaces."""

ONE_TRY_S = 10.0
"""Time to try a secret at one workspace."""

EARLY = timedelta(days=1)
"""A new secret can expire this much earlier than requested, because clocks differ."""

MAX_PARALLEL_WORKSPACES = 64

READ_BACK_S = 30.0
"""Time in which Key Vault must show the stored version."""

NEEDED_S = SIGN_IN_S + READ_BACK_S + 30.0
"""Least remaining time to create a secret, which must then be stored or deleted."""

_LONGEST_PAUSE_S = 8.0


class SecretStore(Protocol):
    """The part of `admin.vault.AdminVault` that a rotation uses."""

    url: str

    def now(self) -> datetime | None: ...
    def current(self, name: str) -> Current | None: ...
    def value(self, name: str, version: str | None = None) -> SecretStr: ...
    def versions(self, name: str) -> Sequence[Version]: ...
    def store(
        self, name: str, value: SecretStr, expires_on: datetime | None, tags: Mapping[str, str]
    ) -> Version: ...


class OAuthSecretsApi(Protocol):
    """The part of `admin.oauth_secrets.OAuthSecrets` that a rotation uses."""

    def now(self) -> datetime | None: ...
    def principal_id(self, client_id: str) -> int: ...
    def list(self, principal: int) -> Sequence[OAuthSecret]: ...
    def create(self, principal: int, lifetime: timedelta | None, scopes: tuple[str, ...]) -> NewSecret: ...
    def delete(self, principal: int, secret_id: str) -> None: ...


class RotationClients(Protocol):
    """The part of `admin.services.AdminServices` that a rotation uses."""

    def oauth_secrets(self, host: str) -> OAuthSecretsApi: ...
    def try_secret(self, host: str, client_id: str, secret: SecretStr, deadline: Deadline) -> None: ...


class Rotation:
    """The rotation of one secret.

    Attributes:
        _steps: texts of the completed steps.
        _created: OAuth secrets that this rotation created, or that appeared when a response was lost.
        _deleted: IDs of deleted OAuth secrets.
        _maybe_stored: IDs of OAuth secrets that are stored or might be.
        _failures: failures of the last sign-ins, by host.
    """

    def __init__(  # noqa: PLR0913  # each a fact of its own, given by name
        self,
        target: RotationTarget,
        *,
        vault: SecretStore,
        services: RotationClients,
        executor: Executor,
        deadline: Deadline,
        within: timedelta,
        context: DiagnosisContext,
        lifetime: timedelta | None = None,
        force: bool = False,
        hold: str = "",
        allowed: frozenset[str] = frozenset(),
        on_step: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Prepare the rotation of a secret that expires `within` this time, or of any secret with `force`.

        `lifetime` is that of a new secret; None for the lifetime of the current one. A reason to `hold` keeps previous secrets until they
        expire. A new secret need not be tried at the `allowed` hosts if they cannot be reached.
        """
        self.target = target
        self._vault = vault
        self._services = services
        self._executor = executor
        self._deadline = deadline
        self._within = within
        self._lifetime = lifetime
        self._force = force
        self._hold = hold
        self._allowed = allowed
        self._on_step = on_step
        self._place = place_of(vault.url, target.name)
        self._context = replace(context, host=target.host, secret=target.name, client_id=target.client_id)
        self._errors: list[Diagnosis] = []
        self._steps: list[str] = []
        self._created: list[OAuthSecret] = []
        self._deleted: set[str] = set()
        self._maybe_stored: set[str] = set()
        self._failures: dict[str, ServiceFailure] = {}

    def plan(self) -> tuple[SecretReport, Decision | None]:
        """Return the report and the decision; None if the state cannot be read. Writes nothing."""
        try:
            seen = self._read_state()
        except ServiceError as error:
            return self.failed(explain(error.failure, self._context)), None
        decision = self._decide(seen)
        previous = [PreviousSecretReport(each.id, each.created_at, "delete") for each in decision.delete]
        return self._report("rotate" if decision.create else "unchanged", seen, decision, previous), decision

    def apply(self, approved: Decision) -> SecretReport:
        """Read the state again, and do the approved steps that are still due.

        Raises:
            KeyboardInterrupt: the command was interrupted. A new secret that was not stored was deleted, if possible.
        """
        try:
            seen = self._read_state()
        except ServiceError as error:
            return self.failed(explain(error.failure, self._context))
        decision = self._decide(seen)
        previous = [
            self._delete(seen, each)
            if each in approved.delete
            else PreviousSecretReport(each.id, each.created_at, "kept", reason="it was not in the plan")
            for each in decision.delete
        ]
        if not (decision.create and approved.create):
            return self._report("unchanged", seen, decision, previous)
        untried = self._why_untried(seen.hosts(SignIn.UNREACHABLE))
        if untried is not None:
            self._errors.append(untried)
            return self._report("failed", seen, decision, previous)
        return self._renew(seen, decision, previous)

    def issue(self) -> SecretReport:
        """Create the first secret, for a name that Key Vault does not have."""
        try:
            secrets = self._secrets()
            principal = secrets.principal_id(self.target.client_id)
            listed = secrets.list(principal)
            siblings = {name: self._vault.versions(name) for name in self.target.siblings}
        except ServiceError as error:
            return self.failed(explain(error.failure, self._context))
        seen = SecretSnapshot(self.target, self._place, Version(""), {}, (), siblings, principal, listed)
        self._context = replace(self._context, principal_id=str(principal))
        decision = Decision(
            None, "Key Vault has no secret of this name", create=True, lifetime=self._lifetime
        )
        return self._renew(seen, decision, ())

    def _renew(
        self, seen: SecretSnapshot, decision: Decision, previous: Sequence[PreviousSecretReport]
    ) -> SecretReport:
        try:
            new = self._create(seen, decision)
            self._store(seen, new)
        except DiagnosedError as error:
            self._errors.append(error.diagnosis)
            return self._report("failed", seen, decision, previous)
        report = self._report("rotated", seen, decision, previous)
        return replace(report, new_id=new.about.id, expires_at=new.about.expires_at)

    # Reading the state

    def _secrets(self) -> OAuthSecretsApi:
        return self._services.oauth_secrets(self.target.host)

    def _read_state(self) -> SecretSnapshot:
        """Return the state of the secret in both services.

        Raises:
            ServiceError: a part cannot be read, or is missing.
        """
        # OAuth secrets before versions. Otherwise, one that is created and stored in between looks unmanaged.
        target = self.target
        secrets = self._secrets()
        principal = secrets.principal_id(target.client_id)
        listed = secrets.list(principal)
        versions = self._vault.versions(target.name)
        siblings = {name: self._vault.versions(name) for name in target.siblings}
        current = self._vault.current(target.name)
        if current is None:
            what = Operation.READ_LATEST_VERSION.of(target.name)
            raise ServiceError(
                ServiceFailure(Service.KEY_VAULT, what, FailureKind.ANSWER, 404, "SecretNotFound")
            )
        self._failures = self._sign_in(target.hosts, current.value)
        seen = SecretSnapshot(
            target,
            self._place,
            current.version,
            {host: outcome(self._failures.get(host)) for host in target.hosts},
            versions,
            siblings,
            principal,
            listed,
            vault_time=self._vault.now(),
            databricks_time=secrets.now(),
        )
        return replace(seen, held=self._in_use(seen, current.value) | self._still_valid(seen))

    def _still_valid(self, seen: SecretSnapshot) -> dict[str, str]:
        """Return reasons, by ID, to keep expired secrets that a workspace accepts instead of the current one."""
        held = dict[str, str]()
        rejecting = seen.hosts(SignIn.REJECTED)
        expired = {each.id for each in seen.expired} if rejecting else set()
        for version in seen.versions:
            id_ = seen.names(version)
            if id_ not in expired or id_ in held:
                continue
            try:
                value = self._vault.value(self.target.name, version.id)
            except ServiceError:
                held[id_] = "it might still be valid: the version that names it cannot be read"
                continue
            failures = self._sign_in(rejecting, value)
            if accepting := [host for host in rejecting if host not in failures]:
                held[id_] = f"it is still valid at {places(accepting)}"
        return held

    def _in_use(self, seen: SecretSnapshot, current: SecretStr) -> dict[str, str]:
        """Return reasons to keep replaced secrets, by ID. Compares values, because tags are not proof."""
        if seen.kept_until or seen.why_kept:
            return {}
        previous = {each.id for each in seen.replaced} - {each.id for each in seen.expired}
        if not previous or self._hold:
            return dict.fromkeys(previous, self._hold)
        in_use, held = {self.target.name: current}, dict[str, str]()
        for name in self.target.siblings:
            try:
                found = self._vault.current(name)
            except ServiceError:
                return dict.fromkeys(previous, f'it might be in use as "{name}", which cannot be read')
            if found is not None:
                in_use[name] = found.value
        for version in seen.versions:
            id_ = seen.names(version)
            if id_ in previous and id_ not in held and (why := self._why_held(version, in_use)):
                held[id_] = why
        return held

    def _why_held(self, version: Version, in_use: Mapping[str, SecretStr]) -> str:
        try:
            value = self._vault.value(self.target.name, version.id)
        except ServiceError:
            return "it might be in use: the version that names it cannot be read"
        user = next((name for name, used in in_use.items() if used == value), None)
        return f'it is in use: "{user}" has its value' if user else ""

    def _decide(self, seen: SecretSnapshot) -> Decision:
        self._context = replace(self._context, principal_id=str(seen.principal))
        now = self._deadline.clock.now()
        decision = decide(seen, now, self._within, self._lifetime, force=self._force)
        if decision.stop:
            self._errors.append(self._why_stopped(decision, seen))
        return decision

    def _why_stopped(self, decision: Decision, seen: SecretSnapshot) -> Diagnosis:
        match decision.stop:
            case "room":
                return self._no_room([each for each in seen.secrets if each not in decision.delete], seen)
            case "principal":
                return finding("secret_of_another_principal", self._context, other=seen.current.owner)
            case "scopes":
                scopes = sorted({" ".join(sorted(each.scopes)) or "all" for each in seen.secrets})
                return finding("scopes_differ", self._context, scopes="; ".join(scopes))
            case _:
                found = finding("secret_without_expiration", self._context)
                return replace(found, message="The secret was not rotated: it has no expiration date.")

    def _no_room(self, existing: Sequence[OAuthSecret], seen: SecretSnapshot) -> Diagnosis:
        """Return the finding with all existing secrets, and an expired one as the first to delete."""
        now = self._now(seen)
        expired = next(
            (each for each in existing if each.expires_at is not None and each.expires_at <= now), None
        )
        context = replace(self._context, oauth_secret=expired.id) if expired else self._context
        listed = ", ".join(f"{each.id} ({_expiration(each, now)})" for each in existing)
        return finding("oauth_secret_limit_near", context, count=len(existing), there=listed)

    def _now(self, seen: SecretSnapshot) -> datetime:
        return seen.now or self._deadline.clock.now()

    # Steps

    def _done(self, what: str) -> None:
        self._steps.append(what)
        self._on_step(f"{self.target.name}: {what}")

    def _sign_in(
        self, hosts: Sequence[str], secret: SecretStr, seconds: float = TRY_S
    ) -> dict[str, ServiceFailure]:
        """Try a secret at each of these workspaces, and return the failures by host.

        Raises:
            KeyboardInterrupt: the command was interrupted.
        """
        deadline = self._deadline.within(seconds)

        def attempt(host: str) -> ServiceFailure | SignIn:
            try:
                self._services.try_secret(host, self.target.client_id, secret, deadline.within(ONE_TRY_S))
            except ServiceError as error:
                return error.failure
            return SignIn.ACCEPTED

        results = self._executor.each(hosts, attempt, MAX_PARALLEL_WORKSPACES)
        if self._executor.interrupted:
            raise KeyboardInterrupt
        late = ServiceFailure(Service.DATABRICKS, Operation.SIGN_IN.of(), FailureKind.OUT_OF_TIME)
        found = {host: result or late for host, result in results}
        return {host: failure for host, failure in found.items() if isinstance(failure, ServiceFailure)}

    def _delete(self, seen: SecretSnapshot, previous: OAuthSecret) -> PreviousSecretReport:
        try:
            self._secrets().delete(seen.principal, previous.id)
        except ServiceError as error:
            self._errors.append(explain(error.failure, self._context))
            return PreviousSecretReport(previous.id, previous.created_at, "failed")
        self._deleted.add(previous.id)
        self._done(f"deleted the previous OAuth secret {previous.id}")
        return PreviousSecretReport(previous.id, previous.created_at, "deleted")

    def _create(self, seen: SecretSnapshot, decision: Decision) -> NewSecret:
        """Create a secret. If the response is lost, so is the secret, and a second attempt creates another.

        Raises:
            DiagnosedError: no usable secret was created.
        """
        secrets = self._secrets()
        left = [each for each in seen.secrets if each.id not in self._deleted]
        known, total = {each.id for each in seen.secrets}, len(left)
        named = {seen.names(version) for version in seen.versions} | seen.named_by_siblings
        if self._deadline.remaining() < NEEDED_S:
            raise DiagnosedError(out_of_time(self._context))
        failure = self._no_room(left, seen)
        for _ in range(2):
            if total >= MAX_OAUTH_SECRETS - 1:
                break
            try:
                new = secrets.create(seen.principal, decision.lifetime, decision.scopes)
            except ServiceError as error:
                failure = explain(error.failure, self._context)
                if is_refusal(error.failure):
                    break
            else:
                if new.about.id in known | named:  # deleting it could delete a secret in use
                    raise DiagnosedError(self._unexpected(new, "it existed before"))
                self._created.append(new.about)
                expires_at = new.about.expires_at
                until = f", which expires on {expires_at:%Y-%m-%d}" if expires_at else ""
                self._done(f"created OAuth secret {new.about.id}{until}")
                if self._expires_early(seen, decision, new):
                    self._roll_back(seen, new)
                    raise DiagnosedError(self._unexpected(new, "it expires too early"))
                return new
            try:
                listed = secrets.list(seen.principal)
            except ServiceError:
                break
            self._created += [each for each in listed if each.id not in known]
            known |= {each.id for each in listed}
            total = max(len(listed), total + 1)  # the lost secret might not be listed yet
        raise DiagnosedError(failure)

    def _expires_early(self, seen: SecretSnapshot, decision: Decision, new: NewSecret) -> bool:
        """Return whether it expires earlier than requested. Later secrets would inherit the short lifetime."""
        expires_at, times = new.about.expires_at, (seen.vault_time, seen.databricks_time)
        now = max((time for time in times if time is not None), default=self._deadline.clock.now())
        return expires_at is not None and expires_at < now + (decision.lifetime or MAX_LIFETIME) - EARLY

    def _unexpected(self, new: NewSecret, why: str) -> Diagnosis:
        return finding("new_secret_unexpected", replace(self._context, oauth_secret=new.about.id), why=why)

    def _store(self, seen: SecretSnapshot, new: NewSecret) -> None:
        """Try the secret at all workspaces, store it, and read it back.

        Raises:
            DiagnosedError: the secret is not stored, or this is unknown.
        """
        began = self._deadline.clock.monotonic()
        try:
            self._failures = self._try_everywhere(new)
        except KeyboardInterrupt:
            self._roll_back(seen, new)
            raise
        seconds = self._deadline.clock.monotonic() - began
        if (why := self._why_not_accepted(new, seconds)) is not None:
            self._roll_back(seen, new)
            raise DiagnosedError(why)
        hosts, failed = len(self.target.hosts), list(self._failures)
        but = f", not to {places(failed)}" if failed else ""
        self._done(f"signed in with it to {hosts - len(failed)} of {count(hosts, 'workspace')}{but}")
        undecided = False
        tags = tags_of(new.about.id, self.target.client_id, self._place)
        self._maybe_stored.add(new.about.id)
        for _ in range(2):
            try:
                stored = self._vault.store(self.target.name, new.value, new.about.expires_at, tags)
            except ServiceError as error:
                if is_refusal(error.failure) and not undecided:
                    self._maybe_stored.discard(new.about.id)
                    self._roll_back(seen, new)
                    raise DiagnosedError(explain(error.failure, self._context)) from None
                undecided = True
            else:
                self._done(f"stored it in Key Vault as version {stored.id}")
                undecided = False
            seconds = 0.0 if undecided else READ_BACK_S
            if poll(self._deadline.clock, partial(self._reads_back, seen, new), bool, seconds):
                return
            if not undecided:
                break
        context = replace(self._context, oauth_secret=new.about.id)
        raise DiagnosedError(finding("new_secret_not_visible", context))

    def _try_everywhere(self, new: NewSecret) -> dict[str, ServiceFailure]:
        """Return the failures by host. Retries rejections for `SIGN_IN_S`, other failures for `REACH_S`."""
        patient = self._deadline.within(SIGN_IN_S)
        quick = patient.within(REACH_S)
        hosts, pause = list(self.target.hosts), 1.0
        while True:
            failures = self._sign_in(hosts, new.value, patient.remaining())
            hosts = list(failures)
            rejected = any(outcome(failure) is SignIn.REJECTED for failure in failures.values())
            deadline = patient if rejected else quick
            if not failures or deadline.remaining() <= pause:
                return failures
            deadline.clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _why_not_accepted(self, new: NewSecret, seconds: float) -> Diagnosis | None:
        """Return the reason not to store the secret; None if it can be stored."""
        rejecting = [host for host, failure in self._failures.items() if outcome(failure) is SignIn.REJECTED]
        if not rejecting:
            return self._why_untried(list(self._failures))
        context = replace(self._context, host=rejecting[0], oauth_secret=new.about.id)
        found = finding("new_secret_rejected", context, places=places(rejecting), seconds=f"{seconds:.0f}")
        reason = self._why_rejected(rejecting[0])
        return replace(found, cause=f"{reason.message} {reason.cause} {found.cause}")

    def _why_rejected(self, host: str) -> Diagnosis:
        """Explain the last failure at a workspace, with the results of the others."""
        elsewhere = len(self._failures) < len(self.target.hosts)
        known = frozenset({Known.SIGNED_IN_ELSEWHERE} if elsewhere else ())
        return explain(self._failures[host], replace(self._context, host=host, known=known))

    def _why_untried(self, unreachable: Sequence[str]) -> Diagnosis | None:
        """Return why unreachable workspaces prevent a rotation, or None. At least one must be reachable."""
        nowhere = len(unreachable) == len(self.target.hosts)
        missing = [host for host in unreachable if nowhere or host not in self._allowed]
        if not missing:
            return None
        return finding("new_secret_untried", replace(self._context, host=missing[0]), places=places(missing))

    def _reads_back(self, seen: SecretSnapshot, new: NewSecret) -> bool:
        """Return whether Key Vault shows the secret, as the latest version or an already replaced one."""
        with suppress(ServiceError):
            current = self._vault.current(self.target.name)
            if current is not None and seen.names(current.version) == new.about.id:
                if current.value == new.value:
                    self._done("read it back")
                    return True
            elif current is not None and self._is_replaced(seen, new, current.version):
                self._done("read it back; another rotation has stored a newer one")
                return True
        return False

    def _is_replaced(self, seen: SecretSnapshot, new: NewSecret, latest: Version) -> bool:
        """Return whether a version that is not newer than `latest` names the new secret."""
        return any(
            version.created_on is not None
            and latest.created_on is not None
            and version.created_on <= latest.created_on
            for version in self._vault.versions(self.target.name)
            if seen.names(version) == new.about.id
        )

    def _roll_back(self, seen: SecretSnapshot, new: NewSecret) -> None:
        """Delete a new secret that is not stored, unless a version in Key Vault names it."""
        id_ = new.about.id
        with suppress(ServiceError):
            if any(seen.names(version) == id_ for version in self._vault.versions(self.target.name)):
                self._maybe_stored.add(id_)
                self._done(f"kept OAuth secret {id_}, because a version in Key Vault names it")
                return
        try:
            self._secrets().delete(seen.principal, id_)
        except ServiceError:
            self._done(f"could not delete OAuth secret {id_}, which is not stored")
        else:
            self._deleted.add(id_)
            self._done(f"deleted OAuth secret {id_}, because it was not stored")

    # Report

    def failed(self, why: Diagnosis) -> SecretReport:
        """Return the report of a rotation that stopped for this reason."""
        self._errors.append(why)
        return self._described("failed")

    def interrupted(self) -> SecretReport:
        return self.failed(interrupted(self._context))

    def _described(self, action: RotationAction) -> SecretReport:
        target, steps, errors = self.target, tuple(self._steps), tuple(self._errors)
        return SecretReport(
            target.name,
            target.client_id,
            target.host,
            target.workspaces,
            action,
            steps=steps,
            errors=errors,
        )

    def _report(
        self,
        action: RotationAction,
        seen: SecretSnapshot,
        decision: Decision,
        previous: Sequence[PreviousSecretReport],
    ) -> SecretReport:
        return replace(
            self._described("failed" if action == "unchanged" and self._errors else action),
            reason=decision.why,
            expires_at=decision.expires_at,
            previous=(*previous, *decision.kept),
            unmanaged=self._unmanaged(seen, decision, stored=action == "rotated"),
            not_signed_in=tuple(
                NotSignedIn(host, outcome(failure), self._why_rejected(host))
                for host, failure in self._failures.items()
            ),
        )

    def _unmanaged(
        self, seen: SecretSnapshot, decision: Decision, *, stored: bool
    ) -> tuple[UnmanagedSecretReport, ...]:
        """Return the remaining unclaimed secrets, except new ones that are or might be stored."""
        gone = self._deleted | self._maybe_stored
        left = [each for each in (*seen.secrets, *self._created) if each.id not in gone]
        found = replace(seen, secrets=left).unclaimed(self._now(seen))
        named = {seen.names(version) for version in seen.versions}
        untagged = seen.untagged_sibling if decision.known or stored else self.target.name
        return tuple(
            UnmanagedSecretReport(
                each.id, each.created_at, each.expires_at, self._note(each, untagged, named=each.id in named)
            )
            for each in found
        )

    def _note(self, secret: OAuthSecret, untagged: str | None, *, named: bool) -> Diagnosis:
        context = replace(self._context, oauth_secret=secret.id)
        made = f"{secret.created_at:%Y-%m-%d at %H:%M} UTC" if secret.created_at else "at an unknown time"
        ends = f"expires on {secret.expires_at:%Y-%m-%d}" if secret.expires_at else "does not expire"
        code = "unproven_oauth_secret" if named else "unknown_oauth_secret"
        if untagged is not None and not named:
            code, context = "untagged_oauth_secret", replace(context, secret=untagged)
        return finding(code, context, made=made, ends=ends)


def outcome(failure: ServiceFailure | None) -> SignIn:
    """Return the result of a sign-in. 403 does not count as rejected: another secret would not help."""
    if failure is None:
        return SignIn.ACCEPTED
    forbidden = failure.status == HTTPStatus.FORBIDDEN
    rejected = explain(failure, DiagnosisContext()).code == "oauth_secret_rejected" and not forbidden
    return SignIn.REJECTED if rejected else SignIn.UNREACHABLE


def is_refusal(failure: ServiceFailure) -> bool:
    """Return whether a request certainly had no effect: it was refused, or never reached the service."""
    if failure.service not in {Service.KEY_VAULT, Service.DATABRICKS}:
        return True  # no token was issued, so nothing was sent
    if failure.kind is FailureKind.ANSWER:
        status = failure.status or 0
        return 400 <= status < 500 and status != HTTPStatus.REQUEST_TIMEOUT  # noqa: PLR2004  # HTTP's client errors
    return failure.kind in _NEVER_SENT


_NEVER_SENT = frozenset(
    {
        FailureKind.REFUSED,
        FailureKind.DNS,
        FailureKind.CONNECT_TIMEOUT,
        FailureKind.NOT_SENT,
        FailureKind.OUT_OF_TIME,
    }
)


def _expiration(secret: OAuthSecret, now: datetime) -> str:
    if secret.expires_at is None:
        return "does not expire"
    return f"{'expired' if secret.expires_at <= now else 'expires'} on {secret.expires_at:%Y-%m-%d}"
