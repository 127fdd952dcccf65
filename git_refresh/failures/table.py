"""The one table of failures: what is seen, what it means, what to do. Code, documentation and tests read it.

Rows are tried from top to bottom and the first that fits is taken, so the specific ones come before the general ones. Texts in
`pattern` and `seen` are the services' own. Braces are filled in with what the run knows; see `DiagnosisContext`. A remedy's commands
stand in backticks, which only the page shows: there each value is quoted for a shell. The remedy ends with a command, without a full
stop; where there are two, the second follows a sentence that begins with "Or" or "Then" and ends with a colon.
`make docs` writes `docs/troubleshooting.md` from here.
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
_AS_ADMIN = {
    Operation.STORE_SECRET,
    Operation.READ_LATEST_VERSION,
    Operation.READ_FORMER_VERSION,
    Operation.LIST_VERSIONS,
    Operation.FIND_DELETED_SECRET,
}
"""What only an admin's command asks of Key Vault."""
_OAUTH_SECRETS = {Operation.LIST_OAUTH_SECRETS, Operation.CREATE_OAUTH_SECRET, Operation.DELETE_OAUTH_SECRET}
_ADMIN_ASKS = {Operation.FIND_PRINCIPAL, *_OAUTH_SECRETS}
"""What only an admin's command asks of a workspace, with the admin's own sign-in."""
_UNREACHED = NETWORK - {FailureKind.RESET, FailureKind.TIMEOUT}
"""No request was sent."""
_UNTHROTTLED = r"(?!REQUEST_LIMIT_EXCEEDED$).*"
_NO_CREDENTIAL = r"Missing Git provider credentials|Azure Active Directory credentials missing"
_PAGE = r"(?i)^\s*<(?:!doctype|html|head|body|title)\b"
_POLICY_DIFFERS = "TOKEN_AUDIENCE_INVALID|TOKEN_SUBJECT_INVALID"
"""How a workspace says that a federation policy is there, and is for another token."""
_OTHER_SIGN_IN = "Sign in to the tenant of {address}, and run the command again: `az login --tenant {tenant}`"
_ONBOARD = "`{program} onboard{options} --apply`"
"""Grants what a list needs, and shows what somebody else would have to run."""


class Known(StrEnum):
    """What a run has proved before a failure: no cause that this refutes is named."""

    SIGNED_IN_ELSEWHERE = "signed in elsewhere"
    """The same secret and client ID, or the same identity and client ID, signed in to another workspace."""
    REACHED = "reached"
    """The workspace answered a request before."""
    TOKEN_STORED = "token stored"  # noqa: S105  # no token
    """The run stored its own token, which is valid, in the workspace."""
    TOKEN_ACCEPTED = "token accepted"  # noqa: S105  # no token
    """Azure DevOps accepted that same token for the repository, from the app."""
    REF_SEEN = "ref seen"
    """Azure DevOps has the branch or tag."""
    AS_ADMIN = "as admin"
    """The workspace is read as the signed-in person, not as the app."""
    DISCARDED = "discarded"
    """The workspace was asked to discard uncommitted changes."""
    DIVERGED = "diverged"
    """The commit of the Git folder is not in the history of its branch in Azure DevOps."""


@dataclass(frozen=True, slots=True)
class Match:
    """How a failure is recognised: every field that is set has to match."""

    service: tuple[Service, ...] = ()
    kind: Collection[FailureKind] = ()
    status: Collection[int] = ()
    error_code: str = ""
    """Regular expression for the whole error code."""
    pattern: str = ""
    """Regular expression to be found in the message."""
    operation: Collection[Operation] = ()
    known: tuple[Known, ...] = ()
    """What the run has to have proved, all of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of failure; a failure is of this kind when any of its matches fits."""

    code: str
    """Stable: dashboards and pipelines depend on it."""
    matches: tuple[Match, ...] = ()
    seen: str = ""
    """What the service says: status, error code, message, as far as known. "…" means that there is more."""
    message: str = ""
    """What has happened, in the app's own words, where no service has failed: only in `OWN` rows."""
    cause: str = ""
    remedy: str = ""
    temporary: bool = False
    """Whether the next run usually succeeds without an action: an alert waits for it, if the stored token does."""


def row(
    code: str,
    *matches: Match,
    seen: str = "",
    message: str = "",
    cause: str = "",
    remedy: str = "",
    temporary: bool = False,
) -> Row:
    """Return a row, with its matches one behind the other."""
    return Row(code, matches, seen, message, cause, remedy, temporary)


_GRANT_DEVOPS = (
    "Grant what is missing (by hand: in https://dev.azure.com/{organization}/_settings/users, add the identity with object id {object_id} "
    f"with access level Basic, since Stakeholder is not enough, and add it to the Readers of project {{project}}): {_ONBOARD}"
)
_ADD_PRINCIPAL = (
    "Grant what is missing (by hand: in {host}, Settings, Identity and access, Service principals, add {principal}, with the entitlement "
    f"Workspace access): {_ONBOARD}"
)
_GRANT_FOLDER = f"grant it (by hand: give {{principal}} Can Manage on {{path}} in the workspace): {_ONBOARD}"
_STORE_SECRET = (
    "store it, which asks for its value: `read -rs VALUE; az keyvault secret set --vault-name {vault_name} --name {secret} --value "  # noqa: S105
    '"$VALUE" --expires YYYY-MM-DDT00:00:00Z --output none; unset VALUE`'
)
_ROTATE = (
    "As an admin of the workspace and of the vault, rotate it: `{program} rotate {secret}{options} --apply`"
)
_TRY_AZ = "`az account get-access-token --resource {resource} --query expiresOn --output json`"
_DELETE_SECRET = (
    "`DATABRICKS_HOST={host} databricks service-principal-secrets-proxy delete {principal_id} {oauth_secret}`"  # noqa: S105  # a command
)
IN_ACCOUNT = "DATABRICKS_HOST=https://accounts.azuredatabricks.net DATABRICKS_ACCOUNT_ID={account_id}"
"""What a command of the Databricks CLI about an account is told."""
PRINCIPAL_NUMBER = (
    f'"$({IN_ACCOUNT} databricks account service-principals list --filter {{by_client_id}} --output json | '
    "jq -r '.[0].id')\""
)
"""A service principal's number, as the shell finds it out."""
_POLICY = (
    f"Write the policy: {_ONBOARD} Or let an account admin run: `{IN_ACCOUNT} databricks account "
    f"service-principal-federation-policy create {PRINCIPAL_NUMBER} --json {{policy}}`"
)
_DELETE_CREDENTIAL = (
    "signed in as {principal}: `DATABRICKS_HOST={host} databricks git-credentials list` Then delete it by its id: `DATABRICKS_HOST={host} "
    "databricks git-credentials delete ID`"
)
_TRUST = (
    "In the identity's own tenant, let the app registration trust it: `az ad app federated-credential create --id {registration} "
    "--parameters {trust}`"
)
_REF_NOT_FOUND = "The settings name it, and {repository} has no branch or tag of this name."
_CORRECT_REF = "Correct branch or tag in the settings (main, not origin/main), or push it."
_PRINCIPAL_NOT_FOUND = "The workspace has no such service principal. additional_principal_ids takes numeric IDs, not application IDs."
_CORRECT_PRINCIPAL = (
    "Correct the numeric ID. To list them: `DATABRICKS_HOST={host} databricks service-principals list`"
)
SHARED = {
    "Let the identity in": _GRANT_DEVOPS,
    "Renew the OAuth secret": _ROTATE,
    "Write the federation policy": _POLICY,
    "Let the app registration trust the identity": _TRUST,
}
"""Remedies of several rows by title: the app prints them in full, the page has each once."""

_CONFLICT = (
    Match(DATABRICKS, error_code="GIT_CONFLICT"),
    Match(DATABRICKS, pattern=r"^Conflict pulling from remote"),
)

# fmt: off
_OTHER_TENANT = (
    row("registration_case_mismatch", Match(ENTRA, pattern=r"AADSTS7002138"),
        seen="401 …AADSTS7002138: No matching federated identity record found…",
        cause="The federated credential of app registration {registration} matches the identity but for the case of letters.",
        remedy="Delete what is there for this identity, and write it again. " + _TRUST),
    row("registration_credential_missing", Match(ENTRA, pattern=r"AADSTS700213"),
        seen="401 …AADSTS700213: No matching federated identity record found…",
        cause="App registration {registration} has no federated credential for this identity.",
        remedy=_TRUST),
    row("registration_issuer_mismatch", Match(ENTRA, pattern=r"AADSTS(?:700211|700212|700214)"),
        seen="401 …AADSTS700211: No matching federated identity record found for presented assertion issuer…",
        cause="No federated credential of app registration {registration} has the issuer {issuer} and the audience "
        "api://AzureADTokenExchange.",
        remedy="Delete what is there for this identity, and write it again. " + _TRUST),
    row("registration_not_in_tenant", Match(ENTRA, pattern=r"AADSTS700016"),
        seen="400 …AADSTS700016: Application with identifier … was not found in the directory…",
        cause="App registration {registration} is not consented to in tenant {tenant}, or is not for multiple tenants.",
        remedy="In the identity's own tenant: `az ad app update --id {registration} --sign-in-audience AzureADMultipleOrgs` Then, as "
        "an administrator of the other tenant: `az login --tenant {tenant} --allow-no-subscriptions && az ad sp create --id "
        "{registration}`"),
    row("tenant_not_found", Match(ENTRA, pattern=r"AADSTS90002"),
        seen="400 …AADSTS90002: Tenant '…' not found…",
        cause="There is no tenant {tenant}.",
        remedy="Correct devops.tenant_id: in the Azure DevOps organization, Organization settings, Microsoft Entra shows it."),
    row("registration_rejected",
        Match(ENTRA, {FailureKind.ANSWER, FailureKind.UNEXPECTED, FailureKind.LAPSED, FailureKind.NOT_SENT, FailureKind.TOO_LARGE}),
        seen="400 …AADSTS…",
        cause="Microsoft Entra does not give app registration {registration} a token in tenant {tenant}.",
        remedy="Check tenant_id and client_id in devops, and that the registration trusts the identity. "
        + _TRUST),
    row("entra_unreachable", Match(ENTRA, NETWORK),
        cause="The app could not reach Microsoft Entra.",
        remedy="Usually temporary. If it persists, let the app reach https://login.microsoftonline.com.",
        temporary=True),
)

_STORAGE = (
    row("claim_denied", Match(STORAGE, status={401, 403}),
        seen="403 AuthorizationPermissionMismatch",
        cause="The app's identity may not write blobs where the queue is. The slice was refreshed without a claim: if its message is "
        "delivered twice, so is the work.",
        remedy="Give the identity the role Storage Blob Data Owner on the storage account, as infra/ does, and let the app's network reach "
        "its blobs."),
    row("claim_not_made", Match(STORAGE),
        cause="No claim could be made where the queue is. The slice was refreshed without one: if its message is delivered twice, so is "
        "the work.",
        remedy="Usually temporary. If it persists, let the app reach https://ACCOUNT.blob.core.windows.net."),
)

