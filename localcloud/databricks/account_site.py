"""The Databricks account API: principals, workspace assignments, and federation policies.

Facts: https://docs.databricks.com/api/azure/account/accountserviceprincipals, …/workspaceassignment and
…/serviceprincipalfederationpolicy
"""

import re
import time
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import uuid4

import jwt
from aiohttp import web

from localcloud.answers import PRINCIPAL
from localcloud.authority import DATABRICKS_RESOURCE, ENTRA, TENANTS, Authority, entra, entra_v2
from localcloud.databricks import rule_sets
from localcloud.databricks.account import Account, AccountPrincipal
from localcloud.databricks.errors import error, fields, identifier, invalid, not_found, scim_error
from localcloud.databricks.federation import ACCOUNT_ID, FederationPolicy
from localcloud.databricks.scim import SERVICE_PRINCIPAL, listed, matching
from localcloud.databricks.sign_in import ServicePrincipal
from localcloud.databricks.workspace import Workspace

ACCOUNT = "/api/2.0/accounts/{account}"
MOST_POLICIES = 20
_POLICY_ID = re.compile(r"[0-9a-z-]{1,64}")
_ISSUERS = {issuer(tenant_id) for tenant_id in TENANTS for issuer in (entra, entra_v2)}


class AccountSite:
    """`accounts.azuredatabricks.net`, for account admins only."""

    service = "databricks"
    host = "accounts.azuredatabricks.net"
    request_id_header = "x-request-id"

    def __init__(self, authority: Authority, account: Account, workspaces: Mapping[str, Workspace]) -> None:
        self._authority = authority
        self._account = account
        self._workspaces = workspaces

    def routes(self) -> Iterable[web.RouteDef]:
        assignments = ACCOUNT + "/workspaces/{workspace}/permissionassignments"
        policies = ACCOUNT + "/servicePrincipals/{principal}/federationPolicies"
        rules = "/api/2.0/preview/accounts/{account}/access-control/rule-sets"
        return [
            web.get("/.well-known/databricks-config", self._configuration),
            web.get(ACCOUNT + "/scim/v2/ServicePrincipals", self._principals),
            web.get(ACCOUNT + "/scim/v2/ServicePrincipals/{id}", self._principal),
            web.delete(ACCOUNT + "/scim/v2/ServicePrincipals/{id}", self._delete_principal),
            web.get(ACCOUNT + "/workspaces", self._list_workspaces),
            web.get(assignments, self._assignments),
            web.put(assignments + "/principals/{principal}", self._assign),
            web.delete(assignments + "/principals/{principal}", self._unassign),
            web.get(policies, self._policies),
            web.post(policies, self._add_policy),
            web.get(policies + "/{policy}", self._policy),
            web.delete(policies + "/{policy}", self._delete_policy),
            web.get(rules, self._rules),
            web.put(rules, self._replace_rules),
            web.route("*", "/{path:.*}", _unknown),
        ]

    async def _configuration(self, _: web.Request) -> web.Response:
        place = f"https://{self.host}/oidc/accounts/{{account_id}}"
        return web.json_response({"oidc_endpoint": place, "cloud": "Azure", "host_type": "account"})

    async def _principals(self, request: web.Request) -> web.Response:
        self._admin(request)
        found = matching(self._seen(), request.query.get("filter"))
        return listed(request, [_shown(each) for each in found])

    async def _principal(self, request: web.Request) -> web.Response:
        self._admin(request)
        number = identifier(request.match_info["id"])
        for each in self._seen():
            if each.id == number:
                return web.json_response(_shown(each))
        raise scim_error(404, f"ServicePrincipal with id {number} not found.")

    async def _delete_principal(self, request: web.Request) -> web.Response:
        """Delete a principal with its federation policies and OAuth secrets, in every workspace."""
        self._admin(request)
        number = identifier(request.match_info["id"])
        known = self._account.by_id(number)
        if known is None:
            raise scim_error(404, f"ServicePrincipal with id {number} not found.")
        for workspace in self._workspaces.values():
            for each in workspace.service_principals:
                if each.account is known:
                    workspace.members.remove(each)
                    workspace.members.principals.remove(each)
        self._account.remove(known)
        return web.json_response({})

    async def _list_workspaces(self, request: web.Request) -> web.Response:
        self._admin(request)
        shown = [
            {
                "account_id": self._account.id,
                "workspace_id": _number(each),
                "workspace_name": each.host.partition(".azuredatabricks")[0],
                "deployment_name": each.host.partition(".azuredatabricks")[0],
                "workspace_status": "RUNNING",
                "location": "westeurope",
            }
            for each in self._workspaces.values()
        ]
        return web.json_response(shown)

    # Workspace assignments

    async def _assignments(self, request: web.Request) -> web.Response:
        self._admin(request)
        seen = self._workspace(request).members.seen()
        return web.json_response({"permission_assignments": [_assignment(each) for each in seen]})

    async def _assign(self, request: web.Request) -> web.Response:
        """Replace a principal's permissions; an empty or unknown list removes all."""
        self._admin(request)
        members = self._workspace(request).members
        wanted = (await fields(request)).get("permissions")
        permissions = {str(each) for each in wanted or []} & {"USER", "ADMIN"}
        number = identifier(request.match_info["principal"])
        known, there = self._account.by_id(number), members.by_id(number)
        if known is None and there is None:
            raise _no_principal(number)
        if not permissions:
            if there:
                members.remove(there)
            return web.json_response({})
        assigned = members.assign(known) if known else there
        if assigned is None:
            raise _no_principal(number)
        assigned.assigned, assigned.admin = True, "ADMIN" in permissions
        return web.json_response(_assignment(assigned))

    async def _unassign(self, request: web.Request) -> web.Response:
        """Remove a principal from a workspace. Unrecorded: the response if it is not assigned."""
        self._admin(request)
        members = self._workspace(request).members
        number = identifier(request.match_info["principal"])
        there = members.by_id(number)
        if there is None or not there.assigned:
            raise _no_principal(number)
        members.remove(there)
        return web.json_response({})

    # Federation policies

    async def _policies(self, request: web.Request) -> web.Response:
        principal = self._of_policies(request)
        shown = [_policy(principal, each) for each in self._seen_policies(principal)]
        return web.json_response({"policies": shown} if shown else {})

    async def _policy(self, request: web.Request) -> web.Response:
        principal = self._of_policies(request)
        return web.json_response(_policy(principal, self._one_policy(request, principal)))

    async def _add_policy(self, request: web.Request) -> web.Response:
        principal = self._of_policies(request)
        content = await fields(request)
        policy_id = request.query.get("policy_id") or str(uuid4())
        if not _POLICY_ID.fullmatch(policy_id):
            raise invalid(
                f"Invalid federation policy id: '{policy_id}'. Must contain only 0-9, a-z, and hyphen."
            )
        if any(each.id == policy_id for each in principal.policies):  # unrecorded: the text
            raise error(409, "ALREADY_EXISTS", f"Federation policy {policy_id} already exists.")
        if len(principal.policies) >= MOST_POLICIES:  # unrecorded: the text
            raise error(400, "QUOTA_EXCEEDED", f"At most {MOST_POLICIES} federation policies are allowed.")
        policy = _parsed(content)
        policy.id, policy.description = policy_id, str(content.get("description", ""))
        policy.acts_from = time.monotonic() + self._account.policy_delay
        self._account.lagging.writing(("policy", policy.uid), before=False)
        principal.policies.append(policy)
        return web.json_response(_policy(principal, policy))

    async def _delete_policy(self, request: web.Request) -> web.Response:
        principal = self._of_policies(request)
        principal.policies.remove(self._one_policy(request, principal))
        return web.json_response({})

    def _of_policies(self, request: web.Request) -> AccountPrincipal:
        self._admin(request)
        number = identifier(request.match_info["principal"])
        found = self._account.by_id(number)
        if found is None:
            raise _no_principal(number)
        return found

    def _seen_policies(self, principal: AccountPrincipal) -> list[FederationPolicy]:
        shown = self._account.lagging.shown
        return [each for each in principal.policies if shown(("policy", each.uid), now=True)]

    def _one_policy(self, request: web.Request, principal: AccountPrincipal) -> FederationPolicy:
        wanted = request.match_info["policy"]
        for each in self._seen_policies(principal):
            if each.id == wanted:
                return each
        raise not_found(f"Federation policy {wanted} does not exist.")

    # Rule sets

    async def _rules(self, request: web.Request) -> web.Response:
        self._admin(request)
        return rule_sets.get(self._account, request)

    async def _replace_rules(self, request: web.Request) -> web.Response:
        self._admin(request)
        return await rule_sets.put(self._account, request)

    def _admin(self, request: web.Request) -> None:
        """Raise the account's 401, 403 or 404 unless the caller is an account admin."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            raise error(401, 401, "Credential was not sent or was of an unsupported type for this API.")
        try:
            claims = self._authority.verify(token, [DATABRICKS_RESOURCE], [ENTRA])
        except jwt.ExpiredSignatureError:
            raise error(403, 403, "Token is expiring within 30 seconds. (token expired)") from None
        except jwt.InvalidTokenError:
            raise error(403, 403, "Invalid access token.") from None
        request[PRINCIPAL] = claims["oid"]
        account = request.match_info["account"]
        if account != self._account.id:  # unrecorded: the text
            raise error(404, "RESOURCE_DOES_NOT_EXIST", f"Account {account} does not exist.")
        if claims["oid"] not in self._account.admins:
            text = "This API is disabled for users without account admin status."
            raise error(403, "PERMISSION_DENIED", text)

    def _seen(self) -> list[AccountPrincipal]:
        shown = self._account.lagging.shown
        return [each for each in self._account.principals if shown(each.id, now=True)]

    def _workspace(self, request: web.Request) -> Workspace:
        number = identifier(request.match_info["workspace"])
        for each in self._workspaces.values():
            if _number(each) == number:
                return each
        raise not_found(f"Workspace {number} does not exist.")


def _number(workspace: Workspace) -> int:
    """Return the account's ID of a workspace, which is the number in its host name."""
    return int(workspace.members.organization_id)


