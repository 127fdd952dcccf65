"""What the list needs, and what of it is granted: looked at first, then given, step by step; nothing is ever taken away.

Every step is safe to do again, so whoever is interrupted begins anew. Where a right goes is decided by the settings: what a workspace says
of its folders leads to no grant in Azure DevOps.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote

from git_refresh.admin import grants
from git_refresh.admin.account import AdminAccount
from git_refresh.admin.directory import Directory, Identity
from git_refresh.admin.grants import Grant
from git_refresh.admin.new_secret import issue
from git_refresh.admin.organization import DEVOPS, ENTITLEMENTS, GRAPH, Member, Organization
from git_refresh.admin.services import ACCOUNTS, AdminServices
from git_refresh.admin.services import GRAPH as MICROSOFT_GRAPH
from git_refresh.admin.workspace import AdminWorkspace, Place, Principal
from git_refresh.diagnosis.explain import Diagnosis, Facts, explain, finding, internal, what_happened
from git_refresh.repository import BUILT_IN, Repository, parse_repository
from git_refresh.settings.entries import Entry
from git_refresh.settings.load import Settings
from git_refresh.settings.models import Folder, Workspace
from git_refresh.symptom import Service, ServiceError, Symptom
from git_refresh.values import Zone

PATIENCE = 30.0
"""Seconds in which what was just written has to be seen. Reads have been seen to lag up to eight."""

PAUSE = 1.0
"""Seconds between two looks."""

_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_NOT_YET = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND})
"""What a service answers that has not heard yet of what another part of it has just made."""


class Each(Protocol):
    """Does the same work on many things at once; None where it was not finished."""

    def __call__[T, R](self, items: Sequence[T], work: Callable[[T], R]) -> list[tuple[T, R | None]]: ...


@dataclass(frozen=True, slots=True)
class Given:
    """What the settings do not say, and whoever onboards may."""

    object_id: str | None = None
    """Of the app's system-assigned identity."""
    account_id: str | None = None
    """Of the Databricks account, where the workspaces do not tell it."""


@dataclass(slots=True)
class _Seen:
    """A workspace, as far as it was seen."""

    entry: Entry
    client_id: str
    api: AdminWorkspace
    account_id: str | None
    workspace_id: str | None
    principal: Principal | None
    folders: list["_Target"]

    @property
    def workspace(self) -> Workspace:
        return self.entry.workspace


@dataclass(frozen=True, slots=True)
class _Target:
    """What the app has to manage for the sake of a folder."""

    path: str
    place: Place | None
    """None: the directory has to be made."""
    managed: bool
    url: str | None = None
    """Of a Git folder that is there."""


