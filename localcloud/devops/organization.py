"""The organizations of Azure DevOps Services, their members, groups and repositories.

Facts: https://learn.microsoft.com/azure/devops/organizations/security/about-permissions and
https://learn.microsoft.com/azure/devops/organizations/security/access-levels
"""

import base64
import secrets
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import jwt

from localcloud.authority import DEVOPS_RESOURCE, TENANT, Authority, entra
from localcloud.devops import errors
from localcloud.devops.repository import Repository
from localcloud.directory import Directory
from localcloud.lag import Lag

LICENSES = ("none", "stakeholder", "express", "advanced")
"""Access levels (`accountLicenseType`), lowest first; `express` is Basic."""

BASIC = "express"
READERS = "Readers"
CONTRIBUTORS = "Contributors"
PROJECT_ADMINISTRATORS = "Project Administrators"
ADMINISTRATORS = "Project Collection Administrators"

GROUP_TYPES = {
    "projectReader": READERS,
    "projectContributor": CONTRIBUTORS,
    "projectAdministrator": PROJECT_ADMINISTRATORS,
}
"""Groups of a project that an entitlement can name, least permissions first."""


@dataclass(frozen=True, slots=True)
class Group:
    """A group of a project or of the whole organization.

    `scope`: the name of the project or organization.
    `project_id`: None for a group of the organization.
    """

    name: str
    scope: str
    project_id: str | None

    @property
    def principal_name(self) -> str:
        return f"[{self.scope}]\\{self.name}"

    @property
    def origin_id(self) -> str:
        return _identifier(f"{self.project_id}/{self.scope}/{self.name}")

    @property
    def descriptor(self) -> str:
        number = uuid.UUID(self.origin_id).int
        parts = [str(number >> shift & 0xFFFFFFFF) for shift in (96, 64, 32, 0)]
        return "vssgp." + _encoded("-".join(["S-1-9-1551374245", *parts]))


@dataclass(slots=True)
class Project:
    """A project and its repositories by lowercase name."""

    name: str
    id: str
    repositories: dict[str, Repository] = field(default_factory=dict)

    @property
    def groups(self) -> list[Group]:
        names = (*GROUP_TYPES.values(), "Build Administrators", "Project Valid Users", f"{self.name} Team")
        return [Group(name, self.name, self.id) for name in names]

    def group(self, name: str) -> Group:
        return next(group for group in self.groups if group.name == name)

    @property
    def scope_descriptor(self) -> str:
        return "scp." + _encoded(self.id)


type Status = Literal["active", "pending", "disabled", "expired", "deleted", "none"]


@dataclass(slots=True)
class Member:
    """A person, managed identity or application in an organization.

    `license`: the access level, one of `LICENSES`.
    `everywhere`: in the Readers group of every project, like a member added in the portal.
    `contributor`: then also in the Contributors group of every project.
    `groups`: descriptors of its groups.
    `status`: of its access level; `active` and `pending` can authenticate.
    `deleted_in_origin`: deleted from Entra.
    """

    object_id: str
    license: str = BASIC
    everywhere: bool = False
    contributor: bool = False
    groups: set[str] = field(default_factory=set)
    status: Status = "active"
    deleted_in_origin: bool = False


