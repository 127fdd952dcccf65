"""What is granted in Azure DevOps: the identity in each organization, with Basic access, among the readers of projects."""

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
"""How a project's look-up fails that says nothing about the others."""

_TYPED = 8
"""Projects in one command, lest it is cut; after it the others are shown."""

type Projects = dict[tuple[str, str], dict[str, Repository]]
"""By origin and organization, and by project, both in small letters: a repository there."""


def projects_of(entries: Iterable[Entry]) -> Projects:
    """The projects that the list names. Those of Git folders that a workspace alone names are none: they would let it choose."""
    found: Projects = {}
    for entry in entries:
        for folder in entry.workspace.folders:
            if (repository := folder.repository) is not None:
                projects = found.setdefault(place_of(repository), {})
                projects.setdefault(repository.project.lower(), repository)
    return found


def place_of(repository: Repository) -> tuple[str, str]:
    """Where a repository's organization is: two of one name may be on different hosts."""
    return repository.origin, repository.organization.lower()


def named(identity: ServicePrincipal) -> str:
    """An identity as people recognise it."""
    name = f" {redact(identity.name)}" if identity.name else ""
    return f"managed identity{name} (object id {identity.object_id})"


class DevOpsGrants:
    """What one identity needs in the organizations of one tenant."""

    def __init__(
        self, services: AdminServices, identity: ServicePrincipal, tenant: str, remaining: list[Entry]
    ) -> None:
        """Make the look-ups for one identity.

        Args:
            services: asked with the caller's own sign-in.
            identity: the member.
            tenant: that of the organizations, if it is another than one's own.
            remaining: of the list's entries that are not removed, those with this member.
        """
        self._services = services
        self._remaining = remaining
        self._identity = identity
        self._tenant = tenant

    def look(self, repositories: Mapping[str, Repository]) -> list[Grant]:
        """What is needed in one organization, and what is there."""
        first = next(iter(repositories.values()))
        if first.origin != BUILT_IN:
            grant = self._membership(first, [repository.project for repository in repositories.values()])
            why = f"it is on {first.origin}, which this command does not know: do it there by hand"
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
                    return failed  # it would be the same for each
        if api is None or not ids:
            return failed
        grant = self._membership(first, list(ids), list(ids.values()))
        try:
            member = api.member(self._identity.object_id)
        except ServiceError as error:
            return [grant.failed(error), *failed]
        if member is None:
            keys = (*grant.keys, *(self._key(first, project) for project in ids))
            return [replace(grant, keys=keys, do=partial(self._let_in, api, ids)), *failed]
        grant = replace(grant, undo=partial(self._leave, api, member, first, ids))
        if member.blocked:
            return [grant.lacks("member_cannot_sign_in", status=member.blocked), *failed]
        readers = [
            self._reads(api, member, repository, ids[repository.project])
            for repository in repositories.values()
            if repository.project in ids
        ]
        return [replace(self._licence(api, member, first), undo=grant.undo), *readers, *failed]

    def _membership(self, repository: Repository, projects: Sequence[str], ids: Sequence[str] = ()) -> Grant:
        organization = repository.organization
        return Grant(
            "organization",
            f"Azure DevOps {organization}",
            f"{named(self._identity)}: a member with access level Basic, in the Readers of {_and(list(projects))}",
            _ADMINISTRATOR.format(organization=organization),
            commands.let_into_organization(organization, self._identity.object_id, ids[:_TYPED]),
            context=self._facts(repository),
            keys=(self._key(repository),),
        )

    def _leave(
        self, api: Organization, member: Member, repository: Repository, ids: Mapping[str, str]
    ) -> Iterator[Removal]:
        """Out of the organization; out of the Readers of single projects, if others need the membership."""
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

    def _let_in(self, api: Organization, ids: Mapping[str, str]) -> None:
        """As a new member; one whom another admin has let in meanwhile keeps its access level."""
        member = api.member(self._identity.object_id)
        if member is None:
            api.add(self._identity.object_id, list(ids.values()))
            return
        self._raise(api)
        for project, id_ in ids.items():
            if id_ not in member.projects:
                api.put_into(member, api.readers(project, id_), project)

    def _raise(self, api: Organization) -> None:
        """Unless it has Basic or better by now: what is sent replaces the access level."""
        member = api.member(self._identity.object_id)
        if member is not None and not member.licensed:
            api.raise_to_basic(member)

    def _licence(self, api: Organization, member: Member, repository: Repository) -> Grant:
        instead = "" if member.licensed else ", in the place of one that sees no repository"
        return replace(
            self._membership(repository, [repository.project]),
            description=f"{named(self._identity)}: a member with access level Basic{instead}",
            command=commands.let_into_organization(api.name, self._identity.object_id, []),
            do=partial(self._raise, api),
        ).existing(is_=member.licensed)

    def _reader(self, repository: Repository) -> Grant:
        organization, project = repository.organization, repository.project
        return Grant(
            "project",
            f"Azure DevOps {organization}",
            f"{named(self._identity)}: in the Readers of {project}",
            f"a project administrator of {project}, or {_ADMINISTRATOR.format(organization=organization)}",
            commands.let_into_organization(organization, self._identity.object_id, [], looked_up=project),
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
            command=commands.put_into_group(api.name, member.descriptor, readers),
            do=partial(api.put_into, member, readers, repository.project),
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
    """Whether an entry names a project."""
    return project.lower() in projects_of([entry]).get(place, {})


def _and(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
