"""Table of failures: conditions, cause and remedy of each code.

The first matching row applies, so specific rows come before general ones.
Braces are filled with values of `DiagnosisContext`. `pattern` and `seen` quote services.
A remedy ends with its command in backticks, without a full stop. A sentence before a second command begins with "Or" or "Then".
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum

from git_refresh.failures.failure import (
    NETWORK,
    SIGN_IN_PAGE,
    SIGN_IN_REDIRECT,
    FailureKind,
    Operation,
    Service,
)

IDENTITY = (Service.IDENTITY,)
CLI = (Service.AZURE_CLI,)
ENTRA = (Service.ENTRA,)
VAULT = (Service.KEY_VAULT,)
STORAGE = (Service.STORAGE,)
DEVOPS = (Service.AZURE_DEVOPS,)
DATABRICKS = (Service.DATABRICKS,)
MANAGER = (Service.RESOURCE_MANAGER,)
LOGS = (Service.LOG_ANALYTICS,)
_SIGN_INS = {Operation.SIGN_IN, Operation.EXCHANGE_TOKEN}
_CREDENTIALS = {Operation.LIST_CREDENTIALS, Operation.STORE_CREDENTIAL, Operation.CREATE_CREDENTIAL}
_FOLDERS = {
    Operation.LIST_FOLDERS,
    Operation.READ_FOLDER,
    Operation.CREATE_FOLDER,
    Operation.MOVE_FOLDER,
    Operation.READ_PATH,
    Operation.CREATE_PARENT,
}
# Only commands for admins perform the operations in `_VAULT_ADMIN` and `_WORKSPACE_ADMIN`.
_VAULT_ADMIN = {
    Operation.STORE_SECRET,
    Operation.READ_LATEST_VERSION,
    Operation.READ_FORMER_VERSION,
    Operation.LIST_VERSIONS,
    Operation.FIND_DELETED_SECRET,
}
_OAUTH_SECRETS = {Operation.LIST_OAUTH_SECRETS, Operation.CREATE_OAUTH_SECRET, Operation.DELETE_OAUTH_SECRET}
_WORKSPACE_ADMIN = {Operation.FIND_PRINCIPAL, *_OAUTH_SECRETS}
_UNREACHED = NETWORK - {FailureKind.RESET, FailureKind.TIMEOUT}
"""Kinds of failures in which no request was sent."""
_UNTHROTTLED = r"(?!REQUEST_LIMIT_EXCEEDED$).*"
_NO_CREDENTIAL = r"Missing Git provider credentials|Azure Active Directory credentials missing"
_PAGE = r"(?i)^\s*<(?:!doctype|html|head|body|title)\b"
_POLICY_DIFFERS = "TOKEN_AUDIENCE_INVALID|TOKEN_SUBJECT_INVALID"
"""Error codes that prove that a federation policy for another token exists."""
_NO_POLICY = "TOKEN_INVALID|valid federation policy"


class Known(StrEnum):
    """Fact that a run has proved before a failure, which excludes some causes."""

    SIGNED_IN_ELSEWHERE = "signed in elsewhere"
    """Another workspace accepted the same client ID with the same secret or identity."""
    REACHED = "reached"
    """The workspace responded to an earlier request."""
    TOKEN_STORED = "token stored"  # noqa: S105  # not a token
    """The run stored its own valid token in the workspace."""
    TOKEN_ACCEPTED = "token accepted"  # noqa: S105  # not a token
    """Azure DevOps accepted the same token for the repository from the app."""
    REF_SEEN = "ref seen"
    """Azure DevOps has the branch or tag."""
    AS_ADMIN = "as admin"
    """The run reads the workspace with a user account."""
    DISCARDED = "discarded"
    """The workspace received a request to discard uncommitted changes."""
    DIVERGED = "diverged"
    """The Git folder's commit is not in its branch's history in Azure DevOps."""


@dataclass(frozen=True, slots=True)
class Match:
    """Condition on a failure. All fields that are set must match."""

    service: tuple[Service, ...] = ()
    kind: Collection[FailureKind] = ()
    status: Collection[int] = ()
    error_code: str = ""
    """Regular expression for the whole error code."""
    pattern: str = ""
    """Regular expression to search for in the message."""
    operation: Collection[Operation] = ()
    known: tuple[Known, ...] = ()
    """Facts that the run must have proved."""


@dataclass(frozen=True, slots=True)
class Row:
    """One failure or finding."""

    code: str
    """Stable, because dashboards and pipelines depend on it."""
    matches: tuple[Match, ...] = ()
    """A failure matches the row if it meets any of these conditions."""
    seen: str = ""
    """Status, error code and message of the service. "…" stands for omitted text."""
    message: str = ""
    """Only in rows of `OWN`."""
    cause: str = ""
    remedy: str = ""
    title: str = ""
    """Short form of the cause for lists, in at most eight words; empty if the cause is short enough."""
    temporary: bool = False
    """True if the next run usually succeeds without an action, so an alert can wait."""


def row(
    code: str,
    *matches: Match,
    seen: str = "",
    message: str = "",
    cause: str = "",
    remedy: str = "",
    title: str = "",
    temporary: bool = False,
) -> Row:
    return Row(code, matches, seen, message, cause, remedy, title, temporary)


_ONBOARD = "`{program} onboard{options} --apply`"
_GRANT_DEVOPS = (
    "Add the identity with object ID {object_id} at https://dev.azure.com/{organization}/_settings/users (Basic, Readers of {project}), "
    f"or run: {_ONBOARD}"
)
PRINCIPALS = "{host} > Settings > Identity and access > Service principals"
"""Location of the service principals in a workspace."""
_ADD_PRINCIPAL = f"Add {{principal}} with Workspace access ({PRINCIPALS}), or run: {_ONBOARD}"
_GRANT_FOLDER = f"Grant {{principal}} CAN MANAGE on {{path}}, or run: {_ONBOARD}"
_STORE_SECRET = (
    "Then store it: `read -rs VALUE; az keyvault secret set --vault-name {vault_name} --name {secret} --value "  # noqa: S105  # a command
    '"$VALUE" --expires YYYY-MM-DDT00:00:00Z --output none; unset VALUE`'
)
_ROTATE = (
    "As a workspace admin and Key Vault Secrets Officer, run: `{program} rotate {secret}{options} --apply`"
)
_TEST_AZ = (
    "Test the Azure CLI: `az account get-access-token --resource {resource} --query expiresOn --output json`"
)
_DELETE_SECRET = (
    "Delete the unused one: `DATABRICKS_HOST={host} databricks service-principal-secrets-proxy delete "  # noqa: S105  # a command
    "{principal_id} {oauth_secret}`"
)
IN_ACCOUNT = "DATABRICKS_HOST=https://accounts.azuredatabricks.net DATABRICKS_ACCOUNT_ID={account_id}"
"""Environment variables of Databricks CLI commands for an account."""
PRINCIPAL_NUMBER = (
    f'"$({IN_ACCOUNT} databricks account service-principals list --filter {{by_client_id}} --output json | '
    "jq -r '.[0].id')\""
)
"""Shell expression for a service principal's numeric ID."""
_POLICY = (
    f"Create the policy: {_ONBOARD} Or, as an account admin: `{IN_ACCOUNT} databricks account "
    f"service-principal-federation-policy create {PRINCIPAL_NUMBER} --json {{policy}}`"
)
_DELETE_CREDENTIAL = (
    "As {principal}, list the Git credentials: `DATABRICKS_HOST={host} databricks git-credentials list` "
    "Then delete the unneeded one: `DATABRICKS_HOST={host} databricks git-credentials delete ID`"
)
_TRUST = (
    "In the identity's tenant, create the federated credential: `az ad app federated-credential create --id {registration} "
    "--parameters {trust}`"
)
_REMOTE = "Create the Git folder again from {https}, or set the URL with git remote set-url."
_IDENTITIES = "List the identities: `az functionapp identity show --name {app} --resource-group {group}`"
_FUNCTIONS = (
    "To see whether it is disabled: `az functionapp function list --name {app} --resource-group {group} --query "
    '"[].{name: name, disabled: properties.isDisabled || isDisabled}" --output table`'
)
_OTHER_SIGN_IN = "Sign in to the tenant of {address}, and try again: `az login --tenant {tenant}`"
_SUBSCRIPTION_SIGN_IN = "Sign in to the subscription's tenant, and try again: `az login --tenant {tenant}`"
SHARED = {
    "Add the identity": _GRANT_DEVOPS,
    "Grant CAN MANAGE": _GRANT_FOLDER,
    "Rotate the OAuth secret": _ROTATE,
    "Store the OAuth secret": _STORE_SECRET,
    "Delete the OAuth secret": _DELETE_SECRET,
    "Create the policy": _POLICY,
    "Create the federated credential": _TRUST,
    "Delete the Git credential": _DELETE_CREDENTIAL,
    "Set the remote URL": _REMOTE,
    "List the identities": _IDENTITIES,
    "Check the function": _FUNCTIONS,
    "Test the Azure CLI": _TEST_AZ,
    "Sign in to the tenant": _OTHER_SIGN_IN,
}
"""Remedies of several rows, by title. docs/troubleshooting.md has each once."""

_CONFLICT = (
    Match(DATABRICKS, error_code="GIT_CONFLICT"),
    Match(DATABRICKS, pattern=r"^Conflict pulling from remote"),
)

# fmt: off
_OTHER_TENANT = (
    row("registration_case_mismatch", Match(ENTRA, pattern=r"AADSTS7002138"),
        title="The federated credential differs in letter case",
        seen="401 …AADSTS7002138",
        cause="App registration {registration} has a federated credential that differs in letter case.",
        remedy="Delete that federated credential. " + _TRUST),
    row("registration_credential_missing", Match(ENTRA, pattern=r"AADSTS700213"),
        title="The app registration has no federated credential",
        seen="401 …AADSTS700213",
        cause="App registration {registration} has no federated credential for the identity.",
        remedy=_TRUST),
    row("registration_issuer_mismatch", Match(ENTRA, pattern=r"AADSTS(?:700211|700212|700214)"),
        title="The federated credential has another issuer or audience",
        seen="401 …AADSTS700211",
        cause="No federated credential of {registration} has issuer {issuer} and audience api://AzureADTokenExchange.",
        remedy="Delete the wrong federated credential. " + _TRUST),
    row("registration_not_in_tenant", Match(ENTRA, pattern=r"AADSTS700016"),
        title="The app registration lacks admin consent",
        seen="400 …AADSTS700016",
        cause="App registration {registration} lacks admin consent in tenant {tenant}, or supports only one tenant.",
        remedy="In the identity's tenant: `az ad app update --id {registration} --sign-in-audience AzureADMultipleOrgs` "
        "Then, as an administrator of the other tenant: `az login --tenant {tenant} --allow-no-subscriptions && az ad sp "
        "create --id {registration}`"),
    row("tenant_not_found", Match(ENTRA, pattern=r"AADSTS90002"),
        seen="400 …AADSTS90002",
        cause="Tenant {tenant} does not exist.",
        remedy="Correct devops.tenant_id. Azure DevOps shows it under Organization settings > Microsoft Entra."),
    row("registration_rejected",
        Match(ENTRA, {FailureKind.ANSWER, FailureKind.UNEXPECTED, FailureKind.LAPSED, FailureKind.NOT_SENT, FailureKind.TOO_LARGE}),
        title="Microsoft Entra issued no token",
        seen="400 …AADSTS…",
        cause="Microsoft Entra issued no token to app registration {registration} in tenant {tenant}.",
        remedy="Check tenant_id, client_id, and the federated credential. " + _TRUST),
    row("entra_unreachable", Match(ENTRA, NETWORK),
        cause="The app could not connect to Microsoft Entra.",
        remedy="Usually temporary. If it persists, allow outbound access to https://login.microsoftonline.com.",
        temporary=True),
)