class Onboarding:
    """The rights of one list, as whoever is signed in sees them and may give them."""

    def __init__(
        self,
        settings: Settings,
        services: AdminServices,
        given: Given,
        each: Each,
    ) -> None:
        self._settings = settings
        self._services = services
        self._given = given
        self._each = each
        self._clock = services.deadline.clock

    def close(self) -> None:
        """Let go of every connection."""
        self._services.close()

    def look(self) -> list[Grant]:
        """Every right that the list needs, and whether it is there. Never raises for what a service does."""
        found: list[Grant] = []
        for zone, own in self._settings.zones().items():
            found += self._zone(zone, own)
        return found

    def give(self, grant: Grant) -> None:
        """Do what one of them needs; its status tells what came of it."""
        if grant.status != "planned" or grant.do is None:
            return
        if grant.needs is not None and grant.needs.status not in {"there", "done"}:
            grant.status, grant.why = "skipped", f"this failed: {grant.needs.what}"
            return
        began = self._clock.monotonic()
        while True:
            try:
                grant.do()
            except ServiceError as error:
                fresh = grant.needs is not None and grant.needs.status == "done"
                late = self._clock.monotonic() - began > PATIENCE
                if fresh and not late and error.symptom.status in _NOT_YET:
                    self._clock.sleep(PAUSE)
                    continue
                grant.status, grant.error = "failed", self._told(error.symptom, grant, Facts())
            except Exception as error:  # noqa: BLE001  # a mistake of ours must not keep the other rights from being given
                grant.status, grant.error = "failed", internal(error, Facts())
            else:
                grant.status = "done"
            return

    def see(self, given: Sequence[Grant]) -> None:
        """Look whether what was given can be seen, for as long as reads lag; what cannot has failed."""
        done = {(grant.where, grant.what): grant for grant in given if grant.status == "done"}
        began = self._clock.monotonic()
        while True:
            unseen = [
                done[grant.where, grant.what]
                for grant in self.look()
                if grant.status == "planned" and (grant.where, grant.what) in done
            ]
            if not unseen or self._clock.monotonic() - began > PATIENCE:
                break
            self._clock.sleep(PAUSE)
        for grant in unseen:
            grant.status, grant.error = "failed", finding("grant_not_seen", Facts(), what=grant.what)

    def new_principal(self, name: str) -> list[Grant]:
        """A service principal that Databricks manages, for a list that names none yet: made in its first workspace.

        What it does is done once: names need not be unique, so of what is there already nobody can say whether it is meant.
        """
        workspace = next(
            entry.workspace
            for entry in self._settings.entries
            if isinstance(entry, Entry) and entry.workspace.auth != "managed_identity"
        )
        grant = Grant(
            "principal",
            workspace.name,
            f'make a service principal named "{name}", with workspace access',
            who=grants.WORKSPACE_ADMIN.format(name=workspace.name),
            command=grants.make_principal(workspace.host, name),
        )
        facts = Facts(host=workspace.host)
        try:
            api = AdminWorkspace(workspace.host, self._services.rest(Service.DATABRICKS, workspace.host))
            known = api.named(name)
        except ServiceError as error:
            return [replace(grant, status="failed", error=self._told(error.symptom, grant, facts))]
        if known:
            told = finding(
                "name_taken",
                facts,
                name=name,
                count="one" if len(known) == 1 else str(len(known)),
                ids=_and([each.client_id for each in known]),
            )
            return [replace(grant, status="failed", error=told)]
        grant.do = partial(self._make_principal, api, grant, name)
        return [grant]

    def _make_principal(self, api: AdminWorkspace, grant: Grant, name: str) -> None:
        try:
            _, client_id = api.add_principal(None, name)
        except ServiceError as error:
            if not error.symptom.undecided:
                raise
            began = self._clock.monotonic()
            while len(made := api.named(name)) != 1:  # the answer was lost: was it made?
                if made or self._clock.monotonic() - began > PATIENCE:
                    raise
                self._clock.sleep(PAUSE)
            client_id = made[0].client_id
        grant.why = f'write "client_id": "{client_id}" into WORKSPACE_DEFAULTS, then run onboard again without --new-principal'

    # One trust zone

    def _zone(self, zone: Zone, own: Settings) -> list[Grant]:
        identity = self._identity(zone)
        if isinstance(identity, Grant):
            return [identity]
        member = self._member(zone, identity)
        entries = [entry for entry in own.entries if isinstance(entry, Entry)]
        seen: list[_Seen] = []
        found: list[Grant] = []
        unseen: list[Grant] = []
        for entry, view in self._each(entries, partial(self._workspace, identity)):
            if isinstance(view, _Seen):
                seen.append(view)
            else:
                unseen.append(view or self._unfinished(entry))
        if isinstance(member, Grant):
            found.append(member)
        else:
            for organization, projects in self._projects(entries).items():
                found += self._organization(zone, member, organization, projects)
        found += unseen
        principals = self._principals(seen, identity)
        found += principals.values()
        found += self._policies(seen, identity, principals)
        found += self._secrets(seen, principals)
        for view in seen:
            found += self._folders(view, principals[view.workspace.name])
        found += self._unnamed(seen, self._projects(entries))
        return found

    def _unfinished(self, entry: Entry) -> Grant:
        return Grant("principal", entry.name, "look at the workspace", "skipped", "the time was over")

    def _identity(self, zone: Zone) -> Identity | Grant:
        """Who the app is."""
        grant = Grant("identity", "Microsoft Entra", f"look up the {zone}", who=grants.READER_OF_ENTRA)
        object_id = self._given.object_id
        try:
            directory, tenant = self._directory("")
            if zone.identity is not None:
                found, asked = directory.by_client_id(zone.identity), zone.identity
            elif object_id is not None:
                found, asked = directory.by_object_id(object_id), object_id
            else:  # settled by the command
                raise AssertionError
        except ServiceError as error:
            grant.status, grant.error = "failed", self._told(error.symptom, grant, Facts())
            return grant
        if found is None:
            told = finding("identity_not_in_tenant", Facts(), id=asked, tenant=tenant)
            return replace(grant, status="failed", error=told)
        return found

    def _member(self, zone: Zone, identity: Identity) -> Identity | Grant:
        """Who calls Azure DevOps: the identity or, in another tenant, the app registration that speaks for it."""
        if zone.devops is None:
            return identity
        tenant, registration = zone.devops.tenant_id, zone.devops.client_id
        command = (
            f"az login --tenant {tenant} --allow-no-subscriptions && az ad sp create --id {registration}"
        )
        what = f"consent to app registration {registration}"
        who = f"an administrator of tenant {tenant}"
        grant = Grant("identity", f"Microsoft Entra, tenant {tenant}", what, who=who, command=command)
        try:
            found = self._directory(tenant)[0].by_client_id(registration)
        except ServiceError as error:
            return replace(grant, status="failed", error=self._told(error.symptom, grant, Facts()))
        if found is None:
            told = finding("no_consent", Facts(), id=registration, tenant=tenant, who=who, command=command)
            return replace(grant, status="failed", error=told)
        return found

    def _directory(self, tenant: str) -> tuple[Directory, str]:
        rest = self._services.rest(Service.ENTRA, MICROSOFT_GRAPH, tenant)
        own = tenant or self._services.token(MICROSOFT_GRAPH).claims.tenant_id
        return Directory(rest, own), own

    # Azure DevOps

    def _projects(self, entries: Iterable[Entry]) -> dict[str, dict[str, Repository]]:
        """The projects that the list names, by organization, each with a repository of it."""
        found: dict[str, dict[str, Repository]] = {}
        for entry in entries:
            for folder in entry.workspace.folders:
                if folder.repository is not None:
                    found.setdefault(_organization(folder.repository), {}).setdefault(
                        folder.repository.project.lower(), folder.repository
                    )
        return found

    def _organization(
        self, zone: Zone, identity: Identity, name: str, repositories: dict[str, Repository]
    ) -> list[Grant]:
        first = next(iter(repositories.values()))
        where = f"Azure DevOps {name}"
        projects = [repository.project for repository in repositories.values()]
        what = f"let {_named(identity)} into the organization, with access level Basic, and into the Readers of {_and(projects)}"
        who = grants.COLLECTION_ADMIN.format(organization=name)
        grant = Grant("organization", where, what, who=who)
        if first.origin != BUILT_IN:
            return [replace(grant, status="skipped", why=f"{first.origin} is let in to by hand")]
        facts = Facts(
            organization=name,
            project=first.project,
            repository=first.name,
            url=first.url,
            object_id=identity.object_id,
        )
        # What somebody else would type, until the projects' ids are known.
        grant.command = grants.let_into_organization(quote(name), identity.object_id, ["PROJECT_ID"])
        try:
            api = self._devops(zone, first.organization)
            ids = {project: api.project_id(project) for project in projects}
            member = api.member(identity.object_id)
        except ServiceError as error:
            return [replace(grant, status="failed", error=self._told(error.symptom, grant, facts))]
        grant.command = grants.let_into_organization(quote(name), identity.object_id, list(ids.values()))
        if member is None:
            return [replace(grant, do=partial(api.add, identity.object_id, list(ids.values())))]
        return self._as_member(api, grant, member, identity, ids)

    def _as_member(
        self, api: Organization, grant: Grant, member: Member, identity: Identity, ids: dict[str, str]
    ) -> list[Grant]:
        licence = replace(
            grant, what=f"let {_named(identity)} into the organization, with access level Basic"
        )
        licence.status = "there" if member.licensed else "planned"
        licence.do = partial(api.raise_to_basic, member)
        if not member.licensed:
            licence.what = (
                f"raise the access level of {_named(identity)} to Basic: with its own it sees no repository"
            )
        found = [licence]
        for project, id_ in ids.items():
            there = id_ in member.projects
            reader = Grant(
                "project",
                grant.where,
                f"let {_named(identity)} into the Readers of {project}",
                "there" if there else "planned",
                who=f"a project administrator of {project}",
                command=grants.let_into_organization(quote(api.name), identity.object_id, [id_]),
                do=partial(api.read, member, project, id_),
            )
            found.append(reader)
        return found

    def _devops(self, zone: Zone, name: str) -> Organization:
        tenant = zone.devops.tenant_id if zone.devops else ""
        rests = [
            self._services.rest(Service.AZURE_DEVOPS, origin, tenant)
            for origin in (DEVOPS, ENTITLEMENTS, GRAPH)
        ]
        return Organization(name, *rests)

    def _unnamed(self, seen: Sequence[_Seen], named: dict[str, dict[str, Repository]]) -> list[Grant]:
        """Git folders whose project the list does not name: nobody but its author can say that the identity may read it."""
        found = []
        for view in seen:
            for target in view.folders:
                repository = self._repository(target.url)
                if repository is None or repository.project.lower() in named.get(
                    _organization(repository), {}
                ):
                    continue
                what = f"{target.path} is a clone of {repository}"
                why = 'the list names no project of it; write its "url" there, and this command lets the identity in'
                found.append(Grant("project", view.workspace.name, what, "skipped", why))
        return found

    def _repository(self, url: str | None) -> Repository | None:
        try:
            return parse_repository(url, self._settings.trusted) if url else None
        except ValueError:
            return None

    # Databricks

    def _workspace(self, identity: Identity, entry: Entry) -> _Seen | Grant:
        """One workspace, looked at; or why that could not be done."""
        workspace = entry.workspace
        client_id = workspace.client_id if workspace.auth != "managed_identity" else identity.client_id
        client_id = client_id or ""
        grant = self._principal_grant(workspace, client_id, identity, None, None)
        facts = Facts(host=workspace.host, client_id=client_id)
        try:
            api = AdminWorkspace(workspace.host, self._services.rest(Service.DATABRICKS, workspace.host))
            account_id, workspace_id = api.ids()
            principal = api.principal(client_id)
            folders = [target for target in self._targets(api, workspace, principal) if target is not None]
        except ServiceError as error:
            return replace(grant, status="failed", error=self._told(error.symptom, grant, facts))
        except Exception as error:  # noqa: BLE001  # a mistake of ours must not take the other workspaces along
            return replace(grant, status="failed", error=internal(error, facts))
        account_id = self._given.account_id or account_id
        return _Seen(entry, client_id, api, account_id, workspace_id, principal, folders)

    def _targets(
        self, api: AdminWorkspace, workspace: Workspace, principal: Principal | None
    ) -> Iterable[_Target]:
        """What has to be managed, each once."""
        targets = {}
        for folder in workspace.folders:
            target = self._target(api, folder, principal)
            if target is not None:
                targets.setdefault(target.path, target)
        return targets.values()

    def _target(self, api: AdminWorkspace, folder: Folder, principal: Principal | None) -> _Target | None:
        path = folder.below or folder.key
        place = api.at(path)
        if place is None and folder.below is None and folder.url is not None:
            path = path.rpartition("/")[0] or "/"
            place = api.at(path)
        elif place is None or not place.folder:
            return None  # nothing that could be granted: check says what is wrong
        managed = place is not None and principal is not None and api.manages(place, principal)
        return _Target(path, place, managed, place.url if place else None)

    def _principal_grant(
        self,
        workspace: Workspace,
        client_id: str,
        identity: Identity,
        account_id: str | None,
        workspace_id: str | None,
    ) -> Grant:
        """A service principal in a workspace, as it is to be."""
        what = f"service principal {client_id}, with workspace access"
        if workspace.auth == "managed_identity":
            command = grants.add_principal(workspace.host, client_id, identity.name or "git-refresh")
            who = grants.WORKSPACE_ADMIN.format(name=workspace.name)
            return Grant("principal", workspace.name, f"add {what}", who=who, command=command)
        command = grants.assign(account_id or "ACCOUNT_ID", workspace_id or "WORKSPACE_ID", client_id)
        who = grants.ACCOUNT_ADMIN
        return Grant("principal", workspace.name, f"assign {what}", who=who, command=command)

    def _principals(self, seen: Sequence[_Seen], identity: Identity) -> dict[str, Grant]:
        """Each workspace's service principal, by the workspace's name."""
        numbers = {view.client_id: view.principal.id for view in seen if view.principal is not None}
        found = {}
        for view in seen:
            grant = self._principal_grant(
                view.workspace, view.client_id, identity, view.account_id, view.workspace_id
            )
            found[view.workspace.name] = self._principal(view, grant, numbers, identity)
        return found

    def _principal(self, view: _Seen, grant: Grant, numbers: dict[str, int], identity: Identity) -> Grant:
        principal, name = view.principal, view.workspace.name
        if principal is not None and not principal.active:
            told = finding("principal_inactive", Facts(client_id=view.client_id, host=view.workspace.host))
            return replace(grant, status="failed", error=told)
        if principal is not None and principal.entitled:
            return replace(grant, status="there")
        if principal is not None:
            return Grant(
                "workspace_access",
                name,
                f"give service principal {view.client_id} workspace access",
                who=grants.WORKSPACE_ADMIN.format(name=name),
                command=grants.entitle(view.workspace.host, principal.id),
                do=partial(view.api.entitle, principal.id),
            )
        if view.workspace.auth == "managed_identity":
            return replace(grant, do=partial(self._add_identity, view, identity))
        return self._from_account(view, grant, numbers)

    def _add_identity(self, view: _Seen, identity: Identity) -> None:
        try:
            view.api.add_principal(identity.client_id, identity.name or "git-refresh")
        except ServiceError as error:
            if error.symptom.status != HTTPStatus.CONFLICT and not error.symptom.undecided:
                raise
            # Somebody else has added it, or the answer was lost.
        self._appears(view)

    def _from_account(self, view: _Seen, grant: Grant, numbers: dict[str, int]) -> Grant:
        facts = Facts(host=view.workspace.host, client_id=view.client_id)
        try:
            account = self._account(view)
            number = numbers.get(view.client_id) or account.principal_id(view.client_id)
        except ServiceError as error:
            return replace(grant, status="failed", error=self._told(error.symptom, grant, facts))
        if number is None:
            return replace(grant, status="failed", error=finding("no_such_principal", facts))
        numbers[view.client_id] = number
        workspace_id = view.workspace_id
        if workspace_id is None:
            return replace(grant, status="failed", error=finding("no_workspace_id", facts))
        return replace(grant, do=partial(self._assign, view, account, number, workspace_id))

    def _assign(self, view: _Seen, account: AdminAccount, number: int, workspace_id: str) -> None:
        account.assign(number, workspace_id)
        principal = self._appears(view)
        if not principal.entitled:
            view.api.entitle(principal.id)

    def _appears(self, view: _Seen) -> Principal:
        """The service principal, when the workspace shows it.

        Raises:
            ServiceError: it does not, for longer than reads lag.
        """
        began = self._clock.monotonic()
        while (found := view.api.principal(view.client_id)) is None:
            if self._clock.monotonic() - began > PATIENCE:
                what = f"see service principal {view.client_id} in the workspace"
                raise ServiceError(Symptom(Service.DATABRICKS, what, "unexpected"))
            self._clock.sleep(PAUSE)
        view.principal = found
        return found

    def _account(self, view: _Seen) -> AdminAccount:
        if view.account_id is None:
            raise ServiceError(Symptom(Service.DATABRICKS, "look up the account", "no_account_id"))
        return AdminAccount(view.account_id, self._services.rest(Service.DATABRICKS, ACCOUNTS))

    def _policies(
        self, seen: Sequence[_Seen], identity: Identity, principals: dict[str, Grant]
    ) -> list[Grant]:
        """A federation policy for each principal that the app signs in as by exchanging a token of its identity."""
        found: dict[str, Grant] = {}
        issuer = f"https://login.microsoftonline.com/{identity.tenant_id}/v2.0"
        for view in seen:
            if view.workspace.federated is None or view.client_id in found:
                continue
            needs = principals[view.workspace.name]
            grant = Grant(
                "federation_policy",
                "Databricks account",
                f"let {_named(identity)} sign in as service principal {view.client_id}",
                who=grants.ACCOUNT_ADMIN,
                command=grants.write_policy(
                    view.account_id or "ACCOUNT_ID", view.client_id, issuer, identity.object_id
                ),
                needs=needs,
            )
            found[view.client_id] = self._policy(view, grant, issuer, identity.object_id)
        return list(found.values())

    def _policy(self, view: _Seen, grant: Grant, issuer: str, subject: str) -> Grant:
        if grant.needs is not None and grant.needs.status == "failed":
            return replace(grant, status="skipped", why=f"this failed: {grant.needs.what}")
        facts = Facts(host=view.workspace.host, client_id=view.client_id)
        try:
            account = self._account(view)
            number = view.principal.id if view.principal else account.principal_id(view.client_id)
            there = number is not None and account.trusts(number, issuer, subject)
        except ServiceError as error:
            return replace(grant, status="failed", error=self._told(error.symptom, grant, facts))
        if there or number is None:
            return replace(grant, status="there" if there else "planned")
        return replace(grant, do=partial(self._trust, account, number, issuer, subject))

    def _trust(self, account: AdminAccount, number: int, issuer: str, subject: str) -> None:
        try:
            account.trust(number, issuer, subject)
        except ServiceError as error:
            if error.symptom.status != HTTPStatus.CONFLICT and not error.symptom.undecided:
                raise
            if not account.trusts(number, issuer, subject):  # somebody else's, or none
                raise

    def _secrets(self, seen: Sequence[_Seen], principals: dict[str, Grant]) -> list[Grant]:
        """An OAuth secret for each name in Key Vault that the list wants one by."""
        users: dict[str, list[_Seen]] = {}
        for view in seen:
            if view.workspace.oauth is not None:
                users.setdefault(view.workspace.oauth.secret_name, []).append(view)
        return [self._secret(name, views[0], principals) for name, views in users.items()]

    def _secret(self, name: str, view: _Seen, principals: dict[str, Grant]) -> Grant:
        vault = self._settings.key_vault_url or ""
        grant = Grant(
            "oauth_secret",
            f"Key Vault {vault.removeprefix('https://')}",
            f'create an OAuth secret of service principal {view.client_id}, straight into the secret "{name}"',
            who=grants.SECRETS_OFFICER.format(vault=vault),
            command=f"python -m git_refresh onboard --apply  # as {grants.WORKSPACE_ADMIN.format(name=view.workspace.name)} who has that role",
            needs=principals[view.workspace.name],
        )
        facts = Facts(host=view.workspace.host, client_id=view.client_id, secret=name, vault=vault)
        try:
            there = self._services.vault(self._settings).current(name) is not None
        except ServiceError as error:
            return replace(grant, status="failed", error=self._told(error.symptom, grant, facts))
        if there:
            return replace(grant, status="there")
        return replace(grant, do=partial(self._issue, name, view))

    def _issue(self, name: str, view: _Seen) -> None:
        issue(self._services, self._settings, view.workspace.host, view.client_id, name)

    def _folders(self, view: _Seen, needs: Grant) -> list[Grant]:
        found = []
        for target in view.folders:
            made = target.place is None
            kind = target.place.kind if target.place else "directories"
            what = f"Can Manage on {target.path} for service principal {view.client_id}"
            grant = Grant(
                "folder",
                view.workspace.name,
                f"make the directory, and give {what}" if made else f"give {what}",
                "there" if target.managed else "planned",
                who=grants.WORKSPACE_ADMIN.format(name=view.workspace.name),
                command=grants.let_manage(view.workspace.host, kind, target.path, view.client_id, made=made),
                do=partial(self._let_manage, view, target),
                needs=needs,
            )
            if not target.managed and needs.status == "failed":
                grant.status, grant.why = "skipped", f"this failed: {needs.what}"
            found.append(grant)
        return found

    def _let_manage(self, view: _Seen, target: _Target) -> None:
        place = target.place or view.api.make_directory(target.path)
        view.api.let_manage(place, view.client_id)

    def _told(self, symptom: Symptom, grant: Grant, facts: Facts) -> Diagnosis:
        """Why something could not be looked at or done: mostly, that it takes somebody else."""
        denied = symptom.status in _REFUSED or "Access Denied" in symptom.message
        if denied and symptom.service in {Service.DATABRICKS, Service.AZURE_DEVOPS, Service.ENTRA}:
            return finding(
                "grant_refused",
                facts,
                happened=what_happened(symptom),
                who=grant.who,
                command=grant.command,
            )
        return explain(symptom, facts)


def _organization(repository: Repository) -> str:
    return repository.organization.lower()


def _named(identity: Identity) -> str:
    name = f" {identity.name}" if identity.name else ""
    return f"managed identity{name} (object id {identity.object_id})"


def _and(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
