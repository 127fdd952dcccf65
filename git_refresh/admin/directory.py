"""Service principals in the directory of a Microsoft Entra tenant.

Facts: https://learn.microsoft.com/graph/api/serviceprincipal-get
"""

from dataclasses import dataclass

from git_refresh.clients.responses import Guid, Response, Word
from git_refresh.clients.rest import Rest
from git_refresh.failures.failure import Operation, none_if_missing

_MANAGED = "ManagedIdentity"
_FIELDS = {"$select": "id,appId,displayName,servicePrincipalType"}


class _ServicePrincipal(Response):
    id: Guid
    appId: Guid  # noqa: N815  # Graph's name
    displayName: Word = ""  # noqa: N815
    servicePrincipalType: Word = ""  # noqa: N815


@dataclass(frozen=True, slots=True)
class ServicePrincipal:
    """A managed identity, or the service principal of an app registration, in one tenant."""

    object_id: str
    """The ID in Azure role assignments and in Azure DevOps."""
    client_id: str
    """The application ID, as in `AZURE_CLIENT_ID` and in Databricks."""
    name: str
    tenant_id: str
    managed: bool = True


class EntraDirectory:
    """Client of Microsoft Graph for one tenant. Every method raises `ServiceError` if the call fails."""

    def __init__(self, rest: Rest, tenant_id: str) -> None:
        self._rest = rest
        self._tenant_id = tenant_id

    def by_client_id(self, client_id: str) -> ServicePrincipal | None:
        return self._find(client_id, f"/v1.0/servicePrincipals(appId='{client_id}')")

    def by_object_id(self, object_id: str) -> ServicePrincipal | None:
        return self._find(object_id, f"/v1.0/servicePrincipals/{object_id}")

    def _find(self, id_: str, path: str) -> ServicePrincipal | None:
        what = Operation.LOOK_UP_IDENTITY.of(id_)
        found = none_if_missing(lambda: self._rest.get(what, path, _ServicePrincipal, _FIELDS))
        if found is None:
            return None
        return ServicePrincipal(
            found.id.lower(),
            found.appId.lower(),
            found.displayName,
            self._tenant_id,
            found.servicePrincipalType == _MANAGED,
        )
