"""Checks and grants the permissions that a list needs, and lists the commands that remove them.

Every step can be repeated after an interrupt. Security: only the settings lead to a grant, never the folders of a workspace.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from http import HTTPStatus

from git_refresh.admin import commands
from git_refresh.admin.databricks_grants import DatabricksGrants, WorkspaceSnapshot, workspace_admin
from git_refresh.admin.devops_grants import DevOpsGrants, Projects, place_of, projects_of
from git_refresh.admin.directory import EntraDirectory, ServicePrincipal
from git_refresh.admin.grants import Grant, Granted, GrantKind, Key
from git_refresh.admin.removal import ORDER, Removal, RemovalKind, remaining, users
from git_refresh.admin.rotation.decide import RotationTarget, targets_of
from git_refresh.admin.rotation.work import Rotation
from git_refresh.admin.services import MICROSOFT_GRAPH_ORIGIN, AdminServices
from git_refresh.admin.values import DiagnosedError
from git_refresh.admin.values import place_of as place_of_secret
from git_refresh.admin.vault import Recovery
from git_refresh.clients.scim import ScimClient
from git_refresh.failures.diagnosis import DiagnosisContext, finding
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceError, ServiceFailure
from git_refresh.model.clock import POLL_PAUSE_S, READ_LAG_S, poll
from git_refresh.model.repository import read_remote
from git_refresh.model.values import KEY_VAULT, Zone
from git_refresh.output.shell import command
from git_refresh.run.pool import Executor
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings

_NOT_YET = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND})
"""Statuses of a permissions request for a new principal that Databricks does not show everywhere yet."""

_ONE_BY_ONE = frozenset[GrantKind]({"federation_policy", "oauth_secret"})
_WAVES: tuple[frozenset[GrantKind], ...] = (
    frozenset({"organization", "project", "principal", "workspace_access"}),
    _ONE_BY_ONE,
    frozenset({"folder"}),
)


_REMOVED_AS: Mapping[GrantKind, RemovalKind] = {
    "organization": "organization",
    "project": "project",
    "principal": "workspace",
    "workspace_access": "workspace",
    "manager": "credential",
    "federation_policy": "federation_policy",
    "oauth_secret": "vault_secret",
    "folder": "folder",
}
"""Kind of the removal that fails because the state of a grant cannot be read."""

_OFFICER = "a Key Vault Secrets Officer"


def _name_blocked(recovery: Recovery, url: str, name: str) -> str:
    days = f" for {recovery.days} days" if recovery.days else ""
    return (
        f"purge protection blocks the name{days}; to use it again with onboard or rotate, first run "
        f"`{commands.on_vault_secret('recover', url, name)}`"
    )


@dataclass(frozen=True, slots=True)
class OnboardOptions:
    """Facts that the settings do not contain."""

    object_id: str | None = None
    """Object ID of the app's system-assigned identity."""
    account_id: str | None = None
    """Databricks account ID, if the workspaces do not report it."""
    new_client_id: str | None = None
    """Placeholder in the settings for the application ID of a service principal to create."""


