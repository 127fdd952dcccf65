"""The OAuth secrets of a Databricks service principal, as an account or workspace admin sees and makes them, over a workspace's API.

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
"""Of a list of five at most: one that goes on after that is no list."""


def _text(value: object) -> object:
    if value is not None and not isinstance(value, str):
        raise ValueError("no text")
    return value or None


Time = Annotated[AwareDatetime | None, BeforeValidator(_text)]
"""As RFC 3339 writes it."""
SecretId = Annotated[str, Field(strict=True, pattern=r"^[A-Za-z0-9_-]{1,128}$")]
"""It is quoted in what is to be typed, so nothing else is taken."""


class _Info(Response):
    id: SecretId
    create_time: Time = None
    expire_time: Time = None
    scopes: tuple[Word, ...] = ()


class _Secrets(Page):
    secrets: list[_Info] = Field(default_factory=list, max_length=1000)


class _Made(_Info):
    secret: SecretText

    @model_validator(mode="after")
    def _kept_apart(self) -> "_Made":
        shown = (self.id, *self.scopes)
        if any(SecretFilter([self.secret]).contains(text) for text in shown):
            raise ValueError("the secret, in what is shown")
        return self


class OAuthSecrets:
    """The OAuth secrets of the service principals of one workspace. Every method raises `ServiceError` when the workspace fails it."""

    def __init__(self, workspace: Rest, secrets: SecretFilter) -> None:
        """Make a client of a workspace's API; each new secret is added to `secrets`."""
        self._rest = workspace
        self._scim = ScimClient(workspace)
        self._secrets = secrets

    def now(self) -> datetime | None:
        """The time at Databricks, by the workspace's answers; None before the first."""
        return self._rest.time.now()

    def principal_id(self, client_id: str) -> int:
        """The number of the service principal with this application id.

        Raises:
            ServiceError: there is none in this workspace, or more than one.
        """
        what = Operation.FIND_PRINCIPAL
        found = self._scim.principal_ids(client_id, what)
        if len(found) != 1:
            kind = FailureKind.PRINCIPAL_AMBIGUOUS if found else FailureKind.NO_PRINCIPAL
            raise ServiceError(ServiceFailure(Service.DATABRICKS, what.of(client_id), kind))
        return found[0]

    def list(self, principal: int) -> list[OAuthSecret]:
        """All that it has, those that have ended too."""
        what = Operation.LIST_OAUTH_SECRETS.of(principal)
        pages = self._rest.pages(what, _path(principal), _Secrets, most=MAX_SECRETS_PAGES)
        return [_about(each) for page in pages for each in page.secrets]

    def create(
        self, principal: int, lifetime: timedelta | None = None, scopes: tuple[str, ...] = ()
    ) -> NewSecret:
        """Make one. It is not sent twice: list them after a failure.

        Without a lifetime it is valid for two years, and without scopes for all that the principal may do.
        """
        body: dict[str, object] = {}
        if lifetime is not None:
            body["lifetime"] = f"{int(lifetime.total_seconds())}s"
        if scopes:
            body["scopes"] = list(scopes)
        what = Operation.CREATE_OAUTH_SECRET.of(principal)
        try:
            made = self._rest.send("POST", what, _path(principal), _Made, body=body)
        except ServiceError as error:
            failure = error.failure
        else:
            self._secrets.add(made.secret)
            return NewSecret(_about(made), SecretStr(made.secret))
        if failure.kind is FailureKind.UNEXPECTED:  # the response may quote a secret that no filter knows
            failure = replace(failure, message="", error_code="", request_id="")
        raise ServiceError(failure)

    def delete(self, principal: int, secret_id: str) -> None:
        """Delete one, for good. One that is not there is deleted."""
        what = Operation.DELETE_OAUTH_SECRET.of(f"{secret_id} of service principal {principal}")
        path = f"{_path(principal)}/{secret_id}"
        none_if_missing(lambda: self._rest.send("DELETE", what, path, Nothing, repeat=Retry.IDEMPOTENT))


def _path(principal: int) -> str:
    return f"/api/2.0/accounts/servicePrincipals/{principal}/credentials/secrets"


def _about(found: _Info) -> OAuthSecret:
    return OAuthSecret(found.id, found.create_time, found.expire_time, found.scopes)
