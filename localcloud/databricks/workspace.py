"""One Azure Databricks workspace."""

import asyncio
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from localcloud.authority import EXCHANGE_AUDIENCE, Authority
from localcloud.databricks import rule_sets
from localcloud.databricks.account import Account
from localcloud.databricks.contents import Item
from localcloud.databricks.errors import error
from localcloud.databricks.federation import ACCOUNT_ID, FederationPolicy
from localcloud.databricks.folder import Folder
from localcloud.databricks.git_credentials import DEVOPS, Credential, GitCredentials
from localcloud.databricks.git_folders import GitFolders
from localcloud.databricks.jobs import Job, JobRun, Jobs
from localcloud.databricks.oauth_secrets import OAuthSecrets
from localcloud.databricks.object_permissions import ObjectPermissions
from localcloud.databricks.scim import Scim
from localcloud.databricks.sign_in import ServicePrincipal, SignIn
from localcloud.databricks.tree import Tree, normal
from localcloud.databricks.variant import Variant
from localcloud.devops.repository import Repository
from localcloud.people import Person

RULES = "/api/2.0/preview/accounts/access-control/rule-sets"


class Workspace:
    """A workspace at `https://{host}`: its REST API, and methods that prepare its state.

    `variant`: the behavior from now on, where workspaces differ.
    """

    service = "databricks"
    request_id_header = "x-request-id"

    def __init__(
        self,
        host: str,
        authority: Authority,
        account: Account,
        directory: Path,
        network: Mapping[str, str],
        variant: Variant | None = None,
    ) -> None:
        self.host = host
        self.variant = variant or Variant()
        self._sign_in = SignIn(host, authority, account)
        self._scim = Scim(self._sign_in, self.variant)
        self._oauth_secrets = OAuthSecrets(self._sign_in)
        self._tree = Tree(self._sign_in, self.variant)
        self._permissions = ObjectPermissions(self._sign_in, self._tree, self.variant)
        self._credentials = GitCredentials(self._sign_in)
        self._git_folders = GitFolders(
            self._sign_in, self._tree, self._credentials, directory, network, self.variant
        )
        self._jobs = Jobs(self._sign_in, self._credentials, directory, network)

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            *self._sign_in.routes(),
            *self._scim.routes(),
            *self._oauth_secrets.routes(),
            *self._credentials.routes(),
            *self._git_folders.routes(),
            *self._tree.routes(),
            *self._permissions.routes(),
            web.get(RULES, self._rules),
            web.put(RULES, self._rules),
            *self._jobs.routes(),
            web.route("*", "/{path:.*}", _unknown),
        ]

    async def _rules(self, request: web.Request) -> web.Response:
        """Serve the account's rule sets to an admin of the workspace. Unrecorded: the text for other callers."""
        if not self._sign_in.authenticate(request).admin:
            raise error(403, "PERMISSION_DENIED", "Only admins can manage the roles on a service principal.")
        account = self._sign_in.account
        return (
            rule_sets.get(account, request)
            if request.method == "GET"
            else await rule_sets.put(account, request)
        )

    @property
    def url(self) -> str:
        return f"https://{self.host}"

    @property
    def members(self) -> SignIn:
        return self._sign_in

    @property
    def ungranted(self) -> bool:
        """If True, directories and folders are closed to principals without a grant."""
        return self._sign_in.ungranted

    @ungranted.setter
    def ungranted(self, closed: bool) -> None:
        self._sign_in.ungranted = closed

    @property
    def users_entitlements(self) -> set[str]:
        """The entitlements of the group `users`, which has all principals."""
        return self._sign_in.users

    @property
    def lag(self) -> float:
        """Seconds for which reads do not show a write."""
        return self._sign_in.lag.seconds

    @lag.setter
    def lag(self, seconds: float) -> None:
        self._sign_in.lag.seconds = seconds

    @property
    def credentials(self) -> list[Credential]:
        """Every stored Git credential, of every principal."""
        return list(self._credentials.stored)

    @property
    def service_principals(self) -> list[ServicePrincipal]:
        return [known for known in self._sign_in.principals if known.account is not None]

    @property
    def folders(self) -> list[Folder]:
        return list(self._tree.folders.values())

    def service_principal(self, client_id: str, secret: str, name: str = "git-refresh") -> ServicePrincipal:
        """Return a service principal that authenticates with this OAuth secret, created if missing."""
        principal = self._sign_in.add(client_id, name)
        principal.secret = secret
        return principal

    def add_user(self, person: Person, *, admin: bool = False) -> ServicePrincipal:
        """Add a person, who authenticates with Entra tokens."""
        return self._sign_in.add_user(person.user_name, person.object_id, admin=admin)

    def add_managed_identity(
        self, object_id: str, name: str = "git-refresh-identity", *, client_id: str | None = None
    ) -> ServicePrincipal:
        """Add a managed identity as a service principal that authenticates with Entra tokens.

        Its application ID is the identity's client ID, if given.
        """
        principal = self._sign_in.add(client_id or object_id, name)
        principal.object_id = object_id
        return principal

    def federate(
        self,
        client_id: str,
        *,
        issuer: str,
        subject: str,
        audiences: Sequence[str] = (EXCHANGE_AUDIENCE,),
        name: str = "git-refresh-federated",
    ) -> ServicePrincipal:
        """Add a federation policy for this issuer, subject and audience to a service principal.

        Creates a missing principal. A policy without audiences expects the account's ID.
        """
        principal = self._sign_in.add(client_id, name)
        principal.policies.append(FederationPolicy(issuer, subject, tuple(audiences) or (ACCOUNT_ID,)))
        return principal

    def add_credential(
        self,
        principal: ServicePrincipal,
        *,
        provider: str = DEVOPS,
        username: str | None = None,
        token: str | None = None,
        name: str | None = None,
    ) -> Credential:
        """Store a Git credential without the API."""
        credential = self._credentials.add(principal, provider)
        credential.username, credential.token, credential.name = username, token, name
        return credential

    def add_folder(
        self,
        path: str,
        repository: Repository,
        *,
        branch: str = "main",
        git_cli: bool | None = None,
        can_manage: bool = True,
        visible: bool = True,
    ) -> Folder:
        """Add a Git folder at a branch's head, with its directories; by default of the workspace's kind."""
        place = normal(path)
        self.make_directories(place.rpartition("/")[0] or "/")
        folder = self._git_folders.new(place, repository.url, git_cli=git_cli)
        folder.can_manage, folder.visible = can_manage, visible
        shutil.copytree(repository.checkout(branch), folder.directory, symlinks=True)
        self._tree.folders[place] = folder
        return folder

    def add_broken_folder(self, path: str, *, git_cli: bool | None = None) -> Folder:
        """Add the remains of a failed create: a Git folder without a repository."""
        place = normal(path)
        self.make_directories(place.rpartition("/")[0] or "/")
        folder = self._git_folders.new(place, "", git_cli=git_cli)
        folder.broken = True
        self._tree.folders[place] = folder
        return folder

    def make_directories(self, path: str) -> None:
        self._tree.make_directories(normal(path))

    def add_file(self, path: str) -> None:
        self._tree.add_file(normal(path), Item("FILE"))

    def add_notebook(self, path: str) -> None:
        self._tree.add_file(normal(path), Item("NOTEBOOK", "PYTHON"))

    def close_directory(self, path: str) -> None:
        """Create a directory, if missing, that only admins can list, like a home directory."""
        self.make_directories(path)
        self._tree.closed.add(normal(path))

    @property
    def max_listed(self) -> int | None:
        """The most objects that a directory can list; None: any number."""
        return self._tree.max_listed

    @max_listed.setter
    def max_listed(self, count: int | None) -> None:
        self._tree.max_listed = count

    def folder(self, path: str) -> Folder | None:
        """Return the Git folder at a path with or without the prefix `/Workspace`."""
        return self._tree.folders.get(normal(path))

    def add_job(
        self,
        name: str,
        run_as: ServicePrincipal,
        source: Repository | str | None,
        *,
        owner: ServicePrincipal | None = None,
        provider: str = DEVOPS,
        ref: Mapping[str, str] | None = None,
    ) -> Job:
        """Add a job with one notebook task, of a repository at `ref` or in the workspace.

        `ref` has its git_branch, git_tag or git_commit. The default owner is the Run as identity.
        """
        task = {"task_key": "only", "notebook_task": {"notebook_path": "jobs/load"}}
        settings: dict[str, Any] = {"name": name, "tasks": [task]}
        if source is not None:
            url = source if isinstance(source, str) else source.url
            settings["git_source"] = {"git_url": url, "git_provider": provider, **(ref or {})}
        return self._jobs.add(owner or run_as, run_as, settings)

    def run_job(self, job: Job) -> JobRun:
        run = self._jobs.begin(job)
        asyncio.run(self._jobs.work(run))
        return run


async def _unknown(request: web.Request) -> web.Response:
    raise error(404, "ENDPOINT_NOT_FOUND", f"No API found for '{request.method} {request.path}'")