_STORAGE = (
    row("claim_denied", Match(STORAGE, status={401, 403}),
        title="The identity cannot write blobs",
        seen="403 AuthorizationPermissionMismatch",
        cause="The identity cannot write blobs, so duplicate messages might run twice.",
        remedy="Assign Storage Blob Data Owner on the storage account, and allow the app's network there."),
    row("claim_not_made", Match(STORAGE),
        title="Azure Storage recorded no claim",
        cause="Azure Storage failed, so duplicate messages might run twice.",
        remedy="Usually temporary. If it persists, allow outbound access to https://ACCOUNT.blob.core.windows.net."),
)

_IDENTITY = (
    row("federated_credential_mismatch", Match((*IDENTITY, *CLI, *DATABRICKS), pattern=r"AADSTS700213|AADSTS7002138"),
        title="The federated credential has another issuer or subject",
        seen="AADSTS700213",
        cause="The federated credential's issuer or subject differs, possibly in letter case.",
        remedy="Correct it in the app registration. Workspaces use issuer {host}/oidc and audience "
        "api://AzureADTokenExchange."),
    row("identity_missing",
        Match(IDENTITY, {FailureKind.NOT_ASSIGNED}),
        Match(IDENTITY, pattern=r"managed identity configuration not found"),
        seen="…managed identity configuration not found…",
        cause="The app has no managed identity.",
        remedy="Assign a user-assigned identity, and set AZURE_CLIENT_ID to its client ID: `az functionapp identity assign "
        "--name {app} --resource-group {group} --identities IDENTITY_RESOURCE_ID` Or assign a system-assigned identity: `az "
        "functionapp identity assign --name {app} --resource-group {group}`"),
    row("azure_cli_no_exchange", Match(CLI, {FailureKind.A_PERSON}),
        title="Token federation does not support user accounts",
        cause="Token federation does not work for a user account.",
        remedy="No action needed. As a workspace admin, you can read federated workspaces, but not repositories of another "
        "tenant."),
    row("azure_cli_missing", Match(CLI, {FailureKind.NOT_INSTALLED}),
        title="The Azure CLI is not installed",
        cause="The Azure CLI is not installed, or this terminal cannot find az.",
        remedy="Install it (https://aka.ms/azure-cli), and sign in from a new terminal: `az login --tenant {tenant}`"),
    row("identity_token_expired", Match((*IDENTITY, *CLI), {FailureKind.LAPSED}),
        title="The platform returned an expired token",
        cause="The platform returned an expired token, which the app did not store.",
        remedy="Usually temporary. If it repeats, check the clock, then restart the app.",
        temporary=True),
    row("identity_wrong_tenant", Match((*IDENTITY, *CLI), pattern=r"AADSTS500011"),
        title="The identity belongs to another tenant",
        seen="400 …AADSTS500011",
        cause="The identity's tenant does not know the requested service.",
        remedy="Use an identity of the organization's tenant (Organization settings > Microsoft Entra)."),
    row("azure_cli_sign_in_again",
        Match(CLI, pattern=r"AADSTS(?:5007[2468]|50079|50089|5013[23]|50140|50158|50173|50058|70008|7004[34]|70008[124])\b"),
        title="The Azure CLI session has expired",
        seen="…AADSTS50076",
        cause="The Azure CLI session expired, was revoked, or needs multifactor authentication.",
        remedy="Sign in again: `az login --tenant {tenant} --scope {scope}`"),
    row("azure_cli_conditional_access", Match(CLI, pattern=r"AADSTS(?:53\d{3,4}|50005|50097|50131)\b"),
        title="Conditional Access blocks the Azure CLI",
        seen="…AADSTS53003",
        cause="A Conditional Access policy blocks the Azure CLI here.",
        remedy="Ask a tenant administrator for the policy. Use a device and network that it allows."),
    row("azure_cli_not_assigned", Match(CLI, pattern=r"AADSTS50105\b"),
        seen="…AADSTS50105",
        cause="Your account is not assigned to the application.",
        remedy="Ask a tenant administrator to assign it (Enterprise applications > Users and groups)."),
    row("azure_cli_secret_expired", Match(CLI, pattern=r"AADSTS7000222\b"),
        title="The Azure CLI's client secret has expired",
        seen="…AADSTS7000222",
        cause="The client secret of the Azure CLI's service principal has expired.",
        remedy="Create one in the app registration, and sign in with it: `az login --service-principal "
        "--username {application} --tenant {tenant}`"),
    row("azure_cli_refused", Match(CLI, pattern=r"AADSTS\d{4,8}"),
        seen="…AADSTS…",
        cause="Microsoft Entra rejected the Azure CLI session.",
        remedy="Search the number at https://login.microsoftonline.com/error, or sign in again: `az login --tenant {tenant} "
        "--scope {scope}`"),
    row("azure_cli_slow", Match(CLI, {FailureKind.SLOW}),
        cause="The Azure CLI did not respond in time.",
        remedy="Update the Azure CLI, and exclude it from virus scans. " + _TEST_AZ),
    row("azure_cli_unreachable", Match(CLI, NETWORK),
        cause="The Azure CLI cannot connect to Microsoft Entra.",
        remedy="Allow access to https://login.microsoftonline.com. With a proxy, check HTTPS_PROXY and NO_PROXY."),
    row("azure_cli_not_signed_in",
        Match(CLI, {FailureKind.SIGNED_OUT}),
        Match(CLI, {FailureKind.UNEXPECTED}, pattern=r"az login"),
        title="The Azure CLI is not signed in",
        seen="Please run 'az login'…",
        cause="The Azure CLI is not signed in, or its session has expired.",
        remedy="Sign in to the organization's tenant: `az login --tenant {tenant}`"),
    row("azure_cli_broken", Match(CLI, {FailureKind.BROKEN, FailureKind.UNEXPECTED}),
        title="The Azure CLI does not work",
        seen="…failed with an unexpected error…",
        cause="The Azure CLI is damaged, or another program is named az.",
        remedy="If the test fails, reinstall it (https://aka.ms/azure-cli). " + _TEST_AZ),
    row("identity_not_assigned", Match(IDENTITY, status={400, 404}),
        seen="400 …No User Assigned or Delegated Managed Identity…",
        cause="No assigned identity has this client ID.",
        remedy="Set {named_in} to an assigned identity's client ID, not its object ID. " + _IDENTITIES),
    row("identity_unavailable",
        Match(IDENTITY, {FailureKind.ANSWER, FailureKind.UNEXPECTED, FailureKind.NOT_SENT, *NETWORK}),
        seen="500",
        cause="The managed identity endpoint returned no token.",
        remedy="Usually temporary. If it persists, check AZURE_CLIENT_ID, then restart the app.",
        temporary=True),
)

_KEY_VAULT = (
    row("key_vault_firewall", Match(VAULT, error_code=r"ForbiddenByFirewall|ForbiddenByConnection"),
        title="The vault blocks the app's network",
        seen="403 ForbiddenByFirewall",
        cause="The vault's firewall or private endpoint blocks the app.",
        remedy="Connect the app to a network that {vault} allows, or allow its address: `az keyvault network-rule add --name "
        "{vault_name} --ip-address ADDRESS`"),
    row("secret_disabled", Match(VAULT, error_code="SecretDisabled"),
        seen="403 SecretDisabled",
        cause='The latest version of "{secret}" is disabled.',
        remedy="Enable it: `az keyvault secret set-attributes --vault-name {vault_name} --name {secret} --enabled true`"),
    row("secret_deleted", Match(VAULT, status={409}, error_code="ObjectIsDeletedButRecoverable"),
        title="A deleted secret blocks the name",
        seen="409 ObjectIsDeletedButRecoverable",
        cause='The deleted secret "{secret}" blocks its name in {vault}.',
        remedy="Recover it, then run the command again: `az keyvault secret recover --vault-name {vault_name} --name "
        "{secret}`"),
    row("secret_name_busy", Match(VAULT, status={409}, error_code=r"ObjectIsBeing(?:Deleted|Recovered)"),
        title="Key Vault is deleting or recovering the secret",
        seen="409 ObjectIsBeingDeleted",
        cause='Key Vault is deleting or recovering the secret "{secret}".',
        remedy="Usually temporary. Run the command again in a minute."),
    row("key_vault_admin_forbidden",
        Match(VAULT, error_code=r"ForbiddenByRbac|AccessDenied|Forbidden", operation=_VAULT_ADMIN),
        Match(VAULT, pattern=r"does not have secrets [\w, ]+ permission", operation=_VAULT_ADMIN),
        title="You cannot manage secrets in the vault",
        seen="403 ForbiddenByRbac",
        cause="Your account lacks the role Key Vault Secrets Officer on {vault}.",
        remedy="Ask an Owner or Role Based Access Control Administrator to assign it: `az role assignment create --assignee "
        '{object_id} --role "Key Vault Secrets Officer" --scope "$(az keyvault show --name {vault_name} --query id --output '
        'tsv)"` Or, with access policies: `az keyvault set-policy --name {vault_name} --object-id {object_id} '
        "--secret-permissions get list set`"),
    row("key_vault_policy_violation",
        Match(VAULT, error_code=r"ForbiddenByPolicy|RequestDisallowedByPolicy", operation={Operation.STORE_SECRET}),
        title="An Azure Policy rejected the secret",
        seen="403 ForbiddenByPolicy",
        cause="An Azure Policy on {vault} rejected the secret, usually for its lifetime.",
        remedy="Ask the policy owner for the maximum lifetime, and use it: `{program} rotate {secret}{options} --lifetime "
        "180d --apply`"),
    row("key_vault_admin_denied", Match(VAULT, status={403}, operation=_VAULT_ADMIN),
        title="The vault denied your request",
        seen="403 …",
        cause="{vault} denied your request, but not for a missing role.",
        remedy="Show the vault's message: `az keyvault secret list-versions --vault-name {vault_name} --name {secret}`"),
    row("key_vault_admin_wrong_tenant", Match(VAULT, status={401}, operation=_VAULT_ADMIN),
        title="The vault is not in your tenant",
        seen="401 Unauthorized AKV10032…",
        cause="{vault} belongs to another tenant than your Azure CLI session.",
        remedy=_OTHER_SIGN_IN),
    row("key_vault_access_policy", Match(VAULT, pattern=r"does not have secrets get permission"),
        title="No access policy includes the identity",
        seen="403 …does not have secrets get permission…",
        cause="No access policy allows the identity to read secrets.",
        remedy="Add an access policy: `az keyvault set-policy --name {vault_name} --object-id {object_id} "
        "--secret-permissions get`"),
    row("key_vault_forbidden", Match(VAULT, status={403}),
        title="The identity cannot read secrets",
        seen="403 ForbiddenByRbac",
        cause="The identity lacks the role Key Vault Secrets User on {vault}.",
        remedy="Assign the role, and wait some minutes: `az role assignment create --assignee-object-id {object_id} "
        '--assignee-principal-type ServicePrincipal --role "Key Vault Secrets User" --scope "$(az keyvault show --name '
        '{vault_name} --query id --output tsv)"`'),
    row("key_vault_wrong_tenant", Match(VAULT, status={401}),
        seen="401 Unauthorized AKV10032…",
        cause="{vault} is not in the identity's tenant.",
        remedy="Use a vault in the identity's tenant."),
    row("secret_not_found", Match(VAULT, status={404}),
        seen="404 SecretNotFound",
        cause='{vault} has no secret "{secret}".',
        remedy=f"Correct client_secret_name, or create it: {_ONBOARD} Or copy an existing OAuth secret. {_STORE_SECRET}"),
    row("secret_expired", Match(VAULT, {FailureKind.LAPSED}),
        title="The secret has expired",
        cause="The secret's expiration date in Key Vault has passed.",
        remedy=_ROTATE),
    row("secret_value_wrong", Match(VAULT, {FailureKind.VALUE}),
        title="The secret is not an OAuth secret",
        cause='"{secret}" is not a Databricks OAuth secret, so the app did not send it.',
        remedy="Copy only the OAuth secret of {client_id}, which begins with dose. " + _STORE_SECRET),
    row("key_vault_unreachable", Match(VAULT, NETWORK),
        title="The app cannot connect to the vault",
        cause="The vault's host name does not resolve, or the network blocks the connection.",
        remedy="Check KEY_VAULT_URL ({vault}). With a private endpoint, check virtual network and private DNS.",
        temporary=True),
)

