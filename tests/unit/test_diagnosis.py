"""The table of failures, with the services' own texts."""

import errno
import json
import re
import socket
import ssl
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import pytest
import requests
import urllib3

from git_refresh.cli.explain import title_of
from git_refresh.clients import connections, session
from git_refresh.clients.retry import call
from git_refresh.clients.session import LastResponse
from git_refresh.failures import diagnosis as texts
from git_refresh.failures.diagnosis import (
    Diagnosis,
    DiagnosisContext,
    diagnose,
    explain,
    finding,
    fits,
    how_it_failed,
    in_general,
    internal,
    logged,
    out_of_time,
    what_happened,
    without_request_id,
)
from git_refresh.failures.failure import (
    NETWORK,
    FailureKind,
    Operation,
    Service,
    ServiceError,
    ServiceFailure,
)
from git_refresh.failures.table import CLOSED, OWN, TABLE, UNKNOWN, Known, Row
from git_refresh.model.clock import Deadline, current_operation
from git_refresh.output.mask import SecretFilter
from git_refresh.output.shell import Command, Invocation
from tests.support.fakes import FakeClock
from tests.support.paths import PACKAGE

CANARY = "correct-horse-battery"
TENANT = "9c3f7a52-0000-4000-8000-00000000aaaa"
OBJECT_ID = "1b2c3d4e-0000-4000-8000-00000000001d"
FACTS = DiagnosisContext(
    host="https://adb-1.1.azuredatabricks.net",
    vault="https://contoso.vault.azure.net",
    secret="databricks-oauth-secret",
    client_id="8a5d-client",
    principal="service principal 8a5d-client",
    principal_id="70000000000001",
    oauth_secret="0a1b-secret",
    object_id="0b1e-object",
    organization="contoso-org",
    project="Data Platform",
    repository="etl",
    url="https://dev.azure.com/contoso-org/Data%20Platform/_git/etl",
    path="/Repos/etl/prod",
    ref="Branch main",
    named_in="identity (5a1e-identity)",
    tenant="5a1e-tenant",
    registration="5a1e-registration",
    account_id="0d26-account",
    app="contoso-refresh",
    component="/subscriptions/5a1e-subscription/resourceGroups/rg-contoso/providers/microsoft.insights/components/contoso",
    group="rg-contoso",
    subscription="5a1e-subscription",
    who="an admin of contoso",
    command=Command("az rest --url https://contoso"),
    commit="0a1b2c3",
)


@dataclass(frozen=True)
class Case:
    """One failure: the response of the service, or the network's error."""

    name: str
    code: str
    service: Service
    status: int | None = None
    body: str = ""
    operation: Operation = Operation.READ_JOB
    location: str = ""
    error: Exception | None = None
    seconds: float = 60.0
    headers: tuple[tuple[str, str], ...] = ()
    known: frozenset[Known] = frozenset()


def proved(*known: Known) -> frozenset[Known]:
    return frozenset(known)


def databricks(name: str, code: str, status: int, error_code: str | int, message: str, **more: Any) -> Case:
    body = {"error_code": error_code, "message": f"{message} {CANARY}", "details": [CANARY]}
    return Case(name, code, Service.DATABRICKS, status, json.dumps(body), **more)


def vault(  # one per part of a response
    name: str,
    code: str,
    status: int,
    error_code: str,
    message: str,
    inner: str = "",
    operation: Operation = Operation.READ_JOB,
) -> Case:
    error: dict[str, object] = {"code": error_code, "message": f"{message} {CANARY}"}
    if inner:
        error["innererror"] = {"code": inner}
    return Case(name, code, Service.KEY_VAULT, status, json.dumps({"error": error}), operation)


def devops(name: str, code: str, status: int, message: str, kind: str = "") -> Case:
    body = {"$id": "1", "innerException": None, "message": f"{message} {CANARY}", "typeKey": kind}
    return Case(name, code, Service.AZURE_DEVOPS, status, json.dumps(body))


def identity(name: str, code: str, status: int, body: dict[str, object]) -> Case:
    return Case(name, code, Service.IDENTITY, status, json.dumps(body | {"correlationId": CANARY}))


def logs(name: str, code: str, status: int, error: str) -> Case:
    body = {
        "error": {"code": error, "message": f"The provided credentials have insufficient access {CANARY}"}
    }
    return Case(name, code, Service.LOG_ANALYTICS, status, json.dumps(body), Operation.QUERY_LOGS)


def manager(name: str, code: str, status: int, error: str, operation: Operation = Operation.FIND_APP) -> Case:
    body = {"error": {"code": error, "message": f"The access token is from the wrong issuer {CANARY}"}}
    return Case(name, code, Service.RESOURCE_MANAGER, status, json.dumps(body), operation)


def entra(name: str, code: str, status: int, message: str) -> Case:
    body = {"error": "invalid_client", "error_description": f"{message} {CANARY}", "trace_id": CANARY}
    return Case(name, code, Service.ENTRA, status, json.dumps(body))


def exchanged(name: str, code: str, status: int, error: str, message: str) -> Case:
    body = {"error": error, "error_description": f"{message} {CANARY}"}
    return Case(name, code, Service.DATABRICKS, status, json.dumps(body), Operation.EXCHANGE_TOKEN)


def cli(name: str, code: str, message: str) -> Case:
    return Case(name, code, Service.AZURE_CLI, error=RuntimeError(f"{message} {CANARY}"))


def network(name: str, code: str, service: Service, error: Exception) -> Case:
    return Case(name, code, service, error=error)


def recognized(name: str, code: str, service: Service, kind: FailureKind) -> Case:
    """Return a failure that the app itself detects."""
    return Case(
        name, code, service, error=ServiceError(ServiceFailure(service, Operation.READ_JOB.of(), kind))
    )


def lapsed(name: str, code: str, service: Service) -> Case:
    return recognized(name, code, service, FailureKind.LAPSED)


DNS = requests.ConnectionError(socket.gaierror(f"Name or service not known {CANARY}"))
TLS = requests.exceptions.SSLError(ssl.SSLCertVerificationError(f"certificate verify failed {CANARY}"))
REFUSED = requests.ConnectionError(ConnectionRefusedError(CANARY))
RESET = requests.ConnectionError(ConnectionResetError(CANARY))
CONNECT_TIMEOUT = requests.exceptions.ConnectTimeout(CANARY)
READ_TIMEOUT = requests.exceptions.ReadTimeout(CANARY)
PROXY = requests.exceptions.ProxyError(
    urllib3.exceptions.HTTPError(f"Tunnel connection failed: 403 {CANARY}")
)
PROXY_407 = requests.exceptions.ProxyError(OSError(f"Tunnel connection failed: 407 {CANARY}"))
PROXY_UNUSABLE = requests.exceptions.InvalidProxyURL(f"http://me:{CANARY}@:8080")
SIGN_IN_PAGE = (
    "<!DOCTYPE html><html><head><title>Azure DevOps Services | Sign In</title></head></html>" + CANARY
)
CALLER = f"Caller: appid=8a5d0000-0000-4000-8000-00000000001c;oid={OBJECT_ID};iss=https://sts.windows.net/{TENANT}/\r\n"
INVALID = (
    "Invalid Git provider credentials. Go to User Settings > Git Integration to ensure that:\n"
    "1. You have entered a username with your Git provider credentials.\n"
    "4. Your personal access token has not expired."
)