_IDENTITY = (
    row("federated_credential_mismatch", Match((*IDENTITY, *CLI, *DATABRICKS), pattern=r"AADSTS700213|AADSTS7002138"),
        seen="AADSTS700213: No matching federated identity record found…",
        cause="The issuer or subject of the federated credential in Entra differs, perhaps only in letter case.",
        remedy="Correct it letter for letter (Microsoft Entra, App registrations, Certificates & secrets, Federated credentials). For "
        "a workspace the issuer is {host}/oidc and the audience api://AzureADTokenExchange."),
    row("identity_missing",
        Match(IDENTITY, {FailureKind.NOT_ASSIGNED}),
        Match(IDENTITY, pattern=r"managed identity configuration not found"),
        seen="App Service managed identity configuration not found…",
        cause="The app has no managed identity.",
        remedy="Give it a user-assigned one, and set AZURE_CLIENT_ID to its client id: `az functionapp identity assign --name {app} "
        "--resource-group {group} --identities IDENTITY_RESOURCE_ID` Or give it a system-assigned one: `az functionapp identity assign "
        "--name {app} --resource-group {group}`"),
    row("azure_cli_no_exchange", Match(CLI, {FailureKind.A_PERSON}),
        cause="A person's sign-in with the Azure CLI cannot be exchanged; only the app's managed identity can sign in this way.",
        remedy="No action needed: the app's own identity can. Only the app can try repositories of another tenant (devops)."),
    row("azure_cli_missing", Match(CLI, {FailureKind.NOT_INSTALLED}),
        cause="Azure CLI is not installed on this machine, or this terminal does not find az. Outside of Azure the app uses its sign-in.",
        remedy="Install it (https://aka.ms/azure-cli), open a new terminal, and sign in to the tenant of the Azure DevOps organization: "
        "`az login --tenant {tenant}`"),
    row("identity_token_expired", Match((*IDENTITY, *CLI), {FailureKind.LAPSED}),
        cause="The token had expired when the app received it; the platform caches tokens.",
        remedy="Nothing was stored. If it repeats, check this machine's clock, then restart the app.",
        temporary=True),
    row("identity_wrong_tenant", Match((*IDENTITY, *CLI), pattern=r"AADSTS500011"),
        seen="400 …AADSTS500011: The resource principal named … was not found in the tenant…",
        cause="The identity's Entra tenant does not know the service that the token is for.",
        remedy="Use an identity of the tenant that the Azure DevOps organization is connected to (Organization settings, Microsoft "
        "Entra)."),
    row("azure_cli_sign_in_again",
        Match(CLI, pattern=r"AADSTS(?:5007[2468]|50079|50089|5013[23]|50140|50158|50173|50058|70008|7004[34]|70008[124])\b"),
        seen="…AADSTS50076: Due to a configuration change made by your administrator, …",
        cause="The Azure CLI's sign-in has expired or been revoked, or Microsoft Entra requires multifactor authentication for this token.",
        remedy="Sign in again: `az login --tenant {tenant} --scope {scope}`"),
    row("azure_cli_conditional_access", Match(CLI, pattern=r"AADSTS(?:53\d{3,4}|50005|50097|50131)\b"),
        seen="…AADSTS53003: Access has been blocked by Conditional Access policies.…",
        cause="A Conditional Access policy of the tenant blocks the Azure CLI here. Signing in again does not help.",
        remedy="Ask a tenant administrator which policy it is (Microsoft Entra, Sign-in logs). Run the command on a device and network "
        "that the policy allows."),
    row("azure_cli_not_assigned", Match(CLI, pattern=r"AADSTS50105\b"),
        seen="…AADSTS50105: Your administrator has configured the application … to block users unless they are specifically granted …",
        cause="The account that the Azure CLI is signed in with is not assigned to the application.",
        remedy="Ask a tenant administrator to assign the account (Microsoft Entra, Enterprise applications, Users and groups)."),
    row("azure_cli_secret_expired", Match(CLI, pattern=r"AADSTS7000222\b"),
        seen="…AADSTS7000222: The provided client secret keys for app '…' are expired.…",
        cause="The Azure CLI is signed in as a service principal of Microsoft Entra whose client secret has expired.",
        remedy="Create a client secret (Microsoft Entra, App registrations, Certificates & secrets), and enter it when asked: `az login "
        "--service-principal --username {application} --tenant {tenant}`"),
    row("azure_cli_refused", Match(CLI, pattern=r"AADSTS\d{4,8}"),
        seen="…AADSTS…",
        cause="Microsoft Entra refused the Azure CLI's sign-in. The number says why.",
        remedy="Look the number up at https://login.microsoftonline.com/error. If a sign-in is missing: `az login --tenant {tenant} "
        "--scope {scope}`"),
    row("azure_cli_slow", Match(CLI, {FailureKind.SLOW}),
        cause="The Azure CLI is slow on this machine. Its first call after an installation or an update takes longest.",
        remedy="Run it once yourself, then run the command again. If it stays slow, update it (az upgrade), and exclude it from the virus "
        "scanner: " + _TRY_AZ),
    row("azure_cli_unreachable", Match(CLI, NETWORK),
        cause="The Azure CLI could not reach Microsoft Entra to renew its sign-in.",
        remedy="Let this machine reach https://login.microsoftonline.com; behind a proxy of your own, check HTTPS_PROXY and NO_PROXY."),
    row("azure_cli_not_signed_in",
        Match(CLI, {FailureKind.SIGNED_OUT}),
        Match(CLI, {FailureKind.UNEXPECTED}, pattern=r"az login"),
        seen="Please run 'az login' to set up an account",
        cause="The Azure CLI on this machine is not signed in, or its sign-in has expired.",
        remedy="Sign in to the tenant of the Azure DevOps organization: `az login --tenant {tenant}`"),
    row("azure_cli_broken", Match(CLI, {FailureKind.BROKEN, FailureKind.UNEXPECTED}),
        seen="The command failed with an unexpected error. Here is the traceback: …",
        cause="The Azure CLI on this machine is damaged, or another program is named az.",
        remedy="Run the same command yourself. If it fails too, install the Azure CLI again (https://aka.ms/azure-cli): "
        + _TRY_AZ),
    row("identity_not_assigned", Match(IDENTITY, status={400, 404}),
        seen="400 …No User Assigned or Delegated Managed Identity found…",
        cause="The app has no identity with this client id, or none at all.",
        remedy="Set {named_in} to the client id (not the object id) of an identity assigned to the app, or remove it to use the "
        "system-assigned one. To see which are assigned: `az functionapp identity show --name {app} --resource-group {group}`"),
    row("identity_unavailable", Match(IDENTITY, {FailureKind.ANSWER, FailureKind.UNEXPECTED, FailureKind.NOT_SENT, *NETWORK}),
        seen="500",
        cause="The platform's identity endpoint did not return a token. AZURE_CLIENT_ID may name an identity that was removed.",
        remedy="Usually temporary. If it persists, check AZURE_CLIENT_ID and restart the app.",
        temporary=True),
)

_KEY_VAULT = (
    row("key_vault_firewall", Match(VAULT, error_code=r"ForbiddenByFirewall|ForbiddenByConnection"),
        seen="403 ForbiddenByFirewall",
        cause="The vault's firewall blocks the app, or the vault accepts only its private endpoint.",
        remedy="Connect the app to a virtual network that {vault} allows, or that contains its private endpoint. Or allow the app's "
        "outbound address: `az keyvault network-rule add --name {vault_name} --ip-address ADDRESS`"),
    row("secret_disabled", Match(VAULT, error_code="SecretDisabled"),
        seen="403 SecretDisabled",
        cause='The latest version of the secret "{secret}" is disabled.',
        remedy="Enable it: `az keyvault secret set-attributes --vault-name {vault_name} --name {secret} --enabled true` Or, with another "
        f"OAuth secret, {_STORE_SECRET}"),
    row("secret_deleted", Match(VAULT, status={409}, error_code="ObjectIsDeletedButRecoverable"),
        seen="409 ObjectIsDeletedButRecoverable",
        cause='A secret "{secret}" was deleted from {vault}, and until it is recovered or purged its name is taken.',
        remedy="Bring it back, and run the command again: `az keyvault secret recover --vault-name {vault_name} --name {secret}`"),
    row("secret_name_busy", Match(VAULT, status={409}, error_code=r"ObjectIsBeing(?:Deleted|Recovered)"),
        seen="409 ObjectIsBeingDeleted",
        cause='The secret "{secret}" in {vault} is being deleted or recovered. Until that has ended, its name is neither there nor free.',
        remedy="Usually temporary. Run the command again in a minute."),
    row("key_vault_admin_forbidden",
        Match(VAULT, error_code=r"ForbiddenByRbac|AccessDenied|Forbidden", operation=_AS_ADMIN),
        Match(VAULT, pattern=r"does not have secrets [\w, ]+ permission", operation=_AS_ADMIN),
        seen="403 ForbiddenByRbac",
        cause="Your own sign-in may not read and store secrets in {vault}: it lacks the role Key Vault Secrets Officer.",
        remedy="Let an Owner or Role Based Access Control Administrator grant it for as long as it is needed, and wait some minutes: `az "
        'role assignment create --assignee {object_id} --role "Key Vault Secrets Officer" --scope "$(az keyvault show --name {vault_name} '
        '--query id --output tsv)"` Or, where the vault uses access policies: `az keyvault set-policy --name {vault_name} --object-id '
        "{object_id} --secret-permissions get list set`"),
    row("key_vault_policy_violation",
        Match(VAULT, error_code=r"ForbiddenByPolicy|RequestDisallowedByPolicy", operation={Operation.STORE_SECRET}),
        seen="403 ForbiddenByPolicy",
        cause="An Azure Policy on {vault} does not allow what was to be stored. Most often it says for how long a secret may be valid.",
        remedy="Ask whoever looks after the policies how long that is (Policy, Compliance), and let the new one live for no longer: "
        "`{program} rotate {secret}{options} --lifetime 180d --apply`"),
    row("key_vault_admin_denied", Match(VAULT, status={403}, operation=_AS_ADMIN),
        seen="403 …",
        cause="{vault} refuses this to your own sign-in for a reason other than a role that is missing.",
        remedy="See what it says to the same sign-in: `az keyvault secret list-versions --vault-name {vault_name} --name {secret}`"),
    row("key_vault_admin_wrong_tenant", Match(VAULT, status={401}, operation=_AS_ADMIN),
        seen="401 Unauthorized AKV10032: Invalid issuer.",
        cause="{vault} does not accept your own sign-in: the vault belongs to another tenant.",
        remedy=_OTHER_SIGN_IN),
    row("key_vault_access_policy", Match(VAULT, pattern=r"does not have secrets get permission"),
        seen="403 …does not have secrets get permission on key vault…",
        cause="The vault uses access policies, and none lets the app's identity read secrets.",
        remedy="Add one: `az keyvault set-policy --name {vault_name} --object-id {object_id} --secret-permissions get`"),
    row("key_vault_forbidden", Match(VAULT, status={403}),
        seen="403 ForbiddenByRbac",
        cause="The app's identity may not read secrets in {vault}: it lacks the role Key Vault Secrets User.",
        remedy="Grant it, and wait some minutes: `az role assignment create --assignee-object-id {object_id} --assignee-principal-type "
        'ServicePrincipal --role "Key Vault Secrets User" --scope "$(az keyvault show --name {vault_name} --query id --output tsv)"`'),
    row("key_vault_wrong_tenant", Match(VAULT, status={401}),
        seen="401 Unauthorized AKV10032: Invalid issuer.",
        cause="The vault does not accept a token of the identity's tenant.",
        remedy="Use a vault in the identity's own tenant; {vault} is in another."),
    row("secret_not_found", Match(VAULT, status={404}),
        seen="404 SecretNotFound",
        cause='The vault has no secret "{secret}", or it was deleted.',
        remedy="Correct client_secret_name ({vault}, Secrets, shows the names), or create the OAuth secret and store it: "
        f"{_ONBOARD} Or, if you have one, {_STORE_SECRET}"),
    row("secret_expired", Match(VAULT, {FailureKind.LAPSED}),
        cause="The secret's expiration date in Key Vault has passed, so the OAuth secret has very likely expired too.",
        remedy=_ROTATE),
    row("secret_value_wrong", Match(VAULT, {FailureKind.VALUE}),
        cause='The secret "{secret}" in {vault} must contain only an OAuth secret of Databricks, which begins with dose. It was not sent '
        "to a workspace.",
        remedy="Copy the OAuth secret of {client_id} without quotation marks, blanks or line breaks, and "
        f"{_STORE_SECRET}"),
    row("key_vault_unreachable", Match(VAULT, NETWORK),
        cause="The vault's host name does not resolve, or no TLS connection to it can be made.",
        remedy="Check KEY_VAULT_URL ({vault}); behind a private endpoint, check the app's virtual network and private DNS zone.",
        temporary=True),
)

