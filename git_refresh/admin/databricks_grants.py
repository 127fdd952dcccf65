"""Grants in Databricks: workspace access, federation policies, and CAN MANAGE on folders."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus

from git_refresh.admin import commands
from git_refresh.admin.account import AdminAccount
from git_refresh.admin.devops_grants import named
from git_refresh.admin.directory import ServicePrincipal
from git_refresh.admin.grants import Grant
from git_refresh.admin.removal import Removal, remaining, users
from git_refresh.admin.services import ACCOUNTS_ORIGIN, AdminServices
from git_refresh.admin.values import DiagnosedError
from git_refresh.admin.workspace import AdminWorkspace, FoundObject
from git_refresh.clients.scim import WORKSPACE_ACCESS, Principal
from git_refresh.failures.diagnosis import DiagnosisContext, finding
from git_refresh.failures.failure import Service, ServiceError
from git_refresh.model.clock import poll
from git_refresh.model.values import Zone
from git_refresh.output.shell import Command
from git_refresh.run.decide import describe_owner, is_ours, own_credential
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings
from git_refresh.settings.models import Folder, Workspace

ACCOUNT_ADMIN = "an account admin of Databricks"


def workspace_admin(workspace: Workspace) -> str:
    return f"a workspace admin of {workspace.name}"


def _membership(
    workspace: Workspace, client_id: str, context: DiagnosisContext, who: str, command: Command
) -> Grant:
    what = f"service principal {client_id}: in the workspace, with workspace access"
    keys = (("principal", workspace.host, client_id),)
    return Grant("principal", workspace.name, what, who, command, context=context, keys=keys)


@dataclass(frozen=True, slots=True)
class FolderTarget:
    """A Git folder or directory on which the app needs CAN MANAGE."""

    path: str
    place: FoundObject | None = None
    """None if the directory is missing, or could not be read."""
    managed: bool = False
    failure: ServiceError | None = None
    above: str | None = None
    """Its parent, if a run can have created this Git folder: onboard then granted CAN MANAGE there."""


@dataclass(slots=True)
class WorkspaceSnapshot:
    workspace: Workspace
    client_id: str
    """Application ID of the service principal that the app signs in as."""
    api: AdminWorkspace
    account_id: str | None
    principal: Principal | None
    targets: Sequence[FolderTarget]
    context: DiagnosisContext
    gone: bool = False
    """True if the workspace could not be read."""

    @property
    def workspace_id(self) -> str | None:
        """The ID in its URL. Security: a workspace could report the ID of another one."""
        host = self.workspace.host
        found = re.fullmatch(r"https://adb-(\d{1,20})\.\d{1,3}\.azuredatabricks\.net", host)
        return found[1].lstrip("0") or "0" if found else None


class DatabricksGrants:
    """The grants for one identity in the workspaces of its trust zone."""

    def __init__(
        self,
        services: AdminServices,
        identity: ServicePrincipal,
        account_id: str | None,
        settings: Settings,
        zone: Zone,
    ) -> None:
        self._services = services
        self._settings = settings
        self._zone = zone
        self._invocation = settings.invocation
        self._remaining = remaining(settings)
        self._identity = identity
        self._account_id = account_id
        self._clock = services.deadline.clock
        self._issuer = f"https://login.microsoftonline.com/{identity.tenant_id}/v2.0"
        self._accounts: list[str] = []
        self._numbers: dict[tuple[str, str], int | None] = {}

    # Reading a workspace

    def read(self, entry: Entry) -> WorkspaceSnapshot | Grant:
        """Return the state of a workspace, or a failed grant. Never raises."""
        workspace = entry.workspace
        managed = workspace.auth == "managed_identity"
        client_id = self._client_id(workspace)
        context = DiagnosisContext(
            host=workspace.host,
            client_id=client_id,
            principal=f"service principal {client_id}",
            invocation=self._invocation,
        )
        try:
            api = AdminWorkspace(workspace.host, self._services.rest(Service.DATABRICKS, workspace.host))
            principal = api.scim.principal(client_id)
            account_id = self._account_id or (
                None if managed and not workspace.additional_principal_ids else api.account_id()
            )
            targets = self._targets(api, workspace, principal)
        except Exception as error:  # noqa: BLE001  # a bug must not stop the other workspaces
            who, command = workspace_admin(workspace), commands.onboard(self._invocation)
            return _membership(workspace, client_id, context, who, command).failed(error)
        context = replace(context, account_id=account_id or "")
        return WorkspaceSnapshot(workspace, client_id, api, account_id, principal, targets, context)

    def gone(self, entry: Entry) -> WorkspaceSnapshot | None:
        """Return an empty snapshot of an unreadable workspace; None without a token.

        It leads to the workspace's objects in the account and in Key Vault.
        """
        workspace = entry.workspace
        account_id = self._account_id or (self._accounts[0] if len(self._accounts) == 1 else None)
        client_id = self._client_id(workspace)
        try:
            rest = self._services.rest(Service.DATABRICKS, workspace.host)
        except ServiceError:
            return None
        api = AdminWorkspace(workspace.host, rest)
        context = DiagnosisContext(
            host=workspace.host,
            client_id=client_id,
            principal=f"service principal {client_id}",
            account_id=account_id or "",
            invocation=self._invocation,
        )
        return WorkspaceSnapshot(workspace, client_id, api, account_id, None, (), context, gone=True)

    def _targets(
        self, api: AdminWorkspace, workspace: Workspace, principal: Principal | None
    ) -> Sequence[FolderTarget]:
        """Return the distinct folders that need CAN MANAGE. An unreadable folder affects only itself."""
        targets: dict[str, FolderTarget] = {}
        for folder in workspace.folders:
            try:
                target = self._target(api, folder, principal)
            except ServiceError as error:
                target = FolderTarget(folder.below or folder.key, failure=error)
            if target is not None:
                targets.setdefault(target.path, target)
        return list(targets.values())

    def _target(
        self, api: AdminWorkspace, folder: Folder, principal: Principal | None
    ) -> FolderTarget | None:
        path = folder.below or folder.key
        place = api.at(path)
        if place is None and folder.below is None and folder.url is not None:
            path = path.rpartition("/")[0] or "/"
            place = api.at(path)
            if place is not None and not place.folder:
                return None  # nothing can be granted; check reports the mistake
        elif place is None or not place.folder:
            return None
        managed = place is not None and principal is not None and api.manages(place, principal)
        created = path == folder.key and folder.url is not None
        above = path.rpartition("/")[0] if created else None
        return FolderTarget(path, place, managed or path == _SHARED, above=above)

    def _client_id(self, workspace: Workspace) -> str:
        """Return the application ID of the service principal or managed identity that the app signs in as."""
        own = self._settings.zone(workspace).identity
        if workspace.auth != "managed_identity":
            own = workspace.client_id
        elif own == self._zone.identity:
            own = self._identity.client_id
        return (own or "").lower()

    def _users(self, view: WorkspaceSnapshot) -> tuple[str, ...]:
        """Return the remaining workspaces of the list with the same service principal."""
        return users(self._remaining, lambda entry: self._client_id(entry.workspace) == view.client_id)

    # The service principal

    @property
    def _name(self) -> str:
        return self._identity.name or "git-refresh"

    def principals(self, seen: Sequence[WorkspaceSnapshot]) -> dict[str, Grant]:
        """Return the grants of the service principals, by the workspace's name."""
        self._accounts = sorted({view.account_id for view in seen if view.account_id is not None})
        return {view.workspace.name: self._principal(view) for view in seen}

    def _principal(self, view: WorkspaceSnapshot) -> Grant:
        principal, workspace = view.principal, view.workspace
        managed = workspace.auth == "managed_identity"
        if managed:
            who = workspace_admin(workspace)
            command = commands.add_principal(workspace.host, view.client_id, self._name)
        else:
            ids = (view.account_id or "ACCOUNT_ID", view.workspace_id or "WORKSPACE_ID")
            who, command = ACCOUNT_ADMIN, commands.assign(*ids, view.client_id)
        grant = _membership(workspace, view.client_id, view.context, who, command)
        grant = replace(grant, undo=partial(self._principal_removals, view))
        if principal is None and managed:
            return replace(grant, do=partial(self._add_identity, view))
        if principal is None and view.workspace_id is None:
            return grant.lacks("no_workspace_id")
        if principal is None:
            return replace(grant, do=partial(self._assign, view)).checked(
                lambda: self._in_account(view) is None
            )
        if not principal.active:
            return grant.lacks("principal_inactive")
        if principal.entitled:
            return grant.existing(is_=True)
        return Grant(
            "workspace_access",
            workspace.name,
            f"service principal {view.client_id}: workspace access",
            workspace_admin(workspace),
            commands.entitle(workspace.host, principal.id),
            context=view.context,
            keys=grant.keys,
            do=partial(view.api.scim.add_workspace_access, principal.id),
            undo=grant.undo,
        )

    def _principal_removals(self, view: WorkspaceSnapshot) -> Iterator[Removal]:
        """Yield the removals of the Git credential and of the principal in the workspace and the account."""
        principal, workspace = view.principal, view.workspace
        who = f"service principal {view.client_id}"
        if principal is not None:
            yield from self._credential_removals(view, principal.id, who)
            left = sorted(principal.groups - {"users"})
            affects = [f"its membership of {', '.join(left)}"] if left else []
            if others := sorted(principal.entitlements - {WORKSPACE_ACCESS}):
                affects.append(f"its entitlements {', '.join(others)}")
            removal = Removal("workspace", workspace.name, f"{who}: in the workspace", affects=tuple(affects))
            if workspace.auth == "managed_identity":
                command = commands.delete_principal(workspace.host, principal.id)
                yield replace(removal, required_role=workspace_admin(workspace), command=command)
            elif view.workspace_id is None:
                raise DiagnosedError(finding("no_workspace_id", view.context))
            else:
                account, number = self._in_account(view)
                command = commands.unassign(account.id, view.workspace_id, number)
                yield replace(removal, required_role=ACCOUNT_ADMIN, command=command)
        yield from self._account_removals(view, who)

    def _credential_removals(self, view: WorkspaceSnapshot, number: int, who: str) -> Iterator[Removal]:
        workspace = view.workspace
        found = own_credential(view.api.credentials(number), workspace.git_username)
        if found is None:
            return
        removal = Removal(
            "credential",
            workspace.name,
            f"{who}: Git credential {found.id}",
            workspace_admin(workspace),
            commands.delete_credential(workspace.host, found.id, number),
            affects=(f"jobs and Git folders of {workspace.name} that act as {who}",),
        )
        if is_ours(found, workspace.git_username):
            yield removal
        else:
            yield removal.stays(
                f"runs only updated it, and did not create it: {describe_owner(found, workspace.git_username)}"
            )

    def _account_removals(self, view: WorkspaceSnapshot, who: str) -> Iterator[Removal]:
        removal = Removal("principal", "Databricks account", who)
        if self._remaining:
            used_by = self._users(view)
            yield removal.stays("it is removed only with the whole list").unless_used(used_by)
            return
        if view.account_id is None and not view.gone:
            view.account_id = view.api.account_id()
        account = self._account(view)
        number = account.principal_id(view.client_id)
        if number is None:
            return
        affects = ["its roles and permissions in workspaces outside the list"]
        if view.workspace.auth != "managed_identity":
            affects.append("the list, which then needs the application ID of a new service principal")
        command = commands.delete_from_account(account.id, number)
        yield replace(removal, required_role=ACCOUNT_ADMIN, command=command, affects=tuple(affects))

    def _add_identity(self, view: WorkspaceSnapshot) -> None:
        try:
            view.api.scim.add_principal(self._identity.client_id, self._name)
        except ServiceError as error:
            sure = error.failure.status != HTTPStatus.CONFLICT and not error.failure.outcome_unknown
            # The status for a duplicate is not documented.
            if sure and view.api.scim.principal(view.client_id) is None:
                raise
        self._wait_for_principal(view)

    def _assign(self, view: WorkspaceSnapshot) -> None:
        account, number = self._in_account(view)
        account.assign(number, view.workspace_id or "")
        principal = self._wait_for_principal(view)
        if not principal.entitled:
            view.api.scim.add_workspace_access(principal.id)

    def _wait_for_principal(self, view: WorkspaceSnapshot) -> Principal:
        """Return the service principal when the workspace shows it.

        Raises:
            DiagnosedError: the workspace does not show it in time.
        """
        found = poll(
            self._clock,
            lambda: view.api.scim.principal(view.client_id),
            lambda principal: principal is not None,
        )
        if found is None:
            raise DiagnosedError(finding("grant_not_visible", view.context))
        view.principal = found
        return found

    def _account(self, view: WorkspaceSnapshot) -> AdminAccount:
        """Return the client of the account to which the workspaces belong.

        Raises:
            ServiceError: no token was issued.
            DiagnosedError: the workspaces report no account, or several.
        """
        if len(self._accounts) > 1:
            raise DiagnosedError(finding("accounts_differ", view.context, ids=", ".join(self._accounts)))
        if view.account_id is None:
            raise DiagnosedError(finding("no_account_id", view.context))
        return AdminAccount(view.account_id, self._services.rest(Service.DATABRICKS, ACCOUNTS_ORIGIN))

    def _in_account(self, view: WorkspaceSnapshot) -> tuple[AdminAccount, int]:
        """Return the account and the principal's ID. Security: a workspace could report another ID.

        Raises:
            ServiceError: the account cannot be read.
            DiagnosedError: the account has no such principal, or is unknown.
        """
        account = self._account(view)
        key = account.id, view.client_id
        if key not in self._numbers:
            self._numbers[key] = account.principal_id(view.client_id)
        number = self._numbers[key]
        if number is None:
            raise DiagnosedError(finding("principal_not_in_account", view.context))
        return account, number

    # Federation policies

    def policies(self, seen: Sequence[WorkspaceSnapshot]) -> list[Grant]:
        """Return the grant of a federation policy for each service principal with `auth: federated`."""
        first = {view.client_id: view for view in reversed(seen) if view.workspace.federated is not None}
        return [self._policy(view) for view in first.values()]

    def _policy(self, view: WorkspaceSnapshot) -> Grant:
        account_id = view.account_id or "ACCOUNT_ID"
        subject = self._identity.object_id
        return Grant(
            "federation_policy",
            "Databricks account",
            f"service principal {view.client_id}: a federation policy for {named(self._identity)}",
            ACCOUNT_ADMIN,
            commands.create_policy(account_id, view.client_id, self._issuer, subject),
            context=view.context,
            keys=(("federation_policy", view.client_id, subject),),
            do=partial(self._trust, view),
            undo=partial(self._policy_removals, view),
        ).checked(partial(self._trusts, view))

    def _trust(self, view: WorkspaceSnapshot) -> None:
        account, number = self._in_account(view)
        try:
            account.trust(number, self._issuer, self._identity.object_id)
        except ServiceError as error:
            if error.failure.status != HTTPStatus.CONFLICT and not error.failure.outcome_unknown:
                raise
            # Another admin might have created it, or the response was lost.
            if not poll(self._clock, lambda: self._trusts(view), bool):
                raise

    def _policy_removals(self, view: WorkspaceSnapshot) -> Iterator[Removal]:
        account = self._account(view)
        number = account.principal_id(view.client_id)
        if number is None:
            return
        identity = self._zone.identity
        others = users(
            self._remaining,
            lambda entry: (
                entry.workspace.auth == "federated"
                and self._client_id(entry.workspace) == view.client_id
                and self._settings.zone(entry.workspace).identity == identity
            ),
        )
        for id_ in account.policy_ids(number, self._issuer, self._identity.object_id):
            yield Removal(
                "federation_policy",
                "Databricks account",
                f"service principal {view.client_id}: federation policy {id_} of {named(self._identity)}",
                ACCOUNT_ADMIN,
                commands.delete_policy(account.id, number, id_),
                affects=("workspaces outside the list that the identity signs in to as this principal",),
            ).unless_used(others)

    def _trusts(self, view: WorkspaceSnapshot) -> bool:
        account, number = self._in_account(view)
        return account.trusts(number, self._issuer, self._identity.object_id)

    # The principals of additional_principal_ids

    def managed(self, view: WorkspaceSnapshot) -> Iterable[Grant]:
        """Yield a grant of the manager role for each of `additional_principal_ids`. onboard only checks it."""
        for number in view.workspace.additional_principal_ids:
            what = f"service principal {view.client_id}: manager of service principal {number} (additional_principal_ids)"
            command = commands.show_principal(view.workspace.host, number)
            grant = Grant("manager", view.workspace.name, what, ACCOUNT_ADMIN, command, context=view.context)
            who = f"service principal {number} (additional_principal_ids)"
            grant = replace(grant, undo=partial(self._credential_removals, view, number, who))
            yield self._managed(view, grant, number)

    def _managed(self, view: WorkspaceSnapshot, grant: Grant, number: int) -> Grant:
        context = replace(view.context, principal=f"service principal {number} (additional_principal_ids)")
        missing = replace(grant, context=context)
        try:
            client_id = view.api.scim.client_id(number)
            if client_id is None:
                return missing.lacks("additional_principal_not_found", id=number)
            managers = view.api.managers(self._account(view).id, client_id)
        except (ServiceError, DiagnosedError) as error:
            return grant.failed(error)
        if f"servicePrincipals/{view.client_id}" in managers:
            return grant.existing(is_=True)
        if groups := ", ".join(sorted(who for who in managers if who.startswith("groups/"))):
            return grant.skipped(
                f"{groups} has the role; onboard does not check whether the principal is a member"
            )
        return missing.lacks("manager_missing", id=number)

    # The folders

    def folders(self, view: WorkspaceSnapshot, needs: Grant) -> Iterable[Grant]:
        """Yield the grants of CAN MANAGE: on Git folders, or on the parents of those that a run creates."""
        workspace = view.workspace
        for target in view.targets:
            missing = target.place is None
            kind = view.api.kind_of(target.place) if target.place else "directories"
            what = f"service principal {view.client_id}: CAN MANAGE on {target.path}"
            grant = Grant(
                "folder",
                workspace.name,
                f"{what}, a directory that onboard creates" if missing and not target.failure else what,
                workspace_admin(workspace),
                commands.grant_can_manage(workspace.host, kind, target.path, view.client_id, creates=missing),
                context=replace(view.context, path=target.path),
                keys=(("folder", workspace.host, target.path, view.client_id),),
                do=partial(self._grant_can_manage, view, target),
                undo=partial(self._folder_removals, view, target),
                needs=(needs,),
            )
            yield self._folder(grant, target)

    def _folder(self, grant: Grant, target: FolderTarget) -> Grant:
        if target.failure is not None:
            return grant.failed(target.failure)
        if target.managed:
            return grant.existing(is_=True)
        if _is_too_broad(target.path):
            return grant.lacks("grant_too_broad")
        return grant.skipped(grant.blocked) if grant.blocked else grant

    def _folder_removals(self, view: WorkspaceSnapshot, target: FolderTarget) -> Iterator[Removal]:
        """Yield the removal of CAN MANAGE on the folder itself, and on its parent if onboard granted it there."""
        if target.failure is not None:
            raise target.failure
        workspace, above = view.workspace, target.above
        at_above = view.api.at(above) if above and above != _SHARED else None
        for path, place in ((target.path, target.place), (above or "", at_above)):
            if place is None or not place.folder or path == _SHARED:
                continue
            if name := view.api.granted(place, view.client_id):
                yield Removal(
                    "folder",
                    workspace.name,
                    f"service principal {view.client_id}: CAN MANAGE on {path}",
                    workspace_admin(workspace),
                    commands.remove_permission(workspace.host, view.api.kind_of(place), place.id, name),
                )

    def _grant_can_manage(self, view: WorkspaceSnapshot, target: FolderTarget) -> None:
        place = target.place or view.api.make_directory(target.path)
        view.api.grant_can_manage(place, view.client_id)


_SHARED = "/Shared"
"""Every user of a workspace has CAN MANAGE on this directory."""


def _is_too_broad(path: str) -> bool:
    """Return whether a directory is the root, a top-level directory, or a user's home directory."""
    depth = path.rstrip("/").count("/")
    return depth < 2 or (path.startswith("/Users/") and depth == 2)  # noqa: PLR2004  # /Repos/etl, /Users/ada
