"""How a call to a service failed: the value that the guard makes of an exception, and that diagnoses and decisions read."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus

from git_refresh.values import Claims


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
class Symptom:
    """What is known of a failed call. `message` is for telling failures apart; it may quote secrets and is never shown."""

    service: Service
    operation: str
    """What was attempted, as it reads after "could not": "store the Git credential"."""
    kind: str
    """`answer`: the service said no. `unexpected`: it said yes, and not what it promises. `lapsed`: what it gave is past its end.
    `out_of_time`: it was not asked. `not_assigned`, `not_installed`, `signed_out`, `a_person`: there is nobody to ask, or none who may.
    `no_principal`, `several_principals`: what was looked for is not there, or there twice.
    Else how the network failed: see `guard._KINDS`."""
    status: int | None = None
    error_code: str = ""
    message: str = field(default="", repr=False)
    request_id: str = ""
    retry_after_s: float | None = None
    proxy: str = ""
    """`host:port` of the proxy on the way to a service that could not be reached."""
    ended: datetime | None = None
    """Of `lapsed`: when."""
    claims: Claims | None = None
    """What the assertion says of itself that was to be exchanged."""

    @property
    def undecided(self) -> bool:
        """Whether the service may have done it all the same: there was no answer, or one of a service in trouble."""
        return self.status is None or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


class ServiceError(Exception):
    """A call to a service failed. Its text is made of the symptom's safe parts alone."""

    def __init__(self, symptom: Symptom) -> None:
        super().__init__(
            f"could not {symptom.operation}: {symptom.service} ({symptom.error_code or symptom.kind})"
        )
        self.symptom = symptom


_DEFINITE = frozenset({400, 404, 410})
_SIGN_IN = frozenset({203, 302, 401, 403})


def is_rejection(symptom: Symptom) -> bool:
    """Whether Azure DevOps has said, beyond doubt, that it does not take this token.

    It answers a token that it does not take with 401, or with its sign-in page: 203, a redirect, or HTML. A repository that is not found
    may be misspelt, and a failing service says nothing about the token.
    """
    page = symptom.status == HTTPStatus.OK and symptom.message.lstrip().startswith("<")
    return symptom.service is Service.AZURE_DEVOPS and (symptom.status in _SIGN_IN or page)


def is_definite(symptom: Symptom) -> bool:
    """Whether it has said something about the token or the repository that a pull would only meet again, less plainly."""
    return is_rejection(symptom) or (symptom.service is Service.AZURE_DEVOPS and symptom.status in _DEFINITE)
