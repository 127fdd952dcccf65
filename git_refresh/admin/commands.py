"""What somebody else would type, who may do what whoever is signed in may not."""

import json
import shlex
from collections.abc import Sequence
from urllib.parse import quote

from git_refresh.admin.account import AS_USER, policy, policy_id
from git_refresh.admin.organization import entitlement
from git_refresh.admin.workspace import ACCESS, GIVE_ACCESS, can_manage
from git_refresh.values import AZURE_DEVOPS


def let_into_organization(
    organization: str, object_id: str, project_ids: Sequence[str], *, looked_up: str = ""
) -> str:
    """The command that makes an identity a member with Basic access, and a reader of projects.

    Args:
        organization: where.
        object_id: who.
        project_ids: of which projects.
        looked_up: the name of one more, whose id is not known: the command finds it out.
    """
    if looked_up:
        project_ids = [*project_ids, _TO_FIND]
    url = f"https://vsaex.dev.azure.com/{quote(organization)}/_apis/serviceprincipalentitlements?api-version=7.1-preview.1"
    return (
        f"az rest --method post --resource {AZURE_DEVOPS} --url {shlex.quote(url)} "
        f"--body {_quoted(entitlement(object_id, project_ids)).replace(_TO_FIND, _project_id(organization, looked_up))} "
        "--query '{done: isSuccess, errors: operationResult.errors}'"
    )


_TO_FIND = "PROJECT-ID-TO-FIND"


def _project_id(organization: str, project: str) -> str:
    """What finds out a project's id, between two halves of a text in single quotes."""
    url = f"https://dev.azure.com/{quote(organization)}/_apis/projects/{quote(project, safe='')}?api-version=7.1"
    found = f"az rest --resource {AZURE_DEVOPS} --url {shlex.quote(url)} --query id --output tsv"
    return f"""'"$({found})"'"""


def put_into_group(organization: str, member: str, group: str) -> str:
    """The command that puts a member into a group, both by their descriptors."""
    path = f"{quote(organization)}/_apis/graph/memberships/{member}/{group}"
    url = f"https://vssps.dev.azure.com/{path}?api-version=7.1-preview.1"
    return f"az rest --method put --resource {AZURE_DEVOPS} --url {shlex.quote(url)}"


def assign(account_id: str, workspace_id: str, client_id: str) -> str:
    """The command that assigns an account's principal to a workspace."""
    where = _in_account(account_id)
    number = _number(where, client_id)
    return f"{where} databricks account workspace-assignment update {workspace_id} {number} {_json(AS_USER)}"


def add_principal(host: str, client_id: str, name: str) -> str:
    """The command that adds an identity of Entra to a workspace."""
    content = {
        "applicationId": client_id,
        "displayName": name,
        "active": True,
        "entitlements": [{"value": ACCESS}],
    }
    return f"DATABRICKS_HOST={host} databricks service-principals create {_json(content)}"


def make_principal(host: str, name: str) -> str:
    """The command that makes a service principal which Databricks manages."""
    content = {"displayName": name, "active": True, "entitlements": [{"value": ACCESS}]}
    return f"DATABRICKS_HOST={host} databricks service-principals create {_json(content)}"


def entitle(host: str, principal_id: int | str) -> str:
    """The command that gives a principal workspace access."""
    return f"DATABRICKS_HOST={host} databricks service-principals patch {principal_id} {_json(GIVE_ACCESS)}"


def write_policy(account_id: str, client_id: str, issuer: str, subject: str) -> str:
    """The command that lets an identity sign in as a service principal."""
    content = policy(issuer, subject)
    where = _in_account(account_id)
    create = f"{where} databricks account service-principal-federation-policy create"
    return f"{create} {_number(where, client_id)} --policy-id {policy_id(subject)} {_json(content)}"


def let_manage(host: str, kind: str, path: str, client_id: str, *, made: bool) -> str:
    """The command that gives Can Manage on a folder; on a directory that has to be made first, if `made`."""
    where, path = f"DATABRICKS_HOST={host}", shlex.quote(path)
    make = f"{where} databricks workspace mkdirs {path} && " if made else ""
    number = f'"$({where} databricks workspace get-status {path} --output json | jq .object_id)"'
    return f"{make}{where} databricks permissions update {kind} {number} {_json(can_manage(client_id))}"


def _in_account(account_id: str) -> str:
    return f"DATABRICKS_HOST=https://accounts.azuredatabricks.net DATABRICKS_ACCOUNT_ID={account_id}"


def _number(where: str, client_id: str) -> str:
    """The principal's number, as the shell finds it out: there, what is set for one command is not set for another in its arguments."""
    condition = shlex.quote(f'applicationId eq "{client_id}"')
    found = f"{where} databricks account service-principals list --filter {condition} --output json"
    return f"\"$({found} | jq -r '.[0].id')\""


def _json(content: object) -> str:
    return f"--json {_quoted(content)}"


def _quoted(content: object) -> str:
    return shlex.quote(json.dumps(content))