_AZURE_DEVOPS = (
    row("devops_server", Match(DEVOPS, {FailureKind.SERVER}),
        cause="Azure DevOps Server accepts no Microsoft Entra tokens.",
        remedy="Move it to Azure DevOps Services, or remove {path} from the list."),
    row("devops_not_a_member", Match(DEVOPS, pattern=r"TF401444"),
        title="The identity is not in the organization",
        seen="401 …TF401444",
        cause="The identity is not a member of organization {organization}.",
        remedy=_GRANT_DEVOPS),
    row("devops_conditional_access", Match(DEVOPS, pattern=r"VS403463"),
        seen="…VS403463",
        cause="A Conditional Access policy blocks the identity.",
        remedy="Ask a tenant administrator to exempt the identity with object ID {object_id}."),
    row("devops_organization_deactivated", Match(DEVOPS, pattern=r"TF24668"),
        title="The organization is stopped",
        seen="503 …TF24668",
        cause="Organization {organization} is stopped, usually for lack of use.",
        remedy="Open https://dev.azure.com/{organization} as a member, and wait until it is active."),
    row("devops_project_not_found", Match(DEVOPS, pattern=r"VS800075|TF200016"),
        title="The project does not exist",
        seen="404 …VS800075",
        cause="Project {project} does not exist in {organization}, or the identity cannot read it.",
        remedy="Check the name in {url}. " + _GRANT_DEVOPS),
    row("devops_repository_not_found",
        Match(DEVOPS, pattern=r"TF401019|TF401027|does not exist or you do not have permissions"),
        title="The repository does not exist",
        seen="404 …TF401019",
        cause="Repository {repository} does not exist in {organization}/{project}, is disabled, or the identity cannot read "
        "it.",
        remedy="Check the name in {url}. " + _GRANT_DEVOPS),
    row("devops_no_access", Match(DEVOPS, pattern=r"TF400813"),
        title="Azure DevOps does not authorize the identity",
        seen="401 …TF400813",
        cause="Organization {organization} does not know the identity, or a policy blocks it.",
        remedy=_GRANT_DEVOPS),
    row("devops_token_rejected",
        Match(DEVOPS, status={203}),
        Match(DEVOPS, status={302}, pattern=SIGN_IN_REDIRECT),
        Match(DEVOPS, status={200, 401, 403}, pattern=SIGN_IN_PAGE),
        Match(DEVOPS, status={401, 403}, error_code=r".*Exception"),
        Match(DEVOPS, status={401, 403}, pattern=r"\b(?:TF|VS)\d{5,7}\b"),
        title="Azure DevOps rejected the token",
        seen="203 …Sign In…",
        cause="Azure DevOps rejected the token, usually because of another tenant.",
        remedy="Check the organization's tenant. " + _GRANT_DEVOPS),
    row("devops_refusal_unexplained", Match(DEVOPS, status={401, 403}),
        title="Azure DevOps denied access without a reason",
        seen="401",
        cause="The identity probably lacks a permission in {organization}.",
        remedy="If it repeats, grant access. " + _GRANT_DEVOPS),
    row("devops_organization_not_found", Match(DEVOPS, status={404}, pattern=r"^\s*<"),
        seen="404 …404: not found…",
        cause="Azure DevOps has no organization {organization}.",
        remedy="Correct the organization in {url}."),
    row("devops_not_found", Match(DEVOPS, status={404}),
        title="The project or repository does not exist",
        seen="404 The controller for path…",
        cause="The project or repository does not exist in {organization}, or the identity cannot read it.",
        remedy="Check the names in {url}. " + _GRANT_DEVOPS),
    row("devops_unreachable", Match(DEVOPS, NETWORK),
        cause="The app could not connect to Azure DevOps.",
        remedy="Usually temporary. If it persists, allow access to https://dev.azure.com, or check "
        "https://status.dev.azure.com.",
        temporary=True),
)

_SIGN_IN = (
    row("workspace_private_link", Match(DATABRICKS, pattern=r"private-link-validation-error"),
        seen="302 …private-link-validation-error…",
        cause="The workspace accepts only Azure Private Link connections.",
        remedy="Connect the app to a network with a private endpoint and private DNS for {host}."),
    row("workspace_ip_blocked", Match(DATABRICKS, pattern=r"blocked by Databricks IP ACL"),
        title="An IP access list blocks the app",
        seen="403 …blocked by Databricks IP ACL…",
        cause="The workspace's IP access list blocks the app's address.",
        remedy="Give the app a fixed address (NAT gateway). As a workspace admin, allow it: `DATABRICKS_HOST={host} "
        "databricks ip-access-lists create --json '{\"label\": \"git-refresh\", \"list_type\": \"ALLOW\", \"ip_addresses\": "
        "[\"ADDRESS\"]}'`"),
    row("workspace_network_denied", Match(DATABRICKS, pattern=r"(?i)unauthorized\s+network\s+access"),
        title="The workspace blocks the app's network",
        seen="403 …Unauthorized network access…",
        cause="A network policy or disabled public access blocks the app.",
        remedy="Use a private endpoint, or allow the app's address (account console > Security > Networking > Context-based "
        "ingress)."),
    row("workspace_blocked", Match(DATABRICKS, status={401, 403}, pattern=_PAGE),
        title="A proxy or firewall blocks the workspace",
        seen="403 <!DOCTYPE html>…",
        cause="A proxy, firewall, or network rule returned a web page instead.",
        remedy="Allow access to {host} in proxy, firewall, and the workspace's Azure networking."),
    row("not_workspace_admin",
        Match(DATABRICKS, {FailureKind.NOT_ADMIN}),
        Match(DATABRICKS, {FailureKind.ANSWER}, {401, 403}, _UNTHROTTLED, known=(Known.AS_ADMIN,)),
        title="You are not a workspace admin",
        seen="403 …Unauthorized access to Org…",
        cause="Only an admin of {host} can read it without the app's identity.",
        remedy="Run the command as a workspace admin, or join the group admins of {host}."),
    row("not_in_workspace",
        # `oauth_secrets_forbidden` covers an admin's own account.
        Match(DATABRICKS, pattern=r"Unauthorized access to Org", operation=frozenset(Operation).difference(_WORKSPACE_ADMIN)),
        # An OAuth server rejects a secret with 400 or 401.
        Match(DATABRICKS, {FailureKind.ANSWER}, status={403}, error_code=_UNTHROTTLED, operation={Operation.SIGN_IN}),
        Match(DATABRICKS, {FailureKind.ANSWER}, {400, 401, 403, 404}, _UNTHROTTLED, rf"(?s)^(?!.*(?:{_POLICY_DIFFERS}))", _SIGN_INS,
              (Known.SIGNED_IN_ELSEWHERE,)),
        Match(DATABRICKS, status={403}, pattern=rf"(?s)^(?!.*(?:{_POLICY_DIFFERS}|{_NO_POLICY}))", operation={Operation.EXCHANGE_TOKEN}),
        title="The service principal is not in the workspace",
        seen="403 …Unauthorized access to Org…",
        cause="The service principal is not assigned to the workspace, or is inactive there.",
        remedy=_ADD_PRINCIPAL),
    row("federation_audience_mismatch", Match(DATABRICKS, pattern=r"TOKEN_AUDIENCE_INVALID"),
        title="The federation policy has another audience",
        seen="400 invalid_grant TOKEN_AUDIENCE_INVALID…",
        cause="The federation policy of service principal {client_id} does not accept audience {audience}.",
        remedy="Delete it in the account console (User management > Service principals). " + _POLICY),
    row("federation_subject_mismatch", Match(DATABRICKS, pattern=r"TOKEN_SUBJECT_INVALID"),
        title="The federation policy names another identity",
        seen="400 invalid_grant TOKEN_SUBJECT_INVALID…",
        cause="The federation policy of service principal {client_id} names an object ID other than {subject}.",
        remedy=_POLICY),
    row("federation_policy_missing", Match(DATABRICKS, pattern=_NO_POLICY),
        title="The federation policy is missing",
        seen="400 …TOKEN_INVALID…",
        cause="Service principal {client_id} has no matching federation policy older than two minutes.",
        remedy="Check that client_id is an application ID. " + _POLICY),
    row("federation_rejected",
        Match(DATABRICKS, {FailureKind.ANSWER}, status={400, 401, 404}, error_code=_UNTHROTTLED, operation={Operation.EXCHANGE_TOKEN}),
        seen="400 invalid_request",
        cause="The workspace rejected the identity's token.",
        remedy="Check client_id ({client_id}) and its federation policy. " + _POLICY),
    row("principal_not_in_workspace",
        Match(DATABRICKS, {FailureKind.NO_PRINCIPAL}),
        Match(DATABRICKS, status={404}, operation=_OAUTH_SECRETS),
        title="The workspace lacks the service principal",
        seen="404 RESOURCE_DOES_NOT_EXIST…",
        cause="{host} has no service principal with application ID {client_id}.",
        remedy=f"Correct client_id, or add the service principal: {PRINCIPALS}."),
    row("principal_ambiguous", Match(DATABRICKS, {FailureKind.PRINCIPAL_AMBIGUOUS}),
        title="The application ID is ambiguous",
        cause="{host} has more than one service principal with application ID {client_id}.",
        remedy=f"Delete the duplicate: {PRINCIPALS}."),
    row("oauth_secret_limit_reached",
        Match(DATABRICKS, status={400, 403, 409, 429}, pattern=r"(?i)(?:limit|maximum|more than|exceed).{0,60}secrets",
              operation={Operation.CREATE_OAUTH_SECRET}),
        Match(DATABRICKS, error_code=r"RESOURCE_LIMIT_EXCEEDED|QUOTA_EXCEEDED|RESOURCE_EXHAUSTED",
              operation={Operation.CREATE_OAUTH_SECRET}),
        title="The service principal has five OAuth secrets",
        seen="400 RESOURCE_LIMIT_EXCEEDED",
        cause="Service principal {client_id} has the maximum of five OAuth secrets.",
        remedy=f"Delete an unused one: {PRINCIPALS} > Secrets."),
    row("workspace_admin_token_rejected",
        Match(DATABRICKS, status={401}, operation=_WORKSPACE_ADMIN),
        Match(DATABRICKS, pattern=r"(?i)\biss(?:uer)? claim|Invalid (?:access )?token", operation=_WORKSPACE_ADMIN),
        title="The workspace rejected your account",
        seen="401 …Expected iss claim to be…",
        cause="Your account belongs to another tenant than {host}, or was revoked.",
        remedy=_OTHER_SIGN_IN),
    row("oauth_secrets_forbidden", Match(DATABRICKS, status={403}, operation=_WORKSPACE_ADMIN),
        title="You cannot manage OAuth secrets",
        seen="403 PERMISSION_DENIED",
        cause="The OAuth secrets of {client_id} require a workspace or account admin.",
        remedy="Run the command as a workspace admin, or join the group admins of {host}. To see your account: `az account "
        "show`"),
    row("oauth_secret_not_active", Match(DATABRICKS, {FailureKind.NOT_ACTIVE}),
        title="The OAuth secret is not active yet",
        seen="401 invalid_client…",
        cause='The latest version of "{secret}" has a future activation date.',
        remedy="Copy the valid OAuth secret of {client_id}. " + _STORE_SECRET),
    row("oauth_secret_rejected",
        Match(DATABRICKS, {FailureKind.ANSWER}, status={400, 401}, error_code=_UNTHROTTLED, operation=_SIGN_INS),
        title="The workspace rejected the OAuth secret",
        seen="401 invalid_client…",
        cause="The OAuth secret is wrong, expired, or deleted, or client_id is wrong.",
        remedy="If {host} has no application ID {client_id}, correct it. " + _ROTATE),
    row("workspace_token_rejected",
        Match(DATABRICKS, status={401}),
        Match(DATABRICKS, pattern=r"Invalid access token|\(token expired\)"),
        seen="403 …Invalid access token.",
        cause="The workspace rejected the access token.",
        remedy=f"Check that {{principal}} is active: {PRINCIPALS}."),
    row("connection_lost",
        Match((*DATABRICKS, *MANAGER, *LOGS), {FailureKind.RESET}),
        Match(DATABRICKS, _UNREACHED, known=(Known.REACHED,)),
        cause="The connection failed or was lost.",
        remedy="Usually temporary. Wait for the next run, or try again.",
        temporary=True),
    row("workspace_unreachable", Match(DATABRICKS, _UNREACHED),
        title="The app cannot connect to the workspace",
        cause="The workspace's host name does not resolve, or the network blocks the connection.",
        remedy="Check host ({host}) and private DNS. With a proxy, check HTTPS_PROXY and REQUESTS_CA_BUNDLE.",
        temporary=True),
)

