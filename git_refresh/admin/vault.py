"""Key Vault as somebody who administers it: a secret's versions with their tags, and a new one."""

import ssl
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

from azure.keyvault.secrets import SecretProperties
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, SecretStr

from git_refresh.admin.secrets import Current, Version
from git_refresh.clients.identity import Identity
from git_refresh.clients.key_vault import LIMIT, judge, secret_client
from git_refresh.clients.responses import Response, UnexpectedAnswerError, VaultSecret, Word, read
from git_refresh.clients.retry import Retry, call
from git_refresh.clients.session import BoundedSession
from git_refresh.failures.failure import Service, ServiceError, ServiceFailure
from git_refresh.model.clock import Deadline, ServiceTime
from git_refresh.model.hosts import TrustedHosts
from git_refresh.model.values import KEY_VAULT
from git_refresh.output.mask import SecretFilter
from git_refresh.output.redact import INVISIBLE

VERSIONS = 1_000
"""Of one secret. A list that goes on after that is no list: with a rotation a week these are nearly twenty years."""

DELETED = "ObjectIsDeletedButRecoverable"
"""Key Vault's error code where a name is taken by a deleted secret."""

_LONGEST_TAG = 256


def _readable(tags: object) -> object:
    """Tags as anybody may have set them by hand: what is odd is nobody's mark."""
    if not isinstance(tags, Mapping):
        return {}
    return {key: value for key, value in tags.items() if _is_plain(key) and _is_plain(value)}


def _is_plain(text: object) -> bool:
    return isinstance(text, str) and len(text) <= _LONGEST_TAG and not INVISIBLE.search(text)


def _in_lower_case(text: str) -> str:
    return text.lower()


class _Properties(Response):
    """The properties of a version, as the vault's client hands them over."""

    version: Annotated[str, Field(strict=True, pattern=r"^[0-9a-fA-F]{32}$"), AfterValidator(_in_lower_case)]
    created_on: AwareDatetime | None = None
    expires_on: AwareDatetime | None = None
    enabled: bool | None = None
    tags: Annotated[dict[Word, Word], BeforeValidator(_readable)] = Field(default_factory=dict)


class AdminVault:
    """One Key Vault, read and written with an admin's own sign-in. Every method raises `ServiceError` when the vault fails it."""

    def __init__(
        self,
        url: str,
        identity: Identity,
        trusted: TrustedHosts,
        tls: ssl.SSLContext,
        deadline: Deadline,
        secrets: SecretFilter,
    ) -> None:
        self.url = url
        self._deadline = deadline
        self._identity = identity
        self._known = secrets
        self._time = ServiceTime(deadline.clock)
        self._session = BoundedSession([url], tls, connections=1, skew=self._time)
        self._client = secret_client(url, identity, trusted, self._session)

    def close(self) -> None:
        """Let go of its connections."""
        self._session.close()

    def now(self) -> datetime | None:
        """The time at the vault, by its answers; None before the first."""
        return self._time.now()

    def current(self, name: str) -> Current | None:
        """The latest version of a secret, also one that has expired; None: there is no such secret.

        Raises:
            ServiceError: it cannot be read, is disabled, or was deleted and can be recovered, so that its name is taken.
        """
        try:
            return self._read(name, None)
        except ServiceError as error:
            if error.failure.status != _NOT_FOUND:
                raise
        if self._was_deleted(name):
            what = f'store the secret "{name}"'
            raise ServiceError(ServiceFailure(Service.KEY_VAULT, what, "answer", _CONFLICT, DELETED))
        return None

    def value(self, name: str, version: str | None = None) -> SecretStr:
        """The value of a version of a secret; None: of the latest.

        Raises:
            ServiceError: it cannot be read, is disabled, or there is none.
        """
        return self._read(name, version).value

    def versions(self, name: str) -> list[Version]:
        """All versions of a secret, in no order; none where there is no such secret."""

        def ask() -> list[Version]:
            pages = self._client.list_properties_of_secret_versions(name)
            return [self._version(found) for found in _at_most(VERSIONS, pages)]

        try:
            return self._call(f'list the versions of the secret "{name}"', ask)
        except ServiceError as error:
            if error.failure.status != _NOT_FOUND:
                raise
        return []

    def store(
        self, name: str, value: SecretStr, expires_on: datetime | None, tags: Mapping[str, str]
    ) -> Version:
        """Store a new version of a secret, which becomes the latest. It is not sent twice: look what is there after a failure."""
        self._known.add(value.get_secret_value())

        def ask() -> Version:
            stored = self._client.set_secret(
                name, value.get_secret_value(), expires_on=expires_on, tags=dict(tags)
            )
            return self._version(stored.properties)

        return self._call(f'store the secret "{name}"', ask, Retry.IF_THROTTLED)

    def _read(self, name: str, version: str | None) -> Current:
        def ask() -> Current:
            found = self._client.get_secret(name, version)
            sent = self._sent()
            try:
                secret = read(VaultSecret, {"value": found.value}, sent)
            except UnexpectedAnswerError:
                judge(found.value, name, sent)
                raise
            self._known.add(secret.value)
            return Current(self._version(found.properties), SecretStr(secret.value))

        which = "a former" if version else "the latest"
        return self._call(f'read {which} version of the secret "{name}"', ask)

    def _was_deleted(self, name: str) -> bool:
        try:
            self._call(f'look for a deleted secret "{name}"', lambda: self._client.get_deleted_secret(name))
        except ServiceError as error:
            if error.failure.status != _NOT_FOUND:
                raise
            return False
        return True

    def _version(self, found: SecretProperties) -> Version:
        answer = {name: getattr(found, name) for name in _Properties.model_fields}
        told = read(_Properties, answer, self._sent())
        return Version(told.version, told.created_on, told.expires_on, told.enabled is not False, told.tags)

    def _sent(self) -> SecretFilter:
        return SecretFilter([self._identity.token(KEY_VAULT).value.get_secret_value()])

    def _call[T](self, what: str, ask: Callable[[], T], repeat: Retry = Retry.IDEMPOTENT) -> T:
        return call(
            Service.KEY_VAULT,
            what,
            ask,
            deadline=self._deadline.within(LIMIT),
            secrets=self._known,
            repeat=repeat,
        )


_NOT_FOUND = 404
_CONFLICT = 409


def _at_most(number: int, found: Iterable[Any]) -> Iterable[Any]:
    """So many of them.

    Raises:
        UnexpectedAnswerError: there are more.
    """
    taken = list(islice(found, number + 1))
    if len(taken) > number:
        raise UnexpectedAnswerError
    return taken