@dataclass(slots=True)
class Organization:
    """An organization. Names of projects and repositories are case-insensitive.

    `tenant_id`: it accepts tokens of this tenant only.
    `licenses`: how many members can have Basic or more; None: any number.
    `deactivated`: every response says that it has not been used for a long time.
    `refuses_workspaces`: the status for Git over HTTPS, while REST works. A policy that allows the app's
    address but not the workspaces' has this effect.
    """

    name: str
    tenant_id: str
    directory: Directory
    lag: Lag
    licenses: int | None = None
    deactivated: bool = False
    refuses_workspaces: Literal[401, 403] | None = None
    _members: dict[str, Member] = field(default_factory=dict)
    _projects: dict[str, Project] = field(default_factory=dict)

    def add_member(self, object_id: str, *, stakeholder: bool = False, contributor: bool = False) -> None:
        """Add an identity with Basic access to every project.

        A stakeholder cannot see repositories; a contributor can push.
        """
        level = "stakeholder" if stakeholder else BASIC
        self._members[object_id] = Member(object_id, level, everywhere=True, contributor=contributor)

    def add_administrator(self, object_id: str) -> None:
        """Add an identity to Project Collection Administrators: it can read everything and add members."""
        self._members[object_id] = Member(object_id, groups={self.administrators.descriptor})

    def remove_member(self, object_id: str) -> None:
        self._members.pop(object_id, None)

    def add(self, repository: Repository) -> None:
        name = repository.project
        project = Project(name, _identifier(f"{self.name}/{name}".lower()))
        known = self._projects.setdefault(name.lower(), project)
        known.repositories[repository.name.lower()] = repository

    # Groups and projects

    @property
    def groups(self) -> list[Group]:
        """The organization's groups, then those of each project."""
        return [*self._own_groups, *(group for each in self._projects.values() for group in each.groups)]

    @property
    def administrators(self) -> Group:
        return self._own_groups[0]

    def group_of(self, descriptor: str) -> Group | None:
        return next((group for group in self.groups if group.descriptor == descriptor), None)

    def project(self, wanted: str) -> Project | None:
        """Return a project by name or ID."""
        by_id = (project for project in self._projects.values() if project.id == wanted.lower())
        return self._projects.get(wanted.lower()) or next(by_id, None)

    @property
    def projects(self) -> list[Project]:
        return list(self._projects.values())

    # Members

    def member(self, object_id: str) -> Member | None:
        """Return a member who can authenticate. Unrecorded: that others get a stranger's response."""
        known = self._members.get(object_id)
        return known if known and known.status in {"active", "pending"} else None

    def seen(self) -> list[Member]:
        """Return the members as reads show them."""
        seen = []
        for object_id, each in self._members.items():
            shown: Member | None = self.lag.shown((self.name, object_id), each)
            seen += [shown] if shown else []
        return seen

    def seen_by(self, identifier: str) -> Member | None:
        """Return the member that reads show with this descriptor or storage key."""
        return next((each for each in self.seen() if self._is(each, identifier)), None)

    def known_as(self, identifier: str) -> Member | None:
        """Return the member with this descriptor or storage key, even if reads do not show it yet."""
        return next((each for each in self._members.values() if self._is(each, identifier)), None)

    def change(self, object_id: str) -> Member:
        """Return a member for changes, which reads show late; a new one has no permissions."""
        known = self._members.get(object_id)
        before = replace(known, groups=set(known.groups)) if known else None
        self.lag.writing((self.name, object_id), before)
        return self._members.setdefault(object_id, known or Member(object_id, "none"))

    def descriptor(self, object_id: str) -> str:
        """Return the name of a member in the Graph API."""
        kind = "aadsp" if self.directory.find(self.tenant_id, object_id) else "aad"
        return f"{kind}.{_encoded(_identifier(f'{self.name}/{object_id}/subject'))}"

    def storage_key(self, object_id: str) -> str:
        """Return the name of a member in the other APIs."""
        return _identifier(f"{self.name}/{object_id}/storage key")

    def memberships(self, member: Member) -> list[Group]:
        """Return the groups that have this member directly."""
        return [group for group in self.groups if self._belongs(member, group)]

    def administers(self, object_id: str) -> bool:
        """Return whether an identity can add members."""
        member = self.member(object_id)
        return member is not None and self.administrators.descriptor in member.groups

    def reads(self, object_id: str, project: Project) -> bool:
        """Return whether an identity can see this project."""
        member = self.member(object_id)
        if member is None or member.everywhere or self.administers(object_id):
            return member is not None
        return any(group.descriptor in member.groups for group in project.groups)

    def licenses_left(self) -> bool:
        taken = [each for each in self._members.values() if rank(each.license) >= rank(BASIC)]
        return self.licenses is None or len(taken) < self.licenses

    @property
    def _own_groups(self) -> tuple[Group, ...]:
        names = (ADMINISTRATORS, "Project Collection Valid Users")
        return tuple(Group(name, self.name, None) for name in names)

    def _is(self, member: Member, identifier: str) -> bool:
        return identifier in {self.descriptor(member.object_id), self.storage_key(member.object_id)}

    def _belongs(self, member: Member, group: Group) -> bool:
        if group.descriptor in member.groups:
            return True
        implied = group.name == READERS or (member.contributor and group.name == CONTRIBUTORS)
        return member.everywhere and group.project_id is not None and implied

    # Repositories

    def find(self, object_id: str, project: str, name: str) -> Repository:
        """Return a repository that this identity can read, or raise Azure DevOps' error."""
        member = self.member(object_id)
        if member is None:
            raise errors.unknown_identity(object_id, self.tenant_id)
        found = self.project(project)
        if found is None or not self.reads(object_id, found):
            raise errors.unknown_project(project)
        if name.lower() not in found.repositories or rank(member.license) < rank(BASIC):
            raise errors.unknown_repository(name)
        repository = found.repositories[name.lower()]
        if repository.disabled:
            raise errors.unknown_repository(name)
        return repository

    def check_push(self, object_id: str, project: str) -> None:
        """Raise the response to a push without permission to contribute."""
        member, found = self.member(object_id), self.project(project)
        groups = self.memberships(member) if member and found else []
        names = {group.name for group in groups if found and group.project_id in {found.id, None}}
        if not names & {CONTRIBUTORS, PROJECT_ADMINISTRATORS, ADMINISTRATORS}:
            raise errors.read_only()