_CREDENTIAL = (
    row("devops_refuses_workspace",
        Match(DATABRICKS, pattern=r"Invalid Git provider credentials|Remote repo not found",
              known=(Known.TOKEN_STORED, Known.TOKEN_ACCEPTED)),
        title="A policy blocks Azure Databricks",
        seen="403 …Invalid Git provider credentials…",
        cause="A policy blocks Azure Databricks but not the app.",
        remedy="Ask a tenant administrator to allow Azure Databricks for object ID {object_id}. Check the policies of "
        "{organization}."),
    row("stored_token_refused",
        Match(DATABRICKS, pattern=r"Invalid Git provider credentials", known=(Known.TOKEN_STORED,)),
        title="Azure DevOps rejected the stored token",
        seen="403 …Invalid Git provider credentials…",
        cause="The identity cannot read the repository, or a policy blocks Azure Databricks.",
        remedy=_GRANT_DEVOPS),
    row("credential_not_seen", Match(DATABRICKS, pattern=_NO_CREDENTIAL, known=(Known.TOKEN_STORED,)),
        title="The Git credential is not active yet",
        seen="403 …Missing Git provider credentials…",
        cause="The workspace does not use the Git credential of {principal} yet.",
        remedy="Usually temporary. If it persists, contact Azure Databricks support.",
        temporary=True),
    row("credential_expired_or_wrong", Match(DATABRICKS, pattern=r"Invalid Git provider credentials"),
        title="Azure DevOps rejected the Git credential",
        seen="403 …Invalid Git provider credentials…",
        cause="The stored Git credential has expired, or the identity cannot read the repository.",
        remedy="Resolve other failures first. " + _GRANT_DEVOPS),
    row("credential_missing", Match(DATABRICKS, pattern=_NO_CREDENTIAL),
        title="The Git credential is missing",
        seen="403 …Missing Git provider credentials…",
        cause="The principal has no Git credential for Azure DevOps.",
        remedy="Wait for the next run. If the principal is not {principal}, add its numeric ID to additional_principal_ids."),
    row("federated_credential_broken", Match(DATABRICKS, pattern=r"(?i)error with your [\w :\[\]-]{0,60}credentials"),
        seen="403 …error with your Azure Active Directory credentials…",
        cause="The federated Git credential (azureDevOpsServicesAad) does not work.",
        remedy="Repair it in Microsoft Entra, or delete it. " + _DELETE_CREDENTIAL),
    row("credential_limit",
        Match(DATABRICKS, pattern=r"Only one Git credential is supported|Only one credential per provider"),
        title="Another Git credential exists",
        seen="409 …Only one credential per provider…",
        cause="Databricks allows one Git credential per provider, and {principal} has another.",
        remedy=_DELETE_CREDENTIAL),
    row("credential_gone", Match(DATABRICKS, pattern=r"(?i)Git credential with (?:the given )?ID\b"),
        title="The Git credential no longer exists",
        seen="404 …Git credential with the given ID…",
        cause="The Git credential was deleted, or the app does not manage its principal.",
        remedy="Wait for the next run. For additional principals, grant the role Service principal: Manager."),
    row("additional_principal_not_found", Match(DATABRICKS, status={404}, operation=_CREDENTIALS),
        title="The additional service principal does not exist",
        cause="The workspace has no service principal with this numeric ID.",
        remedy="Set its numeric ID from this list: `DATABRICKS_HOST={host} databricks "
        "service-principals list`"),
    row("credential_forbidden", Match(DATABRICKS, status={403}, operation=_CREDENTIALS),
        title="The app cannot manage Git credentials",
        seen="403 PERMISSION_DENIED",
        cause="The app cannot manage the Git credentials of {principal}.",
        remedy="For an additional principal, grant the role Service principal: Manager. Otherwise grant Workspace access, or "
        "run: " + _ONBOARD),
)

_JOBS = (
    row("jobs_forbidden", Match(DATABRICKS, status={403}, operation={Operation.LIST_JOBS}),
        title="The principal cannot list jobs",
        seen="403 PERMISSION_DENIED",
        cause="The workspace does not allow {principal} to list jobs.",
        remedy="Grant Workspace access. For check --jobs, sign in as a workspace admin: `az login`"),
)

_FOLDER = (
    row("branch_diverged",
        Match(DATABRICKS, error_code="GIT_CONFLICT", pattern=r"Conflicting files:\s*$|unrelated histories"),
        *(replace(match, known=(known,)) for known in (Known.DISCARDED, Known.DIVERGED) for match in _CONFLICT),
        title="The branch has diverged",
        seen="400 GIT_CONFLICT…",
        cause="The remote branch was rewritten, or the Git folder has unpushed commits.",
        remedy="In {path}, push the commits that you need, then reset the branch to the remote's."),
    row("git_conflict", *_CONFLICT,
        title="Uncommitted changes block the update",
        seen="400 GIT_CONFLICT…",
        cause="The Git folder has uncommitted changes that conflict with the update{files}.",
        remedy='Commit or revert them in {path}. For a read-only mirror, set "on_conflict": "discard".'),
    row("file_names_collide",
        Match(DATABRICKS, pattern=r"due to conflicting names|cannot contain a notebook with the same name"),
        title="Two files have the same name",
        seen="…due to conflicting names…",
        cause="Two files of {repository} have the same name without the notebook extension.",
        remedy="Rename one of them, and push."),
    row("folder_inconsistent", Match(DATABRICKS, pattern=r"(?i)could be in an inconsistent state"),
        title="The Git folder might be incomplete",
        seen="…inconsistent state…",
        cause="The workspace could not delete directories in {path}.",
        remedy="Save unpushed changes, and delete {path}. If its entry has url, the next run clones it."),
    row("git_certificate_rejected",
        Match(DATABRICKS, pattern=r"(?i)because of SSL problems|SSL certificate problem|certificate verif"),
        title="The Git server's certificate is not trusted",
        seen="…SSL problems…",
        cause="The workspace could not verify the Git server's certificate.",
        remedy="Check the URL ({url}) and the workspace's Git proxy, or contact Azure Databricks support."),
    row("no_remote_repository", Match(DATABRICKS, pattern=r"(?i)Git repository URL (?:is )?missing"),
        title="The Git folder has no remote",
        seen="…Git repository URL missing…",
        cause="The Git folder was created without a remote (git init).",
        remedy="Remove {path} from the list, or add a remote: `git remote add origin {url}`"),
    row("ref_not_found_by_workspace",
        Match(DATABRICKS, error_code="GIT_UNKNOWN_REF", known=(Known.REF_SEEN,)),
        Match(DATABRICKS, pattern=r"Remote branch does not exist", known=(Known.REF_SEEN,)),
        title="The workspace did not find the ref",
        seen="400 GIT_UNKNOWN_REF…",
        cause="{ref} was deleted or renamed, or is not visible to the workspace yet.",
        remedy="Usually temporary. Wait for the next run.",
        temporary=True),
    row("ref_not_found",
        Match(DATABRICKS, error_code="GIT_UNKNOWN_REF"),
        Match(DATABRICKS, pattern=r"Remote branch does not exist"),
        seen="400 GIT_UNKNOWN_REF…",
        cause="{repository} has no such branch or tag.",
        remedy="Correct the branch (main, not origin/main) or tag in the list, or push it."),
    row("repository_not_found", Match(DATABRICKS, pattern=r"Remote repo not found"),
        title="The workspace did not find the repository",
        seen="400 …Remote repo not found…",
        cause="The URL is wrong, the repository is disabled, or the identity cannot read it.",
        remedy="Check the URL ({url}). " + _GRANT_DEVOPS),
    row("url_not_allowed",
        Match(DATABRICKS, error_code="GIT_URL_NOT_ON_ALLOW_LIST"),
        Match(DATABRICKS, pattern=r"is disallowed in your Workspace"),
        title="The Git URL is not allowed",
        seen="…is disallowed in your Workspace…",
        cause="The workspace's Git URL allow list does not contain the URL.",
        remedy="Ask a workspace admin to add {url} (Settings > Development > Git URL allow list)."),
    row("git_remote_error", Match(DATABRICKS, error_code="GIT_REMOTE_ERROR"),
        seen="GIT_REMOTE_ERROR",
        cause="The workspace could not connect to Azure DevOps.",
        remedy="Usually temporary. If it persists, check https://status.dev.azure.com.",
        temporary=True),
    row("path_protected",
        Match(DATABRICKS, error_code="DIRECTORY_PROTECTED"),
        Match(DATABRICKS, pattern=r"^Top-level folder can only contain repos"),
        seen="400 DIRECTORY_PROTECTED…",
        cause="/Repos requires another path depth than {path}.",
        remedy="Set the path in the form /Repos/FOLDER/NAME."),
    row("path_taken",
        Match(DATABRICKS, error_code="RESOURCE_ALREADY_EXISTS"),
        # `git_operation_failed` covers errors of Git itself.
        Match(DATABRICKS, pattern=r"(?s)^(?!There was an error performing the operation).*already exists"),
        title="Another object has this path",
        seen="400 RESOURCE_ALREADY_EXISTS…",
        cause="Another object, or a Git folder that {principal} cannot see, has this path.",
        remedy="Choose another path, or use the Git folder. " + _GRANT_FOLDER),
    row("clone_incomplete", Match(DATABRICKS, pattern=r"Failed to clone repo"),
        seen="Failed to clone repo…",
        cause="The workspace did not finish cloning the repository.",
        remedy="Usually temporary. If it repeats, set sparse in its entry.",
        temporary=True),
    row("folder_not_found",
        Match(DATABRICKS, error_code="RESOURCE_DOES_NOT_EXIST"),
        Match(DATABRICKS, status={404}, operation=_FOLDERS),
        Match(DATABRICKS, pattern=r"^Path \(.*\) doesn't exist"),
        title="The Git folder does not exist",
        seen="404 RESOURCE_DOES_NOT_EXIST…",
        cause="The Git folder does not exist, or {principal} cannot see it.",
        remedy="If it does not exist, set url to clone it. " + _GRANT_FOLDER),
    row("git_operation_timeout", Match(DATABRICKS, error_code="PROJECTS_OPERATION_TIMEOUT"),
        seen="PROJECTS_OPERATION_TIMEOUT",
        cause="The Git operation exceeded the workspace's time limit.",
        remedy="Usually temporary. If it repeats, set sparse in its entry.",
        temporary=True),
    row("git_operation_failed", Match(DATABRICKS, pattern=r"^There was an error performing the operation"),
        seen="500 …There was an error performing the operation…",
        cause="The workspace's Git service failed.",
        remedy="Usually temporary. If it repeats, contact Azure Databricks support with the request ID.",
        temporary=True),
    row("permission_denied",
        Match(DATABRICKS, status={403}),
        Match(DATABRICKS, error_code="PERMISSION_DENIED"),
        title="The workspace denied the request",
        seen="403 PERMISSION_DENIED",
        cause="The workspace denied the request of {principal}.",
        remedy=_GRANT_FOLDER),
)

