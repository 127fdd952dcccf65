"""Microsoft Entra's directory: the service principals of each tenant.

Facts: https://learn.microsoft.com/entra/identity-platform/app-objects-and-service-principals
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from localcloud.authority import TENANT
from localcloud.identity import IdentityEndpoint
from localcloud.login import Login

type Kind = Literal["ManagedIdentity", "Application"]


@dataclass(frozen=True, slots=True)
class DirectoryPrincipal:
    """A service principal.

    `object_id`: differs in each tenant.
    `client_id`: its application's, the same in every tenant.
    """

    object_id: str
    client_id: str
    name: str
    kind: Kind


class Directory:
    """Managed identities in their tenant; app registrations in each tenant that consented to them."""

    def __init__(self, identities: IdentityEndpoint, login: Login) -> None:
        self._identities = identities
        self._login = login

    def find(self, tenant_id: str, identifier: str) -> DirectoryPrincipal | None:
        """Return the principal with this object ID in a tenant."""
        return next((known for known in self._all(tenant_id) if known.object_id == identifier.lower()), None)

    def application(self, tenant_id: str, client_id: str) -> DirectoryPrincipal | None:
        """Return an application's principal in a tenant."""
        return next((known for known in self._all(tenant_id) if known.client_id == client_id.lower()), None)

    def _all(self, tenant_id: str) -> Iterator[DirectoryPrincipal]:
        if tenant_id == TENANT:
            for name, identity in self._identities.known.items():
                yield DirectoryPrincipal(identity.object_id, identity.client_id, name, "ManagedIdentity")
        for application in self._login.applications:
            if tenant_id in application.tenants:
                object_id = application.object_id(tenant_id)
                yield DirectoryPrincipal(object_id, application.client_id, application.name, "Application")