CASES = (
    # Identity
    identity(
        "an unknown client id",
        "identity_not_assigned",
        400,
        {
            "statusCode": 400,
            "message": "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
        },
    ),
    identity(
        "an identity that is not found",
        "identity_not_assigned",
        400,
        {"error": "invalid_request", "error_description": "Identity not found"},
    ),
    identity(
        "an invalid scope",
        "identity_not_assigned",
        400,
        {"error": "invalid_scope", "error_description": "The requested identity isn't assigned."},
    ),
    identity(
        "a resource that the tenant does not know",
        "identity_wrong_tenant",
        400,
        {
            "statusCode": 400,
            "message": "AADSTS500011: The resource principal named 499b84ac was not found in the tenant named x.",
        },
    ),
    identity(
        "a vague failure of the endpoint",
        "identity_unavailable",
        500,
        {"statusCode": 500, "message": "An unexpected error occured while fetching the AAD Token."},
    ),
    network("an endpoint where nobody listens", "identity_unavailable", Service.IDENTITY, REFUSED),
    Case(
        "an app without an identity",
        "identity_missing",
        Service.IDENTITY,
        error=RuntimeError(f"App Service managed identity configuration not found in environment. {CANARY}"),
    ),
    recognized(
        "an app in Azure without identity", "identity_missing", Service.IDENTITY, FailureKind.NOT_ASSIGNED
    ),
    recognized(
        "a machine without the Azure CLI", "azure_cli_missing", Service.AZURE_CLI, FailureKind.NOT_INSTALLED
    ),
    recognized(
        "an Azure CLI without network", "azure_cli_unreachable", Service.AZURE_CLI, FailureKind.REFUSED
    ),
    recognized(
        "nobody signed in to the Azure CLI",
        "azure_cli_not_signed_in",
        Service.AZURE_CLI,
        FailureKind.SIGNED_OUT,
    ),
    cli(
        "an Azure CLI that is not signed in",
        "azure_cli_not_signed_in",
        "Please run 'az login' to set up an account",
    ),
    cli(
        "an Azure CLI whose sign-in has expired",
        "azure_cli_sign_in_again",
        "ERROR: AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks.",
    ),
    cli(
        "an Azure CLI in another tenant",
        "identity_wrong_tenant",
        "ERROR: AADSTS500011: The resource principal named x was not found in the tenant named y.",
    ),
    cli(
        "a pipeline whose federated subject differs",
        "federated_credential_mismatch",
        "AADSTS700213: No matching federated identity record found for presented assertion subject 'x'.",
    ),
    cli(
        "an Azure CLI that has to prove more than a password",
        "azure_cli_sign_in_again",
        "ERROR: AADSTS50076: Due to a configuration change made by your administrator, you must use multi-factor authentication.",
    ),
    cli(
        "an Azure CLI that a policy blocks",
        "azure_cli_conditional_access",
        "ERROR: AADSTS53003: Access has been blocked by Conditional Access policies. The access policy does not allow it.",
    ),
    cli(
        "an Azure CLI whose account is not assigned",
        "azure_cli_not_assigned",
        "ERROR: AADSTS50105: Your administrator has configured the application x ('y') to block users unless they are specifically "
        "granted ('assigned') access to the application.",
    ),
    cli(
        "an Azure CLI whose own secret has expired",
        "azure_cli_secret_expired",
        "ERROR: AADSTS7000222: The provided client secret keys for app '5a1e0000-0000-4000-8000-000000000009' are expired.",
    ),
    cli(
        "an Azure CLI that Microsoft Entra refuses for some other reason",
        "azure_cli_refused",
        "ERROR: AADSTS50034: The user account does not exist in the directory.",
    ),
    manager(
        "a subscription of another tenant", "azure_wrong_tenant", 401, "InvalidAuthenticationTokenTenant"
    ),
    manager("a token that has expired", "azure_sign_in_rejected", 401, "ExpiredAuthenticationToken"),
    manager(
        "a policy against it",
        "azure_policy_violation",
        403,
        "RequestDisallowedByPolicy",
        Operation.SET_APP_SETTINGS,
    ),
    manager(
        "a Reader who asks for app settings",
        "app_settings_forbidden",
        403,
        "AuthorizationFailed",
        Operation.READ_APP_SETTINGS,
    ),
    manager(
        "a Reader who enables an alert rule",
        "alert_rules_forbidden",
        403,
        "AuthorizationFailed",
        Operation.ENABLE_ALERT_RULE,
    ),
    manager("a person without a role", "azure_permission_missing", 403, "AuthorizationFailed"),
    manager("an unknown subscription", "subscription_not_found", 404, "SubscriptionNotFound"),
    manager("a locked app", "azure_resource_locked", 409, "ScopeLocked", Operation.SET_APP_SETTINGS),
    manager("another change at once", "app_update_in_progress", 409, "Conflict", Operation.SET_APP_SETTINGS),
    manager("too many requests to Azure", "throttled", 429, "TooManyRequests"),
    logs("a token of another tenant for the logs", "logs_wrong_tenant", 401, "AuthenticationFailed"),
    logs("a token that the logs do not take", "logs_wrong_tenant", 403, "InvalidAuthenticationToken"),
    logs("a person without a role on the logs", "logs_forbidden", 403, "InsufficientAccessError"),
    logs("a component that was deleted", "logs_not_found", 404, "PathNotFoundError"),
    logs("a component without a line", "logs_empty", 400, "SemanticError"),
    logs("too many queries", "throttled", 429, "ThrottledError"),
    network(
        "more log lines than fit",
        "logs_too_large",
        Service.LOG_ANALYTICS,
        connections.AnswerTooLargeError(CANARY),
    ),
    recognized("an Azure CLI that takes too long", "azure_cli_slow", Service.AZURE_CLI, FailureKind.SLOW),
    recognized("an Azure CLI that crashes", "azure_cli_broken", Service.AZURE_CLI, FailureKind.BROKEN),
    cli(
        "an Azure CLI that says something else",
        "azure_cli_broken",
        "The command failed with an unexpected error. Here is the traceback:",
    ),
    network("a proxy that asks to sign in", "proxy_sign_in", Service.KEY_VAULT, PROXY_407),
    network("a proxy's address that cannot be read", "proxy_unusable", Service.DATABRICKS, PROXY_UNUSABLE),
    lapsed("a token from the platform's cache that has lapsed", "identity_token_expired", Service.IDENTITY),
    lapsed("a token of the Azure CLI that has lapsed", "identity_token_expired", Service.AZURE_CLI),
    recognized(
        "a person whose sign-in is to be exchanged",
        "azure_cli_no_exchange",
        Service.AZURE_CLI,
        FailureKind.A_PERSON,
    ),
    recognized(
        "an Azure DevOps that is a company's own server",
        "devops_server",
        Service.AZURE_DEVOPS,
        FailureKind.SERVER,
    ),
    recognized(
        "a vault's value that is something else", "secret_value_wrong", Service.KEY_VAULT, FailureKind.VALUE
    ),
    Case(
        "a version of a secret that is not active yet",
        "oauth_secret_not_active",
        Service.DATABRICKS,
        error=ServiceError(
            ServiceFailure(
                Service.DATABRICKS,
                Operation.SIGN_IN.of(),
                FailureKind.NOT_ACTIVE,
                401,
                "invalid_client",
                "Client authentication failed",
            )
        ),
    ),
    # Another tenant
    entra(
        "a registration that does not trust the identity",
        "registration_credential_missing",
        401,
        f"AADSTS700213: No matching federated identity record found for presented assertion subject '{OBJECT_ID}'.",
    ),
    entra(
        "a registration that trusts it but for letter case",
        "registration_case_mismatch",
        401,
        "AADSTS7002138: No matching federated identity record found for presented assertion subject 'x'. The subject matches with "
        "case-insensitive comparison.",
    ),
    entra(
        "a registration that trusts another issuer",
        "registration_issuer_mismatch",
        401,
        "AADSTS700211: No matching federated identity record found for presented assertion issuer 'x'.",
    ),
    entra(
        "a registration without consent",
        "registration_not_in_tenant",
        400,
        "AADSTS700016: Application with identifier 'x' was not found in the directory 'Fabrikam'.",
    ),
    entra(
        "a tenant that is not there", "tenant_not_found", 400, "AADSTS90002: Tenant 'x' not found. Check it."
    ),
    entra("another reason of Entra's", "registration_rejected", 400, "AADSTS50034: no."),
    lapsed("a token of another tenant that has lapsed", "registration_rejected", Service.ENTRA),
    network("an Entra that does not answer", "entra_unreachable", Service.ENTRA, READ_TIMEOUT),
    # Key Vault
    vault(
        "an address that the vault's firewall does not know",
        "key_vault_firewall",
        403,
        "Forbidden",
        "Client address is not authorized and caller is not a trusted service.\r\nClient address: 20.50.2.1\r\n"
        + CALLER,
        "ForbiddenByFirewall",
    ),
    vault(
        "a vault with a private endpoint only",
        "key_vault_firewall",
        403,
        "Forbidden",
        "Public network access is disabled and request is not from a trusted service nor via an approved private link.",
        "ForbiddenByConnection",
    ),
    vault(
        "a disabled secret",
        "secret_disabled",
        403,
        "Forbidden",
        "Operation get is not allowed on a disabled secret.",
        "SecretDisabled",
    ),
    vault(
        "no role on the vault",
        "key_vault_forbidden",
        403,
        "Forbidden",
        "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were "
        f"changed recently, please observe propagation time.\r\n{CALLER}",
        "ForbiddenByRbac",
    ),
    vault(
        "no role to write to the vault",
        "key_vault_admin_forbidden",
        403,
        "Forbidden",
        f"Caller is not authorized to perform action on resource.\r\n{CALLER}"
        "Action: 'Microsoft.KeyVault/vaults/secrets/setSecret/action'\r\n",
        "ForbiddenByRbac",
        Operation.STORE_SECRET,
    ),
    vault(
        "no access policy to write to the vault",
        "key_vault_admin_forbidden",
        403,
        "Forbidden",
        f"The user, group or application 'appid=8a5d;oid={OBJECT_ID};iss=x' does not have secrets set permission on key vault "
        "'contoso;location=westeurope'.",
        "ForbiddenByPolicy",
        Operation.STORE_SECRET,
    ),
    vault(
        "a validity that an Azure Policy does not allow",
        "key_vault_policy_violation",
        403,
        "Forbidden",
        "Secret is not allowed by policy: it should have the specified maximum validity period.",
        "ForbiddenByPolicy",
        Operation.STORE_SECRET,
    ),
    vault(
        "another refusal of an admin's",
        "key_vault_admin_denied",
        403,
        "Forbidden",
        "No.",
        "ForbiddenBySomethingElse",
        Operation.LIST_VERSIONS,
    ),
    vault(
        "a vault of another tenant than the admin's",
        "key_vault_admin_wrong_tenant",
        401,
        "Unauthorized",
        f"AKV10032: Invalid issuer. Expected one of https://sts.windows.net/{TENANT}/.",
        operation=Operation.READ_LATEST_VERSION,
    ),
    vault(
        "a deleted secret whose name is taken",
        "secret_deleted",
        409,
        "Conflict",
        "Secret databricks-oauth-secret is currently in a deleted but recoverable state, and its name cannot be reused; in this "
        "state, the secret can only be recovered or purged.",
        "ObjectIsDeletedButRecoverable",
    ),
    vault(
        "a secret in the seconds after its deletion",
        "secret_name_busy",
        409,
        "Conflict",
        "Secret databricks-oauth-secret is currently being deleted and cannot be re-created; retry later.",
        "ObjectIsBeingDeleted",
        Operation.STORE_SECRET,
    ),
    vault(
        "no access policy on the vault",
        "key_vault_access_policy",
        403,
        "Forbidden",
        f"The user, group or application 'appid=8a5d;oid={OBJECT_ID};iss=x' does not have secrets get permission on key vault "
        "'contoso;location=westeurope'.",
        "ForbiddenByPolicy",
    ),
    vault(
        "a vault of another tenant",
        "key_vault_wrong_tenant",
        401,
        "Unauthorized",
        f"AKV10032: Invalid issuer. Expected one of https://sts.windows.net/{TENANT}/.",
    ),
    vault(
        "a secret that is not there",
        "secret_not_found",
        404,
        "SecretNotFound",
        "A secret with (name/id) databricks-oauth-secret was not found in this key vault.",
    ),
    lapsed("a secret that has expired", "secret_expired", Service.KEY_VAULT),
    network("a vault whose host name does not resolve", "key_vault_unreachable", Service.KEY_VAULT, DNS),
    # Azure DevOps
    devops(
        "an identity that is not in the organization",
        "devops_not_a_member",
        401,
        f"TF401444: Please sign-in at least once as {TENANT}\\{TENANT}\\{OBJECT_ID} in a web browser to enable access to the service.",
        "UnauthorizedRequestException",
    ),
    devops(
        "a Conditional Access policy",
        "devops_conditional_access",
        401,
        "VS403463: The conditional access policy defined by your Microsoft Entra administrator has failed.",
    ),
    devops(
        "a project that this identity does not see",
        "devops_project_not_found",
        404,
        "VS800075: The project with id 'vstfs:///x' does not exist, or you do not have permission to access it.",
        "ProjectDoesNotExistException",
    ),
    devops(
        "a project that is not found, as a bad request",
        "devops_project_not_found",
        400,
        "VS800075: The project with id 'x' does not exist, or you do not have permission to access it.",
    ),
    devops(
        "a repository that this identity does not see",
        "devops_repository_not_found",
        404,
        "TF401019: The Git repository with name or identifier etl does not exist or you do not have permissions for the operation "
        "you are attempting.",
        "GitRepositoryNotFoundException",
    ),
    devops(
        "a repository that Git speaks of",
        "devops_repository_not_found",
        404,
        "Git repository etl does not exist or you do not have permissions",
    ),
    devops(
        "a repository that may not be read",
        "devops_repository_not_found",
        403,
        "TF401027: You need the Git 'GenericRead' permission to perform this action.",
    ),
    devops(
        "an expired or anonymous token",
        "devops_no_access",
        401,
        "TF400813: The user '' is not authorized to access this resource.",
        "UnauthorizedRequestException",
    ),
    Case("a sign-in page", "devops_token_rejected", Service.AZURE_DEVOPS, 203, SIGN_IN_PAGE),
    Case("a sign-in page that looks fine", "devops_token_rejected", Service.AZURE_DEVOPS, 200, SIGN_IN_PAGE),
    Case(
        "a redirect to sign in",
        "devops_token_rejected",
        Service.AZURE_DEVOPS,
        302,
        location=f"https://spsprodweu1.vssps.visualstudio.com/_signin?realm=dev.azure.com&{CANARY}",
    ),
    Case("a 401 with a sign-in page", "devops_token_rejected", Service.AZURE_DEVOPS, 401, SIGN_IN_PAGE),
    devops(
        "a refusal by its type alone",
        "devops_token_rejected",
        403,
        "No.",
        "UnauthorizedRequestException",
    ),
    Case(
        "a refusal that only a header explains",
        "devops_token_rejected",
        Service.AZURE_DEVOPS,
        401,
        headers=(
            ("X-TFS-ServiceError", "TF30063%3A%20You%20are%20not%20authorized%20to%20access%20contoso."),
        ),
    ),
    Case("a 401 without a word", "devops_refusal_unexplained", Service.AZURE_DEVOPS, 401),
    Case(
        "a 401 with an empty list",
        "devops_refusal_unexplained",
        Service.AZURE_DEVOPS,
        401,
        '{"count":0,"value":[]}',
    ),
    Case(
        "an organization that is deactivated",
        "devops_organization_deactivated",
        Service.AZURE_DEVOPS,
        503,
        "\ufeff"
        + json.dumps(
            {
                "message": "TF24668: The following team project collection is stopped: contoso-org. Start the collection and then try "
                f"again. {CANARY}",
                "typeKey": "VssServiceException",
            }
        ),
    ),
    Case(
        "a path that no controller serves",
        "devops_not_found",
        Service.AZURE_DEVOPS,
        404,
        "The controller for path '/etl/_apis/git' was not found or does not implement IController.",
    ),
    devops("something else that is not found", "devops_not_found", 404, "No.", "WikiPageNotFoundException"),
    Case("a 404 without a word", "devops_not_found", Service.AZURE_DEVOPS, 404),
    Case(
        "an improper error",
        "devops_no_access",
        Service.AZURE_DEVOPS,
        401,
        json.dumps({"count": 1, "value": {"Message": f"TF400813: The user is not authorized. {CANARY}"}}),
    ),
    Case(
        "an organization that is not there",
        "devops_organization_not_found",
        Service.AZURE_DEVOPS,
        404,
        f"<!DOCTYPE html><html><head><title>Azure DevOps Services | 404: not found</title></head></html>{CANARY}",
    ),
    network("an Azure DevOps that is not reached", "devops_unreachable", Service.AZURE_DEVOPS, RESET),
    Case("an Azure DevOps that fails", "service_unavailable", Service.AZURE_DEVOPS, 503, SIGN_IN_PAGE),
    # Workspace authentication
    exchanged(
        "no federation policy",
        "federation_policy_missing",
        400,
        "invalid_grant",
        "TOKEN_INVALID (Ensure a valid federation policy has been configured)",
    ),
    exchanged(
        "a policy for another audience",
        "federation_audience_mismatch",
        400,
        "invalid_grant",
        "TOKEN_AUDIENCE_INVALID (Token audience 'x' invalid, expected one of 'y')",
    ),
    exchanged(
        "a policy for another identity",
        "federation_subject_mismatch",
        400,
        "invalid_grant",
        "TOKEN_SUBJECT_INVALID (Token subject 'x' invalid, expected 'y')",
    ),
    exchanged(
        "a federated principal without rights",
        "not_in_workspace",
        403,
        "access_denied",
        "No access",
    ),
    exchanged("another reason not to exchange", "federation_rejected", 400, "invalid_request", "no"),
    Case(
        "a workspace behind Private Link",
        "workspace_private_link",
        Service.DATABRICKS,
        302,
        location=f"https://adb-1.1.azuredatabricks.net/login.html?error=private-link-validation-error:{CANARY}",
        operation=Operation.SIGN_IN,
    ),
    databricks(
        "an address that the workspace blocks",
        "workspace_ip_blocked",
        403,
        403,
        "Source IP address: 20.50.2.1 is blocked by Databricks IP ACL for workspace: 1",
        operation=Operation.SIGN_IN,
    ),
    *(
        databricks(
            f"a network that the workspace does not let in, to {operation}",
            "workspace_network_denied",
            403,
            "403",
            "Unauthorized network access to workspace: 1",
            operation=operation,
        )
        for operation in (
            Operation.SIGN_IN,
            Operation.EXCHANGE_TOKEN,
            Operation.STORE_CREDENTIAL,
            Operation.LIST_JOBS,
            Operation.MOVE_FOLDER,
            Operation.FIND_PRINCIPAL,
            Operation.READ_JOB,
        )
    ),
    Case(
        "a network that the workspace does not let in, in plain text",
        "workspace_network_denied",
        Service.DATABRICKS,
        403,
        "Unauthorized network access to workspace: 1",
        operation=Operation.SIGN_IN,
    ),
    *(
        Case(
            f"a network that the workspace does not let in, in HTML, to {operation}",
            "workspace_network_denied",
            Service.DATABRICKS,
            403,
            f"<html><body><p>Unauthorized network\naccess to workspace: 7405</p>{CANARY}</body></html>",
            operation=operation,
        )
        for operation in (
            Operation.SIGN_IN,
            Operation.EXCHANGE_TOKEN,
            Operation.LIST_CREDENTIALS,
            Operation.FIND_PRINCIPAL,
        )
    ),
    *(
        Case(
            f"a {status} page for {operation}",
            "workspace_blocked",
            Service.DATABRICKS,
            status,
            f"{start}<title>{status} Forbidden</title>{CANARY}",
            operation=operation,
        )
        for status, start in ((403, "<!DOCTYPE html><html>"), (403, "\n<HTML>"), (401, "<html><head>"))
        for operation in (
            Operation.SIGN_IN,
            Operation.EXCHANGE_TOKEN,
            Operation.STORE_CREDENTIAL,
            Operation.LIST_JOBS,
            Operation.READ_JOB,
        )
    ),
    databricks(
        "a person who is not in the workspace",
        "not_workspace_admin",
        403,
        403,
        "Unauthorized access to Org: 1",
        operation=Operation.LOOK_UP_CALLER,
        known=proved(Known.AS_ADMIN),
    ),
    recognized(
        "a person who does not administer the workspace",
        "not_workspace_admin",
        Service.DATABRICKS,
        FailureKind.NOT_ADMIN,
    ),
    databricks(
        "a principal that is not in the workspace",
        "not_in_workspace",
        403,
        403,
        "Unauthorized access to Org: 1",
    ),
    databricks(
        "a sign-in that the workspace forbids",
        "not_in_workspace",
        403,
        "PERMISSION_DENIED",
        "No.",
        operation=Operation.SIGN_IN,
    ),
    *(
        Case(
            f"a refusal {status} to {operation}, of what signs in elsewhere",
            "not_in_workspace",
            Service.DATABRICKS,
            status,
            json.dumps({"error": error, "error_description": f"Client authentication failed {CANARY}"}),
            operation=operation,
            known=proved(Known.SIGNED_IN_ELSEWHERE),
        )
        for operation in (Operation.SIGN_IN, Operation.EXCHANGE_TOKEN)
        for status, error in ((401, "invalid_client"), (400, "invalid_grant"), (403, "access_denied"))
    ),
    recognized(
        "no service principal of an id",
        "principal_not_in_workspace",
        Service.DATABRICKS,
        FailureKind.NO_PRINCIPAL,
    ),
    databricks(
        "secrets of a service principal that is not there",
        "principal_not_in_workspace",
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "Service principal with id 7 not found.",
        operation=Operation.LIST_OAUTH_SECRETS,
    ),
    recognized(
        "two service principals of an id",
        "principal_ambiguous",
        Service.DATABRICKS,
        FailureKind.PRINCIPAL_AMBIGUOUS,
    ),
    databricks(
        "a sixth OAuth secret",
        "oauth_secret_limit_reached",
        400,
        "RESOURCE_LIMIT_EXCEEDED",
        "Too many.",
        operation=Operation.CREATE_OAUTH_SECRET,
    ),
    databricks(
        "a sixth OAuth secret, in words",
        "oauth_secret_limit_reached",
        400,
        "BAD_REQUEST",
        "Service principal 7 has reached the limit of 5 secrets.",
        operation=Operation.CREATE_OAUTH_SECRET,
    ),
    databricks(
        "a workspace of another tenant than the admin's",
        "workspace_admin_token_rejected",
        401,
        "401",
        f"Expected iss claim to be: https://sts.windows.net/{TENANT}/, but was: https://sts.windows.net/x/.",
        operation=Operation.FIND_PRINCIPAL,
    ),
    databricks(
        "the same, as a bad request",
        "workspace_admin_token_rejected",
        400,
        "INVALID_PARAMETER_VALUE",
        f"Expected iss claim to be: https://sts.windows.net/{TENANT}/, but was: https://sts.windows.net/x/.",
        operation=Operation.LIST_OAUTH_SECRETS,
    ),
    databricks(
        "service principals that somebody may not see",
        "oauth_secrets_forbidden",
        403,
        "PERMISSION_DENIED",
        "Only admins may list service principals.",
        operation=Operation.FIND_PRINCIPAL,
    ),
    databricks(
        "a workspace that an admin of others is not in",
        "oauth_secrets_forbidden",
        403,
        403,
        "Unauthorized access to Org: 1",
        operation=Operation.FIND_PRINCIPAL,
    ),
    databricks(
        "OAuth secrets that somebody may not see",
        "oauth_secrets_forbidden",
        403,
        "PERMISSION_DENIED",
        "Only account or workspace admins can manage OAuth secrets.",
        operation=Operation.LIST_OAUTH_SECRETS,
    ),
    Case(
        "a wrong OAuth secret",
        "oauth_secret_rejected",
        Service.DATABRICKS,
        401,
        json.dumps(
            {"error": "invalid_client", "error_description": f"Client authentication failed {CANARY}"}
        ),
        operation=Operation.SIGN_IN,
    ),
    databricks(
        "an access token that is not taken", "workspace_token_rejected", 403, "403", "Invalid access token."
    ),
    databricks(
        "an access token that has lapsed",
        "workspace_token_rejected",
        403,
        403,
        "Token is expiring within 30 seconds. (token expired)",
    ),
    databricks(
        "a request without a credential",
        "workspace_token_rejected",
        401,
        401,
        "Credential was not sent or was of an unsupported type for this API.",
    ),
    Case(
        "a workspace whose host name resolved before",
        "connection_lost",
        Service.DATABRICKS,
        error=DNS,
        known=proved(Known.REACHED),
    ),
    network("a workspace whose host name does not resolve", "workspace_unreachable", Service.DATABRICKS, DNS),
    network("a workspace whose certificate is another's", "workspace_unreachable", Service.DATABRICKS, TLS),
    network("a workspace where nobody listens", "workspace_unreachable", Service.DATABRICKS, REFUSED),
    network(
        "a workspace that takes no connection", "workspace_unreachable", Service.DATABRICKS, CONNECT_TIMEOUT
    ),
    network("a workspace that a proxy refuses", "workspace_unreachable", Service.DATABRICKS, PROXY),
    # Git credential
    *(
        databricks(
            f"a token that Azure DevOps takes from the app alone: {said[:30]}",
            "devops_refuses_workspace",
            status,
            code,
            said,
            known=proved(Known.TOKEN_STORED, Known.TOKEN_ACCEPTED),
        )
        for status, code, said in (
            (403, "PERMISSION_DENIED", INVALID),
            (400, "BAD_REQUEST", "Remote repo not found. Please ensure that:"),
        )
    ),
    databricks(
        "a token that was stored a moment ago",
        "stored_token_refused",
        403,
        "PERMISSION_DENIED",
        INVALID,
        known=proved(Known.TOKEN_STORED),
    ),
    databricks(
        "a credential that was stored a moment ago, and is missing",
        "credential_not_seen",
        403,
        "PERMISSION_DENIED",
        "Missing Git provider credentials.",
        known=proved(Known.TOKEN_STORED),
    ),
    databricks(
        "a federated credential in today's words",
        "federated_credential_broken",
        403,
        "PERMISSION_DENIED",
        "Encountered an error with your Microsoft Entra ID credentials. Try logging out of Microsoft Entra ID and logging back in.",
    ),
    databricks(
        "a stored token that has lapsed", "credential_expired_or_wrong", 403, "PERMISSION_DENIED", INVALID
    ),
    databricks(
        "no stored credential",
        "credential_missing",
        403,
        "PERMISSION_DENIED",
        "Missing Git provider credentials. Go to User settings > Git Integration to add your personal access token.",
    ),
    databricks(
        "no stored credential, and none of Entra",
        "credential_missing",
        403,
        "PERMISSION_DENIED",
        "Azure Active Directory credentials missing. Ensure you are either logged in with your Azure Active Directory account.",
    ),
    databricks(
        "a federated credential that does not work",
        "federated_credential_broken",
        403,
        "PERMISSION_DENIED",
        "Encountered an error with your Azure Active Directory credentials. Please try logging out of Azure Active Directory "
        "(https://portal.azure.com) and logging back in.",
    ),
    databricks(
        "a federated credential of another issuer",
        "federated_credential_mismatch",
        403,
        "PERMISSION_DENIED",
        "Encountered an error with your Azure Active Directory credentials. AADSTS7002138: No matching federated identity record "
        "found. The subject differs in letter case.",
    ),
    databricks(
        "a second credential for the provider",
        "credential_limit",
        409,
        "RESOURCE_ALREADY_EXISTS",
        "A Git credential already exists for provider azureDevOpsServices. Only one credential per provider is allowed for service "
        "principals.",
    ),
    databricks(
        "a second credential on an older workspace",
        "credential_limit",
        400,
        "INVALID_STATE",
        "Only one Git credential is supported at this time",
    ),
    databricks(
        "a credential that was deleted meanwhile",
        "credential_gone",
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "Git credential with id 900000000000001 could not be found",
        operation=Operation.STORE_CREDENTIAL,
    ),
    databricks(
        "a credential that is not there when a folder moves",
        "credential_gone",
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "Git credential with the given ID could not be found.",
        operation=Operation.MOVE_FOLDER,
    ),
    databricks(
        "a principal that additional_principal_ids misspells",
        "additional_principal_not_found",
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "Principal with id 7 could not be found",
        operation=Operation.LIST_CREDENTIALS,
    ),
    databricks(
        "a principal that may not be managed",
        "credential_forbidden",
        403,
        "PERMISSION_DENIED",
        "User does not have permission.",
        operation=Operation.CREATE_CREDENTIAL,
    ),
    # Jobs
    databricks(
        "jobs that may not be listed",
        "jobs_forbidden",
        403,
        "PERMISSION_DENIED",
        "User does not have permission.",
        operation=Operation.LIST_JOBS,
    ),
    # Git folder
    databricks(
        "a rewritten branch",
        "branch_diverged",
        400,
        "GIT_CONFLICT",
        "Conflict pulling from remote: refusing to merge unrelated histories.",
    ),
    *(
        databricks(
            f"a conflict of what is {known}, as {code}",
            "branch_diverged",
            400,
            code,
            "Conflict pulling from remote. Conflicting files: jobs/load.py.",
            known=proved(known),
        )
        for known in (Known.DISCARDED, Known.DIVERGED)
        for code in ("GIT_CONFLICT", "BAD_REQUEST")
    ),
    databricks(
        "uncommitted changes",
        "git_conflict",
        400,
        "GIT_CONFLICT",
        "Conflict pulling from remote. Conflicting files: jobs/load.py, README.md.",
    ),
    databricks(
        "uncommitted changes under another error code",
        "git_conflict",
        400,
        "BAD_REQUEST",
        "Conflict pulling from remote. Conflicting files: jobs/load.py.",
    ),
    *(
        databricks(
            f"a branch that Azure DevOps has, as {code}",
            "ref_not_found_by_workspace",
            400,
            code,
            "Remote branch does not exist.",
            known=proved(Known.REF_SEEN),
        )
        for code in ("GIT_UNKNOWN_REF", "BAD_REQUEST")
    ),
    databricks(
        "a branch that is not there", "ref_not_found", 400, "GIT_UNKNOWN_REF", "Remote branch does not exist."
    ),
    databricks(
        "a branch that is not there, in words",
        "ref_not_found",
        400,
        "BAD_REQUEST",
        "Remote branch does not exist.",
    ),
    databricks(
        "two files of one name",
        "file_names_collide",
        400,
        "BAD_REQUEST",
        "Cannot perform Git operation due to conflicting names.",
    ),
    databricks(
        "directories that were not deleted",
        "folder_inconsistent",
        500,
        "INTERNAL_ERROR",
        "There was a problem with deleting folders. The repo could be in an inconsistent state and re-cloning is recommended.",
    ),
    databricks(
        "a certificate that the workspace does not trust",
        "git_certificate_rejected",
        400,
        "BAD_REQUEST",
        "Secure connection to https://dev.azure.com/x could not be established because of SSL problems.",
    ),
    databricks(
        "a folder without a remote repository",
        "no_remote_repository",
        400,
        "BAD_REQUEST",
        "Git repository URL missing.",
    ),
    databricks(
        "a repository that the workspace does not find",
        "repository_not_found",
        400,
        "BAD_REQUEST",
        "Remote repo not found. Please ensure that:\n1. Your remote Git repo URL is valid.",
    ),
    databricks("an allow list", "url_not_allowed", 403, "GIT_URL_NOT_ON_ALLOW_LIST", "Not on the list."),
    databricks(
        "an allow list, in words",
        "url_not_allowed",
        403,
        "PERMISSION_DENIED",
        "The Git URL https://dev.azure.com/contoso/x is disallowed in your Workspace.",
    ),
    databricks("a remote that is down", "git_remote_error", 500, "GIT_REMOTE_ERROR", "Remote error."),
    databricks(
        "a path too near to /Repos",
        "path_protected",
        400,
        "DIRECTORY_PROTECTED",
        "Top-level folder can only contain repos",
    ),
    databricks(
        "a path too near to /Repos under another error code",
        "path_protected",
        400,
        "BAD_REQUEST",
        "Top-level folder can only contain repos",
    ),
    databricks(
        "a path that is taken",
        "path_taken",
        400,
        "RESOURCE_ALREADY_EXISTS",
        "Repo /Repos/etl/prod already exists. If you would like to create two repos from the same remote Git repo, rename the first.",
    ),
    databricks(
        "a path that is taken, in words",
        "path_taken",
        400,
        "BAD_REQUEST",
        "Repo /Repos/etl/prod already exists.",
    ),
    databricks(
        "a clone that was cut off",
        "clone_incomplete",
        500,
        "INTERNAL_ERROR",
        "Failed to clone repo. Repo may be incomplete, please delete it and try again.",
    ),
    databricks(
        "a folder that is not visible",
        "folder_not_found",
        404,
        "RESOURCE_DOES_NOT_EXIST",
        "Path (/Repos/etl/prod) doesn't exist.",
    ),
    Case(
        "a folder that is not visible, without a word",
        "folder_not_found",
        Service.DATABRICKS,
        404,
        operation=Operation.READ_FOLDER,
    ),
    databricks(
        "a folder that is not visible, in words",
        "folder_not_found",
        400,
        "BAD_REQUEST",
        "Path (/Repos/etl/prod) doesn't exist.",
    ),
    databricks(
        "a Git operation that takes too long",
        "git_operation_timeout",
        400,
        "PROJECTS_OPERATION_TIMEOUT",
        "The operation timed out.",
    ),
    databricks(
        "a Git service that fails",
        "git_operation_failed",
        500,
        "INTERNAL_ERROR",
        "There was an error performing the operation. Please try again or open a support ticket.",
    ),
    databricks(
        "no permission on the folder", "permission_denied", 403, "PERMISSION_DENIED", "No permission."
    ),
    databricks("no permission, as a bad request", "permission_denied", 400, "PERMISSION_DENIED", "No."),
    # Any service
    Case("no time left", "out_of_time", Service.IDENTITY, seconds=0),
    network("an answer that does not come", "timeout", Service.DATABRICKS, READ_TIMEOUT),
    network("a connection that breaks off", "connection_lost", Service.DATABRICKS, RESET),
    databricks("too many requests", "throttled", 429, "REQUEST_LIMIT_EXCEEDED", "Too many requests."),
    *(
        databricks(
            f"too many requests to {operation}, as a bad request",
            "throttled",
            400,
            "REQUEST_LIMIT_EXCEEDED",
            "Slow down.",
            operation=operation,
        )
        for operation in (
            Operation.READ_JOB,
            Operation.SIGN_IN,
            Operation.EXCHANGE_TOKEN,
            Operation.STORE_CREDENTIAL,
        )
    ),
    *(
        databricks(f"an answer that is lost to {operation}", "timeout", 400, "", said, operation=operation)
        for operation in (
            Operation.READ_JOB,
            Operation.SIGN_IN,
            Operation.EXCHANGE_TOKEN,
            Operation.CREATE_CREDENTIAL,
        )
        for said in ("Timed out after 30 seconds.", "rpc error: deadline exceeded")
    ),
    Case("a request that timed out", "timeout", Service.DATABRICKS, 408),
    Case(
        "a role on the storage account that is missing",
        "claim_denied",
        Service.STORAGE,
        403,
        "AuthorizationPermissionMismatch",
    ),
    network(
        "a storage account that nobody reaches",
        "claim_not_made",
        Service.STORAGE,
        ConnectionResetError(CANARY),
    ),
    Case("a service that is down", "service_unavailable", Service.DATABRICKS, 503, CANARY),
    network(
        "an answer without end",
        "answer_too_large",
        Service.KEY_VAULT,
        connections.AnswerTooLargeError(CANARY),
    ),
    Case("a page of a proxy", "unexpected_answer", Service.DATABRICKS, 200, f"<html>{CANARY}</html>"),
    Case("a redirect", "unexpected_answer", Service.DATABRICKS, 303, location=f"https://x.example/{CANARY}"),
    network(
        "no descriptor left",
        "too_many_open_files",
        Service.KEY_VAULT,
        requests.ConnectionError(OSError(errno.EMFILE, CANARY)),
    ),
    network(
        "a request to elsewhere",
        "unexpected_answer",
        Service.DATABRICKS,
        session.RequestRefusedError(CANARY),
    ),
    databricks("what nobody knows", "unknown", 418, "TEAPOT", "I am a teapot."),
)

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def symptom_of(case: Case) -> ServiceFailure:
    """Return the case as a run gets it, through the guard of every call."""

    def request() -> None:
        if case.error is not None:
            raise case.error
        headers = {"x-request-id": "req-1", "X-Secret": CANARY, **dict(case.headers)}
        if case.location:
            headers["Location"] = case.location
        current_operation().answer = LastResponse(case.status or 0, headers, case.body.encode())
        raise RuntimeError(f"an SDK quotes {CANARY}")

    deadline = Deadline.after(case.seconds, FakeClock())
    with pytest.raises(ServiceError) as caught:
        call(case.service, case.operation.of(), request, deadline=deadline, secrets=SecretFilter())
    assert CANARY not in str(caught.value) + repr(caught.value.failure)
    return caught.value.failure


