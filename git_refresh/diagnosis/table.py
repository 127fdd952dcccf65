"""The one table of failures: what is seen, what it means, what to do. Code, documentation and tests read it.

Rows are tried from top to bottom and the first that fits is taken, so the telling ones stand above the general ones. Texts in
`pattern` and `seen` are the services' own. Braces are filled with what the run knows; see `explain.Facts`.
`make docs` writes `docs/troubleshooting.md` from here.
"""

from dataclasses import dataclass

from git_refresh.symptom import Service

IDENTITY = (Service.IDENTITY,)
CLI = (Service.AZURE_CLI,)
VAULT = (Service.KEY_VAULT,)
DEVOPS = (Service.AZURE_DEVOPS,)
DATABRICKS = (Service.DATABRICKS,)
NETWORK = ("dns", "tls", "refused", "reset", "connect_timeout", "timeout", "proxy")
_CREDENTIAL_OPERATION = r"\w+ the Git credential"


@dataclass(frozen=True, slots=True)
class Sign:
    """By what a failure is recognised: everything that is given has to fit."""

    service: tuple[Service, ...] = ()
    kind: tuple[str, ...] = ()
    status: tuple[int, ...] = ()
    error_code: str = ""
    """Regular expression for the whole error code."""
    pattern: str = ""
    """Regular expression to be found in the message."""
    operation: str = ""
    """Regular expression for the start of what was attempted."""


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of failure; it is this one when any of its signs fits."""

    code: str
    """Stable: dashboards and pipelines hold on to it."""
    signs: tuple[Sign, ...] = ()
    seen: str = ""
    """What the service says: status, error code, message, as far as known. "…" stands for more."""
    message: str = ""
    """What the app says that has happened, where no service has failed: of `OWN` rows alone."""
    cause: str = ""
    remedy: str = ""


_GRANT_DEVOPS = (
    "In https://dev.azure.com/{organization}/_settings/users add the identity with object id {object_id} with access level Basic "
    "(Stakeholder is not enough), and add it to the Readers of project {project}."
)
_STORE_SECRET = "az keyvault secret set --vault-name {vault_name} --name {secret} --value VALUE"  # noqa: S105  # a command

_IDENTITY = (
    Row(
        "federated_credential_mismatch",
        (Sign(pattern=r"AADSTS700213|AADSTS7002138"),),
        seen="AADSTS700213: No matching federated identity record found…",
        cause="The federated credential in Entra does not match: issuer or subject differ, if only in letter case.",
        remedy="Correct it letter for letter (Microsoft Entra, App registrations, Certificates & secrets, Federated credentials). For "
        "a workspace the issuer is {host}/oidc and the audience api://AzureADTokenExchange.",
    ),
    Row(
        "identity_missing",
        (
            Sign(CLI, pattern=r"Azure CLI not found"),
            Sign(IDENTITY, pattern=r"managed identity configuration not found"),
        ),
        seen="App Service managed identity configuration not found in environment.",
        cause="There is no managed identity to ask: the app has none enabled (and there is no Azure CLI either).",
        remedy="In Azure: az functionapp identity assign --name APP --resource-group GROUP, and for a user-assigned identity set "
        "AZURE_CLIENT_ID to its client id. On a laptop: install the Azure CLI and run az login.",
    ),
    Row(
        "identity_lapsed_token",
        (Sign((Service.IDENTITY, Service.AZURE_CLI), ("lapsed",)),),
        cause="The token that was handed out had lapsed already; the platform caches tokens.",
        remedy="Nothing was stored. If the next run says the same, check this machine's clock, then restart the app.",
    ),
    Row(
        "identity_wrong_tenant",
        (Sign((Service.IDENTITY, Service.AZURE_CLI), pattern=r"AADSTS500011"),),
        seen="400 …AADSTS500011: The resource principal named … was not found in the tenant…",
        cause="The identity's Entra tenant does not know the service that the token is for.",
        remedy="Use an identity of the tenant that the Azure DevOps organization is connected to (Organization settings, Microsoft Entra).",
    ),
    Row(
        "azure_cli_sign_in",
        (Sign(CLI, ("unexpected",)),),
        seen="Please run 'az login' to set up an account",
        cause="The Azure CLI on this machine is not signed in, or its sign-in has run out.",
        remedy="Run az login, with --tenant for the tenant of the Azure DevOps organization.",
    ),
    Row(
        "identity_unknown",
        (Sign(IDENTITY, status=(400, 404)),),
        seen="400 …No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
        cause="The app has no identity with this client id, or none at all.",
        remedy="Set AZURE_CLIENT_ID to the client id (not the object id) of an identity assigned to the app "
        "(az functionapp identity show --name APP --resource-group GROUP), or remove it to use the system-assigned one.",
    ),
    Row(
        "identity_unavailable",
        (Sign(IDENTITY, ("answer", "unexpected", "not_sent", *NETWORK)),),
        seen="500",
        cause="The platform's identity endpoint did not give a token. AZURE_CLIENT_ID may name an identity that was removed.",
        remedy="It mostly passes: the next run tries again. If it does not, check AZURE_CLIENT_ID and restart the app.",
    ),
)

_KEY_VAULT = (
    Row(
        "key_vault_firewall",
        (Sign(VAULT, error_code=r"ForbiddenByFirewall|ForbiddenByConnection"),),
        seen="403 ForbiddenByFirewall Client address is not authorized and caller is not a trusted service.",
        cause="The vault's firewall does not let the app in, or it takes connections through its private endpoint only.",
        remedy="Connect the app to a virtual network that {vault} allows, or that holds its private endpoint. Or allow the app's outbound "
        "address: az keyvault network-rule add --name {vault_name} --ip-address ADDRESS.",
    ),
    Row(
        "secret_disabled",
        (Sign(VAULT, error_code="SecretDisabled"),),
        seen="403 SecretDisabled Operation get is not allowed on a disabled secret.",
        cause='The latest version of the secret "{secret}" is disabled.',
        remedy=f"Enable it, or store the OAuth secret as a new version: {_STORE_SECRET}.",
    ),
    Row(
        "key_vault_access_policy",
        (Sign(VAULT, pattern=r"does not have secrets get permission"),),
        seen="403 …does not have secrets get permission on key vault…",
        cause="The vault goes by access policies, and none lets the app's identity read secrets.",
        remedy="Add one: az keyvault set-policy --name {vault_name} --object-id {object_id} --secret-permissions get.",
    ),
    Row(
        "key_vault_forbidden",
        (Sign(VAULT, status=(403,)),),
        seen="403 ForbiddenByRbac Caller is not authorized to perform action on resource.",
        cause="The app's identity may not read secrets in {vault}: it lacks the role Key Vault Secrets User.",
        remedy="Grant it: az role assignment create --assignee-object-id {object_id} --assignee-principal-type ServicePrincipal "
        '--role "Key Vault Secrets User" --scope "$(az keyvault show --name {vault_name} --query id --output tsv)". '
        "It may take minutes to work.",
    ),
    Row(
        "key_vault_sign_in",
        (Sign(VAULT, status=(401,)),),
        seen="401 Unauthorized AKV10032: Invalid issuer.",
        cause="The vault does not take the identity's token: it belongs to another tenant.",
        remedy="Use a vault of the identity's own tenant; {vault} is not.",
    ),
    Row(
        "secret_not_found",
        (Sign(VAULT, status=(404,)),),
        seen="404 SecretNotFound A secret with (name/id) … was not found in this key vault.",
        cause='The vault has no secret "{secret}", or it was deleted.',
        remedy="Correct client_secret_name (az keyvault secret list --vault-name {vault_name} shows the names), or store it: "
        f"{_STORE_SECRET}.",
    ),
    Row(
        "secret_expired",
        (Sign(VAULT, ("lapsed",)),),
        cause="The secret's expiry date in Key Vault has passed, and so very likely the OAuth secret behind it.",
        remedy="Create a new OAuth secret for service principal {client_id} ({host}, Settings, Identity and access, Service principals, "
        f"Secrets), and store it as a new version with its end: {_STORE_SECRET} --expires DATE.",
    ),
    Row(
        "key_vault_unreachable",
        (Sign(VAULT, NETWORK),),
        cause="The vault's host name does not resolve, or nothing that speaks TLS for it answers there.",
        remedy="Check KEY_VAULT_URL ({vault}); behind a private endpoint, check the app's virtual network and private DNS zone.",
    ),
)

_AZURE_DEVOPS = (
    Row(
        "devops_not_a_member",
        (Sign(DEVOPS, pattern=r"TF401444"),),
        seen="401 …TF401444: Please sign-in at least once as …",
        cause="The token is fine, but the identity is not a member of organization {organization}.",
        remedy=_GRANT_DEVOPS,
    ),
    Row(
        "devops_conditional_access",
        (Sign(DEVOPS, pattern=r"VS403463"),),
        seen="…VS403463: The conditional access policy defined by your … administrator has failed.",
        cause="A Conditional Access policy of the tenant keeps the identity out.",
        remedy="A tenant administrator exempts the identity with object id {object_id} from the policy for Azure DevOps.",
    ),
    Row(
        "devops_project_not_found",
        (Sign(DEVOPS, pattern=r"VS800075|TF200016"),),
        seen="404 …VS800075: The project with id … does not exist, or you do not have permission to access it.",
        cause="Project {project} does not exist in {organization}, or this identity may not see it.",
        remedy="Check the project's name in {url}. " + _GRANT_DEVOPS,
    ),
    Row(
        "devops_repository_not_found",
        (Sign(DEVOPS, pattern=r"TF401019|TF401027|does not exist or you do not have permissions"),),
        seen="404 …TF401019: The Git repository with name or identifier … does not exist or you do not have permissions…",
        cause="Repository {repository} does not exist in {organization}/{project}, or this identity may not read it.",
        remedy="Check the repository's name in {url}. " + _GRANT_DEVOPS,
    ),
    Row(
        "devops_no_access",
        (Sign(DEVOPS, pattern=r"TF400813"),),
        seen="401 …TF400813: The user '…' is not authorized to access this resource.",
        cause="Azure DevOps lets nobody in with this token: it has lapsed, or organization {organization} does not know the identity.",
        remedy=_GRANT_DEVOPS,
    ),
    Row(
        "devops_token_rejected",
        (
            Sign(DEVOPS, status=(203, 302, 401, 403)),
            Sign(DEVOPS, ("unexpected",), pattern=r"^\s*<"),
        ),
        seen="203 <!DOCTYPE html><html><head><title>Azure DevOps Services | Sign In</title>…",
        cause="Azure DevOps does not take the token: it asks to sign in.",
        remedy="The organization must be connected to the identity's own Entra tenant (Organization settings, Microsoft Entra). "
        + _GRANT_DEVOPS,
    ),
    Row(
        "devops_organization_not_found",
        (Sign(DEVOPS, status=(404,)),),
        seen="404 <!DOCTYPE html><html><head><title>Azure DevOps Services | 404: not found</title>…",
        cause="Azure DevOps has no organization {organization}.",
        remedy="Check the organization's name in {url}.",
    ),
    Row(
        "devops_unreachable",
        (Sign(DEVOPS, NETWORK),),
        cause="Azure DevOps could not be asked from the app; nothing is wrong with the credential.",
        remedy="It mostly passes. If it does not, let the app reach https://dev.azure.com, or look at https://status.dev.azure.com.",
    ),
)

_SIGN_IN = (
    Row(
        "workspace_private_link",
        (Sign(DATABRICKS, pattern=r"private-link-validation-error"),),
        seen="302 …/login.html?error=private-link-validation-error…",
        cause="The workspace only takes connections through Azure Private Link.",
        remedy="Connect the app to a virtual network with a private endpoint and private DNS for {host}.",
    ),
    Row(
        "workspace_ip_blocked",
        (Sign(DATABRICKS, pattern=r"blocked by Databricks IP ACL"),),
        seen="403 …Source IP address: … is blocked by Databricks IP ACL…",
        cause="The workspace's IP access list does not let the app's outbound address in.",
        remedy="Give the app a fixed outbound address (virtual network with a NAT gateway) and add that to the list of {host}: "
        "databricks ip-access-lists create.",
    ),
    Row(
        "not_in_workspace",
        (Sign(DATABRICKS, pattern=r"Unauthorized access to Org"),),
        seen="403 …Unauthorized access to Org: …",
        cause="The service principal is not assigned to this workspace.",
        remedy="In {host}, Settings, Identity and access, Service principals, add {principal}.",
    ),
    Row(
        "oauth_secret_rejected",
        (Sign(DATABRICKS, status=(400, 401, 403), operation="sign in"),),
        seen="401 invalid_client Client authentication failed",
        cause="The workspace does not take the OAuth secret: it is wrong, has expired or was deleted, or client_id is another principal's.",
        remedy="Create a new OAuth secret for service principal {client_id} ({host}, Settings, Identity and access, Service principals, "
        f"Secrets), and store it as a new version with its end: {_STORE_SECRET} --expires DATE. "
        "client_id must be the application id, and the principal must be assigned to the workspace.",
    ),
    Row(
        "workspace_sign_in",
        (
            Sign(DATABRICKS, status=(401,)),
            Sign(DATABRICKS, pattern=r"Invalid access token|\(token expired\)"),
        ),
        seen="403 …Invalid access token.",
        cause="The workspace does not take the access token.",
        remedy="Check that {principal} is active and assigned to {host} (Settings, Identity and access, Service principals).",
    ),
    Row(
        "unreachable",
        (Sign(DATABRICKS, ("dns", "tls", "refused", "connect_timeout", "proxy")),),
        cause="The workspace's host name does not resolve, or nothing that speaks TLS for it answers there.",
        remedy="Check host ({host}); behind Private Link, check the app's virtual network and private DNS zone; behind a proxy of your "
        "own, HTTPS_PROXY and, for its certificate, REQUESTS_CA_BUNDLE.",
    ),
)

_CREDENTIAL = (
    Row(
        "credential_expired_or_wrong",
        (Sign(DATABRICKS, pattern=r"Invalid Git provider credentials"),),
        seen="403 PERMISSION_DENIED Invalid Git provider credentials.…",
        cause="Azure DevOps refused the stored Git credential: its token has lapsed, or the identity may not read the repository.",
        remedy="The next run stores a fresh one. If it repeats: " + _GRANT_DEVOPS,
    ),
    Row(
        "credential_missing",
        (
            Sign(
                DATABRICKS,
                pattern=r"Missing Git provider credentials|Azure Active Directory credentials missing",
            ),
        ),
        seen="403 PERMISSION_DENIED Missing Git provider credentials.…",
        cause="The principal that asks has no Git credential for Azure DevOps in this workspace.",
        remedy="This app stores one for {principal}; for another principal, add its numeric id to run_as.",
    ),
    Row(
        "federated_credential_broken",
        (Sign(DATABRICKS, pattern=r"error with your Azure Active Directory credentials"),),
        seen="403 PERMISSION_DENIED Encountered an error with your Azure Active Directory credentials.…",
        cause="The workspace tried a federated credential (azureDevOpsServicesAad) that does not work.",
        remedy="Repair the federated credential in Entra, or delete that Git credential so that the one of this app is used: "
        "databricks git-credentials list, then databricks git-credentials delete ID.",
    ),
    Row(
        "credential_limit",
        (
            Sign(
                DATABRICKS,
                pattern=r"Only one Git credential is supported|Only one credential per provider",
            ),
        ),
        seen="409 …A Git credential already exists for provider … Only one credential per provider is allowed for service principals.",
        cause="The principal has another Git credential, and the workspace allows only one for each provider.",
        remedy="Signed in as {principal}, delete the other one: databricks git-credentials list, then "
        "databricks git-credentials delete ID.",
    ),
    Row(
        "credential_gone",
        (Sign(DATABRICKS, pattern=r"Git credential with id"),),
        seen="404 RESOURCE_DOES_NOT_EXIST Git credential with id … could not be found",
        cause="The Git credential was deleted while the run was under way, or belongs to a principal that the app's does not manage.",
        remedy="The next run looks again. For a principal in run_as, give the one that signs in the role Service principal: Manager on it "
        "({host}, Settings, Identity and access, Service principals, Permissions).",
    ),
    Row(
        "principal_not_found",
        (Sign(DATABRICKS, error_code="RESOURCE_DOES_NOT_EXIST", operation=_CREDENTIAL_OPERATION),),
        cause="The workspace does not know {principal}.",
        remedy="Correct its numeric id in run_as: {host}, Settings, Identity and access, Service principals, shows the id of each.",
    ),
    Row(
        "credential_forbidden",
        (Sign(DATABRICKS, status=(403,), operation=_CREDENTIAL_OPERATION),),
        seen="403 PERMISSION_DENIED",
        cause="The workspace does not let the app see to the Git credentials of {principal}.",
        remedy="Check in {host}, Settings, Identity and access, Service principals, that it has the entitlement Workspace access. For a "
        "principal in run_as, give the one that signs in the role Service principal: Manager on it (Permissions).",
    ),
)

_FOLDER = (
    Row(
        "git_conflict",
        (
            Sign(DATABRICKS, error_code="GIT_CONFLICT"),
            Sign(DATABRICKS, pattern=r"^Conflict pulling from remote"),
        ),
        seen="400 GIT_CONFLICT Conflict pulling from remote. Conflicting files: …",
        cause="The Git folder has uncommitted changes that stand in the way of the update{files}.",
        remedy="Commit or revert them in the workspace ({path}). For a read-only mirror, "
        'write "on_conflict": "discard" for the folder.',
    ),
    Row(
        "unknown_ref",
        (Sign(DATABRICKS, error_code="GIT_UNKNOWN_REF"),),
        seen="400 GIT_UNKNOWN_REF",
        cause="{ref} does not exist in {repository}.",
        remedy="Correct branch or tag in the settings (main, not origin/main), or push it.",
    ),
    Row(
        "repository_not_found",
        (Sign(DATABRICKS, pattern=r"Remote repo not found"),),
        seen="400 BAD_REQUEST Remote repo not found.…",
        cause="The workspace cannot find the repository: wrong url, no Basic access level, or no right to read it.",
        remedy="Check the url ({url}). " + _GRANT_DEVOPS,
    ),
    Row(
        "url_not_allowed",
        (
            Sign(DATABRICKS, error_code="GIT_URL_NOT_ON_ALLOW_LIST"),
            Sign(DATABRICKS, pattern=r"is disallowed in your Workspace"),
        ),
        seen="…is disallowed in your Workspace…",
        cause="The workspace's list of allowed Git URLs leaves this repository out.",
        remedy="A workspace administrator adds {url} under {host}, Settings, Development, Git URL allow list.",
    ),
    Row(
        "git_remote_error",
        (Sign(DATABRICKS, error_code="GIT_REMOTE_ERROR"),),
        seen="GIT_REMOTE_ERROR",
        cause="The workspace could not reach Azure DevOps.",
        remedy="It mostly passes: the next run tries again. If it does not, look at https://status.dev.azure.com.",
    ),
    Row(
        "path_protected",
        (
            Sign(DATABRICKS, error_code="DIRECTORY_PROTECTED"),
            Sign(DATABRICKS, pattern=r"^Top-level folder can only contain repos"),
        ),
        seen="400 DIRECTORY_PROTECTED Top-level folder can only contain repos",
        cause="Directly below /Repos only folders of Git folders may stand, and {path} is another depth.",
        remedy="Write the path as /Repos/FOLDER/NAME.",
    ),
    Row(
        "path_taken",
        (
            Sign(DATABRICKS, error_code="RESOURCE_ALREADY_EXISTS"),
            Sign(DATABRICKS, pattern=r"already exists"),
        ),
        seen="400 RESOURCE_ALREADY_EXISTS Repo … already exists…",
        cause="The path is taken by something else, or by something that {principal} may not see.",
        remedy="Give {principal} Can Manage on {path}, or choose another path.",
    ),
    Row(
        "clone_incomplete",
        (Sign(DATABRICKS, pattern=r"Failed to clone repo"),),
        seen="Failed to clone repo. Repo may be incomplete…",
        cause="The workspace could not finish cloning the repository.",
        remedy="The next run looks again and takes the folder over if it is whole. A large repository needs sparse.",
    ),
    Row(
        "folder_not_found",
        (
            Sign(DATABRICKS, error_code="RESOURCE_DOES_NOT_EXIST"),
            Sign(DATABRICKS, pattern=r"^Path \(.*\) doesn't exist"),
        ),
        seen="404 RESOURCE_DOES_NOT_EXIST Path (…) doesn't exist.",
        cause="The Git folder does not exist, or {principal} may not see it.",
        remedy="Give {principal} Can Manage on {path}, or write the folder's url so that it is created.",
    ),
    Row(
        "git_operation_timeout",
        (Sign(DATABRICKS, error_code="PROJECTS_OPERATION_TIMEOUT"),),
        seen="PROJECTS_OPERATION_TIMEOUT",
        cause="The Git operation took longer than the workspace allows: the repository is large.",
        remedy="The next run looks again. Make it smaller: sparse, with the directories that are needed.",
    ),
    Row(
        "git_operation_failed",
        (Sign(DATABRICKS, pattern=r"^There was an error performing the operation"),),
        seen="500 …There was an error performing the operation…",
        cause="The workspace's own Git service failed; nothing is known to be wrong with the settings or the credential.",
        remedy="The next run tries again. If it repeats, open a support ticket with Azure Databricks and quote the request id.",
    ),
    Row(
        "permission_denied",
        (
            Sign(DATABRICKS, status=(403,)),
            Sign(DATABRICKS, error_code="PERMISSION_DENIED"),
        ),
        seen="403 PERMISSION_DENIED",
        cause="The workspace does not allow this to {principal}.",
        remedy="Give {principal} Can Manage on {path}, and check that it is assigned to {host}.",
    ),
)

_ANY = (
    Row(
        "too_many_open_files",
        (Sign(kind=("descriptors",)),),
        cause="This process may open no more files and connections, so {service} was not even asked.",
        remedy="On a laptop: ulimit -n 1024. In Azure: lower REFRESH_CONCURRENCY, and report it to us: a run needs some two for each "
        "concurrent operation.",
    ),
    Row(
        "out_of_time",
        (Sign(kind=("out_of_time",)),),
        cause="The run's time was over before this was done.",
        remedy="The next run goes on. If it repeats, raise REFRESH_TIMEOUT_SECONDS (below host.json's functionTimeout) or "
        "REFRESH_CONCURRENCY.",
    ),
    Row(
        "timeout",
        (Sign(kind=("timeout",)),),
        cause="{service} took the request and did not answer in time.",
        remedy="It mostly passes: the next run looks again. If it repeats for a Git folder, the repository is large: use sparse. If it "
        "repeats elsewhere, check that {service} is up, and that the app's network lets its answers through.",
    ),
    Row(
        "connection_lost",
        (Sign(kind=("reset",)),),
        cause="{service} broke the connection off before it had answered.",
        remedy="It mostly passes: the next run looks again.",
    ),
    Row(
        "throttled",
        (Sign(status=(429,)), Sign(error_code="REQUEST_LIMIT_EXCEEDED")),
        seen="429 REQUEST_LIMIT_EXCEEDED",
        cause="{service} is asked too often, and wants more patience than a run has.",
        remedy="It mostly passes. If it does not, widen REFRESH_SCHEDULE or lower REFRESH_CONCURRENCY.",
    ),
    Row(
        "service_unavailable",
        (Sign(status=(500, 502, 503, 504)),),
        seen="503",
        cause="{service} has trouble of its own.",
        remedy="It mostly passes: the next run tries again. If it does not, open a ticket there and quote the request id.",
    ),
    Row(
        "answer_too_large",
        (Sign(kind=("too_large",)),),
        cause="{service} answered with far more than such an answer holds; it was dropped.",
        remedy="Check that {address} is the right address; a proxy in between may answer in its place.",
    ),
    Row(
        "unexpected_answer",
        (Sign(kind=("unexpected", "not_sent")), Sign(status=(203, 301, 302, 303, 307, 308))),
        seen="200 <html>…",
        cause="{service} answered with something else than it promises: a proxy or sign-in page may stand in between.",
        remedy="Check that {address} is the right address. If it is, report this to us, with the request id.",
    ),
)

SECTIONS = {
    "Identity": _IDENTITY,
    "Key Vault": _KEY_VAULT,
    "Azure DevOps": _AZURE_DEVOPS,
    "Signing in to a workspace": _SIGN_IN,
    "Git credential": _CREDENTIAL,
    "Git folder": _FOLDER,
    "Any service": _ANY,
}
"""The rows by layer, in the order in which a run meets the layers, and in which the rows are tried."""

TABLE = tuple(row for rows in SECTIONS.values() for row in rows)

UNKNOWN = Row(
    "unknown",
    cause="{service} gave a reason that this app does not know yet.",
    remedy="Look the error code up in the service's documentation, and report it to us with the request id.",
)

# What the app finds by itself, without a service having failed.
OWN = (
    Row(
        "invalid_settings",
        message="{problem}",
        cause="An app setting, or this workspace's entry in it, is wrong, so nothing was done with it.",
        remedy="Correct the app setting as the message says; saving it restarts the app.",
    ),
    Row(
        "invalid_folder",
        message="{problem}",
        cause="The folder's entry in WORKSPACES is wrong, so it was left out.",
        remedy="Correct the app setting as the message says; saving it restarts the app.",
    ),
    Row(
        "folder_missing",
        message="{path} does not exist.",
        cause="The Git folder does not exist, or {principal} may not see it, and the settings name no repository to create it from.",
        remedy="Write the folder's url so that it is created, or give {principal} Can Manage on {path}.",
    ),
    Row(
        "not_a_git_folder",
        message="{path} is a {type}, not a Git folder.",
        cause="Something else than a Git folder stands at this path.",
        remedy="Choose another path, or move what stands at {path} away. This app never deletes anything.",
    ),
    Row(
        "other_repository",
        message="{path} is a clone of {found}, not of {wanted}.",
        cause="The Git folder is a clone of another repository than the settings say.",
        remedy="Correct url or path, or delete the folder {path} in the workspace so that it is created anew.",
    ),
    Row(
        "not_azure_devops",
        message="{path} is a clone of something outside Azure DevOps.",
        cause="The Git folder's repository is not in Azure DevOps, so this app has no credential for it.",
        remedy="Remove {path} from the settings, or list its host in TRUSTED_HOSTS if it is an Azure DevOps of yours. "
        "One that only a path ending in /* has found is left alone.",
    ),
    Row(
        "no_such_ref",
        message="{ref} does not exist.",
        cause="{ref} does not exist in {repository}.",
        remedy="Correct branch or tag in the settings (main, not origin/main), or push it.",
    ),
    Row(
        "short_token",
        message="The token {which} ends at {ends}, and {next_run}.",
        cause="The token that the platform hands out will have ended before the next run can store another: pulls will fail in between.",
        remedy="Let REFRESH_SCHEDULE tick more often.",
    ),
    Row(
        "late_run",
        message="This run began {minutes} minutes late.",
        cause="If the token of the run before has ended meanwhile, pulls have failed.",
        remedy="Find out what kept the app from running: a stop, a restart, or an instance that was taken away.",
    ),
    Row(
        "clock_skew",
        message="This machine's clock is {minutes} minutes {direction}.",
        cause="What is said here about when tokens end is off by as much.",
        remedy="Set this machine's clock.",
    ),
    Row(
        "secret_expires_soon",
        message="The secret {ends}.",
        cause="When the secret has ended, nothing can sign in with it any more.",
        remedy="Create a new OAuth secret for service principal {client_id} and store it as a new version, with its end: "
        + _STORE_SECRET
        + " --expires DATE.",
    ),
    Row(
        "federated_credential",
        message="Git credential {id} is federated.",
        cause="With it the workspace fetches its own tokens for Azure DevOps. This app leaves it alone, and stores its own beside it.",
        remedy="If jobs and Git folders work with it, this app's credential is not needed in {host}: remove the workspace from "
        "WORKSPACES, or keep it for its Git folders. Else delete it: databricks git-credentials list, then "
        "databricks git-credentials delete ID.",
    ),
    Row(
        "foreign_credential",
        message='Git credential {id} has the user name "{found}", not "{wanted}".',
        cause="Somebody else stored it for {principal}, which may hold only one for Azure DevOps: a run puts the app's token into it.",
        remedy="If that is meant, do nothing. Else let the app sign in as a service principal of its own.",
    ),
    Row(
        "second_credential",
        message="Beside Git credential {id} there is {other}, also for Azure DevOps.",
        cause="Databricks may use either of them, and only one is kept fresh.",
        remedy="Signed in as {principal}, delete the other one: databricks git-credentials list, then "
        "databricks git-credentials delete ID.",
    ),
    Row(
        "folder_permission",
        message="{path} is not in the workspace's list of Git folders.",
        cause="The workspace lists only Git folders that one may manage, and leaves this one out: {principal} lacks Can Manage.",
        remedy="Give {principal} Can Manage on {path}. Until then a path ending in /* does not find it, and updating it may be refused.",
    ),
    Row(
        "nothing_found",
        message="Below {path} there is no Git folder that one may manage.",
        cause="The path ending in /* stands for no Git folder: there is none below, or {principal} lacks Can Manage on them.",
        remedy="Correct the path, or give {principal} Can Manage on {path}.",
    ),
    Row(
        "misspelt_setting",
        message="This is no setting of this app; did you mean {meant}?",
        cause="An app setting that is misspelt is not read, and nobody says so.",
        remedy="Correct its name, or remove it.",
    ),
    Row(
        "internal_error",
        message="{error}{place}.",
        cause="The app itself has a mistake.",
        remedy="Please report it to us, with the message.",
    ),
)
