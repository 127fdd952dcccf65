"""Commands for administrators: grants that the caller cannot make, and removals."""

import json
from collections.abc import Sequence
from typing import Literal
from urllib.parse import quote, urlsplit

from git_refresh.admin.account import AS_USER, policy, policy_id
from git_refresh.admin.deployment import PAUSE
from git_refresh.admin.organization import entitlement
from git_refresh.admin.workspace import can_manage
from git_refresh.clients.scim import ADD_WORKSPACE_ACCESS, principal_body
from git_refresh.failures.table import IN_ACCOUNT, PRINCIPAL_NUMBER
from git_refresh.model.values import AZURE_DEVOPS
from git_refresh.output.shell import NO_COMMAND, Command, Invocation, command


def add_to_organization(
    organization: str, object_id: str, project_ids: Sequence[str], *, looked_up: str = ""
) -> Command:
    """Return the command that adds an identity to an organization and to the Readers of projects.

    `looked_up` names another project, whose ID the command looks up.
    """
    url = f"https://vsaex.dev.azure.com/{quote(organization)}/_apis/serviceprincipalentitlements?api-version=7.1-preview.1"
    if looked_up:
        project_ids = [*project_ids, _TO_FIND]
    before, found, after = json.dumps(entitlement(object_id, project_ids)).partition(_TO_FIND)
    return command(
        "az rest --method post --resource {resource} --url {url} --body {before}{look_up}{after} "
        "--query '{done: isSuccess, errors: operationResult.errors}'",
        resource=AZURE_DEVOPS,
        url=url,
        before=before,
        look_up=_project_id(organization, looked_up) if found else NO_COMMAND,
        after=after if found else NO_COMMAND,
    )


_TO_FIND = "PROJECT-ID-TO-FIND"


def _project_id(organization: str, project: str) -> Command:
    url = f"https://dev.azure.com/{quote(organization)}/_apis/projects/{quote(project, safe='')}?api-version=7.1"
    return command(
        '"$(az rest --resource {resource} --url {url} --query id --output tsv)"',
        resource=AZURE_DEVOPS,
        url=url,
    )


def add_to_group(organization: str, member: str, group: str) -> Command:
    """Return the command that adds a member to a group, both by descriptor."""
    return command(
        "az rest --method put --resource {resource} --url {url}",
        resource=AZURE_DEVOPS,
        url=_membership(organization, member, group),
    )


def assign(account_id: str, workspace_id: str, client_id: str) -> Command:
    return command(
        "{account} databricks account workspace-assignment update {workspace_id} {number} --json {content}",
        account=_in_account(account_id),
        workspace_id=workspace_id,
        number=_number(account_id, client_id),
        content=json.dumps(AS_USER),
    )


def add_principal(host: str, client_id: str | None, name: str) -> Command:
    """Return the command that adds an Entra principal or, without client ID, creates one in Databricks."""
    return command(
        "DATABRICKS_HOST={host} databricks service-principals create --json {content}",
        host=host,
        content=json.dumps(principal_body(client_id, name)),
    )


def entitle(host: str, principal_id: int | str) -> Command:
    return command(
        "DATABRICKS_HOST={host} databricks service-principals patch {principal_id} --json {content}",
        host=host,
        principal_id=principal_id,
        content=json.dumps(ADD_WORKSPACE_ACCESS),
    )


def delete_credential(host: str, credential_id: int, principal_id: int) -> Command:
    return command(
        "DATABRICKS_HOST={host} databricks git-credentials delete {credential_id} --principal-id {principal_id}",
        host=host,
        credential_id=credential_id,
        principal_id=principal_id,
    )


_OTHERS = (
    "{access_control_list: [.access_control_list[] | select(.service_principal_name != $name) "
    "| del(.all_permissions, .display_name) + (.all_permissions[] | select(.inherited | not) | {permission_level})]}"
)
"""Filter for jq: the direct permissions on an object, without those of one principal."""


def remove_permission(host: str, kind: str, id_: int, name: str) -> Command:
    """Return the command that sets the permissions of others only. No API removes a single permission."""
    return command(
        'DATABRICKS_HOST={host} databricks permissions set {kind} {id} --json "$(DATABRICKS_HOST={host} databricks permissions get '
        '{kind} {id} --output json | jq --arg name {name} {others})"',
        host=host,
        kind=kind,
        id=id_,
        name=name,
        others=_OTHERS,
    )


def delete_oauth_secret(host: str, principal_id: int, secret_id: str) -> Command:
    return command(
        "DATABRICKS_HOST={host} databricks service-principal-secrets-proxy delete {principal_id} {secret_id}",
        host=host,
        principal_id=principal_id,
        secret_id=secret_id,
    )


def on_vault_secret(verb: Literal["delete", "purge", "recover"], vault_url: str, name: str) -> Command:
    vault = (urlsplit(vault_url).hostname or "").partition(".")[0]
    return command(
        "az keyvault secret {verb} --vault-name {vault} --name {name} --output none",
        verb=verb,
        vault=vault,
        name=name,
    )


