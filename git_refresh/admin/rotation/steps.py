"""The steps of a rotation: each is done or not, and whoever comes after a lost answer looks what is there."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from pydantic import SecretStr

from git_refresh.admin.rotation.decide import MOST, Decision, Seen, Target
from git_refresh.admin.secrets import Current, NewSecret, OAuthSecret, Version, tags_of
from git_refresh.clock import Deadline
from git_refresh.diagnosis.explain import Diagnosis, Facts, explain, finding
from git_refresh.symptom import Service, ServiceError, Symptom

SIGN_IN_S = 90.0
"""Seconds in which a new OAuth secret has to work: it has been seen to take some."""

READ_BACK_S = 30.0
"""Seconds in which Key Vault has to show what it has stored."""

_LONGEST_PAUSE_S = 8.0


class Vault(Protocol):
    """`admin.vault.AdminVault`, as far as it is needed."""

    def current(self, name: str) -> Current | None: ...
    def versions(self, name: str) -> Sequence[Version]: ...
    def store(
        self, name: str, value: SecretStr, expires_on: datetime | None, tags: Mapping[str, str]
    ) -> Version: ...


class OAuthSecrets(Protocol):
    """`admin.oauth_secrets.OAuthSecrets`."""

    def principal_id(self, client_id: str) -> int: ...
    def list(self, principal: int) -> Sequence[OAuthSecret]: ...
    def create(self, principal: int, lifetime: timedelta | None, scopes: tuple[str, ...]) -> NewSecret: ...
    def delete(self, principal: int, secret_id: str) -> None: ...


class Services(Protocol):
    """`admin.services.AdminServices`, as far as it is needed."""

    def oauth_secrets(self, host: str) -> OAuthSecrets: ...
    def try_secret(self, host: str, client_id: str, secret: SecretStr) -> None: ...


class StoppedError(Exception):
    """What keeps a rotation from going on."""

    def __init__(self, why: Diagnosis) -> None:
        super().__init__(why.code)
        self.why = why


class Steps:
    """The steps on one secret.

    Attributes:
        facts: what is known around it.
        done: each thing that was done.
        gone: the ids of the OAuth secrets that were deleted.
        made: those that were made, and those that were made while an answer was lost.
    """

    def __init__(
        self,
        target: Target,
        vault: Vault,
        services: Services,
        deadline: Deadline,
        facts: Facts,
        said: Callable[[str], None],
    ) -> None:
        self._target = target
        self._vault = vault
        self._services = services
        self._deadline = deadline
        self._said = said
        self.facts = facts
        self.done: list[str] = []
        self.gone: set[str] = set()
        self.made: list[OAuthSecret] = []

    def delete(self, principal: int, former: OAuthSecret) -> None:
        """Delete a former one.

        Raises:
            ServiceError: the workspace does not.
        """
        self._services.oauth_secrets(self._target.host).delete(principal, former.id)
        self.gone.add(former.id)
        self._say(f"deleted the former OAuth secret {former.id}")

    def create(self, seen: Seen, decision: Decision) -> NewSecret:
        """A new one. Where the answer is lost so is the secret; then it is tried once more, if there is room.

        Raises:
            StoppedError: there is none.
        """
        secrets = self._services.oauth_secrets(self._target.host)
        known = {each.id for each in seen.secrets}
        there = len(known - self.gone)
        failure = finding("no_room_for_secret", self.facts, count=there)
        for _ in range(2):
            if there >= MOST - 1:
                break
            try:
                new = secrets.create(seen.principal, decision.lifetime, decision.scopes)
            except ServiceError as error:
                failure = explain(error.symptom, self.facts)
                if is_refusal(error.symptom):
                    break
            else:
                self.made.append(new.about)
                self._say(f"created OAuth secret {new.about.id}{_until(new.about)}")
                return new
            try:
                listed = secrets.list(seen.principal)
            except ServiceError:
                break
            self.made += [each for each in listed if each.id not in known]
            known |= {each.id for each in listed}
            there = max(len(listed), there + 1)  # it may be listed a little later
        raise StoppedError(failure)

    def store(self, seen: Seen, new: NewSecret) -> None:
        """Try it, store it, and see that it is there.

        Raises:
            StoppedError: it is not, or nobody knows.
        """
        try:
            failure = self._tried(new)
        except KeyboardInterrupt:
            self._take_back(seen, new)
            raise
        if failure is not None:
            self._take_back(seen, new)
            facts = replace(self.facts, oauth_secret=new.about.id)
            raise StoppedError(finding("new_secret_rejected", facts, seconds=f"{SIGN_IN_S:.0f}"))
        self._say(f"signed in to {self._target.host} with it")
        undecided = False
        for _ in range(2):
            try:
                stored = self._vault.store(
                    self._target.name,
                    new.value,
                    new.about.expires_at,
                    tags_of(new.about.id, self._target.client_id),
                )
            except ServiceError as error:
                if is_refusal(error.symptom) and not undecided:
                    self._take_back(seen, new)
                    raise StoppedError(explain(error.symptom, self.facts)) from None
                undecided = True
            else:
                self._say(f"stored it in Key Vault as version {stored.id}")
                undecided = False
            if self._reads_back(new, READ_BACK_S if not undecided else 0):
                return
            if not undecided:
                break
        facts = replace(self.facts, oauth_secret=new.about.id)
        raise StoppedError(finding("new_secret_not_seen", facts))

    def _tried(self, new: NewSecret) -> Symptom | None:
        """Why it cannot be used; None: it can."""
        deadline, pause = self._deadline.within(SIGN_IN_S), 1.0
        while True:
            try:
                self._services.try_secret(self._target.host, self._target.client_id, new.value)
            except ServiceError as error:
                symptom = error.symptom
            else:
                return None
            if deadline.remaining() <= pause:
                return symptom
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

    def _take_back(self, seen: Seen, new: NewSecret) -> None:
        """Delete what was made this minute and is stored nowhere."""
        with suppress(ServiceError):
            self._services.oauth_secrets(self._target.host).delete(seen.principal, new.about.id)
            self.gone.add(new.about.id)
            self._say(f"deleted OAuth secret {new.about.id} again, which is stored nowhere")

    def _say(self, what: str) -> None:
        self.done.append(what)
        self._said(f"{self._target.name}: {what}")


def is_refusal(symptom: Symptom) -> bool:
    """Whether what was asked for was certainly not done: it was refused, or never reached the service."""
    if symptom.service not in {Service.KEY_VAULT, Service.DATABRICKS}:
        return True  # there was no token to ask with
    if symptom.kind == "answer":
        return symptom.status is not None and 400 <= symptom.status < 500 and symptom.status != _TIMED_OUT  # noqa: PLR2004  # HTTP's client errors
    return symptom.kind in {"refused", "dns", "connect_timeout", "not_sent", "out_of_time"}


_TIMED_OUT = 408


def _until(secret: OAuthSecret) -> str:
    return f", which ends on {secret.expires_at:%Y-%m-%d}" if secret.expires_at else ""
