"""Failures of calls to services, as values."""

# ruff: noqa: S105  # texts, not secrets

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import override

from git_refresh.model.values import TokenClaims


class Service(StrEnum):
    """Service that the app calls, by its name in messages."""

    IDENTITY = "managed identity endpoint"
    AZURE_CLI = "Azure CLI"
    ENTRA = "Microsoft Entra"
    KEY_VAULT = "Key Vault"
    STORAGE = "Azure Storage"
    AZURE_DEVOPS = "Azure DevOps"
    DATABRICKS = "Databricks"
    RESOURCE_MANAGER = "Azure Resource Manager"
    LOG_ANALYTICS = "Log Analytics"


class Operation(StrEnum):
    """Operation of a service. Continues the words "Could not"; `{}` stands for the subject."""

    # Tokens
    GET_TOKEN = "get a token for {}"
    SIGN_IN = "sign in"
    EXCHANGE_TOKEN = "sign in by token federation"
    FIND_TENANT = "determine your tenant"

    # Key Vault
    READ_SECRET = 'read the secret "{}"'
    USE_SECRET = 'use the secret "{}"'
    READ_LATEST_VERSION = 'read the latest version of the secret "{}"'
    READ_FORMER_VERSION = 'read a previous version of the secret "{}"'
    LIST_VERSIONS = 'list the versions of the secret "{}"'
    FIND_DELETED_SECRET = 'find a deleted secret "{}"'
    STORE_SECRET = 'store the secret "{}"'

    # Azure DevOps
    LOOK_UP_REF = "look up {}"
    LOOK_UP_COMMIT = "look up a commit of {}"
    COMPARE_COMMITS = "compare commits of {}"
    LIST_BRANCHES = "list the branches of {}"
    LIST_TAGS = "list the tags of {}"
    LOOK_UP_PROJECT = "look up project {}"
    LIST_MEMBERS = "list the service principals of {}"
    READ_ACCESS_LEVEL = "read the access level in {}"
    RAISE_ACCESS_LEVEL = "set the access level in {} to Basic"
    ADD_MEMBER = "add the identity to organization {}"
    FIND_READERS = "look up the Readers of project {}"
    LIST_GROUPS = "list the identity's groups in {}"
    ADD_READER = "add the identity to the Readers of project {}"

    # A workspace: Git credentials, Git folders, jobs
    LIST_CREDENTIALS = "list the Git credentials"
    STORE_CREDENTIAL = "store the Git credential"
    CREATE_CREDENTIAL = "create the Git credential"
    LIST_FOLDERS = "list the Git folders"
    READ_FOLDER = "read the Git folder"
    CREATE_FOLDER = "create the Git folder"
    MOVE_FOLDER = "update the Git folder to {}"
    READ_PATH = "read the path"
    LIST_DIRECTORY = "list the directory {}"
    READ_OBJECTS = "read {}"
    CREATE_PARENT = "create the parent folder"
    CREATE_DIRECTORY = "create the directory {}"
    LIST_JOBS = "list the jobs"
    READ_JOB = "read the job"

    # A workspace and the account: principals and permissions
    LOOK_UP_CALLER = "look up the caller"
    LOOK_UP_ACCOUNT = "look up the account"
    LOOK_UP_PRINCIPAL = "look up service principal {}"
    LOOK_UP_ACCOUNT_PRINCIPAL = "look up service principal {} in the account"
    LOOK_UP_PRINCIPALS_BY_NAME = "look up service principals by name"
    LOOK_UP_USERS = "look up the group users"
    LOOK_UP_IDENTITY = "look up identity {}"
    ADD_PRINCIPAL = "add the service principal to the workspace"
    ASSIGN_PRINCIPAL = "assign the service principal to the workspace"
    GIVE_WORKSPACE_ACCESS = "grant Workspace access"
    READ_ROLES = "read the roles on service principal {}"
    READ_PERMISSIONS = "read the permissions"
    GIVE_CAN_MANAGE = "grant CAN MANAGE"
    LIST_POLICIES = "list the federation policies"
    WRITE_POLICY = "create the federation policy"

    # A service principal's OAuth secrets, with an admin's account
    FIND_PRINCIPAL = "find service principal {}"
    LIST_OAUTH_SECRETS = "list the OAuth secrets of service principal {}"
    CREATE_OAUTH_SECRET = "create an OAuth secret for service principal {}"
    DELETE_OAUTH_SECRET = "delete OAuth secret {}"

    # The deployed app, with an admin's account
    READ_CHOSEN_SUBSCRIPTION = "read the Azure CLI's subscription"
    LIST_SUBSCRIPTIONS = "list the subscriptions"
    FIND_APP = "find function app {}"
    FIND_COMPONENT = "find the Application Insights component of {}"
    READ_APP_SETTINGS = "read the app settings of {}"
    SET_APP_SETTINGS = "set the app settings of {}"
    LIST_ALERT_RULES = "list the alert rules of {}"
    ENABLE_ALERT_RULE = "enable alert rule {}"
    QUERY_LOGS = "query the logs of {}"

    # The queue's storage
    CLAIM_SLICE = "claim slice {}"
    END_SLICE = "mark slice {} as completed"

    def of(self, subject: object = "") -> "Attempt":
        return Attempt(self, str(subject))