def words(found: Diagnosis) -> str:
    return f"{found.message} {found.cause} {found.remedy}"


@every_case
def test_a_failure_has_its_code_and_lets_nothing_out(case: Case) -> None:
    found = explain(symptom_of(case), replace(FACTS, known=case.known))
    assert found.code == case.code
    assert CANARY not in words(found)
    assert not re.search(r"\{\w*\}", words(found))


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.code)
def test_every_match_of_every_row_has_a_case_that_reaches_it(row: Row) -> None:
    """Fails for a new row or match without a sample, and for one hidden by an earlier row."""
    symptoms = [(symptom_of(case), case.known) for case in CASES if case.code == row.code]
    for match in row.matches:
        alone = replace(row, matches=(match,))
        assert any(fits(alone, failure, known) for failure, known in symptoms), f"no case for {match}"


def test_a_code_means_one_thing_in_every_finding() -> None:
    """A service's response can equal a finding of the app; both rows then have one cause and one remedy."""
    for rows in ((*TABLE, UNKNOWN), OWN):
        assert len({row.code for row in rows}) == len(rows)
    meant = {row.code: (row.cause, row.remedy) for row in TABLE}
    shared = [row for row in OWN if row.code in meant]
    assert shared
    assert all((row.cause, row.remedy) == meant[row.code] for row in shared)
    codes = [row.code for row in (*TABLE, UNKNOWN, *OWN)]
    assert {case.code for case in CASES} == {row.code for row in (*TABLE, UNKNOWN)}
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", code) for code in codes)