class Onboarding:
    """The permissions that a list needs, checked and granted with the Azure CLI account of the caller."""

    def __init__(
        self, settings: Settings, services: AdminServices, given: OnboardOptions, executor: Executor
    ) -> None:
        self._settings = settings
        self._services = services
        self._given = given
        self._executor = executor
        self._clock = services.deadline.clock
        self.grants: list[Grant] = []
        """The plan with current states. Each thread replaces only its own items."""
        self._principals: dict[tuple[Key, ...], int] = {}
        self._removing = False

    def plan(self, new_principal: str | None = None) -> None:
        """Plan all permissions that the list needs, or only the service principal with this name."""
        self.grants = self._new_principal(new_principal) if new_principal else self.look()
        kinds = {"principal", "workspace_access"}
        self._principals = {grant.keys: at for at, grant in enumerate(self.grants) if grant.kind in kinds}

    def look(self) -> list[Grant]:
        """Return every permission that the list needs, with its state. A failed call becomes a failed grant.

        Raises:
            KeyboardInterrupt: the command was interrupted.
        """
        found: list[Grant] = []
        for zone, own in self._settings.zones().items():
            found += self._zone(zone, [entry for entry in own.entries if isinstance(entry, Entry)])
        return found

    def removals(self) -> list[Removal]:
        """Return the removals in the order to run them. A failed call becomes a failed removal.

        Objects that other workspaces of `settings.listed` use stay.

        Raises:
            KeyboardInterrupt: the command was interrupted.
        """
        self._removing = True
        found: dict[tuple[str, ...], Removal] = {}
        for grant in self.look():
            for removal in self._removals(grant):
                found.setdefault((removal.kind, removal.location, removal.description), removal)
        return sorted(found.values(), key=lambda removal: ORDER.index(removal.kind))

    def _removals(self, grant: Grant) -> Iterator[Removal]:
        failed = grant
        if grant.undo is not None:
            failed = replace(grant, error=None)
            try:
                yield from grant.undo()
            except Exception as error:  # noqa: BLE001  # a bug must not stop the other removals
                failed = grant.failed(error)
        if (diagnosis := failed.error) is not None:
            if diagnosis.code == "grant_refused":
                again = self._settings.invocation.of("onboard{options} --remove")
                context = replace(grant.context, who=grant.required_role, command=again)
                diagnosis = finding("grant_refused", context, happened=diagnosis.message)
            kind = _REMOVED_AS.get(grant.kind, "principal")
            yield Removal(kind, grant.location, grant.description, status="failed", error=diagnosis)

    def apply_all(self, on_done: Callable[[Grant], None]) -> None:
        """Grant memberships, then authentication, then folders. Pass each result to `on_done`.

        Raises:
            KeyboardInterrupt: the command was interrupted. No further grant is started.
        """
        for kinds in _WAVES:
            places: dict[str, list[int]] = {}
            for at, grant in enumerate(self.grants):
                if grant.status == "planned" and grant.kind in kinds:
                    places.setdefault(grant.location, []).append(at)
            if kinds == _ONE_BY_ONE:
                # This thread receives Ctrl+C and can then delete a secret that is not stored.
                for place in places.values():
                    self._apply_at(on_done, place)
            else:
                self._executor.each(list(places.values()), partial(self._apply_at, on_done))
            if self._executor.interrupted:
                raise KeyboardInterrupt

    def _apply_at(self, on_done: Callable[[Grant], None], place: Sequence[int]) -> None:
        for at in place:
            if not self._executor.interrupted:
                self.grants[at] = self._applied(self.grants[at])
                on_done(self.grants[at])

    def _applied(self, planned: Grant) -> Grant:
        grant = replace(planned, needs=tuple(map(self._now, planned.needs)))
        if grant.do is None:
            return grant
        if grant.blocked:
            return grant.skipped(grant.blocked)
        is_new = grant.kind == "folder" and any(needs.status == "granted" for needs in grant.needs)
        began = self._clock.monotonic()
        while True:
            try:
                done = grant.do()
            except Exception as error:  # noqa: BLE001  # a bug must not stop the other grants
                late = self._clock.monotonic() - began > READ_LAG_S
                unknown = isinstance(error, ServiceError) and error.failure.status in _NOT_YET
                if is_new and not late and unknown:
                    self._clock.sleep(POLL_PAUSE_S)
                    continue
                return grant.failed(error)
            done = done or Granted()
            return replace(grant, status="granted", client_id=done.client_id, reason=done.reason)

    def _now(self, principal: Grant) -> Grant:
        return self.grants[self._principals[principal.keys]]

    def wait_until_visible(self) -> None:
        """Read until all grants are visible. A grant that stays invisible for `READ_LAG_S` has failed."""
        done = {at: grant for at, grant in enumerate(self.grants) if grant.status == "granted" and grant.keys}

        def unseen() -> list[int]:
            visible = {key for grant in self.look() if grant.status == "exists" for key in grant.keys}
            return [at for at, grant in done.items() if not visible.issuperset(grant.keys)]

        for at in poll(self._clock, unseen, lambda found: not found) if done else ():
            self.grants[at] = self.grants[at].lacks("grant_not_visible")

    # One trust zone

    def _zone(self, zone: Zone, entries: Sequence[Entry]) -> Iterator[Grant]:
        identity = self._identity(zone)
        if isinstance(identity, Grant):
            yield identity
            return
        projects = projects_of(entries)
        member = self._member(zone, identity)
        if isinstance(member, Grant):
            yield member
        else:
            tenant = zone.devops.tenant_id if zone.devops else ""
            devops = DevOpsGrants(self._services, member, tenant, self._with_member(zone))
            for repositories in projects.values():
                yield from devops.look(repositories)
        yield from self._databricks(zone, identity, entries, projects)

    def _with_member(self, zone: Zone) -> list[Entry]:
        """Return the entries that stay in the list and use the same member of Azure DevOps."""
        own = zone.devops or zone.identity
        zones = [(entry, self._settings.zone(entry.workspace)) for entry in remaining(self._settings)]
        return [entry for entry, other in zones if (other.devops or other.identity) == own]

    def _databricks(
        self, zone: Zone, identity: ServicePrincipal, entries: Sequence[Entry], projects: Projects
    ) -> Iterator[Grant]:
        databricks = DatabricksGrants(self._services, identity, self._given.account_id, self._settings, zone)
        seen: list[WorkspaceSnapshot] = []
        unread: list[Entry] = []
        results = self._executor.each(entries, databricks.read)
        if self._executor.interrupted:
            raise KeyboardInterrupt
        for entry, view in results:
            if isinstance(view, WorkspaceSnapshot):
                seen.append(view)
            else:
                context = DiagnosisContext(host=entry.workspace.host)
                late = Grant("principal", entry.name, "check the workspace", context=context)
                yield view or late.lacks("check_timed_out")
                unread.append(entry)
        principals = databricks.principals(seen)
        gone = [*filter(None, map(databricks.gone, unread))] if self._removing else []
        principals |= databricks.principals(gone) if gone else {}
        yield from principals.values()
        yield from databricks.policies([*seen, *gone])
        yield from self._secret_grants([*seen, *gone], principals)
        for view in seen:
            yield from databricks.managed(view)
            yield from databricks.folders(view, principals[view.workspace.name])
            yield from self._unnamed(view, projects)

    def _identity(self, zone: Zone) -> ServicePrincipal | Grant:
        """Return the app's identity in a trust zone, or the failed lookup."""
        asked = zone.identity or self._given.object_id or ""
        grant = Grant(
            "identity",
            "Microsoft Entra",
            f"look up managed identity {asked}",
            "a user who can read the directory",
            commands.look_up_identity(asked),
        )
        try:
            directory, tenant = self._directory("")
            found = directory.by_client_id(asked) if zone.identity else directory.by_object_id(asked)
        except ServiceError as error:
            return grant.failed(error)
        grant = replace(grant, context=DiagnosisContext(tenant=tenant))
        if found is None:
            return grant.lacks("identity_not_in_tenant", id=asked)
        return found if found.managed else grant.lacks("not_a_managed_identity", id=asked)

    def _member(self, zone: Zone, identity: ServicePrincipal) -> ServicePrincipal | Grant:
        """Return the member of Azure DevOps: the identity or, for another tenant, the app registration."""
        if zone.devops is None:
            return identity
        tenant, registration = zone.devops.tenant_id, zone.devops.client_id
        grant = Grant(
            "identity",
            f"Microsoft Entra, tenant {tenant}",
            f"consent to app registration {registration}",
            f"an administrator of tenant {tenant}",
            commands.consent(tenant, registration),
        )
        try:
            found = self._directory(tenant)[0].by_client_id(registration)
        except ServiceError as error:
            return grant.failed(error)
        context = DiagnosisContext(
            tenant=tenant, registration=registration, who=grant.required_role, command=grant.command
        )
        return found or replace(grant, context=context).lacks("no_consent")

    def _directory(self, tenant: str) -> tuple[EntraDirectory, str]:
        rest = self._services.rest(Service.ENTRA, MICROSOFT_GRAPH_ORIGIN, tenant)
        own = tenant or self._services.token(MICROSOFT_GRAPH_ORIGIN).claims.tenant_id
        if not own:
            raise ServiceError(
                ServiceFailure(Service.ENTRA, Operation.FIND_TENANT.of(), FailureKind.UNEXPECTED)
            )
        return EntraDirectory(rest, own), own

    # The OAuth secrets

    def _secret_grants(
        self, seen: Sequence[WorkspaceSnapshot], principals: dict[str, Grant]
    ) -> Iterator[Grant]:
        users: dict[str, list[WorkspaceSnapshot]] = {}
        for view in seen:
            if view.workspace.oauth is not None:
                users.setdefault(view.workspace.oauth.secret_name.lower(), []).append(view)
        for target in targets_of(self._settings):
            if views := users.get(target.name.lower()):
                yield self._secret(target, views, [principals[view.workspace.name] for view in views])

    def _secret(
        self, target: RotationTarget, views: Sequence[WorkspaceSnapshot], needs: Sequence[Grant]
    ) -> Grant:
        first, url = views[0], self._settings.key_vault_url or ""
        context = DiagnosisContext(
            host=first.workspace.host,
            client_id=first.client_id,
            secret=target.name,
            vault=url,
            invocation=self._settings.invocation,
        )
        grant = Grant(
            "oauth_secret",
            f"Key Vault {url.removeprefix('https://')}",
            f'OAuth secret of service principal {first.client_id}, as the secret "{target.name}"',
            f"{workspace_admin(first.workspace)} with the role Key Vault Secrets Officer",
            commands.onboard(self._settings.invocation),
            context=context,
            keys=(("oauth_secret", target.name),),
            needs=tuple(needs),
        )
        grant = replace(grant, undo=partial(self._secret_removals, target, views))
        if target.shared_by:
            return grant.lacks("secret_shared_by_principals", client_ids=", ".join(target.shared_by))
        try:
            own = self._services.token(KEY_VAULT).object_id
        except ServiceError as error:
            return grant.failed(error)
        grant = replace(grant, context=replace(context, object_id=own))
        grant = replace(grant, do=partial(self._issue, grant, views, target))
        grant = grant.checked(lambda: self._services.vault(url).current(target.name) is not None)
        return grant.skipped(grant.blocked) if grant.blocked and grant.status == "planned" else grant

    def _issue(
        self,
        grant: Grant,
        views: Sequence[WorkspaceSnapshot],
        target: RotationTarget,
    ) -> Granted | None:
        """Create the secret in the first workspace that has the principal, and try it in all of them."""
        assigned = [
            view
            for view, principal in zip(views, grant.needs, strict=True)
            if self._now(principal).status in {"exists", "granted"}
        ]
        hosts = tuple(dict.fromkeys(view.workspace.host for view in assigned))
        target = replace(target, client_id=assigned[0].client_id, hosts=hosts)
        vault = self._services.vault(self._settings.key_vault_url or "")
        if vault.current(target.name) is not None:  # another admin has stored one
            return None
        report = Rotation(
            target,
            vault=vault,
            services=self._services,
            executor=self._executor,
            deadline=self._services.deadline,
            within=timedelta(),
            context=grant.context,
            allowed=frozenset(hosts),  # no workspace depends on an older secret
        ).issue()
        if report.errors:
            raise DiagnosedError(report.errors[0])
        if not report.unmanaged:
            return None
        ids = ", ".join(each.id for each in report.unmanaged)
        return Granted(
            reason=f"the service principal also has unrecognized OAuth secrets ({ids}); rotate shows what to do with them"
        )

    def _secret_removals(
        self, target: RotationTarget, views: Sequence[WorkspaceSnapshot]
    ) -> Iterator[Removal]:
        """Yield the removals of a Key Vault secret and of the OAuth secrets that this product stored in it."""
        url = self._settings.key_vault_url or ""
        name, vault = target.name, self._services.vault(url)
        location = f"Key Vault {url.removeprefix('https://')}"
        used_by = users(
            remaining(self._settings),
            lambda entry: (
                entry.workspace.oauth is not None
                and entry.workspace.oauth.secret_name.lower() == name.lower()
            ),
        )
        recovery = vault.recovery(name)
        if recovery is None:
            return
        versions = [] if recovery.deleted else vault.versions(name)
        for view in {view.client_id: view for view in reversed(views) if view.principal}.values():
            ids = {version.stored_by_us(view.client_id, place_of_secret(url, name)) for version in versions}
            yield from self._oauth_secret_removals(view, ids, used_by)
        if not any(view.principal for view in views) and versions:
            why = "no readable workspace has the service principal; deleting it deletes them"
            what = f"OAuth secrets of service principal {target.client_id}"
            yield Removal("oauth_secret", "Databricks account", what, status="skipped", reason=why)
        what = f'the secret "{name}"'
        removal = Removal(
            "vault_secret", location, what, _OFFICER, affects=("all other readers of the secret",)
        )
        if not recovery.deleted:
            yield replace(
                removal,
                command=commands.on_vault_secret("delete", url, name),
                reason="" if recovery.purgeable else _name_blocked(recovery, url, name),
            ).unless_used(used_by)
        removal = replace(
            removal,
            description=f"{what}, after its deletion",
            affects=("its recovery, which is then impossible",),
        )
        if recovery.purgeable and not used_by:
            purge = commands.on_vault_secret("purge", url, name)
            # The deletion takes some seconds, and az does not wait for it.
            yield replace(
                removal, command=purge if recovery.deleted else command("sleep 20 && {purge}", purge=purge)
            )
        elif recovery.deleted:
            yield removal.stays(_name_blocked(recovery, url, name))

    def _oauth_secret_removals(
        self, view: WorkspaceSnapshot, ours: Collection[str | None], used_by: tuple[str, ...]
    ) -> Iterator[Removal]:
        assert view.principal is not None  # noqa: S101  # the caller filters
        host, number = view.workspace.host, view.principal.id
        for secret in self._services.oauth_secrets(host).list(number):
            removal = Removal(
                "oauth_secret",
                view.workspace.name,
                f"service principal {view.client_id}: OAuth secret {secret.id}",
                workspace_admin(view.workspace),
                commands.delete_oauth_secret(host, number, secret.id),
            )
            if secret.id in ours:
                yield removal.unless_used(used_by)
            else:
                yield removal.stays("onboard and rotate did not create it for this secret in Key Vault")

    # Projects that the list does not name

    def _unnamed(self, view: WorkspaceSnapshot, named: Projects) -> Iterator[Grant]:
        """Yield a skipped grant for each project that only a Git folder names. Security: the list decides."""
        for target in view.targets:
            url = target.place.url if target.place else None
            repository = read_remote(url, self._settings.trusted).repository if url else None
            if repository is None:
                continue
            if repository.project.lower() not in named.get(place_of(repository), {}):
                what = f"{target.path} is a clone of {repository}, whose project is not in the list"
                grant = Grant("project", view.workspace.name, what)
                yield grant.skipped('to grant access to it, add its clone URL as "url" to its entry')

    # A new service principal

    def _new_principal(self, name: str) -> list[Grant]:
        """Return the grant that creates a service principal in the first workspace without one.

        If a principal has this name, the grant fails, because that principal might belong to another team.
        """
        workspace = next(  # the command checks that one exists
            entry.workspace
            for entry in self._settings.entries
            if isinstance(entry, Entry) and entry.workspace.client_id == self._given.new_client_id
        )
        grant = Grant(
            "principal",
            workspace.name,
            f'a new service principal named "{name}", with workspace access',
            workspace_admin(workspace),
            commands.add_principal(workspace.host, None, name),
            context=DiagnosisContext(host=workspace.host),
        )
        grant = replace(grant, do=partial(self._create_principal, grant.context, name))
        return [grant.checked(lambda: self._scim_without(grant.context, name) is None)]

    def _scim_without(self, context: DiagnosisContext, name: str) -> ScimClient:
        """Return the client of a workspace that has no principal of this name.

        Raises:
            ServiceError: the principals cannot be listed.
            DiagnosedError: a principal has this name.
        """
        scim = ScimClient(self._services.rest(Service.DATABRICKS, context.host))
        if known := scim.principals_named(name):
            count = "a service principal" if len(known) == 1 else f"{len(known)} service principals"
            ids = ", ".join(each.client_id for each in known)
            raise DiagnosedError(
                finding("principal_name_taken", context, name=f'"{name}"', count=count, ids=ids)
            )
        return scim

    def _create_principal(self, context: DiagnosisContext, name: str) -> Granted:
        scim = self._scim_without(context, name)  # again, because another admin might have created one
        try:
            client_id = scim.add_principal(None, name)
        except ServiceError as error:
            if not error.failure.outcome_unknown:
                raise
            created = poll(self._clock, lambda: scim.principals_named(name), bool)  # the response was lost
            if len(created) != 1:
                raise
            client_id = created[0].client_id
        return Granted(client_id)