@dataclass(frozen=True, slots=True)
class Attempt:
    """Operation with its subject. Continues the words "Could not"."""

    operation: Operation
    subject: str = ""

    @override
    def __str__(self) -> str:
        return self.operation.format(self.subject)


class FailureKind(StrEnum):
    ANSWER = "answer"
    """The service returned an error status."""
    LOST = "lost"
    """The service reported a timeout of its own, so the result is unknown."""
    UNEXPECTED = "unexpected"
    """The service returned success with an undocumented body."""
    TOO_LARGE = "too_large"
    LAPSED = "lapsed"
    """The token or secret in the response has expired."""
    NOT_ACTIVE = "not_active"
    VALUE = "value"
    """The secret in Key Vault is not an OAuth secret."""
    SERVER = "server"
    """The host is Azure DevOps Server."""
    NO_PRINCIPAL = "no_principal"
    """The workspace has no such service principal."""
    NOT_ADMIN = "not_admin"
    """The user account is not a workspace admin."""
    PRINCIPAL_AMBIGUOUS = "principal_ambiguous"
    OUT_OF_TIME = "out_of_time"
    """The run had no time left for the call."""
    NOT_SENT = "not_sent"
    """The request was for another host, so the app did not send it."""
    NOT_ASSIGNED = "not_assigned"
    """The app has no managed identity."""
    NOT_INSTALLED = "not_installed"
    """The Azure CLI is not installed."""
    SIGNED_OUT = "signed_out"
    """The Azure CLI is not signed in."""
    A_PERSON = "a_person"
    """Token federation does not support the user account of the Azure CLI."""
    SLOW = "slow"
    """The Azure CLI took too long."""
    BROKEN = "broken"
    """The Azure CLI failed."""
    SIGN_IN = "sign_in"
    """Microsoft Entra rejected the Azure CLI session."""
    DNS = "dns"
    TLS = "tls"
    REFUSED = "refused"
    RESET = "reset"
    CONNECT_TIMEOUT = "connect_timeout"
    TIMEOUT = "timeout"
    PROXY = "proxy"
    PROXY_AUTH = "proxy_auth"
    PROXY_UNUSABLE = "proxy_unusable"
    """The URL of the HTTP proxy is invalid."""
    DESCRIPTORS = "descriptors"
    """The process has reached its limit of open files."""


NETWORK = frozenset(
    {
        FailureKind.DNS,
        FailureKind.TLS,
        FailureKind.REFUSED,
        FailureKind.RESET,
        FailureKind.CONNECT_TIMEOUT,
        FailureKind.TIMEOUT,
        FailureKind.PROXY,
    }
)
"""Failures of the network between the app and a service."""


