"""The Databricks account: service principals, workspace assignments, and federation policies.

Facts: https://docs.databricks.com/api/azure/account/workspaceassignment and
https://docs.databricks.com/api/azure/account/serviceprincipalfederationpolicy
"""

from typing import Annotated

from pydantic import Field

from git_refresh.clients.responses import NumericText, Page, Response, Word
from git_refresh.clients.rest import Nothing, Rest
from git_refresh.clients.retry import Retry
from git_refresh.clients.scim import ScimClient
from git_refresh.failures.failure import Operation

AUDIENCE = "fb60f99c-7a34-4190-8149-302f77469936"
"""Audience of the Entra tokens that Databricks exchanges."""

AS_USER = {"permissions": ["USER"]}
"""Body that assigns a principal to a workspace. An empty list would remove the principal."""

MAX_POLICY_PAGES = 20
"""A service principal can have 20 policies."""


class _Oidc(Response):
    issuer: Word = ""
    subject: Word = ""
    audiences: Annotated[tuple[Word, ...], Field(max_length=100)] = ()


class _Policy(Response):
    policy_id: Word = ""
    oidc_policy: _Oidc = _Oidc()


class _Policies(Page):
    policies: Annotated[tuple[_Policy, ...], Field(max_length=100)] = ()


class _Assigned(Response):
    principal_id: NumericText


class _Assignment(Response):
    principal: _Assigned | None = None
    """None if the account could not determine it."""


class _Assignments(Response):
    permission_assignments: Annotated[tuple[_Assignment, ...], Field(max_length=20_000)] = ()


class AdminAccount:
    """Client of the account API. Every method raises `ServiceError` if the call fails."""

    def __init__(self, id_: str, rest: Rest) -> None:
        self.id = id_
        self._rest = rest
        self._path = f"/api/2.0/accounts/{id_}"
        self._scim = ScimClient(rest, f"{self._path}/scim/v2")

    def principal_id(self, client_id: str) -> int | None:
        """Return the service principal ID for an application ID; None if the account has no such principal."""
        what = Operation.LOOK_UP_ACCOUNT_PRINCIPAL
        return next(iter(self._scim.principal_ids(client_id, what)), None)

    def assign(self, principal_id: int, workspace_id: str) -> None:
        """Assign a principal, unless it is assigned: the request would replace an assignment as ADMIN."""
        what = Operation.ASSIGN_PRINCIPAL.of()
        path = f"{self._path}/workspaces/{workspace_id}/permissionassignments"
        listed = self._rest.get(what, path, _Assignments).permission_assignments
        if any(each.principal is not None and each.principal.principal_id == principal_id for each in listed):
            return
        path = f"{path}/principals/{principal_id}"
        self._rest.send("PUT", what, path, Nothing, body=AS_USER, repeat=Retry.IDEMPOTENT)

    def trusts(self, principal_id: int, issuer: str, subject: str) -> bool:
        return bool(self.policy_ids(principal_id, issuer, subject))

    def policy_ids(self, principal_id: int, issuer: str, subject: str) -> list[str]:
        """Return the IDs of a principal's federation policies for a subject of an issuer."""
        what, path = Operation.LIST_POLICIES.of(), self._policies(principal_id)
        return [
            each.policy_id
            for page in self._rest.pages(what, path, _Policies, most=MAX_POLICY_PAGES)
            for each in page.policies
            if (each.oidc_policy.issuer, each.oidc_policy.subject) == (issuer, subject)
            and AUDIENCE in each.oidc_policy.audiences
        ]

    def trust(self, principal_id: int, issuer: str, subject: str) -> None:
        """Create the federation policy. Not idempotent: an existing one causes a conflict."""
        self._rest.send(
            "POST",
            Operation.WRITE_POLICY.of(),
            self._policies(principal_id),
            Nothing,
            query={"policy_id": policy_id(subject)},
            body=policy(issuer, subject),
        )

    def _policies(self, principal_id: int) -> str:
        return f"{self._path}/servicePrincipals/{principal_id}/federationPolicies"


def policy(issuer: str, subject: str) -> dict[str, object]:
    """Return the body that creates a federation policy."""
    return {"oidc_policy": {"issuer": issuer, "audiences": [AUDIENCE], "subject": subject}}


def policy_id(subject: str) -> str:
    """Return the ID of a subject's policy. It is derived, so two admins cannot create two policies."""
    return f"git-refresh-{subject}"