_AZURE_DEVOPS = (
    row("devops_server", Match(DEVOPS, {FailureKind.SERVER}),
        cause="{url} is on Azure DevOps Server: it asks for a Windows sign-in. The server accepts no token of Microsoft Entra.",
        remedy="Move the repository to Azure DevOps Services (https://dev.azure.com), or remove {path} from the settings. No token was "
        "sent to the server."),
    row("devops_not_a_member", Match(DEVOPS, pattern=r"TF401444"),
        seen="401 …TF401444: Please sign-in at least once as …",
        cause="The token is valid, but the identity is not a member of organization {organization}.",
        remedy=_GRANT_DEVOPS),
    row("devops_conditional_access", Match(DEVOPS, pattern=r"VS403463"),
        seen="…VS403463: The conditional access policy … has failed.",
        cause="A Conditional Access policy of the tenant blocks the identity.",
        remedy="Ask a tenant administrator to exempt the identity with object id {object_id} from it."),
    row("devops_organization_deactivated", Match(DEVOPS, pattern=r"TF24668"),
        seen="503 …TF24668: The following team project collection is stopped: …",
        cause="Organization {organization} is stopped. Most often Azure DevOps has deactivated it because it was not used.",
        remedy="Open https://dev.azure.com/{organization} in a browser, sign in as a member, and wait until it is active again. "
        "The app cannot do this."),
    row("devops_project_not_found", Match(DEVOPS, pattern=r"VS800075|TF200016"),
        seen="404 …VS800075: The project with id … does not exist…",
        cause="Project {project} does not exist in {organization}, or this identity may not see it.",
        remedy="Check the project's name in {url}. " + _GRANT_DEVOPS),
    row("devops_repository_not_found", Match(DEVOPS, pattern=r"TF401019|TF401027|does not exist or you do not have permissions"),
        seen="404 …TF401019: The Git repository … does not exist…",
        cause="Repository {repository} does not exist in {organization}/{project}, is disabled, or this identity may not read it.",
        remedy="Check the repository's name in {url}, and in Project settings, Repositories, that it is not disabled. "
        + _GRANT_DEVOPS),
    row("devops_no_access", Match(DEVOPS, pattern=r"TF400813"),
        seen="401 …TF400813: The user '…' is not authorized…",
        cause="Azure DevOps does not authorize the identity: organization {organization} does not know it, or a policy there blocks it.",
        remedy=_GRANT_DEVOPS),
    row("devops_token_rejected",
        Match(DEVOPS, status={203}),
        Match(DEVOPS, status={302}, pattern=SIGN_IN_REDIRECT),
        Match(DEVOPS, status={200, 401, 403}, pattern=SIGN_IN_PAGE),
        Match(DEVOPS, status={401, 403}, error_code=r".*Exception"),
        Match(DEVOPS, status={401, 403}, pattern=r"\b(?:TF|VS)\d{5,7}\b"),
        seen="203 …<title>Azure DevOps Services | Sign In</title>…",
        cause="Azure DevOps does not accept the token: it asks for a sign-in.",
        remedy="Connect the organization to the identity's own Entra tenant (Organization settings, Microsoft Entra). "
        + _GRANT_DEVOPS),
    row("devops_refusal_unexplained", Match(DEVOPS, status={401, 403}),
        seen="401",
        cause="Azure DevOps refused the request without a reason: this identity lacks a permission in {organization}, or the token is not "
        "accepted.",
        remedy="No action needed if the next run succeeds. " + _GRANT_DEVOPS),
    row("devops_organization_not_found", Match(DEVOPS, status={404}, pattern=r"^\s*<"),
        seen="404 …<title>Azure DevOps Services | 404: not found</title>…",
        cause="Azure DevOps has no organization {organization}.",
        remedy="Check the organization's name in {url}."),
    row("devops_not_found", Match(DEVOPS, status={404}),
        seen="404 The controller for path '…' was not found…",
        cause="Azure DevOps did not find what was asked for in organization {organization}. The project or repository may be misspelled, "
        "or this identity may not see it.",
        remedy="Check the names of project and repository in {url}. " + _GRANT_DEVOPS),
    row("devops_unreachable", Match(DEVOPS, NETWORK),
        cause="The app could not reach Azure DevOps. The credential may be fine.",
        remedy="Usually temporary. If it persists, let the app reach https://dev.azure.com, or see https://status.dev.azure.com.",
        temporary=True),
)

_SIGN_IN = (
    row("workspace_private_link", Match(DATABRICKS, pattern=r"private-link-validation-error"),
        seen="302 …/login.html?error=private-link-validation-error…",
        cause="The workspace accepts connections only through Azure Private Link.",
        remedy="Connect the app to a virtual network with a private endpoint and private DNS for {host}."),
    row("workspace_ip_blocked", Match(DATABRICKS, pattern=r"blocked by Databricks IP ACL"),
        seen="403 …Source IP address: … is blocked by Databricks IP ACL…",
        cause="The workspace's IP access list blocks the app's outbound address.",
        remedy="Give the app a fixed outbound address (virtual network with a NAT gateway), and let a workspace admin allow it: "
        """`DATABRICKS_HOST={host} databricks ip-access-lists create --json '{"label": "git-refresh", "list_type": "ALLOW", """
        """"ip_addresses": ["ADDRESS"]}'`"""),
    row("workspace_network_denied", Match(DATABRICKS, pattern=r"(?i)unauthorized\s+network\s+access"),
        seen="403 …Unauthorized network access to workspace: …",
        cause="The workspace denies public network access, or a network policy of the account does not allow the app's network.",
        remedy="Connect the app to a virtual network with a private endpoint for {host}. Or let an account admin allow the app's outbound "
        "address: https://accounts.azuredatabricks.net, Security, Networking, Context-based ingress."),
    row("workspace_blocked", Match(DATABRICKS, status={401, 403}, pattern=_PAGE),
        seen="403 <!DOCTYPE html>…",
        cause="A proxy, a firewall or a network rule refused the request: it returned a web page, which the workspace's API never does.",
        remedy="Let the network of the app reach {host}: check its proxy and firewall, and the workspace's network access in Azure."),
    row("not_workspace_admin",
        Match(DATABRICKS, {FailureKind.NOT_ADMIN}),
        Match(DATABRICKS, {FailureKind.ANSWER}, {401, 403}, _UNTHROTTLED, known=(Known.AS_ADMIN,)),
        seen="403 …Unauthorized access to Org: …",
        cause="You are not an admin of {host}. Workspaces with auth federated are read as you: only the app's identity can be exchanged.",
        remedy="Let a workspace admin run this command, or add you to the group admins: {host}, Settings, Identity and access, Groups. "
        "The app needs no such permission."),
    row("not_in_workspace",
        # Of an admin's own sign-in it is `oauth_secrets_forbidden`.
        Match(DATABRICKS, pattern=r"Unauthorized access to Org", operation=frozenset(Operation).difference(_ADMIN_ASKS)),
        # An OAuth server refuses a secret with 400 or 401.
        Match(DATABRICKS, {FailureKind.ANSWER}, status={403}, error_code=_UNTHROTTLED, operation={Operation.SIGN_IN}),
        Match(DATABRICKS, {FailureKind.ANSWER}, {400, 401, 403, 404}, _UNTHROTTLED, rf"(?s)^(?!.*(?:{_POLICY_DIFFERS}))", _SIGN_INS,
              (Known.SIGNED_IN_ELSEWHERE,)),
        seen="403 …Unauthorized access to Org: …",
        cause="The service principal is not assigned to this workspace, or not active in it.",
        remedy=_ADD_PRINCIPAL),
    row("federation_audience_mismatch", Match(DATABRICKS, pattern=r"TOKEN_AUDIENCE_INVALID"),
        seen="400 invalid_grant TOKEN_AUDIENCE_INVALID (Token audience '…' invalid…",
        cause="The federation policy of service principal {client_id} accepts another audience than {audience}.",
        remedy="Delete that policy in https://accounts.azuredatabricks.net (User management, Service principals). "
        + _POLICY),
    row("federation_subject_mismatch", Match(DATABRICKS, pattern=r"TOKEN_SUBJECT_INVALID"),
        seen="400 invalid_grant TOKEN_SUBJECT_INVALID…",
        cause="The federation policy of service principal {client_id} is for another identity than the one with object id {subject}.",
        remedy=_POLICY),
    row("federation_policy_missing", Match(DATABRICKS, pattern=r"TOKEN_INVALID|valid federation policy"),
        seen="400 …TOKEN_INVALID (Ensure a valid federation policy has been configured)",
        cause="Service principal {client_id} has no federation policy that fits, or it was written less than two minutes ago.",
        remedy="Check client_id: it must be the Application ID of a service principal of the account. "
        + _POLICY),
    row("federation_no_workspace_access", Match(DATABRICKS, status={403}, operation={Operation.EXCHANGE_TOKEN}),
        seen="403",
        cause="Service principal {client_id} has no access to this workspace.",
        remedy=_ADD_PRINCIPAL),
    row("federation_rejected",
        Match(DATABRICKS, {FailureKind.ANSWER}, status={400, 401, 404}, error_code=_UNTHROTTLED, operation={Operation.EXCHANGE_TOKEN}),
        seen="400 invalid_request",
        cause="The workspace does not exchange the identity's token.",
        remedy="Check client_id ({client_id}) and the service principal's federation policy. " + _POLICY),
    row("principal_not_in_workspace",
        Match(DATABRICKS, {FailureKind.NO_PRINCIPAL}),
        Match(DATABRICKS, status={404}, operation=_OAUTH_SECRETS),
        seen="404 RESOURCE_DOES_NOT_EXIST …Service principal with id … not found.",
        cause="{host} has no service principal with application id {client_id}.",
        remedy="Correct client_id: {host}, Settings, Identity and access, Service principals lists the Application IDs. Or add the service "
        "principal there."),
    row("principal_ambiguous", Match(DATABRICKS, {FailureKind.PRINCIPAL_AMBIGUOUS}),
        cause="{host} lists more than one service principal with application id {client_id}, so that none of them can be meant.",
        remedy="Look for client_id ({client_id}) in {host}, Settings, Identity and access, Service principals, and remove one."),
    row("oauth_secret_limit_reached",
        Match(DATABRICKS, status={400, 403, 409, 429}, pattern=r"(?i)(?:limit|maximum|more than|exceed).{0,60}secrets",
              operation={Operation.CREATE_OAUTH_SECRET}),
        Match(DATABRICKS, error_code=r"RESOURCE_LIMIT_EXCEEDED|QUOTA_EXCEEDED|RESOURCE_EXHAUSTED",
              operation={Operation.CREATE_OAUTH_SECRET}),
        seen="400 RESOURCE_LIMIT_EXCEEDED",
        cause="Service principal {client_id} has five OAuth secrets, and may not have more.",
        remedy="See which are there and when they end ({host}, Settings, Identity and access, Service principals, Secrets), and delete one "
        "that nothing uses any more."),
    row("workspace_admin_token_rejected",
        Match(DATABRICKS, status={401}, operation=_ADMIN_ASKS),
        Match(DATABRICKS, pattern=r"(?i)\biss(?:uer)? claim|Invalid (?:access )?token", operation=_ADMIN_ASKS),
        seen="401 …Expected iss claim to be: …",
        cause="{host} does not accept your own sign-in: it is for another tenant, or has been withdrawn.",
        remedy=_OTHER_SIGN_IN),
    row("oauth_secrets_forbidden", Match(DATABRICKS, status={403}, operation=_ADMIN_ASKS),
        seen="403 PERMISSION_DENIED",
        cause="Your own sign-in may not manage the OAuth secrets of {client_id}: account admins and workspace admins may.",
        remedy="Let an account admin or a workspace admin of {host} run the command, or make you a workspace admin ({host}, Settings, "
        "Identity and access, Groups, admins). To see whose sign-in it is: `az account show`"),
    row("oauth_secret_not_active", Match(DATABRICKS, {FailureKind.NOT_ACTIVE}),
        seen="401 invalid_client Client authentication failed",
        cause='The latest version of the secret "{secret}" has an activation date in the future. Key Vault returned it, but the workspace '
        "does not accept it.",
        remedy=f"Copy the OAuth secret of {{client_id}} that is valid now, and {_STORE_SECRET}"),
    row("oauth_secret_rejected", Match(DATABRICKS, {FailureKind.ANSWER}, status={400, 401}, error_code=_UNTHROTTLED, operation=_SIGN_INS),
        seen="401 invalid_client Client authentication failed",
        cause="client_id is not that of a service principal in this workspace, or the OAuth secret is wrong, expired or deleted.",
        remedy="If {client_id} is no Application ID in {host} (Settings, Identity and access, Service principals), correct client_id. "
        f"{_ROTATE}"),
    row("workspace_token_rejected",
        Match(DATABRICKS, status={401}),
        Match(DATABRICKS, pattern=r"Invalid access token|\(token expired\)"),
        seen="403 …Invalid access token.",
        cause="The workspace does not accept the access token.",
        remedy="Check that {principal} is active and assigned to {host} (Settings, Identity and access, Service principals)."),
    row("workspace_connection_failed",
        Match(DATABRICKS, _UNREACHED, known=(Known.REACHED,)),
        cause="The connection to {host} failed, after others to it succeeded in this run.",
        remedy="Usually temporary: the next run tries again.",
        temporary=True),
    row("workspace_unreachable",
        Match(DATABRICKS, _UNREACHED),
        cause="The workspace's host name does not resolve, or no TLS connection to it can be made.",
        remedy="Check host ({host}); behind Private Link, check the app's virtual network and private DNS zone; behind a proxy of your "
        "own, HTTPS_PROXY and, for its certificate, REQUESTS_CA_BUNDLE.",
        temporary=True),
)