_RESOURCE_MANAGER = (
    row("azure_wrong_tenant", Match(MANAGER, error_code="InvalidAuthenticationTokenTenant"),
        title="The subscription is in another tenant",
        seen="401 InvalidAuthenticationTokenTenant…",
        cause="The subscription belongs to another tenant than your Azure CLI session.",
        remedy=_SUBSCRIPTION_SIGN_IN),
    row("azure_sign_in_rejected", Match(MANAGER, status={401}),
        seen="401 ExpiredAuthenticationToken",
        cause="Azure Resource Manager rejected your Azure CLI session.",
        remedy="Sign in again: `az login --tenant {tenant}`"),
    row("azure_policy_violation", Match(MANAGER, error_code="RequestDisallowedByPolicy"),
        seen="403 RequestDisallowedByPolicy",
        cause="An Azure Policy denies this change.",
        remedy="Ask the subscription owner for the policy (Policy > Compliance)."),
    row("app_settings_forbidden",
        Match(MANAGER, status={403}, operation={Operation.READ_APP_SETTINGS, Operation.SET_APP_SETTINGS}),
        seen="403 AuthorizationFailed",
        cause="Your account cannot read or set app settings.",
        remedy="Ask an Owner of the app to assign Website Contributor: `az role assignment create --assignee USER_NAME "
        '--role "Website Contributor" --scope '
        "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Web/sites/{app}`"),
    row("alert_rules_forbidden",
        Match(MANAGER, status={403}, operation={Operation.LIST_ALERT_RULES, Operation.ENABLE_ALERT_RULE}),
        seen="403 AuthorizationFailed",
        cause="Your account cannot read or enable alert rules.",
        remedy="Ask an Owner of the resource group to assign Monitoring Contributor: `az role assignment create --assignee "
        'USER_NAME --role "Monitoring Contributor" --scope /subscriptions/{subscription}/resourceGroups/{group}`'),
    row("azure_permission_missing", Match(MANAGER, status={403}),
        seen="403 AuthorizationFailed",
        cause="Your account has no role for this request.",
        remedy="Ask an Owner of the subscription to assign Reader: `az role assignment create --assignee USER_NAME --role "
        "Reader --scope /subscriptions/{subscription}`"),
    row("subscription_not_found",
        Match(MANAGER, status={404, 400}, error_code="SubscriptionNotFound|InvalidSubscriptionId"),
        title="The subscription does not exist",
        seen="404 SubscriptionNotFound",
        cause="The subscription does not exist, or your account has no role in it.",
        remedy="Correct --subscription (IDs: portal > Subscriptions)."),
    row("azure_resource_locked", Match(MANAGER, status={409}, error_code="ScopeLocked"),
        title="A lock prevents changes",
        seen="409 ScopeLocked",
        cause="A lock on the app or its resource group prevents changes.",
        remedy="Ask the resource group's owner to delete it. To list locks: `az lock list --resource-group {group} --output "
        "table`"),
    row("app_update_in_progress", Match(MANAGER, status={409}),
        seen="409 Conflict",
        cause="Another change of the app is in progress.",
        remedy="Usually temporary. Run the command again in a minute."),
)

_LOGS = (
    row("logs_wrong_tenant",
        Match(LOGS, status={401}),
        Match(LOGS, status={403}, error_code=r"InvalidAuthenticationToken|InvalidTokenIssuer"),
        title="The logs belong to another tenant",
        seen="401 AuthenticationFailed",
        cause="Log Analytics rejected your account, probably because of another tenant.",
        remedy=_SUBSCRIPTION_SIGN_IN),
    row("logs_forbidden", Match(LOGS, status={403}),
        seen="403 InsufficientAccessError",
        cause="Your account cannot read the logs of {app}.",
        remedy="Ask an Owner or User Access Administrator to assign Log Analytics Reader: `az role assignment create --assignee "
        '{object_id} --role "Log Analytics Reader" --scope {component}`'),
    row("logs_not_found", Match(LOGS, status={404}),
        title="The Application Insights component does not exist",
        seen="404 PathNotFoundError",
        cause="Application Insights component {component} was deleted or moved.",
        remedy="Connect {app} to a component (Function App > Application Insights)."),
    row("logs_empty", Match(LOGS, status={400}, error_code="SemanticError|SEM0100"),
        title="The app has no log lines yet",
        seen="400 SemanticError",
        cause="The Application Insights component of {app} has no log lines yet.",
        remedy="Wait some minutes after the first run, or check Function App > Overview."),
    row("logs_too_large", Match(LOGS, {FailureKind.TOO_LARGE}),
        title="The time range has too many log lines",
        cause="The time range has more log lines than one query returns.",
        remedy="Choose a shorter time range: `{program} runs --app {app} --since 6h`"),
)

_ANY = (
    row("proxy_sign_in", Match(kind={FailureKind.PROXY_AUTH}),
        title="The proxy requires a user name and password",
        seen="Tunnel connection failed: 407…",
        cause="The proxy {proxy} rejected the credentials in {proxy_variable}, or they are missing.",
        remedy="Set {proxy_variable} to http://USER:PASSWORD@PROXY:PORT, percent-encoded. If the proxy requires Windows "
        "authentication, ask its operator."),
    row("proxy_unusable", Match(kind={FailureKind.PROXY_UNUSABLE}),
        title="The proxy URL is invalid",
        cause="{proxy_variable} contains an invalid URL, so the app sent nothing.",
        remedy="Set {proxy_variable} to http://PROXY:PORT or http://USER:PASSWORD@PROXY:PORT, percent-encoded."),
    row("too_many_open_files", Match(kind={FailureKind.DESCRIPTORS}),
        cause="This process reached its limit of open files.",
        remedy="In Azure, lower REFRESH_CONCURRENCY. On a laptop: `ulimit -n 1024`"),
    row("out_of_time", Match(kind={FailureKind.OUT_OF_TIME}),
        title="The run ran out of time",
        cause="The run ran out of time before this step.",
        remedy="Usually temporary. If it repeats, raise REFRESH_TIMEOUT_SECONDS (below functionTimeout) or "
        "REFRESH_CONCURRENCY.",
        temporary=True),
    row("timeout", Match(kind={FailureKind.TIMEOUT, FailureKind.LOST}),
        title="The service did not respond in time",
        cause="{service} did not respond in time, and might have completed the request.",
        remedy="Usually temporary. If it repeats, set sparse (Git folder), or check service and network.",
        temporary=True),
    row("throttled",
        Match(status={429}),
        Match(error_code="REQUEST_LIMIT_EXCEEDED"),
        title="The service throttled the requests",
        seen="429",
        cause="{service} throttled the requests for longer than the app waits.",
        remedy="Usually temporary. If it persists, set a less frequent REFRESH_SCHEDULE or lower "
        "REFRESH_CONCURRENCY.",
        temporary=True),
    row("service_unavailable", Match(status={500, 502, 503, 504}),
        seen="503",
        cause="{service} reported an error of its own.",
        remedy="Usually temporary. If it persists, contact its support with the request ID.",
        temporary=True),
    row("answer_too_large", Match(kind={FailureKind.TOO_LARGE}),
        title="The response exceeded the size limit",
        cause="{service} returned a response above the size limit.",
        remedy="Check that {address} is correct, and that no proxy responds instead."),
    row("unexpected_answer",
        Match(kind={FailureKind.UNEXPECTED, FailureKind.NOT_SENT}),
        Match(status={203, 301, 302, 303, 307, 308}),
        title="The response was unexpected",
        seen="200 <html>…",
        cause="{service}, or a proxy or sign-in page, returned an undocumented response.",
        remedy="Check that {address} is correct. If it is, report the request ID."),
)

# fmt: on

CLOSED = frozenset(
    {"workspace_private_link", "workspace_ip_blocked", "workspace_network_denied", "workspace_blocked"}
)
"""Codes of failures in which a workspace blocks the network, for every caller."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Cause and remedy of a TLS failure that replace those of the row."""

    pattern: str
    """Regular expression to search for in OpenSSL's reason, in any letter case."""
    cause: str
    remedy: str
    remedy_with_bundle: str = ""
    """Remedy if an environment variable names the CA certificates; empty if it is the same."""


CERTIFICATES = (
    Certificate(
        r"wrong version number|http request|unknown protocol|packet length|record layer",
        "The other end does not speak TLS, possibly because a proxy URL has https:// instead of http://.",
        "With a proxy, use http:// in {proxy_variable}. Otherwise check the server at {address}.",
    ),
    Certificate(
        r"alert|eof|handshake|protocol|cipher|^certificate verify failed$",
        "A firewall or proxy might have closed the TLS connection before the request.",
        "Ask the network operator which device closes TLS connections to {address}.",
    ),
    Certificate(
        r"has expired",
        "The certificate of {service} or a proxy has expired, or this machine's clock is ahead.",
        "Check this machine's clock. If it is right, ask the operator of {address} or the proxy to renew the certificate.",
    ),
    Certificate(
        r"not yet valid",
        "The certificate of {service} or a proxy is not yet valid, or this machine's clock is behind.",
        "Check this machine's clock. If it is right, ask the operator of {address} or the proxy to replace the certificate.",
    ),
    Certificate(
        r"mismatch|not valid for",
        "The certificate is for another host, because a DNS record or proxy points to the wrong server.",
        "Check the DNS record of {address}, and the proxy if you use one.",
    ),
    Certificate(
        r"unable to get .*issuer|self.signed|unable to verify",
        "The certificate's issuer is not trusted here, usually because a proxy replaced the certificate of {service}.",
        "Set REQUESTS_CA_BUNDLE to a PEM file with the public certificates and the issuer's root and intermediate certificates.",
        "Add the issuer's root and intermediate certificates to the PEM file in {bundle}.",
    ),
    Certificate(
        r"revoked",
        "The certificate of {service} or a proxy was revoked.",
        "Ask the operator of {address} or the proxy to replace the certificate.",
    ),
    Certificate(
        r"",
        "A certificate, usually a proxy's, breaks a rule that Python 3.13 enforces (RFC 5280).",
        "Ask the proxy's operator to issue the certificate again. If the network allows it, add {address} to NO_PROXY.",
    ),
)

