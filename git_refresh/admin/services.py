"""The composition root of what is done with an admin's own sign-in: the services, as whoever has typed `az login` may use them."""

import ssl
import threading
from collections.abc import Mapping

from git_refresh.admin.rest import Rest
from git_refresh.app import trusted_certificates
from git_refresh.clock import Deadline
from git_refresh.clouds.identity import Identity
from git_refresh.masking import Secrets
from git_refresh.outlet import Outlet
from git_refresh.redact import silence_sdk_logs
from git_refresh.symptom import Service
from git_refresh.values import AZURE_DATABRICKS, AZURE_DEVOPS, Token

GRAPH = "https://graph.microsoft.com"
ACCOUNTS = "https://accounts.azuredatabricks.net"
"""Where Azure Databricks' account is administered, for every region."""

_RESOURCE = {Service.DATABRICKS: AZURE_DATABRICKS, Service.AZURE_DEVOPS: AZURE_DEVOPS, Service.ENTRA: GRAPH}
"""Which token each service takes. Microsoft Graph is Entra's API."""


class AdminServices:
    """The services, each asked with a token for it and for nothing else, of the person (or pipeline) that is signed in to the Azure CLI."""

    def __init__(self, deadline: Deadline, environ: Mapping[str, str], outlet: Outlet) -> None:
        silence_sdk_logs()
        self.deadline = deadline
        self.secrets: Secrets = outlet.secrets
        self.tls: ssl.SSLContext = trusted_certificates(environ)
        # The app's own identity has no such rights: where there is an endpoint for it, that is not asked.
        self._environ = {name: value for name, value in environ.items() if name != "IDENTITY_ENDPOINT"}
        self._lock = threading.Lock()
        self._identities: dict[str, Identity] = {}
        self._apis: dict[tuple[str, str], Rest] = {}

    def identity(self, tenant: str = "") -> Identity:
        """Whoever is signed in; in another tenant, as the guest that she is there."""
        with self._lock:
            if tenant not in self._identities:
                self._identities[tenant] = Identity(
                    None, self.tls, self.deadline, self.secrets, self._environ, tenant_id=tenant
                )
            return self._identities[tenant]

    def token(self, resource: str, tenant: str = "") -> Token:
        """A token for a resource.

        Raises:
            ServiceError: nobody is signed in, or not there.
        """
        return self.identity(tenant).token(resource)

    def rest(self, service: Service, origin: str, tenant: str = "") -> Rest:
        """A service's API at an origin; of a workspace, its own.

        Raises:
            ServiceError: there is no token for it.
        """
        token = self.token(_RESOURCE[service], tenant).value
        with self._lock:
            if (origin, tenant) not in self._apis:
                self._apis[origin, tenant] = Rest(
                    service, origin, token, tls=self.tls, deadline=self.deadline, secrets=self.secrets
                )
            return self._apis[origin, tenant]

    def close(self) -> None:
        """Let go of every connection."""
        with self._lock:
            for api in self._apis.values():
                api.close()
