"""What is granted in Azure DevOps: the identity in each organization, with Basic access, among the readers of projects."""

from collections.abc import Iterable
from functools import partial

from git_refresh.admin import commands
from git_refresh.admin.directory import Identity
from git_refresh.admin.grants import Grant
from git_refresh.admin.organization import DEVOPS, ENTITLEMENTS, GRAPH, Member, Organization
from git_refresh.admin.services import AdminServices
from git_refresh.diagnosis.explain import Facts
from git_refresh.redact import shown
from git_refresh.repository import BUILT_IN, Repository
from git_refresh.settings.entries import Entry
from git_refresh.symptom import Service, ServiceError

_TYPED = 8
"""Projects in one command, lest it is cut; after it the others are shown."""

type Projects = dict[str, dict[str, Repository]]
"""By organization and project in small letters: a repository there."""


def projects_of(entries: Iterable[Entry]) -> Projects:
    """The projects that the list names. Those of Git folders that a workspace alone names are none: they would let it choose."""
    found: Projects = {}
    for entry in entries:
        for folder in entry.workspace.folders:
            if (repository := folder.repository) is not None:
                projects = found.setdefault(repository.organization.lower(), {})
                projects.setdefault(repository.project.lower(), repository)
    return found


def named(identity: Identity) -> str:
    """An identity as people recognise it."""
    name = f" {shown(identity.name)}" if identity.name else ""
    return f"managed identity{name} (object id {identity.object_id})"


class DevOpsGrants:
    """What one identity needs in the organizations of one tenant."""

    def __init__(self, services: AdminServices, identity: Identity, tenant: str) -> None:
        """Take what is known.

        Args:
            services: how they are reached.
            identity: who is let in.
            tenant: that of the organizations, where it is another than one's own.
        """
        self._services = services
        self._identity = identity
        self._tenant = tenant

    def look(self, repositories: dict[str, Repository]) -> list[Grant]:
        """What is needed in one organization, and what is there."""
        first = next(iter(repositories.values()))
        names = [repository.project for repository in repositories.values()]
        who = named(self._identity)
        grant = Grant(
            "organization",
            f"Azure DevOps {first.organization}",
            f"{who}: a member with access level Basic, in the Readers of {_and(names)}",
            f"a Project Collection Administrator of {first.organization}",
            self._command(first.organization, ["PROJECT_ID"]),
            facts=Facts(
                organization=first.organization,
                project=first.project,
                repository=first.name,
                url=first.url,
                object_id=self._identity.object_id,
            ),
        )
        if first.origin != BUILT_IN:
            return [
                grant.skipped(
                    f"it is on {first.origin}, which this command does not know: do it there by hand"
                )
            ]
        try:
            api = self._api(first.organization)
            ids = {name: api.project_id(name) for name in names}
            grant.command = self._command(first.organization, list(ids.values()))
            member = api.member(self._identity.object_id)
        except ServiceError as error:
            return [grant.failed(error)]
        if member is not None:
            return [self._licence(api, grant, member), *self._readers(api, grant, member, ids)]
        grant.do = partial(api.add, self._identity.object_id, list(ids.values()))
        return [grant]

    def _licence(self, api: Organization, grant: Grant, member: Member) -> Grant:
        who = named(self._identity)
        what = f"{who}: a member with access level Basic"
        if not member.licensed:
            what += ", in the place of one that sees no repository"
        found = Grant("organization", grant.where, what, grant.who, grant.command, facts=grant.facts)
        found.do = partial(api.raise_to_basic, member)
        return found.there(is_=member.licensed)

    def _readers(
        self, api: Organization, grant: Grant, member: Member, ids: dict[str, str]
    ) -> Iterable[Grant]:
        for project, id_ in ids.items():
            found = Grant(
                "project",
                grant.where,
                f"{named(self._identity)}: in the Readers of {project}",
                f"a project administrator of {project}",
                self._command(api.name, [id_]),
                facts=grant.facts,
                do=partial(api.read, member, project, id_),
            )
            yield found.there(is_=id_ in member.projects)

    def _command(self, organization: str, project_ids: list[str]) -> str:
        return commands.let_into_organization(organization, self._identity.object_id, project_ids[:_TYPED])

    def _api(self, organization: str) -> Organization:
        devops, entitlements, graph = (
            self._services.rest(Service.AZURE_DEVOPS, origin, self._tenant)
            for origin in (DEVOPS, ENTITLEMENTS, GRAPH)
        )
        return Organization(organization, devops, entitlements, graph)


def _and(names: list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
