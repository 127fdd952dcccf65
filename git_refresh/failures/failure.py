"""How a call to a service failed: the value that the guard makes of an exception, and that diagnoses and decisions read."""

# ruff: noqa: S105  # texts, and no secrets

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import override

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
    RESOURCE_MANAGER = "Azure Resource Manager"
    LOG_ANALYTICS = "Log Analytics"


class Operation(StrEnum):
    """What the app asks of a service, as it reads after "could not"; `{}` stands for the subject."""

    # Tokens
    GET_TOKEN = "get a token for {}"
    SIGN_IN = "sign in"
    EXCHANGE_TOKEN = "sign in by token exchange"
    FIND_TENANT = "tell which tenant you are signed in to"

    # Key Vault
    READ_SECRET = 'read the secret "{}"'
    USE_SECRET = 'use the secret "{}"'
    READ_LATEST_VERSION = 'read the latest version of the secret "{}"'
    READ_FORMER_VERSION = 'read a former version of the secret "{}"'
    LIST_VERSIONS = 'list the versions of the secret "{}"'
    FIND_DELETED_SECRET = 'look for a deleted secret "{}"'
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
    RAISE_ACCESS_LEVEL = "raise the access level in {}"
    ADD_MEMBER = "let the identity into organization {}"
    FIND_READERS = "look up the Readers of project {}"
    LIST_GROUPS = "list the groups that the identity is in, in {}"
    ADD_READER = "add the identity to the Readers of project {}"

    # A workspace: Git credentials, Git folders, jobs
    LIST_CREDENTIALS = "list the Git credentials"
    STORE_CREDENTIAL = "store the Git credential"
    CREATE_CREDENTIAL = "create the Git credential"
    LIST_FOLDERS = "list the Git folders"
    READ_FOLDER = "read the Git folder"
    CREATE_FOLDER = "create the Git folder"
    MOVE_FOLDER = "move the Git folder to {}"
    READ_PATH = "look at the path"
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
    ASSIGN_PRINCIPAL = "assign the service principal"
    GIVE_WORKSPACE_ACCESS = "give workspace access"
    READ_ROLES = "read the roles on service principal {}"
    READ_PERMISSIONS = "read the permissions"
    GIVE_CAN_MANAGE = "give Can Manage"
    LIST_POLICIES = "list the federation policies"
    WRITE_POLICY = "write the federation policy"

    # A service principal's OAuth secrets, with an admin's own sign-in
    FIND_PRINCIPAL = "find service principal {}"
    LIST_OAUTH_SECRETS = "list the OAuth secrets of service principal {}"
    CREATE_OAUTH_SECRET = "create an OAuth secret for service principal {}"
    DELETE_OAUTH_SECRET = "delete OAuth secret {}"

    # The deployed app, with an admin's own sign-in
    READ_CHOSEN_SUBSCRIPTION = "read which subscription the Azure CLI uses"
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
    END_SLICE = "claim slice {} as ended"

    def of(self, subject: object = "") -> "Attempt":
        """Return the attempt to do it: to a secret by this name, at this path."""
        return Attempt(self, str(subject))


@dataclass(frozen=True, slots=True)
class Attempt:
    """What was asked, and about what. It reads after "could not"."""

    operation: Operation
    subject: str = ""

    @override
    def __str__(self) -> str:
        return self.operation.format(self.subject)


class FailureKind(StrEnum):
    """How a call failed."""

    ANSWER = "answer"
    """The service refused it, with a status."""
    LOST = "lost"
    """The service answered that it does not know whether it was done."""
    UNEXPECTED = "unexpected"
    """The service answered with success, and not as it promises."""
    TOO_LARGE = "too_large"
    """The answer was longer than any that the service promises."""
    LAPSED = "lapsed"
    """The token or secret in the answer has expired."""
    NOT_ACTIVE = "not_active"
    """The service refused a secret before its activation date."""
    VALUE = "value"
    """The value in the vault is no OAuth secret."""
    SERVER = "server"
    """The host is Azure DevOps Server."""
    NO_PRINCIPAL = "no_principal"
    NOT_ADMIN = "not_admin"
    """The workspace has no such service principal."""
    PRINCIPAL_AMBIGUOUS = "principal_ambiguous"
    """The workspace lists more than one such service principal."""
    OUT_OF_TIME = "out_of_time"
    """The call was not made: the run had no time left."""
    NOT_SENT = "not_sent"
    """The request was for another host."""
    NOT_ASSIGNED = "not_assigned"
    """The app has no managed identity."""
    NOT_INSTALLED = "not_installed"
    """The Azure CLI is not installed."""
    SIGNED_OUT = "signed_out"
    """The Azure CLI is not signed in."""
    A_PERSON = "a_person"
    """The Azure CLI's sign-in is a person's, which cannot be exchanged."""
    SLOW = "slow"
    """The Azure CLI took too long."""
    BROKEN = "broken"
    """The Azure CLI failed by itself."""
    SIGN_IN = "sign_in"
    """Microsoft Entra refused the Azure CLI's sign-in."""
    DNS = "dns"
    """The host name did not resolve."""
    TLS = "tls"
    """The TLS certificate could not be verified."""
    REFUSED = "refused"
    """The connection was refused."""
    RESET = "reset"
    """The connection was lost."""
    CONNECT_TIMEOUT = "connect_timeout"
    """No connection came about in time."""
    TIMEOUT = "timeout"
    """No answer came in time."""
    PROXY = "proxy"
    """The HTTP proxy did not connect."""
    PROXY_AUTH = "proxy_auth"
    """The HTTP proxy requires a sign-in."""
    PROXY_UNUSABLE = "proxy_unusable"
    """The address of the HTTP proxy cannot be used."""
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
"""How the network between the app and a service fails."""


@dataclass(frozen=True, slots=True)
class ServiceFailure:
    """What is known of a failed call. `message` is for telling failures apart; it may quote secrets and is never shown."""

    service: Service
    attempt: Attempt
    kind: FailureKind
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
        return (
            self.status is None
            or self.kind is FailureKind.LOST
            or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        )

    @property
    def throttled(self) -> bool:
        """Whether the service did not begin, because it gets too many requests. Databricks reports that with 400 too."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS or self.error_code == "REQUEST_LIMIT_EXCEEDED"


class ServiceError(Exception):
    """A call to a service failed. Its text is made of the symptom's safe parts alone."""

    def __init__(self, failure: ServiceFailure) -> None:
        super().__init__(
            f"could not {failure.attempt}: {failure.service} ({failure.error_code or failure.kind})"
        )
        self.failure = failure


def none_if_missing[T](call: Callable[[], T]) -> T | None:
    """Return what a call returns; None if the service answers 404."""
    try:
        return call()
    except ServiceError as error:
        if error.failure.status != HTTPStatus.NOT_FOUND:
            raise
    return None


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
        or failure.kind is FailureKind.SERVER
        or failure.status in _DEFINITE
        or "TF24668" in failure.message
    )