_CREDENTIAL = (
    row("devops_refuses_workspace",
        Match(DATABRICKS, pattern=r"Invalid Git provider credentials|Remote repo not found",
              known=(Known.TOKEN_STORED, Known.TOKEN_ACCEPTED)),
        seen="403 PERMISSION_DENIED Invalid Git provider credentials.…",
        cause="In this run Azure DevOps accepted the same token from the app, and refused it from the workspace: a policy blocks the "
        "addresses of Azure Databricks.",
        remedy="Ask a tenant administrator to allow the outbound addresses of Azure Databricks, for the identity with object id "
        "{object_id}, in the Conditional Access policies for Azure DevOps. Check the policies of organization {organization} too."),
    row("stored_token_refused", Match(DATABRICKS, pattern=r"Invalid Git provider credentials", known=(Known.TOKEN_STORED,)),
        seen="403 PERMISSION_DENIED Invalid Git provider credentials.…",
        cause="Azure DevOps refused the token that this run stored: the identity may not read the repository, or a policy blocks the "
        "addresses of Azure Databricks.",
        remedy=_GRANT_DEVOPS),
    row("credential_not_seen",
        Match(DATABRICKS, pattern=_NO_CREDENTIAL, known=(Known.TOKEN_STORED,)),
        seen="403 PERMISSION_DENIED Missing Git provider credentials.…",
        cause="This run stored the Git credential of {principal}, and the workspace does not use it yet.",
        remedy="Usually temporary: the next run tries again. If it repeats, open a support ticket with Azure Databricks.",
        temporary=True),
    row("credential_expired_or_wrong", Match(DATABRICKS, pattern=r"Invalid Git provider credentials"),
        seen="403 PERMISSION_DENIED Invalid Git provider credentials.…",
        cause="Azure DevOps refused the stored Git credential: it has expired, or the identity may not read the repository.",
        remedy="Resolve first what keeps the run from storing a valid token. If it repeats after that, the identity lacks a right. "
        + _GRANT_DEVOPS),
    row("credential_missing", Match(DATABRICKS, pattern=_NO_CREDENTIAL),
        seen="403 PERMISSION_DENIED Missing Git provider credentials.…",
        cause="The principal has no Git credential for Azure DevOps in this workspace.",
        remedy="This app stores one for {principal}; for another principal, add its numeric id to additional_principal_ids."),
    row("federated_credential_broken", Match(DATABRICKS, pattern=r"(?i)error with your [\w :\[\]-]{0,60}credentials"),
        seen="403 PERMISSION_DENIED …error with your Azure Active Directory credentials.…",
        cause="The workspace's federated credential (azureDevOpsServicesAad) does not work.",
        remedy=f"Repair it in Entra. If this app's is to be used, look for that Git credential, {_DELETE_CREDENTIAL}"),
    row("credential_limit", Match(DATABRICKS, pattern=r"Only one Git credential is supported|Only one credential per provider"),
        seen="409 …Only one credential per provider is allowed…",
        cause="The principal has another Git credential, and may have only one per provider.",
        remedy=f"Look for the other one, {_DELETE_CREDENTIAL}"),
    row("credential_gone", Match(DATABRICKS, pattern=r"(?i)Git credential with (?:the given )?ID\b"),
        seen="404 RESOURCE_DOES_NOT_EXIST Git credential with the given ID could not be found.",
        cause="The Git credential was deleted during the run, or belongs to a principal that the app's own does not manage.",
        remedy="The next run looks again. For a principal in additional_principal_ids, give the one that signs in the role "
        "Service principal: Manager on it ({host}, Settings, Identity and access, Service principals, Permissions)."),
    row("additional_principal_not_found", Match(DATABRICKS, status={404}, operation=_CREDENTIALS),
        cause=_PRINCIPAL_NOT_FOUND,
        remedy=_CORRECT_PRINCIPAL),
    row("credential_forbidden", Match(DATABRICKS, status={403}, operation=_CREDENTIALS),
        seen="403 PERMISSION_DENIED",
        cause="The workspace does not let the app manage the Git credentials of {principal}.",
        remedy="Grant the entitlement Workspace access (for a principal in additional_principal_ids, give the one that signs in the "
        f"role Service principal: Manager on it, in {{host}}, Settings, Identity and access, Service principals, Permissions): {_ONBOARD}"),
)

_JOBS = (
    row("jobs_forbidden", Match(DATABRICKS, status={403}, operation={Operation.LIST_JOBS}),
        seen="403 PERMISSION_DENIED",
        cause="{host} does not let {principal} list its jobs.",
        remedy="Give {principal} workspace access ({host}, Settings, Identity and access). For check --jobs, sign in as an admin of the "
        "workspace: `az login`"),
)

_FOLDER = (
    row("branch_diverged",
        Match(DATABRICKS, error_code="GIT_CONFLICT", pattern=r"Conflicting files:\s*$|unrelated histories"),
        *(replace(match, known=(known,)) for known in (Known.DISCARDED, Known.DIVERGED) for match in _CONFLICT),
        seen="400 GIT_CONFLICT Conflict pulling from remote…",
        cause="The branch was rewritten in Azure DevOps (force push), or the Git folder has local commits that were never pushed.",
        remedy="In the Git folder ({path}), push the local commits that are needed, then reset its branch to the remote's."),
    row("git_conflict",
        *_CONFLICT,
        seen="400 GIT_CONFLICT Conflict pulling from remote. Conflicting files: …",
        cause="The Git folder has uncommitted changes that block the update{files}.",
        remedy="Commit or revert them in the workspace ({path}). For a read-only mirror, "
        'write "on_conflict": "discard" in the folder\'s entry.'),
    row("file_names_collide", Match(DATABRICKS, pattern=r"due to conflicting names|cannot contain a notebook with the same name"),
        seen="…Cannot perform Git operation due to conflicting names…",
        cause="Two files of {repository} have the same name in a workspace, which leaves out the extension of a notebook.",
        remedy="Rename one of them in {repository}, and push it."),
    row("folder_inconsistent", Match(DATABRICKS, pattern=r"(?i)could be in an inconsistent state"),
        seen="…problem with deleting folders. The repo could be in an inconsistent state…",
        cause="The workspace could not delete directories in {path}, so the Git folder may be incomplete.",
        remedy="Save what is not pushed yet, delete {path} in the workspace, and clone it again. If its entry has url, the next run does."),
    row("git_certificate_rejected", Match(DATABRICKS, pattern=r"(?i)because of SSL problems|SSL certificate problem|certificate verif"),
        seen="…Secure connection to … could not be established because of SSL problems…",
        cause="The workspace could not verify the certificate of the Git server, or a proxy between them replaces it.",
        remedy="Check the url ({url}), and the workspace's Git proxy. If both are right, open a support ticket with Azure Databricks."),
    row("repository_url_missing", Match(DATABRICKS, pattern=r"(?i)Git repository URL (?:is )?missing"),
        seen="…Git repository URL missing…",
        cause="The Git folder {path} has no remote repository, so there is nothing to pull from.",
        remedy="Link it to its repository in the workspace, or remove it from the settings."),
    row("ref_not_found_by_workspace",
        Match(DATABRICKS, error_code="GIT_UNKNOWN_REF", known=(Known.REF_SEEN,)),
        Match(DATABRICKS, pattern=r"Remote branch does not exist", known=(Known.REF_SEEN,)),
        seen="400 GIT_UNKNOWN_REF Remote branch does not exist",
        cause="Azure DevOps showed {ref} to the app in this run: it was deleted or renamed since, or the workspace does not see it yet.",
        remedy="Usually temporary: the next run looks again.",
        temporary=True),
    row("ref_not_found",
        Match(DATABRICKS, error_code="GIT_UNKNOWN_REF"),
        Match(DATABRICKS, pattern=r"Remote branch does not exist"),
        seen="400 GIT_UNKNOWN_REF Remote branch does not exist",
        cause=_REF_NOT_FOUND,
        remedy=_CORRECT_REF),
    row("repository_not_found", Match(DATABRICKS, pattern=r"Remote repo not found"),
        seen="400 BAD_REQUEST Remote repo not found.…",
        cause="The workspace cannot find the repository: the url is wrong, the repository is disabled, or the identity may not read it.",
        remedy="Check the url ({url}), and in Project settings, Repositories, that it is not disabled. "
        + _GRANT_DEVOPS),
    row("url_not_allowed",
        Match(DATABRICKS, error_code="GIT_URL_NOT_ON_ALLOW_LIST"),
        Match(DATABRICKS, pattern=r"is disallowed in your Workspace"),
        seen="…is disallowed in your Workspace…",
        cause="The workspace's Git URL allow list does not contain this repository.",
        remedy="Ask a workspace administrator to add {url} under {host}, Settings, Development, Git URL allow list."),
    row("git_remote_error", Match(DATABRICKS, error_code="GIT_REMOTE_ERROR"),
        seen="GIT_REMOTE_ERROR",
        cause="The workspace could not reach Azure DevOps.",
        remedy="Usually temporary. If it persists, look at https://status.dev.azure.com.",
        temporary=True),
    row("path_protected",
        Match(DATABRICKS, error_code="DIRECTORY_PROTECTED"),
        Match(DATABRICKS, pattern=r"^Top-level folder can only contain repos"),
        seen="400 DIRECTORY_PROTECTED Top-level folder can only contain repos",
        cause="{path} is not at the depth that /Repos allows.",
        remedy="Write the path as /Repos/FOLDER/NAME."),
    row("path_taken",
        Match(DATABRICKS, error_code="RESOURCE_ALREADY_EXISTS"),
        # Of what Git itself says, `git_operation_failed` tells.
        Match(DATABRICKS, pattern=r"(?s)^(?!There was an error performing the operation).*already exists"),
        seen="400 RESOURCE_ALREADY_EXISTS Repo … already exists…",
        cause="The path is taken by something else, or by something that {principal} may not see.",
        remedy=f"Choose another path. If {{path}} is a Git folder that the app is to manage, {_GRANT_FOLDER}"),
    row("clone_incomplete", Match(DATABRICKS, pattern=r"Failed to clone repo"),
        seen="Failed to clone repo. Repo may be incomplete…",
        cause="The workspace could not finish cloning the repository.",
        remedy="The next run takes the folder over if it is complete. A large repository needs sparse.",
        temporary=True),
    row("folder_not_found",
        Match(DATABRICKS, error_code="RESOURCE_DOES_NOT_EXIST"),
        Match(DATABRICKS, status={404}, operation=_FOLDERS),
        Match(DATABRICKS, pattern=r"^Path \(.*\) doesn't exist"),
        seen="404 RESOURCE_DOES_NOT_EXIST Path (…) doesn't exist.",
        cause="The Git folder does not exist, or {principal} may not see it.",
        remedy=f"Write the folder's url so that it is created. If the folder exists, {_GRANT_FOLDER}"),
    row("git_operation_timeout", Match(DATABRICKS, error_code="PROJECTS_OPERATION_TIMEOUT"),
        seen="PROJECTS_OPERATION_TIMEOUT",
        cause="The Git operation took longer than the workspace allows.",
        remedy="The next run tries again. If the repository is large, name the directories that you need in sparse.",
        temporary=True),
    row("git_operation_failed", Match(DATABRICKS, pattern=r"^There was an error performing the operation"),
        seen="500 …There was an error performing the operation…",
        cause="The workspace's own Git service failed. Settings and credential may be fine.",
        remedy="If it repeats, open a support ticket with Azure Databricks and quote the request id.",
        temporary=True),
    row("permission_denied",
        Match(DATABRICKS, status={403}),
        Match(DATABRICKS, error_code="PERMISSION_DENIED"),
        seen="403 PERMISSION_DENIED",
        cause="The workspace does not allow {principal} to do this.",
        remedy=f"Give {{principal}} Can Manage on {{path}}, or let onboard do it: {_ONBOARD}"),
)

