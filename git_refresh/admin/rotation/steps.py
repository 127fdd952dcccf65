"""The steps of a rotation: each is done or not, and whoever comes after a lost answer looks what is there."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Protocol

from pydantic import SecretStr

from git_refresh.admin.rotation.decide import (
    MAX_LIFETIME,
    MAX_OAUTH_SECRETS,
    Decision,
    RotationTarget,
    SecretSnapshot,
    SignIn,
    places,
)
from git_refresh.admin.values import Current, NewSecret, OAuthSecret, Version, place_of, tags_of
from git_refresh.failures.diagnosis import Diagnosis, DiagnosisContext, explain, finding, out_of_time
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceError, ServiceFailure
from git_refresh.failures.table import Known
from git_refresh.model.clock import Deadline

SIGN_IN_S = 90.0
"""Seconds in which a new OAuth secret has to work where it is rejected at first: it has been seen to take some."""

REACH_S = 20.0
"""Seconds after which a workspace that cannot be reached is not tried again."""

TRY_S = 60.0
"""Seconds for trying a secret once at all workspaces."""

ONE_TRY_S = 10.0
"""Seconds for trying it at one of them."""

EARLY = timedelta(days=1)
"""How much earlier a new one may expire than was asked for: clocks differ."""

MAX_PARALLEL_WORKSPACES = 64
"""Workspaces that a secret is tried at together."""

READ_BACK_S = 30.0
"""Seconds in which Key Vault has to show what it has stored."""

NEEDED_S = SIGN_IN_S + READ_BACK_S + 30.0
"""Seconds that have to be left for a new one to be made: it has to be stored, or deleted again, before the time is over."""

_LONGEST_PAUSE_S = 8.0


class SecretStore(Protocol):
    """`admin.vault.AdminVault`, as far as it is needed."""

    url: str

    def now(self) -> datetime | None: ...
    def current(self, name: str) -> Current | None: ...
    def value(self, name: str, version: str | None = None) -> SecretStr: ...
    def versions(self, name: str) -> Sequence[Version]: ...
    def store(
        self, name: str, value: SecretStr, expires_on: datetime | None, tags: Mapping[str, str]
    ) -> Version: ...


class OAuthSecretsApi(Protocol):
    """`admin.oauth_secrets.OAuthSecrets`."""

    def now(self) -> datetime | None: ...
    def principal_id(self, client_id: str) -> int: ...
    def list(self, principal: int) -> Sequence[OAuthSecret]: ...
    def create(self, principal: int, lifetime: timedelta | None, scopes: tuple[str, ...]) -> NewSecret: ...
    def delete(self, principal: int, secret_id: str) -> None: ...


class RotationClients(Protocol):
    """`admin.services.AdminServices`, as far as it is needed."""

    def oauth_secrets(self, host: str) -> OAuthSecretsApi: ...
    def try_secret(self, host: str, client_id: str, secret: SecretStr, deadline: Deadline) -> None: ...


class ParallelMap(Protocol):
    """Does the same work on many things at once; None where it was not finished. See `cli.crew`."""

    interrupted: bool

    def each[T, R](
        self, items: Sequence[T], work: Callable[[T], R], at_once: int | None = None
    ) -> list[tuple[T, R | None]]: ...


class StoppedError(Exception):
    """What keeps a rotation from going on."""

    def __init__(self, why: Diagnosis) -> None:
        super().__init__(why.code)
        self.why = why


@dataclass(frozen=True, slots=True)
class _Tried:
    """What came of trying a secret at one workspace; no failure: it was accepted."""

    failure: ServiceFailure | None


class Steps:
    """The steps on one secret.

    Attributes:
        facts: what is known around it.
        done: each thing that was done.
        gone: the ids of the OAuth secrets that were deleted.
        made: those that were made, and those that were made while an answer was lost.
        maybe_stored: the ids of those that are stored, or may be.
        failures: why the last secret that was tried was not accepted, by host.
    """

    def __init__(
        self,
        target: RotationTarget,
        vault: SecretStore,
        services: RotationClients,
        crew: ParallelMap,
        deadline: Deadline,
        context: DiagnosisContext,
        said: Callable[[str], None],
    ) -> None:
        self._target = target
        self._vault = vault
        self._services = services
        self._crew = crew
        self._deadline = deadline
        self._said = said
        self.context = context
        self.done: list[str] = []
        self.gone: set[str] = set()
        self.made: list[OAuthSecret] = []
        self.maybe_stored: set[str] = set()
        self.failures: dict[str, ServiceFailure] = {}

    def sign_in(
        self, hosts: Sequence[str], secret: SecretStr, seconds: float = TRY_S
    ) -> dict[str, ServiceFailure]:
        """Try a secret at each of these workspaces, and return the failures by host.

        Raises:
            KeyboardInterrupt: the command was interrupted.
        """
        deadline = self._deadline.within(seconds)

        def work(host: str) -> _Tried:
            try:
                self._services.try_secret(host, self._target.client_id, secret, deadline.within(ONE_TRY_S))
            except ServiceError as error:
                return _Tried(error.failure)
            return _Tried(None)

        tried = self._crew.each(hosts, work, MAX_PARALLEL_WORKSPACES)
        if self._crew.interrupted:
            raise KeyboardInterrupt
        late = _Tried(ServiceFailure(Service.DATABRICKS, Operation.SIGN_IN.of(), FailureKind.OUT_OF_TIME))
        found = {host: (each or late).failure for host, each in tried}
        return {host: failure for host, failure in found.items() if failure is not None}

    def delete(self, principal: int, former: OAuthSecret) -> None:
        """Delete a former one.

        Raises:
            ServiceError: the workspace does not.
        """
        self._services.oauth_secrets(self._target.host).delete(principal, former.id)
        self.gone.add(former.id)
        self._say(f"deleted the former OAuth secret {former.id}")

    def create(self, seen: SecretSnapshot, decision: Decision) -> NewSecret:
        """A new one. Where the answer is lost so is the secret; then it is tried once more, if there is room.

        Raises:
            StoppedError: there is none.
        """
        secrets = self._services.oauth_secrets(self._target.host)
        known = {each.id for each in seen.secrets}
        there, named = len(known - self.gone), self._named(seen)
        if self._deadline.remaining() < NEEDED_S:
            raise StoppedError(out_of_time(self.context))
        failure = no_room(
            [each for each in seen.secrets if each.id not in self.gone], seen.now or self._now(), self.context
        )
        for _ in range(2):
            if there >= MAX_OAUTH_SECRETS - 1:
                break
            try:
                new = secrets.create(seen.principal, decision.lifetime, decision.scopes)
            except ServiceError as error:
                failure = explain(error.failure, self.context)
                if is_refusal(error.failure):
                    break
            else:
                if new.about.id in known | named:  # to delete it again would delete another one
                    raise StoppedError(self._unexpected(new, "it existed before"))
                self.made.append(new.about)
                self._say(f"created OAuth secret {new.about.id}{_until(new.about)}")
                if self._expires_early(seen, decision, new):
                    self._take_back(seen, new)
                    raise StoppedError(self._unexpected(new, "it expires too early"))
                return new
            try:
                listed = secrets.list(seen.principal)
            except ServiceError:
                break
            self.made += [each for each in listed if each.id not in known]
            known |= {each.id for each in listed}
            there = max(len(listed), there + 1)  # it may be listed a little later
        raise StoppedError(failure)

    def store(self, seen: SecretSnapshot, new: NewSecret, allowed: frozenset[str]) -> None:
        """Try it everywhere, store it, and see that it is there.

        Args:
            seen: what was found before.
            new: what to store.
            allowed: the workspaces that it may be stored without, where they cannot be reached.

        Raises:
            StoppedError: it is not, or nobody knows.
        """
        began = self._deadline.clock.monotonic()
        try:
            self.failures = self._tried_everywhere(new)
        except KeyboardInterrupt:
            self._take_back(seen, new)
            raise
        seconds = self._deadline.clock.monotonic() - began
        if (stopped := self._not_accepted(new, seconds, allowed)) is not None:
            self._take_back(seen, new)
            raise StoppedError(stopped)
        hosts, failed = len(self._target.hosts), list(self.failures)
        but = f", not to {places(failed)}" if failed else ""
        self._say(f"signed in with it to {hosts - len(failed)} of {hosts} workspaces{but}")
        undecided = False
        self.maybe_stored.add(new.about.id)
        for _ in range(2):
            try:
                stored = self._vault.store(
                    self._target.name,
                    new.value,
                    new.about.expires_at,
                    tags_of(
                        new.about.id, self._target.client_id, place_of(self._vault.url, self._target.name)
                    ),
                )
            except ServiceError as error:
                if is_refusal(error.failure) and not undecided:
                    self.maybe_stored.discard(new.about.id)
                    self._take_back(seen, new)
                    raise StoppedError(explain(error.failure, self.context)) from None
                undecided = True
            else:
                self._say(f"stored it in Key Vault as version {stored.id}")
                undecided = False
            if self._reads_back(new, READ_BACK_S if not undecided else 0):
                return
            if not undecided:
                break
        context = replace(self.context, oauth_secret=new.about.id)
        raise StoppedError(finding("new_secret_not_visible", context))

    def _expires_early(self, seen: SecretSnapshot, decision: Decision, new: NewSecret) -> bool:
        """Whether it expires earlier than was asked for: later ones would live for as short, and the app stops using it then."""
        ends, times = new.about.expires_at, (seen.vault_time, seen.databricks_time)
        now = max((time for time in times if time is not None), default=self._now())
        return ends is not None and ends < now + (decision.lifetime or MAX_LIFETIME) - EARLY

    def _unexpected(self, new: NewSecret, why: str) -> Diagnosis:
        return finding("new_secret_unexpected", replace(self.context, oauth_secret=new.about.id), why=why)

    def _not_accepted(self, new: NewSecret, seconds: float, allowed: frozenset[str]) -> Diagnosis | None:
        """Why it must not be stored: a workspace rejects it, or it could not be tried where it has to be, or nowhere at all."""
        rejecting = [host for host, failure in self.failures.items() if outcome(failure) is SignIn.REJECTED]
        if rejecting:
            context = replace(self.context, host=rejecting[0], oauth_secret=new.about.id)
            found = finding(
                "new_secret_rejected", context, places=places(rejecting), seconds=f"{seconds:.0f}"
            )
            reason = self.refused(rejecting[0])
            return replace(found, cause=f"{reason.message} {reason.cause} {found.cause}")
        return self.untried(list(self.failures), allowed)

    def refused(self, host: str) -> Diagnosis:
        """Why a workspace did not accept the secret that was tried last, also by what the others said to it."""
        elsewhere = len(self.failures) < len(self._target.hosts)
        known = frozenset({Known.SIGNED_IN_ELSEWHERE} if elsewhere else ())
        return explain(self.failures[host], replace(self.context, host=host, known=known))

    def untried(self, unreachable: Sequence[str], allowed: frozenset[str]) -> Diagnosis | None:
        """Why none is stored while these workspaces cannot be reached; None if it may be. One has to be reached always."""
        nowhere = len(unreachable) == len(self._target.hosts)
        missing = [host for host in unreachable if nowhere or host not in allowed]
        if not missing:
            return None
        return finding("new_secret_untried", replace(self.context, host=missing[0]), places=places(missing))

    def _tried_everywhere(self, new: NewSecret) -> dict[str, ServiceFailure]:
        """Why it cannot be used, by host: tried again for as long as that may help."""
        patient = self._deadline.within(SIGN_IN_S)
        quick = patient.within(REACH_S)
        hosts, pause = list(self._target.hosts), 1.0
        while True:
            failures = self.sign_in(hosts, new.value, patient.remaining())
            hosts = list(failures)
            rejected = any(outcome(failure) is SignIn.REJECTED for failure in failures.values())
            deadline = patient if rejected else quick
            if not failures or deadline.remaining() <= pause:
                return failures
            deadline.clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _reads_back(self, new: NewSecret, seconds: float) -> bool:
        """Whether Key Vault shows it: as the latest version, or as one that somebody else's has replaced meanwhile."""
        deadline, pause = self._deadline.within(seconds), 1.0
        name, client_id = self._target.name, self._target.client_id
        while True:
            with suppress(ServiceError):
                current = self._vault.current(name)
                if current is not None and current.version.names(client_id) == new.about.id:
                    if current.value == new.value:
                        self._say("read it back")
                        return True
                elif current is not None and self._is_replaced(new, current.version):
                    self._say("read it back; somebody else has stored another one meanwhile")
                    return True
            if deadline.remaining() <= pause:
                return False
            deadline.clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _is_replaced(self, new: NewSecret, latest: Version) -> bool:
        """Whether it is there, as a version that is not newer than the latest: Key Vault's times are whole seconds."""
        found = [
            version.created_on
            for version in self._vault.versions(self._target.name)
            if version.names(self._target.client_id) == new.about.id
        ]
        return any(
            stored is not None and latest.created_on is not None and stored <= latest.created_on
            for stored in found
        )

    def _take_back(self, seen: SecretSnapshot, new: NewSecret) -> None:
        """Delete what was made this minute and is stored nowhere, unless a version names it by now: then it is another one's."""
        with suppress(ServiceError):
            versions = self._vault.versions(self._target.name)
            if any(version.names(self._target.client_id) == new.about.id for version in versions):
                self.maybe_stored.add(new.about.id)
                self._say(f"left OAuth secret {new.about.id}, which a version in Key Vault names")
                return
        try:
            self._services.oauth_secrets(self._target.host).delete(seen.principal, new.about.id)
        except ServiceError:
            self._say(f"could not delete OAuth secret {new.about.id} again, which is stored nowhere")
        else:
            self.gone.add(new.about.id)
            self._say(f"deleted OAuth secret {new.about.id} again, which is stored nowhere")

    def _named(self, seen: SecretSnapshot) -> set[str | None]:
        """The ids that some version of this name or of one beside it has."""
        versions = [*seen.versions, *(version for each in seen.beside.values() for version in each)]
        return {version.names(self._target.client_id) for version in versions}

    def _now(self) -> datetime:
        return self._deadline.clock.now()

    def _say(self, what: str) -> None:
        self.done.append(what)
        self._said(f"{self._target.name}: {what}")


