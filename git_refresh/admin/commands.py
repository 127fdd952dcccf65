"""Commands for another person, who has the permission that the signed-in person lacks."""

import json
from collections.abc import Sequence
from urllib.parse import quote

from git_refresh.admin.account import AS_USER, policy, policy_id
from git_refresh.admin.organization import entitlement
from git_refresh.admin.workspace import can_manage
from git_refresh.clients.scim import ADD_WORKSPACE_ACCESS, principal_body
from git_refresh.failures.table import IN_ACCOUNT, PRINCIPAL_NUMBER
from git_refresh.model.values import AZURE_DEVOPS
from git_refresh.output.shell import NO_COMMAND, Command, Invocation, command


def let_into_organization(
    organization: str, object_id: str, project_ids: Sequence[str], *, looked_up: str = ""
) -> Command:
    """The command that makes an identity a member with Basic access, and a reader of projects.

    `looked_up` is the name of one more project, whose ID is not known: the command looks it up.
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
    """What finds out a project's id, between two halves of an argument."""
    url = f"https://dev.azure.com/{quote(organization)}/_apis/projects/{quote(project, safe='')}?api-version=7.1"
    return command(
        '"$(az rest --resource {resource} --url {url} --query id --output tsv)"',
        resource=AZURE_DEVOPS,
        url=url,
    )


def put_into_group(organization: str, member: str, group: str) -> Command:
    """The command that puts a member into a group, both by their descriptors."""
    path = f"{quote(organization)}/_apis/graph/memberships/{quote(member)}/{quote(group)}"
    url = f"https://vssps.dev.azure.com/{path}?api-version=7.1-preview.1"
    return command("az rest --method put --resource {resource} --url {url}", resource=AZURE_DEVOPS, url=url)


def assign(account_id: str, workspace_id: str, client_id: str) -> Command:
    """The command that assigns an account's principal to a workspace."""
    return command(
        "{account} databricks account workspace-assignment update {workspace_id} {number} --json {content}",
        account=_in_account(account_id),
        workspace_id=workspace_id,
        number=_number(account_id, client_id),
        content=json.dumps(AS_USER),
    )


def add_principal(host: str, client_id: str | None, name: str) -> Command:
    """The command that adds a service principal to a workspace: an identity of Entra, or one that Databricks manages."""
    return command(
        "DATABRICKS_HOST={host} databricks service-principals create --json {content}",
        host=host,
        content=json.dumps(principal_body(client_id, name)),
    )


def entitle(host: str, principal_id: int | str) -> Command:
    """The command that adds workspace access to a principal."""
    return command(
        "DATABRICKS_HOST={host} databricks service-principals patch {principal_id} --json {content}",
        host=host,
        principal_id=principal_id,
        content=json.dumps(ADD_WORKSPACE_ACCESS),
    )


def show_principal(host: str, principal_id: int) -> Command:
    """The command that shows a service principal by its number."""
    return command(
        "DATABRICKS_HOST={host} databricks service-principals get {principal_id}",
        host=host,
        principal_id=principal_id,
    )


def write_policy(account_id: str, client_id: str, issuer: str, subject: str) -> Command:
    """The command that lets an identity sign in as a service principal."""
    return command(
        "{account} databricks account service-principal-federation-policy create {number} --policy-id {policy_id} --json {content}",
        account=_in_account(account_id),
        number=_number(account_id, client_id),
        policy_id=policy_id(subject),
        content=json.dumps(policy(issuer, subject)),
    )


def let_manage(host: str, kind: str, path: str, client_id: str, *, made: bool) -> Command:
    """The command that gives Can Manage on a folder; on a directory that has to be made first, if `made`."""
    make = "DATABRICKS_HOST={host} databricks workspace mkdirs {path} && " if made else ""
    return command(
        f"{make}DATABRICKS_HOST={{host}} databricks permissions update {{kind}} "
        '"$(DATABRICKS_HOST={host} databricks workspace get-status {path} --output json | jq .object_id)" --json {content}',
        host=host,
        kind=kind,
        path=path,
        content=json.dumps(can_manage(client_id)),
    )


def look_up_identity(id_: str) -> Command:
    """The command that shows a managed identity, by either of its ids."""
    return command("az ad sp show --id {id}", id=id_)


def consent(tenant: str, registration: str) -> Command:
    """The command by which a tenant's administrator consents to an app registration."""
    return command(
        "az login --tenant {tenant} --allow-no-subscriptions && az ad sp create --id {registration}",
        tenant=tenant,
        registration=registration,
    )


def onboard(invocation: Invocation) -> Command:
    """The command that grants what a list needs."""
    return invocation.of("onboard{options} --apply")


def _in_account(account_id: str) -> Command:
    return command(IN_ACCOUNT, account_id=account_id)


def _number(account_id: str, client_id: str) -> Command:
    """The principal's number, as the shell finds it out: there, what is set for one command is not set for another in its arguments."""
    return command(PRINCIPAL_NUMBER, account_id=account_id, by_client_id=f'applicationId eq "{client_id}"')