@pytest.mark.parametrize("row", [row for row in TABLE if row.seen], ids=lambda row: row.code)
def test_what_the_documentation_says_is_seen_is_what_the_row_is_found_by(row: Row) -> None:
    parts = [re.escape(part.strip()) for part in row.seen.split("…") if part.strip()]
    symptoms = [symptom_of(case) for case in CASES if case.code == row.code]
    lines = [" ".join(filter(None, [str(s.status or ""), s.error_code, s.message])) for s in symptoms]
    assert any(re.match(r"\W*.*?".join(["", *parts]), line, re.DOTALL) for line in lines), lines


@pytest.mark.parametrize("row", [*TABLE, UNKNOWN, *OWN], ids=lambda row: row.code)
def test_no_brace_is_left_and_what_is_known_is_filled_in(row: Row) -> None:
    general = in_general(row)
    assert not re.search(r"\{\w*\}", general.cause + general.remedy)
    assert general.cause.endswith(".")
    assert general.remedy.endswith(".") == ("`" not in row.remedy), "it ends with its command"
    known = texts._filled(row, "", texts._values(FACTS))
    values = [value for value in asdict(DiagnosisContext()).values() if isinstance(value, str)]
    unknown = [value for value in values if value.isupper() and value != "AZURE_CLIENT_ID"]
    assert not re.search(rf"\b({'|'.join([*unknown, 'VAULT'])})\b", known.cause + known.remedy)