def no_room(there: Sequence[OAuthSecret], now: datetime, context: DiagnosisContext) -> Diagnosis:
    """That no more may be made, with all that are there: one that has ended counts too, and may go first."""
    ended = next((each for each in there if each.expires_at is not None and each.expires_at <= now), None)
    told = ", ".join(f"{each.id} ({_ends(each, now)})" for each in there)
    context = replace(context, oauth_secret=ended.id) if ended else context
    return finding("oauth_secret_limit_near", context, count=len(there), there=told)


def outcome(failure: ServiceFailure | None) -> SignIn:
    """What a workspace said to a secret. A principal that is let in, and not allowed to, would not be with another one either."""
    if failure is None:
        return SignIn.ACCEPTED
    forbidden = failure.status == HTTPStatus.FORBIDDEN
    rejected = explain(failure, DiagnosisContext()).code == "oauth_secret_rejected" and not forbidden
    return SignIn.REJECTED if rejected else SignIn.UNREACHABLE


def is_refusal(failure: ServiceFailure) -> bool:
    """Whether what was asked for was certainly not done: it was refused, or never reached the service."""
    if failure.service not in {Service.KEY_VAULT, Service.DATABRICKS}:
        return True  # there was no token to ask with
    if failure.kind is FailureKind.ANSWER:
        return failure.status is not None and 400 <= failure.status < 500 and failure.status != _TIMED_OUT  # noqa: PLR2004  # HTTP's client errors
    return failure.kind in _NEVER_SENT


_TIMED_OUT = 408
_NEVER_SENT = frozenset(
    {
        FailureKind.REFUSED,
        FailureKind.DNS,
        FailureKind.CONNECT_TIMEOUT,
        FailureKind.NOT_SENT,
        FailureKind.OUT_OF_TIME,
    }
)


def _ends(secret: OAuthSecret, now: datetime) -> str:
    if secret.expires_at is None:
        return "does not end"
    return f"{'ended' if secret.expires_at <= now else 'ends'} on {secret.expires_at:%Y-%m-%d}"


def _until(secret: OAuthSecret) -> str:
    return f", which ends on {secret.expires_at:%Y-%m-%d}" if secret.expires_at else ""