_RESOURCE_MANAGER = (
    row("azure_wrong_tenant", Match(MANAGER, error_code="InvalidAuthenticationTokenTenant"),
        seen="401 InvalidAuthenticationTokenTenant The access token is from the wrong issuer…",
        cause="The Azure CLI is signed in to another tenant than that of the subscription.",
        remedy="Sign in to the subscription's tenant, and run the command again: `az login --tenant {tenant}`"),
    row("azure_sign_in_rejected", Match(MANAGER, status={401}),
        seen="401 ExpiredAuthenticationToken",
        cause="Azure Resource Manager does not accept the token of the Azure CLI's sign-in.",
        remedy="Sign in again: `az login --tenant {tenant}`"),
    row("azure_policy_violation", Match(MANAGER, error_code="RequestDisallowedByPolicy"),
        seen="403 RequestDisallowedByPolicy",
        cause="An Azure Policy does not allow this change.",
        remedy="Ask the owner of the subscription which policy it is (Policy, Compliance)."),
    row("app_settings_forbidden",
        Match(MANAGER, status={403}, operation={Operation.READ_APP_SETTINGS, Operation.SET_APP_SETTINGS}),
        seen="403 AuthorizationFailed",
        cause="Your sign-in may not read or set the app's settings. The role Reader is not enough.",
        remedy="Ask an Owner of the app to assign you the role Website Contributor: `az role assignment create --assignee USER_NAME --role "
        '"Website Contributor" --scope /subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Web/sites/{app}`'),
    row("alert_rules_forbidden",
        Match(MANAGER, status={403}, operation={Operation.LIST_ALERT_RULES, Operation.ENABLE_ALERT_RULE}),
        seen="403 AuthorizationFailed",
        cause="Your sign-in may not read or enable the alert rules of the app's resource group.",
        remedy="Ask an Owner of the resource group to assign you the role Monitoring Contributor: `az role assignment create --assignee "
        'USER_NAME --role "Monitoring Contributor" --scope /subscriptions/{subscription}/resourceGroups/{group}`'),
    row("azure_permission_missing", Match(MANAGER, status={403}),
        seen="403 AuthorizationFailed",
        cause="Your sign-in has no role for this.",
        remedy="Ask an Owner of the subscription to assign you the role Reader: `az role assignment create --assignee USER_NAME --role "
        "Reader --scope /subscriptions/{subscription}`"),
    row("subscription_not_found", Match(MANAGER, status={404, 400}, error_code="SubscriptionNotFound|InvalidSubscriptionId"),
        seen="404 SubscriptionNotFound",
        cause="There is no such subscription, or your sign-in has no role in it.",
        remedy="Correct --subscription. https://portal.azure.com shows the IDs under Subscriptions."),
    row("azure_resource_locked", Match(MANAGER, status={409}, error_code="ScopeLocked"),
        seen="409 ScopeLocked",
        cause="A lock on the app or its resource group allows no change.",
        remedy="Ask the owner of the resource group to delete the lock. To list the locks: `az lock list --resource-group {group} --output "
        "table`"),
    row("app_update_in_progress", Match(MANAGER, status={409}),
        seen="409 Conflict",
        cause="Another change of the app is in progress, for example a deployment.",
        remedy="Usually temporary. Run the command again in a minute."),
    row("azure_throttled", Match(MANAGER, status={429}),
        seen="429 TooManyRequests",
        cause="Azure Resource Manager limits requests.",
        remedy="Usually temporary. Run the command again in some minutes."),
)

_LOGS = (
    row("logs_wrong_tenant",
        Match(LOGS, status={401}),
        Match(LOGS, status={403}, error_code=r"InvalidAuthenticationToken|InvalidTokenIssuer"),
        seen="401 AuthenticationFailed",
        cause="Log Analytics does not accept your own sign-in. {app} probably belongs to another tenant.",
        remedy="Sign in to the tenant of its subscription, and run the command again: `az login --tenant {tenant}`"),
    row("logs_forbidden", Match(LOGS, status={403}),
        seen="403 InsufficientAccessError",
        cause="Your own sign-in has no role that can read the logs of {app}.",
        remedy="Let an Owner or User Access Administrator assign one, and wait some minutes: `az role assignment create --assignee "
        '{object_id} --role "Log Analytics Reader" --scope {component}`'),
    row("logs_not_found", Match(LOGS, status={404}),
        seen="404 PathNotFoundError",
        cause="The Application Insights component of {app} does not exist. Usually it was deleted or moved.",
        remedy="Connect the app to a component (Function App, Application Insights). The missing one is {component}."),
    row("logs_empty", Match(LOGS, status={400}, error_code="SemanticError|SEM0100"),
        seen="400 SemanticError",
        cause="The Application Insights component of {app} has no log line yet.",
        remedy="Wait some minutes after the first run. If it persists, check Function App, Overview, and that the app was published."),
    row("logs_throttled", Match(LOGS, status={429}),
        seen="429 ThrottledError",
        cause="Log Analytics limits queries.",
        remedy="Usually temporary. Run the command again in a minute."),
    row("logs_too_large", Match(LOGS, {FailureKind.TOO_LARGE}),
        cause="The log lines of this time are too many for one response.",
        remedy="Choose a shorter time: `{program} runs --app {app} --since 6h`"),
)

_ANY = (
    row("proxy_sign_in", Match(kind={FailureKind.PROXY_AUTH}),
        seen="Tunnel connection failed: 407 …",
        cause="The proxy {proxy} does not accept the user name and password in {proxy_variable}, or they are missing. {service} was not "
        "called.",
        remedy="Set {proxy_variable} to http://USER:PASSWORD@PROXY:PORT, with special characters percent-encoded. If the proxy accepts "
        "only Windows sign-ins (NTLM, Kerberos), ask its operator for another way."),
    row("proxy_unusable", Match(kind={FailureKind.PROXY_UNUSABLE}),
        cause="The environment variable {proxy_variable} names a proxy that cannot be used. Nothing was sent.",
        remedy="Correct {proxy_variable}: http://PROXY:PORT, or http://USER:PASSWORD@PROXY:PORT with special characters percent-encoded."),
    row("too_many_open_files", Match(kind={FailureKind.DESCRIPTORS}),
        cause="{service} was not called: this process has reached its limit of open files and connections.",
        remedy="In Azure, lower REFRESH_CONCURRENCY, and report it to us. On a laptop: `ulimit -n 1024`"),
    row("out_of_time", Match(kind={FailureKind.OUT_OF_TIME}),
        cause="The run ran out of time before this was done.",
        remedy="The next run continues. If it repeats, raise REFRESH_TIMEOUT_SECONDS (below host.json's functionTimeout) or "
        "REFRESH_CONCURRENCY.",
        temporary=True),
    row("timeout", Match(kind={FailureKind.TIMEOUT, FailureKind.LOST}),
        cause="{service} accepted the request but did not answer in time. It may have done what was asked.",
        remedy="Usually temporary. If it repeats for a Git folder, the repository is large: use sparse. "
        "If it repeats elsewhere, check that the service is up, and the app's network.",
        temporary=True),
    row("connection_lost", Match(kind={FailureKind.RESET}),
        cause="{service} closed the connection before it answered.",
        remedy="Usually temporary: the next run tries again.",
        temporary=True),
    row("throttled",
        Match(status={429}),
        Match(error_code="REQUEST_LIMIT_EXCEEDED"),
        seen="429 REQUEST_LIMIT_EXCEEDED",
        cause="{service} limits requests, and asks for a longer wait than a run has time for.",
        remedy="Usually temporary. If it persists, let REFRESH_SCHEDULE run less often or lower REFRESH_CONCURRENCY.",
        temporary=True),
    row("service_unavailable", Match(status={500, 502, 503, 504}),
        seen="503",
        cause="{service} has a problem of its own.",
        remedy="Usually temporary. If it persists, open a support ticket there and quote the request id.",
        temporary=True),
    row("answer_too_large", Match(kind={FailureKind.TOO_LARGE}),
        cause="{service} sent far more than expected; it was dropped.",
        remedy="Check that {address} is the right address; a proxy may answer in its place."),
    row("unexpected_answer",
        Match(kind={FailureKind.UNEXPECTED, FailureKind.NOT_SENT}),
        Match(status={203, 301, 302, 303, 307, 308}),
        seen="200 <html>…",
        cause="{service} did not send its documented answer; a proxy or a sign-in page may have answered in its place.",
        remedy="Check that {address} is the right address. If it is, report this to us with the request id."),
)

CLOSED = frozenset(
    {"workspace_private_link", "workspace_ip_blocked", "workspace_network_denied", "workspace_blocked"}
)
"""The codes of workspaces that are closed to this network, whoever asks."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What OpenSSL says of a TLS connection, and what that means, for the row of each service that cannot be reached."""

    pattern: str
    """Regular expression to be found in OpenSSL's reason, in any letter case."""
    cause: str
    remedy: str
    remedy_with_bundle: str = ""
    """The remedy where an environment variable names the certificates to trust, if it differs."""


CERTIFICATES = (
    Certificate(
        r"wrong version number|http request|unknown protocol|packet length|record layer",
        "The other end does not speak TLS. It might be a proxy that is written https:// and takes plain HTTP.",
        "If a proxy is on the way, write it with http:// in {proxy_variable}. Otherwise check what answers at {address}.",
    ),
    Certificate(
        r"alert|eof|handshake|protocol|cipher|^certificate verify failed$",
        "The TLS connection was ended before any request was sent. A firewall or a proxy on the way might do so.",
        "Ask the operator of the network what ends TLS connections to {address}.",
    ),
    Certificate(
        r"has expired",
        "The certificate of {service}, or of a proxy in between, has expired, or this machine's clock is ahead.",
        "Check this machine's clock. If it is right, ask the operator of {address}, or of the proxy, to renew the certificate.",
    ),
    Certificate(
        r"not yet valid",
        "The certificate of {service}, or of a proxy in between, is not valid yet, or this machine's clock is behind.",
        "Check this machine's clock. If it is right, ask the operator of {address}, or of the proxy, to replace the certificate.",
    ),
    Certificate(
        r"mismatch|not valid for",
        "The certificate is for another host: a DNS record or a proxy leads to the wrong server.",
        "Check which server the DNS record of {address} names, and the proxy if there is one.",
    ),
    Certificate(
        r"unable to get .*issuer|self.signed|unable to verify",
        "The issuer of the certificate is not trusted here. Usually an inspecting proxy has replaced the certificate of {service}.",
        "Set REQUESTS_CA_BUNDLE to a file (PEM) with the public certificates and those of the issuer, root and intermediates.",
        "Add the certificates of the issuer, root and intermediates, to the file (PEM) that {bundle} names.",
    ),
    Certificate(
        r"revoked",
        "The certificate of {service}, or of a proxy in between, was revoked.",
        "Ask the operator of {address}, or of the proxy, to replace the certificate.",
    ),
    Certificate(
        r"",
        "A certificate of the chain breaks a rule that Python 3.13 enforces (RFC 5280). Usually it is that of an inspecting proxy.",
        "Ask the operator of the proxy to issue the certificate again without this fault. If the network allows it, exempt the host of "
        "{address} from the proxy (NO_PROXY).",
    ),
)