@pytest.mark.parametrize("row", [*TABLE, UNKNOWN, *OWN], ids=lambda row: row.code)
def test_the_texts_of_a_row_are_short(row: Row) -> None:
    def words(text: str) -> int:
        return len(re.sub(r"`[^`]*`| >", "", text).split())

    assert words(row.message) <= 15
    assert words(row.cause) <= 15
    assert words(row.remedy) <= 20
    assert words(title_of(row)) <= 8
    assert not title_of(row).endswith(".")


def test_an_unknown_failure_says_who_what_and_under_which_id() -> None:
    found = explain(symptom_of(next(case for case in CASES if case.code == "unknown")), FACTS)
    assert found.happened == "Databricks returned 418 TEAPOT (request ID req-1)."
    assert "read the job" in found.message
    assert "Databricks" in found.cause
    assert "teapot" not in words(found)


SAID = {
    "no time": ((FailureKind.OUT_OF_TIME,), "Databricks: the run ran out of time."),
    "an answer": (
        (FailureKind.ANSWER, 403, "DENIED", "", "req-1"),
        "Databricks returned 403 DENIED (request ID req-1).",
    ),
    "an answer without words": ((FailureKind.ANSWER, 503), "Databricks returned 503."),
    "no answer in time, though a status came": (
        (FailureKind.TIMEOUT, 200),
        "Databricks: no response in time.",
    ),
    "no connection": ((FailureKind.REFUSED,), "Databricks: the connection was refused."),
}


