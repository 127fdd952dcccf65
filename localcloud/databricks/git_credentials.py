"""A workspace's Git credentials API.

Facts: https://docs.databricks.com/api/azure/workspace/gitcredentials
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from localcloud.databricks.errors import MISSING, error, fields, identifier, invalid, not_found, required
from localcloud.databricks.sign_in import ServicePrincipal, SignIn

PATH = "/api/2.0/git-credentials"
DEVOPS = "azureDevOpsServices"
FEDERATED = "azureDevOpsServicesAad"
PROVIDERS = {
    provider.lower(): provider
    for provider in (
        DEVOPS,
        FEDERATED,
        "awsCodeCommit",
        "bitbucketCloud",
        "bitbucketServer",
        "gitHub",
        "gitHubEnterprise",
        "gitLab",
        "gitLabEnterpriseEdition",
    )
}


@dataclass(slots=True)
class Credential:
    """A stored Git credential. The API never returns the token."""

    id: int
    principal: ServicePrincipal
    provider: str
    username: str | None = None
    email: str | None = None
    name: str | None = None
    token: str | None = field(default=None, repr=False)

    def public(self) -> dict[str, Any]:
        shown = {
            "credential_id": self.id,
            "git_provider": self.provider,
            "git_username": self.username,
            "git_email": self.email,
            "name": self.name,
        }
        return {key: value for key, value in shown.items() if value is not None}


class GitCredentials:
    """The stored credentials: one per service principal and provider."""

    def __init__(self, sign_in: SignIn) -> None:
        self.stored: list[Credential] = []
        self._sign_in = sign_in
        self._ids = itertools.count(900_000_000_000_001)

    def routes(self) -> Iterable[web.RouteDef]:
        one = PATH + "/{id}"
        return [
            web.get(PATH, self._list),
            web.post(PATH, self._create),
            web.get(one, self._get),
            web.patch(one, self._update),
            web.delete(one, self._delete),
        ]

    def add(self, principal: ServicePrincipal, provider: str) -> Credential:
        """Store an empty credential, or raise the API's 409 if the principal already has one."""
        if any(kept.provider == provider for kept in self._of(principal)):
            raise error(
                409,
                "RESOURCE_ALREADY_EXISTS",
                f"A Git credential already exists for provider {provider}. "
                "Only one credential per provider is allowed for service principals.",
            )
        credential = Credential(next(self._ids), principal, provider)
        self.stored.append(credential)
        return credential

    def choose(self, principal: ServicePrincipal, number: int | None) -> Credential:
        """Return the credential for a Git operation on Azure DevOps: the given one, or the principal's."""
        mine = self._of(principal)
        if number is not None:
            return _pick(mine, number)
        for provider in (DEVOPS, FEDERATED):
            for credential in mine:
                if credential.provider == provider:
                    return credential
        raise error(403, "PERMISSION_DENIED", MISSING)

    async def _list(self, request: web.Request) -> web.Response:
        mine = self._of(self._owner(request, request.query.get("principal_id")))
        return web.json_response(
            {"credentials": [credential.public() for credential in mine]} if mine else {}
        )

    async def _create(self, request: web.Request) -> web.Response:
        content = await fields(request)
        owner = self._owner(request, content.get("principal_id"))
        provider = _provider(required(content, "git_provider"))
        _check(provider, content, creating=True)
        credential = self.add(owner, provider)
        _apply(credential, content)
        return web.json_response(credential.public())

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._one(request, request.query.get("principal_id")).public())

    async def _update(self, request: web.Request) -> web.Response:
        content = await fields(request)
        credential = self._one(request, content.get("principal_id"))
        provider = _provider(required(content, "git_provider"))
        _check(provider, content, creating=False)
        credential.provider = provider
        _apply(credential, content)
        return web.json_response({})

    async def _delete(self, request: web.Request) -> web.Response:
        self.stored.remove(self._one(request, request.query.get("principal_id")))
        return web.json_response({})

    def _one(self, request: web.Request, principal_id: object) -> Credential:
        mine = self._of(self._owner(request, principal_id))
        return _pick(mine, identifier(request.match_info["id"]))

    def _owner(self, request: web.Request, principal_id: object) -> ServicePrincipal:
        """Return the caller, or the principal that `principal_id` names and the caller manages."""
        caller = self._sign_in.entitled(request)
        if principal_id is None:
            return caller
        owner = self._sign_in.by_id(identifier(str(principal_id)))
        if owner is None:
            raise not_found(f"Principal with id {principal_id} could not be found")
        if self._sign_in.ungranted and not self._manages(caller, owner):  # unrecorded: the text
            raise error(403, "PERMISSION_DENIED", "User does not have permission.")
        return owner

    def _manages(self, caller: ServicePrincipal, owner: ServicePrincipal) -> bool:
        kind = "servicePrincipals" if caller.account else "users"
        manages = self._sign_in.account.manages(f"{kind}/{caller.client_id}", owner.client_id)
        return caller is owner or caller.admin or manages

    def _of(self, principal: ServicePrincipal) -> list[Credential]:
        return [credential for credential in self.stored if credential.principal is principal]


def _provider(text: str) -> str:
    if text.lower() not in PROVIDERS:
        raise invalid(f"Invalid Git provider {text}. Supported providers: {', '.join(PROVIDERS.values())}")
    return PROVIDERS[text.lower()]


def _check(provider: str, content: dict[str, Any], *, creating: bool) -> None:
    if provider == FEDERATED:
        if content.get("personal_access_token") or content.get("git_username"):
            raise invalid(
                "Please do not specify personal_access_token or git_username when git_provider is set to "
                f"{FEDERATED}."
            )
        return
    if creating:
        required(content, "personal_access_token")
        if not content.get("git_username") and not content.get("git_email"):
            raise invalid("Either git_username or git_email must be specified.")


def _apply(credential: Credential, content: dict[str, Any]) -> None:
    credential.username = content.get("git_username", credential.username)
    credential.email = content.get("git_email", credential.email)
    credential.name = content.get("name", credential.name)
    credential.token = content.get("personal_access_token", credential.token)


def _pick(credentials: Iterable[Credential], number: int) -> Credential:
    for credential in credentials:
        if credential.id == number:
            return credential
    raise not_found("Git credential with the given ID could not be found.")