TABLE = (
    *_IDENTITY,
    *_OTHER_TENANT,
    *_KEY_VAULT,
    *_AZURE_DEVOPS,
    *_SIGN_IN,
    *_CREDENTIAL,
    *_JOBS,
    *_FOLDER,
    *_STORAGE,
    *_RESOURCE_MANAGER,
    *_LOGS,
    *_ANY,
)
"""Failures of services, in the order of matching."""

UNKNOWN = row(
    "unknown",
    title="The app does not know the reason",
    cause="{service} returned a reason that the app does not know.",
    remedy="Search the service's documentation for the error code, or report it with the request ID.",
)


def _also_found(code: str, message: str) -> Row:
    """Return a row of `TABLE` as a finding that the app also makes without a service's response."""
    return replace(next(row for row in TABLE if row.code == code), matches=(), seen="", message=message)


# fmt: off
_OWN_SETTINGS = (
    row("invalid_settings",
        title="An app setting is invalid",
        message="{problem}",
        cause="An app setting, or this entry of it, is invalid.",
        remedy="Correct it as the message says."),
    row("invalid_folder",
        title="A folder's entry is invalid",
        message="{problem}",
        cause="The folder's entry is invalid, so the app skipped it.",
        remedy="Correct it as the message says."),
    row("unused_secret_name",
        title="client_secret_name has no effect",
        message="client_secret_name of {workspaces} is not used: auth is {auth}.",
        cause="The app reads a secret only with auth oauth_secret.",
        remedy='Remove client_secret_name, or set "auth": "oauth_secret".'),
    row("misspelled_setting",
        message="This is not a setting of this app; did you mean {meant}?",
        cause="The app ignores a misspelled app setting.",
        remedy="Correct its name, or remove it."),
    row("setting_renamed",
        title="An app setting has a new name",
        message="This {understood}.",
        cause="The old name still has its previous effect.",
        remedy="Use the new name."),
    row("setting_understood",
        title="A value has an unusual form",
        message="This {understood}.",
        cause="The value has an unusual but clear form.",
        remedy="No action needed, or set the value that the message names."),
    row("schedule_surprising",
        title="The schedule might not mean what you expect",
        message="{found}; {advice}.",
        cause="The Functions host might read this schedule differently than you expect.",
        remedy="Correct the schedule, unless you want these times."),
    row("time_zone_ignored",
        title="The time zone setting has no effect",
        message="The Functions host reads REFRESH_SCHEDULE in UTC and ignores this setting.",
        cause="A Flex Consumption plan does not support time zones.",
        remedy="Remove the setting, and use UTC in REFRESH_SCHEDULE."),
    row("function_disabled",
        title="The function is disabled",
        message="The function {function} is disabled, so no run starts.",
        cause="The Functions host does not call a disabled function.",
        remedy="To enable it, delete this app setting."),
    row("long_setting",
        title="An app setting is too long",
        message="{setting} has {size} bytes, and at most {most} fit.",
        cause="The app fails if an app setting, as NAME=value, exceeds 131,071 bytes.",
        remedy="Move shared keys to WORKSPACE_DEFAULTS, remove optional name keys, and replace similar paths with one ending "
        "in /*."),
    row("unknown_setting",
        message="This is not a setting of this app or of its platform.",
        cause="The setting has no effect on the app.",
        remedy="Remove it, or correct its name (see docs/configuration.md)."),
    row("proxy_surprising",
        title="The proxy URL might be wrong",
        message="{found}; {advice}.",
        cause="Connections to Azure use the proxy in this environment variable.",
        remedy="Correct the variable."),
    row("ignored_setting",
        title="A file cannot set this",
        message="This cannot be set in a file.",
        cause="A file sets only app settings, not proxies or certificates.",
        remedy="No action needed for the deployed app. Set it in the environment of a command."),
)

_OWN_IDENTITY = (
    row("identity_not_in_tenant",
        title="The tenant does not have the identity",
        message="Tenant {tenant} has no identity {id}.",
        cause="The Azure CLI uses another tenant than the app, or the ID is wrong.",
        remedy="Sign in to the app's tenant, or correct the ID. " + _IDENTITIES),
    row("not_a_managed_identity",
        title="The ID belongs to an app registration",
        message="In tenant {tenant}, {id} is an application, not a managed identity.",
        cause="AZURE_CLIENT_ID, identity, or --object-id names an app registration.",
        remedy="Use the ID of the managed identity. " + _IDENTITIES),
    row("clock_skew",
        title="This machine's clock is wrong",
        message="This machine's clock is {minutes} minutes {direction}.",
        cause="Expiration times are wrong by the same amount.",
        remedy="Set this machine's clock."),
)

_OWN_OTHER_TENANT = (
    row("no_consent",
        title="The app registration lacks admin consent",
        message="Tenant {tenant} has no service principal of app registration {registration}.",
        cause="devops.client_id is wrong, or the app registration lacks admin consent there.",
        remedy="Ask {who} to run: `{command}`"),
)

_OWN_KEY_VAULT = (
    row("secret_expires_soon",
        title="The OAuth secret expires soon",
        message="The secret {ends}.",
        cause="The app cannot authenticate with an expired secret.",
        remedy=_ROTATE),
    row("secret_not_yet_valid",
        title="The secret has a future activation date",
        message="The activation date of the secret is {begins}.",
        cause="Key Vault returns the secret before its activation date.",
        remedy="No action needed if the app can sign in. Otherwise correct the date of {secret} in {vault}."),
    row("secret_without_expiration",
        title="The secret has no expiration date",
        message="The secret is readable but has no expiration date.",
        cause="Without the date, no warning appears before the OAuth secret expires.",
        remedy=f"Find the date ({PRINCIPALS} > Secrets), and set it: `az keyvault secret set-attributes --vault-name "
        "{vault_name} --name {secret} --expires YYYY-MM-DDT00:00:00Z`"),
    row("secret_shared_by_principals",
        title="Several service principals share a secret name",
        message='Several client_id values use client_secret_name "{secret}": {client_ids}.',
        cause="A secret belongs to only one service principal.",
        remedy="Set a separate client_secret_name for each client_id."),
    row("secret_of_another_principal",
        title="The secret belongs to another service principal",
        message='"{secret}" has tags of service principal {other}, but the list uses {client_id}.',
        cause="A new secret would break the other's authentication.",
        remedy="Correct client_id or client_secret_name. Otherwise create an OAuth secret of {client_id} in {host}. " + _STORE_SECRET),
    row("oauth_secret_limit_near",
        title="The service principal has four OAuth secrets",
        message="Service principal {client_id} already has {count} OAuth secrets: {there}.",
        cause="The limit is five, and the app leaves one free for emergencies.",
        remedy=_DELETE_SECRET),
    row("scopes_differ",
        title="The scopes of the secret are unknown",
        message="The OAuth secrets of {client_id} have different scopes ({scopes}).",
        cause='No tag of "{secret}" identifies the OAuth secret in use.',
        remedy="Set its ID as a tag, with all other tags to keep: `az keyvault secret set-attributes --vault-name "
        "{vault_name} --name {secret} --tags databricks-client-id={client_id} databricks-secret-id={oauth_secret}`"),
    row("unknown_oauth_secret",
        title="An OAuth secret is not in Key Vault",
        message="OAuth secret {oauth_secret} of {client_id} (created {made}, {ends}) is not in {vault}.",
        cause="The OAuth secret was created manually, is stored elsewhere, or was never stored.",
        remedy="Check that it is unused and older than a day. " + _DELETE_SECRET),
    row("unproven_oauth_secret",
        title="An OAuth secret was tagged manually",
        message="OAuth secret {oauth_secret} of {client_id} (created {made}, {ends}) was not stored by rotate.",
        cause="The tag was set manually or copied, so the OAuth secret might be in use.",
        remedy="Check that no vault or list uses it. " + _DELETE_SECRET),
    row("untagged_oauth_secret",
        title="An OAuth secret might be in use",
        message="OAuth secret {oauth_secret} of {client_id} (created {made}, {ends}) might be in use.",
        cause='"{secret}" has no tag that identifies its OAuth secret.',
        remedy="Rotate the secret, and wait a day. " + _DELETE_SECRET),
    row("new_secret_rejected",
        title="A workspace rejected the new OAuth secret",
        message="{places} did not accept new OAuth secret {oauth_secret} within {seconds} seconds.",
        cause="The service principal might be inactive in the workspace. The previous secret remains in use.",
        remedy="Run the command again in a few minutes, check {client_id} in {host}, or remove the workspace from the list."),
    row("new_secret_untried",
        title="A workspace could not test the new secret",
        message="Stored no new OAuth secret, because {places} could not test it.",
        cause="Every workspace that uses a new secret must accept it first.",
        remedy="Check {host}, or remove a deleted workspace from the list. To skip unreachable ones: `{program} rotate {secret}{options} "
        "--apply --allow-unreachable`"),
    row("new_secret_unexpected",
        title="The workspace returned an unexpected OAuth secret",
        message="{host} returned unexpected OAuth secret {oauth_secret}: {why}.",
        cause="The response does not match the request, so the app stored nothing.",
        remedy="Run the command again, put another workspace first, or set the lifetime: `{program} rotate {secret}{options} "
        "--lifetime 180d --apply`"),
    row("new_secret_not_visible",
        title="Key Vault does not show the new secret",
        message="Could not confirm that Key Vault stored OAuth secret {oauth_secret}.",
        cause="The response was lost, or Key Vault is late. Nothing was deleted.",
        remedy="Run the command again in a few minutes."),
)

_OWN_SIGN_IN = (
    row("read_as_admin",
        title="A workspace was read with your account",
        message="Workspaces with auth federated were read with your Azure CLI account.",
        cause="Only the app's identity can use token federation.",
        remedy="No action needed. Only a run of the app tests the app's access."),
    row("run_needs_app",
        title="Only the app can sign in",
        message="Only the deployed app can sign in to {names}.",
        cause="Token federation does not work for a user account.",
        remedy="Start the app in the portal (Function App > refresh_git > Test/Run) or run: `curl --fail --request POST "
        "\"https://$(az functionapp show --name {app} --resource-group {group} --query 'properties.defaultHostName || "
        "defaultHostName' --output tsv)/admin/functions/refresh_git\" --header \"x-functions-key: $(az functionapp keys list "
        "--name {app} --resource-group {group} --query masterKey --output tsv)\" --header 'Content-Type: application/json' "
        "--data '{\"input\": \"\"}'`"),
)