SECTIONS = {
    "Identity": _IDENTITY,
    "Another tenant": _OTHER_TENANT,
    "Key Vault": _KEY_VAULT,
    "Azure DevOps": _AZURE_DEVOPS,
    "Signing in to a workspace": _SIGN_IN,
    "Git credential": _CREDENTIAL,
    "Jobs": _JOBS,
    "Git folder": _FOLDER,
    "Spread over many workers": _STORAGE,
    "Azure Resource Manager": _RESOURCE_MANAGER,
    "Logs of the deployed app": _LOGS,
    "Any service": _ANY,
}
"""The rows by layer, in the order in which a run meets the layers, and in which the rows are tried."""

TABLE = tuple(row for rows in SECTIONS.values() for row in rows)

UNKNOWN = row("unknown",
              cause="{service} gave a reason that this app does not know.",
              remedy="Look the error code up in the service's documentation, and report it to us with the request id.")

# What the app finds itself, without a failure of a service.
OWN = (
    row("invalid_settings",
        message="{problem}",
        cause="An app setting, or this workspace's entry in it, is wrong; nothing was done for it.",
        remedy="Correct the app setting as the message says; saving it restarts the app."),
    row("invalid_folder",
        message="{problem}",
        cause="The folder's entry in WORKSPACES is wrong, so it was skipped.",
        remedy="Correct the app setting as the message says; saving it restarts the app."),
    row("folder_not_found",
        message="{path} does not exist.",
        cause="The Git folder does not exist, or {principal} may not see it.",
        remedy=f"Write the folder's url so that it is created. If the folder exists, {_GRANT_FOLDER}"),
    row("folder_misspelled",
        message="{path} does not exist, but the Git folder {nearest} does.",
        cause="The path in the settings is probably misspelled.",
        remedy="In the folder's entry, write the path that exists. If {path} is right, give {principal} the permission CAN MANAGE on it."),
    row("not_a_git_folder",
        message="{path} is a {type}, not a Git folder.",
        cause="Something other than a Git folder is at this path.",
        remedy="Choose another path, or move what is at {path} away: this app deletes nothing."),
    row("directory_of_git_folders",
        message="{path} is a directory of Git folders, not a Git folder itself.",
        cause="The path is that of the directory in which the Git folders are.",
        remedy="Write {path}/* for all Git folders below it, without url, or the path of one of them."),
    row("inside_git_folder",
        message="{path} is inside the Git folder {folder}.",
        cause="The path is longer than that of the Git folder: only a whole Git folder can be updated.",
        remedy="In WORKSPACES, write as path the Git folder's own, which the message names."),
    row("broken_git_folder",
        message="{path} is a Git folder without a repository.",
        cause="An attempt to create the Git folder failed and left it behind.",
        remedy="In the workspace, delete {path} if nothing in it is needed: the next run creates it if the settings have its url. This "
        "app deletes nothing."),
    row("pattern_in_git_folder",
        message="{path} is the Git folder {folder}, or inside it, so no Git folder is below.",
        cause="A path ending in /* stands for the Git folders in a directory, and a Git folder contains none.",
        remedy="In WORKSPACES, write as path the Git folder's own, which the message names, without /*."),
    row("pattern_not_a_directory",
        message="{path} is a {type}, so no Git folder is below.",
        cause="A path ending in /* stands for the Git folders in a directory.",
        remedy="In WORKSPACES, correct the path: write the directory of the Git folders, then /*."),
    row("pattern_too_wide",
        message="{path} was not searched for Git folders: the search ended after {bound}.",
        cause="The path ending in /* is so far above the Git folders that the app reads too many other directories.",
        remedy="In WORKSPACES, replace it by paths ending in /* that are nearer to the Git folders, or by the paths of the Git folders."),
    row("pattern_wide",
        message="The search for Git folders below {path} takes {count} requests.",
        cause="The path ending in /* is far above the Git folders, and each run reads every directory below it.",
        remedy="No action needed if the runs end in time. Otherwise write paths ending in /* that are nearer to the Git folders."),
    row("wrong_repository",
        message="{path} is a clone of {found}, not of {wanted}.",
        cause="The Git folder is a clone of another repository than the settings say.",
        remedy="Correct url or path, or delete {path} in the workspace so that it is created anew."),
    row("not_azure_devops",
        message="{path} is a clone of something outside Azure DevOps.",
        cause="The repository is not in Azure DevOps, so this app has no credential for it.",
        remedy="Remove {path} from the settings, or from --folder where a path ending in /* has found it: without that it is left alone."),
    row("azure_devops_server",
        message="{path} is a clone from Azure DevOps Server.",
        cause="Azure DevOps Server accepts no token of Microsoft Entra, so the app has no credential for it and sent it none.",
        remedy="Move the repository to Azure DevOps Services (https://dev.azure.com). Or remove {path} from the settings, or from "
        "--folder."),
    row("remote_not_https",
        message="The remote address of {path} is not the HTTPS address of the repository.",
        cause="It is an SSH address, or another tool's form of it. The stored Git credential works only with HTTPS addresses.",
        remedy="Create the Git folder again from its HTTPS address, {https}. Or set its remote address to that, with git remote set-url."),
    row("remote_password",
        message="The remote address of {path} contains a password or a token.",
        cause="Everyone who can view the Git folder can read it, and Git uses it in place of the stored credential.",
        remedy="Revoke it in Azure DevOps. Then create the Git folder again from {url}, or set its remote address to that, with git remote "
        "set-url."),
    row("remote_password_rejected",
        message="{happened}",
        cause="The remote address of {path} contains a password or a token. Git used it in place of the stored credential, and Azure "
        "DevOps refused it.",
        remedy="Create the Git folder again from {url}. Or set its remote address to that, with git remote set-url."),
    row("no_remote_repository",
        message="{path} has no remote repository.",
        cause="The Git folder was made in the workspace without one, as by git init, so there is nothing to pull from.",
        remedy="Remove {path} from the settings; if they have its url, you can also move the folder away, and it is created from there. "
        "One that was found only by a path ending in /* is left alone, unless --folder asks for it. To link it to its repository, with "
        "the Git CLI: `git remote add origin {url}`"),
    row("ref_not_found",
        message="{ref} does not exist{nearest}.",
        cause=_REF_NOT_FOUND,
        remedy=_CORRECT_REF),
    row("branch_gone",
        message="{ref}, which {path} is on, does not exist in Azure DevOps{nearest}.",
        cause="The Git folder is on a branch that was deleted, as after a pull request, or that was never pushed. The settings name none.",
        remedy='Switch {path} to another branch in the workspace. Or name one in WORKSPACES, in its entry of folders: "path": "{path}", '
        '"branch": "NAME". A Git folder that a path ending in /* found needs such an entry of its own.'),
    row("commit_as_ref",
        message="{ref} looks like a commit ID, and {repository} has no branch or tag of this name.",
        cause="A Git folder follows a branch or stays on a tag. Databricks takes no commit ID.",
        remedy='Tag commit {commit}, and push the tag. Then write its name as "tag" in its entry in WORKSPACES, without "branch".'),
    row("repository_empty",
        message="{repository} has no commit yet.",
        cause="The repository {url} has no branch, so there is nothing to clone or to pull.",
        remedy="Push a first commit to it. The next run continues from there."),
    row("local_commits",
        message="{path} is not at the latest commit of {ref} after the update.",
        cause="The Git folder has local commits that were never pushed. Databricks keeps them, with on_conflict discard too.",
        remedy="In the Git folder, push the commits, or reset its branch to the remote's. If the settings have its url, you can also "
        "delete the Git folder: the next run creates it."),
    row("token_expires_before_next_run",
        message="The token {which} expires at {ends}, and {next_run}.",
        cause="The token expires before the next run can store another: pulls will fail in between.",
        remedy="Let REFRESH_SCHEDULE run more often."),
    row("interrupted",
        message="This was not finished when the command was interrupted.",
        cause="Somebody pressed Ctrl-C; a request that was under way may still have been answered.",
        remedy="Run it again: what is done already is found and left as it is."),
    row("late_run",
        message="This run started {minutes} minutes late.",
        cause="{late_because} If the previous token expired before this run started, pulls failed in between.",
        remedy="No action needed after a deployment or a saved app setting. If runs take too long, let REFRESH_SCHEDULE run less often. "
        "Otherwise check Function App, Diagnose and solve problems."),
    row("clock_skew",
        message="This machine's clock is {minutes} minutes {direction}.",
        cause="The expiry times of tokens given here are off by as much as the clock.",
        remedy="Set this machine's clock."),
    row("secret_expires_soon",
        message="The secret {ends}.",
        cause="Once the OAuth secret has expired, the app can no longer sign in with it.",
        remedy=_ROTATE),
    row("secret_not_yet_valid",
        message="The activation date of the secret is {begins}.",
        cause="Key Vault returns a secret before its activation date too, so the app uses it.",
        remedy="No action needed if the app can sign in. Otherwise correct the activation date of the secret {secret} in {vault}."),
    row("secret_shared_by_principals",
        message='client_secret_name "{secret}" is used with several client_id: {client_ids}.',
        cause="A secret is that of one service principal, so some of these workspaces cannot be signed in to. Nothing was made for it.",
        remedy="Write to each client_id the name of its own secret."),
    row("secret_of_another_principal",
        message='The latest version of "{secret}" is the OAuth secret of service principal {other}, while the list says {client_id}.',
        cause="Its tags say so. A new one would take it from whoever signs in as the other, so that none was made.",
        remedy="Correct client_id, or client_secret_name, in WORKSPACES. If the name is this one's from now on, create an OAuth secret in "
        f"{{host}} (Settings, Identity and access, Service principals, Secrets), and {_STORE_SECRET}"),
    row("oauth_secret_limit_near",
        message="Service principal {client_id} has {count} OAuth secrets already, so that no new one was made: {there}.",
        cause="It may have five, those that have ended too, and the last is left for somebody in need.",
        remedy=f"Delete one that has ended, or that nothing uses, with its id: {_DELETE_SECRET}"),
    row("scopes_differ",
        message="The OAuth secrets of {client_id} have different scopes ({scopes}), so that no new one was made.",
        cause='No tag of "{secret}" in Key Vault tells which of them is in use, and so which scopes a new one is to have.',
        remedy="Look up the id of the one in use, and write it, with the tags that are to stay (the others go): `az keyvault secret "
        "set-attributes --vault-name {vault_name} --name {secret} --tags databricks-client-id={client_id} "
        "databricks-secret-id={oauth_secret}`"),
    row("unknown_oauth_secret",
        message="OAuth secret {oauth_secret} of {client_id}, made {made}, ends {ends}, is not known to be ours.",
        cause="No version under this list's names in {vault} names it: it was made by hand, is stored elsewhere, or was made by a command "
        "that was ended before it could store it.",
        remedy=f"If it is older than a day and nothing uses it: {_DELETE_SECRET}"),
    row("unproven_oauth_secret",
        message="OAuth secret {oauth_secret} of {client_id}, made {made}, ends {ends}, is not known to be ours.",
        cause='A former version of "{secret}" in {vault} names it, but was not stored there by this command: it was tagged by hand, or is '
        "a copy, and what it is a copy of may be in use.",
        remedy=f"If nothing uses it, in other vaults and lists neither: {_DELETE_SECRET}"),
    row("untagged_oauth_secret",
        message="OAuth secret {oauth_secret} of {client_id}, made {made}, ends {ends}, is not known to be ours.",
        cause='It may be the one in use: "{secret}" in Key Vault has no tag that tells.',
        remedy="Leave it until the secret has been rotated, and for a day more. Then, if nothing uses it: "
        f"{_DELETE_SECRET}"),
    row("new_secret_rejected",
        message="{places} did not accept the new OAuth secret {oauth_secret} within {seconds} seconds.",
        cause="The former one is in use as before: nothing was stored, and the new one was deleted again, if that could be done.",
        remedy="Run it again in a few minutes. If it repeats, see that {client_id} is active and added to {host} (Settings, Identity and "
        "access, Service principals), or remove that workspace from WORKSPACES."),
    row("new_secret_untried",
        message="No new OAuth secret was stored: it could not be tried at {places}.",
        cause="Every workspace that uses a new secret has to accept it first. At least one always has to.",
        remedy="Check the connection to {host}, or remove a deleted workspace from WORKSPACES. To store it without the workspaces that "
        "cannot be reached: `{program} rotate {secret}{options} --apply --allow-unreachable`"),
    row("new_secret_unexpected",
        message="{host} returned an unexpected OAuth secret as the new one: {oauth_secret}: {why}.",
        cause="The response is that of another request, or the workspace does not work as documented. Nothing was stored.",
        remedy="Run it again. If it repeats, move another workspace to the start of WORKSPACES, where the secret is created, or set how "
        "long it is valid: `{program} rotate {secret}{options} --lifetime 180d --apply`"),
    row("new_secret_not_visible",
        message="Key Vault does not show that the new OAuth secret {oauth_secret} was stored.",
        cause="The answer to storing it was lost, or the vault is late. One of the two secrets is in use; nothing was deleted.",
        remedy="Run it again in a few minutes: it looks what is there, and goes on from there."),
    row("secret_without_expiration",
        message="The secret can be read, but it has no expiration date.",
        cause="Without that date in Key Vault nobody is warned before the OAuth secret expires.",
        remedy="Look up when the OAuth secret ends ({host}, Settings, Identity and access, Service principals, Secrets), and write that: "
        "`az keyvault secret set-attributes --vault-name {vault_name} --name {secret} --expires YYYY-MM-DDT00:00:00Z`"),
    row("federated_credential",
        message="Git credential {id} of {principal} is federated.",
        cause="With a federated Git credential the workspace gets its own tokens. This app leaves it alone, and stores its own as well.",
        remedy="If it works, {principal} needs no other: remove the workspace from WORKSPACES, or keep it for its Git folders; one of "
        "additional_principal_ids, remove from that. Otherwise delete it, signed in as {principal}: `DATABRICKS_HOST={host} databricks "
        "git-credentials delete {id}`"),
    row("foreign_credential",
        message="Git credential {id} was not made by this app: {owner}.",
        cause="Somebody else stored it for {principal}, which can have only one: a run stores the app's token in it, and leaves its names.",
        remedy="If that is not intended, let the app have a service principal of its own; one of "
        "additional_principal_ids, remove from that. If it is, delete it once, signed in as {principal}, "
        "and the next run makes one with this app's name: `DATABRICKS_HOST={host} databricks "
        "git-credentials delete {id}`"),
    row("second_credential",
        message="In addition to Git credential {id} there is {other}, also for Azure DevOps.",
        cause="Databricks may use either Git credential, but only one is kept fresh.",
        remedy=f"Look for the other one, {_DELETE_CREDENTIAL}"),
    row("folder_permission",
        message="{path} is not in the workspace's list of Git folders.",
        cause="The workspace lists only what the caller may manage, so {principal} lacks Can Manage.",
        remedy=f"To be sure that it can be updated, {_GRANT_FOLDER}"),
    row("folder_detached",
        message="{path} is on no branch, and the settings name neither branch nor tag for it.",
        cause="Nothing brings the Git folder up to date: it stays at its commit. Mostly its entry had a tag, which was removed.",
        remedy='In WORKSPACES, write in its entry of folders what it is to be on: "path": "{path}", "branch": "NAME", or a tag.'),
    row("changes_discarded",
        message="If {path} had uncommitted changes, they {done} lost.",
        cause='Its entry has "on_conflict": "discard", and the workspace does not tell what is uncommitted.',
        remedy='Nothing to do if nobody edits this Git folder. Else remove "on_conflict" from its entry: then a conflict is reported, and '
        "nothing is lost."),
    row("no_folder_matched",
        message="There is no Git folder below {path} that {principal} can see.",
        cause="There is no Git folder below, or {principal} lacks Can Manage on them.",
        remedy=f"Correct the path. If a right is missing, {_GRANT_FOLDER}"),
    row("folder_not_listed",
        message="There is no Git folder at {path} that {principal} can see.",
        cause="It does not exist, is something else, or {principal} lacks Can Manage.",
        remedy=f"Correct --folder. If a right is missing, {_GRANT_FOLDER}"),
    row("job_principal_not_refreshed",
        message="It runs as {principal}, whose Git credential this app does not keep fresh{unseen}.",
        cause="A job clones its Git source with the Git credential of whom it runs as. Without one it fails, and one that nobody renews "
        "ends one day.",
        remedy="{refreshing}"),
    row("job_credential_missing",
        message="It runs as {principal}, which has no Git credential for Azure DevOps yet.",
        cause="This app keeps one for it, but no run has stored it so far.",
        remedy="The next run creates it. If runs have been, see what this workspace's Git credentials' lines say, and the app's log."),
    row("job_wrong_provider",
        message='Its git_provider is "{found}", and its repository is in Azure DevOps.',
        cause="The job looks for a Git credential of that provider, not for the one that this app keeps fresh.",
        remedy='In the job\'s git_source write "git_provider": "azureDevOpsServices" (azureDevOpsServicesAad is not taken there), or '
        "choose Azure DevOps Services in its settings, Git."),
    row("job_bad_url",
        message="Its git_url {found} {problem}.",
        cause="A job clones its Git source from this address, with a Git credential for Azure DevOps.",
        remedy="In the job's git_source, write as git_url the address that Azure DevOps shows (Repos, Clone, HTTPS). If the repository is "
        "elsewhere, correct git_provider."),
    row("job_secret_in_url",
        message="Its git_url contains a password or a token.",
        cause="Whoever may view the job can read it, and when it ends, the job fails.",
        remedy="Revoke it in Azure DevOps, and write git_url without it: the job clones with the Git credential of whom it runs as."),
    row("job_repository_not_readable",
        message="{happened}",
        cause="Of the jobs that clone it, none is known to do so with a Git credential that this app keeps fresh: it need not be let in.",
        remedy="For this app there is nothing to do. Whether what these jobs clone exists in {url} was not looked at."),
    row("job_ref_not_found",
        message="{ref} does not exist in {repository}{nearest}.",
        cause="The job's git_source names it, and the repository {url} has no such branch, tag or commit.",
        remedy="Correct git_branch, git_tag or git_commit in the job's git_source (main, not origin/main), or push it."),
    row("unused_secret_name",
        message="client_secret_name of {workspaces} is not used: auth is {auth}.",
        cause="Only with auth oauth_secret is a secret read.",
        remedy='Remove client_secret_name, or write "auth": "oauth_secret".'),
    row("misspelled_setting",
        message="This is not a setting of this app; did you mean {meant}?",
        cause="A misspelled app setting is ignored.",
        remedy="Correct its name, or remove it."),
    row("setting_renamed",
        message="This {understood}.",
        cause="The old name does what it did.",
        remedy="Write the new name."),
    row("setting_understood",
        message="This {understood}.",
        cause="The value has another form than the setting's own, and its meaning is certain.",
        remedy="No action needed. To remove this warning, write the value that is used."),
    row("schedule_surprising",
        message="{found}; {advice}.",
        cause="The Functions host accepts this schedule, but reads NCRONTAB and time spans in its own way.",
        remedy="Write the schedule that you mean. No action needed if this is it."),
    row("time_zone_ignored",
        message="The Functions host reads REFRESH_SCHEDULE in UTC, whatever this setting says.",
        cause="A Flex Consumption plan does not support time zone settings.",
        remedy="Remove the setting, and write the hours of REFRESH_SCHEDULE in UTC."),
    row("function_disabled",
        message="The function {function} is disabled, so no run takes place.",
        cause="The Functions host does not call a disabled function.",
        remedy="To end the pause, delete this app setting. No action needed while the pause is meant."),
    row("long_setting",
        message="{setting} has {size} bytes, and at most {most} fit.",
        cause="Linux hands a setting to the app as NAME=value, in 131,071 bytes at most; with a longer one the app does not start.",
        remedy="Write what entries share once, in WORKSPACE_DEFAULTS; leave out name where the host's first label will do; and in place of "
        "many Git folders below one, write its path with /* at the end."),
    row("unknown_setting",
        message="This is not a setting of this app, nor one of the platform that it runs on.",
        cause="The setting has no effect on this app.",
        remedy="Remove it, or correct its name: docs/configuration.md has them all."),
    row("proxy_surprising",
        message="{found}; {advice}.",
        cause="Connections to Azure lead through the proxy that this environment variable names.",
        remedy="Correct the variable before a command or the app calls a service from here."),
    row("ignored_setting",
        message="This is not taken from a file.",
        cause="A file gives this command the app's settings alone. Proxies, certificates and all else come from the environment that it "
        "runs in.",
        remedy="No action needed for the deployed app, which has the setting in its environment."),
    row("slice_too_late",
        message="Slice {slice} of {slices} was not begun: its message was for before {until}.",
        cause="The message waited on the queue until the next run was due, which puts its own there.",
        remedy="Nothing, if it was once. If it repeats, too few workers get through too many slices: raise maximumInstanceCount, or let "
        "REFRESH_SCHEDULE run less often."),
    row("message_unreadable",
        message="A message on the queue {why}.",
        cause="Another version of this app wrote it, or somebody else did. It was dropped.",
        remedy="Nothing, after an upgrade: the next run puts messages of its own there. Else see who may write to the queue."),
    row("workspace_not_listed",
        message="The message names {count} workspaces that are not in WORKSPACES.",
        cause="The list was saved after the timer had put the message on the queue, or the message is not from this app.",
        remedy="No action needed if you changed the list. Otherwise check who writes to the queue."),
    row("slice_duplicate",
        message="Slice {slice} of {slices} is another message's.",
        cause="The same slice was put on the queue twice, as happens when an answer of the queue is lost. This one was dropped.",
        remedy="Nothing."),
    row("slice_already_completed",
        message="Slice {slice} of {slices} has ended already.",
        cause="The platform delivers a message again whose slice has failed. It is not done twice: the next run is its second attempt.",
        remedy="Nothing: see the slice's own run line."),
    row("slice_abandoned",
        message="Slice {slice} of {slices} was given up: its worker has died {times} times.",
        cause="The worker's process ended in the middle of the slice each time, perhaps for lack of memory.",
        remedy="See what the log says of the worker at that time. More memory is instanceMemoryMB in infra/; the next run tries again."),
    row("run_not_completed",
        message="No log line shows how this run ended.",
        cause="The platform stopped it. It took longer than functionTimeout, used up its memory, or the app was restarted.",
        remedy="No action needed if a later run succeeded. If it repeats, check Function App, refresh_git, Invocations."),
    row("slice_not_completed",
        message="{count} workspaces have no log line from before the next run: {places}.",
        cause="No worker refreshed them in time, or the worker stopped in the middle of the slice.",
        remedy="No action needed if the next run succeeded. If it repeats, raise maximumInstanceCount or instanceMemoryMB in infra/."),
    row("run_overdue",
        message="No run ended between {last} and {until}. One was due at {due}.",
        cause="The function was disabled, the app was stopped, or it could not reach its storage. A deployment also delays runs.",
        remedy="Check Function App, Overview. To see whether the function is disabled: `az functionapp function list --name {app} "
        '--resource-group {group} --query "[].{name: name, disabled: properties.isDisabled || isDisabled}" --output table`'),
    row("no_run_logged",
        message="The logs show no run in the last {since}.",
        cause="The function is paused, the app was never published, or its first lines have not arrived. That takes some minutes.",
        remedy="Check Function App, Overview. To see whether the function is there and not disabled: `az functionapp function list --name "
        '{app} --resource-group {group} --query "[].{name: name, disabled: properties.isDisabled || isDisabled}" --output table`'),
    row("component_not_found",
        message="Function app {app} has no Application Insights component.",
        cause="No tag of the app names one, and its resource group has none of the app's name. Or your sign-in may not read it.",
        remedy="Connect the app to Application Insights (Function App, Monitoring, Application Insights). Or get the role Reader on its "
        "resource group."),
    row("logs_incomplete",
        message="{what}",
        cause="The logs of this time are too much for one query.",
        remedy="Choose a shorter time: `{program} runs --app {app} --since 6h`"),
    row("stored_token_expired",
        message="{what}.",
        cause="The logs show no later run that stored a token in {host}. Pulls and jobs fail there until a run does.",
        remedy="Check what failed: `{program} runs --app {app} --failed`"),
    row("grant_refused",
        message="{happened}",
        cause="It takes {who}, and whoever is signed in to the Azure CLI here is none, or is signed in to another tenant.",
        remedy="Sign in as one and run onboard again. Or let one run: `{command}`"),
    row("grant_not_visible",
        message="It was granted, and is not to be seen half a minute later.",
        cause="The service said that it was done. It shows it late, or somebody has taken it away meanwhile.",
        remedy="Run onboard again in a few minutes: it grants only what is missing."),
    row("identity_not_in_tenant",
        message="Tenant {tenant} has no identity {id}.",
        cause="The Azure CLI is signed in to another tenant than the app's, or the id is not that of a managed identity.",
        remedy="Sign in to the app's tenant with az login, and compare the id with: `az functionapp identity show --name {app} "
        "--resource-group {group}`"),
    row("check_timed_out",
        message="{host} was not looked at in time.",
        cause="It has answered too late, or too many others have.",
        remedy="Run the command again: what is granted stays."),
    row("member_cannot_sign_in",
        message="The access level of the identity in organization {organization} has the status {status}.",
        cause="Somebody disabled the identity there, or its access has expired. Nothing was changed.",
        remedy="If it is meant to have access, restore it in https://dev.azure.com/{organization}/_settings/users, and run onboard again."),
    row("not_a_managed_identity",
        message="{id} is the id of an application in tenant {tenant}, not of a managed identity.",
        cause="AZURE_CLIENT_ID, identity or --object-id names an app registration: the rights would go to that.",
        remedy="Write the managed identity's: `az functionapp identity show --name {app} --resource-group {group}`"),
    row("no_consent",
        message="Tenant {tenant} has no service principal of app registration {registration}.",
        cause="Nobody has consented to the app registration there, or devops.client_id is not its application id.",
        remedy="Let {who} run: `{command}`"),
    row("principal_not_in_account",
        message="The Databricks account has no service principal with application id {client_id}.",
        cause="client_id is misspelled, or is that of another account's service principal, or its object id.",
        remedy=f"Write the application id of one that exists: `{IN_ACCOUNT} databricks account service-principals list` Or take client_id "
        "out of the list, and make one: `{program} onboard{options} --new-principal git-refresh --apply`"),
    row("read_as_admin",
        message="Workspaces with auth federated were read as you, the person signed in to the Azure CLI.",
        cause="Only the app's own identity can be exchanged for a token of the service principal.",
        remedy="No action needed. Only a run of the app proves that its identity's token is exchanged, and that the service principal "
        "itself can read the Git folders."),
    row("run_needs_app",
        message="Only the deployed app can sign in to {names}.",
        cause="A person's sign-in cannot be exchanged for a token of the service principal (auth federated).",
        remedy="Start the app, in the portal (Function App, refresh_git, Code + Test, Test/Run) or here: "
        '`curl --fail --request POST "https://$(az functionapp show --name {app} --resource-group {group} --query '
        "'properties.defaultHostName || defaultHostName' --output tsv)/admin/functions/refresh_git\" --header \"x-functions-key: "
        '$(az functionapp keys list --name {app} --resource-group {group} --query masterKey --output tsv)" --header '
        "'Content-Type: application/json' --data '{\"input\": \"\"}'`"),
    row("principal_inactive",
        message="Service principal {client_id} is not active in {host}.",
        cause="Somebody has deactivated it there, and this command takes no such decision back.",
        remedy="If it is meant to work, tick Active: {host}, Settings, Identity and access, Service principals."),
    row("no_account_id",
        message="{host} does not tell which Databricks account it belongs to.",
        cause="What it tells of itself has no account id, and without it nothing can be looked up or granted in the account.",
        remedy="Add --account-id with the id that https://accounts.azuredatabricks.net shows behind your name, at the top right."),
    row("accounts_differ",
        message="The workspaces of the list say that they belong to different Databricks accounts: {ids}.",
        cause="A list is for workspaces of one account; or one of them says something wrong of itself.",
        remedy="Add --account-id with the id of the account that is meant, or move the others into a list of their own."),
    row("grant_too_broad",
        message="Can Manage on {path} would be more than the list needs, so it is not given.",
        cause="It is a directory of many teams, or a person's home.",
        remedy="Write paths in a directory of their own, as /Workspace/Shared/etl/main, /Repos/etl/prod or /Repos/etl/*. Of Git folders "
        "that are there already, write each by its own path."),
    row("no_workspace_id",
        message="The address {host} does not tell the workspace's id.",
        cause="Only an address of the form https://adb-1234567890123456.7.azuredatabricks.net has it, and it is needed to assign to it.",
        remedy="An account admin assigns the service principal to the workspace: https://accounts.azuredatabricks.net, Workspaces, "
        "Permissions."),
    row("manager_missing",
        message="Service principal {client_id} does not manage service principal {id} of additional_principal_ids, so it may not keep its "
        "Git credential.",
        cause="It lacks the role Service principal: Manager on it. Such roles are replaced all at once, so this command leaves them alone.",
        remedy="An account admin, or who manages it, grants the role: {host}, Settings, Identity and access, Service principals, "
        "{principal}, Permissions, Grant access."),
    row("additional_principal_not_found",
        message="{host} has no service principal with id {id}, which additional_principal_ids names.",
        cause=_PRINCIPAL_NOT_FOUND,
        remedy=_CORRECT_PRINCIPAL),
    row("principal_name_taken",
        message="{host} has {count} named {name} already: application id {ids}.",
        cause="Names of service principals need not be unique, so it cannot be told whether this one is meant.",
        remedy='Write its application id as "client_id" in WORKSPACE_DEFAULTS, or give the new one another name: --new-principal NAME.'),
    row("function_app_not_found",
        message="Subscription {subscription} has no function app {app}.",
        cause="The name or the subscription is wrong, or your sign-in has no role on the app.",
        remedy="Correct --app, --resource-group or --subscription. https://portal.azure.com shows the names under Function App."),
    row("function_app_elsewhere",
        message="Function app {app} is in another subscription, {subscription}.",
        cause="The Azure CLI uses a different subscription.",
        remedy="Add --subscription {subscription}."),
    row("function_app_ambiguous",
        message="Subscription {subscription} has more than one function app {app}, in the resource groups {groups}.",
        cause="Apps with a unique default host name can have the same name.",
        remedy="Add --resource-group NAME."),
    row("subscription_not_chosen",
        message="The Azure CLI uses no subscription.",
        cause="Your sign-in has no role in any subscription of the tenant, or it is for another tenant.",
        remedy="Sign in to the app's tenant, and select the subscription: `az login --tenant {tenant}`"),
    row("not_a_git_refresh_app",
        message="Function app {app} has no setting of this app.",
        cause="--app names another function app, or all settings were deleted.",
        remedy="Correct --app. If the settings were deleted, deploy infra/ again."),
    row("no_previous_settings",
        message="Function app {app} has no previous settings to put back.",
        cause="Nothing was deployed since its first list, or not all of the app settings PREVIOUS_* exist.",
        remedy="Deploy the list that you want, from the history of your repository."),
    row("defaults_removed",
        message="The file has no WORKSPACE_DEFAULTS, so those of the app are removed.",
        cause="They belong to the previous entries, and might be wrong for those of the file.",
        remedy="No action needed if the entries need none. Otherwise write WORKSPACE_DEFAULTS into the file."),
    row("file_is_previous",
        message="The file is what the app had before its last deployment.",
        cause="The file might be an older list: app settings have no date.",
        remedy="No action needed if you mean it. Otherwise get the latest list, and run the command again."),
    row("previous_too_long",
        message="The previous settings cannot be kept.",
        cause="One of them is too long for the longer name of its app setting PREVIOUS_*.",
        remedy="Save the current settings, if you might need them: `az functionapp config appsettings list --name {app} "
        "--resource-group {group} --output json`"),
    row("run_not_seen",
        message="No run with the new settings was seen yet.",
        cause="None was due, or its log lines have not arrived yet. The settings are set.",
        remedy="Read the logs again in some minutes: `{program} runs --app {app} --since 3h`"),
    row("app_settings_changed",
        message="The app settings of {app} are not the ones that were shown. Nothing was set.",
        cause="Another admin or a deployment has changed them since.",
        remedy="Run the command again: it shows what it would change now."),
    row("app_settings_not_kept",
        message="The app settings of {app} are not the ones that were set.",
        cause="Another admin or a deployment has changed them at the same time.",
        remedy="Run the command again: it shows what differs now."),
    row("alert_rules_disabled",
        message="Alert rules are disabled: {rules}.",
        cause="Somebody has disabled them, or the app got its first list without deploy.",
        remedy="Enable them, unless that is meant: https://portal.azure.com, Monitor, Alerts, Alert rules."),
    row("alert_rules_missing",
        message="No alert rule of infra/ is visible in resource group {group}.",
        cause="There is none, or your sign-in may not read them.",
        remedy="If infra/ has created some, let a person with the role Monitoring Reader check that they are enabled: "
        "https://portal.azure.com, Monitor, Alerts, Alert rules."),
    row("internal_error",
        message="{error}{place}.",
        cause="This is a bug in the app.",
        remedy="Report it to us with the message."),
    row("workspace_removed",
        message="{host} is no longer in the list.",
        cause="The app deletes nothing: the Git credential and the Git folders stay in the workspace. Jobs that use them fail when the "
        "stored token expires, within 90 minutes.",
        remedy="If they are still needed, put the entry back. Otherwise delete the Git folders in the workspace, and the Git credential, "
        f"{_DELETE_CREDENTIAL}"),
    row("folder_removed",
        message="{path} is no longer in the list.",
        cause="The app deletes nothing: the Git folder stays in the workspace at its commit. Jobs that use it get no new commits.",
        remedy="If it is still needed, put the entry back. Otherwise delete it: `DATABRICKS_HOST={host} databricks repos delete {path}`"),
    row("pattern_removed",
        message="{path}/* is no longer in the list.",
        cause="The app deletes nothing: the Git folders below stay in the workspace at their commits. Jobs that use them get no new "
        "commits.",
        remedy="If they are still needed, put the entry back. Otherwise delete them in the workspace. To list them: "
        "`DATABRICKS_HOST={host} databricks workspace list {path}`"),
    row("principal_removed",
        message="Service principal {principal_id} is no longer in additional_principal_ids.",
        cause="The app deletes nothing: its Git credential stays in the workspace. Jobs that run as it fail when the stored token expires, "
        "within 90 minutes.",
        remedy="If it is still needed, put the ID back. Otherwise find the Git credential: "
        "`DATABRICKS_HOST={host} databricks git-credentials list --principal-id {principal_id}` Then delete it by its id: "
        "`DATABRICKS_HOST={host} databricks git-credentials delete ID --principal-id {principal_id}`"),
)

# fmt: on

PAGE = {
    **SECTIONS,
    "Any service": (*SECTIONS["Any service"], UNKNOWN),
    "Found by the app itself": tuple(row for row in OWN if row.code not in {other.code for other in TABLE}),
}
"""Every code once, as people look them up. Rows of one code have one cause and one remedy."""
