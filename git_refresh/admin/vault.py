"""Reads and stores versions of Key Vault secrets with the account of an admin."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from itertools import islice
from typing import Annotated

from azure.keyvault.secrets import DeletedSecret, SecretProperties
from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, SecretStr

from git_refresh.admin.values import Current, Version
from git_refresh.clients.key_vault import KeyVault, judge
from git_refresh.clients.responses import Response, UnexpectedAnswerError, VaultSecret, Word, read
from git_refresh.clients.retry import Retry
from git_refresh.failures.failure import (
    FailureKind,
    Operation,
    Service,
    ServiceError,
    ServiceFailure,
    none_if_missing,
)
from git_refresh.output.redact import INVISIBLE

MAX_VERSIONS = 1_000
"""A longer list is treated as endless. With one rotation a week, it covers nearly twenty years."""

DELETED = "ObjectIsDeletedButRecoverable"
"""Key Vault's error code for a name that a deleted secret blocks."""

_MAX_TAG_CHARS = 256


def _readable(tags: object) -> object:
    """Return the plain tags. This product sets no others."""
    if not isinstance(tags, Mapping):
        return {}
    return {key: value for key, value in tags.items() if _is_plain(key) and _is_plain(value)}


def _is_plain(text: object) -> bool:
    return isinstance(text, str) and len(text) <= _MAX_TAG_CHARS and not INVISIBLE.search(text)


class _Properties(Response):
    version: Annotated[str, Field(strict=True, pattern=r"^[0-9a-fA-F]{32}$"), AfterValidator(str.lower)]
    created_on: AwareDatetime | None = None
    expires_on: AwareDatetime | None = None
    enabled: bool | None = None
    tags: Annotated[dict[Word, Word], BeforeValidator(_readable)] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recovery:
    deleted: bool
    purgeable: bool
    """False if the vault has purge protection."""
    days: int | None
    """Days for which its name stays blocked after the deletion; None if unknown."""


class AdminVault(KeyVault):
    """Client of a Key Vault that also lists and stores versions."""

    def current(self, name: str) -> Current | None:
        """Return the latest version of a secret, even if expired; None if the secret does not exist.

        Raises:
            ServiceError: the secret cannot be read, is disabled, or was deleted but not purged.
        """
        found = none_if_missing(lambda: self._read_version(name, None))
        if found is None and self._deleted(name):
            what = Operation.STORE_SECRET.of(name)
            raise ServiceError(
                ServiceFailure(Service.KEY_VAULT, what, FailureKind.ANSWER, HTTPStatus.CONFLICT, DELETED)
            )
        return found

    def value(self, name: str, version: str | None = None) -> SecretStr:
        """Return the value of a version, by default of the latest.

        Raises:
            ServiceError: the version cannot be read, is disabled, or does not exist.
        """
        return self._read_version(name, version).value

    def versions(self, name: str) -> list[Version]:
        """Return all versions of a secret, unsorted; empty if the secret does not exist."""

        def ask() -> list[Version]:
            pages = self._client.list_properties_of_secret_versions(name)
            found = list(islice(pages, MAX_VERSIONS + 1))
            if len(found) > MAX_VERSIONS:
                raise UnexpectedAnswerError
            return [self._version(each) for each in found]

        return none_if_missing(lambda: self._call(Operation.LIST_VERSIONS.of(name), ask)) or []

    def store(
        self, name: str, value: SecretStr, expires_on: datetime | None, tags: Mapping[str, str]
    ) -> Version:
        """Store a new version of a secret. Never repeated. After a failure, read the versions."""
        self._network.secrets.add(value.get_secret_value())

        def ask() -> Version:
            stored = self._client.set_secret(
                name, value.get_secret_value(), expires_on=expires_on, tags=dict(tags)
            )
            return self._version(stored.properties)

        return self._call(Operation.STORE_SECRET.of(name), ask, Retry.IF_THROTTLED)

    def _read_version(self, name: str, version: str | None) -> Current:
        def ask() -> Current:
            found = self._client.get_secret(name, version)
            sent = self._sent()
            try:
                secret = read(VaultSecret, {"value": found.value}, sent)
            except UnexpectedAnswerError:
                judge(found.value, name, sent)
                raise
            self._network.secrets.add(secret.value)
            return Current(self._version(found.properties), SecretStr(secret.value))

        what = Operation.READ_FORMER_VERSION if version else Operation.READ_LATEST_VERSION
        return self._call(what.of(name), ask)

    def recovery(self, name: str) -> Recovery | None:
        """Return the recovery state of an existing or deleted secret; None if the name is free."""

        def first() -> SecretProperties | None:
            return next(iter(self._client.list_properties_of_secret_versions(name)), None)

        if existing := none_if_missing(lambda: self._call(Operation.LIST_VERSIONS.of(name), first)):
            return _recovery(existing, deleted=False)
        deleted = self._deleted(name)
        return _recovery(deleted.properties, deleted=True) if deleted else None

    def _deleted(self, name: str) -> DeletedSecret | None:
        what = Operation.FIND_DELETED_SECRET.of(name)
        return none_if_missing(lambda: self._call(what, lambda: self._client.get_deleted_secret(name)))

    def _version(self, found: SecretProperties) -> Version:
        fields = {name: getattr(found, name) for name in _Properties.model_fields}
        properties = read(_Properties, fields, self._sent())
        enabled = properties.enabled is not False
        return Version(
            properties.version, properties.created_on, properties.expires_on, enabled, properties.tags
        )


def _recovery(found: SecretProperties, *, deleted: bool) -> Recovery:
    level, days = found.recovery_level, found.recoverable_days
    # https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret#deletionrecoverylevel
    purgeable = isinstance(level, str) and "purgeable" in level.lower()
    return Recovery(deleted, purgeable, days if isinstance(days, int) and 0 < days < _MAX_DAYS else None)


_MAX_DAYS = 1_000