@dataclass(frozen=True, slots=True)
class ServiceFailure:
    """A failed call to a service.

    `message` classifies the failure. It is never shown, because it might quote secrets.
    """

    service: Service
    attempt: Attempt
    kind: FailureKind
    status: int | None = None
    error_code: str = ""
    message: str = field(default="", repr=False)
    request_id: str = ""
    retry_after_s: float | None = None
    detail: str = ""
    """Short reason that is safe to show, such as OpenSSL's."""
    proxy: str = ""
    """`host:port` of the proxy to an unreachable service."""
    proxy_variable: str = "HTTPS_PROXY"
    bundle: str = ""
    """Environment variable that names the CA certificates; empty for those of certifi."""
    tenant: str = ""
    """Tenant to which the Azure CLI must sign in again, if it names one."""
    scope: str = ""
    """Scope of the token that the Azure CLI did not return."""
    ended: datetime | None = None
    """Expiration date of a secret, for `LAPSED`."""
    claims: TokenClaims | None = None
    """Claims of the token that was not exchanged."""

    @property
    def outcome_unknown(self) -> bool:
        """True if the service might have completed the request: no response, or a server error."""
        return (
            self.status is None
            or self.kind is FailureKind.LOST
            or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        )

    @property
    def throttled(self) -> bool:
        """True if the service refused one of too many requests, for which Databricks can also return 400."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS or self.error_code == "REQUEST_LIMIT_EXCEEDED"


class ServiceError(Exception):
    """A call to a service failed. The text contains only the safe parts of the failure."""

    def __init__(self, failure: ServiceFailure) -> None:
        super().__init__(
            f"could not {failure.attempt}: {failure.service} ({failure.error_code or failure.kind})"
        )
        self.failure = failure


def none_if_missing[T](call: Callable[[], T]) -> T | None:
    """Return the result of a call; None if the service returns 404."""
    try:
        return call()
    except ServiceError as error:
        if error.failure.status != HTTPStatus.NOT_FOUND:
            raise
    return None


AADSTS = re.compile(r"\bAADSTS\d{4,8}\b")
"""Error number of Microsoft Entra."""

_DEFINITE = frozenset({400, 404, 410})
_DENIED = frozenset({401, 403})
_REASON = re.compile(r"\b(?:TF|VS)\d{5,7}\b")
"""Error number of Azure DevOps, in JSON, in HTML, or in the header X-TFS-ServiceError."""
SIGN_IN_PAGE = r"(?is)^\s*<.*\bsign[ -]?in\b"
SIGN_IN_REDIRECT = r"(?i)^\S*(?:_signin|login)"


def is_rejection(failure: ServiceFailure) -> bool:
    """Return whether Azure DevOps rejected the token: 401 or 403 with a reason, or a sign-in page.

    A reason is an exception's name or an error number. A 401 without one can mean a missing permission.
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
    """Return whether a workspace did not find a branch or tag in the repository."""
    return failure.service is Service.DATABRICKS and (
        failure.error_code == "GIT_UNKNOWN_REF" or "Remote branch does not exist" in failure.message
    )


def is_conflict(failure: ServiceFailure) -> bool:
    """Return whether the content of a Git folder prevented its update."""
    return failure.service is Service.DATABRICKS and (
        failure.error_code == "GIT_CONFLICT" or failure.message.startswith("Conflict pulling from remote")
    )


def is_definite(failure: ServiceFailure) -> bool:
    """Return whether a failed ref lookup proves that a pull would fail too."""
    if failure.service is not Service.AZURE_DEVOPS:
        return False
    return (
        is_rejection(failure)
        or failure.kind is FailureKind.SERVER
        or failure.status in _DEFINITE
        or "TF24668" in failure.message
    )
