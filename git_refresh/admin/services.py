"""Composition root: the clients for commands that use the Azure CLI account of an admin."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from math import inf
from typing import TYPE_CHECKING, override

from pydantic import SecretStr

from git_refresh.admin.oauth_secrets import OAuthSecrets
from git_refresh.admin.resource_manager import FunctionApp, ResourceManager, find_app
from git_refresh.admin.values import DiagnosedError
from git_refresh.admin.vault import AdminVault
from git_refresh.app import usable_network
from git_refresh.clients import oauth
from git_refresh.clients.azure_cli import chosen_subscription
from git_refresh.clients.databricks import workspace_session
from git_refresh.clients.identity import LOGIN, TOKEN_LIMIT_S, Identity
from git_refresh.clients.rest import Rest
from git_refresh.clients.session import Network
from git_refresh.failures.diagnosis import DiagnosisContext, finding
from git_refresh.failures.failure import Service, ServiceError, ServiceFailure
from git_refresh.model.clock import Deadline
from git_refresh.model.repository import BUILT_IN
from git_refresh.model.values import AZURE_DATABRICKS, AZURE_DEVOPS, RESOURCE_MANAGER, Token
from git_refresh.output.log import RedactingLogger
from git_refresh.output.redact import silence_sdk_logs

if TYPE_CHECKING:
    from git_refresh.admin.logs import AppLogs

MICROSOFT_GRAPH_ORIGIN = "https://graph.microsoft.com"
ACCOUNTS_ORIGIN = "https://accounts.azuredatabricks.net"
"""The Azure Databricks account console of every region."""

_CONNECTIONS = {ACCOUNTS_ORIGIN: 8}
"""onboard assigns principals to many workspaces in parallel. Other services need one connection."""

_RESOURCE = {
    Service.DATABRICKS: AZURE_DATABRICKS,
    Service.AZURE_DEVOPS: AZURE_DEVOPS,
    Service.ENTRA: MICROSOFT_GRAPH_ORIGIN,
    Service.RESOURCE_MANAGER: RESOURCE_MANAGER,
}
"""The resource of each service's tokens. Microsoft Graph is Entra's API."""


AGAIN_S = 20.0
"""Least time between two calls of the Azure CLI for a resource. Each takes about a second."""

RENEWED = timedelta(minutes=5)
"""Remaining lifetime below which the Azure CLI returns a new token."""


class _CallerIdentity(Identity):
    """The Azure CLI account. Renews tokens before they expire, because a confirmation can take long."""

    def __init__(self, network: Network, environ: Mapping[str, str], tenant: str) -> None:
        super().__init__(None, network, environ, tenant_id=tenant)
        self._asking = threading.Lock()
        self._latest: dict[str, tuple[Token | ServiceFailure, float]] = {}
        """The latest result for each resource, and when the Azure CLI was called."""

    @override
    def token(self, resource: str) -> Token:
        clock = self.network.deadline.clock
        with self._asking:
            latest, asked = self._latest.get(resource, (None, -inf))
            valid = latest.expires_at - clock.now() if isinstance(latest, Token) else timedelta()
            if valid < RENEWED and clock.monotonic() - asked >= AGAIN_S:
                try:
                    latest = self._fetch(resource)
                except ServiceError as error:
                    latest = latest if latest and valid > timedelta() else error.failure
                self._latest[resource] = latest, clock.monotonic()
        if isinstance(latest, ServiceFailure):
            raise ServiceError(latest)
        assert latest is not None  # noqa: S101  # the Azure CLI was called at least once
        return latest


class AdminServices:
    """Clients of the services, each with tokens of the Azure CLI account for its own resource only."""

    def __init__(self, deadline: Deadline, environ: Mapping[str, str], logger: RedactingLogger) -> None:
        """Prepare the network. Each client is created on first use.

        Raises:
            SettingsError: the CA certificates cannot be read, or the proxy is invalid.
        """
        silence_sdk_logs()
        self.deadline = deadline
        tls = usable_network(
            environ, (LOGIN, MICROSOFT_GRAPH_ORIGIN, ACCOUNTS_ORIGIN, BUILT_IN, RESOURCE_MANAGER)
        )
        self._network = Network(tls, deadline, logger.secrets)
        # Security: never use a managed identity of this machine, only the caller's account.
        self._environ = {name: value for name, value in environ.items() if name != "IDENTITY_ENDPOINT"}
        self._lock = threading.Lock()
        self._identities: dict[str, Identity] = {}
        self._apis: dict[tuple[str, str], Rest] = {}
        self._vaults: dict[str, AdminVault] = {}
        self._logs: dict[str, AppLogs] = {}

    def identity(self, tenant: str = "") -> Identity:
        """Return the caller's identity, in another tenant as a guest."""
        with self._lock:
            if tenant not in self._identities:
                self._identities[tenant] = _CallerIdentity(self._network, self._environ, tenant)
            return self._identities[tenant]

    def token(self, resource: str, tenant: str = "") -> Token:
        """Return a token for a resource.

        Raises:
            ServiceError: the Azure CLI is not signed in, or not to this tenant.
        """
        return self.identity(tenant).token(resource)

    def rest(self, service: Service, origin: str, tenant: str = "") -> Rest:
        """Return the client of a service's API.

        Raises:
            ServiceError: no token was issued.
        """
        resource = _RESOURCE[service]
        self.token(resource, tenant)
        with self._lock:
            if (origin, tenant) not in self._apis:
                self._apis[origin, tenant] = Rest(
                    service,
                    origin,
                    lambda: self.token(resource, tenant).value,
                    self._network,
                    connections=_CONNECTIONS.get(origin, 1),
                )
            return self._apis[origin, tenant]

    def resource_manager(self) -> ResourceManager:
        """Return the client of Azure Resource Manager.

        Raises:
            ServiceError: no token was issued.
        """
        return ResourceManager(self.rest(Service.RESOURCE_MANAGER, RESOURCE_MANAGER))

    def find_app(self, name: str, subscription_id: str = "", group: str = "") -> FunctionApp:
        """Return the function app of this name, by default in the subscription of the Azure CLI.

        Raises:
            ServiceError: a call to Azure or the Azure CLI failed.
            DiagnosedError: the app does not exist.
        """
        manager = self.resource_manager()
        chosen = subscription_id or self._chosen_subscription()
        return find_app(manager, name, chosen, group, searches=not subscription_id)

    def apps(self, subscription_id: str = "") -> list[FunctionApp]:
        """Return all function apps of a subscription, by default that of the Azure CLI.

        Raises:
            ServiceError: a call to Azure or the Azure CLI failed.
            DiagnosedError: the Azure CLI has no subscription.
        """
        manager = self.resource_manager()
        chosen = subscription_id or self._chosen_subscription()
        if not chosen:
            raise DiagnosedError(finding("subscription_not_chosen", DiagnosisContext()))
        return manager.apps(chosen)

    def _chosen_subscription(self) -> str:
        return chosen_subscription(max(1, int(self.deadline.within(TOKEN_LIMIT_S).remaining())))

    def vault(self, url: str) -> AdminVault:
        identity = self.identity()
        with self._lock:
            if url not in self._vaults:
                self._vaults[url] = AdminVault(url, identity, self._network, connections=1)
            return self._vaults[url]

    def logs(self, about: DiagnosisContext) -> "AppLogs":
        """Return the client of the Application Insights component in `about`."""
        from git_refresh.admin.logs import AppLogs  # noqa: PLC0415  # an SDK that few commands need

        identity = self.identity()
        with self._lock:
            if about.component not in self._logs:
                self._logs[about.component] = AppLogs(about, identity, self._network)
            return self._logs[about.component]

    def oauth_secrets(self, host: str) -> OAuthSecrets:
        """Return the client of a workspace's OAuth secrets.

        Raises:
            ServiceError: no token was issued.
        """
        return OAuthSecrets(self.rest(Service.DATABRICKS, host), self._network.secrets)

    def try_secret(self, host: str, client_id: str, secret: SecretStr, deadline: Deadline) -> None:
        """Sign in to a workspace with an OAuth secret, and do nothing else.

        Raises:
            ServiceError: the sign-in failed.
        """
        network = replace(self._network, deadline=deadline)
        with workspace_session(host, network) as session:
            oauth.sign_in(session, host, client_id, secret, network)

    def close(self) -> None:
        with self._lock:
            for api in self._apis.values():
                api.close()
            for vault in self._vaults.values():
                vault.close()
            for logs in self._logs.values():
                logs.close()