_OWN_CREDENTIAL = (
    row("federated_credential",
        title="The Git credential is federated",
        message="Git credential {id} of {principal} is federated.",
        cause="Databricks renews a federated credential, and the app stores a second one.",
        remedy="If it works, remove the workspace or principal from the list. Otherwise, as {principal}, delete it: "
        "`DATABRICKS_HOST={host} databricks git-credentials delete {id}`"),
    row("foreign_credential",
        title="Another tool created the Git credential",
        message="The app did not create Git credential {id}: {owner}.",
        cause="Databricks allows only one for {principal}, so each run replaces the token.",
        remedy="Use a separate service principal for the app. Otherwise, as {principal}, delete the credential once: "
        "`DATABRICKS_HOST={host} databricks git-credentials delete {id}`"),
    row("second_credential",
        title="A second Git credential exists",
        message="Git credential {other} is also for Azure DevOps, like {id}.",
        cause="Databricks might use either credential, but the app refreshes only one.",
        remedy=_DELETE_CREDENTIAL),
)

_OWN_FOLDER = (
    row("folder_misspelled",
        message="{path} does not exist, but the Git folder {nearest} does.",
        cause="The path is probably misspelled.",
        remedy="Correct the path, or grant {principal} CAN MANAGE on {path}."),
    row("not_a_git_folder",
        message="{path} is a {type}, not a Git folder.",
        cause="Another object is at this path.",
        remedy="Choose another path, or move the object."),
    row("directory_of_git_folders",
        message="{path} is a directory of Git folders, not a Git folder itself.",
        cause="The Git folders are below this path.",
        remedy="Set the path to {path}/* without url, or to one Git folder."),
    row("inside_git_folder",
        message="{path} is inside the Git folder {folder}.",
        cause="The app can update only whole Git folders.",
        remedy="Set the Git folder's own path."),
    row("broken_git_folder",
        title="The Git folder has no repository",
        message="{path} is a Git folder without a repository.",
        cause="A failed attempt to create the Git folder left it behind.",
        remedy="If {path} is not needed, delete it. The next run creates it if its entry has url."),
    row("pattern_in_git_folder",
        title="The path pattern is inside a Git folder",
        message="{path} is in the Git folder {folder}, so it contains no Git folder.",
        cause="A path ending in /* needs a directory of Git folders.",
        remedy="Set the Git folder's own path, without /*."),
    row("pattern_not_a_directory",
        message="{path} is a {type}, so it contains no Git folder.",
        cause="A path ending in /* needs a directory.",
        remedy="Set the path of the directory, followed by /*."),
    row("pattern_too_wide",
        title="The path pattern is too broad",
        message="{path} was not searched for Git folders: the search ended after {bound}.",
        cause="The path is too far above the Git folders.",
        remedy="Use paths nearer to the Git folders, or their own paths."),
    row("pattern_wide",
        message="The search for Git folders below {path} takes {count} requests.",
        cause="Each run reads every directory below the path.",
        remedy="No action needed if runs finish in time. Otherwise use paths nearer to the Git folders."),
    row("wrong_repository",
        title="The Git folder clones another repository",
        message="{path} is a clone of {found}, not of {wanted}.",
        cause="The list contains another URL.",
        remedy="Correct url or path, or delete {path} so the next run clones it."),
    row("not_azure_devops",
        message="{path} is a clone of a repository outside Azure DevOps.",
        cause="The app refreshes credentials only for Azure DevOps.",
        remedy="Remove {path} from the list or --folder. A path ending in /* skips it."),
    row("remote_not_https",
        title="The remote URL is not HTTPS",
        message="The remote URL of {path} is not the HTTPS URL of the repository.",
        cause="The Git credential works only with an HTTPS URL.",
        remedy=_REMOTE),
    row("remote_password",
        title="The remote URL contains a password",
        message="The remote URL of {path} contains a password or a token.",
        cause="Everyone who can view the Git folder can read the password.",
        remedy="Revoke it in Azure DevOps. " + _REMOTE),
    row("remote_password_rejected",
        title="Azure DevOps rejected the password in the URL",
        message="{happened}",
        cause="Azure DevOps rejected the password or token in the remote URL.",
        remedy=_REMOTE),
    row("branch_gone",
        title="The Git folder's branch does not exist",
        message="{ref}, which {path} is on, does not exist in Azure DevOps{nearest}.",
        cause="The branch was deleted or was never pushed.",
        remedy='Switch {path} to another branch, or add to its entry: "path": "{path}", "branch": "NAME".'),
    row("commit_as_ref",
        title="A commit ID is not a branch",
        message="{repository} has no branch or tag of this name, and {ref} resembles a commit ID.",
        cause="A Git folder takes a branch or tag, not a commit ID.",
        remedy='Tag commit {commit}, push the tag, and set "tag" in place of "branch".'),
    row("repository_empty",
        title="The repository has no commit",
        message="{repository} has no commit yet.",
        cause="The repository has no branch to clone or pull.",
        remedy="Push a first commit to {url}. The next run continues."),
    row("local_commits",
        title="The Git folder has unpushed commits",
        message="{path} is not at the latest commit of {ref} after the update.",
        cause="The Git folder has unpushed commits, which even on_conflict discard keeps.",
        remedy="In {path}, push them, or reset the branch to the remote's."),
    row("folder_permission",
        title="The app might lack CAN MANAGE",
        message="{path} is not in the workspace's list of Git folders.",
        cause="The workspace lists only Git folders with CAN MANAGE.",
        remedy=_GRANT_FOLDER),
    row("folder_detached",
        title="The Git folder has a detached HEAD",
        message="{path} has a detached HEAD, and its entry has neither branch nor tag.",
        cause="Usually a tag was removed from the entry.",
        remedy='Set a branch or tag: "path": "{path}", "branch": "NAME".'),
    row("changes_discarded",
        title="Uncommitted changes might be lost",
        message="If {path} had uncommitted changes, they {done} lost.",
        cause='The entry has "on_conflict": "discard".',
        remedy='No action needed for a read-only mirror. Otherwise remove "on_conflict".'),
    row("no_folder_matched",
        title="The path pattern matches no Git folder",
        message="The app can see no Git folder below {path}.",
        cause="The path is wrong, or {principal} lacks CAN MANAGE.",
        remedy="Correct the path. " + _GRANT_FOLDER),
    row("folder_not_listed",
        title="The Git folder of --folder is not visible",
        message="The app can see no Git folder at {path}.",
        cause="The Git folder does not exist, or {principal} lacks CAN MANAGE.",
        remedy="Correct --folder. " + _GRANT_FOLDER),
)

_OWN_JOBS = (
    row("job_principal_not_refreshed",
        title="The app does not refresh the job's credential",
        message="The job runs as {principal}, whose Git credential the app does not refresh{unseen}.",
        cause="A job clones with the Git credential of its Run as identity.",
        remedy="{refreshing}"),
    row("job_credential_missing",
        title="The job's Git credential does not exist yet",
        message="The job runs as {principal}, which has no Git credential for Azure DevOps yet.",
        cause="No run has stored the Git credential yet.",
        remedy="Wait for the next run. If it repeats, check the app's log."),
    row("job_wrong_provider",
        title="The job has another Git provider",
        message="The job's git_provider is \"{found}\", and its repository is in Azure DevOps.",
        cause="The job uses a Git credential of another provider.",
        remedy='In git_source, set "git_provider": "azureDevOpsServices" (not azureDevOpsServicesAad).'),
    row("job_bad_url",
        title="The job's git_url is wrong",
        message="The job's git_url {found} {problem}.",
        cause="An Azure DevOps credential does not work with this URL.",
        remedy="Set git_url to the HTTPS clone URL, or correct git_provider."),
    row("job_secret_in_url",
        title="The job's git_url contains a password",
        message="The job's git_url contains a password or a token.",
        cause="Everyone who can view the job can read the password.",
        remedy="Revoke it in Azure DevOps, and remove it from git_url."),
    row("job_repository_not_readable",
        title="The identity cannot read a job's repository",
        message="{happened}",
        cause="No job with the app's credential is known to clone it.",
        remedy="No action needed. The jobs' branches, tags, and commits were not checked."),
    row("job_ref_not_found",
        title="The job's branch or tag does not exist",
        message="{ref} does not exist in {repository}{nearest}.",
        cause="{url} has no branch, tag, or commit of this name.",
        remedy="Correct git_source (main, not origin/main), or push it."),
)

_OWN_RUNS = (
    row("token_expires_before_next_run",
        title="The token expires before the next run",
        message="The token {which} expires at {ends}, and {next_run}.",
        cause="Pulls fail between the token's expiration and the next run.",
        remedy="Set a more frequent REFRESH_SCHEDULE."),
    row("interrupted",
        title="The command was interrupted",
        message="The command was interrupted before this step finished.",
        cause="You pressed Ctrl+C. A request in progress might still have succeeded.",
        remedy="Run the command again. It skips completed work."),
    row("late_run",
        title="The run started late",
        message="This run started {minutes} minutes late.",
        cause="{late_because} Pulls might have failed.",
        remedy="No action needed after a deployment. Otherwise set a less frequent REFRESH_SCHEDULE, or check the app (Diagnose "
        "and solve problems)."),
    row("internal_error",
        message="{error}{place}.",
        cause="This is a bug in the app.",
        remedy="Report it to the maintainers, with the message."),
    row("run_not_completed",
        title="The platform stopped the run",
        message="No log line shows how this run ended.",
        cause="The platform stopped the run for its duration, its memory, or a restart.",
        remedy="No action needed if a later run succeeded. Otherwise check Function App > refresh_git > Invocations."),
    row("run_overdue",
        title="A scheduled run is missing",
        message="No run ended between {last} and {until}. One was due at {due}.",
        cause="The function is disabled, the app is stopped, or its storage is unavailable.",
        remedy="Check Function App > Overview. " + _FUNCTIONS),
    row("no_run_logged",
        title="The logs show no run",
        message="The logs show no run in the last {since}.",
        cause="The function is disabled, the app is not deployed, or log lines are delayed.",
        remedy="Check Function App > Overview. " + _FUNCTIONS),
    row("component_not_found",
        title="The Application Insights component is not visible",
        message="Function app {app} has no Application Insights component.",
        cause="The component does not exist, or your account cannot read it.",
        remedy="Connect the app (Function App > Application Insights), or get the role Reader."),
    row("stored_token_expired",
        title="The stored token has expired",
        message="{what}.",
        cause="No later run stored a token, so pulls and jobs fail.",
        remedy="Show the failures: `{program} runs --app {app} --failed`"),
)