@pytest.mark.parametrize("kind", sorted(NETWORK))
@pytest.mark.parametrize("service", [*Service])
def test_the_proxy_on_the_way_is_named_whatever_could_not_be_reached(
    service: Service, kind: FailureKind
) -> None:
    direct = explain(ServiceFailure(service, Operation.READ_JOB.of(), kind), FACTS)
    found = explain(
        ServiceFailure(service, Operation.READ_JOB.of(), kind, proxy="proxy.contoso.com:8080"), FACTS
    )
    assert (found.code, found.cause) == (direct.code, direct.cause)
    way = found.remedy.removesuffix(direct.remedy)
    assert way != found.remedy
    assert "proxy.contoso.com:8080 (HTTPS_PROXY)" in way


@pytest.mark.parametrize("kind", [FailureKind.DNS, FailureKind.REFUSED, FailureKind.CONNECT_TIMEOUT])
def test_a_failure_to_reach_the_proxy_does_not_blame_the_service(kind: FailureKind) -> None:
    found = explain(
        ServiceFailure(Service.KEY_VAULT, Operation.READ_JOB.of(), kind, proxy="proxy.contoso.com:8080"),
        FACTS,
    )
    assert "the proxy" in found.message


def test_an_expired_secret_was_read_and_its_day_is_shown() -> None:
    ended = datetime(2026, 11, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    found = explain(
        ServiceFailure(Service.KEY_VAULT, Operation.USE_SECRET.of("x"), FailureKind.LAPSED, ended=ended),
        FACTS,
    )
    assert found.code == "secret_expired"
    assert "2026-10-31 at 23:30 UTC" in found.happened


@pytest.mark.parametrize(("failure", "said"), SAID.values(), ids=SAID)
def test_what_happened_is_one_sentence(failure: tuple[Any, ...], said: str) -> None:
    found = explain(ServiceFailure(Service.DATABRICKS, Operation.LIST_FOLDERS.of(), *failure), FACTS)
    assert found.happened == said
    assert found.message.endswith(said)


def test_a_rejected_sign_in_does_not_first_ask_to_rotate_a_valid_secret() -> None:
    remedy = explain(by_name("a wrong OAuth secret"), FACTS).remedy
    assert remedy.index(FACTS.client_id) < remedy.index("git-refresh rotate")


def test_what_is_not_known_stays_in_capitals() -> None:
    unquoted = replace(by_name("no role on the vault"), message="")
    assert "object-id OBJECT_ID " in explain(unquoted, DiagnosisContext()).remedy
    nowhere = ServiceFailure(Service.AZURE_CLI, Operation.READ_JOB.of(), FailureKind.TOO_LARGE)
    assert " ADDRESS " in explain(nowhere, FACTS).remedy


@pytest.mark.parametrize(
    ("service", "address"),
    [
        (Service.DATABRICKS, FACTS.host),
        (Service.KEY_VAULT, FACTS.vault),
        (Service.AZURE_DEVOPS, FACTS.url),
    ],
)
def test_the_address_to_check_is_the_one_that_was_asked(service: Service, address: str) -> None:
    assert (
        address
        in explain(ServiceFailure(service, Operation.READ_JOB.of(), FailureKind.TOO_LARGE), FACTS).remedy
    )


def test_an_error_code_that_looks_like_a_token_is_masked() -> None:
    failure = ServiceFailure(
        Service.DATABRICKS,
        Operation.READ_JOB.of(),
        FailureKind.ANSWER,
        400,
        "eyJhbGciOiJub25lIn0.eyJzdWIi",
        "",
        "req-1",
    )
    assert "eyJ" not in words(explain(failure, FACTS))


def by_name(name: str) -> ServiceFailure:
    return symptom_of(next(case for case in CASES if case.name == name))


@pytest.mark.parametrize("name", ["an identity that is not in the organization", "no role on the vault"])
def test_the_object_id_comes_from_the_token_or_else_from_the_service(name: str) -> None:
    assert FACTS.object_id in explain(by_name(name), FACTS).remedy
    assert OBJECT_ID in explain(by_name(name), replace(FACTS, object_id="")).remedy
    assert OBJECT_ID in explain(by_name(name), DiagnosisContext()).remedy


def test_no_other_guid_is_taken_for_the_object_id() -> None:
    failure = replace(
        by_name("an identity that is not in the organization"), message=f"TF401444: {OBJECT_ID}"
    )
    assert OBJECT_ID not in words(explain(failure, DiagnosisContext()))
    tenant = rf"TF401444: Please sign-in at least once as {OBJECT_ID}\{OBJECT_ID}\me@contoso.com"
    assert OBJECT_ID not in words(explain(replace(failure, message=tenant), DiagnosisContext()))


def test_the_files_of_a_conflict_are_named_and_nothing_after_them() -> None:
    found = explain(by_name("uncommitted changes"), FACTS)
    assert found.cause.endswith(": jobs/load.py, README.md.")
    failure = replace(by_name("uncommitted changes"), message="Conflicting files: a.py, b.py..")
    assert explain(failure, FACTS).cause.endswith(": a.py, b.py.")
    failure = replace(failure, message="")
    assert ":" not in explain(failure, FACTS).cause
    failure = ServiceFailure(
        Service.DATABRICKS,
        Operation.READ_JOB.of(),
        FailureKind.ANSWER,
        400,
        "GIT_CONFLICT",
        f"Conflicting files: {'eyJ' + 'a' * 99}\n{CANARY}",
    )
    assert explain(failure, FACTS).cause.endswith(": ***.")


@pytest.mark.parametrize(
    ("name", "exact"),
    [
        (
            "an identity that is not in the organization",
            "https://dev.azure.com/contoso-org/_settings/users",
        ),
        (
            "no role on the vault",
            'ServicePrincipal --role "Key Vault Secrets User" --scope "$(az keyvault show --name contoso --query id --output tsv)"',
        ),
        (
            "no access policy on the vault",
            "az keyvault set-policy --name contoso --object-id 0b1e-object --secret-permissions get",
        ),
        (
            "a wrong OAuth secret",
            "git-refresh rotate databricks-oauth-secret --apply",
        ),
        (
            "a principal that is not in the workspace",
            "https://adb-1.1.azuredatabricks.net > Settings > Identity and access > Service principals",
        ),
        ("uncommitted changes", "/Repos/etl/prod"),
        ("uncommitted changes", '"on_conflict": "discard"'),
    ],
)
def test_a_remedy_is_what_to_type_or_where_to_click(name: str, exact: str) -> None:
    assert exact in explain(by_name(name), FACTS).remedy


def test_a_refusal_with_its_status_as_code_shows_it_once() -> None:
    for code in ("403", 403):
        case = databricks("", "", 403, code, "Unauthorized network access to workspace: 1")
        assert how_it_failed(symptom_of(case)) == "Databricks returned 403 (request ID req-1)."


REFUTES: dict[Known, tuple[str, ...]] = {
    Known.SIGNED_IN_ELSEWHERE: ("OAuth secret", r"\brotate\b", "federation policy", "policy of service"),
    Known.AS_ADMIN: ("service principal is not assigned", r"\bonboard\b"),
    Known.REACHED: ("does not resolve", r"Check host\b"),
    Known.TOKEN_STORED: ("has expired", "no Git credential", "store a valid token"),
    Known.TOKEN_ACCEPTED: ("cannot read", "Basic", "URL is wrong", "disabled"),
    Known.REF_SEEN: ("Branch main does not exist", "Correct branch"),
    Known.DISCARDED: ("has uncommitted changes", "on_conflict"),
    Known.DIVERGED: ("has uncommitted changes", "on_conflict"),
}
"""Texts that a run's proof contradicts."""
MEETS: dict[Known, Callable[[Case], bool]] = {
    # The service itself reports an existing policy and its subject.
    Known.SIGNED_IN_ELSEWHERE: lambda case: (
        case.operation in {Operation.SIGN_IN, Operation.EXCHANGE_TOKEN}
        and not re.search("TOKEN_(AUDIENCE|SUBJECT)_INVALID", case.body)
    ),
    Known.AS_ADMIN: lambda case: "Unauthorized access to Org" in case.body,
    Known.TOKEN_ACCEPTED: lambda case: "credentials" in case.body or "Remote repo" in case.body,
}
"""The failures that a proof applies to, unless all of Databricks' and the network's."""


@pytest.mark.parametrize("known", Known)
def test_no_cause_and_no_remedy_is_named_that_the_run_has_refuted(known: Known) -> None:
    sure = frozenset({known, Known.TOKEN_STORED} if known is Known.TOKEN_ACCEPTED else {known})
    databricks_s = [case for case in CASES if case.service is Service.DATABRICKS]
    met = list(filter(MEETS.get(known), databricks_s))
    assert met
    for case in met:
        found = explain(symptom_of(case), replace(FACTS, known=case.known | sure))
        said = [word for word in REFUTES[known] if re.search(word, f"{found.cause} {found.remedy}")]
        assert not said, f"{case.name}: {found}"


@pytest.mark.parametrize("case", [case for case in CASES if case.code in CLOSED], ids=lambda case: case.name)
def test_a_closed_network_is_no_matter_of_rights_or_of_keys(case: Case) -> None:
    for known in Known:
        found = explain(symptom_of(case), replace(FACTS, known=frozenset({known})))
        assert found.code == case.code
    words = f"{found.cause} {found.remedy}"
    assert not re.search(r"secret|rotate|assigned|entitlement|Can Manage|Service principal|403 403", words)


GRANTED = {
    "devops_not_a_member",
    "devops_repository_not_found",
    "devops_project_not_found",
    "not_in_workspace",
    "federation_policy_missing",
    "federation_subject_mismatch",
    "credential_forbidden",
    "permission_denied",
    "folder_not_found",
    "folder_permission",
    "no_folder_matched",
    "secret_not_found",
}
"""Missing objects that `onboard` grants or creates."""


@pytest.mark.parametrize(
    "row", [row for row in (*TABLE, *OWN) if row.code in GRANTED], ids=lambda row: row.code
)
@pytest.mark.parametrize(
    "options", ["", " --settings lists/prod.json", " --settings 'a b.json' --trust-host x.y"]
)
def test_a_remedy_begins_with_onboard_and_the_file_in_use(row: Row, options: str) -> None:
    known = texts._filled(
        row, "", texts._values(replace(FACTS, invocation=Invocation(options=Command(options)))), "`"
    )
    first, *_ = known.remedy.split("`")[1::2]
    assert first == f"git-refresh onboard{options} --apply"


STORES = [row for row in (*TABLE, *OWN) if "az keyvault secret set " in row.remedy]


@pytest.mark.parametrize("row", STORES, ids=lambda row: row.code)
def test_where_a_secret_is_to_be_stored_its_end_is_written_as_az_reads_it(row: Row) -> None:
    assert re.search(r" --expires YYYY-MM-DDT00:00:00Z\b", row.remedy)


@pytest.mark.parametrize("row", OWN, ids=lambda row: row.code)
def test_what_the_app_finds_by_itself_is_explained_under_its_own_message(row: Row) -> None:
    found = finding(row.code, FACTS, **dict.fromkeys(re.findall(r"\{(\w+)\}", row.message), "{what}"))
    assert row.message
    assert (found.code, re.findall(r"\{(\w+)\}", found.message)) == (
        row.code,
        ["what"] * row.message.count("{"),
    ), "what is filled in may hold braces itself"


def test_every_code_that_the_app_finds_by_itself_is_in_the_table() -> None:
    sources = [path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "table.py"]
    finds = re.compile(r'\b(?:finding\(|Refuse\(|_warning\(|lacks\(|note=)\s*"(\w+)"')
    own = {row.code for row in OWN}
    assert {code for text in sources for code in finds.findall(text)} <= own
    assert {code for code in own if not any(f'"{code}"' in text for text in sources)} == set()


@pytest.mark.parametrize("enum", [Operation, FailureKind])
def test_every_operation_and_every_kind_is_one_that_the_app_meets(enum: type[StrEnum]) -> None:
    rooms = [
        file.read_text() for room in ("clients", "admin", "run") for file in (PACKAGE / room).rglob("*.py")
    ]
    met = {name for text in rooms for name in re.findall(rf"\b{enum.__name__}\.([A-Z_]+)\b", text)}
    assert met == set(enum.__members__)


def test_an_internal_error_shows_its_place_and_never_its_text() -> None:
    def mistake() -> None:
        raise ValueError(CANARY)

    with pytest.raises(ValueError, match=CANARY) as caught:
        mistake()
    found = internal(caught.value, FACTS)
    assert re.fullmatch(r"ValueError at .*mistake:\d+\.", found.message)
    assert CANARY not in words(found)
    assert internal(ValueError(CANARY), FACTS).message == "ValueError."


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ServiceError(by_name("a wrong OAuth secret")), "oauth_secret_rejected"),
        (TimeoutError(), "out_of_time"),
        (ValueError(CANARY), "internal_error"),
        (KeyboardInterrupt(), "internal_error"),
    ],
)
def test_every_exception_gets_a_diagnosis(error: BaseException, code: str) -> None:
    assert diagnose(error, FACTS).code == code


