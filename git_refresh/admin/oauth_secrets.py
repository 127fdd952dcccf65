"""Lists, creates, and deletes OAuth secrets of service principals through a workspace's API.

Facts: https://docs.databricks.com/api/azure/workspace/serviceprincipalsecretsproxy
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field, SecretStr, model_validator

from git_refresh.admin.values import NewSecret, OAuthSecret
from git_refresh.clients.responses import Page, Response, SecretText, Word
from git_refresh.clients.rest import Nothing, Rest
from git_refresh.clients.retry import Retry
from git_refresh.clients.scim import ScimClient
from git_refresh.failures.failure import (
    FailureKind,
    Operation,
    Service,
    ServiceError,
    ServiceFailure,
    none_if_missing,
)
from git_refresh.output.mask import SecretFilter

MAX_SECRETS_PAGES = 20
"""A list with more pages is treated as endless, because a principal can have five secrets."""


def _text(value: object) -> object:
    if value is not None and not isinstance(value, str):
        raise ValueError("not a text")
    return value or None


Time = Annotated[AwareDatetime | None, BeforeValidator(_text)]
"""RFC 3339."""
SecretId = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9_-]{1,128}$")]
"""Security: it becomes part of a command, so nothing else is accepted."""


class _Info(Response):
    id: SecretId
    create_time: Time = None
    expire_time: Time = None
    scopes: tuple[Word, ...] = ()


class _Secrets(Page):
    secrets: list[_Info] = Field(default_factory=list, max_length=1000)


class _Created(_Info):
    secret: SecretText

    @model_validator(mode="after")
    def _only_in_secret(self) -> "_Created":
        shown = (self.id, *self.scopes)
        if any(SecretFilter([self.secret]).contains(text) for text in shown):
            raise ValueError("a field that is shown contains the secret")
        return self


class OAuthSecrets:
    """Client of one workspace. Every method raises `ServiceError` if the call fails."""

    def __init__(self, workspace: Rest, secrets: SecretFilter) -> None:
        """Prepare the client. It adds each new secret to `secrets`."""
        self._rest = workspace
        self._scim = ScimClient(workspace)
        self._secrets = secrets

    def now(self) -> datetime | None:
        """Return Databricks' time, by the latest response; None before the first."""
        return self._rest.time.now()

    def principal_id(self, client_id: str) -> int:
        """Return the service principal ID for an application ID.

        Raises:
            ServiceError: the call failed, or the workspace does not have exactly one such principal.
        """
        what = Operation.FIND_PRINCIPAL
        found = self._scim.principal_ids(client_id, what)
        if len(found) != 1:
            kind = FailureKind.PRINCIPAL_AMBIGUOUS if found else FailureKind.NO_PRINCIPAL
            raise ServiceError(ServiceFailure(Service.DATABRICKS, what.of(client_id), kind))
        return found[0]

    def list(self, principal: int) -> list[OAuthSecret]:
        """Return all OAuth secrets, including expired ones."""
        what = Operation.LIST_OAUTH_SECRETS.of(principal)
        pages = self._rest.pages(what, _path(principal), _Secrets, most=MAX_SECRETS_PAGES)
        return [_about(each) for page in pages for each in page.secrets]

    def create(
        self, principal: int, lifetime: timedelta | None = None, scopes: tuple[str, ...] = ()
    ) -> NewSecret:
        """Create an OAuth secret. Never repeated. After a failure, list the secrets.

        The default lifetime is two years. Without scopes, its tokens have all scopes.
        """
        body: dict[str, object] = {}
        if lifetime is not None:
            body["lifetime"] = f"{int(lifetime.total_seconds())}s"
        if scopes:
            body["scopes"] = list(scopes)
        what = Operation.CREATE_OAUTH_SECRET.of(principal)
        try:
            created = self._rest.send("POST", what, _path(principal), _Created, body=body)
        except ServiceError as error:
            failure = error.failure
        else:
            self._secrets.add(created.secret)
            return NewSecret(_about(created), SecretStr(created.secret))
        if failure.kind is FailureKind.UNEXPECTED:  # security: the response might contain the new secret
            failure = replace(failure, message="", error_code="", request_id="")
        raise ServiceError(failure)

    def delete(self, principal: int, secret_id: str) -> None:
        """Delete an OAuth secret permanently. A missing one counts as deleted."""
        what = Operation.DELETE_OAUTH_SECRET.of(f"{secret_id} of service principal {principal}")
        path = f"{_path(principal)}/{secret_id}"
        none_if_missing(lambda: self._rest.send("DELETE", what, path, Nothing, repeat=Retry.IDEMPOTENT))


def _path(principal: int) -> str:
    return f"/api/2.0/accounts/servicePrincipals/{principal}/credentials/secrets"


def _about(found: _Info) -> OAuthSecret:
    return OAuthSecret(found.id, found.create_time, found.expire_time, found.scopes)
