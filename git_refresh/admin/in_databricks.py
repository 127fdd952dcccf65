"""What is granted in Databricks: the service principal in each workspace, how it signs in, and the folders that it manages."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus

from git_refresh.admin import commands
from git_refresh.admin.account import AdminAccount
from git_refresh.admin.directory import Identity
from git_refresh.admin.grants import Grant, NotGrantedError
from git_refresh.admin.in_devops import named
from git_refresh.admin.patience import patiently
from git_refresh.admin.services import ACCOUNTS, AdminServices
from git_refresh.admin.workspace import AdminWorkspace, Place, Principal
from git_refresh.diagnosis.explain import Facts, finding, internal
from git_refresh.settings.entries import Entry
from git_refresh.settings.models import Folder, Workspace
from git_refresh.symptom import Service, ServiceError, Symptom

ACCOUNT_ADMIN = "an account admin of Databricks"


def workspace_admin(workspace: Workspace) -> str:
    """Who can do things in a workspace."""
    return f"a workspace admin of {workspace.name}"


@dataclass(frozen=True, slots=True)
class Target:
    """What the app has to manage for the sake of a folder."""

    path: str
    place: Place | None
    """None: the directory has to be made."""
    managed: bool


@dataclass(slots=True)
class Seen:
    """A workspace, as far as it was seen."""

    workspace: Workspace
    client_id: str
    """Of the service principal that the app signs in as."""
    api: AdminWorkspace
    account_id: str | None
    workspace_id: str | None
    principal: Principal | None
    targets: Sequence[Target]
    facts: Facts


class DatabricksGrants:
    """What one identity needs in the workspaces of its trust zone."""

    def __init__(self, services: AdminServices, identity: Identity, account_id: str | None) -> None:
        self._services = services
        self._identity = identity
        self._account_id = account_id
        self._clock = services.deadline.clock
        self._issuer = f"https://login.microsoftonline.com/{identity.tenant_id}/v2.0"

    # Looking at a workspace

    def see(self, entry: Entry) -> Seen | Grant:
        """One workspace, looked at; or why that could not be done. Never raises for what a service does."""
        workspace = entry.workspace
        managed = workspace.auth == "managed_identity"
        client_id = self._identity.client_id if managed else workspace.client_id or ""
        facts = Facts(host=workspace.host, client_id=client_id, principal=f"service principal {client_id}")
        try:
            api = AdminWorkspace(workspace.host, self._services.rest(Service.DATABRICKS, workspace.host))
            account_id, workspace_id = api.ids()
            principal = api.principal(client_id)
            targets = self._targets(api, workspace, principal)
        except ServiceError as error:
            return self._membership(workspace, client_id, facts, None, None).failed(error)
        except Exception as error:  # noqa: BLE001  # a mistake of ours must not take the other workspaces along
            return self._membership(workspace, client_id, facts, None, None).failed(internal(error, facts))
        account_id = self._account_id or account_id
        return Seen(workspace, client_id, api, account_id, workspace_id, principal, targets, facts)

    def _targets(
        self, api: AdminWorkspace, workspace: Workspace, principal: Principal | None
    ) -> Sequence[Target]:
        """What has to be managed, each once."""
        targets: dict[str, Target] = {}
        for folder in workspace.folders:
            target = self._target(api, folder, principal)
            if target is not None:
                targets.setdefault(target.path, target)
        return list(targets.values())

    def _target(self, api: AdminWorkspace, folder: Folder, principal: Principal | None) -> Target | None:
        path = folder.below or folder.key
        place = api.at(path)
        if place is None and folder.below is None and folder.url is not None:
            path = path.rpartition("/")[0] or "/"
            place = api.at(path)
        elif place is None or not place.folder:
            return None  # nothing that could be granted: check says what is wrong
        managed = place is not None and principal is not None and api.manages(place, principal)
        return Target(path, place, managed)

    # The service principal

    def _membership(
        self,
        workspace: Workspace,
        client_id: str,
        facts: Facts,
        account_id: str | None,
        workspace_id: str | None,
    ) -> Grant:
        """A service principal in a workspace, as it is to be."""
        what = f"service principal {client_id}: in the workspace, with workspace access"
        if workspace.auth == "managed_identity":
            command = commands.add_principal(workspace.host, client_id, self._name)
            who = workspace_admin(workspace)
            return Grant("principal", workspace.name, what, who, command, facts=facts)
        command = commands.assign(account_id or "ACCOUNT_ID", workspace_id or "WORKSPACE_ID", client_id)
        return Grant("principal", workspace.name, what, ACCOUNT_ADMIN, command, facts=facts)

    @property
    def _name(self) -> str:
        return self._identity.name or "git-refresh"

    def principals(self, seen: Sequence[Seen]) -> dict[str, Grant]:
        """The service principal of each workspace, by the workspace's name."""
        numbers = {view.client_id: view.principal.id for view in seen if view.principal is not None}
        return {view.workspace.name: self._principal(view, numbers) for view in seen}

    def _principal(self, view: Seen, numbers: dict[str, int]) -> Grant:
        principal, workspace = view.principal, view.workspace
        grant = self._membership(workspace, view.client_id, view.facts, view.account_id, view.workspace_id)
        if principal is None and workspace.auth == "managed_identity":
            grant.do = partial(self._add_identity, view)
            return grant
        if principal is None:
            return self._from_account(view, grant, numbers)
        if not principal.active:
            return grant.failed(finding("principal_inactive", view.facts))
        if principal.entitled:
            return grant.there(is_=True)
        return Grant(
            "workspace_access",
            workspace.name,
            f"service principal {view.client_id}: workspace access",
            workspace_admin(workspace),
            commands.entitle(workspace.host, principal.id),
            facts=view.facts,
            do=partial(view.api.entitle, principal.id),
        )

    def _add_identity(self, view: Seen) -> None:
        try:
            view.api.add_principal(self._identity.client_id, self._name)
        except ServiceError as error:
            if error.symptom.status != HTTPStatus.CONFLICT and not error.symptom.undecided:
                raise
            # Somebody else has added it, or the answer was lost.
        self._appears(view)

    def _from_account(self, view: Seen, grant: Grant, numbers: dict[str, int]) -> Grant:
        try:
            account = self._account(view)
            number = numbers.get(view.client_id) or account.principal_id(view.client_id)
        except (ServiceError, NotGrantedError) as error:
            return grant.failed(error)
        if number is None:
            return grant.failed(finding("no_such_principal", view.facts))
        if view.workspace_id is None:
            return grant.failed(finding("no_workspace_id", view.facts))
        numbers[view.client_id] = number
        grant.do = partial(self._assign, view, account, number, view.workspace_id)
        return grant

    def _assign(self, view: Seen, account: AdminAccount, number: int, workspace_id: str) -> None:
        account.assign(number, workspace_id)
        principal = self._appears(view)
        if not principal.entitled:
            view.api.entitle(principal.id)

    def _appears(self, view: Seen) -> Principal:
        """The service principal, when the workspace shows it.

        Raises:
            ServiceError: it does not, for longer than reads lag.
        """
        found = patiently(
            self._clock,
            lambda: view.api.principal(view.client_id),
            lambda principal: principal is not None,
        )
        if found is None:
            what = f"see service principal {view.client_id} in the workspace"
            raise ServiceError(Symptom(Service.DATABRICKS, what, "unexpected"))
        view.principal = found
        return found

    def _account(self, view: Seen) -> AdminAccount:
        if view.account_id is None:
            raise NotGrantedError(finding("no_account_id", view.facts))
        return AdminAccount(view.account_id, self._services.rest(Service.DATABRICKS, ACCOUNTS))

    # How it signs in without a secret

    def policies(self, seen: Sequence[Seen], principals: Mapping[str, Grant]) -> list[Grant]:
        """A federation policy for each service principal that the app signs in as by exchanging a token of its identity."""
        first = {view.client_id: view for view in reversed(seen) if view.workspace.federated is not None}
        return [self._policy(view, principals[view.workspace.name]) for view in first.values()]

    def _policy(self, view: Seen, needs: Grant) -> Grant:
        grant = Grant(
            "federation_policy",
            "Databricks account",
            f"service principal {view.client_id}: a federation policy that lets {named(self._identity)} sign in as it",
            ACCOUNT_ADMIN,
            commands.write_policy(
                view.account_id or "ACCOUNT_ID", view.client_id, self._issuer, self._identity.object_id
            ),
            facts=view.facts,
            needs=needs,
        )
        if grant.blocked:
            return grant.skipped(grant.blocked)
        try:
            account = self._account(view)
            number = view.principal.id if view.principal else account.principal_id(view.client_id)
            if number is None:
                return grant.failed(finding("no_such_principal", view.facts))
            there = account.trusts(number, self._issuer, self._identity.object_id)
        except (ServiceError, NotGrantedError) as error:
            return grant.failed(error)
        grant.do = partial(self._trust, account, number)
        return grant.there(is_=there)

    def _trust(self, account: AdminAccount, number: int) -> None:
        try:
            account.trust(number, self._issuer, self._identity.object_id)
        except ServiceError as error:
            if error.symptom.status != HTTPStatus.CONFLICT and not error.symptom.undecided:
                raise
            # Another admin was quicker, or the answer was lost: is it there?
            if not patiently(self._clock, lambda: self._trusts(account, number), bool):
                raise

    def _trusts(self, account: AdminAccount, number: int) -> bool:
        return account.trusts(number, self._issuer, self._identity.object_id)

    # The principals of run_as

    def managed(self, view: Seen) -> Iterable[Grant]:
        """Whether the app manages the principals of `run_as`. Where it does not, that is somebody's to do by hand."""
        for number in view.workspace.run_as:
            what = f"service principal {view.client_id}: manager of service principal {number} (run_as)"
            grant = Grant("manager", view.workspace.name, what, ACCOUNT_ADMIN, facts=view.facts)
            grant.command = (
                f"DATABRICKS_HOST={view.workspace.host} databricks service-principals get {number}"
            )
            yield self._managed(view, grant, number)

    def _managed(self, view: Seen, grant: Grant, number: int) -> Grant:
        facts = replace(view.facts, principal=f"service principal {number} (run_as)")
        try:
            client_id = view.api.client_id(number)
            if client_id is None:
                return grant.failed(finding("no_such_run_as", facts, id=number))
            if view.account_id is None:
                return grant.failed(finding("no_account_id", facts))
            if view.api.lets_manage(view.account_id, client_id, view.client_id):
                return grant.there(is_=True)
        except (ServiceError, NotGrantedError) as error:
            return grant.failed(error)
        return grant.failed(finding("manager_missing", facts, id=number))

    # The folders

    def folders(self, view: Seen, needs: Grant) -> Iterable[Grant]:
        """Can Manage on what a run updates, and on the directory above what it creates."""
        workspace = view.workspace
        for target in view.targets:
            made = target.place is None
            kind = target.place.kind if target.place else "directories"
            what = f"service principal {view.client_id}: Can Manage on {target.path}"
            grant = Grant(
                "folder",
                workspace.name,
                f"{what}, a directory that is made for it" if made else what,
                workspace_admin(workspace),
                commands.let_manage(workspace.host, kind, target.path, view.client_id, made=made),
                facts=view.facts,
                do=partial(self._let_manage, view, target),
                needs=needs,
            )
            grant.there(is_=target.managed)
            yield grant.skipped(grant.blocked) if grant.blocked and not target.managed else grant

    def _let_manage(self, view: Seen, target: Target) -> None:
        place = target.place or view.api.make_directory(target.path)
        view.api.let_manage(place, view.client_id)