@dataclass(frozen=True, slots=True)
class Caller:
    """The owner of a token; `name` is the one in messages."""

    object_id: str
    name: str


class DevOps:
    """All organizations.

    `page`: how many subjects a page of a list has.
    """

    def __init__(self, authority: Authority, entra_directory: Directory, place: Path, member: str) -> None:
        self.page = 500
        self._authority = authority
        self._entra = entra_directory
        self._directory = place
        self._member = member
        self._lag = Lag()
        self._organizations: dict[str, Organization] = {}
        self._personal: dict[str, str] = {}

    @property
    def lag(self) -> float:
        """Seconds for which reads of members and memberships do not show a write."""
        return self._lag.seconds

    @lag.setter
    def lag(self, seconds: float) -> None:
        self._lag.seconds = seconds

    def organization(self, name: str, tenant_id: str = TENANT) -> Organization:
        """Return the organization of this name, created in this tenant if missing.

        A new one in the home tenant has the cloud's identity as a member.
        """
        if name.lower() not in self._organizations:
            organization = Organization(name, tenant_id, self._entra, self._lag)
            if tenant_id == TENANT:
                organization.add_member(self._member)
            self._organizations[name.lower()] = organization
        return self._organizations[name.lower()]

    def repository(
        self,
        organization: str,
        project: str,
        name: str,
        files: Mapping[str, str] | None = None,
        *,
        empty: bool = False,
    ) -> Repository:
        """Create a repository with these files on `main`, or without commits."""
        repository = Repository(organization, project, name, self._directory / f"{uuid.uuid4().hex}.git")
        if not empty:
            repository.commit(files or {"README.md": f"# {name}\n"}, message="First commit")
        self.organization(organization).add(repository)
        return repository

    def known(self, name: str) -> Organization | None:
        return self._organizations.get(name.lower())

    def personal_access_token(self, object_id: str) -> str:
        """Return a personal access token that works until the cloud is closed."""
        token = secrets.token_hex(26)
        self._personal[token] = object_id
        return token

    def caller(self, token: str, tenant_id: str = TENANT) -> Caller:
        """Return the owner of a token, or raise the 401 for an invalid one or one of another tenant."""
        if token in self._personal:
            return Caller(self._personal[token], self._personal[token])
        try:
            claims: dict[str, Any] = self._authority.verify(token, [DEVOPS_RESOURCE], [entra(tenant_id)])
        except jwt.InvalidTokenError:
            raise errors.unauthorized(tenant_id) from None
        object_id = str(claims["oid"])
        known = self._entra.find(tenant_id, object_id)
        return Caller(object_id, str(claims.get("upn") or (known.name if known else object_id)))


def rank(license_type: str) -> int:
    """Return the position of an access level, which rises with its permissions."""
    return LICENSES.index(license_type)


def highest(groups: Iterable[Group]) -> Group | None:
    """Return the group with the most permissions, which an entitlement shows."""
    names = list(GROUP_TYPES.values())
    return max(
        (group for group in groups if group.name in names),
        key=lambda group: names.index(group.name),
        default=None,
    )


def _encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _identifier(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))
