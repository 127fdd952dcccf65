"""The organizations of Azure DevOps Services, their members and repositories."""

import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import jwt

from localcloud.authority import DEVOPS_RESOURCE, TENANT, Authority, entra
from localcloud.devops import errors
from localcloud.devops.repository import Repository


@dataclass(slots=True)
class Organization:
    """One organization. Names of projects and repositories are the same in any letter case.

    Attributes:
        tenant_id: whose tokens it takes, and no other's.
    """

    name: str
    tenant_id: str = TENANT
    _access: dict[str, bool] = field(default_factory=dict)
    _contributors: set[str] = field(default_factory=set)
    _projects: dict[str, dict[str, Repository]] = field(default_factory=dict)

    def add_member(self, object_id: str, *, stakeholder: bool = False, contributor: bool = False) -> None:
        """Add an identity with Basic access; a stakeholder is a member that sees no repository, a contributor may push."""
        self._access[object_id] = not stakeholder
        (self._contributors.add if contributor else self._contributors.discard)(object_id)

    def remove_member(self, object_id: str) -> None:
        self._access.pop(object_id, None)

    def add(self, repository: Repository) -> None:
        self._projects.setdefault(repository.project.lower(), {})[repository.name.lower()] = repository

    def find(self, object_id: str, project: str, name: str) -> Repository:
        """A repository that this identity may read. Raises the error that Azure DevOps answers otherwise."""
        if object_id not in self._access:
            raise errors.unknown_identity(object_id, self.tenant_id)
        repositories = self._projects.get(project.lower())
        if repositories is None:
            raise errors.unknown_project(project)
        if name.lower() not in repositories or not self._access[object_id]:
            raise errors.unknown_repository(name)
        return repositories[name.lower()]

    def check_push(self, object_id: str) -> None:
        """Raise what Azure DevOps answers to a push of somebody who is no contributor."""
        if object_id not in self._contributors:
            raise errors.read_only()


class DevOps:
    """All organizations."""

    def __init__(self, authority: Authority, directory: Path, member: str) -> None:
        self._authority = authority
        self._directory = directory
        self._member = member
        self._organizations: dict[str, Organization] = {}
        self._personal: dict[str, str] = {}

    def organization(self, name: str, tenant_id: str = TENANT) -> Organization:
        """The organization of this name, created in this tenant if need be: in its own, with the cloud's identity as a member."""
        if name.lower() not in self._organizations:
            organization = Organization(name, tenant_id)
            if tenant_id == TENANT:
                organization.add_member(self._member)
            self._organizations[name.lower()] = organization
        return self._organizations[name.lower()]

    def repository(
        self, organization: str, project: str, name: str, files: Mapping[str, str] | None = None
    ) -> Repository:
        """A new repository with a first commit of these files on `main`."""
        repository = Repository(organization, project, name, self._directory / f"{uuid.uuid4().hex}.git")
        repository.commit(files or {"README.md": f"# {name}\n"}, message="First commit")
        self.organization(organization).add(repository)
        return repository

    def known(self, name: str) -> Organization | None:
        return self._organizations.get(name.lower())

    def personal_access_token(self, object_id: str) -> str:
        """A token for a person at a keyboard, which lives as long as the cloud."""
        token = secrets.token_hex(26)
        self._personal[token] = object_id
        return token

    def object_id(self, token: str, tenant_id: str = TENANT) -> str:
        """Whose token this is. Raises the 401 for one that has lapsed, is not for Azure DevOps or of another tenant."""
        if token in self._personal:
            return self._personal[token]
        try:
            claims = self._authority.verify(token, [DEVOPS_RESOURCE], [entra(tenant_id)])
        except jwt.InvalidTokenError:
            raise errors.unauthorized(tenant_id) from None
        return str(claims["oid"])
