"""Reads workspaces with an admin's account if only the app can sign in as their principal.

Facts: https://docs.databricks.com/api/azure/workspace/gitcredentials/list (`principal_id` is for admins)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from pydantic import SecretStr

from git_refresh.clients.rest import Rest
from git_refresh.clients.scim import ScimClient
from git_refresh.clients.session import Network
from git_refresh.failures.failure import FailureKind, Operation, Service, ServiceError, ServiceFailure
from git_refresh.model.values import AZURE_DATABRICKS, GitFolder, ListedObject, OtherObject, StoredCredential
from git_refresh.run.ports import Services, WorkspaceApi


class AdminReader:
    """Opens workspaces as the caller (`ports.AdminAccess`)."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def open(self, services: Services, host: str, client_id: str) -> WorkspaceApi:
        token = services.token(AZURE_DATABRICKS).value
        principal_id = self._principal_id(host, client_id, token)
        return _ReadOnly(services.workspace(host, token), principal_id)

    def _principal_id(self, host: str, client_id: str, token: SecretStr) -> int:
        """Return the service principal ID.

        Raises:
            ServiceError: the caller is not a workspace admin, or the workspace does not have the principal.
        """
        rest = Rest(Service.DATABRICKS, host, token, self._network, skew=self._network.skew)
        try:
            scim = ScimClient(rest)
            # Only admins can list all Git folders. For others, a hidden folder would count as missing.
            if not scim.me().is_admin:
                raise _failed(Operation.LOOK_UP_CALLER, FailureKind.NOT_ADMIN)
            found = scim.principal_ids(client_id)
        finally:
            rest.close()
        if len(found) != 1:
            kind = FailureKind.PRINCIPAL_AMBIGUOUS if found else FailureKind.NO_PRINCIPAL
            raise _failed(Operation.LOOK_UP_PRINCIPAL, kind, client_id)
        return found[0]


def _failed(operation: Operation, kind: FailureKind, about: str = "") -> ServiceError:
    return ServiceError(ServiceFailure(Service.DATABRICKS, operation.of(about), kind))


@dataclass(frozen=True, slots=True)
class _ReadOnly:
    """A workspace with the Git credentials of a service principal (`ports.WorkspaceApi`).

    Security: it cannot write, because a write would store the caller's own token.
    """

    api: WorkspaceApi
    principal_id: int

    def credentials(self, principal_id: int | None) -> list[StoredCredential]:
        return self.api.credentials(self.principal_id if principal_id is None else principal_id)

    def folders(self, prefix: str) -> Iterator[list[GitFolder | None]]:
        return self.api.folders(prefix)

    def children(self, path: str) -> list[ListedObject | None]:
        return self.api.children(path)

    def examine(self, found: ListedObject) -> GitFolder | OtherObject:
        return self.api.examine(found)

    def find(self, path: str) -> GitFolder | OtherObject | None:
        return self.api.find(path)

    def folder(self, id_: int) -> GitFolder:
        return self.api.folder(id_)

    def release_idle_connections(self) -> None:
        self.api.release_idle_connections()

    def close(self) -> None:
        self.api.close()

    def _refuse(self, *_arguments: object, **_options: object) -> NoReturn:
        raise PermissionError

    update_credential = create_credential = make_parent = create_folder = move_folder = _refuse
