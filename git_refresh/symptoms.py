"""The one table of failures: what is seen, what it means, what to do. Code, documentation and tests read it.

Rows are tried from top to bottom and the first that fits is taken, so the telling ones stand above the general ones. Texts in
`pattern` are the services' own. Braces are filled with what the run knows; see `diagnosis.Facts`.
"""

from dataclasses import dataclass

from git_refresh.service import Service

IDENTITY = (Service.IDENTITY,)
CLI = (Service.AZURE_CLI,)
VAULT = (Service.KEY_VAULT,)
DEVOPS = (Service.AZURE_DEVOPS,)
DATABRICKS = (Service.DATABRICKS,)
NETWORK = ("dns", "tls", "refused", "reset", "connect_timeout", "timeout", "proxy")


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of failure. An empty criterion fits everything."""

    code: str
    """Stable: dashboards and pipelines hold on to it."""
    cause: str
    remedy: str
    service: tuple[Service, ...] = ()
    kind: tuple[str, ...] = ()
    status: tuple[int, ...] = ()
    error_code: str = ""
    """Regular expression for the whole error code."""
    pattern: str = ""
    """Regular expression to be found in the message."""
    operation: str = ""
    """Regular expression for the start of what was attempted."""


_GRANT_DEVOPS = (
    "In https://dev.azure.com/{organization}/_settings/users add the identity with object id {object_id} with access level Basic "
    "(Stakeholder is not enough), and add it to the Readers of project {project}."
)

TABLE = (
    # Identity
    Row(
        "identity_missing",
        "There is no managed identity to ask: the app has none enabled (and there is no Azure CLI either).",
        "In Azure: az functionapp identity assign --name APP --resource-group GROUP, and for a user-assigned identity set "
        "AZURE_CLIENT_ID to its client id. On a laptop: install the Azure CLI and run az login.",
        CLI,
        pattern=r"Azure CLI not found",
    ),
    Row(
        "azure_cli_sign_in",
        "The Azure CLI on this machine is not signed in, or its sign-in has run out.",
        "Run az login, with --tenant for the tenant of the Azure DevOps organization.",
        CLI,
    ),
    Row(
        "identity_lapsed_token",
        "The token that was handed out had lapsed already; the platform caches tokens.",
        "Nothing was stored. If the next run says the same, check this machine's clock, then restart the app.",
        (Service.IDENTITY, Service.AZURE_CLI),
        ("lapsed",),
    ),
    Row(
        "identity_unknown",
        "The app has no identity with this client id, or none at all.",
        "Set AZURE_CLIENT_ID to the client id (not the object id) of an identity assigned to the app "
        "(az functionapp identity show --name APP --resource-group GROUP), or remove it to use the system-assigned one.",
        IDENTITY,
        status=(400, 404),
    ),
    Row(
        "identity_unavailable",
        "The platform's identity endpoint did not give a token. AZURE_CLIENT_ID may name an identity that was removed.",
        "It mostly passes: the next run tries again. If it does not, check AZURE_CLIENT_ID and restart the app.",
        IDENTITY,
    ),
    # Key Vault
    Row(
        "key_vault_firewall",
        "The vault's firewall does not let the app in.",
        "Connect the app to a virtual network that the vault {vault} allows, or allow the app's outbound addresses: "
        "az keyvault network-rule add.",
        VAULT,
        error_code=r"ForbiddenByFirewall|ForbiddenByConnection",
    ),
    Row(
        "secret_disabled",
        "The latest version of the secret is disabled.",
        "Enable it, or store the OAuth secret as a new version: az keyvault secret set --vault-name NAME --name {secret}.",
        VAULT,
        error_code="SecretDisabled",
    ),
    Row(
        "key_vault_forbidden",
        "The app's identity may not read secrets in this vault.",
        "Grant it: az role assignment create --assignee-object-id {object_id} --assignee-principal-type ServicePrincipal "
        '--role "Key Vault Secrets User" --scope RESOURCE_ID_OF_THE_VAULT ({vault}).',
        VAULT,
        status=(403,),
    ),
    Row(
        "key_vault_sign_in",
        "The vault does not take the identity's token: it belongs to another tenant.",
        "Use a vault of the identity's own tenant; {vault} is not.",
        VAULT,
        status=(401,),
    ),
    Row(
        "secret_not_found",
        'The vault has no secret "{secret}", or it was deleted.',
        "Write the right client_secret_name, or store the secret: az keyvault secret set --vault-name NAME --name {secret}. "
        "Names that exist: az keyvault secret list --vault-name NAME.",
        VAULT,
        status=(404,),
    ),
    Row(
        "secret_expired",
        "The secret's expiry date in Key Vault has passed, and so very likely the OAuth secret behind it.",
        "Create a new OAuth secret for service principal {client_id} (Databricks account console, or az databricks), and store it as a new "
        "version with its expiry date: az keyvault secret set --vault-name NAME --name {secret} --expires DATE.",
        VAULT,
        ("lapsed",),
    ),
    Row(
        "key_vault_unreachable",
        "The vault's host name does not resolve, or nothing answers there.",
        "Check KEY_VAULT_URL ({vault}); behind a private endpoint, check the app's virtual network and private DNS zone.",
        VAULT,
        NETWORK,
    ),
    # Azure DevOps
    Row(
        "devops_not_a_member",
        "The token is fine, but the identity is not a member of organization {organization}.",
        _GRANT_DEVOPS,
        DEVOPS,
        pattern=r"TF401444",
    ),
    Row(
        "devops_conditional_access",
        "A Conditional Access policy of the tenant keeps the identity out.",
        "A tenant administrator exempts the identity with object id {object_id} from the policy for Azure DevOps.",
        DEVOPS,
        pattern=r"VS403463",
    ),
    Row(
        "devops_project_not_found",
        "Project {project} does not exist in {organization}, or this identity may not see it.",
        "Check the project's name in the url. " + _GRANT_DEVOPS,
        DEVOPS,
        pattern=r"VS800075|TF200016",
    ),
    Row(
        "devops_repository_not_found",
        "Repository {repository} does not exist in {organization}/{project}, or this identity may not read it.",
        "Check the repository's name in the url. " + _GRANT_DEVOPS,
        DEVOPS,
        pattern=r"TF401019|does not exist or you do not have permissions",
    ),
    Row(
        "devops_no_access",
        "Azure DevOps knows neither the token nor the identity for organization {organization}.",
        _GRANT_DEVOPS,
        DEVOPS,
        pattern=r"TF400813",
    ),
    Row(
        "devops_token_rejected",
        "Azure DevOps does not take the token: it asks to sign in.",
        "The organization must be connected to the identity's own Entra tenant (Organization settings, Microsoft Entra). "
        + _GRANT_DEVOPS,
        DEVOPS,
        status=(203, 302, 401, 403),
    ),
    Row(
        "devops_token_rejected",
        "Azure DevOps does not take the token: it answers with a sign-in page.",
        "The organization must be connected to the identity's own Entra tenant (Organization settings, Microsoft Entra). "
        + _GRANT_DEVOPS,
        DEVOPS,
        ("unexpected",),
        pattern=r"^\s*<",
    ),
    Row(
        "devops_unreachable",
        "Azure DevOps could not be asked from the app; nothing is wrong with the credential.",
        "It mostly passes. If it does not, let the app reach https://dev.azure.com, or check the service's status page.",
        DEVOPS,
        NETWORK,
    ),
    # Signing in to a workspace
    Row(
        "workspace_private_link",
        "The workspace only takes connections through Azure Private Link.",
        "Connect the app to a virtual network with a private endpoint and DNS for {host}.",
        DATABRICKS,
        pattern=r"private-link-validation-error",
    ),
    Row(
        "workspace_ip_blocked",
        "The workspace's IP access list does not let the app's outbound address in.",
        "Give the app a fixed outbound address (virtual network with a NAT gateway) and add that to the list of {host}.",
        DATABRICKS,
        pattern=r"blocked by Databricks IP ACL",
    ),
    Row(
        "not_in_workspace",
        "The service principal is not assigned to this workspace.",
        "Assign {principal} to the workspace: {host}, Settings, Identity and access, Service principals.",
        DATABRICKS,
        pattern=r"Unauthorized access to Org",
    ),
    Row(
        "oauth_secret_rejected",
        "The workspace does not take the OAuth secret: it is wrong, has expired or was deleted, or client_id is another principal's.",
        "Create a new OAuth secret for service principal {client_id} and store it as a new version of {secret} in {vault}. "
        "client_id must be the application id, and the principal must be assigned to {host}.",
        DATABRICKS,
        status=(400, 401, 403),
        operation="sign in",
    ),
    Row(
        "workspace_sign_in",
        "The workspace does not take the access token.",
        "Check that {principal} is active and assigned to {host}.",
        DATABRICKS,
        status=(401,),
    ),
    Row(
        "federated_credential_mismatch",
        "The federated credential in Entra does not match: issuer, subject, or their letter case.",
        "Correct the federated credential (Microsoft Entra, App registrations, Certificates & secrets, Federated credentials): the "
        "issuer is {host}/oidc.",
        pattern=r"AADSTS700213|AADSTS7002138",
    ),
    # Git credentials
    Row(
        "credential_expired_or_wrong",
        "Azure DevOps refused the stored Git credential: its token has lapsed, or the identity may not read the repository.",
        "The next run stores a fresh one. If it repeats: " + _GRANT_DEVOPS,
        DATABRICKS,
        pattern=r"Invalid Git provider credentials",
    ),
    Row(
        "credential_missing",
        "The principal that asks has no Git credential for Azure DevOps in this workspace.",
        "This app stores one for {principal}; for another principal, add its numeric id to run_as.",
        DATABRICKS,
        pattern=r"Missing Git provider credentials|Azure Active Directory credentials missing",
    ),
    Row(
        "federated_credential_broken",
        "The workspace tried a federated credential (azureDevOpsServicesAad) that does not work.",
        "Repair the federated credential in Entra, or delete that Git credential so that the one of this app is used.",
        DATABRICKS,
        pattern=r"error with your Azure Active Directory credentials",
    ),
    Row(
        "credential_limit",
        "The principal has another Git credential, and the workspace allows only one for each provider.",
        "Delete the other one: databricks git-credentials list, then databricks git-credentials delete ID.",
        DATABRICKS,
        pattern=r"Only one Git credential is supported|Only one credential per provider",
    ),
    Row(
        "credential_gone",
        "The Git credential was deleted while the run was under way, or belongs to a principal that this one does not manage.",
        "The next run looks again. For run_as, give {principal} the Service Principal Manager role on that principal.",
        DATABRICKS,
        pattern=r"Git credential with id",
    ),
    # Git folders
    Row(
        "git_conflict",
        "The Git folder has uncommitted changes that stand in the way of the update{files}.",
        'Commit or revert them in the workspace ({path}). For a read-only mirror, write "on_conflict": "discard" for the folder.',
        DATABRICKS,
        error_code="GIT_CONFLICT",
    ),
    Row(
        "unknown_ref",
        "{ref} does not exist in {repository}.",
        "Correct branch or tag in the settings, or push it.",
        DATABRICKS,
        error_code="GIT_UNKNOWN_REF",
    ),
    Row(
        "repository_not_found",
        "The workspace cannot find the repository: wrong url, no Basic access level, or no right to read it.",
        "Check the url ({url}). " + _GRANT_DEVOPS,
        DATABRICKS,
        pattern=r"Remote repo not found",
    ),
    Row(
        "url_not_allowed",
        "The workspace's list of allowed Git URLs leaves this repository out.",
        "A workspace administrator adds {url} under {host}, Settings, Development, Git URL allow list.",
        DATABRICKS,
        pattern=r"is disallowed in your Workspace",
    ),
    Row(
        "url_not_allowed",
        "The workspace's list of allowed Git URLs leaves this repository out.",
        "A workspace administrator adds {url} under {host}, Settings, Development, Git URL allow list.",
        DATABRICKS,
        error_code="GIT_URL_NOT_ON_ALLOW_LIST",
    ),
    Row(
        "git_remote_error",
        "The workspace could not reach Azure DevOps.",
        "It mostly passes: the next run tries again.",
        DATABRICKS,
        error_code="GIT_REMOTE_ERROR",
    ),
    Row(
        "path_protected",
        "Directly below /Repos only folders of Git folders may stand.",
        "Write the path as /Repos/FOLDER/NAME.",
        DATABRICKS,
        error_code="DIRECTORY_PROTECTED",
    ),
    Row(
        "path_taken",
        "The path is taken, but {principal} may not see what stands there.",
        "Give {principal} Can Manage on {path}, or choose another path.",
        DATABRICKS,
        error_code="RESOURCE_ALREADY_EXISTS",
    ),
    Row(
        "path_taken",
        "The path is taken, but {principal} may not see what stands there.",
        "Give {principal} Can Manage on {path}, or choose another path.",
        DATABRICKS,
        pattern=r"already exists",
    ),
    Row(
        "clone_incomplete",
        "The workspace could not finish cloning the repository.",
        "The next run looks again and takes the folder over if it is whole. A large repository needs sparse.",
        DATABRICKS,
        pattern=r"Failed to clone repo",
    ),
    Row(
        "folder_not_found",
        "The Git folder does not exist, or {principal} may not see it.",
        "Give {principal} Can Manage on {path}, or write the folder's url so that it is created.",
        DATABRICKS,
        error_code="RESOURCE_DOES_NOT_EXIST",
    ),
    Row(
        "git_operation_timeout",
        "The Git operation took longer than the workspace allows: the repository is large.",
        "The next run looks again. Make it smaller: sparse, with the directories that are needed.",
        DATABRICKS,
        error_code="PROJECTS_OPERATION_TIMEOUT",
    ),
    Row(
        "permission_denied",
        "{principal} may not do that in this workspace.",
        "Give {principal} Can Manage on {path}, and check that it is assigned to {host}.",
        DATABRICKS,
        status=(403,),
    ),
    # Whoever it is
    Row(
        "out_of_time",
        "The run's time was over before this was done.",
        "The next run goes on. If it repeats, raise REFRESH_TIMEOUT_SECONDS (below host.json's functionTimeout) or REFRESH_CONCURRENCY.",
        kind=("out_of_time",),
    ),
    Row(
        "unreachable",
        "The host name does not resolve, or nothing that speaks TLS for it answers there.",
        "Check host ({host}); behind Private Link, check the app's virtual network and private DNS zone.",
        kind=("dns", "tls", "refused", "connect_timeout", "proxy"),
    ),
    Row(
        "timeout",
        "{service} took the request and did not answer in time.",
        "It mostly passes: the next run looks again. If it repeats for a Git folder, the repository is large: use sparse.",
        kind=("timeout",),
    ),
    Row(
        "connection_lost",
        "{service} broke the connection off before it had answered.",
        "It mostly passes: the next run looks again.",
        kind=("reset",),
    ),
    Row(
        "throttled",
        "{service} is asked too often, and wants more patience than a run has.",
        "It mostly passes. If it does not, widen REFRESH_SCHEDULE or lower REFRESH_CONCURRENCY.",
        status=(429,),
    ),
    Row(
        "throttled",
        "{service} is asked too often, and wants more patience than a run has.",
        "It mostly passes. If it does not, widen REFRESH_SCHEDULE or lower REFRESH_CONCURRENCY.",
        error_code="REQUEST_LIMIT_EXCEEDED",
    ),
    Row(
        "service_unavailable",
        "{service} has trouble of its own.",
        "It mostly passes: the next run tries again. If it does not, open a ticket there and quote the request id.",
        status=(500, 502, 503, 504),
    ),
    Row(
        "answer_too_large",
        "{service} answered with far more than such an answer holds; it was dropped.",
        "Check that the host is what it should be; a proxy in between may answer in its place.",
        kind=("too_large",),
    ),
    Row(
        "unexpected_answer",
        "{service} answered with something else than it promises: a proxy or sign-in page may stand in between.",
        "Check that the host is what it should be ({host}). If it is, report this to us, with the request id.",
        kind=("unexpected", "not_sent"),
    ),
)

UNKNOWN = Row(
    "unknown",
    "{service} gave a reason that this app does not know yet.",
    "Look the error code up in the service's documentation, and report it to us with the request id.",
)

# What the app finds by itself, without a service having failed.
OWN = (
    Row(
        "invalid_settings",
        "The entry in WORKSPACES is wrong, so nothing was done for this workspace.",
        "Correct the app setting as the message says; saving it restarts the app.",
    ),
    Row(
        "invalid_folder",
        "The folder's entry in WORKSPACES is wrong, so it was left out.",
        "Correct the app setting as the message says; saving it restarts the app.",
    ),
    Row(
        "folder_missing",
        "The Git folder does not exist, or {principal} may not see it, and the settings name no repository to create it from.",
        "Write the folder's url so that it is created, or give {principal} Can Manage on {path}.",
    ),
    Row(
        "not_a_git_folder",
        "Something else than a Git folder stands at this path.",
        "Choose another path, or move what stands at {path} away. This app never deletes anything.",
    ),
    Row(
        "other_repository",
        "The Git folder is a clone of another repository than the settings say.",
        "Correct url or path, or delete the folder {path} in the workspace so that it is created anew.",
    ),
    Row(
        "not_azure_devops",
        "The Git folder's repository is not in Azure DevOps, so this app has no credential for it.",
        "Remove {path} from the settings, or list its host in TRUSTED_HOSTS if it is an Azure DevOps of yours.",
    ),
    Row(
        "no_such_ref",
        "{ref} does not exist in {repository}.",
        "Correct branch or tag in the settings, or push it.",
    ),
    Row(
        "credential_not_stored",
        "The workspace has no usable Git credential, so nothing could be pulled.",
        "Mend what the workspace's own error says first.",
    ),
    Row(
        "internal_error",
        "The app itself has a mistake.",
        "Please report it to us, with the message.",
    ),
)