def delete_policy(account_id: str, number: int, id_: str) -> Command:
    return command(
        "{account} databricks account service-principal-federation-policy delete {number} {id}",
        account=_in_account(account_id),
        number=number,
        id=id_,
    )


def unassign(account_id: str, workspace_id: str, number: int) -> Command:
    """Return the command that removes an account-level principal from a workspace."""
    return command(
        "{account} databricks account workspace-assignment delete {workspace_id} {number}",
        account=_in_account(account_id),
        workspace_id=workspace_id,
        number=number,
    )


def delete_principal(host: str, number: int) -> Command:
    """Return the command that removes a service principal from a workspace."""
    return command(
        "DATABRICKS_HOST={host} databricks service-principals delete {number}", host=host, number=number
    )


def delete_from_account(account_id: str, number: int) -> Command:
    """Return the command that deletes a service principal and all its assignments."""
    return command(
        "{account} databricks account service-principals delete {number}",
        account=_in_account(account_id),
        number=number,
    )


def leave_organization(organization: str, storage_key: str, tenant: str) -> Command:
    """Return the command that removes a member with its access level and memberships."""
    path = f"{quote(organization)}/_apis/serviceprincipalentitlements/{quote(storage_key)}"
    return _delete(f"https://vsaex.dev.azure.com/{path}?api-version=7.1-preview.1", tenant)


def leave_group(organization: str, member: str, group: str, tenant: str) -> Command:
    """Return the command that removes a member from a group, both by descriptor."""
    return _delete(_membership(organization, member, group), tenant)


def _delete(url: str, tenant: str) -> Command:
    """Return the command for a DELETE request, with curl for another `tenant`: `az rest` has no token."""
    if not tenant:
        return command(
            "az rest --method delete --resource {resource} --url {url}", resource=AZURE_DEVOPS, url=url
        )
    return command(
        "az account get-access-token --tenant {tenant} --resource {resource} --query {header} --output tsv | "
        "curl --fail --silent --show-error --request DELETE --header @- {url}",
        tenant=tenant,
        resource=AZURE_DEVOPS,
        header="join('', ['Authorization: Bearer ', accessToken])",
        url=url,
    )


def _membership(organization: str, member: str, group: str) -> str:
    path = f"{quote(organization)}/_apis/graph/memberships/{quote(member)}/{quote(group)}"
    return f"https://vssps.dev.azure.com/{path}?api-version=7.1-preview.1"


def pause(app: str, group: str, subscription_id: str) -> Command:
    return command(
        "az functionapp config appsettings set --name {app} --resource-group {group} --subscription {subscription} "
        "--settings {setting} --output none",
        app=app,
        group=group,
        subscription=subscription_id,
        setting=f"{PAUSE}=true",
    )


def show_principal(host: str, principal_id: int) -> Command:
    return command(
        "DATABRICKS_HOST={host} databricks service-principals get {principal_id}",
        host=host,
        principal_id=principal_id,
    )


def create_policy(account_id: str, client_id: str, issuer: str, subject: str) -> Command:
    return command(
        "{account} databricks account service-principal-federation-policy create {number} --policy-id {policy_id} --json {content}",
        account=_in_account(account_id),
        number=_number(account_id, client_id),
        policy_id=policy_id(subject),
        content=json.dumps(policy(issuer, subject)),
    )


def grant_can_manage(host: str, kind: str, path: str, client_id: str, *, creates: bool) -> Command:
    """Return the command that grants CAN MANAGE on a folder. With `creates`, it creates the folder first."""
    create = "DATABRICKS_HOST={host} databricks workspace mkdirs {path} && " if creates else ""
    return command(
        f"{create}DATABRICKS_HOST={{host}} databricks permissions update {{kind}} "
        '"$(DATABRICKS_HOST={host} databricks workspace get-status {path} --output json | jq .object_id)" --json {content}',
        host=host,
        kind=kind,
        path=path,
        content=json.dumps(can_manage(client_id)),
    )


def look_up_identity(id_: str) -> Command:
    """Return the command that shows a managed identity by its client ID or object ID."""
    return command("az ad sp show --id {id}", id=id_)


def consent(tenant: str, registration: str) -> Command:
    return command(
        "az login --tenant {tenant} --allow-no-subscriptions && az ad sp create --id {registration}",
        tenant=tenant,
        registration=registration,
    )


def onboard(invocation: Invocation) -> Command:
    return invocation.of("onboard{options} --apply")


def _in_account(account_id: str) -> Command:
    return command(IN_ACCOUNT, account_id=account_id)


def _number(account_id: str, client_id: str) -> Command:
    """Return the lookup of the service principal ID. It sets the variables again, for the subshell."""
    return command(PRINCIPAL_NUMBER, account_id=account_id, by_client_id=f'applicationId eq "{client_id}"')