def _no_principal(number: int) -> Exception:
    """Return the 404 of an unknown principal. Unrecorded: the text."""
    return not_found(f"Principal {number} does not exist in the account.")


def _parsed(content: Mapping[str, Any]) -> FederationPolicy:
    """Parse a federation policy or raise the API's error. Unrecorded: the texts.

    Databricks fetches the issuer's OpenID configuration when a policy is created. Unrecorded: its response to
    an issuer without one.
    """
    wanted = content.get("oidc_policy")
    wanted = wanted if isinstance(wanted, dict) else {}
    issuer, subject = str(wanted.get("issuer", "")), str(wanted.get("subject", ""))
    if not issuer or not subject:
        raise invalid("oidc_policy.issuer and oidc_policy.subject must be specified.")
    if wanted.get("subject_claim", "sub") != "sub":
        raise invalid("oidc_policy.subject_claim is not supported here.")
    if issuer not in _ISSUERS:
        raise invalid(f"Failed to fetch the OpenID configuration of the issuer {issuer}.")
    audiences = tuple(str(each) for each in wanted.get("audiences") or [ACCOUNT_ID])
    return FederationPolicy(issuer, subject, audiences)


def _policy(principal: AccountPrincipal, policy: FederationPolicy) -> dict[str, Any]:
    written = f"{policy.created:%Y-%m-%dT%H:%M:%SZ}"
    shown = {
        "name": f"accounts/{ACCOUNT_ID}/servicePrincipals/{principal.id}/federationPolicies/{policy.id}",
        "policy_id": policy.id,
        "service_principal_id": principal.id,
        "uid": policy.uid,
        "create_time": written,
        "update_time": written,
        "oidc_policy": {
            "issuer": policy.issuer,
            "audiences": list(policy.audiences),
            "subject": policy.subject,
        },
    }
    return shown | ({"description": policy.description} if policy.description else {})


def _assignment(each: ServicePrincipal) -> dict[str, Any]:
    name = "service_principal_name" if each.account else "user_name"
    principal = {"principal_id": each.id, "display_name": each.name, name: each.client_id}
    return {"principal": principal, "permissions": ["ADMIN" if each.admin else "USER"]}


def _shown(each: AccountPrincipal) -> dict[str, Any]:
    return {
        "schemas": [SERVICE_PRINCIPAL],
        "id": str(each.id),
        "applicationId": each.client_id,
        "displayName": each.name,
        "active": each.active,
    }


async def _unknown(request: web.Request) -> web.Response:
    raise error(404, "ENDPOINT_NOT_FOUND", f"No API found for '{request.method} {request.path}'")