def test_what_was_not_begun_in_time_says_so() -> None:
    found = out_of_time(FACTS)
    assert found.code == "out_of_time"
    assert "REFRESH_TIMEOUT_SECONDS" in found.remedy


@pytest.mark.parametrize("make", [out_of_time, lambda context: explain(by_name("no time left"), context)])
def test_what_ran_out_of_time_has_one_code_however_it_did(
    make: Callable[[DiagnosisContext], Diagnosis],
) -> None:
    assert make(FACTS).code == "out_of_time"


@pytest.mark.parametrize("row", [*TABLE, *OWN], ids=lambda row: row.code)
def test_a_logged_failure_has_the_commands_of_its_row(row: Row) -> None:
    given = in_general(row)
    behind = f"Check the proxy 10.0.0.1:3128 (HTTPS_PROXY). {given.remedy}"
    for remedy in (given.remedy, behind):
        found = logged(given.code, given.message, given.cause, remedy)
        assert (found, found.commands) == (replace(given, remedy=remedy), given.commands)


def test_a_logged_failure_of_another_version_has_no_commands() -> None:
    assert logged("secret_expired", "It failed.", "Why.", "Run: git-refresh other").commands == ()
    assert logged("no_such_code", "It failed.", "Why.", "Run: git-refresh other").commands == ()


def test_messages_that_differ_only_in_the_request_id_are_alike() -> None:
    failed = ServiceFailure(
        Service.DATABRICKS, Operation.LIST_JOBS.of(), FailureKind.ANSWER, 418, request_id="a-1"
    )
    texts = {without_request_id(what_happened(replace(failed, request_id=id_))) for id_ in ("a-1", "b-2", "")}
    assert texts == {"Could not list the jobs: Databricks returned 418."}
