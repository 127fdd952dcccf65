"""How a call to a service failed: the value that the guard makes of an exception, and that diagnoses and decisions read."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus

from git_refresh.model.values import TokenClaims


class Service(StrEnum):
    """Whom the app talks to, by the names its users know."""

    IDENTITY = "managed identity endpoint"
    AZURE_CLI = "Azure CLI"
    ENTRA = "Microsoft Entra"
    KEY_VAULT = "Key Vault"
    STORAGE = "Azure Storage"
    AZURE_DEVOPS = "Azure DevOps"
    DATABRICKS = "Databricks"


EXCHANGE = "sign in by token exchange"
"""The operation by which the app signs in to a workspace where `auth` is `federated`."""


@dataclass(frozen=True, slots=True)
class ServiceFailure:
    """What is known of a failed call. `message` is for telling failures apart; it may quote secrets and is never shown."""

    service: Service
    operation: str
    """What was attempted, as it reads after "could not": "store the Git credential"."""
    kind: str
    """`answer`: the service said no. `lost`: it said that it does not know what became of it.
    `unexpected`: it said yes, and not what it promises. `lapsed`: what it gave is past its end.
    `out_of_time`: it was not asked. `not_assigned`, `not_installed`, `signed_out`, `a_person`: there is nobody to ask, or none who may.
    `slow`, `broken`, `sign_in`: the Azure CLI took too long, failed by itself, or was refused by Microsoft Entra.
    `server`: it is Azure DevOps Server. `value`: what a vault keeps is no OAuth secret.
    `not_active`: the service said no to a secret whose activation date lies ahead.
    `no_principal`, `principal_ambiguous`: what was looked for is not there, or there twice.
    Else how the network failed: see `guard._KINDS`."""
    status: int | None = None
    error_code: str = ""
    message: str = field(default="", repr=False)
    request_id: str = ""
    retry_after_s: float | None = None
    detail: str = ""
    """The reason in a few words, where it may be shown: OpenSSL's own, what the Azure CLI did, what is wrong with a proxy's address."""
    proxy: str = ""
    """`host:port` of the proxy on the way to a service that could not be reached."""
    proxy_variable: str = "HTTPS_PROXY"
    """The environment variable that names this proxy."""
    bundle: str = ""
    """The environment variable whose certificates were trusted; empty: those that the app comes with."""
    tenant: str = ""
    """Where the Azure CLI has to sign in again, if it said so."""
    scope: str = ""
    """Which token the Azure CLI did not get."""
    ended: datetime | None = None
    """Of `lapsed`: when."""
    claims: TokenClaims | None = None
    """What the assertion says of itself that was to be exchanged."""

    @property
    def outcome_unknown(self) -> bool:
        """Whether the service may have done it all the same: there was no answer, or one of a service in trouble."""
        return self.status is None or self.kind == "lost" or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def throttled(self) -> bool:
        """Whether the service did not begin, because it gets too many requests. Databricks reports that with 400 too."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS or self.error_code == "REQUEST_LIMIT_EXCEEDED"


class ServiceError(Exception):
    """A call to a service failed. Its text is made of the symptom's safe parts alone."""

    def __init__(self, failure: ServiceFailure) -> None:
        super().__init__(
            f"could not {failure.operation}: {failure.service} ({failure.error_code or failure.kind})"
        )
        self.failure = failure


AADSTS = re.compile(r"\bAADSTS\d{4,8}\b")
"""A reason by its number, as Microsoft Entra gives it."""

_DEFINITE = frozenset({400, 404, 410})
_DENIED = frozenset({401, 403})
_REASON = re.compile(r"\b(?:TF|VS)\d{5,7}\b")
"""A reason by its number, as Azure DevOps gives it in JSON, in HTML and in its header X-TFS-ServiceError."""
SIGN_IN_PAGE = r"(?is)^\s*<.*\bsign[ -]?in\b"
"""HTML that asks a person to sign in."""
SIGN_IN_REDIRECT = r"(?i)^\S*(?:_signin|login)"
"""A redirect to where a person signs in."""


def is_rejection(failure: ServiceFailure) -> bool:
    """Whether Azure DevOps has said, beyond doubt, that it does not take this token.

    It does so with 401 or 403 and a reason, or with its sign-in page. A bare 401 proves nothing: it is also what an identity gets that
    is signed in and lacks a right. A repository that is not found may be misspelled, and a failing service says nothing about the token.
    """
    if failure.service is not Service.AZURE_DEVOPS:
        return False
    if failure.status in _DENIED and (
        failure.error_code.endswith("Exception") or _REASON.search(failure.message)
    ):
        return True
    page = failure.status in {HTTPStatus.OK, *_DENIED} and re.search(SIGN_IN_PAGE, failure.message)
    redirect = failure.status == HTTPStatus.FOUND and re.search(SIGN_IN_REDIRECT, failure.message)
    return bool(page or redirect) or failure.status == HTTPStatus.NON_AUTHORITATIVE_INFORMATION


def is_unknown_ref(failure: ServiceFailure) -> bool:
    """Whether a workspace did not find a branch or tag in the repository."""
    return failure.service is Service.DATABRICKS and (
        failure.error_code == "GIT_UNKNOWN_REF" or "Remote branch does not exist" in failure.message
    )


def is_conflict(failure: ServiceFailure) -> bool:
    """Whether a workspace could not bring a Git folder forward because of what is in it."""
    return failure.service is Service.DATABRICKS and (
        failure.error_code == "GIT_CONFLICT" or failure.message.startswith("Conflict pulling from remote")
    )


def is_definite(failure: ServiceFailure) -> bool:
    """Whether it has said something about the token or the repository that a pull would only meet again, less plainly."""
    if failure.service is not Service.AZURE_DEVOPS:
        return False
    return (
        is_rejection(failure)
        or failure.kind == "server"
        or failure.status in _DEFINITE
        or "TF24668" in failure.message
    )
