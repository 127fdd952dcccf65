"""Grants in Azure DevOps: membership of organizations, and of the Readers of projects."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus

from git_refresh.admin import commands
from git_refresh.admin.directory import ServicePrincipal
from git_refresh.admin.grants import Grant, Key
from git_refresh.admin.organization import (
    DEVOPS_GRAPH_ORIGIN,
    DEVOPS_ORIGIN,
    ENTITLEMENTS_ORIGIN,
    Member,
    Organization,
)
from git_refresh.admin.removal import Removal, users
from git_refresh.admin.services import AdminServices
from git_refresh.failures.diagnosis import DiagnosisContext
from git_refresh.failures.failure import Service, ServiceError
from git_refresh.model.repository import BUILT_IN, Repository
from git_refresh.output.redact import redact
from git_refresh.settings.entries import Entry

_ADMINISTRATOR = "a Project Collection Administrator of {organization}"
_OF_THE_PROJECT = frozenset({HTTPStatus.NOT_FOUND})
"""Statuses of a failed project lookup that do not apply to other projects."""

_MAX_PROJECTS = 8
"""Projects in one command, so it stays short enough to copy. onboard then shows the others."""

type Projects = dict[tuple[str, str], dict[str, Repository]]
"""One repository of each project, by origin and organization, then by project, in lowercase."""


def projects_of(entries: Iterable[Entry]) -> Projects:
    """Return the projects of the list. Security: a Git folder in a workspace must not lead to a grant."""
    found: Projects = {}
    for entry in entries:
        for folder in entry.workspace.folders:
            if (repository := folder.repository) is not None:
                projects = found.setdefault(place_of(repository), {})
                projects.setdefault(repository.project.lower(), repository)
    return found


def place_of(repository: Repository) -> tuple[str, str]:
    """Return origin and organization. Organizations on different hosts can have the same name."""
    return repository.origin, repository.organization.lower()


def named(identity: ServicePrincipal) -> str:
    name = f" {redact(identity.name)}" if identity.name else ""
    return f"managed identity{name} (object ID {identity.object_id})"


class DevOpsGrants:
    """The grants of one identity in the organizations of one tenant."""

    def __init__(
        self, services: AdminServices, identity: ServicePrincipal, tenant: str, remaining: list[Entry]
    ) -> None:
        """Prepare the lookups for one identity.

        `tenant` is that of the organizations; empty for the caller's own. `remaining` has the entries that stay and use the same identity.
        """
        self._services = services
        self._remaining = remaining
        self._identity = identity
        self._tenant = tenant

    def look(self, repositories: Mapping[str, Repository]) -> list[Grant]:
        """Return the grants in one organization, with their states."""
        first = next(iter(repositories.values()))
        if first.origin != BUILT_IN:
            grant = self._membership(first, [repository.project for repository in repositories.values()])
            why = f"onboard does not support {first.origin}; grant it there manually"
            removal = Removal("organization", grant.location, grant.description, status="skipped", reason=why)
            return [replace(grant.skipped(why), undo=lambda: [removal])]
        ids: dict[str, str] = {}
        failed: list[Grant] = []
        api = None
        for repository in repositories.values():
            try:
                api = api or self._api(first.organization)
                ids[repository.project] = api.project_id(repository.project)
            except ServiceError as error:
                failed.append(self._reader(repository).failed(error))
                if error.failure.status not in _OF_THE_PROJECT:
                    return failed  # the other projects would fail too
        if api is None or not ids:
            return failed
        grant = self._membership(first, list(ids), list(ids.values()))
        try:
            member = api.member(self._identity.object_id)
        except ServiceError as error:
            return [grant.failed(error), *failed]
        if member is None:
            keys = (*grant.keys, *(self._key(first, project) for project in ids))
            return [replace(grant, keys=keys, do=partial(self._add, api, ids)), *failed]
        grant = replace(grant, undo=partial(self._membership_removals, api, member, first, ids))
        if member.blocked:
            return [grant.lacks("member_cannot_sign_in", status=member.blocked), *failed]
        readers = [
            self._reads(api, member, repository, ids[repository.project])
            for repository in repositories.values()
            if repository.project in ids
        ]
        return [replace(self._access_level(api, member, first), undo=grant.undo), *readers, *failed]

    def _membership(self, repository: Repository, projects: Sequence[str], ids: Sequence[str] = ()) -> Grant:
        organization = repository.organization
        return Grant(
            "organization",
            f"Azure DevOps {organization}",
            f"{named(self._identity)}: a member with access level Basic, in the Readers of {_and(list(projects))}",
            _ADMINISTRATOR.format(organization=organization),
            commands.add_to_organization(organization, self._identity.object_id, ids[:_MAX_PROJECTS]),
            context=self._facts(repository),
            keys=(self._key(repository),),
        )

    def _membership_removals(
        self, api: Organization, member: Member, repository: Repository, ids: Mapping[str, str]
    ) -> Iterator[Removal]:
        """Yield the removal from the organization or, if other entries need it, from the Readers of projects."""
        location = f"Azure DevOps {api.name}"
        who = _ADMINISTRATOR.format(organization=api.name)
        groups = api.groups(member)
        readers = {project: api.readers(project, id_) for project, id_ in ids.items()}
        others = [name for group, name in groups.items() if group not in readers.values()]
        place = place_of(repository)
        used_by = users(self._remaining, lambda entry: place in projects_of([entry]))
        yield Removal(
            "organization",
            location,
            f"{named(self._identity)}: a member",
            who,
            commands.leave_organization(api.name, member.storage_key, self._tenant),
            affects=(f"its membership of {_and(others)}",) if others else (),
        ).unless_used(used_by)
        for project, group in readers.items() if used_by else ():
            if group in groups:
                yield Removal(
                    "project",
                    location,
                    f"{named(self._identity)}: in the Readers of {project}",
                    f"a project administrator of {project}, or {who}",
                    commands.leave_group(api.name, member.descriptor, group, self._tenant),
                ).unless_used(users(self._remaining, partial(_names, place, project)))

    def _add(self, api: Organization, ids: Mapping[str, str]) -> None:
        """Add the identity. If another admin added it in the meantime, only add what is missing."""
        member = api.member(self._identity.object_id)
        if member is None:
            api.add(self._identity.object_id, list(ids.values()))
            return
        self._set_basic(api)
        for project, id_ in ids.items():
            if id_ not in member.projects:
                api.add_to_group(member, api.readers(project, id_), project)

    def _set_basic(self, api: Organization) -> None:
        """Set the access level to Basic, unless it is Basic or higher: the request would lower a higher one."""
        member = api.member(self._identity.object_id)
        if member is not None and not member.licensed:
            api.set_basic(member)

    def _access_level(self, api: Organization, member: Member, repository: Repository) -> Grant:
        instead = "" if member.licensed else ", instead of one without access to repositories"
        return replace(
            self._membership(repository, [repository.project]),
            description=f"{named(self._identity)}: a member with access level Basic{instead}",
            command=commands.add_to_organization(api.name, self._identity.object_id, []),
            do=partial(self._set_basic, api),
        ).existing(is_=member.licensed)

    def _reader(self, repository: Repository) -> Grant:
        organization, project = repository.organization, repository.project
        return Grant(
            "project",
            f"Azure DevOps {organization}",
            f"{named(self._identity)}: in the Readers of {project}",
            f"a project administrator of {project}, or {_ADMINISTRATOR.format(organization=organization)}",
            commands.add_to_organization(organization, self._identity.object_id, [], looked_up=project),
            context=self._facts(repository),
            keys=(self._key(repository, project),),
        )

    def _reads(self, api: Organization, member: Member, repository: Repository, id_: str) -> Grant:
        grant = self._reader(repository)
        if id_ in member.projects:
            return grant.existing(is_=True)
        try:
            readers = api.readers(repository.project, id_)
        except ServiceError as error:
            return grant.failed(error)
        return replace(
            grant,
            command=commands.add_to_group(api.name, member.descriptor, readers),
            do=partial(api.add_to_group, member, readers, repository.project),
        )

    def _key(self, repository: Repository, *project: str) -> Key:
        parts = (*place_of(repository), self._identity.object_id, *project)
        return ("organization", *(part.lower() for part in parts))

    def _facts(self, repository: Repository) -> DiagnosisContext:
        return DiagnosisContext(
            organization=repository.organization,
            project=repository.project,
            repository=repository.name,
            url=repository.url,
            object_id=self._identity.object_id,
        )

    def _api(self, organization: str) -> Organization:
        devops, entitlements, graph = (
            self._services.rest(Service.AZURE_DEVOPS, origin, self._tenant)
            for origin in (DEVOPS_ORIGIN, ENTITLEMENTS_ORIGIN, DEVOPS_GRAPH_ORIGIN)
        )
        return Organization(organization, devops, entitlements, graph)


def _names(place: tuple[str, str], project: str, entry: Entry) -> bool:
    return project.lower() in projects_of([entry]).get(place, {})


def _and(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