_OWN_FAN_OUT = (
    row("slice_too_late",
        title="The slice's message has expired",
        message="Skipped slice {slice} of {slices}: its message expired at {until}.",
        cause="The message waited until the next run was due.",
        remedy="No action needed once. If it repeats, raise maximumInstanceCount or set a less frequent REFRESH_SCHEDULE."),
    row("message_unreadable",
        title="The app cannot read a queue message",
        message="A message on the queue {why}.",
        cause="Another version of the app or another client wrote the message.",
        remedy="No action needed after an upgrade. Otherwise check the queue's clients."),
    row("workspace_not_listed",
        title="A message names unknown workspaces",
        message="The message names workspaces that are not in WORKSPACES: {count}.",
        cause="The list changed after the app queued the message, or another client wrote it.",
        remedy="No action needed after a change of the list. Otherwise check the queue's clients."),
    row("slice_duplicate",
        title="The slice was queued twice",
        message="Another message contains slice {slice} of {slices}.",
        cause="The queue contained the slice twice. The app discarded this message.",
        remedy="No action needed."),
    row("slice_already_completed",
        title="The slice is already completed",
        message="Slice {slice} of {slices} is already completed.",
        cause="Azure Functions redelivered the message. The next run retries the slice.",
        remedy="No action needed."),
    row("slice_abandoned",
        title="The slice was abandoned",
        message="Slice {slice} of {slices} was abandoned: its worker exited {times} times.",
        cause="The worker process exited repeatedly, possibly for lack of memory.",
        remedy="Check the log at that time. If memory is low, raise instanceMemoryMB in infra/."),
    row("slice_not_completed",
        title="A slice was not completed",
        message="Workspaces without a log line from before the next run: {count} ({places}).",
        cause="No worker refreshed the workspaces in time.",
        remedy="No action needed if the next run succeeded. Otherwise raise maximumInstanceCount or instanceMemoryMB in "
        "infra/."),
)

_OWN_PERMISSIONS = (
    row("grant_refused",
        title="You lack the required role",
        message="{happened}",
        cause="This step requires {who}. Your account lacks the role or uses another tenant.",
        remedy="Sign in with such an account, or ask an administrator to run: `{command}`"),
    row("grant_not_visible",
        title="The grant is not visible yet",
        message="The grant is not visible 30 seconds after the request succeeded.",
        cause="The service shows grants late, or another administrator removed it.",
        remedy="Run onboard again in a few minutes."),
    row("check_timed_out",
        title="The check timed out",
        message="Timed out before {host} was checked.",
        cause="The services responded too late.",
        remedy="Run the command again. Completed grants remain."),
    row("member_cannot_sign_in",
        title="The identity's access is not active",
        message="The identity's access level in organization {organization} has status {status}.",
        cause="The identity's access was disabled or has expired.",
        remedy="Restore it in https://dev.azure.com/{organization}/_settings/users, then run onboard again."),
    row("principal_not_in_account",
        title="The account lacks the service principal",
        message="The Databricks account has no service principal with application ID {client_id}.",
        cause="client_id is misspelled, or belongs to another account.",
        remedy=f"Set one from the list: `{IN_ACCOUNT} databricks account service-principals list` Or remove client_id, and "
        "create one: `{program} onboard{options} --new-principal git-refresh --apply`"),
    row("principal_inactive",
        title="The service principal is inactive",
        message="Service principal {client_id} is not active in {host}.",
        cause="A workspace admin deactivated the service principal.",
        remedy=f"Activate it: {PRINCIPALS}."),
    row("no_account_id",
        title="The Databricks account is unknown",
        message="Could not determine the Databricks account of {host}.",
        cause="The workspace does not report its account ID.",
        remedy="Add --account-id with the ID in the user menu of https://accounts.azuredatabricks.net."),
    row("accounts_differ",
        title="The workspaces belong to different accounts",
        message="The workspaces of the list report different Databricks accounts: {ids}.",
        cause="All workspaces of a list must belong to one account.",
        remedy="Add --account-id with the correct account, or split the list."),
    row("grant_too_broad",
        title="The directory is too broad for CAN MANAGE",
        message="Did not grant CAN MANAGE on {path}, which is broader than the list needs.",
        cause="The path is a shared directory or a home directory.",
        remedy="Use a separate directory such as /Workspace/Shared/etl/main or /Repos/etl/*. List existing Git folders by "
        "their own paths."),
    row("no_workspace_id",
        title="The URL does not contain the workspace ID",
        message="The URL {host} does not contain the workspace ID.",
        cause="Only URLs such as https://adb-1234567890123456.7.azuredatabricks.net contain the ID.",
        remedy="Ask an account admin to assign the service principal (account console > Workspaces > Permissions)."),
    row("manager_missing",
        title="The role Service principal: Manager is missing",
        message="Service principal {client_id} cannot refresh the Git credential of {id} (additional_principal_ids).",
        cause="The app's service principal {client_id} lacks the role Service principal: Manager.",
        remedy=f"Ask an account admin or manager to grant it ({PRINCIPALS} > {{principal}} > Permissions)."),
    row("principal_name_taken",
        title="The service principal's name already exists",
        message="{host} already has {count} named {name}, application ID {ids}.",
        cause="Names are not unique, so onboard cannot choose one.",
        remedy="Set client_id in WORKSPACE_DEFAULTS, or use another name: --new-principal NAME."),
)

_OWN_DEPLOYMENT = (
    row("function_app_not_found",
        title="The function app does not exist",
        message="Subscription {subscription} has no function app {app}.",
        cause="The name is wrong, or your account has no role on the app.",
        remedy="Correct --app, --resource-group, or --subscription."),
    row("function_app_elsewhere",
        message="Function app {app} is in another subscription, {subscription}.",
        cause="The Azure CLI uses a different subscription.",
        remedy="Add --subscription {subscription}."),
    row("function_app_ambiguous",
        title="The function app's name is ambiguous",
        message="Subscription {subscription} has several function apps {app}, in resource groups {groups}.",
        cause="Apps with a unique default host name can have the same name.",
        remedy="Add --resource-group NAME."),
    row("subscription_not_chosen",
        title="The Azure CLI uses no subscription",
        message="The Azure CLI uses no subscription.",
        cause="Your account has no role in any subscription of the tenant.",
        remedy="Sign in to the app's tenant, and select the subscription: `az login --tenant {tenant}`"),
    row("not_a_git_refresh_app",
        title="The function app is not this app",
        message="Function app {app} has no setting of this app.",
        cause="--app is wrong, or all app settings were deleted.",
        remedy="Correct --app. If the settings were deleted, deploy infra/ again."),
    row("no_previous_settings",
        title="The app has no previous settings",
        message="Function app {app} has no previous settings to restore.",
        cause="The app has its first list, or app settings PREVIOUS_* are missing.",
        remedy="Deploy a list from your repository's history."),
    row("defaults_removed",
        title="deploy removes WORKSPACE_DEFAULTS",
        message="The file has no WORKSPACE_DEFAULTS, so deploy removes the app's.",
        cause="The app's defaults belong to its previous entries.",
        remedy="No action needed if the entries need none. Otherwise add them to the file."),
    row("file_is_previous",
        message="The file is the list from before the app's last deployment.",
        cause="The file might be an older list.",
        remedy="No action needed if you want this list. Otherwise get the latest."),
    row("previous_too_long",
        title="Previous settings are too long",
        message="Cannot keep the previous settings.",
        cause="A setting is too long for the name PREVIOUS_*.",
        remedy="To keep the current ones, save them: `az functionapp config appsettings list --name {app} "
        "--resource-group {group}`"),
    row("run_not_seen",
        title="The first run is not visible yet",
        message="No run with the new settings is visible yet.",
        cause="No run was due, or log lines are late.",
        remedy="Read the logs in some minutes: `{program} runs --app {app} --since 3h`"),
    row("app_settings_changed",
        title="The app settings changed before deploy",
        message="The app settings of {app} changed after they were shown.",
        cause="Another admin or a deployment changed the settings. deploy set nothing.",
        remedy="Run the command again."),
    row("app_settings_not_kept",
        title="The app settings changed during deploy",
        message="The app settings of {app} differ from the deployed ones.",
        cause="Another admin or a deployment changed the settings at the same time.",
        remedy="Run the command again."),
    row("alert_rules_disabled",
        title="Alert rules are disabled",
        message="Alert rules are disabled: {rules}.",
        cause="An admin disabled the rules, or deploy did not deploy the first list.",
        remedy="Enable them, unless the pause is intended (Monitor > Alerts > Alert rules)."),
    row("alert_rules_missing",
        title="Alert rules are not visible",
        message="No alert rule of infra/ is visible in resource group {group}.",
        cause="The alert rules do not exist, or your account cannot read them.",
        remedy="If infra/ created some, ask a Monitoring Reader to check (Monitor > Alerts > Alert rules)."),
    row("workspace_removed",
        title="A workspace is not in the list",
        message="{host} is no longer in the list.",
        cause="The app deletes nothing. Jobs fail when the token expires, within 24 hours.",
        remedy="Restore the entry, or delete Git folders and credential. " + _DELETE_CREDENTIAL),
    row("folder_removed",
        title="A Git folder is not in the list",
        message="{path} is no longer in the list.",
        cause="The app deletes nothing. The Git folder stays at its commit.",
        remedy="Restore the entry, or delete the Git folder: `DATABRICKS_HOST={host} databricks repos delete {path}`"),
    row("pattern_removed",
        title="A path pattern is not in the list",
        message="{path}/* is no longer in the list.",
        cause="The app deletes nothing. The Git folders stay at their commits.",
        remedy="Restore the entry, or list and delete the Git folders: `DATABRICKS_HOST={host} databricks workspace list "
        "{path}`"),
    row("principal_removed",
        title="An additional principal is not in the list",
        message="Service principal {principal_id} is no longer in additional_principal_ids.",
        cause="The app deletes nothing. Jobs fail when the token expires, within 24 hours.",
        remedy="Restore the ID, or find its Git credential: `DATABRICKS_HOST={host} databricks git-credentials list "
        "--principal-id {principal_id}` Then delete it by its ID: `DATABRICKS_HOST={host} databricks git-credentials delete "
        "ID --principal-id {principal_id}`"),
)

_ALSO_FOUND = (
    _also_found("devops_server", "{path} is a clone from Azure DevOps Server."),
    _also_found("no_remote_repository", "{path} has no remote repository."),
    _also_found("ref_not_found", "{ref} does not exist{nearest}."),
    _also_found("folder_not_found", "{path} does not exist."),
    _also_found("additional_principal_not_found", "{host} has no service principal with ID {id}, which additional_principal_ids contains."),
    _also_found("logs_too_large", "{what}"),
)

# fmt: on

OWN = (
    *_OWN_SETTINGS,
    *_OWN_IDENTITY,
    *_OWN_OTHER_TENANT,
    *_OWN_KEY_VAULT,
    *_OWN_SIGN_IN,
    *_OWN_CREDENTIAL,
    *_OWN_FOLDER,
    *_OWN_JOBS,
    *_OWN_RUNS,
    *_OWN_FAN_OUT,
    *_OWN_PERMISSIONS,
    *_OWN_DEPLOYMENT,
    *_ALSO_FOUND,
)

PAGE = {
    "Settings": _OWN_SETTINGS,
    "Identity": (*_IDENTITY, *_OWN_IDENTITY),
    "Another tenant": (*_OTHER_TENANT, *_OWN_OTHER_TENANT),
    "Key Vault": (*_KEY_VAULT, *_OWN_KEY_VAULT),
    "Azure DevOps": _AZURE_DEVOPS,
    "Workspace sign-in": (*_SIGN_IN, *_OWN_SIGN_IN),
    "Git credential": (*_CREDENTIAL, *_OWN_CREDENTIAL),
    "Git folder": (*_FOLDER, *_OWN_FOLDER),
    "Jobs": (*_JOBS, *_OWN_JOBS),
    "Any service": (*_ANY, UNKNOWN),
    "Runs and logs": (*_LOGS, *_OWN_RUNS),
    "Fan-out": (*_STORAGE, *_OWN_FAN_OUT),
    "Permissions": _OWN_PERMISSIONS,
    "Deployment": (*_RESOURCE_MANAGER, *_OWN_DEPLOYMENT),
}
"""Each code once, by section of docs/troubleshooting.md."""
